import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Decision, History, Situation } from "../../src/connection/RetryPolicy.ts"
import * as RetryPolicy from "../../src/connection/RetryPolicy.ts"
import type { HandshakeError } from "../../src/handshake/HandshakeError.ts"
import {
  AuthRejected,
  ChallengeInvalid,
  ChallengeTimeout,
  ClientNotAllowed,
  DeviceProofRejected,
  GatewayRejected,
  GatewayUnavailable,
  HelloTimeout,
  OriginNotAllowed,
  PairingRequired,
  ProtocolMismatch,
  RateLimited
} from "../../src/handshake/HandshakeError.ts"
import { LinkError, ProxyRejected, UpgradeRejected } from "../../src/link/LinkError.ts"
import type { UntrustedReason } from "../../src/link/TlsError.ts"
import { TlsPinMismatch, TlsUntrusted } from "../../src/link/TlsError.ts"
import { RequestId } from "../../src/protocol/Connect.ts"

const start = RetryPolicy.begin(0)
const closed = (closeCode: number) => new LinkError({ reason: "Closed", phase: "hello", closeCode })
const pairing = (
  requestId: string | undefined,
  more: Partial<ConstructorParameters<typeof PairingRequired>[0]> = {}
) =>
  new PairingRequired({
    reason: "not-paired",
    requestId: requestId === undefined ? undefined : RequestId.make(requestId),
    ...more
  })

/** From `Random.next`: at least 0, below 1. */
const Unit = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 0.999_999 }))
const Rung = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60 }))
const Moment = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000_000_000 }))
const checks = { arbitrary: { seed: 1, runs: 300 } }

const wait = (decision: Decision) =>
  decision._tag === "Wait" ? decision : assert.fail(`expected Wait: ${decision._tag}`)
const now = (nowMs: number, unit = 0): Situation => ({ nowMs, unit })

/** Decides for a series of errors, one after the other at once. */
const series = (errors: ReadonlyArray<HandshakeError>, from: History = start) => {
  let history = from
  const decisions: Array<Decision> = []
  for (const error of errors) {
    const [next, decision] = RetryPolicy.decide(history, error, now(0))
    history = next
    decisions.push(decision)
  }
  return { history, decisions }
}

const seen = { host: "gateway.example:443", seenCertificate: "sha256:AB", seenKey: "sha256//AB" }
const untrusted = (reason: UntrustedReason) =>
  new TlsUntrusted({ reason, ...seen, code: "X", validFromMs: 0, validToMs: 0, names: "" })

