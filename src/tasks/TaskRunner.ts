/**
 * Delegates tasks to OpenClaw's agent over `chat.send`, and gives each its own answer.
 *
 * A task keeps one idempotency key for its whole life; the gateway uses it as the run id, and answers are matched by it and the
 * session key. When a link or this process dies under a task, the session's history decides. `TaskStep` says what follows for
 * a task from what happens, and `Lanes` whose turn it is.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Broadcast from "../broadcast/Broadcast.ts"
import * as Source from "../broadcast/Source.ts"
import type { GatewayStatus } from "../connection/ConnectionStatus.ts"
import type { MissingScope, RequestRejected } from "../connection/RequestError.ts"
import type { Session } from "../connection/Session.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import type { FrameTooLarge } from "../protocol/FrameLimit.ts"
import type { Attachment } from "./Attachment.ts"
import * as KeptText from "./KeptText.ts"
import * as LiveRun from "./LiveRun.ts"
import type { Cell } from "./RunnerState.ts"
import * as RunnerState from "./RunnerState.ts"
import type { RunPart } from "./RunPart.ts"
import * as SessionEvents from "./SessionEvents.ts"
import type { Task, TaskEvent, TaskOutcome, TaskReceipt, TaskState } from "./Task.ts"
import { isEnd, RunId, stateAfter, TaskId, waitingPhases } from "./Task.ts"
import { TaskNotFound, TaskRefused } from "./TaskError.ts"
import type { JournalEntry, JournalRecord } from "./TaskJournal.ts"
import { TaskJournal } from "./TaskJournal.ts"
import { endOf, partialOf, reasonOf, stateOf, taskOf } from "./TaskLife.ts"
import * as TaskMailbox from "./TaskMailbox.ts"

/** Defaults and limits for the tasks of one runner. */
export interface Options {
  /** The session that gets tasks without one of their own. `agent:main:main` unless set. */
  readonly sessionKey?: string | undefined
  /**
   * How long a task may take, 180 s unless set. The time begins when the task is accepted or, if there is no link then, with
   * the next link, so that a wait for approval does not use it up. A lost link does not stop it. For a task of an earlier
   * process it begins anew.
   */
  readonly taskTimeout?: Duration.Input | undefined
  /** Whether the run of a task whose time is up is stopped. Unless set it goes on, and its reply is published as late. */
  readonly abortExpired?: boolean | undefined
  /** How many tasks may wait to be sent, 100 unless set. */
  readonly maxQueued?: number | undefined
  /**
   * How often the journal is asked for tasks of programs that have ended meanwhile, for a runner that lives long and shares its
   * journal. Unless set it is asked at the start, and when the settings name another gateway.
   */
  readonly takeOverEvery?: Duration.Input | undefined
  /** How long a summary may be, in UTF-8 bytes; 65536 unless set. */
  readonly maxSummaryBytes?: number | undefined
}

/** Sends tasks to OpenClaw's agent and tells how each ends. `Agent.layer` provides it, over `Supervisor` and `TaskJournal`. */
export class TaskRunner extends Context.Service<TaskRunner, {
  /**
   * Accepts a task and returns as soon as the journal has it, with or without a link. White space around the summary is not
   * sent. Files that go with it are checked against what the gateway takes; without a link that is done when the task is sent, which
   * then fails with `AttachmentRefused`. With a `runId` of the caller's, a UUID of version 4, a task that the runner lists under it
   * already is not accepted again: its receipt is given once more.
   */
  readonly delegate: (
    summary: string,
    options?: {
      readonly sessionKey?: string
      readonly attachments?: ReadonlyArray<Attachment>
      readonly runId?: RunId
    }
  ) => Effect.Effect<TaskReceipt, TaskRefused>
  /**
   * A snapshot, then every event from the moment that the stream runs. The snapshot has, in the order of acceptance, each open
   * task as the event of its state, unless it is about to be sent, and the ends of tasks that an earlier process accepted, as
   * long as they are listed. Each subscriber has a queue of its own; a slow one gets the last sixteen phases of each task and
   * every end. The stream ends with the runner. An end is published before the journal forgets the task: after a kill between
   * the two, it is published again by the next process.
   */
  readonly events: Stream.Stream<TaskEvent>
  /** The replies among `events`, late ones too. */
  readonly replies: Stream.Stream<Extract<TaskEvent, { readonly _tag: "Replied" }>>
  /** How a task stands now, then each change, up to its end. */
  readonly follow: (taskId: TaskId) => Stream.Stream<TaskState, TaskNotFound>
  /**
   * What the run of a task tells while it is at work: the reply as it is written, thoughts, calls of tools, tokens, and at last how
   * the task ended. First the reply so far as one part. Complete and in order, but for a counted `Gap` where a link was lost or
   * the subscriber was too slow; the reply itself is whole at the end in any case. Ends with the task, and with the runner.
   */
  readonly parts: (taskId: TaskId) => Stream.Stream<RunPart, TaskNotFound>
  /** Open tasks, also those of an earlier process, and the last 200 that ended, in the order in which they were accepted. */
  readonly list: Effect.Effect<ReadonlyArray<Task>>
  /** One of them. */
  readonly get: (taskId: TaskId) => Effect.Effect<Task, TaskNotFound>
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
  static readonly make = (
    options?: Options
  ): Effect.Effect<
    TaskRunner["Service"],
    never,
    Scope.Scope | SecureRandom.SecureRandom | Supervisor | TaskJournal
  > => make(options)

