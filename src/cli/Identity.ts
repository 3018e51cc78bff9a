/**
 * `identity`: who this device is.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import { settings } from "./AgentLayer.ts"
import { as } from "./CommandError.ts"
import { Output } from "./Output.ts"
import * as OwnIdentity from "./OwnIdentity.ts"
import { root } from "./Root.ts"

const show = Command.make("show", {
  create: Flag.Boolean("create").pipe(
    Flag.withDescription("Create the identity when there is none"),
    Flag.withDefault(true)
  )
}, ({ create }) =>
  Effect.gen(function*() {
    const { gatewayUrl, json, stateDir } = yield* root
    yield* Effect.gen(function*() {
      const output = yield* Output
      const checked = yield* settings({ gatewayUrl, stateDir })
      const identity = yield* DeviceIdentity.pipe(
        Effect.provide(OwnIdentity.layer(checked, { create })),
        Effect.mapError(as("settings"))
      )
      const { deviceId, platform, publicKey, source } = identity
      const { created, path } = source._tag === "File" ? source : { created: false, path: checked.identityPath }
      if (output.json) {
        return yield* output.line(JSON.stringify({ deviceId, publicKey, platform, path, created }))
      }
      yield* output.line(`device id   ${deviceId}`)
      yield* output.line(`public key  ${publicKey}`)
      yield* output.line(`platform    ${platform}`)
      yield* output.line(`kept in     ${path}${created ? " (just created)" : ""}`)
    }).pipe(Effect.provide(Output.layer(json)))
  })).pipe(
    Command.withDescription("Show the device identity; the private key is never shown"),
    Command.withExamples([{
      command: "openclaw-device identity show --no-create",
      description: "Fail when there is none"
    }])
  )

export const identity = Command.make("identity").pipe(
  Command.withDescription("The identity of this device"),
  Command.withExamples([{ command: "openclaw-device identity show", description: "Who this device is" }]),
  Command.withSubcommands([show])
)
