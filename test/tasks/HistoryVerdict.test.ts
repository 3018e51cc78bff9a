import { assert, describe, it } from "@effect/vitest"
import type { Finding } from "../../src/tasks/ChatHistory.ts"
import type { EmptyEnd, Facts } from "../../src/tasks/HistoryVerdict.ts"
import { judge, judgeEnd } from "../../src/tasks/HistoryVerdict.ts"
import type { RunEnd } from "../../src/tasks/RunEnd.ts"

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
  { _tag: "Ended", reply: undefined },
  { _tag: "Ended", reply: { text: "done", atMs: 1, cut: false } },
  { _tag: "Ended", reply: { text: "do", atMs: 1, cut: true } },
  { _tag: "Ended", reply: { text: "", atMs: 1, cut: false } },
  { _tag: "Failed", text: "no credit" },
  { _tag: "Aborted" },
  { _tag: "Pending" },
  { _tag: "NotKnown" }
]
const emptyEnds: ReadonlyArray<EmptyEnd | undefined> = [undefined, "Final", "Aborted"]
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
          for (const [index, emptyEnd] of emptyEnds.entries()) {
            const idleReads = (index + bits) % 3
            const facts: Facts = { ...known, end, emptyEnd, idleReads }
            yield { facts, finding, busy, restarted, verdict: judge(facts, finding, busy, restarted) }
          }
        }
      }
    }
  }
}
const all = [...combinations()]
type Judged = (typeof all)[number]

/** The gateway gave the reply or a part of it, or says that there is none. */
const hasReply = ({ end }: Facts): boolean =>
  end?._tag === "Aborted" || (end?._tag === "Ended" && end.reply !== undefined && end.reply.text !== "")

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

  it("G14: how the gateway says that a run ended is how the task ends, before history is read", () => {
    for (const partial of ["", "so far"]) {
      const said = (end: RunEnd) => judgeEnd({ ...unknownRun, partial }, end)?.outcome._tag
      assert.strictEqual(said({ _tag: "Failed", text: "no credit" }), "Failed")
      for (
        const end of [{ _tag: "Aborted" }, { _tag: "Pending" }, { _tag: "NotKnown" }, {
          _tag: "Ended",
          reply: undefined
        }] as const
      ) {
        assert.isUndefined(said(end))
      }
    }
  })

  it("silence is the whole reply, and any text may be its last part alone", () => {
    const reply = (partial: string, text: string, cut = false) =>
      judgeEnd({ ...unknownRun, partial }, { _tag: "Ended", reply: { text, atMs: 1, cut } })?.outcome
    assert.deepStrictEqual(reply("", ""), { _tag: "Completed", text: "", atMs: 1 })
    assert.isUndefined(reply("so", ""))
    assert.isUndefined(reply("so", "so far"))
  })

  it("what the gateway gave of the reply is told, whole or as the end of what history has", () => {
    check(({ facts, verdict }) => {
      const { end } = facts
      if (end?._tag !== "Ended" || end.reply === undefined || end.reply.text === "") return true
      if (verdict._tag === "LookAgain") return end.reply.cut
      if (verdict._tag === "FetchWhole") return end.reply.cut && verdict.short.text.length >= end.reply.text.length
      return verdict._tag === "Finish" && verdict.outcome._tag === "Completed"
        && verdict.outcome.text.includes(end.reply.text)
    })
  })

  it("F51: a run that the gateway says was aborted is told as that, with all that it is known to have written", () => {
    check(({ facts, finding, verdict }) => {
      if (facts.end?._tag !== "Aborted") return true
      const written = "text" in finding && finding._tag !== "Failed" ? finding.text : ""
      return verdict._tag === "Finish" && verdict.outcome._tag === "Aborted"
        && verdict.outcome.text.length === Math.max(written.length, facts.partial.length)
    })
  })

  it("F51: an end without text holds where nothing speaks against it, and is no reason for Unknown", () => {
    check(({ facts, finding, verdict }) => {
      if (facts.emptyEnd === undefined || facts.merged || facts.end?._tag === "Aborted") return true
      if (verdict._tag !== "Finish") return true
      const ends: ReadonlyArray<string> = ["Completed", "Aborted", "Failed"]
      return ends.includes(verdict.outcome._tag) && (finding._tag !== "Failed" || verdict.outcome._tag !== "Aborted")
    })
  })

  it("a task ends as Unknown or without text only at the second idle look in a row", () => {
    check(({ facts, verdict }) =>
      hasReply(facts) || verdict._tag !== "Finish" || !verdict.runOver || facts.idleReads > 0
    )
    check(({ verdict }) => verdict._tag !== "LookAgain" || verdict.idleReads < 3)
  })

  it("what history shows of the end is the end, whatever else is known", () => {
    check(({ busy, facts, finding, verdict }) => {
      if (hasReply(facts)) return true
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
      const isShort = (facts.short !== undefined && verdict.outcome.text === "d") || verdict.outcome.text === "do"
      return (verdict.outcome.truncated === true) === isShort
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
      if (verdict._tag !== "LookAgain" || hasReply(facts) || facts.end?._tag === "Pending") return true
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
