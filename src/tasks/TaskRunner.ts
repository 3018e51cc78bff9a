/**
 * Delegates tasks to OpenClaw's agent over `chat.send`, and gives each its own answer.
 *
 * A task keeps one idempotency key for its whole life; the gateway uses it as the run id, and answers are matched by it and the
 * session key. Own tasks of one session key run one at a time and in order, because releases treat a message to a busy session
 * differently. When a link or this process dies under a task, the session's history decides: the same key is sent again only
 * when the gateway neither answered nor has the message.
 */
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type { ConnectionStatus } from "../connection/ConnectionStatus.ts"
import type { MissingScope, RequestRejected } from "../connection/RequestError.ts"
import type { Session } from "../connection/Session.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import type { EventFrame } from "../protocol/Frame.ts"
import type { FrameTooLarge } from "../protocol/FrameLimit.ts"
import type { ChatEvent } from "./ChatEvent.ts"
import { addressOf, canonicalSessionKey, decodeAgent, decodeChat, sameSession } from "./ChatEvent.ts"
import * as ChatHistory from "./ChatHistory.ts"
import type { Facts, RunEnd, Verdict } from "./HistoryVerdict.ts"
import { judge, unavailable } from "./HistoryVerdict.ts"
import type { Evidence, QueuedReason, Task, TaskEvent, TaskOutcome, TaskReceipt, TaskState } from "./Task.ts"
import { isEnd, RunId, stateAfter, TaskId } from "./Task.ts"
import type { SessionConflicted } from "./TaskError.ts"
import { runError, TakenAsCommand, TaskNotFound, TaskRefused } from "./TaskError.ts"
import type { JournalEntry, Kept } from "./TaskJournal.ts"
import { TaskJournal } from "./TaskJournal.ts"

export interface TaskRunnerOptions {
  /** The session that gets tasks without one of their own. `agent:main:main` unless set. */
  readonly sessionKey?: string
  /**
   * How long a task may take, 180 s unless set. The time begins when the task was accepted or, if there was no link then, with
   * the next link: a wait for a person's approval is no reason to throw a task away. From then on it runs, link or no link.
   * A task of an earlier process gets all of it once more.
   */
  readonly timeout?: Duration.Input
  /** Whether the run of a task whose time is up is stopped at the gateway. Unless set it goes on, and may be told as late. */
  readonly abortExpired?: boolean
  /** How many tasks may wait to be sent, 100 unless set. */
  readonly maxQueued?: number
  /** How long a summary may be, in UTF-8 bytes; 65536 unless set. */
  readonly maxSummaryBytes?: number
}

export class TaskRunner extends Context.Service<TaskRunner, {
  /**
   * Takes a task and answers as soon as the journal has it, link or no link. White space around the summary is not sent.
   */
  readonly delegate: (
    summary: string,
    options?: { readonly sessionKey?: string }
  ) => Effect.Effect<TaskReceipt, TaskRefused>
  /**
   * What happens to the tasks from the moment that the stream runs; its first run also gets what happened to tasks of an
   * earlier process before. Each run has a queue of its own without bound, so nothing is lost. It ends with the runner. An end is told before the journal forgets the task: whoever is killed between
   * the two is told it once more after the restart.
   */
  readonly events: Stream.Stream<TaskEvent>
  /** The replies among `events`, late ones too. As each run of it is one of `events`, the first of both has what was before. */
  readonly replies: Stream.Stream<Extract<TaskEvent, { readonly _tag: "Replied" }>>
  /** How a task stands now, then each change, up to its end. */
  readonly follow: (taskId: TaskId) => Stream.Stream<TaskState, TaskNotFound>
  /** Open tasks, also those of an earlier process, and the last 200 that ended, in the order in which they were accepted. */
  readonly list: Effect.Effect<ReadonlyArray<Task>>
  /** Waits for the end of a task. Interrupted when the runner ends first. */
  readonly await: (taskId: TaskId) => Effect.Effect<TaskOutcome, TaskNotFound>
  /**
   * Ends a task. One that was not sent ends at once; otherwise the gateway is asked, now or after the next reconnect, and the
   * outcome follows from its answer. A run that outlived its task, as `Expired` or `Unknown`, is stopped too. False when
   * nothing was to be stopped any more, or when the gateway says that nothing runs.
   */
  readonly abort: (
    taskId: TaskId
  ) => Effect.Effect<boolean, TaskNotFound | FrameTooLarge | MissingScope | RequestRejected>
}>()("effect-openclaw/tasks/TaskRunner") {
  static readonly layer = (
    options?: TaskRunnerOptions
  ): Layer.Layer<TaskRunner, never, Supervisor | SecureRandom.SecureRandom | TaskJournal> =>
    Layer.effect(TaskRunner, make(options))
}

/** How long to wait for the second of two errors, which releases from 2026.6 send for one run, with a longer text. */
const secondErrorMs = 500
/** How often history is looked into again, for a run whose end may have been missed. */
const recheckMs = 5000
const historyLimit = 200
const keptTasks = 200
/** Every run of every client arrives here, one event for each piece of text. */
const eventCapacity = 8192
/** A gateway that goes on with what its own restart interrupted has begun by then, counted from the start of its process. */
const resumptionMs = 60_000
/** Measured clock differences are right to some milliseconds. */
const clockErrorMs = 250
/** How often the journal is asked, while tasks are open, whether another process wants one of them aborted. */
const abortPollMs = 1000

