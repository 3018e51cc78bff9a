/**
 * `fleet run`: a runner of the fleet, with its events as lines and its metrics on a port.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { createServer } from "node:http"
import { State } from "../fleet/DeviceState.ts"
import { Fleet } from "../fleet/Fleet.ts"
import * as FleetCluster from "../fleet/FleetCluster.ts"
import { FleetKey, listOf } from "../fleet/FleetKey.ts"
import * as FleetSingle from "../fleet/FleetSingle.ts"
import * as FleetTiming from "../fleet/FleetTiming.ts"
import * as Runner from "../fleet/Runner.ts"
import { listenReason, listenWords } from "../link/ListenFailure.ts"
import { encodeAgentEvent, isoTime } from "../protocol/AgentEvent.ts"
import { chosenGateway } from "./AgentLayer.ts"
import { CommandFailed } from "./CommandError.ts"
import { asFailure, onFleet } from "./FleetCommands.ts"
import { type FleetSettings, fleetTable } from "./FleetSettings.ts"
import { serving } from "./Signals.ts"

const devices = Metric.gauge("openclaw_fleet_devices", { description: "Devices of this runner by state" })

const keyOf = ({ earlierKeys, key }: FleetSettings) =>
  key === undefined
    ? Effect.fail(
      new CommandFailed({
        exit: "settings",
        error: "FleetKeyMissing",
        problem:
          `${fleetTable.key.variable} is not set. \`openssl rand -base64 32\` makes a key; all runners have the same`
      })
    )
    : Effect.succeed(FleetKey.layer({
      key,
      earlier: earlierKeys === undefined ? [] : listOf(earlierKeys)
    }))

const layerOf = (own: FleetSettings, options: Runner.Options) =>
  own.databaseUrl === undefined
    ? FleetSingle.layer({ ...options, filename: own.file ?? "" })
    : FleetCluster.layer({
      ...options,
      database: { url: own.databaseUrl },
      host: own.host,
      port: own.port,
      listenHost: own.listenHost,
      address: own.address,
      timing: FleetTiming.forAbsence(own.databaseAway)
    })

/** `/ready` answers once the runner serves; `/metrics` has what Prometheus reads. On loopback only. */
const metricsOn = (port: number) =>
  HttpRouter.serve(
    Layer.mergeAll(
      PrometheusMetrics.layerHttp(),
      HttpRouter.add("GET", "/ready", Effect.succeed(HttpServerResponse.text("ready\n")))
    ),
    { disableListenLog: true }
  ).pipe(
    Layer.provide(
      NodeHttpServer.layer(createServer, { host: "127.0.0.1", port, gracefulShutdownTimeout: "250 millis" })
    ),
    Layer.catchTag("ServeError", ({ cause }) => Layer.effectContext(Effect.fail(noMetrics(port, cause))))
  )

const noMetrics = (port: number, cause: unknown) =>
  new CommandFailed({
    exit: "settings",
    error: "MetricsUnavailable",
    problem: `/ready and /metrics cannot be served on port ${port} of 127.0.0.1: ${
      listenWords[listenReason(cause)]
    }. Choose another port with --metrics-port`
  })

/** Counts the devices of this runner by state, every 10 s. */
const count = (own: FleetSettings) => {
  const runner = own.databaseUrl === undefined ? "this machine" : `${own.host}:${own.port}`
  return Effect.flatMap(Fleet, (fleet) =>
    fleet.list.pipe(
      Effect.flatMap((rows) =>
        Effect.forEach(State.literals, (state) =>
          Metric.update(
            Metric.withAttributes(devices, { state }),
            rows.filter((row) => row.runner === runner && row.state === state).length
          ), { discard: true })
      ),
      Effect.ignore,
      Effect.andThen(Effect.sleep("10 seconds")),
      Effect.forever
    ))
}

const serve = (own: FleetSettings, metricsPort: Option.Option<number>, options: Runner.Options) =>
  Effect.flatMap(keyOf(own), (key) =>
    Layer.provide(layerOf(own, options), key).pipe(
      Layer.merge(Option.match(metricsPort, { onNone: () => Layer.empty, onSome: metricsOn })),
      Layer.build,
      Effect.mapError(asFailure)
    ))

/** Until a signal; then it leaves, and its devices move at once. */
export const run = (metricsPort: Option.Option<number>) =>
  onFleet((own, output, checked) =>
    Effect.gen(function*() {
      const { gateway } = yield* chosenGateway(checked, "sharedToken")
      yield* serving
      const context = yield* serve(own, metricsPort, {
        gateway: (name) =>
          Effect.fromResult(
            checked.gatewayWith({ url: gateway.endpoint.url.href, token: gateway.token, displayName: name })
          ),
        agent: {
          taskTimeout: checked.taskTimeout,
          reminderInterval: checked.reminderInterval,
          reminders: checked.reminders
        },
        keepOutcomes: own.keepOutcomes,
        keepEvents: own.keepEvents
      })
      const at = isoTime(yield* Clock.currentTimeMillis)
      const where = own.databaseUrl === undefined ? {} : { runner: `${own.host}:${own.port}` }
      yield* output.json
        ? output.line(JSON.stringify({ at, event: "fleet.ready", ...where }))
        : output.warn("This runner is ready. Ctrl-C: its devices go to the others.")
      yield* Effect.provide(
        Effect.flatMap(Runner.Runner, ({ events }) =>
          Stream.runForEach(events, ({ device, event }) => {
            const text = encodeAgentEvent(event)
            return output.json
              ? output.line(`{"device":${JSON.stringify(device)},${text.slice(1)}`)
              : event.event === "pairing.required" || event.event === "halted"
              ? output.warn(`${device}: ${event.event}; \`openclaw-device fleet approve\` shows what waits`)
              : Effect.void
          })).pipe(Effect.raceFirst(count(own)), Effect.raceFirst(output.readerLeft)),
        context
      )
    }).pipe(Effect.scoped)
  )
