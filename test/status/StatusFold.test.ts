import { assert, describe, it } from "@effect/vitest"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { AgentEvent } from "../../src/protocol/AgentEvent.ts"
import { DeviceId } from "../../src/protocol/Connect.ts"
import { posixCommand } from "../../src/protocol/ShellCommand.ts"
import type { Moment } from "../../src/status/ReportOf.ts"
import { differs, reportOf } from "../../src/status/ReportOf.ts"
import { nothingTold, recentEvents, step } from "../../src/status/StatusFold.ts"
import { decodeAnswer, decodeRequest, encodeAnswer, encodeRequest } from "../../src/status/StatusProtocol.ts"
import { StatusReport } from "../../src/status/StatusReport.ts"
import * as StatusText from "../../src/status/StatusText.ts"

const about = {
  command: "run",
  pid: 42,
  program: "0.1.0",
  nodejs: "v24.0.0",
  startedAtMs: 1_000_000,
  configured: "token"
} as const

const moment: Moment = {
  nowMs: 1_060_000,
  uptimeMs: 60_000,
  status: { _tag: "Connecting", attempt: 1 },
  sinceMs: 1_000_000,
  stored: false
}

const at = "2026-11-27T10:00:00.000Z"
const told = (...events: ReadonlyArray<AgentEvent>) => events.reduce(step, nothingTold)
const failure = { error: "LinkError", reason: "Unreachable", message: "gateway link could not be opened" }
const secretText = "the-text-of-a-task"

describe("what is remembered of an agent's events", () => {
  it("counts tasks by state, and forgets those that ended", () => {
    const state = told(
      { at, event: "task.queued", taskId: "a", reason: "Offline" },
      { at, event: "task.queued", taskId: "b", reason: "Offline" },
      { at, event: "task.sent", taskId: "b", runId: "r" },
      { at, event: "task.sent", taskId: "c", runId: "r" },
      { at, event: "task.reply", taskId: "c", runId: "r", text: secretText },
      { at, event: "task.failed", taskId: "d", error: failure }
    )
    assert.deepStrictEqual(reportOf(about, state, moment).tasks, { queued: 1, sent: 1, replied: 1, failed: 1 })
  })

  it("names no command for a request that the gateway has dropped", () => {
    const request = {
      at,
      deviceId: DeviceId.make("a".repeat(64)),
      reason: "not-paired",
      since: at,
      expiresAt: at
    } as const
    const list = posixCommand(["openclaw", "devices", "list"])
    const asked = told({ ...request, event: "pairing.required", list })
    assert.isDefined(asked.pairing)
    assert.isUndefined(step(asked, { ...request, event: "pairing.expired" }).pairing)
  })

  it("keeps no text of a task, and neither the page's address", () => {
    const state = told(
      { at, event: "page", url: "http://127.0.0.1:1/#page-token" },
      { at, event: "task.queued", taskId: "a", summary: secretText, reason: "Offline" },
      { at, event: "task.text", taskId: "a", from: 0, text: secretText },
      { at, event: "task.reply", taskId: "a", runId: "r", text: secretText }
    )
    assert.notInclude(JSON.stringify([state.recent, reportOf(about, state, moment)]), secretText)
    assert.notInclude(JSON.stringify(state.recent), "page-token")
  })

  it.prop(
    "keeps so many events of the connection, and every report can be sent",
    [Schema.Array(AgentEvent)],
    ([events]) => {
      const state = told(...events)
      assert.isAtMost(state.recent.length, recentEvents)
      const report = reportOf(about, state, moment)
      assert.isTrue(Schema.is(StatusReport)(report))
      const answer = decodeAnswer(encodeAnswer({ report, recent: state.recent }).trimEnd())
      assert.deepStrictEqual(Option.getOrUndefined(answer)?.report, report)
      for (const line of StatusText.lines(report)) assert.notMatch(line, /\p{Cc}/u)
    },
    { arbitrary: { seed: 1, runs: 200 } }
  )

  it("a failure is shown while it holds, and as the last error afterwards", () => {
    const waiting: AgentEvent = { at, event: "waiting", cause: failure, retryAt: at }
    const status = { _tag: "Waiting", retryAtMs: 1_070_000 } as never
    const during = reportOf(about, told(waiting), { ...moment, status })
    assert.deepStrictEqual([during.state, during.cause], ["waiting", failure])
    const after = reportOf(about, told(waiting, { at, event: "connecting", attempt: 2 }), moment)
    assert.deepStrictEqual([after.state, after.cause, after.lastError], ["connecting", undefined, {
      at,
      error: failure
    }])
  })

  it("the wall clock's own steps are told apart from the time that passed", () => {
    const report = reportOf(about, nothingTold, { ...moment, nowMs: moment.nowMs + 600_000 })
    assert.strictEqual(report.clockStepMs, 600_000)
    assert.isTrue(StatusText.lines(report).some((line) => line.startsWith("clock") && line.includes("10 min")))
    assert.isFalse(StatusText.lines(reportOf(about, nothingTold, moment)).some((line) => line.startsWith("clock")))
  })

  it("two reports differ by more than the time that passed", () => {
    const report = reportOf(about, nothingTold, moment)
    assert.isFalse(differs(report, reportOf(about, nothingTold, { ...moment, nowMs: 1_090_000, uptimeMs: 90_000 })))
    assert.isTrue(differs(report, reportOf(about, told({ at, event: "task.sent", taskId: "c", runId: "r" }), moment)))
  })
})

describe("the lines of the socket", () => {
  it("a request is what it was encoded from, and nothing else is one", () => {
    for (const ask of ["report", "watch", "recent"] as const) {
      assert.strictEqual(Option.getOrUndefined(decodeRequest(encodeRequest(ask).trimEnd()))?.ask, ask)
    }
    for (const text of ["", "{}", "1", `{"version":2,"ask":"report"}`, `{"version":1,"ask":"stop"}`]) {
      assert.isTrue(Option.isNone(decodeRequest(text)), text)
    }
  })
})

describe("time as people say it", () => {
  it("has two units at most", () => {
    const shown = [0, 999, 59_400, 60_000, 3_725_000, 90_061_000].map(StatusText.span)
    assert.deepStrictEqual(shown, ["0 s", "1 s", "59 s", "1 min", "1 h 2 min", "1 d 1 h"])
  })
  it("says whose clock is ahead", () => {
    assert.include(StatusText.clockWords(600_000), "10 min behind")
    assert.include(StatusText.clockWords(-600_000), "10 min ahead of")
    assert.include(StatusText.clockWords(3), "agree")
  })
})
