/**
 * `run`: the device agent, until it is stopped. Lines on standard input are tasks.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { AgentEvents } from "../agent/AgentEvents.ts"
import type { ConnectionStatus } from "../connection/ConnectionStatus.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import { TaskRunner } from "../tasks/TaskRunner.ts"
import { agent, approveCommands, chosenGateway, ownCommands, ownIdentity, settings } from "./AgentLayer.ts"
import { as } from "./CommandError.ts"
import * as EmbeddedGateway from "./EmbeddedGateway.ts"
import { Output } from "./Output.ts"
import { root } from "./Root.ts"

export const run = Command.make("run", {
  session: Flag.String("session").pipe(
    Flag.withDescription("The conversation that tasks go to"),
    Flag.optional
  )
}, ({ session }) =>
  Effect.gen(function*() {
    const { gatewayUrl, json, stateDir } = yield* root
    return yield* Effect.gen(function*() {
      const output = yield* Output
      const checked = yield* settings({ gatewayUrl, stateDir, session })
      const stopped = Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.andThen(
          output.live(""),
          output.event({ at: DateTime.formatIso(DateTime.makeUnsafe(now)), event: "stopped" })
        ))
      const life = checked.urlGiven
        ? Effect.flatMap(chosenGateway(checked, "sharedToken"), (gateway) =>
          serve({ embedded: false }).pipe(
            Effect.provide(agent(checked, gateway, {
              embedded: false,
              commands: approveCommands(checked, gateway.endpoint.gatewayScope),
              keepTasks: true
            }))
          ))
        : Effect.gen(function*() {
          const running = yield* EmbeddedGateway.start(checked.files.gateway, { port: 0 })
          const gateway = yield* Effect.mapError(
            Effect.fromResult(checked.gatewayWith({ url: running.url, token: running.sharedToken })),
            as("settings")
          )
          return yield* Effect.provide(
            serve({ embedded: true }),
            agent(checked, gateway, { embedded: true, commands: ownCommands(checked, running.url) })
          )
        })
      return yield* life.pipe(
        Effect.scoped,
        Effect.ensuring(stopped),
        Effect.provide(ownIdentity(checked)),
        Effect.mapError((error) => error._tag === "CommandFailed" ? error : as("settings")(error))
      )
    }).pipe(Effect.provide(Output.layer(json)))
  })).pipe(
    Command.withDescription("Be a device: connect, wait for approval, take tasks from standard input; until Ctrl-C"),
    Command.withExamples([
      { command: "openclaw-device run", description: "With a gateway of its own, to try it out" },
      { command: "openclaw-device run --gateway-url ws://127.0.0.1:18789", description: "On your gateway" }
    ])
  )

const serve = Effect.fnUntraced(function*({ embedded }: { readonly embedded: boolean }) {
  const output = yield* Output
  const events = yield* AgentEvents
  const supervisor = yield* Supervisor
  const tasks = yield* TaskRunner
  const stdio = yield* Stdio.Stdio

  yield* Effect.forkScoped(
    Effect.ignoreCause(Stream.runForEach(events.events, output.event), { log: "Error", message: "output ended" })
  )
  // A terminal is somebody who waits, and so is whoever may still write to standard input, below. An embedded gateway is
  // asked for nobody else's sake.
  if (output.terminal || embedded) yield* supervisor.attend
  if (output.terminal) yield* Effect.forkScoped(Effect.ignoreCause(liveLine, { log: "Error" }))

  const lines = stdio.stdin.pipe(
    Stream.decodeText,
    Stream.splitLines,
    Stream.runForEach((line) =>
      line.trim() === ""
        ? supervisor.checkNow
        : Effect.catch(tasks.delegate(line), (error) => output.warn(error.message))
    ),
    Effect.ignoreCause({ log: "Error", message: "standard input ended with an error" })
  )
  yield* Effect.forkScoped(Effect.scoped(Effect.andThen(supervisor.attend, lines)))
  return yield* Effect.never
})

/** What is being waited for, second by second. */
const liveLine = Effect.gen(function*() {
  const supervisor = yield* Supervisor
  const output = yield* Output
  yield* supervisor.changes.pipe(
    Stream.switchMap((status) =>
      waitOf(status) === undefined ? Stream.succeed(status) : Stream.map(Stream.tick("1 second"), () => status)
    ),
    Stream.runForEach((status) =>
      Effect.flatMap(Clock.currentTimeMillis, (nowMs) => output.live(waitOf(status)?.(nowMs) ?? ""))
    )
  )
})

const seconds = (ms: number): string => `${Math.max(0, Math.ceil(ms / 1000))} s`

const waitOf = (status: ConnectionStatus): ((nowMs: number) => string) | undefined => {
  switch (status._tag) {
    case "AwaitingApproval":
      return (nowMs) =>
        `waiting for approval for ${Math.floor((nowMs - status.approval.sinceMs) / 1000)} s; ${
          status.checking ? "checking" : `next check in ${seconds(status.nextCheckAtMs - nowMs)}`
        } (Enter checks now)`
    case "Waiting":
      return (nowMs) => `next try in ${seconds(status.retryAtMs - nowMs)} (Enter tries now)`
    default:
      return undefined
  }
}
