/**
 * A whole agent device as one layer: supervised connection, pairing notices, tasks, and their merged events.
 */
import type { SecureRandom } from "effect/crypto/SecureRandom"
import type * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"
import type { Admission } from "../connection/Admission.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import type { GatewayConfig } from "../handshake/GatewayConfig.ts"
import { Handshake } from "../handshake/Handshake.ts"
import type { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import type { TokenStore } from "../identity/TokenStore.ts"
import type { Transport } from "../link/Transport.ts"
import type { ApproveCommands } from "../pairing/ApproveCommand.ts"
import { PairingNotifier } from "../pairing/PairingNotifier.ts"
import type { TaskJournal } from "../tasks/TaskJournal.ts"
import { TaskRunner } from "../tasks/TaskRunner.ts"
import { AgentEvents } from "./AgentEvents.ts"

export interface Options {
  /** The gateway is one that this program started itself; said in the `gateway` event. */
  readonly embedded?: boolean
  /** The conversation that tasks go to unless one says otherwise; `agent:main:main`. */
  readonly sessionKey?: string
  /** How long one task may take; 180 seconds. */
  readonly taskTimeout?: Duration.Duration
  /** Between reminders of a pending approval; 30 seconds. */
  readonly reminderInterval?: Duration.Duration
  /** How often to remind of one approval; twice. */
  readonly reminders?: number
}

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

export const layer = (
  options: Options = {}
): Layer.Layer<AgentEvents | PairingNotifier | Supervisor | TaskRunner, never, Requirements> => {
  const { embedded, reminderInterval, reminders, sessionKey, taskTimeout } = options
  const agent = AgentEvents.layer({ embedded }).pipe(
    Layer.provideMerge(PairingNotifier.layer({
      ...(reminderInterval === undefined ? {} : { reminderInterval }),
      ...(reminders === undefined ? {} : { reminders })
    })),
    Layer.provideMerge(TaskRunner.layer({
      ...(sessionKey === undefined ? {} : { sessionKey }),
      ...(taskTimeout === undefined ? {} : { timeout: taskTimeout })
    })),
    Layer.provideMerge(Supervisor.layer),
    Layer.provide(Handshake.layer)
  )
  // Fresh, because a `LayerMap` builds all its keys with one memo map, and every agent needs a supervisor of its own.
  return Layer.fresh(agent)
}
