/**
 * Feeds `TaskStep` with one input at a time and performs its actions. It owns the fibers of requests, timers and journal writes,
 * and decides nothing.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Semaphore from "effect/Semaphore"
import type { LiveRun } from "./LiveRun.ts"
import type { Cell, RunnerState } from "./RunnerState.ts"
import { hear, leave, rests } from "./SessionSubscriptions.ts"
import type { TaskEvent, TaskOutcome } from "./Task.ts"
import type { JournalEntry, TaskJournal } from "./TaskJournal.ts"
import type { Action, Input, Rules, TaskLife } from "./TaskLife.ts"
import { isOpen, mayHear } from "./TaskLife.ts"
import * as TaskRequests from "./TaskRequests.ts"
import { step } from "./TaskStep.ts"

export interface Options {
  readonly rules: Rules
  readonly state: RunnerState
  readonly journal: TaskJournal["Service"]
  readonly publish: (event: TaskEvent) => void
}

export interface TaskMailbox {
  /** Synchronous. Nothing happens once the runner has ended. */
  readonly post: (cell: Cell, input: Input) => void
  /** To all tasks of a gateway. */
  readonly postAll: (gatewayScope: string, input: Input) => void
  /** Runs an effect that belongs to no task, until the runner ends. */
  readonly run: (what: string, effect: Effect.Effect<void>) => void
  readonly isStopped: () => boolean
  /** Waits until a task is open. */
  readonly someOpen: Effect.Effect<void>
}

