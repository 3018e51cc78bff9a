/**
 * Tasks on the pure step, with what an interpreter owes them kept as plain data: requests and timers that are under way, the
 * journal, lanes. Moves are drawn; each law of the step is checked at every move.
 */
import { assert } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { AnswerInvalid, MissingScope, RequestRejected, RequestTimeout } from "../../src/connection/RequestError.ts"
import { LinkError } from "../../src/link/LinkError.ts"
import type { AgentPhase, ChatEvent } from "../../src/tasks/ChatEvent.ts"
import type { Finding } from "../../src/tasks/ChatHistory.ts"
import type { Whole } from "../../src/tasks/HistoryVerdict.ts"
import type { RunEnd } from "../../src/tasks/RunEnd.ts"
import type { TaskOutcome, TaskState } from "../../src/tasks/Task.ts"
import { RunId, stateAfter, TaskId } from "../../src/tasks/Task.ts"
import type { Action, Activity, Input, Rules, Stepped, TaskLife, Timer } from "../../src/tasks/TaskLife.ts"
import { begin, isMerged, isOpen, stateOf } from "../../src/tasks/TaskLife.ts"

/** A number picks one of the moves that are possible, and what about it is left open. Nothing happens with 0. */
export const Moves = Arbitrary.array(
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 30 }))),
  { minLength: 60, maxLength: 60 }
)

/** The moves of the world, and those of a task. The more often one stands here, the more often it is made. */
const worldMoves = [
  "delegate",
  "delegate",
  "inherit",
  "link",
  "link",
  "link",
  "drop",
  "lose events",
  "gateway",
  "suspend"
] as const
const taskMoves = [
  "request",
  "request",
  "request",
  "request",
  "abort answer",
  "write",
  "write",
  "write",
  "pause",
  "secondError",
  "deadline",
  "hold",
  "chat",
  "agent",
  "misaddressed",
  "other run ended",
  "abort",
  "break",
  "stray"
] as const

/** Cheaper than an assertion that describes itself: there are many thousands a second. */
const must = (holds: boolean, law: string) => {
  if (!holds) assert.fail(law)
}

interface Subject {
  life: TaskLife
  readonly lane: number
  /** One of the requests that go one at a time. */
  request: Extract<Action["_tag"], "Send" | "ReadHistory" | "AskHowItEnded" | "FetchWhole"> | undefined
  aborting: boolean
  /** Somebody waits to be told how the abort went. */
  abortOwed: boolean
  readonly timers: Set<Timer>
  readonly writes: Array<"Save" | "Forget">
  inJournal: boolean
  forgotten: boolean
  leftLane: boolean
  /** Nothing that the gateway said since the last send speaks against giving it the message (again). */
  maySend: boolean
  /** The gateway refused it for now, and the time that it named is not over. */
  mustWait: boolean
  /** Nothing has happened since history was asked for, but that it was answered. */
  quiet: boolean
  /** How subscribers know it to stand, if they were told. */
  told: TaskState | undefined
  /** A link had it, in this process or an earlier one. */
  given: boolean
  /** The gateway said that it has the message. */
  received: boolean
  /** Its abort was wanted while it was open. */
  abortWanted: boolean
  readonly readsAtMs: Array<number>
  sends: number
  ends: number
  lateReplies: number
  outcome: TaskOutcome | undefined
}

type Some<A> = readonly [A, ...ReadonlyArray<A>]
const pickFrom = <A>(all: Some<A>, pick: number): A => all[pick % all.length] ?? all[0]

const linkLost = new LinkError({ reason: "Closed", phase: "session" })
const timeout = new RequestTimeout({ method: "a", timeoutMs: 30_000 })
const rejected = new RequestRejected({ method: "a", code: "UNAVAILABLE", gatewayMessage: "no" })
const later = new RequestRejected({ method: "a", code: "UNAVAILABLE", gatewayMessage: "wait", retryAfterMs: 700 })
const retryable = new RequestRejected({ method: "a", code: "UNAVAILABLE", gatewayMessage: "full", retryable: true })
const missingScope = new MissingScope({ method: "a", scope: "operator.write" })
const unreadable = new AnswerInvalid({ method: "a" })

