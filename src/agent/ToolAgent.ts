/**
 * An agent whose tools the agent of the gateway may use: `Agent.layer` and a `ToolHost` on one device, with one stream of events.
 *
 * The device holds two roles, each with a connection and a token of its own. The tools connect after the first session of the
 * operator, because a gateway keeps one request for approval a device; at once where that connection is paused from the start. Both connections state the same family of device, which a
 * gateway pins.
 */
import type * as Tool from "effect/ai/Tool"
import type * as Toolkit from "effect/ai/Toolkit"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ConnectionStatus } from "../connection/ConnectionStatus.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import { GatewayConfig, withFamily } from "../handshake/GatewayConfig.ts"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import type { ApproveCommands } from "../pairing/ApproveCommand.ts"
import { PairingNotifier } from "../pairing/PairingNotifier.ts"
import type { AgentEvent } from "../protocol/AgentEvent.ts"
import { isoTime } from "../protocol/AgentEvent.ts"
import type { Options as HostOptions } from "../toolhost/Host.ts"
import type { ToolHostStatus } from "../toolhost/PublishStep.ts"
import type { Change } from "../toolhost/QuestionStep.ts"
import type { ToolsRefused } from "../toolhost/ToolError.ts"
import type { HandlersOf } from "../toolhost/ToolHost.ts"
import { ToolHost } from "../toolhost/ToolHost.ts"
import type { ToolQuestions } from "../toolhost/ToolQuestions.ts"
import * as Agent from "./Agent.ts"
import * as AgentEvents from "./AgentEvents.ts"

/** The options of the agent and of its tools. */
export interface Options extends Agent.Options, Omit<HostOptions, "after"> {
  /** Asks a person about calls of marked tools, unless `approve` decides. The events tell the questions. */
  readonly questions?: ToolQuestions["Service"]
}

/** The agent as `Agent.layer`, and its tools. The handlers start beside it: until they are up, calls are told to come again. */
export const layer = <Tools extends Record<string, Tool.Any>, E, R>(
  toolkit: Toolkit.Toolkit<Tools>,
  handlers: Layer.Layer<HandlersOf<Tools>, E, R>,
  options: Options = {}
): Layer.Layer<Agent.Agent | ToolHost, ToolsRefused, Agent.Requirements | R> =>
  over(Agent.layer(options), toolkit, handlers, options)

/** The tools of an agent that is given as a layer, which has to ask for `GatewayConfig`. */
export const over = <Tools extends Record<string, Tool.Any>, E, R, EA, RA>(
  agent: Layer.Layer<Agent.Agent, EA, RA>,
  toolkit: Toolkit.Toolkit<Tools>,
  handlers: Layer.Layer<HandlersOf<Tools>, E, R>,
  options: Options = {}
): Layer.Layer<Agent.Agent | ToolHost, ToolsRefused | EA, Agent.Requirements | R | RA> =>
  Layer.effectDiscard(told(options)).pipe(
    Layer.provideMerge(both),
    Layer.provideMerge(host(toolkit, handlers, options)),
    Layer.provideMerge(agent),
    Layer.provide(family)
  )

/** Whoever watches the connection of the agent watches that of its tools. */
const both: Layer.Layer<Supervisor, never, Supervisor | ToolHost> = Layer.effect(
  Supervisor,
  Effect.map(Effect.all([Supervisor, ToolHost]), ([supervisor, host]) => ({
    ...supervisor,
    attend: Effect.andThen(supervisor.attend, host.attend),
    checkNow: Effect.andThen(supervisor.checkNow, host.checkNow)
  }))
)

const host = <Tools extends Record<string, Tool.Any>, E, R>(
  toolkit: Toolkit.Toolkit<Tools>,
  handlers: Layer.Layer<HandlersOf<Tools>, E, R>,
  options: Options
) =>
  Layer.unwrap(
    Effect.map(Effect.all([Supervisor, GatewayConfig]), ([{ session }, { paused }]) => {
      const approve = options.approve ?? options.questions?.approve
      return ToolHost.layerStarting(toolkit, handlers, {
        ...options,
        ...(approve === undefined ? {} : { approve }),
        after: paused === true ? Effect.void : session
      })
    })
  )

