/**
 * `identity`: who this device is.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import { Signer } from "../identity/Signer.ts"
import { settings } from "./AgentLayer.ts"
import { as } from "./CommandError.ts"
import { Output } from "./Output.ts"
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
      const layer = DeviceIdentity.layerFile({ path: checked.identityPath, create }).pipe(
        Layer.provide(Signer.layerNode)
      )
      const identity = yield* DeviceIdentity.pipe(Effect.provide(layer), Effect.mapError(as("settings")))
      const created = identity.source._tag === "File" && identity.source.created
      const { deviceId, platform, publicKey } = identity
      if (output.json) {
        return yield* output.line(
          JSON.stringify({ deviceId, publicKey, platform, path: checked.identityPath, created })
        )
      }
      yield* output.line(`device id   ${deviceId}`)
      yield* output.line(`public key  ${publicKey}`)
      yield* output.line(`platform    ${platform}`)
      yield* output.line(`kept in     ${checked.identityPath}${created ? " (just created)" : ""}`)
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
  Command.withSubcommands([show])
)