const chats: Some<ChatEvent> = [
  { _tag: "Status", phase: "model" },
  { _tag: "Delta", text: "so" },
  { _tag: "Final", text: "done", atMs: 1 },
  { _tag: "Final", text: "", atMs: undefined },
  { _tag: "Error", text: "no credit" },
  { _tag: "Aborted", text: "half" },
  { _tag: "Final", text: "do", atMs: 1, shortened: true },
  { _tag: "Aborted", text: "", uncertain: true }
]
const phases: Some<AgentPhase | undefined> = [
  undefined,
  { stream: "lifecycle", label: "start", turn: "Begins" },
  { stream: "lifecycle", label: "end", turn: "Ends" }
]
const findings: Some<Finding> = [
  { _tag: "Running" },
  { _tag: "Replied", text: "done", atMs: 1 },
  { _tag: "Failed", text: "no credit" },
  { _tag: "Aborted", text: "half" },
  { _tag: "NoReply" },
  { _tag: "Absent" },
  { _tag: "Absent" },
  { _tag: "Absent" },
  { _tag: "Unreadable" },
  { _tag: "Replied", text: "d", atMs: 1, shortened: { messageId: "m" } }
]
const wholes: Some<Whole> = [
  { _tag: "Whole", text: "done" },
  { _tag: "Short", text: "don" },
  { _tag: "NotGiven" },
  { _tag: "Failed", linkLost: false },
  { _tag: "Failed", linkLost: true }
]
const runEnds: Some<RunEnd> = [
  { _tag: "NotKnown" },
  { _tag: "NotKnown" },
  { _tag: "Ended", reply: undefined },
  { _tag: "Ended", reply: { text: "done", atMs: 1, cut: false } },
  { _tag: "Ended", reply: { text: "", atMs: 1, cut: false } },
  { _tag: "Ended", reply: { text: "do", atMs: 1, cut: true } },
  { _tag: "Failed", text: "no credit" },
  { _tag: "Aborted" },
  { _tag: "Pending" }
]
/** What is less than the reply. */
const shortTexts: ReadonlySet<string> = new Set(["d", "do", "don"])
const sendAnswers: Some<Extract<Input, { readonly _tag: "SendAnswered" }>["answer"]> = [
  Result.succeed({ status: "started" }),
  Result.succeed({ status: "ok" }),
  Result.succeed({ status: "in_flight", runId: "theirs" }),
  Result.succeed({ aborted: true, runIds: [] }),
  Result.fail(linkLost),
  Result.fail(linkLost),
  Result.fail(timeout),
  Result.fail(timeout),
  Result.fail(rejected),
  Result.fail(later),
  Result.fail(later),
  Result.fail(retryable),
  Result.fail(missingScope),
  Result.fail(unreadable)
]
const abortAnswers: Some<Extract<Input, { readonly _tag: "AbortAnswered" }>["answer"]> = [
  Result.succeed(true),
  Result.succeed(false),
  Result.fail(linkLost),
  Result.fail(timeout),
  Result.fail(rejected)
]

const timers: Some<Timer> = ["deadline", "pause", "secondError", "hold"]

/** Everything that the step may be told, in any stage. */
const anyInput = (pick: number, nowMs: number): Input =>
  pickFrom<Input>([
    { _tag: "Turn" },
    { _tag: "Saved", ok: pick % 2 === 0 },
    { _tag: "SendAnswered", answer: pickFrom(sendAnswers, pick), shared: pick % 3 === 0 },
    historyRead(pick, nowMs),
    { _tag: "HistoryFailed", linkLost: pick % 2 === 0 },
    { _tag: "EndAnswered", end: pickFrom(runEnds, pick), linkLost: pick % 2 === 0 },
    { _tag: "WholeFetched", whole: pickFrom(wholes, pick) },
    { _tag: "ChatTold", event: pickFrom(chats, pick) },
    { _tag: "AgentTold", phase: undefined },
    misaddressed(pick),
    { _tag: "OtherRunEnded" },
    { _tag: "Hearing", deaf: pick % 2 === 0 },
    { _tag: "TimerDue", timer: pickFrom(timers, pick) },
    { _tag: "AbortAnswered", answer: pickFrom(abortAnswers, pick) },
    { _tag: "Broken" }
  ], pick)

