/**
 * `pair`: uses a setup code, and ends when the device is paired.
 */
import * as Command from "effect/cli/Command"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { AgentEvents } from "../agent/AgentEvents.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import * as Endpoint from "../link/Endpoint.ts"
import { agent, chosenGateway, ownIdentity, settings } from "./AgentLayer.ts"
import type { CommandFailed } from "./CommandError.ts"
import { Output } from "./Output.ts"
import type { PairedRole } from "./PairedGateway.ts"
import type { Entered } from "./Pairing.ts"
import { codeFile, onRoot } from "./Root.ts"
import type { Flags, Settings } from "./Settings.ts"
import { stored } from "./Stored.ts"

export const pair = Command.make(
  "pair",
  { codeFile },
  ({ codeFile }) => onRoot((flags) => Effect.scoped(paired(flags, codeFile)))
).pipe(
  Command.withDescription(
    "Pair with the gateway of a setup code, oc-pair:// link or join URL, read from standard input; later commands find that gateway"
  ),
  Command.withExamples([
    { command: "openclaw-device pair", description: "Paste the code when it is asked for; it is not shown" },
    { command: "openclaw-device pair --code-file code.txt", description: "From a file" }
  ])
)

/** Loaded when there is a code. */
export const loadPairing = Effect.promise(() => import("./Pairing.ts"))
export const loadInput = Effect.promise(() => import("./SetupInput.ts"))

const paired = Effect.fnUntraced(function*(flags: Flags, file: Option.Option<string>) {
  const { enter, firstOf, parse } = yield* loadPairing
  const pasted = yield* parse((yield* (yield* loadInput).read(file)).code)
  const checked = yield* settings(flags, firstOf(pasted))
  yield* stored(checked)
  yield* Effect.provide(
    Effect.gen(function*() {
      const entered = yield* enter(checked, pasted)
      if (entered.roles.length === 0) yield* approved(checked, entered)
      yield* report(checked, entered, entered.roles.length === 0 ? ["operator"] : entered.roles)
    }),
    ownIdentity(checked)
  )
})

/** Waits until a person has approved the device, for as long as the code lasts. */
const approved = Effect.fnUntraced(function*(checked: Settings, entered: Entered) {
  const { refusal } = yield* loadPairing
  const { commands, gateway } = yield* chosenGateway(checked, "sharedToken", entered.input)
  const wait = Effect.gen(function*() {
    const output = yield* Output
    const events = yield* AgentEvents
    const supervisor = yield* Supervisor
    const done = yield* Deferred.make<void, CommandFailed>()
    yield* supervisor.attend
    const settle = Effect.gen(function*() {
      const status = yield* supervisor.status
      if (status._tag === "Connected") yield* Deferred.succeed(done, undefined)
      if (status._tag === "Halted") yield* Deferred.complete(done, refusal(status.cause, entered.code))
    })
    yield* Effect.forkScoped(
      Effect.ignoreCause(
        Stream.runForEach(events.events, (event) => Effect.andThen(output.progress(event), settle)),
        { log: "Error", message: "output ended" }
      )
    )
    yield* Deferred.await(done)
  })
  yield* Effect.scoped(wait).pipe(Effect.provide(agent(checked, gateway, { embedded: false, commands })))
})

const report = Effect.fnUntraced(
  function*(checked: Settings, { code, gateway }: Entered, now: ReadonlyArray<PairedRole>) {
    const { remember } = yield* loadPairing
    const output = yield* Output
    const roles = yield* remember(checked, gateway, now, code)
    const { deviceId } = yield* DeviceIdentity
    const url = Endpoint.shown(gateway.endpoint.gatewayScope)
    if (output.json) return yield* output.line(JSON.stringify({ gateway: url, deviceId, roles }))
    yield* output.line(`paired with ${url}`)
    if (roles.includes("operator")) yield* output.line("This device may give tasks. Start it: openclaw-device run")
    if (roles.includes("node")) {
      yield* output.line(
        "The gateway's agent may use tools of this device. Start them: openclaw-device run --tools FILE"
      )
    }
  }
)
