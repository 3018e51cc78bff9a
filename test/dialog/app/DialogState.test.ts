import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { DialogState, Happening } from "../../../src/dialog/app/DialogState.ts"
import { initial, step } from "../../../src/dialog/app/DialogState.ts"
import { readEvent } from "../../../src/dialog/app/EventReader.ts"
import { UpgradeEnd } from "../../../src/protocol/PairingNotice.ts"
import type { Wire } from "./support/FakeAgent.ts"
import { connected, deviceId, gateway, identity, notice, requestId, resolved, withoutId } from "./support/States.ts"

const read = (wire: Wire): Happening => {
  const event = readEvent(wire)
  if (event === undefined) throw new Error("unreadable")
  return event
}
const after = (happenings: ReadonlyArray<Happening>, from: DialogState = initial) => happenings.reduce(step, from)
const start = [identity, gateway].map(read)
const dismiss: Happening = { event: "dismiss" }
const cancelled = read({ ...resolved, event: "pairing.cancelled" })
const halted = (error: string) => read({ event: "halted", error: { error, message: "m" } })
const contact = (now: "open" | "lost"): Happening => ({ event: "contact", contact: now })

/** The dialog does not read it, whatever it says. */
const task: Wire = {
  event: "task.failed",
  taskId: "t",
  error: { error: "PairingRequired", message: "pairing required" }
}

const repeats = ["required", "reminder", "renewed", "expiring", "superseded"] as const