const names: Some<string> = ["agent:main:work", "agent:main:play"]
const misaddressed = (pick: number): Input => ({
  _tag: "Misaddressed",
  told: pickFrom(names, pick),
  event: pickFrom([undefined, ...chats], Math.floor(pick / 2))
})

const historyRead = (pick: number, nowMs: number): Extract<Input, { readonly _tag: "HistoryRead" }> => ({
  _tag: "HistoryRead",
  history: {
    finding: pickFrom(findings, pick),
    busy: pickFrom([undefined, false, true], Math.floor(pick / 10)),
    unkept: pick % 5 === 0,
    sessionKey: pickFrom([undefined, ...names], Math.floor(pick / 7)),
    renamed: pick % 7 === 0,
    gatewayStartedAtMs: pickFrom([undefined, 0, nowMs + 1], Math.floor(pick / 30))
  }
})

export class TaskWorld {
  readonly subjects: Array<Subject> = []
  /** Tasks that did not leave their lane, in order. */
  readonly lanes: ReadonlyArray<Array<Subject>> = [[], []]
  readonly log: Array<string> = []
  linked = false
  away = false
  suspended = false
  nowMs = 1_000_000
  readonly rules: Rules
  readonly step: (rules: Rules, life: TaskLife, input: Input, nowMs: number) => Stepped

  constructor(step: TaskWorld["step"], abortExpired: boolean) {
    this.step = step
    this.rules = { timeoutMs: 180_000, abortExpired }
  }

  move(code: number) {
    if (code === 0) return
    this.nowMs += 10
    const subject = this.subjects[code % 5]
    const rest = Math.floor(code / 5)
    if (subject === undefined) {
      const move = pickFrom(worldMoves, rest)
      this.log.push(move)
      return this.moveWorld(move, Math.floor(rest / worldMoves.length))
    }
    const move = pickFrom(taskMoves, rest)
    const pick = Math.floor(rest / taskMoves.length) % 1000
    this.log.push(`${move} ${code % 5} ${pick}`)
    return this.moveTask(subject, move, pick)
  }

  private moveWorld(move: (typeof worldMoves)[number], pick: number) {
    switch (move) {
      case "delegate":
      case "inherit":
        return this.subjects.length < 4 ? this.accept(move === "inherit", pick) : undefined
      case "link":
        return this.linked || this.away ? undefined : this.setLink(true)
      case "drop":
        return this.linked ? this.setLink(false) : undefined
      case "lose events":
        if (!this.linked) return
        this.setLink(false)
        return this.setLink(true)
      case "gateway":
        return pick % 3 > 0 && !this.away ? undefined : this.changeGateway()
      case "suspend":
        return this.suspend(!this.suspended)
    }
  }

  private moveTask(subject: Subject, move: (typeof taskMoves)[number], pick: number) {
    const { life } = subject
    // Nobody tells of a run that no link had.
    const heard = life.stage._tag !== "Waiting" || life.subject.inherited
    switch (move) {
      case "request":
      case "abort answer":
      case "write":
      case "pause":
        return this.goOn(subject, move, pick)
      case "deadline":
        return pick % 4 > 0 ? undefined : this.fire(subject, move)
      case "secondError":
      case "hold":
        return this.fire(subject, move)
      case "chat":
        return heard ? this.hear(subject, { _tag: "ChatTold", event: pickFrom(chats, pick) }) : undefined
      case "agent":
        return heard ? this.hear(subject, { _tag: "AgentTold", phase: pickFrom(phases, pick) }) : undefined
      case "misaddressed":
        return this.put(subject, misaddressed(pick))
      case "other run ended":
        return this.put(subject, { _tag: "OtherRunEnded" })
      case "abort":
        return pick % 4 > 0 ? undefined : this.want(subject, pick % 8 === 0 ? "Caller" : "OtherProcess")
      case "break":
        return pick % 20 > 0 ? undefined : this.put(subject, { _tag: "Broken" })
      case "stray":
        return this.stray(subject, pick)
    }
  }

