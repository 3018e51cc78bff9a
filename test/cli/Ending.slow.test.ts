import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import * as DevGatewayWs from "../../src/devgateway/DevGatewayWs.ts"
import type { DeviceCli } from "../interop/support/DeviceCli.ts"
import * as Cli from "./Cli.ts"

const limit = 60_000

/** Brings a start of `run` into a state, from its gateway's URL on. */
interface State {
  readonly name: string
  readonly token: string
  readonly reach: (cli: DeviceCli, gateway: DevGateway["Service"]) => Effect.Effect<unknown, unknown>
  /** Nothing listens there. */
  readonly url?: string
}

const states: ReadonlyArray<State> = [
  { name: "awaiting approval", token: "shared-token", reach: (cli) => cli.nextEvent("pairing.required") },
  {
    name: "connected",
    token: "shared-token",
    reach: (cli, gateway) =>
      Effect.gen(function*() {
        const { requestId } = yield* cli.nextEvent("pairing.required")
        yield* gateway.approve(String(requestId))
        yield* cli.stdinWrite("")
        yield* cli.nextEvent("connected")
      })
  },
  {
    name: "waiting on a gateway that is not there",
    token: "shared-token",
    url: "ws://127.0.0.1:1",
    reach: (cli) => cli.nextEvent("waiting")
  },
  { name: "halted", token: "wrong-token", reach: (cli) => cli.nextEvent("halted") }
]

describe.concurrent("the end of run", () => {
  for (const state of states) {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      it.live(
        `${signal} while ${state.name} ends it within a second, with status 0 and nothing left behind`,
        () =>
          Effect.gen(function*() {
            const context = yield* Layer.build(DevGateway.layerTest())
            const gateway = Context.get(context, DevGateway)
            const url = yield* Effect.provideContext(DevGatewayWs.serve(), context)
            const stateDir = yield* Cli.temporaryDirectory
            const cli = yield* Cli.start(["run", "--json", "--gateway-url", state.url ?? url.href], {
              stateDir,
              env: { OPENCLAW_GATEWAY_TOKEN: state.token }
            })
            yield* state.reach(cli, gateway)
            yield* Cli.endsAt(cli, signal, stateDir)
            const events = yield* Cli.eventsOf(cli)
            assert.isAtMost(events.filter(({ event }) => event === "pairing.required").length, 1)
            if (state.url === undefined) yield* gateway.awaitState(({ stats }) => stats.openPeers === 0)
          }).pipe(Effect.provide(Cli.platform)),
        limit
      )
    }
  }
})
