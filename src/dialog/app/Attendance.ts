/**
 * Tells the agent that somebody looks at this page, as long as it is visible: the agent then asks the gateway more often.
 */
import { bearer } from "./EventStream.ts"

const retryMs = 5000

/** Holds a request open while the page is visible. The function that it returns ends that. */
export const attend = (url: URL, token: string): () => void => {
  let current: AbortController | undefined
  let timer: ReturnType<typeof setTimeout> | undefined

  const hold = async (controller: AbortController) => {
    try {
      const response = await fetch(url, { headers: bearer(token), cache: "no-store", signal: controller.signal })
      if (response.status === 401 || response.status === 403) return
      // Its comments only keep it alive; its end is what matters.
      if (response.ok) await response.body?.pipeTo(new WritableStream())
    } catch {
      // the agent is gone, or this page gave up
    }
    if (current === controller && !controller.signal.aborted) timer = setTimeout(update, retryMs)
  }
  const update = () => {
    clearTimeout(timer)
    current?.abort()
    current = undefined
    if (document.visibilityState !== "visible") return
    current = new AbortController()
    void hold(current)
  }
  document.addEventListener("visibilitychange", update)
  update()
  return () => {
    document.removeEventListener("visibilitychange", update)
    clearTimeout(timer)
    current?.abort()
    current = undefined
  }
}
