/**
 * Traces, metrics and logs to a collector (OTLP over HTTP), as the standard variables of OpenTelemetry say. Loaded only when they
 * name one.
 */
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { field } from "../protocol/OutsideText.ts"
import { CommandFailed } from "./CommandError.ts"
import { Invocation } from "./Invocation.ts"

const prefix = "OTEL_EXPORTER_OTLP"
const text = (name: string) =>
  Effect.map(
    Effect.orElseSucceed(Config.option(Config.NonEmptyString(name)), Option.none),
    (found) => Option.getOrElse(found, () => "")
  )

/** As the specification has it: a signal is exported unless its variable says otherwise. */
const usual = ConfigProvider.fromEnvRecord({
  OTEL_TRACES_EXPORTER: "otlp",
  OTEL_METRICS_EXPORTER: "otlp",
  OTEL_LOGS_EXPORTER: "otlp"
})

const exporting = Effect.gen(function*() {
  const { version } = yield* Invocation
  const Otlp = yield* Effect.promise(() => import("effect/observability/Otlp"))
  const FetchHttpClient = yield* Effect.promise(() => import("effect/http/FetchHttpClient"))
  const OtlpSerialization = yield* Effect.promise(() => import("effect/observability/OtlpSerialization"))
  const protocol = (yield* text(`${prefix}_PROTOCOL`)) || "http/protobuf"
  if (protocol !== "http/protobuf" && protocol !== "http/json") {
    return yield* refused(`${prefix}_PROTOCOL: must be http/protobuf or http/json`)
  }
  return Otlp.layerFromConfig({
    resource: { serviceName: (yield* text("OTEL_SERVICE_NAME")) || "openclaw-device", serviceVersion: version },
    loggerMergeWithExisting: true
  }).pipe(
    Layer.provide(protocol === "http/json" ? OtlpSerialization.layerJson : OtlpSerialization.layerProtobuf),
    Layer.provide(FetchHttpClient.layer),
    Layer.provide(ConfigProvider.layerAdd(usual)),
    Layer.catchCause(() => Layer.effectDiscard(refused(`${prefix}_*: a variable of OpenTelemetry cannot be read`)))
  )
})

const refused = (problem: string) =>
  Effect.fail(new CommandFailed({ exit: "settings", error: "SettingsInvalid", problem: field(problem) }))

export const layer = Layer.unwrap(exporting)
