/**
 * What the client did when it was recorded, compared with what it does in a replay.
 */
import * as Effect from "effect/Effect"
import type { Entry } from "./Recording.ts"
import type { ReplayClient } from "./ReplayClient.ts"
import type { ReplayClock } from "./ReplayClock.ts"
import * as StateRecord from "./StateRecord.ts"

/** What the client did. */
export type ClientAction = Extract<Entry, { readonly kind: "dial" | "out" | "cut" | "left" | "state" | "ended" }>

/** Something that was not as recorded. */
export interface Difference {
  readonly what: "state" | "dial" | "message" | "link" | "task"
  readonly recorded: string
  readonly replayed: string
}

export interface Comparison {
  /** Lets the client run until it has done this, or has had every chance to, and says what it did otherwise. */
  readonly check: (action: ClientAction) => Effect.Effect<Difference | undefined>
  /** What the client did beyond everything that was checked. */
  readonly surplus: () => Difference | undefined
  readonly states: ReadonlyArray<StateRecord.TimedState>
  /** Links and messages that were checked. */
  readonly counts: () => { readonly links: number; readonly messages: number }
}

const nothing = "nothing of the kind"

export const make = (client: ReplayClient, clock: ReplayClock, toleranceMs: number): Comparison => {
  const states: Array<StateRecord.TimedState> = []
  /** Messages and closes that were checked, by link. */
  const sent = new Map<number, number>()
  const cuts = new Map<number, number>()
  let links = 0

  const next = (counts: Map<number, number>, link: number): number => {
    const index = counts.get(link) ?? 0
    counts.set(link, index + 1)
    return index
  }

  const compare = (
    what: Difference["what"],
    recorded: string,
    replayed: string | undefined
  ): Difference | undefined => recorded === replayed ? undefined : { what, recorded, replayed: replayed ?? nothing }

  const check = Effect.fnUntraced(function*(action: ClientAction): Effect.fn.Return<Difference | undefined> {
    const link = "link" in action ? client.links[action.link - 1] : undefined
    switch (action.kind) {
      case "dial": {
        links = action.link
        const dialled = yield* clock.until(() => client.links.length >= action.link)
        return dialled ? undefined : { what: "dial", recorded: `dial ${action.link}`, replayed: nothing }
      }
      case "out": {
        const index = next(sent, action.link)
        yield* clock.until(() => (link?.sent.length ?? 0) > index)
        const text = link?.sent[index]
        const frame = text === undefined ? undefined : client.redactor.frame(text)
        return compare(
          "message",
          StateRecord.canonical(action.frame),
          frame === undefined ? undefined : StateRecord.canonical(frame)
        )
      }
      case "cut": {
        const index = next(cuts, action.link)
        yield* clock.until(() => (link?.cuts.length ?? 0) > index)
        const code = link?.cuts[index]
        return compare(
          "link",
          `closes with ${action.closeCode}`,
          code === undefined ? undefined : `closes with ${code}`
        )
      }
      case "left": {
        const left = yield* clock.until(() => link?.left() === true)
        return left ? undefined : { what: "link", recorded: `lets go of link ${action.link}`, replayed: "keeps it" }
      }
      case "state": {
        if (StateRecord.isBeginning(action.state)) return undefined
        const index = states.push({ at: action.at, state: action.state }) - 1
        yield* clock.until(() => client.states.length > index)
        const replayed = client.states[index]?.state
        return replayed !== undefined && StateRecord.same(action.state, replayed, toleranceMs) ? undefined : {
          what: "state",
          recorded: StateRecord.summary(action.state),
          replayed: replayed === undefined ? nothing : StateRecord.summary(replayed)
        }
      }
      case "ended": {
        const { end, taskId } = action
        yield* clock.until(() => client.ends.has(taskId))
        const replayed = client.ends.get(taskId)
        const text = replayed === undefined ? nothing : StateRecord.canonical(replayed)
        return compare("task", `${taskId} ${StateRecord.canonical(end)}`, `${taskId} ${text}`)
      }
    }
  })

  return {
    check,
    states,
    counts: () => ({ links, messages: [...sent.values()].reduce((sum, count) => sum + count, 0) }),

    surplus: () => {
      // The end of a program is not recorded as a state, so `Stopped` may come in addition.
      const state = client.states.slice(states.length).find((more) => more.state.state !== "Stopped")
      if (state !== undefined) {
        return { what: "state", recorded: nothing, replayed: StateRecord.summary(state.state) }
      }
      if (client.links.length > links) return { what: "dial", recorded: nothing, replayed: `dial ${links + 1}` }
      const talkative = client.links.findIndex((link, index) => link.sent.length > (sent.get(index + 1) ?? 0))
      return talkative === -1
        ? undefined
        : { what: "message", recorded: nothing, replayed: `one more message on link ${talkative + 1}` }
    }
  }
}
