import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { type ModelStub, modelStub } from "./support/ModelStub.ts"

const complete = (model: ModelStub, texts: ReadonlyArray<string>, stream: boolean) =>
  Effect.promise((signal) =>
    fetch(`http://127.0.0.1:${model.port}/v1/chat/completions`, {
      method: "POST",
      signal,
      body: JSON.stringify({ stream, messages: texts.map((content) => ({ role: "user", content })) })
    })
  )

const body = (response: Response) => Effect.promise(() => response.text())

describe("modelStub", () => {
  it.live("answers with the text alone, whatever a release puts around it", () =>
    Effect.gen(function*() {
      const model = yield* modelStub()
      const context = "<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>\nnone\n<<<END_OPENCLAW_INTERNAL_CONTEXT>>>"
      const sender = 'Sender (untrusted metadata):\n```json\n{ "id": "cli" }\n```\n\n'
      const note = "Note: The previous agent run was aborted by the user. Resume carefully or ask for clarification."
      for (
        const prompts of [
          ["[slow] two\nlines"],
          ["[Sun 2026-11-22 12:30 UTC] [slow] two\nlines\n[message_id: 7]"],
          [`${sender}[Sun 2026-11-22 12:30 UTC] [slow] two\nlines`],
          ["earlier", "[Sun 2026-11-22 12:30 UTC] [slow] two\nlines\n\nRuntime: agent=main | host=vm", context],
          [`${sender}[Sun 2026-11-22 12:30 UTC] [slow] two\nlines`, note]
        ]
      ) {
        const answered = yield* Effect.flatMap(complete(model, prompts, false), body)
        assert.include(answered, JSON.stringify("echo: [slow] two\nlines"))
      }
      assert.lengthOf(model.prompts, 5)
    }))

  it.live("holds the answer after its first word until it is released", () =>
    Effect.gen(function*() {
      const model = yield* modelStub()
      const response = yield* complete(model, ["[hold] the rest"], true)
      const chunks = Stream.decodeText(Stream.fromReadableStream({
        evaluate: () => response.body ?? new ReadableStream<Uint8Array<ArrayBuffer>>(),
        onError: (cause) => cause
      }))
      const parts = yield* chunks.pipe(
        Stream.tap((part) => part.includes("echo:") ? model.release("[hold]") : Effect.void),
        Stream.runCollect
      )
      const first = parts.findIndex((part) => part.includes("echo:"))
      assert.notInclude(parts[first], "rest")
      const rest = parts.slice(first + 1).join("")
      assert.include(rest, `"content":"rest"`)
      assert.isTrue(rest.endsWith("data: [DONE]\n\n"))
    }))

  it.live("a name in the mark is held by itself", () =>
    Effect.gen(function*() {
      const model = yield* modelStub()
      const first = yield* complete(model, ["[hold 1] the first"], true)
      yield* model.release("[hold 2]")
      assert.include(yield* Effect.flatMap(complete(model, ["[hold 2] the second"], true), body), "second")
      const waiting = yield* Effect.forkChild(body(first), { startImmediately: true })
      assert.isUndefined(waiting.pollUnsafe())
      yield* model.release("[hold 1]")
      assert.include(yield* Fiber.join(waiting), "first")
    }))

  it.live("refuses with HTTP 400 or 500 when told to", () =>
    Effect.gen(function*() {
      const model = yield* modelStub()
      assert.strictEqual((yield* complete(model, ["please [fail]"], true)).status, 400)
      assert.strictEqual((yield* complete(model, ["please [break]"], true)).status, 500)
    }))
})
