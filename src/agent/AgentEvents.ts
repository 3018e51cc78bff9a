/**
 * Status, notices and tasks of one agent, merged into one stream.
 *
 * A subscriber first gets what holds now (identity, gateway, the state of the connection, the open notice and the open tasks),
 * then everything that happens.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Entry } from "../advice/Entry.ts"
import * as ErrorCatalogue from "../advice/ErrorCatalogue.ts"
import * as NextStep from "../advice/NextStep.ts"
import * as Broadcast from "../broadcast/Broadcast.ts"
import * as Source from "../broadcast/Source.ts"
import type { ConnectionStatus, HaltCause } from "../connection/ConnectionStatus.ts"
import type { Session } from "../connection/Session.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import { compareCode } from "../identity/CompareCode.ts"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import * as Endpoint from "../link/Endpoint.ts"
import { PairingNotifier } from "../pairing/PairingNotifier.ts"
import type { AgentEvent, Failure } from "../protocol/AgentEvent.ts"
import { isoTime } from "../protocol/AgentEvent.ts"
import type { Suspension } from "../protocol/Connect.ts"
import type { PairingNotice } from "../protocol/PairingNotice.ts"
import type { RunPart } from "../tasks/RunPart.ts"
import type { TaskEvent, TaskId } from "../tasks/Task.ts"
import { truncation, waitingPhases } from "../tasks/Task.ts"
import { TaskRunner } from "../tasks/TaskRunner.ts"
import { namedEnd } from "../tasks/TaskWords.ts"
import type { ToolsNotOffered } from "../toolhost/ToolError.ts"
import { withoutSecrets } from "./EventSecrets.ts"
import * as LiveText from "./LiveText.ts"
import * as Snapshot from "./Snapshot.ts"

/** What the `gateway` event says of the gateway. */
export interface Options {
  /** The gateway is one that this program started itself. */
  readonly embedded?: boolean | undefined
}

/**
 * The one stream of what an agent does, for `--json`, the pairing page and embedders. `Agent.layer` provides it. Each run of
 * `events` is a subscription of its own: first what holds now, then every change.
 */
export class AgentEvents extends Context.Service<AgentEvents, {
  readonly events: Stream.Stream<AgentEvent>
  /** Tells these events too, as long as the scope is open: those of another connection of this device, such as that of its tools. */
  readonly include: (events: Stream.Stream<AgentEvent>) => Effect.Effect<void, never, Scope.Scope>
}>()("effect-openclaw/agent/AgentEvents") {
  static readonly make = (
    options?: Options
  ): Effect.Effect<
    AgentEvents["Service"],
    never,
    DeviceIdentity | PairingNotifier | Scope.Scope | Supervisor | TaskRunner
  > => make(options ?? {})

  static readonly layer = (
    options?: Options
  ): Layer.Layer<AgentEvents, never, DeviceIdentity | PairingNotifier | Supervisor | TaskRunner> =>
    Layer.effect(this, AgentEvents.make(options))
}

const follow = <A>(stream: Stream.Stream<A>, what: string, tell: (value: A) => Effect.Effect<void>) =>
  Source.forkRead(stream, {
    read: (values) => Effect.forEach(values, tell, { discard: true }),
    failed: `${what} no longer followed`
  })

