/**
 * A whole agent device as one layer: supervised connection, pairing notices, tasks, and their merged events.
 */
import * as Context from "effect/Context"
import type { SecureRandom } from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Admission } from "../connection/Admission.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import type { GatewayConfig } from "../handshake/GatewayConfig.ts"
import { Handshake } from "../handshake/Handshake.ts"
import type { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import type { TokenStore } from "../identity/TokenStore.ts"
import type { Transport } from "../link/Transport.ts"
import type { ApproveCommands } from "../pairing/ApproveCommand.ts"
import * as PairingNotifier from "../pairing/PairingNotifier.ts"
import type { TaskJournal } from "../tasks/TaskJournal.ts"
import * as TaskRunner from "../tasks/TaskRunner.ts"
import * as AgentEvents from "./AgentEvents.ts"

/** The options of all parts: the `gateway` event, reminders of a pending approval, and tasks. */
export interface Options extends AgentEvents.Options, PairingNotifier.Options, TaskRunner.Options {}

/** What an agent needs from its host. */
export type Requirements =
  | Admission
  | ApproveCommands
  | DeviceIdentity
  | GatewayConfig
  | SecureRandom
  | TaskJournal
  | TokenStore
  | Transport

/** What an agent is made of. */
export type Agent = AgentEvents.AgentEvents | PairingNotifier.PairingNotifier | Supervisor | TaskRunner.TaskRunner

/**
 * The agent as the services of a scope: for programs that make many of them, as each needs less than a layer does. It connects
 * as soon as it is made; closing the scope ends the link and all of its fibers. Give all agents of a process one `Admission`,
 * and each its own `GatewayConfig`, `DeviceIdentity`, `TokenStore` and `TaskJournal`.
 */
export const make = (options: Options = {}): Effect.Effect<Context.Context<Agent>, never, Requirements | Scope.Scope> =>
  Effect.gen(function*() {
    const supervisor = yield* Effect.provideServiceEffect(Supervisor.make, Handshake, Handshake.make)
    const tasks = yield* Effect.provideService(TaskRunner.TaskRunner.make(options), Supervisor, supervisor)
    const notifier = yield* Effect.provideService(
      PairingNotifier.PairingNotifier.make(options),
      Supervisor,
      supervisor
    )
    const agent = Context.make(Supervisor, supervisor).pipe(
      Context.add(TaskRunner.TaskRunner, tasks),
      Context.add(PairingNotifier.PairingNotifier, notifier)
    )
    const events = yield* Effect.provide(AgentEvents.AgentEvents.make(options), agent)
    return Context.add(agent, AgentEvents.AgentEvents, events)
  })

/**
 * The agent as one layer. It connects as soon as it is built; closing its scope ends the link and all of its fibers. Give
 * each agent of a process a layer of its own, and all of them one `Admission`.
 */
export const layer = (options: Options = {}): Layer.Layer<Agent, never, Requirements> =>
  // Fresh, because a `LayerMap` builds all its keys with one memo map, and every agent needs a supervisor of its own.
  Layer.fresh(Layer.effectContext(make(options)))