  /** Lets something come to its end that is under way: this if possible, else something else. */
  private goOn(subject: Subject, first: "request" | "abort answer" | "write" | "pause", pick: number) {
    const { aborting, request, timers, writes } = subject
    const under = {
      request: request !== undefined,
      "abort answer": aborting,
      write: writes.length > 0,
      pause: timers.has("pause")
    }
    const others = ["write", "request", "pause", "abort answer"] as const
    switch (under[first] ? first : others.find((what) => under[what])) {
      case "request":
        return this.answer(subject, pick)
      case "abort answer":
        return this.put(subject, { _tag: "AbortAnswered", answer: pickFrom(abortAnswers, pick) })
      case "write":
        return this.write(subject, pick % 8 > 0)
      case "pause":
        return this.fire(subject, "pause")
      case undefined:
        return
    }
  }

  private suspend(suspended: boolean) {
    this.suspended = suspended
    for (const each of this.subjects) this.put(each, this.connection())
  }

  private changeGateway() {
    if (this.linked) this.setLink(false)
    this.away = !this.away
    for (const each of this.subjects) this.put(each, this.connection())
  }

  private write(subject: Subject, ok: boolean) {
    const write = subject.writes.shift()
    if (write === "Forget") subject.inJournal = false
    if (write === "Save") this.put(subject, { _tag: "Saved", ok })
  }

  /** Lets every request be answered and every timer be due, until nothing is under way any more. */
  finish() {
    this.log.push("finish")
    if (this.away) this.changeGateway()
    if (this.suspended) this.suspend(false)
    for (let turn = 0; turn < 100 && this.subjects.some(({ leftLane }) => !leftLane); turn++) {
      if (!this.linked) this.setLink(true)
      for (const subject of this.subjects) {
        while (subject.writes.length > 0) this.write(subject, true)
        // The link is lost, or there is no history, so that only time ends a task.
        if (subject.request !== undefined) this.answer(subject, subject.request === "Send" ? 6 : 7)
        if (subject.aborting) this.put(subject, { _tag: "AbortAnswered", answer: Result.fail(timeout) })
        for (const timer of timers) this.fire(subject, timer)
      }
    }
    for (const { leftLane, life } of this.subjects) {
      assert.isFalse(isOpen(life), "a task does not end, though its time is up")
      assert.isTrue(leftLane, "a task that has ended keeps its lane for ever")
    }
  }

  private connection(): Input {
    return { _tag: "ConnectionChanged", waitsFor: this.waitsFor(), away: this.away }
  }

  private waitsFor() {
    return !this.linked ? "Offline" : this.suspended ? "Suspended" : undefined
  }

  private setLink(linked: boolean) {
    this.linked = linked
    if (!linked) { for (const subject of this.subjects) this.put(subject, { _tag: "LinkLost" }) }
    for (const subject of this.subjects) this.put(subject, this.connection())
    if (linked) { for (const subject of this.subjects) this.put(subject, { _tag: "LinkUp" }) }
  }

  private accept(inherited: boolean, pick: number) {
    const index = this.subjects.length
    const lane = pick % 2
    const queue = this.lanes[lane] ?? assert.fail("no such lane")
    // 0: unsent, 1: sent, 2: answered, 3: merged into another run
    const kind = inherited ? Math.floor(pick / 2) % 4 : 0
    const life = begin({
      taskId: TaskId.make(`0000000${index}`),
      runId: RunId.make(`0000000${index}-0000-4000-8000-000000000000`),
      gatewayScope: "here",
      sessionKey: `agent:main:${lane}`,
      summary: "water the plants",
      position: index,
      acceptedAtMs: this.nowMs,
      sentAtMs: kind === 0 ? undefined : this.nowMs - 100,
      answeredRunId: kind >= 2 ? "r" : undefined,
      merged: kind === 3
    }, {
      waitsFor: this.waitsFor(),
      away: this.away,
      turn: queue.length === 0,
      inherited,
      shared: false
    })
    const subject: Subject = {
      life,
      lane,
      request: undefined,
      aborting: false,
      abortOwed: false,
      timers: new Set(),
      writes: [],
      inJournal: true,
      forgotten: false,
      leftLane: false,
      maySend: !inherited,
      mustWait: false,
      quiet: false,
      told: undefined,
      given: kind > 0,
      received: kind >= 2,
      abortWanted: false,
      readsAtMs: [],
      sends: 0,
      ends: 0,
      lateReplies: 0,
      outcome: undefined
    }
    queue.push(subject)
    this.subjects.push(subject)
    this.put(subject, { _tag: "Accepted" })
    if (this.linked) this.put(subject, { _tag: "LinkUp" })
  }

