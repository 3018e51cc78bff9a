/**
 * Prints the token of its environment, as a program of its own.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { GatewayConfig } from "../../src/handshake/GatewayConfig.ts"

NodeRuntime.runMain(
  GatewayConfig.pipe(
    Effect.map(({ token }) => void process.stdout.write(token === undefined ? "none" : Redacted.value(token))),
    Effect.provide(Layer.provide(GatewayConfig.layerEnv, NodeServices.layer))
  )
)