/** One session with a subscription to its runs. `disturbed` ends it: the link is gone, or events were lost. */
interface Attachment {
  readonly session: Session
  readonly gatewayScope: string
  readonly disturbed: Deferred.Deferred<void>
}

interface Entry {
  readonly taskId: TaskId
  readonly runId: RunId
  readonly sessionKey: string
  readonly summary: string
  readonly gatewayScope: string
  readonly position: number
  readonly acceptedAtMs: number
  /** Only one write of its journal entry at a time, as each writes all of it. */
  readonly writing: Semaphore.Semaphore
  /** The lane of this session key is free for us once this is done. */
  readonly before: Deferred.Deferred<void> | undefined
  readonly leftLane: Deferred.Deferred<void>
  /** There has been a link since the task was accepted, so its time runs. */
  readonly reachable: Deferred.Deferred<void>
  readonly ended: Deferred.Deferred<TaskOutcome>
  /** The run of a task that ended before it is over too. */
  readonly runOver: Deferred.Deferred<void>
  /** Its run told its own end, so that nothing more is to come. */
  runTold: boolean
  readonly failing: Deferred.Deferred<string>
  state: TaskState
  reachableAtMs: number
  /** When it was first given to a link. From then on the gateway may have it. */
  sentAtMs: number | undefined
  /** When it was last given to a link. */
  lastSentAtMs: number | undefined
  /** The run that the gateway answered with: ours, or one that has the same text at work already. */
  answeredRunId: string | undefined
  /** An event named a session that is not known to be ours. History says which is. */
  misaddressed: boolean
  /** The gateway told something of the run besides its end. */
  ran: boolean
  /** The gateway answered `ok`: it knows the key, and the run is over. */
  over: boolean
  /** The run ended before it began: its text met a busy session, and is answered in a run that nobody was told of. */
  elsewhere: boolean
  /** Opened when history is worth a look now. */
  readonly lookNow: Latch.Latch
  /** How often in a row history had nothing for a run that is over. */
  looks: number
  evidence: Evidence | undefined
  errorText: string | undefined
  partial: string
  phase: string | undefined
  hasStatus: boolean
  abort: "No" | "Wanted" | "Confirmed"
  /** Another process wants it aborted, and that was begun. */
  heeded: boolean
  /** The journal has let go of it. */
  forgotten: boolean
}

/** What a driver does next with the link it has. */
type Step =
  | { readonly _tag: "Send" }
  | { readonly _tag: "Look" }
  /** Wait for events, until the link is disturbed. */
  | { readonly _tag: "Watch" }
  | { readonly _tag: "Pause"; readonly ms: number; readonly next: "Send" | "Look" }

