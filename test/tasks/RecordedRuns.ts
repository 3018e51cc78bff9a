/**
 * Runs of real gateways, with what each answered about them later: `test/vectors/runs-<release>.json`.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Schema from "effect/Schema"

export const releases = ["2026.3.2", "2026.5.12", "2026.6.11", "2026.8.2", "2026.9.6"] as const
export type Release = (typeof releases)[number]

const Answer = Schema.Struct({
  payload: Schema.optionalKey(Schema.Unknown),
  error: Schema.optionalKey(Schema.Unknown)
})
const Scene = Schema.Struct({
  asked: Schema.optionalKey(Schema.String),
  answer: Schema.optionalKey(Answer),
  events: Schema.optionalKey(Schema.Array(Schema.Struct({ event: Schema.String, payload: Schema.Unknown }))),
  later: Schema.Record(Schema.String, Schema.Unknown)
})
export type Scene = typeof Scene.Type
const File = Schema.fromJsonString(Schema.Struct({ scenes: Schema.Record(Schema.String, Scene) }))

export const path = (release: string): string => new URL(`../vectors/runs-${release}.json`, import.meta.url).pathname

/** The scenes of a release, by name. */
export const read = Effect.fnUntraced(function*(release: Release) {
  const text = yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.readFileString(path(release)))
  return (yield* Schema.decodeEffect(File)(text.replaceAll("X{4000}", "x".repeat(4000)))).scenes
}, Effect.provide(NodeServices.layer))

const isAnswer = Schema.is(Answer)

/** The payload of an answer in a scene. */
export const payload = (scene: Scene | undefined, name: string): unknown => {
  const answer = scene?.later[name]
  return isAnswer(answer) ? answer.payload : undefined
}
