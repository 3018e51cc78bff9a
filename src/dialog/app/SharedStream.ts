/**
 * One stream for all tabs of a browser that have the same URL and token.
 *
 * A browser opens six connections to one server, for all its tabs together, and a stream holds one for as long as it lasts. So
 * one tab reads the stream, the one that holds a lock, and passes on all that comes. A tab that joins makes it open the stream
 * anew: the server repeats what holds, to every tab, as it does after a stream was lost.
 *
 * A tab that hears nothing asks, and takes the lock when nobody answers: a browser may have put the other tab to sleep. Where
 * there are no locks, each tab reads a stream of its own.
 */
import type { Contact } from "./DialogState.ts"
import type { StreamOptions } from "./EventStream.ts"
import { openStream } from "./EventStream.ts"
import { lockName } from "./TabLock.ts"

/** `join`: please open the stream anew. `ask`: is there somebody? `here` answers both. */
type Message =
  | "join"
  | "ask"
  | "here"
  | { readonly contact: Exclude<Contact, "none"> }
  | { readonly name: string; readonly data: string }

const answerMs = 5000
const silenceMs = 20_000
/** How often a tab that can be seen wants a lost stream tried again. Timers of tabs in the background are too slow for that. */
const lostMs = 5000

/** Opens the stream, or joins the one of another tab; the function that it returns closes it for good. */
export const openSharedStream = (options: StreamOptions): () => void => {
  let close: (() => void) | undefined
  let closed = false
  void lockName(options.url, options.token).then((name) => {
    if (!closed) close = name === undefined ? openStream(options) : share(name, options)
  })
  return () => {
    closed = true
    close?.()
  }
}

const share = (name: string, options: StreamOptions): () => void => {
  const channel = new BroadcastChannel(name)
  const tell: (message: Message) => void = channel.postMessage.bind(channel)
  let closed = false
  let contact: Contact = "none"
  /** The stream, in the tab that holds the lock. */
  let held: { readonly again: () => void; readonly close: () => void } | undefined
  let asked = new AbortController()
  let timer: ReturnType<typeof setTimeout> | undefined

  const hear = (message: Exclude<Message, string>) => {
    if ("contact" in message) {
      contact = message.contact
      options.onContact(message.contact)
    } else options.onEvent(message.name, message.data)
  }
  const pass = (message: Exclude<Message, string>) => {
    tell(message)
    hear(message)
  }

  const hold = (): Promise<void> =>
    new Promise((resolve) => {
      clearTimeout(timer)
      let closeStream = () => {}
      let dialling = false
      const again = () => {
        // A stream that is not open yet brings what holds anyway.
        if (dialling) return
        dialling = true
        closeStream()
        closeStream = openStream({
          ...options,
          onEvent: (name, data) => pass({ name, data }),
          onContact: (next) => {
            dialling = false
            pass({ contact: next })
          }
        })
      }
      held = {
        again,
        close: () => {
          closeStream()
          resolve()
        }
      }
      again()
    })
  const take = async (steal: boolean) => {
    asked.abort()
    const { signal } = asked = new AbortController()
    try {
      await navigator.locks.request(name, steal ? { steal } : { signal }, () => closed ? undefined : hold())
    } catch {
      // asked anew meanwhile, or another tab took the lock
    }
    if (signal.aborted) return
    held?.close()
    held = undefined
    // What the other tab has told by now was not heard here.
    contact = "none"
    if (!closed) join()
  }
  const isWanted = () => contact === "none" || (contact === "lost" && document.visibilityState === "visible")
  const listen = () => {
    clearTimeout(timer)
    timer = setTimeout(ask, contact === "lost" ? lostMs : silenceMs)
  }
  const ask = () => {
    if (held !== undefined) return
    tell(isWanted() ? "join" : "ask")
    clearTimeout(timer)
    timer = setTimeout(() => void take(true), answerMs)
  }
  const join = () => {
    void take(false)
    ask()
  }

  channel.addEventListener("message", ({ data: message }: MessageEvent<Message>) => {
    if (held !== undefined) {
      if (message === "join" || message === "ask") tell("here")
      if (message === "join") held.again()
    } else if (message !== "join" && message !== "ask") {
      listen()
      if (message !== "here") hear(message)
    }
  })
  const hurry = () => {
    if (document.visibilityState === "visible") ask()
  }
  document.addEventListener("visibilitychange", hurry)
  addEventListener("online", hurry)
  join()

  return () => {
    closed = true
    clearTimeout(timer)
    asked.abort()
    held?.close()
    channel.close()
    document.removeEventListener("visibilitychange", hurry)
    removeEventListener("online", hurry)
  }
}
