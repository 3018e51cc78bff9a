import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import type { Agent, AgentInput, AgentStep } from "../../src/devgateway/Agent.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import { drawnImage } from "../interop/support/ModelStub.ts"
import recorded from "../vectors/runs-2026.9.6.json" with { type: "json" }
import { at, device, link } from "./FakeClient.ts"

const settle = TestClock.adjust("1 millis")
const drawn = Buffer.from(drawnImage, "base64")

const entered = Effect.gen(function*() {
  const seen: Array<AgentInput> = []
  const steps: ReadonlyArray<AgentStep> = [
    { _tag: "File", file: { name: "drawn.png", mimeType: "image/png", content: drawn } },
    { _tag: "Text", delta: "here" }
  ]
  const agent: Agent = (input) => {
    seen.push(input)
    return Stream.fromIterable(steps)
  }
  const gateway = Context.get(yield* Layer.build(DevGateway.layerTest({ agent })), DevGateway)
  const client = link(gateway)
  client.connect(device(1), { token: "operator-token", scopes: ["operator.read", "operator.write"] })
  let key = 0
  return {
    gateway,
    client,
    seen,
    send: (message: string, ...attachments: ReadonlyArray<unknown>) =>
      client.request("chat.send", { sessionKey: "main", message, idempotencyKey: `run-${++key}`, attachments })
  }
})

const image = { type: "image", mimeType: "image/png", fileName: "dot.png", content: drawnImage }

describe("files on the development gateway", () => {
  it.effect("the agent gets what came with the message, also behind a busy run, and history tells of it", () =>
    Effect.gen(function*() {
      const { client, seen, send } = yield* entered
      send("see this", image, { ...image, type: "file", mimeType: "text/plain", fileName: "note.txt", content: "YQ==" })
      send("", image)
      yield* settle
      yield* settle
      assert.deepStrictEqual(
        seen.map((
          { attachments, message }
        ) => [message, attachments.map(({ content, name }) => [name, content.length])]),
        [["see this", [["dot.png", drawn.length], ["note.txt", 1]]], ["", [["dot.png", drawn.length]]]]
      )
      const messages = at(client.request("chat.history", { sessionKey: "main" }), "payload", "messages")
      const media = at(messages, "0", "__openclaw", "media")
      assert.deepInclude(at(media, "0"), { contentType: "image/png", kind: "image", sizeBytes: drawn.length })
      assert.deepInclude(at(media, "1"), {
        contentType: "text/plain",
        kind: "document",
        fileName: "note.txt",
        sizeBytes: 1
      })
    }))

  it.effect("refuses attachments in the words of a real gateway, and ignores those without content", () =>
    Effect.gen(function*() {
      const { seen, send } = yield* entered
      const messageOf = (answer: unknown) => at(answer, "error", "message")
      const asRecorded = recorded.scenes.attachments.later["no base64"]
      assert.strictEqual(messageOf(send("see", { ...image, content: "***" })), at(asRecorded, "error", "message"))
      assert.strictEqual(
        messageOf(send("see", { ...image, content: "" })),
        "UnsupportedAttachmentError: attachment dot.png: empty payload"
      )
      const large = Buffer.alloc(6_291_457).toString("base64")
      assert.strictEqual(
        messageOf(send("see", { ...image, content: large })),
        "Error: attachment dot.png: image exceeds size limit (6291457 > 6291456 bytes)"
      )
      assert.isUndefined(messageOf(send("see", { ...image, mimeType: "text/plain", content: large })))
      assert.strictEqual(messageOf(send("", { ...image, content: 1 })), "message or attachment required")
      yield* settle
      assert.lengthOf(seen, 1)
    }))

  it.effect("gives a file that the agent showed by an address that works for five minutes", () =>
    Effect.gen(function*() {
      const { client, gateway, send } = yield* entered
      send("draw")
      yield* settle
      const own = { sessionKey: "main", runId: "run-1", messageRole: "assistant" }
      const artifact = at(client.request("artifacts.list", own), "payload", "artifacts", "0")
      assert.deepInclude(artifact, { type: "image", title: "drawn.png", mimeType: "image/png", runId: "run-1" })
      const given = client.request("artifacts.download", { ...own, artifactId: at(artifact, "id") })
      const url = String(at(given, "payload", "url"))
      assert.deepStrictEqual(gateway.file(url), { status: 200, type: "image/png", content: drawn })
      assert.strictEqual(gateway.file(url.replace(/\?.*/, "")).status, 401)
      assert.strictEqual(gateway.file(url.replace(/mediaTicket=./, "mediaTicket=x")).status, 401)
      assert.strictEqual(gateway.file("/api/chat/media/outgoing/agent%3Amain%3Amain/none/full").status, 404)
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(gateway.file(url).status, 401)
    }))

  it.effect("knows files by the run that showed them, and refuses what is not there", () =>
    Effect.gen(function*() {
      const { client, send } = yield* entered
      send("draw")
      yield* settle
      const list = (query: Readonly<Record<string, unknown>>) => client.request("artifacts.list", query)
      assert.deepStrictEqual(at(list({ sessionKey: "main", runId: "another" }), "payload"), { artifacts: [] })
      assert.deepStrictEqual(at(list({ sessionKey: "agent:main:other", runId: "run-1" }), "payload"), { artifacts: [] })
      assert.strictEqual(
        at(list({}), "error", "message"),
        "artifacts require one of sessionKey, runId, or taskId"
      )
      assert.match(String(at(list({ sessionKey: "main", messageRole: "user" }), "error", "message")), /messageRole/)
      const absent = { sessionKey: "main", artifactId: "artifact_managed_image_none" }
      assert.strictEqual(at(client.request("artifacts.download", absent), "error", "message"), "artifact not found")
    }))
})