const make = Effect.fnUntraced(function*(options: Options) {
  const identity = yield* DeviceIdentity
  const supervisor = yield* Supervisor
  const notifier = yield* PairingNotifier
  const tasks = yield* TaskRunner
  const clock = yield* Clock.Clock
  const scope = yield* Effect.scope
  const now = () => isoTime(clock.currentTimeMillisUnsafe())
  const snapshot = Snapshot.make()
  const told = Broadcast.make<AgentEvent>({
    snapshot: snapshot.events,
    coalesceKey: (event) =>
      event.event === "task.phase" || event.event === "task.text" || event.event === "task.tool"
        ? `${event.event} ${event.taskId}`
        : undefined,
    keep: waitingPhases
  })
  const publish = (event: AgentEvent, keep = false) => {
    snapshot.note(event, keep)
    told.publish(event)
  }
  yield* Effect.addFinalizer(() => Effect.sync(() => told.end()))
  const { source } = identity
  publish({
    at: now(),
    event: "identity",
    deviceId: identity.deviceId,
    compareCode: compareCode(identity.deviceId).words,
    created: source._tag === "Ephemeral" || ("created" in source && source.created),
    ...(source._tag === "File" ? { path: source.path } : {})
  })
  let gatewayScope: string | undefined
  const tellGateway = (scope: string) => {
    if (scope === gatewayScope) return
    gatewayScope = scope
    publish({ at: now(), event: "gateway", url: Endpoint.shown(scope), embedded: options.embedded ?? false })
  }
  tellGateway(yield* supervisor.gatewayScope)
  let session: Session | undefined
  let suspension: Suspension | undefined
  // A task may end after the session whose gateway told its end.
  let secrets: ReadonlyArray<Redacted.Redacted> = []
  yield* follow(supervisor.changes, "status", ({ gatewayScope: scope, status }) =>
    Effect.sync(() => {
      tellGateway(scope)
      // What waits for approval beside a session is told by its notice.
      const same = status._tag === "Connected" && status.session === session && status.suspension === suspension
      session = status._tag === "Connected" ? status.session : undefined
      suspension = status._tag === "Connected" ? status.suspension : undefined
      if (session?.secrets !== undefined) secrets = session.secrets
      const event = same ? undefined : fromStatus(status, now())
      if (event !== undefined) publish(event)
    }))
  yield* follow(notifier.notices, "notices", (notice) => Effect.sync(() => publish(fromNotice(notice, now()))))
  /** Tells what a run writes, and its tools, until it has ended. */
  const tellLive = (taskId: TaskId) => {
    let text = LiveText.empty
    const tell = (parts: ReadonlyArray<RunPart>) => {
      const [next, events] = LiveText.step(text, parts, { at: now(), taskId, secrets })
      text = next
      for (const event of events) publish(event)
    }
    return tasks.parts(taskId).pipe(
      Stream.runForEachArray((parts) => Effect.andThen(Effect.sync(() => tell(parts)), Effect.sleep(livePace))),
      Effect.ignore
    )
  }
  // A process may have thousands of agents without a task.
  let live: Map<TaskId, Fiber.Fiber<void>> | undefined
  const beginLive = (taskId: TaskId) =>
    live?.has(taskId) === true ? Effect.void : Effect.map(
      Effect.forkIn(Effect.ensuring(tellLive(taskId), Effect.sync(() => live?.delete(taskId))), scope),
      (fiber) => {
        live ??= new Map()
        live.set(taskId, fiber)
      }
    )
  const endLive = (taskId: TaskId) => {
    const fiber = live?.get(taskId)
    return fiber === undefined ? Effect.void : Fiber.interrupt(fiber)
  }
  // Nobody could see the end of a task that an earlier process accepted, so every subscriber is told it.
  const isInherited = (taskId: TaskId) =>
    Effect.orElseSucceed(Effect.map(tasks.get(taskId), ({ inherited }) => inherited), () => false)
  yield* follow(tasks.events, "tasks", (event) => {
    const isEnd = event._tag !== "Queued" && event._tag !== "Sent" && event._tag !== "Phase"
    const told = Effect.map(
      isEnd ? isInherited(event.taskId) : Effect.succeed(false),
      (keep) => publish(withoutSecrets(fromTask(event, now()), secrets), keep)
    )
    if (event._tag === "Queued") return told
    // Nothing is told of a run after its end.
    return isEnd
      ? Effect.andThen(endLive(event.taskId), told)
      : Effect.andThen(told, beginLive(event.taskId))
  })
  return AgentEvents.of({
    events: told.subscribe(),
    include: (events) => follow(events, "events of another connection", (event) => Effect.sync(() => publish(event)))
  })
})

/** How long what a run tells is gathered into one event. */
const livePace = "100 millis"

/** A failure for people and programs, with the catalogue's advice and without its cause. */
export const failure = (cause: HaltCause | ToolsNotOffered): Failure =>
  advised(ErrorCatalogue.adviceOn(cause), cause._tag, messageOf(cause), "reason" in cause ? cause.reason : undefined)

/** A failure after which the connection is tried again, whatever would follow it at a first start. */
export const retried = (cause: HaltCause): Failure => {
  const found = failure(cause)
  return found.next === NextStep.stays ? { ...found, next: NextStep.retriesSlowly } : found
}

const advised = (entry: Entry | undefined, error: string, message: string, reason: string | undefined): Failure => ({
  error,
  ...(reason === undefined ? {} : { reason }),
  message,
  ...(entry === undefined ? {} : { owner: entry.owner, advice: ErrorCatalogue.advice(entry), next: entry.next }),
  ...(entry?.command === undefined ? {} : { command: entry.command })
})

const messageOf = (cause: HaltCause | ToolsNotOffered): string => {
  switch (cause._tag) {
    case "ApprovalTimedOut":
      return cause.replaced > 0
        ? `the gateway replaced the approval request ${cause.replaced} times`
        : `nobody approved this device in ${Math.round(cause.waitedMs / 60_000)} minutes`
    case "InternalError":
      return "an internal error"
    default:
      return cause.message
  }
}

