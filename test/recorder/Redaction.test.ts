import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { fileURLToPath } from "node:url"
import { decodeChallenge, decodeHelloOk } from "../../src/protocol/Connect.ts"
import * as Frame from "../../src/protocol/Frame.ts"
import * as Refusal from "../../src/protocol/Refusal.ts"
import * as Redaction from "../../src/recorder/Redaction.ts"
import { addressOf, decodeAgent, decodeChat } from "../../src/tasks/ChatEvent.ts"
import * as ChatHistory from "../../src/tasks/ChatHistory.ts"

const directory = fileURLToPath(new URL("../vectors", import.meta.url))

/** Every object in a value, the outermost first. */
const objectsIn = (value: unknown): ReadonlyArray<object> =>
  typeof value !== "object" || value === null
    ? []
    : [...(Array.isArray(value) ? [] : [value]), ...Object.values(value).flatMap(objectsIn)]

const vectors = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const names = (yield* fs.readDirectory(directory)).filter((name) => /^(gateway|chat|script)-/.test(name))
  const texts = yield* Effect.forEach(names, (name) => fs.readFileString(`${directory}/${name}`))
  return texts.map((text): unknown => JSON.parse(text))
}).pipe(Effect.provide(NodeServices.layer))

/** Frames of real gateways, unchanged. */
const frames = Effect.map(
  vectors,
  (all) =>
    all.flatMap(objectsIn).flatMap((object) =>
      Option.toArray(Option.fromUndefinedOr(Frame.parse(JSON.stringify(object))))
    )
)

/** Refusals of real gateways. */
const errors = Effect.map(
  vectors,
  (all) =>
    all.flatMap(objectsIn).filter((object) =>
      Predicate.hasProperty(object, "code") && Predicate.isString(object.code)
      && Predicate.hasProperty(object, "message") && Predicate.isString(object.message)
    )
)

const redacted = (redactor: Redaction.Redactor, frame: Frame.Frame): Frame.Frame =>
  redactor.frame(JSON.stringify(frame)) ?? assert.fail("no frame any more")
const ofError = (redactor: Redaction.Redactor, error: unknown): unknown => {
  const frame = redacted(redactor, { type: "res", id: "1", ok: false, error })
  return frame.type === "res" ? frame.error : assert.fail("no answer any more")
}

describe("a redacted frame leads the code the same way", () => {
  it.effect("refusals of every release mean what they meant", () =>
    Effect.map(errors, (all) => {
      assert.isAbove(all.length, 200)
      const redactor = Redaction.make([])
      for (const error of all) {
        const { message: _words, requestId, ...before } = Refusal.read(error)
        const { message: _masked, requestId: kept, ...after } = Refusal.read(ofError(redactor, error))
        assert.strictEqual(after.meaning._tag, before.meaning._tag, JSON.stringify(error))
        assert.deepStrictEqual(after.meaning, before.meaning, JSON.stringify(error))
        assert.strictEqual(kept === undefined, requestId === undefined)
        for (
          const field of [
            "code",
            "detailCode",
            "pauseReconnect",
            "retryAfterMs",
            "expectedProtocol",
            "missingScope"
          ] as const
        ) {
          assert.deepStrictEqual(after[field], before[field], JSON.stringify(error))
        }
      }
    }))

  it.effect("challenges, hellos, chat and agent events and histories are read as before", () =>
    Effect.map(frames, (all) => {
      const seen = { challenge: 0, hello: 0, chat: 0, agent: 0, history: 0 }
      const redactor = Redaction.make([])
      for (const frame of all) {
        const after = redacted(redactor, frame)
        const payload = frame.type === "req" ? undefined : frame.payload
        const kept = after.type === "req" ? undefined : after.payload
        const tag = <A extends { readonly _tag: string }>(option: Option.Option<A>) =>
          Option.getOrUndefined(Option.map(option, ({ _tag }) => _tag))
        if (frame.type === "event" && frame.event === "connect.challenge") {
          seen.challenge++
          assert.deepStrictEqual(decodeChallenge(kept), decodeChallenge(payload))
        } else if (frame.type === "event" && frame.event === "chat") {
          seen.chat++
          assert.strictEqual(tag(decodeChat(kept)), tag(decodeChat(payload)), JSON.stringify(frame))
          assert.strictEqual(addressOf(kept)?.runId === undefined, addressOf(payload)?.runId === undefined)
        } else if (frame.type === "event" && frame.event === "agent") {
          seen.agent++
          const [before, now] = [decodeAgent(payload), decodeAgent(kept)]
          assert.strictEqual(Option.isSome(now), Option.isSome(before), JSON.stringify(frame))
        } else if (Predicate.hasProperty(payload, "messages") && Array.isArray(payload.messages)) {
          seen.history++
          assert.strictEqual(ChatHistory.isBusy(kept), ChatHistory.isBusy(payload))
          for (
            const run of objectsIn(payload).flatMap(({ ...marks }) => "runId" in marks ? [String(marks["runId"])] : [])
          ) {
            const find = (history: unknown, runId: string) =>
              ChatHistory.find(history, { runId, summary: "", notBeforeMs: 0 })._tag
            assert.strictEqual(find(kept, redactor.id(run)), find(payload, run))
          }
        } else if (Predicate.hasProperty(payload, "type") && payload.type === "hello-ok") {
          seen.hello++
          assert.strictEqual(decodeHelloOk(kept)._tag, decodeHelloOk(payload)._tag)
        }
      }
      for (const [kind, count] of Object.entries(seen)) assert.isAbove(count, 0, kind)
    }))

  it.effect("seq, id and ok stay, so that answers find their requests and gaps are seen", () =>
    Effect.map(frames, (all) => {
      const redactor = Redaction.make([])
      for (const frame of all) {
        const after = redacted(redactor, frame)
        assert.strictEqual(after.type, frame.type)
        if (frame.type === "event") {
          assert.deepInclude(after, { event: frame.event, ...("seq" in frame ? { seq: frame.seq } : {}) })
        }
        if (frame.type === "res") assert.deepInclude(after, { ok: frame.ok })
      }
    }))
})

