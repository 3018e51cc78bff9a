/**
 * The pages that read one stream of texts, each at its own pace.
 *
 * What is said goes to all of them at once, and a text is kept once however many wait for it. A reader that leaves too much
 * unread is cut off rather than fed from memory without end: it can come back and is told what holds then.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"

/** What may wait for one reader, beside what it is told first and what its socket holds. */
export const limits = { texts: 1024, characters: 8 * 1024 * 1024 }
/** So many are encoded for its socket at once. */
const batch = 32

export interface Readers {
  readonly say: (text: string) => void
  /** A stream that begins with `first`. `cut` is called, once, when it leaves too much unread. */
  readonly read: (first: () => ReadonlyArray<string>, cut: () => void) => Stream.Stream<string>
  /** Ends every stream, also those that begin later. */
  readonly end: Effect.Effect<void>
}

interface Reader {
  readonly queue: Queue.Queue<string, Cause.Done>
  readonly cut: () => void
  texts: number
  characters: number
}

export const make = (): Readers => {
  const readers = new Set<Reader>()
  let open = true

  const join = Effect.fnUntraced(function*(first: () => ReadonlyArray<string>, cut: () => void) {
    const reader: Reader = { queue: yield* Queue.unbounded<string, Cause.Done>(), cut, texts: 0, characters: 0 }
    yield* Effect.addFinalizer(() =>
      Effect.andThen(Effect.sync(() => void readers.delete(reader)), Queue.shutdown(reader.queue))
    )
    for (const text of first()) Queue.offerUnsafe(reader.queue, text)
    if (open) readers.add(reader)
    else Queue.endUnsafe(reader.queue)
    return Stream.fromPull(Effect.succeed(Effect.map(
      Effect.filterOrElse(Queue.takeBetween(reader.queue, 1, batch), Arr.isArrayNonEmpty, () => Cause.done()),
      (texts) => {
        reader.texts = Math.max(0, reader.texts - texts.length)
        reader.characters = Math.max(0, texts.reduce((left, text) => left - text.length, reader.characters))
        return texts
      }
    )))
  })

  return {
    say: (text) => {
      for (const reader of readers) {
        // One text may be longer than the limit; what counts is what was left unread before it.
        if (reader.texts >= limits.texts || reader.characters >= limits.characters) {
          readers.delete(reader)
          reader.cut()
          continue
        }
        reader.texts++
        reader.characters += text.length
        Queue.offerUnsafe(reader.queue, text)
      }
    },
    read: (first, cut) => Stream.unwrap(join(first, cut)),
    end: Effect.sync(() => {
      open = false
      for (const { queue } of readers) Queue.endUnsafe(queue)
    })
  }
}
