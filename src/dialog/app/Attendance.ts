/**
 * Tells the agent, while this page is in front of somebody, that somebody looks: it then asks the gateway more often.
 */
import { bearer } from "./EventStream.ts"

const retryMs = 5000

/** Holds a request open while the page is visible. The answer ends it. */
export const attend = (url: URL, token: string): () => void => {
  let held: AbortController | undefined
  let timer: ReturnType<typeof setTimeout> | undefined

  const hold = async (holding: AbortController) => {
    try {
      const response = await fetch(url, { headers: bearer(token), cache: "no-store", signal: holding.signal })
      if (response.status === 401 || response.status === 403) return
      // The comments in it say that it lives; its end is all that matters.
      if (response.ok) await response.body?.pipeTo(new WritableStream())
    } catch {
      // gone, or given up by ourselves
    }
    if (held === holding && !holding.signal.aborted) timer = setTimeout(follow, retryMs)
  }
  const follow = () => {
    clearTimeout(timer)
    held?.abort()
    held = undefined
    if (document.visibilityState !== "visible") return
    held = new AbortController()
    void hold(held)
  }
  document.addEventListener("visibilitychange", follow)
  follow()
  return () => {
    document.removeEventListener("visibilitychange", follow)
    clearTimeout(timer)
    held?.abort()
    held = undefined
  }
}
