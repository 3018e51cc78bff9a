/**
 * `run`: the device agent, until it is stopped. Lines on standard input are tasks.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { AgentEvents } from "../agent/AgentEvents.ts"
import type { ConnectionStatus } from "../connection/ConnectionStatus.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import { TaskRunner } from "../tasks/TaskRunner.ts"
import { agent, chosenGateway, ownCommands, ownIdentity, withSettings } from "./AgentLayer.ts"
import { deviceTable } from "./DeviceTable.ts"
import * as EmbeddedGateway from "./EmbeddedGateway.ts"
import { Output, stopped } from "./Output.ts"
import * as Page from "./Page.ts"
import { record, session } from "./Root.ts"
import { checkedFlag } from "./SettingFlag.ts"

export const run = Command.make(
  "run",
  {
    session,
    page: Flag.Boolean("page").pipe(
      Flag.withDescription("Serve the pairing page on this machine; --no-page does without it"),
      Flag.withDefault(true)
    ),
    pagePort: checkedFlag(deviceTable.pagePort),
    record
  },
  ({ page: wanted, pagePort, record, session }) =>
    withSettings(
      (checked, output) => {
        const page = wanted ? { port: Option.getOrElse(pagePort, () => checked.pagePort) } : undefined
        const given = Effect.flatMap(chosenGateway(checked, "sharedToken"), ({ commands, gateway }) =>
          Effect.provide(
            serve({ embedded: false, page }),
            agent(checked, gateway, { embedded: false, commands, keepTasks: true, record })
          ))
        const embedded = Effect.gen(function*() {
          const running = yield* EmbeddedGateway.start(checked.files.gateway, { port: 0 })
          const gateway = yield* Effect.fromResult(
            checked.gatewayWith({ url: running.url, token: running.sharedToken })
          )
          return yield* Effect.provide(
            serve({ embedded: true, page }),
            agent(checked, gateway, { embedded: true, commands: ownCommands(checked, running.url), record })
          )
        })
        return Effect.scoped(checked.urlGiven ? given : embedded).pipe(
          Effect.ensuring(stopped(output)),
          Effect.provide(ownIdentity(checked))
        )
      },
      session
    )
).pipe(
  Command.withDescription("Be a device: connect, wait for approval, take tasks from standard input; until Ctrl-C"),
  Command.withExamples([
    { command: "openclaw-device run", description: "With a gateway of its own, to try it out" },
    { command: "openclaw-device run --gateway-url ws://127.0.0.1:18789", description: "On your gateway" }
  ])
)

interface ServeOptions {
  readonly embedded: boolean
  readonly page: { readonly port: number } | undefined
}

const serve = Effect.fnUntraced(function*(options: ServeOptions) {
  const output = yield* Output
  const events = yield* AgentEvents
  const supervisor = yield* Supervisor
  const tasks = yield* TaskRunner
  const stdio = yield* Stdio.Stdio

  const page = options.page === undefined ? undefined : yield* Page.start(options.page)
  // The page is told after the identity and the gateway.
  const told = Stream.flatMap(
    events.events,
    (event) => event.event === "gateway" && page !== undefined ? Stream.make(event, page) : Stream.succeed(event)
  )
  yield* Effect.forkScoped(
    Effect.ignoreCause(Stream.runForEach(told, output.event), { log: "Error", message: "output ended" })
  )
  // A person waits at a terminal, and at standard input (below) until it ends. An embedded gateway serves this program alone,
  // so it may be asked often.
  if (output.terminal || options.embedded) yield* supervisor.attend
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

/** Shows every second what the connection waits for. */
const liveLine = Effect.gen(function*() {
  const supervisor = yield* Supervisor
  const output = yield* Output
  yield* supervisor.changes.pipe(
    Stream.switchMap(({ status }) =>
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
        `${
          status.checking ? "checking" : `next check in ${seconds(status.nextCheckAtMs - nowMs)}`
        } (Enter checks now); waiting for approval for ${Math.floor((nowMs - status.approval.sinceMs) / 1000)} s`
    case "Waiting":
      return (nowMs) => `next try in ${seconds(status.retryAtMs - nowMs)} (Enter tries now)`
    default:
      return undefined
  }
}
