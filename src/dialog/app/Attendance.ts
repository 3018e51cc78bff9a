/**
 * Tells the agent that somebody looks at this page, as long as it is visible: the agent then asks the gateway more often.
 *
 * One visible tab of a browser does so for all of them, as a browser has few connections to one server.
 */
import { bearer } from "./EventStream.ts"
import { lockName, withLock } from "./TabLock.ts"

const retryMs = 5000

/** Holds a request open while the page is visible. The function that it returns ends that. */
export const attend = (url: URL, token: string): () => void => {
  let current: AbortController | undefined

  /** False when it makes no sense to try again. */
  const hold = async (signal: AbortSignal): Promise<boolean> => {
    try {
      const response = await fetch(url, { headers: bearer(token), cache: "no-store", signal })
      if (response.status === 401 || response.status === 403) return false
      // Its comments only keep it alive; its end is what matters.
      if (response.ok) await response.body?.pipeTo(new WritableStream())
    } catch {
      // the agent is gone, or this page gave up
    }
    return !signal.aborted
  }
  const pause = (signal: AbortSignal) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, retryMs)
      signal.addEventListener("abort", () => {
        clearTimeout(timer)
        resolve()
      })
    })
  const holdOn = async (signal: AbortSignal) => {
    while (await hold(signal)) await pause(signal)
  }
  const update = () => {
    current?.abort()
    current = undefined
    if (document.visibilityState !== "visible") return
    const { signal } = current = new AbortController()
    void lockName(url, token).then((name) => withLock(name, signal, () => holdOn(signal)))
  }
  document.addEventListener("visibilitychange", update)
  update()
  return () => {
    document.removeEventListener("visibilitychange", update)
    current?.abort()
    current = undefined
  }
}