  /** An answer or a timer that was not asked for, or no longer. */
  private stray(subject: Subject, pick: number) {
    const { life, request, timers, writes } = subject
    if (!isOpen(life)) {
      const late = anyInput(pick, this.nowMs)
      if (late._tag === "TimerDue" && timers.has(late.timer)) return
      if (subject.aborting || pick % 3 > 0) return this.put(subject, late)
      this.put(subject, { _tag: "AbortAnswered", answer: pickFrom(abortAnswers, pick) })
      return must(subject.life.stage === life.stage, "what comes too late changes nothing")
    }
    const input = anyInput(pick, this.nowMs)
    const isDue = input._tag === "SendAnswered"
      ? request === "Send"
      : input._tag === "HistoryRead" || input._tag === "HistoryFailed"
      ? request === "ReadHistory"
      : input._tag === "EndAnswered"
      ? request === "AskHowItEnded"
      : input._tag === "WholeFetched"
      ? request === "FetchWhole"
      : input._tag === "Saved"
      ? writes.length > 0
      : input._tag !== "TimerDue" || timers.has(input.timer)
    if (isDue) return
    this.put(subject, input)
    must(subject.life === life, "what comes too late changes nothing")
  }

  private want(subject: Subject, by: "Caller" | "OtherProcess") {
    const hadIt = isOpen(subject.life) && subject.received
    if (isOpen(subject.life)) subject.abortWanted = true
    if (by === "Caller") subject.abortOwed = true
    this.put(subject, { _tag: "AbortWanted", by })
    must(!hadIt || isOpen(subject.life), "what the gateway has is stopped by the gateway")
  }

  private hear(subject: Subject, input: Input) {
    subject.received = true
    this.put(subject, input)
  }

  private answer(subject: Subject, pick: number) {
    const { request } = subject
    subject.request = undefined
    switch (request) {
      case undefined:
        return
      case "Send": {
        const answer = pickFrom(sendAnswers, pick)
        if (Result.isSuccess(answer) || answer.failure._tag === "AnswerInvalid") subject.received = true
        else if (answer.failure === later || answer.failure === retryable) {
          subject.maySend = true
          subject.mustWait = true
        }
        return this.put(subject, { _tag: "SendAnswered", answer, shared: pick % 11 === 0 })
      }
      case "ReadHistory": {
        if (pick % 9 === 0) return this.put(subject, { _tag: "HistoryFailed", linkLost: pick % 2 === 0 })
        const input = historyRead(pick, this.nowMs)
        const { finding, gatewayStartedAtMs, unkept } = input.history
        const mayBeForgotten = subject.given && unkept && (gatewayStartedAtMs ?? 0) > 0
        if (finding._tag === "Absent") subject.maySend = !mayBeForgotten
        else if (finding._tag !== "Unreadable") subject.received = true
        return this.put(subject, input)
      }
      case "AskHowItEnded":
        return this.tellEnd(subject, pick)
      case "FetchWhole":
        return this.put(subject, { _tag: "WholeFetched", whole: pickFrom(wholes, pick) })
    }
  }

  private tellEnd(subject: Subject, pick: number) {
    const linkLost = pick % 10 === 9
    const end = linkLost ? pickFrom(runEnds, 0) : pickFrom(runEnds, pick)
    if (end._tag !== "NotKnown") subject.received = true
    this.put(subject, { _tag: "EndAnswered", end, linkLost })
    const { stage } = subject.life
    must(
      end._tag !== "Failed" || (stage._tag === "Ended" && stage.outcome._tag === "Failed"),
      "a run that the gateway says has failed is told as that"
    )
  }

