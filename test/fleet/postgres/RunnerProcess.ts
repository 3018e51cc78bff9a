/**
 * A runner of a fleet as a process. Run by `FleetWorld`, with its settings as JSON in the first argument. It says `ready` once, and
 * answers each message with the bytes of its heap.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import { writeSync } from "node:fs"
import * as FleetCluster from "../../../src/fleet/FleetCluster.ts"
import { FleetKey } from "../../../src/fleet/FleetKey.ts"
import * as FleetTiming from "../../../src/fleet/FleetTiming.ts"

/** What a runner is told. */
export interface Settings {
  readonly port: number
  readonly listenHost?: string
  /** For how long its database may be away; as by default unless set. */
  readonly databaseAwayMs?: number
  readonly database: string
  readonly schema: string
  readonly gateway: string
  readonly token: string
  readonly key: string
}

const { database, databaseAwayMs, gateway, key, listenHost, port, schema, token }: Settings = JSON
  .parse(process.argv[2] ?? "{}")

const runner = FleetCluster.layer({
  database: { url: Redacted.make(database), schema },
  host: "127.0.0.1",
  port,
  listenHost,
  timing: FleetTiming.forAbsence(databaseAwayMs ?? FleetTiming.absence),
  gateway: { url: gateway, token: Redacted.make(token) },
  agent: { taskTimeout: "10 minutes", maxQueued: 1000 }
}).pipe(Layer.provide(FleetKey.layer({ key: Redacted.make(key) })))

process.on("message", () => {
  globalThis.gc?.()
  process.send?.(process.memoryUsage().heapUsed)
})
// The channel alone does not keep the process.
process.channel?.unref()

const ready = Layer.effectDiscard(Effect.sync(() => void writeSync(1, "ready\n")))

NodeRuntime.runMain(
  Layer.launch(Layer.provide(ready, runner)).pipe(
    Effect.provideService(References.MinimumLogLevel, "Info"),
    Effect.provideService(References.LogToStderr, true)
  )
)
