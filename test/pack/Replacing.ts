/**
 * Every service of an agent replaced by one of this program's own, from what the package exports and nothing else. Each hands
 * on to the one that it replaces, so that the agent still works, and notes that it was asked.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import type {
  AgentEvent,
  Approval,
  ConnectionStatus,
  ConnectPlan,
  Established,
  GatewaySettings,
  GatewayStatus,
  HandshakeError,
  HandshakeLimits,
  JournalEntry,
  JournalRecord,
  Link,
  LinkHandler,
  LiveNotice,
  PairingNotice,
  Session,
  ShellCommand,
  StoredToken,
  Target,
  Task,
  TokenKey
} from "effect-openclaw"
import {
  Admission,
  Agent,
  AgentEvents,
  ApproveCommand,
  Connect,
  DeviceIdentity,
  GatewayConfig,
  Handshake,
  PairingNotifier,
  Supervisor,
  TaskJournal,
  TaskRunner,
  TokenStore,
  Transport
} from "effect-openclaw"
import { DevGateway, MemoryGateway } from "effect-openclaw/testing"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"

const asked = new Set<string>()
const note = (service: string) => Effect.sync(() => void asked.add(service))
const noted = (service: string) => void asked.add(service)

const transport = Layer.effect(
  Transport,
  Effect.map(Transport, (inner) => ({
    dial: (target: Target, handler: LinkHandler) =>
      Effect.map(
        Effect.andThen(note("Transport"), inner.dial(target, handler)),
        (link): Link => ({ ...link, sendUnsafe: (text) => link.sendUnsafe(text) })
      )
  }))
)
const tokens = Layer.sync(TokenStore, () => {
  const stored = new Map<string, StoredToken>()
  const nameOf = ({ deviceId, gatewayScope, role }: TokenKey) => `${gatewayScope} ${deviceId} ${role}`
  return {
    get: (key) => Effect.as(note("TokenStore"), Option.fromUndefinedOr(stored.get(nameOf(key)))),
    put: (key, entry) => Effect.sync(() => (stored.set(nameOf(key), entry), entry)),
    remove: (key) => Effect.sync(() => stored.delete(nameOf(key)))
  }
})
const journal = Layer.sync(TaskJournal, () => {
  const entries = new Map<string, JournalEntry>()
  const all: Effect.Effect<ReadonlyArray<JournalRecord>> = Effect.sync(() => [...entries.values()])
  return {
    read: all,
    claim: (gatewayScope) => Effect.map(all, (open) => open.filter((entry) => entry.gatewayScope === gatewayScope)),
    put: (entry) => Effect.andThen(note("TaskJournal"), Effect.sync(() => void entries.set(entry.runId, entry))),
    remove: (runId) => Effect.sync(() => void entries.delete(runId)),
    abortRequests: Effect.never,
    requestAbort: () => Effect.void,
    abortAnswer: () => Effect.succeedNone
  }
})
const config = Layer.effect(
  GatewayConfig,
  Effect.map(GatewayConfig, (settings): GatewaySettings => {
    noted("GatewayConfig")
    return { ...settings, displayName: Connect.DisplayName.make("a program of its own") }
  })
)
const identity = Layer.effect(
  DeviceIdentity,
  Effect.map(DeviceIdentity, (inner) => ({
    ...inner,
    sign: (text: string) => (noted("DeviceIdentity"), inner.sign(text))
  }))
)
const admission = Layer.succeed(Admission, {
  admit: (_gatewayScope, handshake) => Effect.andThen(note("Admission"), handshake),
  refused: () => Effect.void
})
const commands = Layer.sync(ApproveCommand.ApproveCommands, () => {
  const command = (
    ...argv: ReadonlyArray<string>
  ): ShellCommand => (noted("ApproveCommands"), { argv, text: argv.join(" ") })
  return { list: command("approvals"), approve: (requestId) => command("approve", requestId) }
})
const host = Layer.mergeAll(transport, tokens, journal, config, identity, admission, commands)

const handshake = Layer.effect(
  Handshake,
  Effect.map(Handshake, (inner) => ({
    connect: (plan: ConnectPlan.ConnectPlan, limits: HandshakeLimits, handler: LinkHandler) =>
      Effect.tapError(
        Effect.andThen(note("Handshake"), inner.connect(plan, limits, handler)),
        (error: HandshakeError.HandshakeError) => Console.error(error._tag)
      ).pipe(Effect.map((established): Established => established))
  }))
)
const supervisor = Layer.effect(
  Supervisor,
  Effect.map(Supervisor, (inner) => ({
    ...inner,
    status: Effect.tap(inner.status, () => note("Supervisor")),
    changes: Stream.map(inner.changes, ({ gatewayScope, status }): GatewayStatus => {
      noted("Supervisor")
      return { gatewayScope, status: status satisfies ConnectionStatus }
    })
  }))
)
const notifier = Layer.effect(
  PairingNotifier,
  Effect.map(PairingNotifier, (inner) => ({
    ...inner,
    current: Effect.map(inner.current, Option.map((notice): LiveNotice => notice)),
    notices: Stream.map(inner.notices, (notice): PairingNotice.PairingNotice => (noted("PairingNotifier"), notice))
  }))
)
const tasks = Layer.effect(
  TaskRunner,
  Effect.map(TaskRunner, (inner) => ({
    ...inner,
    delegate: (summary: string) => Effect.andThen(note("TaskRunner"), inner.delegate(summary)),
    events: Stream.map(inner.events, (event): Task.TaskEvent => event)
  }))
)
const events = Layer.effect(
  AgentEvents,
  Effect.map(AgentEvents, (inner) => ({
    ...inner,
    events: Stream.map(inner.events, (event): AgentEvent.AgentEvent => (noted("AgentEvents"), event))
  }))
)

/** The parts of `Agent.layer`, each with the replacement on top of it. */
const agent = Layer.provideMerge(events, AgentEvents.layer()).pipe(
  Layer.provideMerge(Layer.provideMerge(notifier, PairingNotifier.layer())),
  Layer.provideMerge(Layer.provideMerge(tasks, TaskRunner.layer({ taskTimeout: "1 minute" }))),
  Layer.provideMerge(Layer.provideMerge(supervisor, Supervisor.layer)),
  Layer.provide(Layer.provideMerge(handshake, Handshake.layer))
)