  private fire(subject: Subject, timer: Timer) {
    if (!subject.timers.delete(timer)) return
    this.nowMs += { deadline: 20_000, pause: 1000, secondError: 500, hold: 20_000 }[timer]
    if (timer === "pause") subject.mustWait = false
    const wasOpen = isOpen(subject.life)
    this.put(subject, { _tag: "TimerDue", timer })
    must(timer !== "deadline" || !this.away || wasOpen === isOpen(subject.life), "time ends no task of another gateway")
  }

  private put(subject: Subject, input: Input) {
    if (input._tag === "AbortAnswered") subject.aborting = false
    const isAnswer = input._tag === "HistoryRead" || input._tag === "HistoryFailed" || input._tag === "EndAnswered"
      || input._tag === "WholeFetched"
    if (!isAnswer) subject.quiet = false
    const before = subject.life
    const [life, actions] = this.step(this.rules, before, input, this.nowMs)
    subject.life = life
    this.checkStepped(subject, before, actions)
    for (const action of actions) {
      must(action._tag !== "Claim" || !isMerged(before), "the reply of another run may answer others, too")
      this.perform(subject, action)
    }
    this.check(subject)
  }

  private checkStepped(subject: Subject, before: TaskLife, actions: ReadonlyArray<Action>) {
    const { life } = subject
    if (before.stage._tag !== "Ended") {
      const published = actions.findIndex((action) => action._tag === "Publish" && isEndOf(action))
      const forgotten = actions.findIndex(({ _tag }) => _tag === "Forget")
      if (life.stage._tag !== "Ended") return must(published === -1 && forgotten === -1, "no end before the end")
      must(published >= 0, "an end is published")
      must(forgotten > published, "an end is told before the journal forgets it")
      const { outcome } = life.stage
      subject.outcome = outcome
      must(
        outcome._tag !== "Completed" || (outcome.truncated === true) === shortTexts.has(outcome.text),
        "what is short is never told as whole, and what is whole is never told as short"
      )
      return
    }
    must(life.stage._tag === "Ended" && life.stage.outcome === subject.outcome, "an outcome stays")
    for (const { _tag } of actions) must(afterEnd.has(_tag), "nothing but lateness changes after the end")
  }

  private perform(subject: Subject, action: Action) {
    switch (action._tag) {
      case "Send":
        subject.sends++
        must(subject.maySend, "it is given to a gateway again only if that refused it or showed that it lacks it")
        must(!subject.mustWait, "a wait that the gateway named is kept")
        must(!subject.received, "what the gateway has is not sent again")
        must(!subject.abortWanted, "what is to be aborted is not sent")
        must(this.lanes[subject.lane]?.[0] === subject, "one sent task per lane, in order")
        must(this.linked, "it is sent over a link")
        must(!this.suspended, "it is not sent to a gateway that takes no work")
        subject.maySend = false
        subject.given = true
        return this.begin(subject, action._tag)
      case "ReadHistory":
        // Ten of one window and ten of the next may stand close together.
        must(this.nowMs - (subject.readsAtMs.at(-20) ?? -Infinity) >= 5000, "reads are limited")
        subject.readsAtMs.push(this.nowMs)
        must(!subject.quiet, "history is not read again at once, unless something happened")
        subject.quiet = true
        return this.begin(subject, action._tag)
      case "AskHowItEnded":
      case "FetchWhole":
        return this.begin(subject, action._tag)
      case "Abort":
        must(!subject.aborting, "one abort at a time")
        subject.aborting = true
        return
      case "Cancel":
        subject.request = undefined
        return
      case "Save":
        must(!subject.forgotten, "nothing is written after the end")
        subject.writes.push("Save")
        return
      case "Forget":
        must(!subject.forgotten, "the journal forgets once")
        subject.forgotten = true
        subject.writes.push("Forget")
        return
      case "Publish":
        if (action.event._tag === "Replied" && action.event.late) subject.lateReplies++
        else subject.told = stateAfter(action.event)
        if (isEndOf(action)) subject.ends++
        return
      case "Arm":
        must(!subject.timers.has(action.timer), `${action.timer} is armed once`)
        subject.timers.add(action.timer)
        return
      case "Disarm":
        subject.timers.delete(action.timer)
        return
      case "LeaveLane": {
        must(!subject.leftLane, "a lane is left once")
        must(!isOpen(subject.life), "an open task stays in its lane")
        subject.leftLane = true
        const lane = this.lanes[subject.lane] ?? assert.fail("no such lane")
        lane.splice(lane.indexOf(subject), 1)
        const [next] = lane
        if (next !== undefined) this.put(next, { _tag: "Turn" })
        return
      }
      case "AnswerAbort":
        subject.abortOwed = false
        return
      case "Listen":
      case "Unlisten":
      case "Claim":
        return
    }
  }