  static readonly layer = (
    options?: Options
  ): Layer.Layer<TaskRunner, never, Supervisor | SecureRandom.SecureRandom | TaskJournal> =>
    Layer.effect(TaskRunner, TaskRunner.make(options))
}

/** State of one runner. */
interface Runner {
  readonly options: Options
  readonly state: RunnerState.RunnerState
  readonly mailbox: TaskMailbox.TaskMailbox
  readonly journal: TaskJournal["Service"]
  readonly told: Broadcast.Broadcast<TaskEvent>
  readonly random: SecureRandom.SecureRandom["Service"]
  readonly clock: Clock.Clock
  /** The session whose events are read. */
  followed: Session | undefined
  lastPosition: number
  /** How many tasks are on their way into the journal. */
  arriving: number
}

/** An end has no key, so that it is never replaced. */
const keyOf = ({ _tag, taskId }: TaskEvent): string | undefined =>
  _tag === "Queued" || _tag === "Sent" || _tag === "Phase" ? `${taskId} ${_tag}` : undefined

const openTasks = function*(state: RunnerState.RunnerState) {
  for (const { life } of state.cells.values()) yield* RunnerState.snapshotOf(life)
}

/** Adds a task that the journal has. */
const accept = ({ mailbox, state }: Runner, record: JournalRecord, inherited: boolean): TaskReceipt => {
  const cell = state.add(record, inherited)
  const receipt = { taskId: record.taskId, runId: record.runId, queued: reasonOf(cell.life) }
  mailbox.post(cell, { _tag: "Accepted" })
  if (state.link?.gatewayScope === record.gatewayScope) mailbox.post(cell, { _tag: "LinkUp" })
  if (record.abortRequested === true) mailbox.post(cell, { _tag: "AbortWanted", by: "OtherProcess" })
  return receipt
}

/** Goes on with what an earlier process left open on the gateway of the settings. */
const inherit = (self: Runner): Effect.Effect<void> =>
  Effect.suspend(() =>
    Effect.map(
      Effect.catch(
        self.journal.claim(self.state.connection.gatewayScope),
        (error) => Effect.as(Effect.logError(error.message), [])
      ),
      (records) => {
        for (const record of records) {
          self.lastPosition = Math.max(self.lastPosition, record.position)
          // A journal in memory also returns own tasks.
          if (!self.state.cells.has(record.taskId)) accept(self, record, true)
        }
      }
    )
  )

const followSession = (self: Runner): Effect.Effect<void, never, Scope.Scope> => {
  const { mailbox, state } = self
  const { gatewayScope, status } = state.connection
  if (status._tag !== "Connected" || status.session === self.followed) return Effect.void
  self.followed = status.session
  return SessionEvents.follow(state, mailbox, status.session, gatewayScope)
}

const onConnection = (self: Runner, next: GatewayStatus): Effect.Effect<void, never, Scope.Scope> =>
  Effect.suspend(() => {
    const { mailbox, state } = self
    const before = state.connection
    if (next.status === before.status && next.gatewayScope === before.gatewayScope) return Effect.void
    state.connection = next
    for (const cell of state.cells.values()) {
      const place = RunnerState.placeOf(next, cell.life.subject.gatewayScope)
      mailbox.post(cell, { _tag: "ConnectionChanged", ...place })
    }
    if (next.gatewayScope !== before.gatewayScope) mailbox.run("inherit", inherit(self))
    return followSession(self)
  })

