/**
 * `gateway`: a development gateway by itself, for trying things out in several terminals.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { withSettings } from "./AgentLayer.ts"
import { now, stopped } from "./Output.ts"
import { serving } from "./Signals.ts"
import { stored } from "./Stored.ts"

/** Loaded when it is started: the other commands start faster without it. */
const embeddedGateway = Effect.promise(() => import("./EmbeddedGateway.ts"))

export const gateway = Command.make("gateway", {
  port: Flag.Int("port").pipe(
    Flag.withDescription("The port to listen on, on this machine only; 0 takes a free one"),
    Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }))),
    Flag.withDefault(18_789)
  )
}, ({ port }) =>
  withSettings((checked, output) =>
    Effect.gen(function*() {
      yield* serving
      const { start } = yield* embeddedGateway
      const { url } = yield* start((yield* stored(checked)).gateway, {
        port,
        sharedToken: checked.gateway.token
      })
      yield* output.event({ at: yield* now, event: "gateway", url, embedded: true })
      return yield* output.readerLeft
    }).pipe(Effect.scoped, Effect.ensuring(stopped(output)))
  )).pipe(
    Command.withDescription("Run a development gateway on this machine; the other commands find it by themselves"),
    Command.withExamples([{ command: "openclaw-device gateway --port 18789", description: "Until Ctrl-C" }])
  )