  private begin(subject: Subject, request: Subject["request"]) {
    must(subject.request === undefined, "one request at a time")
    subject.request = request
  }

  /** What is under way is what the stage says, so that no task waits for something that nobody does. */
  private check(subject: Subject) {
    const { aborting, abortOwed, ends, forgotten, inJournal, lateReplies, life, timers, told, writes } = subject
    const { stage } = life
    const isEnded = stage._tag === "Ended"
    must(ends === (isEnded ? 1 : 0), "a task ends once")
    must(lateReplies <= 1, "a late reply is told once")
    must(told === undefined || isTold(told, stateOf(life)), "subscribers are told how it stands")
    must(forgotten === isEnded, "the journal has an entry exactly while the task is open")
    must(writes.length > 0 || inJournal === !isEnded, "the journal has an entry exactly while the task is open")
    must(!abortOwed || aborting, "an abort is answered")
    must(life.timed || !life.linked || life.away || isEnded, "its time runs as soon as there is a link")
    must(timers.has("deadline") === life.timed, "the deadline is armed while its time runs")
    must(timers.has("secondError") === (stage._tag === "Failing"), "a second error is waited for after the first")
    const holding = isEnded && stage.run._tag === "Holding" ? stage.run.stop : undefined
    must(timers.has("hold") === (holding !== undefined), "a run is waited for that long")
    must(holding !== "Asked" || aborting, "it is being stopped")
    must(holding !== "Due" || !life.linked, "it is stopped as soon as that is possible")
    const activity = "activity" in stage ? stage.activity : undefined
    must(timers.has("pause") === (holding === "Paused" || activity?._tag === "Paused"), "a pause ends")
    this.checkActivity(subject, activity)
  }

  private checkActivity({ aborting, life, request, writes }: Subject, activity: Activity | undefined) {
    const asked = activity === undefined ? undefined : requests[activity._tag]
    must(request === asked, "what was asked is what is waited for")
    const held = activity?._tag === "Due" && activity.next === "Send" && this.suspended
    must(
      activity?._tag !== "Due" || held || !life.linked || !life.turn,
      "what is due is done as soon as that is possible"
    )
    must(activity?._tag !== "Idle" || life.linked, "events are waited for only where they are read")
    must(activity?._tag !== "Saving" || writes.includes("Save"), "a write is under way")
    must(activity?._tag !== "Aborting" || aborting, "an abort is under way")
  }
}

const requests: Readonly<Record<Activity["_tag"], Subject["request"]>> = {
  Sending: "Send",
  ReadingHistory: "ReadHistory",
  Asking: "AskHowItEnded",
  Fetching: "FetchWhole",
  Idle: undefined,
  Due: undefined,
  Paused: undefined,
  Saving: undefined,
  Aborting: undefined
}

const afterEnd: ReadonlySet<Action["_tag"]> = new Set<Action["_tag"]>([
  "Publish",
  "Abort",
  "AnswerAbort",
  "Arm",
  "Disarm",
  "LeaveLane",
  "Unlisten"
])

/** No event tells that nothing keeps a task any more: that it is sent tells it. */
const isTold = (told: TaskState, state: TaskState): boolean =>
  state._tag === "Queued"
    ? told._tag === "Queued" && (state.reason === undefined || state.reason === told.reason)
    : state._tag === "Running"
    ? told._tag === "Running" && told.phase === state.phase
    : told._tag === state._tag

const isEndOf = ({ event }: Extract<Action, { readonly _tag: "Publish" }>): boolean =>
  event._tag !== "Queued" && event._tag !== "Sent" && event._tag !== "Phase"
  && !(event._tag === "Replied" && event.late)
