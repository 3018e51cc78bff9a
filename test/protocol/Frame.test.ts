import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Frame from "../../src/protocol/Frame.ts"

/** What a frame is, written a second time as schemas, which the hand guard is too fast for. */
const Envelope = Schema.Union([
  Schema.Struct({ type: Schema.Literal("req"), id: Schema.String, method: Schema.String }),
  Schema.Struct({ type: Schema.Literal("res"), id: Schema.String, ok: Schema.Boolean }),
  Schema.Struct({ type: Schema.Literal("event"), event: Schema.String })
])
const isEnvelope = Schema.is(Envelope)

const maybe = <S extends Schema.Constraint>(schema: S) => Schema.optionalKey(schema)
const Odd = Schema.Union([Schema.String, Schema.Boolean, Schema.Int, Schema.Null, Schema.Array(Schema.Int)])
/** Objects that are frames, nearly frames, or miss them by one field. */
const NearFrame = Schema.Struct({
  type: maybe(Schema.Union([Schema.Literals(["req", "res", "event", "REQ", "hello-ok"]), Odd])),
  id: maybe(Schema.Union([Schema.String, Odd])),
  method: maybe(Schema.Union([Schema.String, Odd])),
  ok: maybe(Schema.Union([Schema.Boolean, Odd])),
  event: maybe(Schema.Union([Schema.String, Odd])),
  seq: maybe(Schema.Union([Schema.Int, Odd])),
  payload: maybe(Odd)
})

describe("Frame.parse", () => {
  const noise = [
    '["x"]',
    "1",
    "null",
    "true",
    '"event"',
    "",
    " ",
    "{",
    "{}",
    "undefined",
    "NaN",
    '{"type":"event","event":"tick"',
    '[{"type":"event","event":"tick"}]',
    '{"type":"ping","id":"1"}',
    '{"type":1,"event":"tick"}',
    '{"type":"Event","event":"tick"}',
    '{"event":"tick"}',
    '{"type":"event"}',
    '{"type":"event","event":7}',
    '{"type":"event","event":null}',
    '{"type":"res","id":"1"}',
    '{"type":"res","id":1,"ok":true}',
    '{"type":"res","id":"1","ok":"true"}',
    '{"type":"res","ok":true}',
    '{"type":"req","id":"1"}',
    '{"type":"req","method":"connect"}',
    '{"type":"req","id":{},"method":"connect"}',
    '{"type":"__proto__"}',
    '{"__proto__":{"type":"event","event":"tick"}}'
  ]
  for (const text of noise) {
    it(`F48: ${JSON.stringify(text)} is noise`, () => assert.isUndefined(Frame.parse(text)))
  }

  it("F48: a text nested deeper than any stack is noise", () => {
    assert.isUndefined(Frame.parse("[".repeat(1_000_000)))
    assert.isUndefined(Frame.parse('{"a":'.repeat(200_000)))
  })

  it("reads each kind, and leaves payloads and unknown properties as they came", () => {
    for (
      const frame of [
        { type: "event", event: "connect.challenge", payload: { nonce: "n", ts: 1, capabilities: ["x"] } },
        { type: "event", event: "tick", seq: 0 },
        { type: "event", event: "tick", payload: null, seq: 12, stateVersion: { presence: 1 } },
        { type: "res", id: "1", ok: true, payload: [1, "two"] },
        { type: "res", id: "1", ok: false, error: { code: "X", message: "y" }, later: true },
        { type: "res", id: "", ok: false },
        { type: "req", id: "1", method: "chat.send", params: { text: "\u2028" } }
      ]
    ) assert.deepStrictEqual<unknown>(Frame.parse(JSON.stringify(frame)), frame)
  })

  it.each(["null", '"1"', "1.5", "1e300", "9007199254740992", "true", "{}", "[]"])(
    "an event whose seq is %s is kept, without it",
    (seq) => {
      const frame = Frame.parse(`{"type":"event","event":"chat","seq":${seq},"payload":{"state":"final"},"more":1}`)
      assert.deepStrictEqual<unknown>(frame, {
        type: "event",
        event: "chat",
        payload: { state: "final" },
        more: 1
      })
    }
  )

  it.effect.prop("F48: no text makes it throw", [Schema.String], ([text]) =>
    Effect.sync(() => {
      const frame = Frame.parse(text)
      assert.isTrue(frame === undefined || isEnvelope(frame))
    }), { arbitrary: { seed: "frame", runs: 1000 } })

  it.effect.prop("F48: any JSON is a frame or noise", [Schema.Json], ([json]) =>
    Effect.sync(() => {
      const frame = Frame.parse(JSON.stringify(json))
      assert.strictEqual(frame !== undefined, isEnvelope(json))
    }), { arbitrary: { seed: "frame", runs: 1000 } })

  it.effect.prop("F48: what misses a frame by one field is noise", [NearFrame], ([near]) =>
    Effect.sync(() => {
      const text = JSON.stringify(near)
      const frame = Frame.parse(text)
      assert.strictEqual(frame !== undefined, isEnvelope(near), text)
      if (frame !== undefined) {
        const { seq, ...rest } = near
        const kept = near.type !== "event" || Number.isSafeInteger(seq) ? near : rest
        assert.deepStrictEqual<unknown>(frame, JSON.parse(JSON.stringify(kept)))
      }
    }), { arbitrary: { seed: "frame", runs: 3000 } })

  it.effect.prop(
    "F48: a frame cut short or with a character replaced never throws",
    [Schema.Natural, Schema.String],
    ([at, junk]) =>
      Effect.sync(() => {
        const whole = Frame.encodeEvent("chat", { runId: "r", message: { content: [{ text: "é😀" }] } }, 3)
        const cut = at % whole.length
        assert.isUndefined(Frame.parse(whole.slice(0, cut)))
        Frame.parse(whole.slice(0, cut) + junk + whole.slice(cut + 1))
      }),
    { arbitrary: { seed: "frame", runs: 500 } }
  )
})

