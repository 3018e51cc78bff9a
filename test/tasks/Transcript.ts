/**
 * Recorded conversations with real gateways: `test/vectors/chat-<release>.json`.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Schema from "effect/Schema"

export const releases = ["2026.3.2", "2026.6.11", "2026.9.6"] as const

const Recorded = Schema.Struct({
  request: Schema.Struct({ sessionKey: Schema.String, message: Schema.String, idempotencyKey: Schema.String }),
  ended: Schema.NullOr(Schema.Literals(["final", "error", "aborted"])),
  frames: Schema.Array(Schema.Struct({
    type: Schema.Literals(["res", "event"]),
    ok: Schema.optionalKey(Schema.Boolean),
    event: Schema.optionalKey(Schema.String),
    payload: Schema.optionalKey(Schema.Unknown),
    error: Schema.optionalKey(Schema.Unknown)
  }))
})
export type Recorded = typeof Recorded.Type

const File = Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown))
const isRecorded = Schema.is(Recorded)

/** Everything that was recorded with a release, by name. */
export const read = Effect.fnUntraced(function*(release: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const text = yield* fs.readFileString(path.join(import.meta.dirname, "..", "vectors", `chat-${release}.json`))
  return yield* Schema.decodeEffect(File)(text)
}, Effect.provide(NodeServices.layer))

/** The recorded runs of a release. */
export const runs = Effect.fnUntraced(function*(release: string) {
  const all = yield* read(release)
  const found: Array<readonly [name: string, recorded: Recorded]> = []
  for (const [name, value] of Object.entries(all)) if (isRecorded(value)) found.push([name, value])
  return found
})

/** The same run as if it had been started with another key. */
export const withKey = (recorded: Recorded, idempotencyKey: string): Recorded => {
  const text = JSON.stringify(recorded).replaceAll(recorded.request.idempotencyKey, idempotencyKey)
  return Schema.decodeSync(Schema.fromJsonString(Recorded))(text)
}

/** The same run as if it had been in another session. */
export const withSession = (recorded: Recorded, sessionKey: string): Recorded => {
  const text = JSON.stringify(recorded).replaceAll(
    /"sessionKey":"[^"]*"/g,
    `"sessionKey":${JSON.stringify(sessionKey)}`
  )
  return Schema.decodeSync(Schema.fromJsonString(Recorded))(text)
}
