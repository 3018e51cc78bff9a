/**
 * Feeds `TaskStep` with one input at a time and performs its actions. It owns the fibers of requests, timers and journal writes,
 * and decides nothing.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberMap from "effect/FiberMap"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
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

/** How often the journal is asked, while tasks are open, whether another process wants one of them aborted. */
const abortPoll = "1 second"

/** The fibers of a runner, made with the first of them: most agents have no task. */
interface Fibers {
  readonly scope: Scope.Closeable
  readonly map: FiberMap.FiberMap<string, void>
  readonly fork: (key: string, effect: Effect.Effect<void>) => unknown
}

const makeFibers = (context: Context.Context<never>): Fibers => {
  const scope = Scope.makeUnsafe()
  const made = Effect.gen(function*() {
    const map = yield* FiberMap.make<string, void>()
    return { scope, map, fork: yield* FiberMap.runtime(map)() }
  })
  return Effect.runSyncWith(context)(Scope.provide(made, scope))
}

export class TaskMailbox {
  readonly #options: Options
  readonly #clock: Clock.Clock
  readonly #context: Context.Context<never>
  #fibers: Fibers | undefined
  #forked = 0
  #stopped = false
  #isPolling = false
  #inbox: Array<{ readonly cell: Cell; readonly input: Input }> | undefined
  #busy = false

  constructor(options: Options, context: Context.Context<never>) {
    this.#options = options
    this.#context = context
    this.#clock = Context.get(context, Clock.Clock)
  }

  isStopped(): boolean {
    return this.#stopped
  }