describe("Frame encoders", () => {
  it.effect.prop(
    "parse undoes each encoder",
    { id: Schema.String, name: Schema.String, json: Schema.Json, seq: Schema.Natural },
    ({ id, json, name, seq }) =>
      Effect.sync(() => {
        // What JSON cannot tell apart (-0) is taken out first.
        const payload: unknown = JSON.parse(JSON.stringify(json))
        const error: Frame.ErrorShape = {
          code: name,
          message: id,
          details: payload,
          retryable: false,
          retryAfterMs: seq
        }
        const read = (text: string): unknown => Frame.parse(text)
        assert.deepStrictEqual(read(Frame.encodeRequest(id, name, payload)), {
          type: "req",
          id,
          method: name,
          params: payload
        })
        assert.deepStrictEqual(read(Frame.encodeResponse(id, payload)), { type: "res", id, ok: true, payload })
        assert.deepStrictEqual(read(Frame.encodeRefusal(id, error)), { type: "res", id, ok: false, error })
        assert.deepStrictEqual(read(Frame.encodeEvent(name, payload, seq)), {
          type: "event",
          event: name,
          payload,
          seq
        })
        assert.deepStrictEqual(read(Frame.encodeEvent(name, payload)), { type: "event", event: name, payload })
      }),
    { arbitrary: { seed: "frame", runs: 300 } }
  )

  it("absent params and payloads are left out, as gateways refuse what they do not know", () => {
    assert.strictEqual(Frame.encodeRequest("1", "health", undefined), '{"type":"req","id":"1","method":"health"}')
    assert.strictEqual(
      Frame.encodeRequest("1", "m", { a: undefined, b: 1 }),
      '{"type":"req","id":"1","method":"m","params":{"b":1}}'
    )
  })
})
