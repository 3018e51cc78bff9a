/**
 * A gateway in this process for a program that offers tools.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { fileURLToPath } from "node:url"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import * as DevGatewayWs from "../../src/devgateway/DevGatewayWs.ts"
import { texts } from "../toolhost/Fixture.ts"
import * as Cli from "./Cli.ts"

/** A module with a marked tool. */
export const module = fileURLToPath(new URL("MarkedTools.ts", import.meta.url))

/** A gateway, what approves a program with its tools there, and what calls the marked one. */
export const staged = Effect.gen(function*() {
  const context = yield* Layer.build(DevGateway.layerTest())
  const gateway = Context.get(context, DevGateway)
  const url = yield* Effect.provideContext(DevGatewayWs.serve(), context)
  const stateDir = yield* Cli.temporaryDirectory
  const env = { OPENCLAW_GATEWAY_URL: url.href, OPENCLAW_GATEWAY_TOKEN: "shared-token" }
  const approved = Effect.gen(function*() {
    for (let count = 0; count < 2; count++) {
      const { pending: [device] } = yield* gateway.awaitState(({ pending }) => pending.length > 0)
      yield* Effect.orDie(gateway.approve(device?.requestId ?? ""))
      yield* gateway.awaitState(({ pending }) => pending.length === 0)
    }
    const { surfaces: [surface] } = yield* gateway.awaitState(({ surfaces }) => surfaces.length > 0)
    yield* Effect.orDie(gateway.approveSurface(surface?.requestId ?? ""))
    yield* gateway.awaitState(({ tools }) => tools.length > 0)
  })
  const call = (path: string) =>
    Effect.forkScoped(Effect.map(gateway.callTool("wipe", { path }), (output) => texts(output).at(-1)))
  return { approved, call, env, gateway, stateDir }
})