export const make = Effect.fnUntraced(function*({ journal, publish, rules, state }: Options) {
  const clock = yield* Clock.Clock
  const someOpen = Latch.makeUnsafe(false)
  const fibers = yield* FiberMap.make<string, void>()
  const fork = yield* FiberMap.runtime(fibers)()
  let forked = 0
  let stopped = false
  // Runs before the fibers are interrupted, as finalizers run in reverse. Open tasks stay in the journal for the next runner.
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      stopped = true
      for (const { aborted, ended, live } of state.cells.values()) {
        live?.close()
        if (ended !== undefined) Deferred.doneUnsafe(ended, Effect.interrupt)
        if (aborted !== undefined) Deferred.doneUnsafe(aborted, Effect.interrupt)
      }
    })
  )

  const inbox: Array<{ readonly cell: Cell; readonly input: Input }> = []
  let busy = false
  // An action may resume a fiber that posts an input before the action returns. That input waits for the other actions.
  const post = (cell: Cell, input: Input) => {
    if (stopped) return
    if (busy) {
      inbox.push({ cell, input })
      return
    }
    busy = true
    try {
      handle(cell, input)
      for (let next = inbox.shift(); next !== undefined; next = inbox.shift()) handle(next.cell, next.input)
    } finally {
      busy = false
    }
  }
  const handle = (cell: Cell, input: Input) => {
    const wasOpen = isOpen(cell.life)
    const couldHear = mayHear(cell.life)
    const [life, actions] = step(rules, cell.life, input, clock.currentTimeMillisUnsafe())
    state.update(cell, life)
    if (cell.live !== undefined) tellLive(cell.live, input, life)
    if (input._tag === "Accepted" || (wasOpen && !isOpen(life))) {
      if (state.openCount() > 0) someOpen.openUnsafe()
      else someOpen.closeUnsafe()
    }
    for (const action of actions) perform(cell, action)
    if (wasOpen && life.stage._tag === "Ended") {
      if (cell.ended !== undefined) Deferred.doneUnsafe(cell.ended, Effect.succeed(life.stage.outcome))
      state.trim()
    }
    if (couldHear && !mayHear(life) && rests(state, cell)) run("rest", leave(state, cell))
  }

  /** Runs an effect whose result is an input, in place of the one with the same name. */
  const ask = (cell: Cell, what: string, answer: Effect.Effect<Input>) => {
    fork(
      `${cell.life.subject.taskId} ${what}`,
      answer.pipe(
        Effect.map((input) => post(cell, input)),
        Effect.catchCause((cause) =>
          Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.andThen(
            Effect.logError("task fiber died", cause),
            Effect.sync(() => post(cell, { _tag: "Broken" }))
          )
        )
      )
    )
  }
  const askNow = (cell: Cell, answer: Effect.Effect<Input>) => ask(cell, "request", answer)
  const askHearing = (cell: Cell, answer: Effect.Effect<Input>) =>
    ask(cell, "request", Effect.andThen(hearing(state, cell, post), answer))
  const interrupt = ({ life }: Cell, what: string) =>
    Option.getOrUndefined(FiberMap.getUnsafe(fibers, `${life.subject.taskId} ${what}`))?.interruptUnsafe()
  const run: TaskMailbox["run"] = (what, effect) => {
    fork(`${what} ${++forked}`, Effect.ignoreCause(effect, { log: "Error", message: "task fiber died" }))
  }

  const writes = (cell: Cell) => cell.writing ??= Semaphore.makeUnsafe(1)
  const save = (cell: Cell, entry: JournalEntry) => {
    const saved = writes(cell).withPermit(journal.put(entry)).pipe(
      Effect.as(true),
      Effect.catch((error) => Effect.as(Effect.logWarning(error.message), false)),
      Effect.map((ok): Input => ({ _tag: "Saved", ok }))
    )
    ask(cell, `save ${++forked}`, saved)
  }
  /** Not interrupted when the runner ends. Subscribers get the end before the entry is removed. */
  const forget = (cell: Cell, ended: TaskOutcome["_tag"]) => {
    const remove = writes(cell).withPermit(journal.remove(cell.life.subject.runId, ended))
    const removed = Effect.ignore(remove, { log: "Warn", message: "a task that is done stays in the journal" })
    run("forget", Effect.uninterruptible(Effect.andThen(Effect.yieldNow, removed)))
  }

  const perform = (cell: Cell, action: Action) => {
    switch (action._tag) {
      case "Publish":
        return publish(action.event)
      case "Send":
        return askHearing(cell, TaskRequests.send(state, cell))
      case "ReadHistory":
        // A gateway that refused to tell of the session was asked for that a moment ago.
        return (cell.life.deaf ? askNow : askHearing)(cell, TaskRequests.readHistory(state, cell))
      case "AskHowItEnded":
        return askHearing(cell, TaskRequests.askHowItEnded(state, cell, action.runId))
      case "FetchWhole":
        return askNow(cell, TaskRequests.fetchWhole(state, cell, action.messageId))
      case "Abort":
        return ask(cell, "abort", TaskRequests.abort(state, cell))
      case "Cancel":
        return interrupt(cell, "request")
      case "Save":
        return save(cell, action.entry)
      case "Forget":
        return forget(cell, action.ended)
      case "Arm": {
        const { ms, timer } = action
        return ask(cell, timer, Effect.as(Effect.sleep(Duration.millis(ms)), { _tag: "TimerDue", timer }))
      }
      case "Disarm":
        return interrupt(cell, action.timer)
      case "LeaveLane": {
        const next = state.leaveLane(cell)
        if (next !== undefined) post(next, { _tag: "Turn" })
        return state.trim()
      }
      case "Listen":
        return state.listen(cell, action.runId)
      case "Unlisten":
        return state.unlisten(cell)
      case "Claim":
        return state.claim(cell, action.runId)
      case "AnswerAbort": {
        const { aborted } = cell
        cell.aborted = undefined
        if (aborted !== undefined) Deferred.doneUnsafe(aborted, Effect.fromResult(action.answer))
      }
    }
  }

  return {
    post,
    postAll: (gatewayScope: string, input: Input) => {
      for (const cell of state.cells.values()) if (cell.life.subject.gatewayScope === gatewayScope) post(cell, input)
    },
    run,
    isStopped: () => stopped,
    someOpen: someOpen.await
  }
})

/** Tells those who follow a run what an input means for it. */
const tellLive = (live: LiveRun, input: Input, { stage }: TaskLife): void => {
  if (stage._tag === "Ended") return live.end(stage.outcome)
  if (stage._tag === "Answered" && input._tag === "ChatTold") live.tellText(stage.partial)
}

/** Has the session's events asked for, so that none is missed after the request that follows. */
const hearing = (state: RunnerState, cell: Cell, post: TaskMailbox["post"]): Effect.Effect<void> =>
  Effect.map(hear(state, cell), (hears) => {
    if (hears === cell.life.deaf) post(cell, { _tag: "Hearing", deaf: !hears })
  })
