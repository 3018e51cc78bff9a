/**
 * A recorded agent: the same layer, with the flight recorder between it and its links, its random numbers, its journal and
 * its callers.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { FileSystem } from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Requirements } from "../agent/Agent.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import type { GatewayConfig } from "../handshake/GatewayConfig.ts"
import type { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import type { TokenStore } from "../identity/TokenStore.ts"
import type { DialError } from "../link/LinkError.ts"
import type { Link, LinkHandler, Target } from "../link/Transport.ts"
import { Transport } from "../link/Transport.ts"
import type { RunId, TaskId } from "../tasks/Task.ts"
import type { JournalRecord } from "../tasks/TaskJournal.ts"
import { TaskJournal } from "../tasks/TaskJournal.ts"
import { TaskRunner } from "../tasks/TaskRunner.ts"
import type { Options, RecordingRefused } from "./FlightRecorder.ts"
import { FlightRecorder, settingsOf } from "./FlightRecorder.ts"
import type { LinkEnd, OpenTask } from "./Recording.ts"
import type { Redactor } from "./Redaction.ts"
import * as StateRecord from "./StateRecord.ts"

/**
 * Records an agent of this layer from its first dial to its end. The file is complete when the scope of the layer is closed.
 */
export const layer = (options: Options) =>
<A, E, R extends Requirements>(
  agent: Layer.Layer<A | Supervisor | TaskRunner, E, R>
): Layer.Layer<A | Supervisor | TaskRunner, E | RecordingRefused, R | Recordable> =>
  services.pipe(
    Layer.provideMerge(agent),
    Layer.provide(Layer.mergeAll(transport, random, journal)),
    Layer.provide(FlightRecorder.layer(options))
  )

/** Everything that is recorded besides the agent itself. */
type Recordable = DeviceIdentity | FileSystem | GatewayConfig | TaskJournal | TokenStore | Transport

/** Records every number that the agent draws, so that a replay waits as long. */
const random = Layer.effect(
  Random.Random,
  Effect.gen(function*() {
    const { note } = yield* FlightRecorder
    const inner = yield* Random.Random
    return {
      nextIntUnsafe: () => inner.nextIntUnsafe(),
      nextDoubleUnsafe: () => {
        const value = inner.nextDoubleUnsafe()
        note(() => ({ kind: "draw", value }))
        return value
      }
    }
  })
)

const transport: Layer.Layer<Transport, never, FlightRecorder | Transport> = Layer.effect(
  Transport,
  Effect.gen(function*() {
    const recorder = yield* FlightRecorder
    const inner = yield* Transport
    let links = 0
    return Transport.of({
      ...inner,
      dial: (target, handler) =>
        Effect.andThen(
          Deferred.await(recorder.ready),
          Effect.suspend(() => dial(recorder, inner, ++links, target, handler))
        )
    })
  })
)

const dial = (
  { note }: FlightRecorder["Service"],
  inner: Transport["Service"],
  link: number,
  target: Target,
  handler: LinkHandler
): Effect.Effect<Link, DialError, Scope.Scope> => {
  note(() => ({ kind: "dial", link }))
  const noteText = (text: string) =>
    note((redactor) => {
      const frame = redactor.frame(text)
      return frame === undefined
        ? { kind: "noise", link, length: text.length }
        : { kind: "in", link, frame: { ...frame } }
    }, text.length)
  const recording: LinkHandler = {
    onText: (text) => {
      noteText(text)
      handler.onText(text)
    },
    onClose: (error) => {
      note((redactor) => ({ kind: "closed", link, end: endOf(error, redactor) }))
      handler.onClose(error)
    },
    onPhase: (phase) => {
      note(() => ({ kind: "phase", link, phase }))
      handler.onPhase?.(phase)
    }
  }
  // Registered before the link's own finalizer, so it runs after it.
  return Effect.addFinalizer(() => Effect.sync(() => note(() => ({ kind: "left", link })))).pipe(
    Effect.andThen(inner.dial(target, recording)),
    Effect.tapError((error) =>
      Effect.sync(() => note((redactor) => ({ kind: "failed", link, end: endOf(error, redactor) })))
    ),
    Effect.map((opened): Link => {
      note(() => ({ kind: "open", link }))
      return {
        ...opened,
        sendUnsafe: (text) => {
          // First, because the answer may come before `sendUnsafe` returns.
          note((redactor) => ({ kind: "out", link, frame: { ...redactor.frame(text) } }), text.length)
          const sent = opened.sendUnsafe(text)
          if (!sent) note(() => ({ kind: "untaken", link }))
          return sent
        },
        closeUnsafe: (closeCode, reason) => {
          note(() => ({ kind: "cut", link, closeCode }))
          opened.closeUnsafe(closeCode, reason)
        }
      }
    })
  )
}