describe("RetryPolicy", () => {
  describe("the ladder: any close without an answer, refused dials, timeouts, upgrade 5xx", () => {
    const climbing: ReadonlyArray<readonly [string, HandshakeError]> = [
      ...[1000, 1006, 1008, 1012, 1013, 4001].map((code) => [`close ${code}`, closed(code)] as const),
      ["refused", new LinkError({ reason: "Unreachable", phase: "dial", errno: "ECONNREFUSED" })],
      ["silent", new LinkError({ reason: "Silent", phase: "session", closeCode: 4000 })],
      ["no challenge", new ChallengeTimeout({ phase: "challenge", timeoutMs: 15_000 })],
      ["no hello", new HelloTimeout({ timeoutMs: 15_000 })],
      ["upgrade 503", new UpgradeRejected({ status: 503, body: "" })],
      ["proxy 502", new ProxyRejected({ reason: "Unreachable", status: 502 })],
      ["certificate expired", untrusted("Expired")],
      ["certificate not valid yet, as for a machine that does not know the time", untrusted("NotYetValid")],
      ["unavailable without a time", new GatewayUnavailable({})]
    ]
    it.each(climbing)("%s: 1, 2, 4, 8, 16, 30, 30 seconds", (_, error) => {
      const delays = (unit: number) => {
        let history = start
        return Array.from({ length: 7 }, () => {
          const [next, decision] = RetryPolicy.decide(history, error, now(0, unit))
          history = next
          return wait(decision).untilMs
        })
      }
      assert.deepStrictEqual(delays(0), [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000])
      assert.deepStrictEqual(delays(1), [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000])
    })

    it.effect.prop("a delay is at least half of its rung, at most all of it, and may be cut short by a person", [
      Unit,
      Rung,
      Moment
    ], ([unit, rung, nowMs]) =>
      Effect.sync(() => {
        const [next, decision] = RetryPolicy.decide({ ...start, rung }, closed(1006), now(nowMs, unit))
        const full = Math.min(1_000 * 2 ** rung, 30_000)
        const { notBeforeMs, untilMs } = wait(decision)
        assert.isAtLeast(untilMs - nowMs, full / 2)
        assert.isAtMost(untilMs - nowMs, full)
        assert.strictEqual(notBeforeMs, nowMs)
        assert.strictEqual(next.rung, rung + 1)
      }), checks)

    it("starts again after a link that lived 30 s, not after a shorter one", () => {
      const high = { ...start, rung: 9 }
      const [short, long] = [29_999, 30_000].map((livedMs) =>
        RetryPolicy.decide(high, closed(1006), now(0, 1), livedMs)
      )
      assert.deepStrictEqual(short?.map((each) => "rung" in each ? each.rung : wait(each).untilMs), [10, 30_000])
      assert.deepStrictEqual(long?.map((each) => "rung" in each ? each.rung : wait(each).untilMs), [1, 1_000])
    })

    it("an attempt that never became a link does not start it again", () => {
      assert.strictEqual(series([closed(1006), closed(1006), closed(1006)]).history.rung, 3)
    })
  })

  describe("UNAVAILABLE with retryAfterMs", () => {
    it.effect.prop("never before the time, at most a tenth later, and not sooner for anybody", [
      Unit,
      Schema.Int.check(Schema.isBetween({ minimum: 500, maximum: 10_000_000 })),
      Moment
    ], ([unit, retryAfterMs, nowMs]) =>
      Effect.sync(() => {
        const [next, decision] = RetryPolicy.decide(start, new GatewayUnavailable({ retryAfterMs }), now(nowMs, unit))
        const { notBeforeMs, untilMs } = wait(decision)
        assert.isAtLeast(untilMs, nowMs + retryAfterMs)
        assert.isAtMost(untilMs, nowMs + Math.ceil(retryAfterMs * 1.1))
        assert.strictEqual(notBeforeMs, nowMs + retryAfterMs)
        assert.strictEqual(next.rung, 1)
      }), checks)

    it("G04: a gateway that is never ready is asked less and less often, at most every 30 seconds", () => {
      let history = start
      let nowMs = 0
      let asks = 0
      while (nowMs < 3_600_000) {
        const [next, decision] = RetryPolicy.decide(history, new GatewayUnavailable({ retryAfterMs: 500 }), now(nowMs))
        history = next
        nowMs = wait(decision).untilMs
        asks++
      }
      assert.isBelow(asks, 250)
      assert.isAbove(asks, 100)
    })

    it("a gateway that asks for no wait at all still gets half a second", () => {
      const [, decision] = RetryPolicy.decide(start, new GatewayUnavailable({ retryAfterMs: 0 }), now(7))
      assert.deepStrictEqual(decision, { _tag: "Wait", untilMs: 507, notBeforeMs: 507 })
    })
  })

  describe("lock-out", () => {
    it.effect.prop("G24: never before retryAfterMs, 0 to 5 s on top, and 300 s where the gateway does not say", [
      Unit,
      Schema.Union([Schema.Undefined, Schema.Literals([1_000, 60_000, 299_979])])
    ], ([unit, retryAfterMs]) =>
      Effect.sync(() => {
        const [, decision] = RetryPolicy.decide(start, new RateLimited({ retryAfterMs }), now(50, unit))
        const { notBeforeMs, untilMs } = wait(decision)
        assert.strictEqual(notBeforeMs, 50 + (retryAfterMs ?? 300_000))
        assert.isAtLeast(untilMs, notBeforeMs)
        assert.isAtMost(untilMs, notBeforeMs + 5_000)
      }), checks)
  })

  describe("proof refused", () => {
    const refused = (
      reason: "SignatureInvalid" | "Invalid" | "NonceMismatch",
      proof: "v1" | "v2" | "v3",
      detailed: boolean
    ) => new DeviceProofRejected({ reason, proof, detailed })

    it.each(["SignatureInvalid", "Invalid"] as const)("%s without a precise code: once with v2, at once, not counted", (
      reason
    ) => {
      const [history, decision] = RetryPolicy.decide(
        { ...start, attempt: 3, rung: 2 },
        refused(reason, "v3", false),
        now(0)
      )
      assert.strictEqual(decision._tag, "AtOnce")
      assert.deepInclude(history, { proof: "v2", rung: 2 })
      const [, second] = RetryPolicy.decide(history, refused(reason, "v2", false), now(0))
      assert.strictEqual(second._tag, "Halt")
    })

    it.each([
      ["a precise code", refused("SignatureInvalid", "v3", true)],
      ["another reason", refused("NonceMismatch", "v3", false)],
      ["a legacy proof", refused("SignatureInvalid", "v1", false)]
    ])("halts on %s", (_, error) => {
      const { decisions, history } = series([error])
      assert.strictEqual(decisions[0]?._tag, "Halt")
      assert.strictEqual(history.proof, "v3")
    })
  })

  describe("what no retry can mend", () => {
    const hopeless: ReadonlyArray<readonly [string, HandshakeError]> = [
      ["credential", new AuthRejected({ reason: "TokenMismatch", sent: "SharedToken" })],
      ["protocol", new ProtocolMismatch({ reason: "Protocol", minProtocol: 3, maxProtocol: 4, expectedProtocol: 5 })],
      ["origin", new OriginNotAllowed({})],
      ["client id", new ClientNotAllowed({ clientId: "cli", clientMode: "cli" })],
      ["challenge", new ChallengeInvalid()],
      ["unknown refusal", new GatewayRejected({ reason: "Refused", code: "X", gatewayMessage: "" })],
      ["upgrade 403", new UpgradeRejected({ status: 403, body: "" })],
      ["upgrade 302", new UpgradeRejected({ status: 302, body: "" })],
      ["proxy 407", new ProxyRejected({ reason: "Credentials", status: 407 })],
      ["proxy 403", new ProxyRejected({ reason: "Refused", status: 403 })],
      ["proxy of an unknown kind", new ProxyRejected({ reason: "Unusable" })],
      ["certificate for another host", untrusted("HostMismatch")],
      ["certificate of an unknown authority", untrusted("UnknownAuthority")],
      ["certificate of its own making", untrusted("SelfSigned")],
      ["another certificate than the pinned one", new TlsPinMismatch({ reason: "Unknown", expected: [], ...seen })],
      ["a renewed certificate", new TlsPinMismatch({ reason: "Rotated", expected: [], ...seen })],
      ["message too big", closed(1009)]
    ]
    it.each(hopeless)("%s halts and keeps its cause", (_, error) => {
      const { decisions } = series([error])
      assert.deepStrictEqual(decisions, [{ _tag: "Halt", cause: error }])
    })
  })

  describe("approval", () => {
    const asked = (history: History, error: PairingRequired, nowMs: number) =>
      RetryPolicy.decide(history, error, now(nowMs))

    it("the first ask begins the wait, a poll keeps it, and a link lost meanwhile keeps it too", () => {
      const [first, decision] = asked({ ...start, attempt: 4, rung: 5 }, pairing("r1"), 1_000)
      assert.deepStrictEqual(decision, { _tag: "AskAgain", notBeforeMs: 1_000 })
      assert.deepInclude(first, { attempt: 0, rung: 0 })
      assert.strictEqual<string | undefined>(first.approval?.requestId, "r1")
      assert.deepInclude(first.approval, { sinceMs: 1_000, lastAskedAtMs: 1_000, replaced: 0 })
      const [second] = asked(first, pairing("r1"), 4_000)
      assert.deepInclude(second.approval, { sinceMs: 1_000, lastAskedAtMs: 4_000, replaced: 0 })
      const [lost, waiting] = RetryPolicy.decide(second, closed(1012), now(5_000))
      assert.strictEqual(waiting._tag, "Wait")
      assert.strictEqual(lost.approval, second.approval)
      const [again] = asked(lost, pairing("r1"), 9_000)
      assert.deepInclude(again.approval, { sinceMs: 1_000, lastAskedAtMs: 9_000, replaced: 0 })
    })

    it("what is asked and what is granted come from the latest answer", () => {
      const [history] = asked(start, pairing("r1", { requestedScopes: ["a"], approvedScopes: ["b"] }), 0)
      assert.deepInclude(history.approval, { requestedScopes: ["a"], approvedScopes: ["b"], reason: "not-paired" })
    })

    it("G05: the third replaced request id halts, and so does no id that comes and goes", () => {
      let history = start
      const decisions = ["r1", "r2", "r2", "r3", "r4"].map((requestId, index) => {
        const [next, decision] = asked(history, pairing(requestId), index * 1_000)
        history = next
        return decision._tag
      })
      assert.deepStrictEqual(decisions, ["AskAgain", "AskAgain", "AskAgain", "AskAgain", "Halt"])
      const [, last] = asked({ ...history }, pairing("r5"), 60_000)
      assert.deepStrictEqual(last, { _tag: "Halt", cause: { _tag: "ApprovalTimedOut", waitedMs: 60_000, replaced: 4 } })
    })

    it("an hour that nobody saw halts, and being seen puts it off", () => {
      const [begun] = asked(start, pairing("r1"), 1_000)
      assert.strictEqual(begun.seenAtMs, 1_000)
      assert.strictEqual(asked(begun, pairing("r1"), 3_600_999)[1]._tag, "AskAgain")
      const [, late] = asked(begun, pairing("r1"), 3_601_000)
      assert.deepStrictEqual(late, {
        _tag: "Halt",
        cause: { _tag: "ApprovalTimedOut", waitedMs: 3_600_000, replaced: 0 }
      })
      assert.strictEqual(asked({ ...begun, seenAtMs: 10_000 }, pairing("r1"), 3_601_000)[1]._tag, "AskAgain")
    })

    it("pauseReconnect is obeyed, unless the gateway says to wait and ask again", () => {
      const pause = (more: Partial<ConstructorParameters<typeof PairingRequired>[0]>) =>
        asked(start, pairing("r1", more), 0)
      const [history, halted] = pause({ pauseReconnect: true })
      assert.strictEqual(halted._tag, "Halt")
      assert.strictEqual<string | undefined>(
        history.approval?.requestId,
        "r1",
        "the notice can still show what to approve"
      )
      assert.strictEqual(pause({ pauseReconnect: true, recommendedNextStep: "wait_then_retry" })[1]._tag, "AskAgain")
      assert.strictEqual(pause({ pauseReconnect: false })[1]._tag, "AskAgain")
    })

    it("retryAfterMs is obeyed: not asked before, not even by a person", () => {
      const [history, decision] = asked(start, pairing("r1", { retryAfterMs: 20_000 }), 1_000)
      assert.deepStrictEqual(decision, { _tag: "AskAgain", notBeforeMs: 21_000 })
      if (history.approval === undefined) return assert.fail("no approval")
      assert.strictEqual(RetryPolicy.nextCheckAtMs(history.approval, true, 21_000, now(1_000)), 21_000)
    })

    const approval = (replaced: number, sinceMs = 0, lastAskedAtMs = sinceMs) => ({
      requestId: undefined,
      reason: "not-paired" as const,
      requestedScopes: undefined,
      approvedScopes: undefined,
      sinceMs,
      lastAskedAtMs,
      replaced
    })
    const pace = (attended: boolean, replaced: number, elapsedMs: number, unit = 0) =>
      RetryPolicy.nextCheckAtMs(approval(replaced, 0, elapsedMs), attended, 0, now(elapsedMs, unit)) - elapsedMs

    it("attended every 3 s; unattended every 15 s for five minutes, then every 60 s", () => {
      assert.strictEqual(pace(true, 0, 0), 3_000)
      assert.strictEqual(pace(true, 0, 10_000_000), 3_000)
      assert.strictEqual(pace(false, 0, 299_999), 15_000)
      assert.strictEqual(pace(false, 0, 300_000), 60_000)
    })

    it("each new request id doubles the interval, never above 240 s", () => {
      assert.deepStrictEqual([0, 1, 2].map((replaced) => pace(true, replaced, 0)), [3_000, 6_000, 12_000])
      assert.deepStrictEqual([0, 1, 2].map((replaced) => pace(false, replaced, 0)), [15_000, 30_000, 60_000])
      assert.deepStrictEqual([0, 1, 2, 9].map((replaced) => pace(false, replaced, 400_000)), [
        60_000,
        120_000,
        240_000,
        240_000
      ])
    })

    it.effect.prop("jitter only shortens, by a tenth at most, and never the attended pace", [
      Unit,
      Schema.Boolean,
      Schema.Literals([0, 1, 2, 3, 7]),
      Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3_600_000 }))
    ], ([unit, attended, replaced, elapsedMs]) =>
      Effect.sync(() => {
        const [without, jittered] = [pace(attended, replaced, elapsedMs), pace(attended, replaced, elapsedMs, unit)]
        assert.isAtMost(jittered, without)
        assert.isAtLeast(jittered, Math.floor(attended ? without : without * 0.9))
        assert.isAtMost(jittered, 240_000, "a gateway drops a request 300 s after the last ask")
      }), checks)
  })

  it("G04: an hour of the policy stays within its budget of attempts, at the least favourable draw", () => {
    const polls = (attended: boolean) => {
      let [history] = RetryPolicy.decide(start, pairing("r1"), now(0))
      let [nowMs, count] = [0, 0]
      while (nowMs < 3_600_000 && history.approval !== undefined) {
        nowMs = RetryPolicy.nextCheckAtMs(history.approval, attended, 0, now(nowMs, 0.999_999))
        count++
        history = RetryPolicy.decide({ ...history, seenAtMs: nowMs }, pairing("r1"), now(nowMs))[0]
      }
      return count
    }
    assert.isAtMost(polls(true), 1_200)
    assert.isAtMost(polls(false), 125)
    let [history, nowMs, attempts] = [start, 0, 0]
    while (nowMs < 3_600_000) {
      const [next, decision] = RetryPolicy.decide(history, closed(1006), now(nowMs))
      history = next
      nowMs = wait(decision).untilMs
      attempts++
    }
    assert.isAtMost(attempts, 250)
  })
})