describe("redacted content is gone", () => {
  it.effect("nothing that people or agents wrote to a real gateway is left", () =>
    Effect.map(frames, (all) => {
      const redactor = Redaction.make([])
      const left = JSON.stringify(all.map((frame) => redacted(redactor, frame)))
      for (const words of ["hello there", "echo:", "please [", "short key", "fake failure", "own session"]) {
        assert.include(JSON.stringify(all), words)
        assert.notInclude(left, words)
      }
    }))

  /** Text with the canary in it, in every place where a frame can have text, and as a name of a property. */
  const canary = "hush-7c1e4f"
  const json: Arbitrary.Arbitrary<unknown> = Arbitrary.schema(Schema.MutableJson)
  const names = [
    "type",
    "id",
    "ok",
    "event",
    "method",
    "seq",
    "params",
    "payload",
    "error",
    "auth",
    "token",
    "password",
    "deviceToken",
    "device",
    "signature",
    "nonce",
    "ts",
    "client",
    "message",
    "content",
    "text",
    "messages",
    "role",
    "data",
    "name",
    "phase",
    "reason",
    "code",
    "details",
    "scopes",
    "server",
    "version",
    "sessionKey",
    "runId",
    "errorMessage",
    "status",
    "requestId",
    "timestamp",
    "idempotencyKey",
    "__openclaw",
    "unheard-of",
    canary
  ]
  const poisoned = (value: unknown, depth: number, path: number): unknown => {
    if (typeof value === "string") return `${value}${canary}`
    if (Array.isArray(value)) return value.map((inner, index) => poisoned(inner, depth + 1, path * 7 + index))
    if (typeof value !== "object" || value === null) return depth % 2 === 0 ? canary : value
    return Object.fromEntries(
      Object.values(value).map((inner, index) => [
        names[(path * 13 + index * 5 + depth) % names.length] ?? canary,
        poisoned(inner, depth + 1, path * 7 + index)
      ])
    )
  }
  it.effect.prop(
    "no known credential and no text of an unknown property is left of any frame",
    [json, json, Arbitrary.schema(Schema.Natural)],
    ([params, payload, path]) =>
      Effect.sync(() => {
        const redactor = Redaction.make([Redacted.make(canary)])
        const body = {
          params: poisoned(params, 0, path),
          payload: poisoned(payload, 1, path),
          error: { code: canary, message: `x ${canary} y`, details: poisoned(payload, 2, path) }
        }
        for (const head of [{ type: "req", id: canary, method: canary }, { type: "res", id: canary, ok: false }]) {
          const kept = redactor.frame(JSON.stringify({ ...head, ...body }))
          assert.isDefined(kept)
          assert.notInclude(JSON.stringify(kept), canary)
          assert.deepStrictEqual(redactor.frame(JSON.stringify(kept)), kept)
        }
        const event = redactor.frame(JSON.stringify({ type: "event", event: canary, ...body }))
        assert.notInclude(JSON.stringify(event), canary)
      }),
    { arbitrary: { seed: 1, runs: 300 } }
  )

  it("different credentials get different stand-ins", () => {
    const redactor = Redaction.make([Redacted.make("the shared one")])
    assert.deepStrictEqual(
      ["issued", "the shared one", "renewed", "issued", "secret-9", ""].map((value) => redactor.secret(value)),
      ["secret-2", "secret-1", "secret-3", "secret-2", "secret-9", ""]
    )
  })

  it("a bad name, id or version is replaced by one that the code refuses as well", () => {
    const redactor = Redaction.make([])
    const kept = redactor.frame(JSON.stringify({
      type: "event",
      event: "connect.challenge",
      payload: { nonce: "with blank", ts: "yesterday", capabilities: ["x"], server: { version: "sk-1234567890abcdef" } }
    }))
    assert.deepStrictEqual(kept, {
      type: "event",
      event: "connect.challenge",
      payload: { nonce: "not|a|nonce", ts: "", server: { version: "0.0.0" } }
    })
    assert.deepStrictEqual(
      ["main", "agent:main:main", "agent:main:whatsapp:+49 170 1234567", "global"].map((key) =>
        redactor.sessionKey(key)
      ),
      ["main", "agent:main:main", "agent:main:s1:s2", "global"]
    )
    assert.strictEqual(redactor.id("not safe to show"), "not|an|id")
    assert.strictEqual(
      redactor.words("unauthorized: gateway token mismatch for bob@example"),
      "unauthorized: gateway token mismatch for ~11~"
    )
  })

  it("a task's text is recognised when a gateway repeats it with a time before it and an id after it", () => {
    const redactor = Redaction.make([])
    const own = redactor.ownText("water the plants")
    assert.strictEqual(own, "~16~1")
    assert.strictEqual(redactor.text("[Sun 2026-11-22 06:52 UTC] water the plants\n[message_id: 1]"), own)
    assert.strictEqual(redactor.text("something else"), "~14~")
    assert.strictEqual(redactor.text("NO_REPLY"), "NO_REPLY")
  })

  it("text that is not a frame gives none", () => {
    const redactor = Redaction.make([])
    for (const text of ["", "not json", "[1]", "1", "null", `{"type":"mystery"}`]) {
      assert.isUndefined(redactor.frame(text))
    }
  })
})
