import { assert, describe, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { randomUUID } from "node:crypto"
import { Supervisor } from "../../src/connection/Supervisor.ts"
import { GatewayConfig } from "../../src/handshake/GatewayConfig.ts"
import * as TransportWs from "../../src/link/TransportWs.ts"
import { limitsOf } from "../../src/tasks/AttachmentCheck.ts"
import * as AttachmentFile from "../../src/tasks/AttachmentFile.ts"
import { RunArtifacts } from "../../src/tasks/RunArtifacts.ts"
import { AttachmentRefused } from "../../src/tasks/TaskError.ts"
import { TaskRunner } from "../../src/tasks/TaskRunner.ts"
import * as RecordedRuns from "../tasks/RecordedRuns.ts"
import * as LibraryAgent from "./support/LibraryAgent.ts"
import { drawnImage } from "./support/ModelStub.ts"
import { releases } from "./support/OpenClaw.ts"
import { ownAddress, Place } from "./support/Place.ts"
import * as TaskAgent from "./support/TaskAgent.ts"

const begin = Effect.gen(function*() {
  const { gateway } = yield* Place
  const remote = yield* ownAddress
  const agent = yield* TaskAgent.start(yield* LibraryAgent.makeHome, { url: remote.url, token: gateway.token })
  const { facts } = yield* agent.supervisor.session
  return { agent, facts, remote, model: gateway.model, sessionKey: `agent:main:${randomUUID()}` }
})

/** Files as a program reads them. */
const filesOf = Effect.fnUntraced(function*(contents: Readonly<Record<string, Uint8Array | string>>) {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped()
  return yield* Effect.forEach(
    Object.entries(contents),
    ([name, content]) =>
      Effect.andThen(
        fs.writeFile(`${directory}/${name}`, Buffer.from(content)),
        AttachmentFile.read(`${directory}/${name}`)
      )
  )
})

describe.each(Effect.runSync(releases))("files of tasks on OpenClaw %s", (release) => {
  layer(Place.layer(release), { excludeTestServices: true, timeout: "300 seconds" })((it) => {
    it.effect(
      "an image is sent, and the model sees its very bytes",
      () =>
        Effect.gen(function*() {
          const { agent, model, sessionKey } = yield* begin
          const attachments = yield* filesOf({ "dot.png": Buffer.from(drawnImage, "base64") })
          const words = `see this ${randomUUID().slice(0, 8)}`
          const { taskId } = yield* agent.tasks.delegate(words, { sessionKey, attachments })
          const outcome = yield* agent.outcome(taskId)
          assert(outcome._tag === "Completed", JSON.stringify(outcome))
          assert.include(outcome.text, words)
          assert.include(model.images, `data:image/png;base64,${drawnImage}`)
          yield* agent.nothingOpen
        }),
      120_000
    )

    it.effect(
      "a text file reaches the agent where the release takes files, and is refused before it is sent where it does not",
      () =>
        Effect.gen(function*() {
          const { agent, facts, model, sessionKey } = yield* begin
          const secret = randomUUID()
          const attachments = yield* filesOf({ "note.txt": `the word is ${secret}` })
          const words = `read this ${randomUUID().slice(0, 8)}`
          const delegated = agent.tasks.delegate(words, { sessionKey, attachments })
          if (!limitsOf(facts).takesFiles) {
            const { cause } = yield* Effect.flip(delegated)
            assert(cause instanceof AttachmentRefused && cause.reason === "ImagesOnly")
            return
          }
          const { taskId } = yield* delegated
          const outcome = yield* agent.outcome(taskId)
          assert(outcome._tag === "Completed", JSON.stringify(outcome))
          assert.isTrue(model.contexts.some((text) => text.includes(secret) || text.includes("note---")))
        }),
      120_000
    )

    it.effect(
      "an image of a run is listed and downloaded, where the release gives it",
      () =>
        Effect.gen(function*() {
          const { agent, remote, sessionKey } = yield* begin
          const { artifacts } = RecordedRuns.releases.some((known) => known === release)
            ? yield* RecordedRuns.read(RecordedRuns.releases.find((known) => known === release) ?? "2026.9.6")
            : {}
          const given = JSON.stringify(artifacts?.later["artifacts.list of the run"] ?? "drawn.png").includes(
            "drawn.png"
          )
          const runArtifacts = Context.get(
            yield* Layer.build(RunArtifacts.layer.pipe(Layer.provide([
              GatewayConfig.layer({ url: remote.url }),
              TransportWs.layer,
              Layer.succeed(Supervisor, agent.supervisor),
              Layer.succeed(TaskRunner, agent.tasks)
            ]))),
            RunArtifacts
          )
          const { taskId } = yield* agent.tasks.delegate("[draw] a point", { sessionKey })
          assert.strictEqual((yield* agent.outcome(taskId))._tag, "Completed")
          if (!given) {
            const error = yield* Effect.flip(runArtifacts.list(taskId))
            assert.strictEqual(error._tag === "ArtifactError" ? error.reason : error._tag, "NotSupported")
            return
          }
          const [drawn, ...rest] = yield* runArtifacts.list(taskId)
          assert(drawn !== undefined)
          assert.deepStrictEqual(rest, [])
          assert.deepInclude(drawn, { type: "image", title: "drawn.png", mimeType: "image/png", bytes: 70 })
          const content = yield* runArtifacts.download(taskId, drawn)
          assert.strictEqual(Buffer.from(content).toString("base64"), drawnImage)
          const small = yield* Effect.flip(runArtifacts.download(taskId, drawn, 69))
          assert.strictEqual(small._tag === "ArtifactError" ? small.reason : small._tag, "TooLarge")
        }),
      120_000
    )
  })
})
