/**
 * Those who follow one run while it is at work. It exists from the first of them on, and each has what is left for it joined, so
 * that one who never reads costs no more than the reply and a bounded number of other parts.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { RunPart, ToolPart } from "./RunPart.ts"
import type { TaskOutcome } from "./Task.ts"

export interface LiveRun {
  /** The reply so far, whole. */
  readonly tellText: (text: string) => void
  readonly tell: (part: RunPart) => void
  readonly end: (outcome: TaskOutcome) => void
  /** Ends every stream after what waits, without an end of the run. */
  readonly close: () => void
  /** First the reply so far as one part, then what comes. */
  readonly follow: Stream.Stream<RunPart>
}

/** Parts that may wait for one follower. Before more do, all but the reply are left out and counted. */
const waitingAtMost = 256
/** How long the thoughts that wait for one follower may be, in UTF-16 code units. */
const thoughtsAtMost = 65_536
/** How much of arguments and results of tools may wait for one follower, in UTF-16 code units, give or take one part. */
const contentAtMost = 1_048_576

interface Follower {
  readonly waiting: Array<RunPart>
  readonly wake: Queue.Queue<void>
  over: boolean
}

const wake = (follower: Follower) => Queue.offerUnsafe(follower.wake, undefined)

/** Puts a part behind those that wait, joined with the last one where that is of the same kind. */
export const append = (waiting: Array<RunPart>, part: RunPart): void => {
  const last = waiting.at(-1)
  const replaceLast = (joined: RunPart) => void (waiting[waiting.length - 1] = joined)
  switch (part._tag) {
    case "Text":
      if (last?._tag === "Text" || last?._tag === "Replaced") {
        return replaceLast({ ...last, text: last.text + part.text })
      }
      break
    case "Replaced":
      // What was told of the reply before does not count any more.
      for (let index = waiting.length - 1; index >= 0; index--) {
        const tag = waiting[index]?._tag
        if (tag === "Text" || tag === "Replaced") waiting.splice(index, 1)
      }
      break
    case "Thinking":
      if (last?._tag === "Thinking" && last.text.length < thoughtsAtMost) {
        return replaceLast({ ...last, text: last.text + part.text })
      }
      break
    case "ToolUpdated":
      if (last?._tag === "ToolUpdated" && last.toolCallId === part.toolCallId) return replaceLast(part)
      break
    case "Usage":
      if (last?._tag === "Usage") return replaceLast(part)
      break
    case "Gap":
      if (last?._tag === "Gap") return replaceLast({ ...last, events: sum(last.events, part.events) })
      break
    case "ToolStarted":
    case "ToolEnded":
    case "Ended":
  }
  if (waiting.length >= waitingAtMost || (isTool(part) && contentOf(waiting) >= contentAtMost)) collapse(waiting)
  waiting.push(part)
}

const isTool = (part: RunPart): part is ToolPart =>
  part._tag === "ToolStarted" || part._tag === "ToolUpdated" || part._tag === "ToolEnded"

const lengths = new WeakMap<ToolPart, number>()

/** How much of tools waits. What a part has is counted once. */
const contentOf = (waiting: ReadonlyArray<RunPart>): number => {
  let sum = 0
  for (const part of waiting) {
    if (!isTool(part)) continue
    const length = lengths.get(part) ?? JSON.stringify(part.content ?? null).length
    lengths.set(part, length)
    sum += length
  }
  return sum
}

/** Leaves the reply alone of what waits, behind a count of the rest. */
const collapse = (waiting: Array<RunPart>): void => {
  let events: number | undefined = 0
  let reply: Extract<RunPart, { readonly _tag: "Text" | "Replaced" }> | undefined
  for (const part of waiting.splice(0)) {
    if (part._tag === "Text") reply = reply === undefined ? part : { ...reply, text: reply.text + part.text }
    else if (part._tag === "Replaced") reply = part
    else events = sum(events, part._tag === "Gap" ? part.events : 1)
  }
  waiting.push({ _tag: "Gap", events }, ...(reply === undefined ? [] : [reply]))
}

const sum = (one: number | undefined, other: number | undefined): number | undefined =>
  one === undefined || other === undefined ? undefined : one + other

/** `text`: the reply until now. `ended`: how the task ended, if it has. */
export const make = (text: string, ended: TaskOutcome | undefined): LiveRun => {
  const followers = new Set<Follower>()
  let reply = text
  let outcome = ended

  const tell = (part: RunPart) => {
    for (const follower of followers) {
      // One who has something to take was woken for it.
      const isIdle = follower.waiting.length === 0
      append(follower.waiting, part)
      if (isIdle) wake(follower)
    }
  }
  const tellText = (whole: string) => {
    if (whole === reply) return
    const part: RunPart = whole.startsWith(reply)
      ? { _tag: "Text", text: whole.slice(reply.length) }
      : { _tag: "Replaced", text: whole }
    reply = whole
    tell(part)
  }
  const close = () => {
    for (const follower of followers) {
      follower.over = true
      wake(follower)
    }
    followers.clear()
  }
  const join = Effect.gen(function*() {
    const follower: Follower = { waiting: [], wake: yield* Queue.dropping<void>(1), over: outcome !== undefined }
    const before: ReadonlyArray<RunPart> = reply === "" ? [] : [{ _tag: "Text", text: reply }]
    follower.waiting.push(...before, ...(outcome === undefined ? [] : [{ _tag: "Ended", outcome } as const]))
    if (!follower.over) followers.add(follower)
    yield* Effect.addFinalizer(() => Effect.sync(() => followers.delete(follower)))
    const next: Pull.Pull<Arr.NonEmptyReadonlyArray<RunPart>> = Effect.suspend(() => {
      const taken = follower.waiting.splice(0)
      if (Arr.isArrayNonEmpty(taken)) return Effect.succeed(taken)
      return follower.over ? Cause.done() : Effect.andThen(Queue.take(follower.wake), next)
    })
    return Stream.fromPull(Effect.succeed(next))
  })

  return {
    tell,
    tellText,
    end: (end) => {
      if (outcome !== undefined) return
      if (end._tag === "Completed" || (end._tag === "Aborted" && end.text !== "")) tellText(end.text)
      outcome = end
      tell({ _tag: "Ended", outcome: end })
      close()
    },
    close,
    follow: Stream.unwrap(join)
  }
}
