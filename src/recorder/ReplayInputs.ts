/**
 * What happened to the client when it was recorded, and happens again in a replay.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { TaskId } from "../tasks/Task.ts"
import type { Entry } from "./Recording.ts"
import type { ReplayClient } from "./ReplayClient.ts"
import { settingsOf } from "./ReplayClient.ts"
import type { ReplayLink } from "./ReplayTransport.ts"

type Of<Kind extends Entry["kind"]> = Extract<Entry, { readonly kind: Kind }>

/** What happened on a link. */
export type LinkEvent = Of<"phase" | "open" | "failed" | "in" | "noise" | "closed">
/** What somebody told the client. */
export type Command = Of<"asked" | "reconfigured" | "delegated" | "abort" | "upgradeScopes">

export const deliver = (entry: LinkEvent, link: ReplayLink): void => {
  switch (entry.kind) {
    case "phase":
      return link.handler.onPhase?.(entry.phase)
    case "open":
      return link.open()
    case "failed":
      return link.failed(entry.end)
    case "in":
      return link.handler.onText(JSON.stringify(entry.frame))
    case "noise":
      return link.handler.onText(entry.length === 0 ? "" : "~")
    case "closed":
      return link.closed(entry.end)
  }
}

/** Gives commands to a client, and does not wait for what they lead to. */
export const makeCommands = (entries: ReadonlyArray<Entry>, client: ReplayClient) => {
  const { scope, supervisor, tasks } = client
  const attending: Array<Scope.Closeable> = []
  const fork = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.asVoid(Effect.forkIn(Effect.ignore(effect), scope, { startImmediately: true }))

  const ask = Effect.fnUntraced(function*(what: Of<"asked">["what"]) {
    switch (what) {
      case "attend": {
        const own = yield* Scope.fork(scope)
        attending.push(own)
        return yield* Scope.provide(supervisor.attend, own)
      }
      case "leave": {
        const own = attending.shift()
        return own === undefined ? undefined : yield* Scope.close(own, Exit.void)
      }
      case "checkNow":
        return yield* supervisor.checkNow
      case "pause":
        return yield* Effect.asVoid(Effect.forkIn(supervisor.pause, scope))
      case "resume":
        return yield* Effect.asVoid(Effect.forkIn(supervisor.resume, scope))
      case "stop":
        return yield* Scope.close(scope, Exit.void)
    }
  })

  return Effect.fnUntraced(function*(command: Command): Effect.fn.Return<void> {
    switch (command.kind) {
      case "asked":
        return yield* ask(command.what)
      case "reconfigured": {
        const next = yield* Effect.option(settingsOf(command.settings))
        if (Option.isSome(next)) yield* Effect.forkIn(supervisor.reconfigure(next.value), scope)
        return
      }
      case "delegated": {
        const { sessionKey, task, text } = command
        const ids = entries.find((entry): entry is Of<"accepted"> => entry.kind === "accepted" && entry.task === task)
        // A task that got no ids was refused, by a full disk perhaps, and nothing came of it.
        if (ids === undefined) return
        client.nextIds(ids)
        const delegated = tasks.delegate(text, sessionKey === undefined ? undefined : { sessionKey })
        return yield* fork(Effect.flatMap(delegated, ({ taskId }) => client.watch(taskId)))
      }
      case "abort":
        return yield* Effect.asVoid(Effect.forkIn(Effect.ignore(tasks.abort(TaskId.make(command.taskId))), scope))
      case "upgradeScopes":
        return yield* fork(supervisor.upgradeScopes(command.scopes))
    }
  })
}