const endOf = (error: DialError, { clean, words }: Redactor): LinkEnd => {
  switch (error._tag) {
    case "LinkError":
      return {
        error: error._tag,
        reason: error.reason,
        phase: error.phase,
        ...(error.closeCode === undefined ? {} : { closeCode: error.closeCode }),
        ...(error.closeReason === undefined ? {} : { closeReason: words(error.closeReason) }),
        ...(error.errno === undefined || !isErrorName(error.errno) ? {} : { errno: clean(error.errno) }),
        ...(error.proxy === undefined ? {} : { proxied: true })
      }
    case "UpgradeRejected":
      return {
        error: error._tag,
        reason: error.reason,
        status: error.status,
        body: words(error.body),
        ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs })
      }
    case "ProxyRejected":
      return {
        error: error._tag,
        reason: error.reason,
        ...(error.status === undefined ? {} : { status: error.status }),
        ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs })
      }
    case "TlsPinMismatch":
      return { error: error._tag, reason: error.reason }
    case "TlsUntrusted":
      return { error: error._tag, reason: error.reason, code: isErrorName(error.code) ? clean(error.code) : "OTHER" }
  }
}

/** Whether this is an error name of a system or library, such as `ECONNREFUSED`. */
const isErrorName = (text: string): boolean => /^[A-Z][A-Z0-9_]{0,63}$/.test(text)

/** Records the tasks of earlier processes, and the aborts that other processes ask for. */
const journal: Layer.Layer<TaskJournal, never, FlightRecorder | TaskJournal> = Layer.effect(
  TaskJournal,
  Effect.gen(function*() {
    const { note } = yield* FlightRecorder
    const inner = yield* TaskJournal
    const open = new Map<RunId, TaskId>()
    const aborted = new Set<RunId>()
    let claimed: string | undefined
    const noteTasks = (gatewayScope: string, tasks: ReadonlyArray<JournalRecord>) =>
      Effect.sync(() => {
        // It is asked for one gateway once, and then now and then.
        const again = claimed === gatewayScope
        claimed = gatewayScope
        if (again && tasks.length === 0) return
        for (const { abortRequested, runId, taskId } of tasks) {
          open.set(runId, taskId)
          if (abortRequested === true) aborted.add(runId)
        }
        note((redactor) => ({
          kind: "takenUp",
          tasks: tasks.map((task) => openTaskOf(task, redactor)),
          ...(again ? { again } : {})
        }))
      })
    return TaskJournal.of({
      ...inner,
      claim: (gatewayScope) =>
        inner.claim(gatewayScope).pipe(
          Effect.tap((tasks) => noteTasks(gatewayScope, tasks)),
          Effect.tapError(() => noteTasks(gatewayScope, []))
        ),
      put: (entry) => Effect.tap(inner.put(entry), () => Effect.sync(() => void open.set(entry.runId, entry.taskId))),
      remove: (runId, ended) =>
        Effect.suspend(() => {
          open.delete(runId)
          aborted.delete(runId)
          return inner.remove(runId, ended)
        }),
      abortRequests: Effect.tap(inner.abortRequests, (wanted) =>
        Effect.sync(() => {
          for (const runId of wanted) {
            const taskId = open.get(runId)
            if (taskId === undefined || aborted.has(runId)) continue
            aborted.add(runId)
            note(() => ({ kind: "abort", taskId }))
          }
        }))
    })
  })
)