describe("DialogState", () => {
  it("F17: a request opens once; what repeats it, at whatever time, does not open it again", () => {
    const opened = after([...start, read(notice("required"))])
    assert.isTrue(opened.open)
    let state = step(opened, dismiss)
    for (const event of repeats) {
      for (const times of [{}, { since: "", expiresAt: "" }, { since: "2031-01-01T00:00:00Z", at: "?" }]) {
        state = step(state, read(notice(event, requestId, times)))
        assert.isFalse(state.open, event)
      }
    }
    state = step(state, read(notice("superseded", "another")))
    assert.isTrue(state.open)
  })

  it("F17: without an id, a request is known by its reason and scopes, in any order", () => {
    const state = after([...start, read(withoutId("required")), dismiss])
    assert.isFalse(
      step(state, read(withoutId("reminder", { requestedScopes: ["operator.write", "operator.read"] }))).open
    )
    assert.isTrue(step(state, read(withoutId("reminder", { requestedScopes: ["operator.read"] }))).open)
    assert.isTrue(step(state, read(withoutId("reminder", { reason: "scope-upgrade" }))).open)
    const expired = step(state, read({ event: "pairing.expired", deviceId, reason: "not-paired" }))
    assert.isFalse(expired.open)
    assert.isFalse(step(expired, read(withoutId("renewed"))).open)
  })

  it("the same id on another gateway, or of another device, is another request", () => {
    const state = after([...start, read(notice("required")), dismiss])
    const elsewhere = after([read({ ...gateway, url: "wss://other.example/" }), read(notice("required"))], state)
    assert.isTrue(elsewhere.open)
    assert.isTrue(step(state, read(notice("required", requestId, { deviceId: "0".repeat(64) }))).open)
  })

  it("what has expired shows no command, and comes back to life without opening again", () => {
    const state = after([...start, read(notice("required")), read({ ...resolved, event: "pairing.expired" })])
    assert.deepInclude(state.stage, { is: "pending", phase: "expired" })
    if (state.stage.is === "pending") {
      assert.isUndefined(state.stage.request.approve)
      assert.deepStrictEqual(state.stage.request.requested, ["operator.read", "operator.write"])
    }
    const renewed = step(step(state, dismiss), read(notice("renewed")))
    assert.deepInclude(renewed.stage, { is: "pending", phase: "kept" })
    assert.isFalse(renewed.open)
  })

  it("an approval closes the dialog at once, and is kept for the reader", () => {
    const pending = after([...start, read(notice("required"))])
    const over = { open: false, stage: { is: "over", end: "resolved" } } as const
    assert.deepInclude(step(pending, read(resolved)), over)
    assert.deepInclude(after([dismiss, read(resolved)], pending), over)
    assert.deepInclude(after([read(resolved), { event: "reopen" }], pending), over)
    assert.deepInclude(after([read(resolved), dismiss], pending), { open: false, stage: { is: "idle" } })
    assert.deepInclude(step(pending, cancelled), { open: false, stage: { is: "idle" } })
    assert.strictEqual(after([...start, read(resolved)]).stage.is, "idle")
  })

  it("B03: each way in which a wish for more scopes ends is kept for the reader", () => {
    const pending = after([...start, read(connected), read(notice("required", requestId, { connected: true }))])
    assert.isTrue(pending.open)
    for (const end of UpgradeEnd.literals) {
      const declined = read({ ...resolved, event: "pairing.cancelled", outcome: end })
      assert.deepInclude(step(pending, declined), { open: false, stage: { is: "over", end } })
      assert.deepInclude(after([dismiss, declined], pending), { open: false, stage: { is: "over", end } })
      assert.deepInclude(after([declined, dismiss], pending), { open: false, stage: { is: "idle" } })
    }
    assert.deepInclude(step(pending, read(resolved)).stage, { is: "over", end: "widened" })
    const expired = step(pending, read({ ...resolved, event: "pairing.expired" }))
    assert.deepInclude(step(expired, read(resolved)).stage, { is: "over", end: "widened" })
  })

  it("after a gap, being connected does not say that more scopes were approved", () => {
    const pending = after([...start, read(connected), read(notice("required", requestId, { connected: true }))])
    const back = after([contact("open"), contact("lost"), contact("open"), read(connected)], pending)
    assert.deepInclude(step(back, { event: "caught-up" }), { open: false, stage: { is: "idle" } })
  })

  it("a later wait opens again, even where a gateway repeats the id or sends none", () => {
    for (const request of [notice("required"), withoutId("required")]) {
      assert.isTrue(after([...start, read(request), dismiss, read(resolved), read(request)]).open)
      assert.isTrue(after([...start, read(request), dismiss, cancelled, read(request)]).open)
    }
  })

  it("a halt opens once, whether it or the end of its notice comes first, and a new attempt ends it", () => {
    const pending = after([...start, read(notice("required"))])
    for (const order of [[halted("A"), cancelled], [cancelled, halted("A")]]) {
      const state = after(order, pending)
      assert.strictEqual(state.stage.is, "halted")
      assert.isTrue(state.open)
      assert.isFalse(after([dismiss, halted("A")], state).open)
      assert.isTrue(after([dismiss, halted("B")], state).open)
      for (const event of ["connecting", "connected", "paused", "stopped"]) {
        assert.strictEqual(step(state, read({ event })).stage.is, "idle")
      }
    }
  })

  it("after a gap, a request that is named again stays as it was, and one that is not has ended", () => {
    for (const gap of [[contact("lost"), contact("open")], [contact("open")]]) {
      const pending = after([...start, read(notice("required")), contact("open"), ...gap])
      const told = after([...start, read(notice("reminder")), { event: "caught-up" }], step(pending, dismiss))
      assert.deepInclude(told.stage, { is: "pending" })
      assert.isFalse(told.open)
      assert.strictEqual(after([...start, read(connected), { event: "caught-up" }], pending).stage.is, "over")
      assert.strictEqual(after([...start, { event: "caught-up" }], pending).stage.is, "idle")
    }
    assert.strictEqual(after([...start, read(notice("required")), { event: "caught-up" }]).stage.is, "pending")
  })

  it.effect.prop(
    "F17: whatever happens, nothing opens what was dismissed but another request, another failure or the reader",
    [Arbitrary.array(
      Arbitrary.schema(
        Schema.Literals([
          "required",
          "reminder",
          "expiring",
          "expired",
          "renewed",
          "superseded",
          "check",
          "lost",
          "open",
          "caught-up",
          "waiting",
          "connected",
          "task",
          "gateway"
        ])
      ),
      { maxLength: 20 }
    )],
    ([names]) =>
      Effect.sync(() => {
        const others: Readonly<Record<string, Happening>> = {
          check: { event: "check", check: { checking: true, nextCheckAt: 5 } },
          lost: contact("lost"),
          open: contact("open"),
          "caught-up": { event: "caught-up" },
          expired: read({ ...resolved, event: "pairing.expired" }),
          waiting: read({ event: "waiting", cause: { error: "LinkError" }, retryAt: "" }),
          connected: read(connected),
          gateway: read(gateway)
        }
        let state = after([...start, read(notice("required")), dismiss])
        let ended = false
        for (const name of names) {
          if (name === "task") assert.isUndefined(readEvent(task))
          else state = step(state, others[name] ?? read(notice(name)))
          if (state.stage.is === "idle") ended = true
          assert.isTrue(ended || !state.open)
        }
      }),
    { arbitrary: { seed: 3, runs: 500 } }
  )
})