export const scopesOf = (session: Session): ReadonlyArray<string> => session.facts.scopes
export const sinceOf = (approval: Approval): number => approval.sinceMs

const program = Effect.gen(function*() {
  const gateway = yield* DevGateway
  const device = yield* Supervisor
  const runner = yield* TaskRunner
  const seen = yield* AgentEvents
  const { taskId } = yield* runner.delegate("water the plants")
  const told = (name: AgentEvent.AgentEvent["event"]) =>
    Stream.runHead(Stream.filter(seen.events, ({ event }) => event === name))
  yield* told("pairing.required")
  const { pending: [request] } = yield* gateway.awaitState(({ pending }) => pending.length === 1)
  yield* gateway.approve(request?.requestId ?? "")
  yield* device.checkNow
  const outcome = yield* runner.await(taskId)
  yield* told("connected")
  yield* Console.log(JSON.stringify({ outcome, asked: [...asked].toSorted() }))
})

/** `Agent.layer` takes the options of all of its parts; here it shows that the replaced host fits it too. */
export const whole = Agent.layer({ reminders: 1, reminderInterval: "1 minute", taskTimeout: "1 minute", maxQueued: 2 })
  .pipe(
    Layer.provide(host)
  )

const memory = MemoryGateway.layer({ client: { token: Redacted.make("shared-token") } })
NodeRuntime.runMain(program.pipe(Effect.provide(agent.pipe(Layer.provideMerge(host), Layer.provideMerge(memory)))))
