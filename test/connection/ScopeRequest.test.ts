import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Scopes } from "../../src/connection/ScopeRequest.ts"
import * as ScopeRequest from "../../src/connection/ScopeRequest.ts"
import { PairingRequired } from "../../src/handshake/HandshakeError.ts"
import { RequestId, ScopeName } from "../../src/protocol/Connect.ts"

const [read, write, approvals] = ["operator.read", "operator.write", "operator.approvals"].map((name) =>
  ScopeName.make(name)
)
if (read === undefined || write === undefined || approvals === undefined) throw new Error("three names")

const Happening = Schema.Struct({
  what: Schema.Union([
    Schema.TaggedStruct("Open", {}),
    Schema.TaggedStruct("Asked", {
      request: Schema.Literals(["r1", "r2"]),
      tells: Schema.Boolean,
      retryAfterMs: Schema.UndefinedOr(Schema.Literals([5000, 400_000]))
    }),
    Schema.TaggedStruct("Approved", {}),
    Schema.TaggedStruct("Declined", {}),
    Schema.TaggedStruct("Dropped", {}),
    Schema.TaggedStruct("Forgotten", {}),
    Schema.TaggedStruct("Held", { scopes: Schema.Literals(["narrow", "wide", "all"]) })
  ]),
  passMs: Schema.Literals([0, 1000, 299_999, 300_000, 4_000_000]),
  seen: Schema.Boolean
})

const granted = { narrow: [read], wide: [read, write], all: [read, write, approvals] }
const answerOf = (request: string, retryAfterMs?: number) =>
  new PairingRequired({ reason: "scope-upgrade", requestId: RequestId.make(request), retryAfterMs })
const at = (nowMs: number, seen = false, sleptMs = 0) => ({
  nowMs,
  unit: 0,
  seenAtMs: seen ? nowMs : Number.NEGATIVE_INFINITY,
  sleptMs
})

interface Made {
  readonly before: Scopes
  readonly after: Scopes
  readonly what: typeof Happening.Type["what"]
  readonly nowMs: number
}

const lived = (happenings: ReadonlyArray<typeof Happening.Type>): ReadonlyArray<Made> => {
  let scopes = ScopeRequest.begin([read, write])
  let nowMs = 0
  return happenings.map(({ passMs, seen, what }) => {
    nowMs += passMs
    const before = scopes
    switch (what._tag) {
      case "Open":
        scopes = ScopeRequest.open(scopes, [read, write, approvals], nowMs)
        break
      case "Asked": {
        if (scopes.request._tag !== "Open") break
        const answer = answerOf(what.request, what.retryAfterMs)
        const { end, request } = ScopeRequest.noted(scopes.request, answer, [read], at(nowMs, seen), what.tells)
        scopes = { ...scopes, request }
        if (end !== undefined) scopes = ScopeRequest.declined(scopes, [read], end)
        break
      }
      case "Approved":
        scopes = ScopeRequest.approved(scopes)
        break
      case "Declined":
        scopes = ScopeRequest.declined(scopes, [read], "rejected")
        break
      case "Dropped":
        scopes = ScopeRequest.dropped(scopes)
        break
      case "Forgotten":
        scopes = ScopeRequest.forgotten(scopes)
        break
      case "Held":
        scopes = ScopeRequest.held(scopes, granted[what.scopes])
    }
    return { before, after: scopes, what, nowMs }
  })
}

const law = (name: string, holds: (made: ReadonlyArray<Made>) => void) =>
  it.effect.prop(
    name,
    [Arbitrary.array(Arbitrary.schema(Happening), { maxLength: 30 })],
    ([happenings]) => Effect.sync(() => holds(lived(happenings))),
    { arbitrary: { seed: "scope request", runs: 500, size: 30 } }
  )

describe("ScopeRequest, whatever happens in whatever order", () => {
  law("what is wanted shrinks only when a request is declined, and grows only when one is fulfilled", (made) => {
    for (const { after, before, what } of made) {
      const [was, is] = [before.wanted.length, after.wanted.length]
      if (is < was) assert.strictEqual(after.request._tag, "Declined")
      if (is > was) assert.deepStrictEqual([what._tag, after.request._tag], ["Held", "None"])
    }
  })

  law("a request that is under way is not replaced by another", (made) => {
    for (const { after, before, what } of made) {
      if (what._tag === "Open" && before.request._tag === "Open") assert.strictEqual(after, before)
      if (what._tag === "Open") assert.strictEqual(after.request._tag, "Open")
    }
  })

  law("it keeps the time that the gateway has set and when it began, over all its answers", (made) => {
    for (const { after, before, nowMs, what } of made) {
      if (what._tag !== "Asked" || before.request._tag !== "Open" || after.request._tag !== "Open") continue
      assert.isAtLeast(after.request.notBeforeMs, nowMs + (what.retryAfterMs ?? 0))
      const { approval } = before.request.history
      if (approval !== undefined) assert.strictEqual(after.request.history.approval?.sinceMs, approval.sinceMs)
    }
  })

  law("it ends in all of its scopes, or says why not", (made) => {
    for (const { after, before, what } of made) {
      if (before.request._tag !== "Open" || after.request._tag === "Open") continue
      if (after.request._tag === "Declined") continue
      assert.deepInclude(what, { _tag: "Held", scopes: "all" })
      assert.deepStrictEqual(after.wanted, before.request.scopes)
    }
  })
})

describe("another request id", () => {
  const asked = (passMs: number, tells: boolean, sleptMs = 0) => {
    const { request } = ScopeRequest.open(ScopeRequest.begin([read]), [read, write], 0)
    if (request._tag !== "Open") return assert.fail(request._tag)
    const first = ScopeRequest.noted(request, answerOf("r1"), [read], at(0), tells)
    return ScopeRequest.noted(first.request, answerOf("r2"), [read], at(passMs, false, sleptMs), tells).end
  }
  it("means a rejection while the first request was alive, where the gateway does not tell", () => {
    assert.strictEqual(asked(299_999, false), "replaced")
  })
  it("means an expiry after that, and then goes on", () => {
    assert.isUndefined(asked(300_000, false))
  })
  it("means an expiry if this machine slept while the first request ran out", () => {
    assert.isUndefined(asked(1000, false, 300_000))
    assert.strictEqual(asked(1000, false, 60_000), "replaced")
  })
  it("means no more than another request, where the gateway tells how one ended", () => {
    assert.isUndefined(asked(1000, true))
  })
})