const cellOf = ({ state }: Runner, taskId: TaskId): Effect.Effect<Cell, TaskNotFound> =>
  Effect.suspend(() => {
    const cell = state.cells.get(taskId)
    return cell === undefined ? Effect.fail(new TaskNotFound({ taskId })) : Effect.succeed(cell)
  })

const follow = (self: Runner, taskId: TaskId): Stream.Stream<TaskState, TaskNotFound> =>
  Stream.unwrap(Effect.map(cellOf(self, taskId), ({ life }) =>
    self.told.select({
      snapshot: () => [stateOf(life)],
      select: (event) => event.taskId === taskId ? stateAfter(event) : undefined
    }).pipe(Stream.takeUntil(isEnd))))

const parts = (self: Runner, taskId: TaskId): Stream.Stream<RunPart, TaskNotFound> =>
  Stream.unwrap(Effect.map(
    cellOf(self, taskId),
    (cell) => (cell.live ??= LiveRun.make(partialOf(cell.life), endOf(cell.life))).follow
  ))

const awaitEnd = Effect.fn("TaskRunner.await")(function*(self: Runner, taskId: TaskId) {
  const cell = yield* cellOf(self, taskId)
  if (cell.life.stage._tag === "Ended") return cell.life.stage.outcome
  return yield* self.mailbox.isStopped() ? Effect.interrupt : Deferred.await(cell.ended ??= Deferred.makeUnsafe())
})

const abort = Effect.fn("TaskRunner.abort")(function*(self: Runner, taskId: TaskId) {
  const cell = yield* cellOf(self, taskId)
  if (self.mailbox.isStopped()) return false
  const aborted = cell.aborted ??= Deferred.makeUnsafe()
  self.mailbox.post(cell, { _tag: "AbortWanted", by: "Caller" })
  return yield* Deferred.await(aborted)
})

const freshTaskId = Effect.fnUntraced(function*({ random, state }: Runner) {
  while (true) {
    const taskId = TaskId.make((yield* random.uuidV4()).slice(0, 8))
    if (!state.cells.has(taskId)) return taskId
  }
})

/** Uninterruptible: a task that the journal has is accepted, even if its caller does not wait for the receipt. */
const keep = Effect.fnUntraced(function*(self: Runner, entry: JournalEntry) {
  self.arriving++
  const kept = yield* Effect.result(self.journal.put(entry))
  self.arriving--
  if (Result.isFailure(kept)) {
    yield* Effect.logError(kept.failure.message)
    return yield* new TaskRefused({ reason: "NotKept", cause: kept.failure })
  }
  if (!self.mailbox.isStopped()) return accept(self, entry, false)
  yield* Effect.ignore(self.journal.remove(entry.runId, "Aborted"), { log: "Warn" })
  return yield* new TaskRefused({ reason: "Stopped" })
}, Effect.uninterruptible)

/** Keeps a task with its files: first what is in them, so that no task is kept without. */
const keepWithFiles = Effect.fnUntraced(function*(
  self: Runner,
  entry: JournalEntry,
  attachments: ReadonlyArray<Attachment>
) {
  const { journal, state: { connection: { status } } } = self
  const { runId, sessionKey, summary } = entry
  const message = { sessionKey, message: summary, deliver: false, idempotencyKey: runId }
  const session = status._tag === "Connected" ? status.session : undefined
  const { keep: keepFiles, recordsOf } = yield* Effect.promise(() => import("./TaskAttachments.ts"))
  const records = yield* recordsOf(attachments, message, session)
  self.arriving++
  return yield* Effect.uninterruptibleMask((restore) =>
    restore(keepFiles(journal, runId, attachments, records)).pipe(
      Effect.ensuring(Effect.sync(() => self.arriving--)),
      Effect.andThen(
        Effect.tapError(
          keep(self, { ...entry, attachments: records }),
          () => journal.contents?.drop(runId) ?? Effect.void
        )
      )
    )
  )
})

