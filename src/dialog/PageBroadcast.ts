/**
 * One text to every page, each at its own pace, with a bound on what a page may leave unread.
 *
 * A page beyond the bound is cut off rather than fed from memory without end: it can come back, and gets what holds then.
 */
import type * as Stream from "effect/Stream"
import * as Broadcast from "../broadcast/Broadcast.ts"

/** What may wait for one page, beside what holds when it comes and what its socket holds. */
export const limits = { texts: 1024, characters: 8 * 1024 * 1024 }
/** So many texts are encoded for a socket at once. */
const batch = 32

export interface PageBroadcast {
  readonly publish: (text: string) => void
  /** What holds, and then each text. `cut` is called once, when the page leaves too much unread. */
  readonly subscribe: (cut: () => void) => Stream.Stream<string>
  /** Ends every stream. A later one has only what holds. */
  readonly end: () => void
}

/** `snapshot` is what holds now. */
export const make = (snapshot: () => ReadonlyArray<string>): PageBroadcast => {
  const texts = Broadcast.make<string>({ snapshot })
  return {
    end: () => texts.end(),
    publish: (text) => texts.publish(text),
    subscribe: (cut) =>
      texts.subscribe({
        batch,
        limit: { values: limits.texts, weight: limits.characters, weigh: ({ length }) => length, onExceeded: cut }
      })
  }
}