const make = Effect.fnUntraced(function*(options: TaskRunnerOptions = {}) {
  const supervisor = yield* Supervisor
  const journal = yield* TaskJournal
  const random = yield* SecureRandom.SecureRandom
  const clock = yield* Clock.Clock
  const timeoutMs = Duration.toMillis(options.timeout ?? "180 seconds")
  const maxQueued = options.maxQueued ?? 100
  const maxSummaryBytes = options.maxSummaryBytes ?? 65_536
  const abortExpired = options.abortExpired ?? false
  const defaultSessionKey = options.sessionKey ?? "agent:main:main"

  const tasks = new Map<TaskId, Entry>()
  const runs = new Map<string, Entry>()
  const lanes = new Map<string, Deferred.Deferred<void>>()
  const finished: Array<TaskId> = []
  /** The gateway's own keys of sessions, by the canonical form of ours. */
  const aliases = new Map<string, string>()
  const subscribers = new Set<Queue.Queue<TaskEvent, Cause.Done>>()
  /** Tasks of an earlier process, and what happened to them before anybody could listen. */
  const takenUp = new Set<TaskId>()
  let unheard: Array<TaskEvent> | undefined = []
  let stopped = false
  let lastPosition = 0
  /** Tasks on their way into the journal. */
  let arriving = 0
  /** Runs whose replies were given to their own tasks. */
  const taken = new Set<string>()
  let status: ConnectionStatus = yield* supervisor.status
  /** The gateway that the connection is for. Settings may change under open tasks. */
  let gatewayScope = yield* supervisor.gatewayScope
  /** Open while there is a task that somebody could want aborted. */
  const someOpen = Latch.makeUnsafe(false)
  let attached: Attachment | undefined
  let arrival = Deferred.makeUnsafe<Attachment>()

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const queue of subscribers) Queue.endUnsafe(queue)
    })
  )
  const fibers = yield* FiberSet.make<void>()
  // Runs before the fibers are interrupted, as finalizers run in reverse.
  yield* Effect.addFinalizer(() => Effect.sync(() => void (stopped = true)))
  const fork = yield* FiberSet.runtime(fibers)()

  const publish = (event: TaskEvent) => {
    if (subscribers.size === 0 && takenUp.has(event.taskId)) unheard?.push(event)
    for (const queue of subscribers) Queue.offerUnsafe(queue, event)
  }

  const save = (entry: Entry) =>
    entry.writing.withPermit(Effect.suspend(() => isOpen(entry) ? journal.put(recordOf(entry)) : Effect.void))
  const forget = (entry: Entry) =>
    entry.writing.withPermit(
      Effect.suspend(() => {
        entry.forgotten = true
        return journal.remove(entry.runId, isEnd(entry.state) ? entry.state._tag : "Unknown")
      })
    ).pipe(Effect.ignore({ log: "Warn", message: "a task that is done stays in the journal" }))
  const saveSoon = (entry: Entry) =>
    fork(Effect.ignoreCause(save(entry), { log: "Warn", message: "the task journal could not be written" }))

  // Completing a deferred or offering to a queue may run the fiber that waits for it before the call returns, so state is
  // brought up to date before either.
  const finish = (entry: Entry, outcome: TaskOutcome) => {
    if (!isOpen(entry)) return
    entry.state = outcome
    const { runId, taskId } = entry
    finished.push(taskId)
    publish(
      outcome._tag === "Completed"
        ? { _tag: "Replied", taskId, runId, text: outcome.text, at: outcome.atMs, late: false }
        : { ...outcome, taskId, runId }
    )
    if (outcome._tag === "Completed" && !entry.elsewhere) taken.add(entry.answeredRunId ?? runId)
    while (finished.length > keptTasks) {
      const oldest = tasks.get(finished.shift() ?? taskId)
      if (oldest === undefined) continue
      stopListening(oldest)
      tasks.delete(oldest.taskId)
      taken.delete(oldest.answeredRunId ?? oldest.runId)
    }
    Deferred.doneUnsafe(entry.ended, Effect.succeed(outcome))
  }

  /** The gateway has the task: it answered, or told something of the run. */
  const received = (entry: Entry) => {
    entry.evidence = undefined
    entry.sentAtMs ??= entry.acceptedAtMs
    if (entry.state._tag !== "Queued" || !isOpen(entry)) return
    entry.state = { _tag: "Sent" }
    publish({ _tag: "Sent", taskId: entry.taskId, runId: entry.runId })
  }

  const showPhase = (entry: Entry, phase: string) => {
    if (entry.phase === phase) return
    entry.phase = phase
    entry.state = { _tag: "Running", phase }
    publish({ _tag: "Phase", taskId: entry.taskId, runId: entry.runId, phase })
  }

  const fail = (entry: Entry, text: string) => finish(entry, { _tag: "Failed", error: runError(entry.runId, text) })

  const stopListening = (entry: Entry) => {
    for (const runId of [entry.runId, entry.answeredRunId]) {
      if (runId !== undefined && runs.get(runId) === entry) runs.delete(runId)
    }
  }

  const onLateChat = (entry: Entry, event: ChatEvent) => {
    if (event._tag === "Status" || event._tag === "Delta" || entry.runTold) return
    entry.runTold = true
    if (event._tag === "Final" && mayRun(entry)) {
      const { runId, taskId } = entry
      publish({ _tag: "Replied", taskId, runId, text: event.text, at: event.atMs, late: true })
    }
    Deferred.doneUnsafe(entry.runOver, Effect.void)
  }

  const answeredElsewhere = (entry: Entry) => {
    entry.over = true
    entry.elsewhere = true
    saveSoon(entry)
    entry.lookNow.openUnsafe()
  }

  const onChat = (entry: Entry, event: ChatEvent) => {
    if (!isOpen(entry)) return onLateChat(entry, event)
    if (entry.errorText !== undefined) {
      return event._tag === "Error" ? fail(entry, joinErrors(entry.errorText, event.text)) : undefined
    }
    received(entry)
    switch (event._tag) {
      case "Status":
        entry.ran = true
        entry.hasStatus = true
        return showPhase(entry, event.phase)
      case "Delta":
        entry.ran = true
        entry.partial = event.text
        return
      case "Final":
        // Gateways tell that a run ended a moment before its session is free, so that even the next own task can meet a
        // busy one.
        if (event.text === "" && !entry.ran) return answeredElsewhere(entry)
        return finish(entry, { _tag: "Completed", text: event.text, atMs: event.atMs })
      case "Aborted":
        return finish(entry, { _tag: "Aborted", text: event.text === "" ? entry.partial : event.text })
      case "Error":
        entry.errorText = event.text
        Deferred.doneUnsafe(entry.failing, Effect.succeed(event.text))
    }
  }

  const isOwnSession = (entry: Entry, told: string | undefined): boolean =>
    sameSession(entry.sessionKey, told)
    || (told !== undefined && aliases.get(sessionOf(entry)) === told.trim().toLowerCase())
  const learnAlias = (entry: Entry, told: string | undefined): boolean => {
    if (told === undefined || sameSession(entry.sessionKey, told)) return false
    aliases.set(sessionOf(entry), told.trim().toLowerCase())
    return true
  }
  const laneOf = (entry: Pick<Entry, "gatewayScope" | "sessionKey">): string => {
    const key = sessionOf(entry)
    const alias = aliases.get(key)
    return alias === undefined ? key : `${entry.gatewayScope} ${alias}`
  }

  /** The end of another run may be that of the one that answers us. Only history can tell. */
  const onForeignChat = (payload: unknown, sessionKey: string | undefined) => {
    for (const entry of runs.values()) {
      if (!entry.elsewhere || !isOpen(entry) || !isOwnSession(entry, sessionKey)) continue
      if (Option.exists(decodeChat(payload), ({ _tag }) => _tag === "Final")) entry.lookNow.openUnsafe()
    }
  }

  const onEvent = (frame: EventFrame) => {
    const address = addressOf(frame.payload)
    if (address === undefined) return
    const entry = runs.get(address.runId)
    if (entry === undefined) {
      if (frame.event === "chat") onForeignChat(frame.payload, address.sessionKey)
      return
    }
    if (!isOwnSession(entry, address.sessionKey)) {
      // Ours under a key that only this gateway's settings explain, or not ours at all.
      if (!entry.misaddressed) entry.lookNow.openUnsafe()
      entry.misaddressed = true
      return
    }
    if (frame.event === "chat") {
      const event = Option.getOrUndefined(decodeChat(frame.payload))
      if (event !== undefined) onChat(entry, event)
      return
    }
    entry.ran = true
    if (!isOpen(entry) || entry.errorText !== undefined) return
    const phase = Option.getOrUndefined(decodeAgent(frame.payload))
    if (phase === undefined || (phase.stream === "lifecycle" && entry.hasStatus)) return
    received(entry)
    showPhase(entry, phase.label)
  }

  /** It is for another gateway than the connection. */
  const isAway = (entry: Entry): boolean => entry.gatewayScope !== gatewayScope

  const reasonFor = (entry: Entry): QueuedReason | undefined =>
    (isAway(entry) ? "OtherGateway" : queuedReason(status))
      ?? (entry.before !== undefined && !Deferred.isDoneUnsafe(entry.before) ? "Busy" : undefined)

  const keepWaiting = (entry: Entry) => {
    const { state } = entry
    if (!isOpen(entry)) return
    const moves = isAway(entry) || (state._tag === "Queued" && state.reason === "OtherGateway")
    if (!moves && (state._tag !== "Queued" || entry.sentAtMs !== undefined)) return
    const reason = reasonFor(entry)
    if (state._tag === "Queued" && reason === state.reason) return
    entry.state = { _tag: "Queued", reason }
    entry.phase = undefined
    if (reason !== undefined) publish({ _tag: "Queued", taskId: entry.taskId, runId: entry.runId, reason })
  }

  const becomeReachable = (entry: Entry, attachment: Attachment) => {
    if (attachment.gatewayScope !== entry.gatewayScope || Deferred.isDoneUnsafe(entry.reachable)) return
    entry.reachableAtMs = clock.currentTimeMillisUnsafe()
    Deferred.doneUnsafe(entry.reachable, Effect.void)
  }

  const detach = (attachment: Attachment) => {
    if (attached === attachment) {
      attached = undefined
      arrival = Deferred.makeUnsafe()
    }
    Deferred.doneUnsafe(attachment.disturbed, Effect.void)
  }
  const attach = (session: Session, gatewayScope: string): Attachment => {
    if (attached !== undefined) detach(attached)
    const attachment = { session, gatewayScope, disturbed: Deferred.makeUnsafe<void>() }
    attached = attachment
    for (const entry of tasks.values()) becomeReachable(entry, attachment)
    Deferred.doneUnsafe(arrival, Effect.succeed(attachment))
    return attachment
  }
  /** The next link to the task's own gateway, or the present one. */
  const linkFor = Effect.fnUntraced(function*(entry: Entry) {
    while (true) {
      const attachment = attached ?? (yield* Deferred.await(arrival))
      if (attachment.gatewayScope === entry.gatewayScope) return attachment
      yield* Deferred.await(attachment.disturbed)
    }
  })

  /** Reads the events of one session to their end. What came before the link died is read before anybody hears of its death. */
  const follow = Effect.fnUntraced(function*(session: Session) {
    const subscription = yield* session.subscribe(["chat", "agent"], { capacity: eventCapacity })
    // Settings change only after the links of before are closed: what goes to one of those fails.
    const scope = yield* supervisor.gatewayScope
    let lost = subscription.lost()
    let attachment = attach(session, scope)
    const read = (frames: ReadonlyArray<EventFrame>) => {
      for (const frame of frames) onEvent(frame)
      if (subscription.lost() === lost) return
      lost = subscription.lost()
      attachment = attach(session, scope)
    }
    yield* Stream.runForEachArray(subscription.events, (frames) => Effect.sync(() => read(frames))).pipe(
      Effect.ensuring(Effect.sync(() => detach(attachment)))
    )
  }, Effect.scoped)

  const logged = Effect.ignoreCause({ log: "Error", message: "task fiber died" })

  const onStatus = (next: ConnectionStatus, scope: string) => {
    const before = status._tag === "Connected" ? status.session : undefined
    status = next
    if (next._tag === "Connected" && next.session !== before) fork(logged(follow(next.session)))
    onScope(scope)
    for (const entry of tasks.values()) keepWaiting(entry)
  }
  /** Other settings may mean another gateway. Open tasks wait for theirs to come back, and those of the new one go on. */
  const onScope = (scope: string) => {
    if (gatewayScope === scope) return
    gatewayScope = scope
    fork(logged(takeUp))
  }

  const askToAbort = Effect.fnUntraced(function*({ runId, sessionKey }: Entry, { session }: Attachment) {
    const answer = yield* session.request("chat.abort", { sessionKey, runId })
    return Option.exists(decodeAbortAnswer(answer), ({ aborted, runIds }) => aborted && runIds.includes(runId))
  })

  /** The gateway may name a run of another client that has the same text at work: its reply is ours too. */
  const join = (entry: Entry, told: string) => {
    const other = runs.get(told)
    if (other === undefined) runs.set(told, entry)
    else if (other !== entry) entry.elsewhere = true
  }

  const send = Effect.fnUntraced(function*(entry: Entry, { session }: Attachment): Effect.fn.Return<Step> {
    const { runId, sessionKey, summary } = entry
    if (entry.sentAtMs === undefined) {
      entry.sentAtMs = clock.currentTimeMillisUnsafe()
      if (Result.isFailure(yield* Effect.result(save(entry)))) {
        entry.sentAtMs = undefined
        return { _tag: "Pause", ms: recheckMs, next: "Send" }
      }
    }
    runs.set(runId, entry)
    entry.lastSentAtMs = clock.currentTimeMillisUnsafe()
    const answer = yield* Effect.result(
      session.request("chat.send", { sessionKey, message: summary, deliver: false, idempotencyKey: runId })
    )
    if (Result.isFailure(answer)) {
      const error = answer.failure
      switch (error._tag) {
        case "LinkError":
          return { _tag: "Watch" }
        case "RequestTimeout":
          return { _tag: "Look" }
        case "FrameTooLarge":
        case "MissingScope":
          finish(entry, { _tag: "Failed", error })
          return { _tag: "Watch" }
        case "RequestRejected":
          if (error.retryAfterMs !== undefined) return { _tag: "Pause", ms: error.retryAfterMs, next: "Send" }
          finish(entry, { _tag: "Failed", error: refusalError(runId, error) })
          return { _tag: "Watch" }
      }
    }
    const stop = Option.getOrUndefined(decodeStopAnswer(answer.success))
    if (stop !== undefined) {
      finish(entry, { _tag: "Failed", error: new TakenAsCommand({ stoppedRunIds: stop.runIds }) })
      return { _tag: "Watch" }
    }
    const told = Option.getOrUndefined(decodeSendAnswer(answer.success))
    entry.answeredRunId = told?.runId ?? runId
    join(entry, entry.answeredRunId)
    received(entry)
    yield* Effect.ignore(save(entry), { log: "Warn", message: "the task journal could not be written" })
    entry.over = told?.status === "ok"
    return { _tag: entry.over || entry.elsewhere ? "Look" : "Watch" }
  })

  const askHowItEnded = Effect.fnUntraced(
    function*({ answeredRunId, runId }: Entry, { session }: Attachment): Effect.fn.Return<RunEnd> {
      const answer = yield* Effect.option(
        session.request("agent.wait", { runId: answeredRunId ?? runId, timeoutMs: 0 })
      )
      const told = Option.getOrUndefined(Option.flatMap(answer, decodeWaitAnswer))
      if (told?.status === "ok") return { _tag: "Ended" }
      return told?.status === "error" && told.error !== undefined
        ? { _tag: "Failed", text: told.error }
        : { _tag: "NotKnown" }
    }
  )

  const follows = (entry: Entry, verdict: Verdict): Step => {
    switch (verdict._tag) {
      case "Finish":
        if (verdict.runOver) Deferred.doneUnsafe(entry.runOver, Effect.void)
        finish(entry, verdict.outcome)
        return { _tag: "Watch" }
      case "SendAgain":
        return { _tag: "Send" }
      case "AskHowItEnded":
        return { _tag: "Look" }
      case "LookAgain":
        entry.evidence = verdict.evidence
        entry.looks = verdict.idleLooks
        return verdict.when === "OnNews" ? { _tag: "Watch" } : { _tag: "Pause", ms: recheckMs, next: "Look" }
    }
  }

  /** Finds out from history what became of a run, and how to go on. */
  const look = Effect.fnUntraced(function*(entry: Entry, attachment: Attachment): Effect.fn.Return<Step> {
    const { session } = attachment
    entry.lookNow.closeUnsafe()
    if (entry.abort === "Wanted") {
      const aborted = yield* Effect.result(askToAbort(entry, attachment))
      if (Result.isSuccess(aborted)) entry.abort = aborted.success ? "Confirmed" : "No"
    }
    const answer = yield* Effect.result(
      session.request("chat.history", { sessionKey: entry.sessionKey, limit: historyLimit })
    )
    const again: Step = { _tag: "Pause", ms: recheckMs, next: "Look" }
    if (Result.isFailure(answer)) {
      entry.evidence ??= unavailable({ answered: entry.answeredRunId !== undefined })
      return answer.failure._tag === "LinkError" ? { _tag: "Watch" } : again
    }
    // A reply that arrived meanwhile is newer than what we read.
    if (!isOpen(entry)) return { _tag: "Watch" }
    const history = answer.success
    const renamed = learnAlias(entry, ChatHistory.sessionKeyOf(history))
    const { clockDeltaMs = 0, gatewayStartedAtMs: startedAtMs = 0 } = session.facts
    const restarted = startedAtMs > (entry.lastSentAtMs ?? Infinity)
    // What was at work then is not any more; releases before 2026.6 never say so.
    const settled = restarted && clock.currentTimeMillisUnsafe() - startedAtMs > resumptionMs
    const busy = ChatHistory.isBusy(history) ?? (settled ? false : undefined)
    const finding = ChatHistory.find(history, {
      runId: entry.answeredRunId ?? entry.runId,
      summary: entry.summary,
      notBeforeMs: (entry.sentAtMs ?? entry.acceptedAtMs) + clockDeltaMs - clockErrorMs,
      elsewhere: entry.elsewhere,
      taken
    })
    if (finding._tag !== "Absent" && finding._tag !== "Unreadable") received(entry)
    // A gateway that was started since has forgotten our key, so a message that it may have had is not given to it again.
    const mayBeForgotten = restarted && ChatHistory.isUnkept(history)
    const facts: Facts = {
      runId: entry.runId,
      answered: entry.answeredRunId !== undefined,
      received: entry.answeredRunId !== undefined,
      over: entry.over,
      merged: entry.elsewhere,
      aborted: entry.abort === "Confirmed",
      partial: entry.partial,
      idleLooks: entry.looks,
      renamed
    }
    const first = judge(facts, finding, busy, mayBeForgotten)
    if (first._tag !== "AskHowItEnded") return follows(entry, first)
    entry.evidence = { answered: facts.answered, history: finding._tag === "Absent" ? "Absent" : "NoReply" }
    const end = yield* askHowItEnded(entry, attachment)
    if (!isOpen(entry)) return { _tag: "Watch" }
    if (end._tag === "Ended") entry.over = true
    return follows(entry, judge({ ...facts, end }, finding, busy, mayBeForgotten))
  })

  /** Sends a task when its turn comes, and stays with it over any number of links. Never ends by itself. */
  const drive = Effect.fnUntraced(function*(entry: Entry) {
    if (entry.before !== undefined) yield* Deferred.await(entry.before)
    // Another process on the same journal may have sent it since it was read.
    let next: "Send" | "Look" = takenUp.has(entry.taskId) ? "Look" : "Send"
    while (true) {
      const attachment = yield* linkFor(entry)
      if (!isOpen(entry)) return yield* Effect.never
      const step: Step = next === "Send" ? yield* send(entry, attachment) : yield* look(entry, attachment)
      switch (step._tag) {
        case "Send":
        case "Look":
          next = step._tag
          break
        case "Watch":
          yield* Effect.raceFirst(Deferred.await(attachment.disturbed), entry.lookNow.await)
          next = "Look"
          break
        case "Pause":
          next = step.next
          yield* Effect.raceFirst(
            Effect.sleep(Duration.millis(step.ms)),
            Effect.raceFirst(Deferred.await(attachment.disturbed), entry.lookNow.await)
          )
      }
    }
  })

  const expire = Effect.fnUntraced(function*(entry: Entry) {
    yield* Deferred.await(entry.reachable)
    while (true) {
      yield* Effect.sleep(Duration.millis(entry.reachableAtMs + timeoutMs - clock.currentTimeMillisUnsafe()))
      if (!isAway(entry)) break
      // Nothing can be found out about it for now. It has all of its time once more.
      yield* linkFor(entry)
      entry.reachableAtMs = clock.currentTimeMillisUnsafe()
    }
    if (entry.errorText !== undefined) return fail(entry, entry.errorText)
    if (entry.sentAtMs === undefined) return finish(entry, { _tag: "Expired", sent: false })
    const lost: Evidence | undefined = attached === undefined
      ? { answered: entry.answeredRunId !== undefined, history: "Unavailable" }
      : undefined
    const evidence = entry.evidence ?? lost
    finish(entry, evidence === undefined ? { _tag: "Expired", sent: true } : { _tag: "Unknown", evidence })
  })

  const settleFailure = Effect.fnUntraced(function*(entry: Entry) {
    const text = yield* Deferred.await(entry.failing)
    yield* Effect.sleep(Duration.millis(secondErrorMs))
    fail(entry, text)
  })

  /** Asks the gateway until it says that the run is stopped, or that there is none. */
  const stopRun = Effect.fnUntraced(function*(entry: Entry) {
    while (true) {
      const attachment = yield* linkFor(entry)
      const asked = yield* Effect.result(askToAbort(entry, attachment))
      if (Result.isSuccess(asked)) return
      yield* asked.failure._tag === "LinkError"
        ? Deferred.await(attachment.disturbed)
        : Effect.sleep(Duration.millis(recheckMs))
    }
  })

  const leave = (entry: Entry, lane: string) => {
    // A late answer is told for as long as the task is listed.
    if (!mayRun(entry) || entry.runTold) stopListening(entry)
    if (lanes.get(lane) === entry.leftLane) lanes.delete(lane)
    takenUp.delete(entry.taskId)
    Deferred.doneUnsafe(entry.leftLane, Effect.void)
    // Whoever still waits would wait for ever: the runner ends, or this task's fiber died.
    if (stopped) Deferred.doneUnsafe(entry.ended, Effect.interrupt)
    else {
      const { answeredRunId } = entry
      finish(entry, { _tag: "Unknown", evidence: { answered: answeredRunId !== undefined, history: "Unavailable" } })
    }
    for (const other of tasks.values()) keepWaiting(other)
    if (![...tasks.values()].some(isOpen)) someOpen.closeUnsafe()
  }

  const run = Effect.fnUntraced(function*(entry: Entry) {
    yield* Effect.uninterruptibleMask((restore) =>
      Effect.andThen(
        restore(Effect.raceFirst(
          Deferred.await(entry.ended),
          Effect.all([drive(entry), expire(entry), settleFailure(entry)], { concurrency: "unbounded", discard: true })
        )),
        forget(entry)
      )
    )
    if (entry.before !== undefined) yield* Deferred.await(entry.before)
    const { _tag } = entry.state
    // The session is still busy, as far as we know: whoever comes next would have its text answered under another run.
    if (entry.sentAtMs !== undefined && (_tag === "Expired" || _tag === "Unknown")) {
      const over = Deferred.await(entry.runOver)
      yield* Effect.timeoutOption(
        abortExpired ? Effect.raceFirst(over, stopRun(entry)) : over,
        Duration.millis(timeoutMs)
      )
    }
  })

  /** Takes up a task from here or, with what it knows, from the journal. */
  const accept = (record: Kept): TaskReceipt => {
    const { answeredRunId, runId, sentAtMs, sessionKey, taskId } = record
    const lane = laneOf(record)
    const entry: Entry = {
      taskId,
      runId,
      sessionKey,
      summary: record.summary,
      gatewayScope: record.gatewayScope,
      position: record.position,
      acceptedAtMs: record.acceptedAtMs,
      writing: Semaphore.makeUnsafe(1),
      before: lanes.get(lane),
      leftLane: Deferred.makeUnsafe(),
      reachable: Deferred.makeUnsafe(),
      ended: Deferred.makeUnsafe(),
      runOver: Deferred.makeUnsafe(),
      runTold: false,
      failing: Deferred.makeUnsafe(),
      state: answeredRunId === undefined ? { _tag: "Queued", reason: undefined } : { _tag: "Sent" },
      reachableAtMs: 0,
      sentAtMs,
      lastSentAtMs: sentAtMs,
      answeredRunId,
      misaddressed: false,
      ran: false,
      over: false,
      elsewhere: record.elsewhere ?? false,
      lookNow: Latch.makeUnsafe(false),
      looks: 0,
      evidence: undefined,
      errorText: undefined,
      partial: "",
      phase: undefined,
      hasStatus: false,
      abort: "No",
      heeded: false,
      forgotten: false
    }
    lanes.set(lane, entry.leftLane)
    tasks.set(taskId, entry)
    if (takenUp.has(taskId)) runs.set(runId, entry)
    if (answeredRunId !== undefined) join(entry, answeredRunId)
    keepWaiting(entry)
    if (attached !== undefined) becomeReachable(entry, attached)
    someOpen.openUnsafe()
    const left = Effect.suspend(() => {
      // The runner may end just after a task did. What is open then is for the next one.
      const done = !isOpen(entry) || !stopped
      leave(entry, lane)
      return done && !entry.forgotten ? forget(entry) : Effect.void
    })
    fork(logged(Effect.ensuring(run(entry), left)))
    if (record.abortRequested === true) heed(entry)
    return { taskId, runId, queued: reasonFor(entry) }
  }

  /** What the journal has, is taken: also from a caller who does not wait for the receipt. */
  const keep = Effect.fnUntraced(function*(record: JournalEntry) {
    arriving++
    const kept = yield* Effect.result(journal.put(record))
    arriving--
    if (Result.isFailure(kept)) {
      yield* Effect.logError(kept.failure.message)
      return yield* new TaskRefused({ reason: "NotKept" })
    }
    if (!stopped) return accept(record)
    yield* Effect.ignore(journal.remove(record.runId, "Aborted"), { log: "Warn" })
    return yield* new TaskRefused({ reason: "Stopped" })
  }, Effect.uninterruptible)

  const freshTaskId = Effect.gen(function*() {
    while (true) {
      const taskId = TaskId.make((yield* random.uuidV4()).slice(0, 8))
      if (!tasks.has(taskId)) return taskId
    }
  })

  const entryOf = (taskId: TaskId): Effect.Effect<Entry, TaskNotFound> =>
    Effect.suspend(() => {
      const entry = tasks.get(taskId)
      return entry === undefined ? Effect.fail(new TaskNotFound({ taskId })) : Effect.succeed(entry)
    })

  const abortEntry = Effect.fnUntraced(function*(entry: Entry) {
    const link = attached?.gatewayScope === entry.gatewayScope ? attached : undefined
    if (!isOpen(entry)) {
      if (!mayRun(entry) || link === undefined || Deferred.isDoneUnsafe(entry.runOver)) return false
      const stopped = yield* Effect.catchTags(askToAbort(entry, link), {
        LinkError: () => Effect.succeed(false),
        RequestTimeout: () => Effect.succeed(false)
      })
      if (stopped) Deferred.doneUnsafe(entry.runOver, Effect.void)
      return stopped
    }
    if (entry.sentAtMs === undefined) {
      finish(entry, { _tag: "Aborted", text: "" })
      return true
    }
    if (entry.abort === "Confirmed") return true
    entry.abort = "Wanted"
    if (link === undefined) return true
    const aborted = yield* Effect.result(askToAbort(entry, link))
    if (Result.isSuccess(aborted)) {
      entry.abort = aborted.success ? "Confirmed" : "No"
      return aborted.success
    }
    const error = aborted.failure
    // Lost on the way: it is asked again when history is looked into.
    return error._tag === "LinkError" || error._tag === "RequestTimeout" ? true : yield* error
  })

  /** Another process wants a task of ours aborted. */
  const heed = (entry: Entry) => {
    if (entry.heeded || !isOpen(entry)) return
    entry.heeded = true
    fork(Effect.ignore(abortEntry(entry), { log: "Warn", message: "a task could not be aborted" }))
  }
  const heedRequests = Effect.gen(function*() {
    while (true) {
      yield* someOpen.await
      const wanted = new Set<string>(
        yield* Effect.catch(journal.abortRequests, (error) => Effect.as(Effect.logWarning(error.message), []))
      )
      if (wanted.size > 0) { for (const entry of tasks.values()) if (wanted.has(entry.runId)) heed(entry) }
      yield* Effect.sleep(Duration.millis(abortPollMs))
    }
  })

  /** Goes on with what an earlier process left open on this gateway. */
  const takeUp = Effect.gen(function*() {
    const open = yield* Effect.catch(
      journal.takeUp(gatewayScope),
      (error) => Effect.as(Effect.logError(error.message), [])
    )
    for (const record of open) {
      lastPosition = Math.max(lastPosition, record.position)
      // A journal in memory tells of our own too.
      if (tasks.has(record.taskId)) continue
      takenUp.add(record.taskId)
      accept(record)
    }
  })
  yield* takeUp
  fork(logged(heedRequests))
  fork(
    logged(Stream.runForEach(supervisor.changes, (next) => Effect.sync(() => onStatus(next.status, next.gatewayScope))))
  )
  if (status._tag === "Connected") fork(logged(follow(status.session)))

  /** A queue that gets what is told from now on. */
  const subscribe = Effect.acquireRelease(
    Effect.map(Queue.unbounded<TaskEvent, Cause.Done>(), (queue) => {
      if (stopped) Queue.endUnsafe(queue)
      else subscribers.add(queue)
      return queue
    }),
    (queue) => Effect.sync(() => void subscribers.delete(queue))
  )
  const events = Stream.unwrap(Effect.map(subscribe, (queue) => {
    const before = unheard ?? []
    unheard = undefined
    return Stream.concat(Stream.fromIterable(before), Stream.fromQueue(queue))
  }))

  return TaskRunner.of({
    delegate: Effect.fn("TaskRunner.delegate")(function*(summary, { sessionKey = defaultSessionKey } = {}) {
      const text = summary.trim()
      if (text === "") return yield* new TaskRefused({ reason: "Empty" })
      if (new TextEncoder().encode(text).length > maxSummaryBytes) {
        return yield* new TaskRefused({ reason: "TooLarge", limit: maxSummaryBytes })
      }
      const runId = RunId.make(yield* random.uuidV4())
      const taskId = yield* freshTaskId
      status = yield* supervisor.status
      onScope(yield* supervisor.gatewayScope)
      if (stopped || status._tag === "Stopped") return yield* new TaskRefused({ reason: "Stopped" })
      let waiting = arriving
      for (const { state } of tasks.values()) if (state._tag === "Queued") waiting++
      if (waiting >= maxQueued) return yield* new TaskRefused({ reason: "TooMany", limit: maxQueued })
      const record: JournalEntry = {
        taskId,
        runId,
        gatewayScope,
        sessionKey,
        summary: text,
        position: ++lastPosition,
        acceptedAtMs: clock.currentTimeMillisUnsafe()
      }
      return yield* keep(record)
    }),
    events,
    replies: Stream.filter(events, (event) => event._tag === "Replied"),
    follow: (taskId) =>
      Stream.unwrap(Effect.map(
        Effect.zip(subscribe, entryOf(taskId)),
        ([queue, { state }]) =>
          Stream.concat(
            Stream.succeed(state),
            Stream.fromQueue(queue).pipe(Stream.filter((event) => event.taskId === taskId), Stream.map(stateAfter))
          ).pipe(Stream.takeUntil(isEnd))
      )),
    list: Effect.sync(() =>
      [...tasks.values()].map(({ acceptedAtMs, runId, sessionKey, state, summary, taskId }) => ({
        taskId,
        runId,
        sessionKey,
        summary,
        acceptedAtMs,
        state
      }))
    ),
    await: Effect.fn("TaskRunner.await")(function*(taskId) {
      return yield* Deferred.await((yield* entryOf(taskId)).ended)
    }),
    abort: Effect.fn("TaskRunner.abort")(function*(taskId) {
      return yield* abortEntry(yield* entryOf(taskId))
    })
  })
})