  /**
   * Gives a task an input. Synchronous. Nothing happens once the runner has ended. An action may resume a fiber that posts an
   * input before the action returns: that input waits for the other actions.
   */
  readonly post = (cell: Cell, input: Input): void => {
    if (this.#stopped) return
    if (this.#busy) {
      this.#inbox ??= []
      this.#inbox.push({ cell, input })
      return
    }
    this.#busy = true
    try {
      this.#handle(cell, input)
      for (let next = this.#inbox?.shift(); next !== undefined; next = this.#inbox?.shift()) {
        this.#handle(next.cell, next.input)
      }
    } finally {
      this.#busy = false
    }
  }

  /** To all tasks of a gateway. */
  postAll(gatewayScope: string, input: Input): void {
    for (const cell of this.#options.state.cells.values()) {
      if (cell.life.subject.gatewayScope === gatewayScope) this.post(cell, input)
    }
  }

  /** Runs an effect that belongs to no task, until the runner ends. */
  run(what: string, effect: Effect.Effect<void>): void {
    this.#fork(`${what} ${++this.#forked}`, Effect.ignoreCause(effect, { log: "Error", message: "task fiber died" }))
  }

  /** Takes no more inputs, then interrupts the fibers. Open tasks stay in the journal for the next runner. */
  stop(): Effect.Effect<void> {
    this.#stopped = true
    for (const { aborted, ended, live } of this.#options.state.cells.values()) {
      live?.close()
      if (ended !== undefined) Deferred.doneUnsafe(ended, Effect.interrupt)
      if (aborted !== undefined) Deferred.doneUnsafe(aborted, Effect.interrupt)
    }
    return this.#fibers === undefined ? Effect.void : Scope.close(this.#fibers.scope, Exit.void)
  }

  #fork(key: string, effect: Effect.Effect<void>): void {
    if (this.#stopped) return
    this.#fibers ??= makeFibers(this.#context)
    this.#fibers.fork(key, effect)
  }

  #handle(cell: Cell, input: Input): void {
    const { rules, state } = this.#options
    const wasOpen = isOpen(cell.life)
    const couldHear = mayHear(cell.life)
    const [life, actions] = step(rules, cell.life, input, this.#clock.currentTimeMillisUnsafe())
    state.update(cell, life)
    if (cell.live !== undefined) tellLive(cell.live, input, life)
    if (input._tag === "Accepted") this.#pollAborts()
    for (const action of actions) this.#perform(cell, action)
    if (wasOpen && life.stage._tag === "Ended") {
      if (cell.ended !== undefined) Deferred.doneUnsafe(cell.ended, Effect.succeed(life.stage.outcome))
      state.trim()
    }
    if (couldHear && !mayHear(life) && rests(state, cell)) this.run("rest", leave(state, cell))
  }

  /** Looks for own tasks that another process wants aborted, as long as one is open. */
  #pollAborts(): void {
    const { journal, state } = this.#options
    if (this.#isPolling || state.openCount() === 0) return
    this.#isPolling = true
    const ask = Effect.map(
      Effect.catch(journal.abortRequests, (error) => Effect.as(Effect.logWarning(error.message), [])),
      (runIds) => {
        const wanted = new Set<string>(runIds)
        for (const cell of state.cells.values()) {
          if (wanted.has(cell.life.subject.runId)) this.post(cell, { _tag: "AbortWanted", by: "OtherProcess" })
        }
      }
    )
    const poll = Effect.whileLoop({
      while: () => state.openCount() > 0,
      body: () => Effect.andThen(ask, Effect.sleep(abortPoll)),
      step: () => undefined
    })
    this.run("abort requests", Effect.ensuring(poll, Effect.sync(() => void (this.#isPolling = false))))
  }

  /** Runs an effect whose result is an input, in place of the one with the same name. */
  #ask(cell: Cell, what: string, answer: Effect.Effect<Input>): void {
    this.#fork(
      `${cell.life.subject.taskId} ${what}`,
      answer.pipe(
        Effect.map((input) => this.post(cell, input)),
        Effect.catchCause((cause) =>
          Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.andThen(
            Effect.logError("task fiber died", cause),
            Effect.sync(() => this.post(cell, { _tag: "Broken" }))
          )
        )
      )
    )
  }

  #askHearing(cell: Cell, answer: Effect.Effect<Input>): void {
    const { state } = this.#options
    this.#ask(cell, "request", Effect.andThen(hearing(state, cell, this.post), answer))
  }

  #interrupt({ life }: Cell, what: string): void {
    if (this.#fibers === undefined) return
    const fiber = FiberMap.getUnsafe(this.#fibers.map, `${life.subject.taskId} ${what}`)
    Option.getOrUndefined(fiber)?.interruptUnsafe()
  }

  #save(cell: Cell, entry: JournalEntry): void {
    const saved = writes(cell).withPermit(this.#options.journal.put(entry)).pipe(
      Effect.as(true),
      Effect.catch((error) => Effect.as(Effect.logWarning(error.message), false)),
      Effect.map((ok): Input => ({ _tag: "Saved", ok }))
    )
    this.#ask(cell, `save ${++this.#forked}`, saved)
  }

  /** Not interrupted when the runner ends. Subscribers get the end before the entry is removed. */
  #forget(cell: Cell, ended: TaskOutcome["_tag"]): void {
    const { stage, subject } = cell.life
    const outcome = stage._tag === "Ended" ? stage.outcome : undefined
    const remove = writes(cell).withPermit(this.#options.journal.remove(subject.runId, ended, outcome))
    const removed = Effect.ignore(remove, { log: "Warn", message: "a task that is done stays in the journal" })
    this.run("forget", Effect.uninterruptible(Effect.andThen(Effect.yieldNow, removed)))
  }

  #perform(cell: Cell, action: Action): void {
    const { publish, state } = this.#options
    switch (action._tag) {
      case "Publish":
        return publish(action.event)
      case "Send":
        return this.#askHearing(cell, TaskRequests.send(state, cell, this.#options.journal))
      case "ReadHistory": {
        const read = TaskRequests.readHistory(state, cell)
        // A gateway that refused to tell of the session was asked for that a moment ago.
        return cell.life.deaf ? this.#ask(cell, "request", read) : this.#askHearing(cell, read)
      }
      case "AskHowItEnded":
        return this.#askHearing(cell, TaskRequests.askHowItEnded(state, cell, action.runId))
      case "FetchWhole":
        return this.#ask(cell, "request", TaskRequests.fetchWhole(state, cell, action.messageId))
      case "Abort":
        return this.#ask(cell, "abort", TaskRequests.abort(state, cell))
      case "Cancel":
        return this.#interrupt(cell, "request")
      case "Save":
        return this.#save(cell, action.entry)
      case "Forget":
        return this.#forget(cell, action.ended)
      case "Arm": {
        const { ms, timer } = action
        return this.#ask(cell, timer, Effect.as(Effect.sleep(Duration.millis(ms)), { _tag: "TimerDue", timer }))
      }
      case "Disarm":
        return this.#interrupt(cell, action.timer)
      case "LeaveLane": {
        const next = state.leaveLane(cell)
        if (next !== undefined) this.post(next, { _tag: "Turn" })
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
}

/** Ends with the scope. */
export const make = (options: Options): Effect.Effect<TaskMailbox, never, Scope.Scope> =>
  Effect.contextWith((context: Context.Context<Scope.Scope>) => {
    const mailbox = new TaskMailbox(options, context)
    return Effect.as(Effect.addFinalizer(() => Effect.suspend(() => mailbox.stop())), mailbox)
  })

const writes = (cell: Cell): Semaphore.Semaphore => cell.writing ??= Semaphore.makeUnsafe(1)

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
