import { assert, describe, it } from "@effect/vitest"
import type { Finding } from "../../src/tasks/ChatHistory.ts"
import type { Facts, RunEnd } from "../../src/tasks/HistoryVerdict.ts"
import { judge } from "../../src/tasks/HistoryVerdict.ts"

const unknownRun: Facts = {
  runId: "r1",
  answered: false,
  received: false,
  over: false,
  merged: false,
  aborted: false,
  partial: "so far",
  idleReads: 0,
  renamed: false
}
const findings: ReadonlyArray<Finding> = [
  { _tag: "Running" },
  { _tag: "Replied", text: "done", atMs: 1 },
  { _tag: "Replied", text: "do", atMs: 1, shortened: { messageId: "m" } },
  { _tag: "Failed", text: "no credit" },
  { _tag: "Aborted", text: "half" },
  { _tag: "NoReply" },
  { _tag: "Absent" },
  { _tag: "Unreadable" }
]
const ends: ReadonlyArray<RunEnd | undefined> = [
  undefined,
  { _tag: "Ended" },
  { _tag: "Failed", text: "no credit" },
  { _tag: "NotKnown" }
]
/** Every combination of facts, history, and what the gateway says beside it. */
const combinations = function*() {
  for (let bits = 0; bits < 2 ** 9; bits++) {
    const bit = (index: number) => (bits >> index) % 2 === 1
    const known = {
      ...unknownRun,
      received: bit(0),
      answered: bit(0) && bit(1),
      over: bit(2),
      merged: bit(3),
      aborted: bit(4),
      renamed: bit(5),
      short: bit(7) ? { text: "d", atMs: 1 } : undefined,
      heard: bit(8)
    }
    const restarted = bit(6)
    for (const finding of findings) {
      for (const busy of [undefined, false, true]) {
        for (const end of ends) {
          for (const idleReads of [0, 1, 2]) {
            const facts: Facts = { ...known, end, idleReads }
            yield { facts, finding, busy, restarted, verdict: judge(facts, finding, busy, restarted) }
          }
        }
      }
    }
  }
}
const all = [...combinations()]
type Judged = (typeof all)[number]

const check = (law: (judged: Judged) => boolean) => {
  for (const judged of all) if (!law(judged)) assert.fail(JSON.stringify(judged))
}

describe("HistoryVerdict", () => {
  it("G15: a message is sent again only if history lacks it and no word of the gateway says that it has it", () => {
    check(({ facts, finding, restarted, verdict }) =>
      verdict._tag !== "SendAgain"
      || (finding._tag === "Absent" && !facts.received && !facts.over && !restarted && !facts.aborted)
    )
    assert.strictEqual(judge(unknownRun, { _tag: "Absent" }, false, false)._tag, "SendAgain")
  })

  it("G14: nothing is given up while the session is busy, or may be", () => {
    check(({ busy, facts, verdict }) =>
      verdict._tag !== "Finish" || verdict.outcome._tag !== "Unknown" || busy === false
      || (busy === undefined && !facts.merged)
    )
  })

  it("the gateway is asked how a run ended at most once for a look", () => {
    check(({ facts, verdict }) => verdict._tag !== "AskHowItEnded" || facts.end === undefined)
  })

  it("a task ends as Unknown or without text only at the second idle look in a row", () => {
    check(({ facts, verdict }) => verdict._tag !== "Finish" || !verdict.runOver || facts.idleReads > 0)
    check(({ verdict }) => verdict._tag !== "LookAgain" || verdict.idleReads < 3)
  })

  it("what history shows of the end is the end, whatever else is known", () => {
    check(({ busy, facts, finding, verdict }) => {
      const end = { Replied: "Completed", Failed: "Failed", Aborted: "Aborted" } as const
      if (finding._tag !== "Replied" && finding._tag !== "Failed" && finding._tag !== "Aborted") return true
      if (finding._tag === "Replied" && facts.merged && busy === true) return verdict._tag === "LookAgain"
      if (finding._tag === "Replied" && finding.shortened !== undefined) return verdict._tag === "FetchWhole"
      return verdict._tag === "Finish" && verdict.outcome._tag === end[finding._tag]
    })
  })

  it("what is short is never told as whole, and what was told of a reply is not lost", () => {
    check(({ facts, verdict }) => {
      if (verdict._tag !== "Finish" || verdict.outcome._tag !== "Completed") return true
      return (verdict.outcome.truncated === true) === (facts.short !== undefined && verdict.outcome.text === "d")
    })
    check(({ facts, verdict }) =>
      facts.short === undefined || verdict._tag !== "Finish" || verdict.outcome._tag !== "Unknown"
    )
  })

  it("a run that was heard under the gateway's name of the session is listened to, not given up", () => {
    check(({ facts, verdict }) =>
      !facts.heard || facts.over || verdict._tag !== "Finish" || verdict.outcome._tag !== "Unknown"
    )
  })

  it("evidence says what the look showed, and nothing while the run is seen at work or merged into another", () => {
    check(({ facts, finding, verdict }) => {
      if (verdict._tag !== "LookAgain") return true
      const listens = facts.heard === true && !facts.over
      const silent = (finding._tag === "NoReply" || finding._tag === "Absent") && !facts.merged && !listens
      const expected = silent ? finding._tag : finding._tag === "Unreadable" ? "Unavailable" : undefined
      return verdict.evidence?.history === expected
        && (verdict.evidence === undefined || verdict.evidence.answered === facts.answered)
    })
  })

  it("a run that the gateway says is over ended without text if its message is there, and is unknown if it is not", () => {
    const facts: Facts = { ...unknownRun, answered: true, received: true, over: true, idleReads: 1 }
    const outcome = (finding: Finding) => {
      const verdict = judge(facts, finding, undefined, false)
      return verdict._tag === "Finish" ? verdict.outcome : verdict._tag
    }
    assert.deepStrictEqual(outcome({ _tag: "NoReply" }), { _tag: "Completed", text: "", atMs: undefined })
    assert.deepStrictEqual(outcome({ _tag: "Absent" }), {
      _tag: "Unknown",
      evidence: { answered: true, history: "Absent" }
    })
  })
})
