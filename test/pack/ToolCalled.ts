/** The installed program offers the tools of a module to a gateway, whose agent calls one. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { DevGateway } from "effect-openclaw/devgateway/DevGateway"
import * as DevGatewayWs from "effect-openclaw/devgateway/DevGatewayWs"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ChildProcess from "effect/process/ChildProcess"
import { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"

const program = Effect.gen(function*() {
  const gateway = yield* DevGateway
  const url = yield* DevGatewayWs.serve()
  const { spawn } = yield* ChildProcessSpawner
  const flags = ["run", "--json", "--no-page", "--state-dir", "tools-state", "--tools", "Tools.ts"]
  const device = yield* spawn(ChildProcess.make("node_modules/.bin/openclaw-device", flags, {
    env: { OPENCLAW_GATEWAY_URL: url.href, OPENCLAW_GATEWAY_TOKEN: "shared" },
    extendEnv: true
  }))
  yield* Effect.forkScoped(Stream.runForEach(Stream.decodeText(device.all), (text) => Console.log(text.trimEnd())))
  for (const _ of ["operator", "node"]) {
    const { pending: [request] } = yield* gateway.awaitState(({ pending }) => pending.length > 0)
    yield* gateway.approve(request?.requestId ?? "")
    yield* gateway.awaitState(({ pending }) => pending.length === 0)
  }
  const { surfaces: [surface] } = yield* gateway.awaitState(({ surfaces }) => surfaces.length > 0)
  yield* gateway.approveSurface(surface?.requestId ?? "")
  yield* gateway.awaitState(({ tools }) => tools.length > 0)
  const right = yield* gateway.callTool("effect_weather", { city: "Oslo" })
  const wrong = yield* gateway.callTool("effect_weather", { town: "Oslo" })
  yield* Console.log(JSON.stringify({ right: right.content, wrong: wrong.details["status"] }))
}).pipe(Effect.scoped, Effect.timeout("60 seconds"))

const gateway = DevGateway.layer({ auth: { mode: "token", token: Redacted.make("shared") } })
NodeRuntime.runMain(Effect.provide(program, Layer.provideMerge(gateway, NodeServices.layer)))