const family: Layer.Layer<GatewayConfig, never, DeviceIdentity | GatewayConfig> = Layer.effect(
  GatewayConfig,
  Effect.map(
    Effect.all([GatewayConfig, DeviceIdentity]),
    ([settings, { platform }]) => withFamily(settings, platform)
  )
)

/** Tells how the tools stand, and what a person has to approve of them, in the events of the agent. */
const told = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<
  void,
  never,
  AgentEvents.AgentEvents | ApproveCommands | DeviceIdentity | Scope.Scope | Supervisor | ToolHost
> {
  const host = yield* ToolHost
  const events = yield* AgentEvents.AgentEvents
  const supervisor = yield* Supervisor
  const clock = yield* Clock.Clock
  const now = () => isoTime(clock.currentTimeMillisUnsafe())
  // Only its changes are read.
  const notifier = yield* PairingNotifier.make({ ...options, role: "node" }).pipe(
    Effect.provideService(Supervisor, { ...supervisor, changes: host.connection })
  )
  yield* events.include(Stream.map(notifier.notices, (notice) => AgentEvents.fromNotice(notice, now())))
  if (options.questions !== undefined) {
    yield* events.include(Stream.map(options.questions.changes, (change) => fromQuestion(change, now())))
  }
  const states = Stream.merge(
    Stream.map(host.connection, ({ status }) => fromConnection(status)),
    Stream.map(host.changes, fromTools)
  )
  yield* events.include(
    states.pipe(
      Stream.filter((state) => state !== undefined),
      Stream.changesWith((one, other) => JSON.stringify(one) === JSON.stringify(other)),
      Stream.map((state): AgentEvent => ({ at: now(), event: "tools", ...state }))
    )
  )
})

const fromQuestion = (change: Change, at: string): AgentEvent => {
  const { arguments: given, endsAtMs, id, leftOut, sessionKey, title, tool } = change.question
  if (change._tag === "Settled") {
    return { at, event: "tool.settled", questionId: id, tool, outcome: change.outcome }
  }
  return {
    at,
    event: "tool.asked",
    questionId: id,
    tool,
    ...(title === undefined ? {} : { title }),
    arguments: given,
    ...(leftOut === 0 ? {} : { leftOut }),
    ...(sessionKey === undefined ? {} : { session: sessionKey }),
    answerBy: isoTime(endsAtMs)
  }
}

type State = Omit<Extract<AgentEvent, { readonly event: "tools" }>, "at" | "event">

const fromConnection = (status: ConnectionStatus): State | undefined => {
  switch (status._tag) {
    case "Connecting":
      return status.attempt > 1 ? undefined : { state: "connecting" }
    case "Waiting":
      return { state: "waiting", error: AgentEvents.retried(status.cause), retryAt: isoTime(status.retryAtMs) }
    case "Halted":
      return { state: "halted", error: AgentEvents.failure(status.cause) }
    case "AwaitingApproval": // its notice says it
    case "Connected": // what follows of it is told by the tools
    case "Paused":
    case "Stopped":
      return undefined
  }
}

const fromTools = (status: ToolHostStatus): State | undefined => {
  switch (status._tag) {
    case "Offline":
      return undefined
    case "AwaitingApproval":
      return { state: "awaiting-approval" }
    case "Published":
      return { state: "published", tools: status.tools }
    case "Withheld":
      return { state: status.reason === "Rejected" ? "rejected" : "switched-off" }
    case "NotOffered":
      return { state: "not-offered", error: AgentEvents.failure(status.error) }
    case "Superseded":
      return { state: "superseded" }
  }
}