const fromStatus = (status: ConnectionStatus, at: string): AgentEvent | undefined => {
  switch (status._tag) {
    case "Connecting":
      return { at, event: "connecting", attempt: status.attempt }
    case "Connected": {
      const { facts } = status.session
      return {
        at,
        event: "connected",
        protocol: facts.protocol,
        ...(facts.serverVersion === undefined ? {} : { serverVersion: facts.serverVersion }),
        scopes: facts.scopes,
        ...(facts.missingScopes.length === 0 ? {} : { missingScopes: facts.missingScopes }),
        ...(facts.clockDeltaMs === undefined ? {} : { clockDeltaMs: facts.clockDeltaMs }),
        deviceTokenIssued: facts.deviceTokenIssued,
        ...(status.suspension === undefined ? {} : { suspension: status.suspension })
      }
    }
    case "Waiting":
      return { at, event: "waiting", cause: retried(status.cause), retryAt: isoTime(status.retryAtMs) }
    case "Halted":
      return { at, event: "halted", error: failure(status.cause) }
    case "Paused":
      return { at, event: "paused" }
    case "AwaitingApproval": // its notice says it
    case "Stopped":
      return undefined
  }
}

/** A notice as an event. */
export const fromNotice = (notice: PairingNotice, at: string): AgentEvent => {
  const subject = {
    at,
    deviceId: notice.deviceId,
    reason: notice.reason,
    ...(notice.role === undefined ? {} : { role: notice.role }),
    ...(notice.requestId === undefined ? {} : { requestId: notice.requestId })
  }
  switch (notice._tag) {
    case "Resolved":
      return { ...subject, event: "pairing.resolved" }
    case "Cancelled":
      return {
        ...subject,
        event: "pairing.cancelled",
        ...(notice.outcome === undefined ? {} : { outcome: notice.outcome })
      }
    case "Expired":
      return { ...subject, event: "pairing.expired", since: notice.since, expiresAt: notice.expiresAt }
    case "Required":
      return { ...subject, ...instructions(notice), event: "pairing.required" }
    case "Reminder":
      return { ...subject, ...instructions(notice), event: "pairing.reminder", reminder: notice.reminder }
    case "Superseded":
      return {
        ...subject,
        ...instructions(notice),
        event: "pairing.superseded",
        ...(notice.previousRequestId === undefined ? {} : { previousRequestId: notice.previousRequestId })
      }
    case "Expiring":
      return { ...subject, ...instructions(notice), event: "pairing.expiring" }
    case "Renewed":
      return { ...subject, ...instructions(notice), event: "pairing.renewed" }
  }
}

const instructions = (notice: Extract<PairingNotice, { readonly list: unknown }>) => ({
  list: notice.list,
  since: notice.since,
  expiresAt: notice.expiresAt,
  ...(notice.approve === undefined ? {} : { approve: notice.approve }),
  ...(notice.places === undefined ? {} : { places: notice.places }),
  ...(notice.note === undefined ? {} : { note: notice.note }),
  ...(notice.connected === undefined ? {} : { connected: notice.connected }),
  ...(notice.requestedScopes === undefined ? {} : { requestedScopes: notice.requestedScopes }),
  ...(notice.approvedScopes === undefined ? {} : { approvedScopes: notice.approvedScopes })
})

const fromTask = (event: TaskEvent, at: string): AgentEvent => {
  const { runId, taskId } = event
  const failed = (error: string, message: string, reason?: string): AgentEvent => ({
    at,
    event: "task.failed",
    taskId,
    error: advised(ErrorCatalogue.lookup(error, reason), error, message, reason)
  })
  switch (event._tag) {
    case "Queued":
      return { at, taskId, summary: event.summary, event: "task.queued", reason: event.reason }
    case "Sent":
      return { at, taskId, summary: event.summary, event: "task.sent", runId }
    case "Phase":
      return { at, event: "task.phase", taskId, phase: event.phase }
    case "Replied":
      return {
        at,
        event: "task.reply",
        taskId,
        runId,
        text: event.text,
        ...(event.late ? { late: true } : {}),
        ...truncation(event)
      }
    case "Failed":
      return failed(event.error._tag, event.error.message)
    case "Aborted":
    case "Expired":
    case "Unknown": {
      const end = namedEnd(event)
      return failed(end._tag, end.message, "reason" in end ? end.reason : undefined)
    }
  }
}