const openTaskOf = (task: JournalRecord, redactor: Redactor): OpenTask => ({
  taskId: task.taskId,
  runId: redactor.id(task.runId),
  sessionKey: redactor.sessionKey(task.sessionKey),
  summary: redactor.ownText(task.summary),
  position: task.position,
  acceptedAtMs: task.acceptedAtMs,
  ...(task.sentAtMs === undefined ? {} : { sentAtMs: task.sentAtMs }),
  ...(task.answeredRunId === undefined ? {} : { answeredRunId: redactor.id(task.answeredRunId) }),
  ...(task.merged === undefined ? {} : { elsewhere: task.merged }),
  ...(task.abortRequested === undefined ? {} : { abortRequested: task.abortRequested })
})

/** Records each state, and every call of the supervisor and of the tasks. */
const services: Layer.Layer<Supervisor | TaskRunner, never, FlightRecorder | Supervisor | TaskRunner> = Layer
  .effectContext(
    Effect.gen(function*() {
      const { note, ready } = yield* FlightRecorder
      const supervisor = yield* Supervisor
      const tasks = yield* TaskRunner
      let delegated = 0
      const noteCall = (what: "attend" | "leave" | "checkNow" | "pause" | "resume" | "stop") =>
        Effect.sync(() => note(() => ({ kind: "asked", what })))
      const nowMs = yield* Effect.clockWith((clock) => Effect.succeed(() => clock.currentTimeMillisUnsafe()))

      yield* supervisor.changes.pipe(
        Stream.runForEach(({ status }) =>
          Effect.sync(() => {
            const at = nowMs()
            note((redactor) => ({ kind: "state", state: StateRecord.describe(status, at, redactor) }))
          })
        ),
        Effect.ignoreCause({ log: "Error", message: "states are no longer recorded" }),
        Effect.forkScoped({ startImmediately: true })
      )
      const scope = yield* Effect.scope
      /** Does not subscribe to events: the first subscriber takes those of earlier tasks, and that is another one. */
      const watch = (taskId: TaskId) =>
        tasks.await(taskId).pipe(
          Effect.flatMap((outcome) =>
            Effect.sync(() =>
              note(
                (redactor) => ({ kind: "ended", taskId, end: StateRecord.describeEnd(outcome, redactor) }),
                "text" in outcome ? outcome.text.length : 0
              )
            )
          ),
          Effect.ignoreCause({ log: "Debug", message: "the end of a task is not recorded" }),
          Effect.forkIn(scope, { startImmediately: true })
        )
      for (const { taskId } of yield* tasks.list) yield* watch(taskId)
      yield* Deferred.succeed(ready, undefined)
      // Runs before the finalizers of the agent.
      yield* Effect.addFinalizer(() => noteCall("stop"))

      return Context.make(Supervisor, {
        ...supervisor,
        attend: Effect.andThen(
          Effect.acquireRelease(noteCall("attend"), () => noteCall("leave")),
          supervisor.attend
        ),
        checkNow: Effect.andThen(noteCall("checkNow"), supervisor.checkNow),
        pause: Effect.andThen(noteCall("pause"), supervisor.pause),
        resume: Effect.andThen(noteCall("resume"), supervisor.resume),
        reconfigure: (settings) =>
          Effect.andThen(
            Effect.sync(() => note((redactor) => ({ kind: "reconfigured", settings: settingsOf(settings, redactor) }))),
            supervisor.reconfigure(settings)
          ),
        upgradeScopes: (scopes) =>
          Effect.andThen(
            Effect.sync(() => note(() => ({ kind: "upgradeScopes", scopes }))),
            supervisor.upgradeScopes(scopes)
          )
      }).pipe(Context.add(TaskRunner, {
        ...tasks,
        delegate: (summary, options) =>
          Effect.suspend(() => {
            const task = ++delegated
            note((redactor) => ({
              kind: "delegated",
              task,
              text: redactor.ownText(summary.trim()),
              ...(options?.sessionKey === undefined ? {} : { sessionKey: redactor.sessionKey(options.sessionKey) })
            }), summary.length)
            return Effect.tap(tasks.delegate(summary, options), ({ runId, taskId }) =>
              Effect.suspend(() => {
                note(() => ({ kind: "accepted", task, taskId, runId }))
                return watch(taskId)
              }))
          }),
        abort: (taskId) =>
          Effect.andThen(Effect.sync(() => note(() => ({ kind: "abort", taskId }))), tasks.abort(taskId))
      }))
    })
  )
