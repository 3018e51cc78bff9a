/**
 * Which sessions a gateway tells of. From 2026.8 on, a client that stated the capability `session-scoped-events` hears of those
 * alone that it asked for, over the connection over which it asked; earlier releases tell every client of all runs.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { Session } from "../connection/Session.ts"
import { isBefore } from "../protocol/Connect.ts"
import * as Method from "../protocol/Method.ts"
import { canonicalSessionKey } from "./ChatEvent.ts"
import type { Cell, Link, RunnerState } from "./RunnerState.ts"
import { mayHear } from "./TaskLife.ts"

/** Whether events have to be asked for. */
const isScoped = ({ facts }: Session): boolean =>
  facts.caps?.includes("session-scoped-events") === true && isBefore(facts.serverVersion, "2026.8") !== true

const keyOf = ({ life }: Cell): string => canonicalSessionKey(life.subject.sessionKey)

const linkTo = ({ link }: RunnerState, { life }: Cell): Link | undefined =>
  link !== undefined && link.gatewayScope === life.subject.gatewayScope && isScoped(link.session) ? link : undefined

/** Asks for the events of a task's session, unless that was done. True when the gateway tells of it. */
export const hear = (state: RunnerState, cell: Cell): Effect.Effect<boolean> =>
  Effect.suspend(() => {
    const link = linkTo(state, cell)
    if (link === undefined) return Effect.succeed(true)
    const key = keyOf(cell)
    const asked = link.heard.get(key)
    if (asked !== undefined) return Deferred.await(asked)
    const answer = Deferred.makeUnsafe<boolean>()
    link.heard.set(key, answer)
    const tell = (subscribed: boolean) => {
      // It is asked for again with the next request.
      if (!subscribed && link.heard.get(key) === answer) link.heard.delete(key)
      Deferred.doneUnsafe(answer, Effect.succeed(subscribed))
    }
    return link.session.call(Method.subscribeMessages, { key: cell.life.subject.sessionKey }).pipe(
      Effect.map(({ key: told, subscribed }) => {
        state.learnName(cell, told)
        return subscribed
      }),
      Effect.orElseSucceed(() => false),
      Effect.tap((subscribed) => Effect.sync(() => tell(subscribed))),
      Effect.onInterrupt(() => Effect.sync(() => tell(false)))
    )
  })

/** Whether the events of a task's session were asked for, and nothing more is to be heard of it. */
export const rests = (state: RunnerState, cell: Cell): boolean => {
  const link = linkTo(state, cell)
  if (link === undefined || !link.heard.has(keyOf(cell))) return false
  for (const other of state.cells.values()) {
    if (mayHear(other.life) && linkTo(state, other) === link && keyOf(other) === keyOf(cell)) return false
  }
  return true
}

/** Asks for no more events of a task's session, if it still rests. */
export const leave = (state: RunnerState, cell: Cell): Effect.Effect<void> =>
  Effect.suspend(() => {
    const link = linkTo(state, cell)
    if (link === undefined || !rests(state, cell)) return Effect.void
    link.heard.delete(keyOf(cell))
    return Effect.ignore(link.session.call(Method.unsubscribeMessages, { key: cell.life.subject.sessionKey }))
  })