/** Checks a task, writes it to the journal, and accepts it. */
const delegate = Effect.fn("TaskRunner.delegate")(
  function*(
    self: Runner,
    summary: string,
    { attachments = [], runId: given, sessionKey = self.options.sessionKey ?? "agent:main:main" }: DelegateOptions = {}
  ) {
    const { mailbox, options: { maxQueued = 100, maxSummaryBytes = 65_536 }, random, state } = self
    for (const { life } of given === undefined ? [] : state.cells.values()) {
      const { runId, taskId } = life.subject
      if (runId === given) return { taskId, runId, queued: reasonOf(life) }
    }
    const text = summary.trim()
    if (!KeptText.isText(text)) return yield* new TaskRefused({ reason: "NotText" })
    if (KeptText.isEmpty(text)) return yield* new TaskRefused({ reason: "Empty" })
    if (new TextEncoder().encode(text).length > maxSummaryBytes) {
      return yield* new TaskRefused({ reason: "TooLarge", limit: maxSummaryBytes })
    }
    const runId = given ?? RunId.make(yield* random.uuidV4())
    const taskId = yield* freshTaskId(self)
    const { gatewayScope, status } = state.connection
    if (mailbox.isStopped() || status._tag === "Stopped") return yield* new TaskRefused({ reason: "Stopped" })
    let waiting = self.arriving
    for (const { life } of state.cells.values()) if (stateOf(life)._tag === "Queued") waiting++
    if (waiting >= maxQueued) return yield* new TaskRefused({ reason: "TooMany", limit: maxQueued })
    const entry: JournalEntry = {
      taskId,
      runId,
      gatewayScope,
      sessionKey,
      summary: text,
      position: ++self.lastPosition,
      acceptedAtMs: self.clock.currentTimeMillisUnsafe()
    }
    return yield* attachments.length === 0 ? keep(self, entry) : keepWithFiles(self, entry, attachments)
  }
)

type DelegateOptions = NonNullable<Parameters<TaskRunner["Service"]["delegate"]>[1]>

const serviceOf = (self: Runner): TaskRunner["Service"] => ({
  delegate: (summary, options) => delegate(self, summary, options),
  events: self.told.subscribe(),
  replies: self.told.select({ select: (event) => event._tag === "Replied" ? event : undefined }),
  follow: (taskId) => follow(self, taskId),
  parts: (taskId) => parts(self, taskId),
  list: Effect.sync(() => Array.from(self.state.cells.values(), ({ life }) => taskOf(life))),
  get: (taskId) => Effect.map(cellOf(self, taskId), ({ life }) => taskOf(life)),
  await: (taskId) => awaitEnd(self, taskId),
  abort: (taskId) => abort(self, taskId)
})

const make = Effect.fnUntraced(function*(options: Options = {}) {
  const supervisor = yield* Supervisor
  const journal = yield* TaskJournal
  const first = yield* Stream.runHead(supervisor.changes)
  // A supervisor without a status has stopped.
  const stopped: GatewayStatus = { gatewayScope: "", status: { _tag: "Stopped" } }
  const state = new RunnerState.RunnerState(Option.getOrElse(first, () => stopped))
  const told = Broadcast.make<TaskEvent>({
    snapshot: () => openTasks(state),
    coalesceKey: keyOf,
    keep: waitingPhases
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => told.end()))
  const mailbox = yield* TaskMailbox.make({
    rules: {
      timeoutMs: Duration.toMillis(options.taskTimeout ?? "180 seconds"),
      abortExpired: options.abortExpired ?? false
    },
    state,
    journal,
    publish: (event) => told.publish(event)
  })
  const self: Runner = {
    options,
    state,
    mailbox,
    journal,
    told,
    random: yield* SecureRandom.SecureRandom,
    clock: yield* Clock.Clock,
    followed: undefined,
    lastPosition: 0,
    arriving: 0
  }
  yield* inherit(self)
  yield* followSession(self)
  const { takeOverEvery } = options
  if (takeOverEvery !== undefined) {
    mailbox.run("take over", Effect.forever(Effect.delay(inherit(self), takeOverEvery), { disableYield: true }))
  }
  const scope = yield* Effect.scope
  yield* Source.forkRead(supervisor.changes, {
    read: (changes) =>
      Scope.provide(Effect.forEach(changes, (next) => onConnection(self, next), { discard: true }), scope),
    failed: "task runner died"
  })
  return TaskRunner.of(serviceOf(self))
})