const isOpen = ({ state }: Entry): boolean => !isEnd(state)

/** It ended for us, and its run may still be at work. */
const mayRun = ({ state }: Entry): boolean => state._tag === "Unknown" || (state._tag === "Expired" && state.sent)

/** One of a gateway's sessions, whatever it is called there. */
const sessionOf = ({ gatewayScope, sessionKey }: Pick<Entry, "gatewayScope" | "sessionKey">): string =>
  `${gatewayScope} ${canonicalSessionKey(sessionKey)}`

const recordOf = (entry: Entry): JournalEntry => ({
  taskId: entry.taskId,
  runId: entry.runId,
  gatewayScope: entry.gatewayScope,
  sessionKey: entry.sessionKey,
  summary: entry.summary,
  position: entry.position,
  acceptedAtMs: entry.acceptedAtMs,
  sentAtMs: entry.sentAtMs,
  answeredRunId: entry.answeredRunId,
  elsewhere: entry.elsewhere
})

/** The gateway answers a key whose run came to nothing with what that run said. */
const refusalError = (runId: string, error: RequestRejected): RequestRejected | SessionConflicted => {
  const said = runError(runId, error.gatewayMessage)
  return said._tag === "SessionConflicted" ? said : error
}

const queuedReason = (status: ConnectionStatus): QueuedReason | undefined => {
  switch (status._tag) {
    case "Connected":
      return undefined
    case "AwaitingApproval":
      return "AwaitingApproval"
    case "Connecting":
    case "Stopped":
      return "Offline"
    case "Waiting":
      return status.approval === undefined ? "Offline" : "AwaitingApproval"
    case "Paused":
      return "Paused"
    case "Halted":
      return "Halted"
  }
}

/** The second text mostly repeats the first with words before it. */
const joinErrors = (first: string, second: string): string =>
  second.includes(first) ? second : first.includes(second) ? first : `${first}\n${second}`

const decodeSendAnswer = Schema.decodeUnknownOption(
  Schema.Struct({ status: Schema.String, runId: Schema.optionalKey(Schema.NonEmptyString) })
)
const decodeWaitAnswer = Schema.decodeUnknownOption(
  Schema.Struct({ status: Schema.String, error: Schema.optionalKey(Schema.String) })
)
/** A stop command is answered like `chat.abort`, with no run id of its own. */
const AbortAnswer = Schema.Struct({ aborted: Schema.Boolean, runIds: Schema.Array(Schema.String) })
const decodeAbortAnswer = Schema.decodeUnknownOption(AbortAnswer)
const decodeStopAnswer = (answer: unknown) =>
  Option.isSome(decodeSendAnswer(answer)) ? Option.none() : decodeAbortAnswer(answer)
