/**
 * Lets `status` ask this program how it stands. Loaded by the commands that live long.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import process from "node:process"
import type { GatewaySettings } from "../handshake/GatewayConfig.ts"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import { TokenStore } from "../identity/TokenStore.ts"
import * as StatusServer from "../status/StatusServer.ts"
import { Invocation, Processes } from "./Invocation.ts"
import { Output } from "./Output.ts"
import type { Settings } from "./Settings.ts"

/** Serves as long as the scope. A program goes on without it, and says so. */
export const start = Effect.fnUntraced(function*(command: string, { files }: Settings, gateway: GatewaySettings) {
  if (files === undefined) return
  const output = yield* Output
  const tokens = yield* TokenStore
  const { deviceId } = yield* DeviceIdentity
  const { version } = yield* Invocation
  const { own } = yield* Processes
  const key = { gatewayScope: gateway.endpoint.gatewayScope, deviceId, role: gateway.role }
  yield* StatusServer.serve({
    stateDirectory: files.directory,
    about: {
      command,
      pid: own,
      program: version,
      nodejs: process.version,
      configured: gateway.token !== undefined ? "token" : gateway.password !== undefined ? "password" : "none"
    },
    stored: Effect.orElseSucceed(Effect.map(tokens.get(key), Option.isSome), () => false)
  }).pipe(Effect.catch((error) => output.warn(`warning: \`status\` cannot ask this program: ${error.message}`)))
})
