/**
 * Runs a recording again: the same client on a test clock, with links that play what was recorded, and a comparison of what
 * the client does with what it did.
 *
 * Entries are taken in their order. What happened to the client (`ReplayInputs`) happens again at its time; what the client
 * did (`ReplayComparison`) is waited for, and the first thing that it does otherwise, or not at all, is the difference.
 * Nothing is opened, read or written, and the replay signs with an identity of its own, which leaves no trace in a recording.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import type { SettingsInvalid } from "../handshake/GatewayConfig.ts"
import type { Entry, Recording } from "./Recording.ts"
import * as Client from "./ReplayClient.ts"
import type { ReplayClock } from "./ReplayClock.ts"
import * as Clocks from "./ReplayClock.ts"
import * as Comparison from "./ReplayComparison.ts"
import * as Inputs from "./ReplayInputs.ts"
import type { TimedState } from "./StateRecord.ts"

/** How strict the comparison is. */
export interface Options {
  /** How far two waits may differ that a real event loop measured; 250 ms unless set. */
  readonly toleranceMs?: number
}

/** The first thing that was not as recorded. */
export interface Difference extends Comparison.Difference {
  /** Milliseconds since the recording began. */
  readonly afterMs: number
}

/** The result of a replay: the first difference, if there is one, and the states of both runs. */
export interface Outcome {
  readonly difference: Difference | undefined
  readonly recorded: ReadonlyArray<TimedState>
  readonly replayed: ReadonlyArray<TimedState>
  /** Links and messages of the client that were compared. */
  readonly links: number
  readonly messages: number
  /** The recording says that something is missing in it; what came after that was not replayed. */
  readonly incomplete: "lost" | "full" | undefined
}

/** Replays a recording on a test clock, so it takes no real waiting. Fails when the recorded settings are not valid. */
export const run = (recording: Recording, options: Options = {}): Effect.Effect<Outcome, SettingsInvalid> =>
  Effect.gen(function*() {
    const clock = yield* Clocks.make(recording.header.at)
    return yield* Effect.provideService(Effect.scoped(play(recording, clock, options)), Clock.Clock, clock.clock)
  }).pipe(Effect.provide(TestClock.layer()))

const play = Effect.fnUntraced(function*(recording: Recording, clock: ReplayClock, { toleranceMs = 250 }: Options) {
  const { entries, header } = recording
  const client = yield* Client.start(recording, clock)
  const command = Inputs.makeCommands(entries, client)
  const comparison = Comparison.make(client, clock, toleranceMs)
  let difference: Comparison.Difference | undefined
  let afterMs = 0
  let incomplete: Outcome["incomplete"]

  const take = Effect.fnUntraced(function*(entry: Entry): Effect.fn.Return<Comparison.Difference | undefined> {
    const link = "link" in entry ? client.links[entry.link - 1] : undefined
    if ("link" in entry && link === undefined && entry.kind !== "dial") {
      return { what: "link", recorded: `${entry.kind} on link ${entry.link}`, replayed: "no such link" }
    }
    switch (entry.kind) {
      case "dial":
      case "out":
      case "cut":
      case "left":
      case "state":
      case "ended":
        return yield* comparison.check(entry)
      case "phase":
      case "open":
      case "failed":
      case "in":
      case "noise":
      case "closed":
        if (link !== undefined) Inputs.deliver(entry, link)
        return undefined
      case "asked":
      case "reconfigured":
      case "delegated":
      case "abort":
      case "upgradeScopes":
        yield* command(entry)
        return undefined
      case "lost":
      case "full":
        incomplete = entry.kind
        return undefined
      case "untaken":
      case "takenUp":
      case "accepted":
      case "draw":
      case "end":
        return undefined
    }
  })

  for (const entry of entries) {
    if (entry.at > clock.nowMs()) {
      yield* clock.settle
      yield* clock.approach(entry.at)
    }
    difference = yield* take(entry)
    afterMs = entry.at - header.at
    if (difference !== undefined || incomplete !== undefined) break
  }
  if (difference === undefined && incomplete === undefined && entries.at(-1)?.kind === "end") {
    yield* clock.settle
    difference = comparison.surplus()
    afterMs = clock.nowMs() - header.at
  }
  return {
    difference: difference === undefined ? undefined : { ...difference, afterMs },
    recorded: comparison.states,
    replayed: client.states,
    ...comparison.counts(),
    incomplete
  } satisfies Outcome
})
