/**
 * A whole agent device as one layer: supervised connection, pairing notices, tasks, and their merged events.
 */
import type { SecureRandom } from "effect/crypto/SecureRandom"
import * as Layer from "effect/Layer"
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

/**
 * The agent as one layer. It connects as soon as it is built; closing its scope ends the link and all of its fibers. Give
 * each agent of a process a layer of its own, and all of them one `Admission`.
 */
export const layer = (
  options: Options = {}
): Layer.Layer<
  AgentEvents.AgentEvents | PairingNotifier.PairingNotifier | Supervisor | TaskRunner.TaskRunner,
  never,
  Requirements
> => {
  const agent = AgentEvents.AgentEvents.layer(options).pipe(
    Layer.provideMerge(PairingNotifier.PairingNotifier.layer(options)),
    Layer.provideMerge(TaskRunner.TaskRunner.layer(options)),
    Layer.provideMerge(Supervisor.layer),
    Layer.provide(Handshake.layer)
  )
  // Fresh, because a `LayerMap` builds all its keys with one memo map, and every agent needs a supervisor of its own.
  return Layer.fresh(agent)
}
