/**
 * Keeps a text/event-stream open with `fetch`, which, unlike EventSource, can send a token. It dials again when the stream
 * ends and reports that; the server repeats what holds at the beginning of each stream.
 */
import type { OnEvent } from "./SseParser.ts"
import { makeSseParser } from "./SseParser.ts"

export interface StreamOptions {
  readonly url: URL
  /** Sent as `Authorization: Bearer`, unless it is empty. */
  readonly token: string
  readonly onEvent: OnEvent
  /** `refused` is final: the server does not accept the token. */
  readonly onContact: (contact: "open" | "lost" | "refused") => void
}

const firstDelayMs = 500
const longestDelayMs = 15_000
/** The server says something every 15 s. */
const silenceMs = 40_000

export const bearer = (token: string | undefined): Record<string, string> =>
  token === undefined || token === "" ? {} : { authorization: `Bearer ${token}` }

/** Opens the stream; the function that it returns closes it for good. */
export const openStream = ({ onContact, onEvent, token, url }: StreamOptions): () => void => {
  const closing = new AbortController()
  let delayMs = firstDelayMs
  let wake = () => {}

  const readOnce = async (): Promise<"ended" | "refused"> => {
    const attempt = new AbortController()
    const abort = () => attempt.abort()
    closing.signal.addEventListener("abort", abort)
    let watchdog = setTimeout(abort, silenceMs)
    try {
      const response = await fetch(url, {
        headers: { accept: "text/event-stream", ...bearer(token) },
        cache: "no-store",
        signal: attempt.signal
      })
      if (response.status === 401 || response.status === 403) return "refused"
      if (!response.ok || response.body === null) return "ended"
      delayMs = firstDelayMs
      onContact("open")
      const parse = makeSseParser(onEvent)
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return "ended"
        clearTimeout(watchdog)
        watchdog = setTimeout(abort, silenceMs)
        parse(value)
      }
    } catch {
      return "ended"
    } finally {
      clearTimeout(watchdog)
      closing.signal.removeEventListener("abort", abort)
      attempt.abort()
    }
  }

  const pause = () =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, delayMs / 2 + (Math.random() * delayMs) / 2)
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
      delayMs = Math.min(delayMs * 2, longestDelayMs)
    })

  // A reader who comes back to the page, or to the network, does not wait.
  const hurry = () => {
    if (document.visibilityState === "visible") wake()
  }
  document.addEventListener("visibilitychange", hurry)
  addEventListener("online", hurry)

  const run = async () => {
    for (;;) {
      const end = await readOnce()
      if (closing.signal.aborted) return
      onContact(end === "refused" ? "refused" : "lost")
      if (end === "refused") return
      await pause()
      if (closing.signal.aborted) return
    }
  }
  void run()

  return () => {
    closing.abort()
    wake()
    document.removeEventListener("visibilitychange", hurry)
    removeEventListener("online", hurry)
  }
}
