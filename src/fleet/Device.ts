/**
 * A device of a fleet as an entity of the cluster: what the runner that has it can be asked.
 */
import * as ClusterSchema from "effect/cluster/ClusterSchema"
import * as Entity from "effect/cluster/Entity"
import * as Effect from "effect/Effect"
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import { sha256HexOf } from "../identity/Sha256.ts"
import { ScopeName } from "../protocol/Connect.ts"
import { RunId } from "../tasks/Task.ts"
import { Approval, State } from "./DeviceState.ts"
import { DelegateRefused, DeviceUnknown } from "./FleetError.ts"
import { TaskResult } from "./TaskResult.ts"

/** Where a device stands now. */
export const Report = Schema.Struct({
  name: Schema.String,
  /** The runner that has it: `host:port`. */
  runner: Schema.String,
  epoch: Schema.Int,
  deviceId: Schema.String,
  state: State,
  approval: Schema.optionalKey(Approval)
})
export type Report = typeof Report.Type

/** How an ask for wider scopes ended; `Refused` has the reason for which nothing was sent. */
export const UpgradeResult = Schema.Union([
  Schema.TaggedStruct("Granted", { scopes: Schema.Array(Schema.String) }),
  Schema.TaggedStruct("Declined", { reason: Schema.String }),
  Schema.TaggedStruct("Refused", { problem: Schema.String })
])
export type UpgradeResult = typeof UpgradeResult.Type

/** Makes sure that the device is started where it belongs. Asked by the reconciler of the same process. */
export const Ensure = Rpc.make("Ensure")

/** An answer of now, or none: it is not kept. */
export const Status = Rpc.make("Status", { success: Report, error: DeviceUnknown })

/**
 * One task, answered with how it ended. Kept in the database until it is answered, under the caller's key: asked twice, also on two
 * machines, it is one task.
 */
export const Delegate = Rpc.make("Delegate", {
  payload: { key: Schema.String, text: Schema.String },
  success: TaskResult,
  error: Schema.Union([DelegateRefused, DeviceUnknown]),
  primaryKey: ({ key }) => key
})
  .annotate(ClusterSchema.Persisted, true)
  .annotate(ClusterSchema.InterruptOnTermination, true)

/** Tries the connection again now. */
export const Check = Rpc.make("Check", { error: DeviceUnknown })

/** Ends the task of a key. False when nothing was to be ended. */
export const Abort = Rpc.make("Abort", {
  payload: { key: Schema.String },
  success: Schema.Boolean,
  error: DeviceUnknown
})

/** Asks for wider scopes, and waits for a person's answer. */
export const Upgrade = Rpc.make("Upgrade", {
  payload: { scopes: Schema.Array(ScopeName) },
  success: UpgradeResult,
  error: DeviceUnknown
})

/** The entity. Its id is the name of the device. */
export const Device = Entity.make("OpenClawDevice", [Ensure, Status, Delegate, Check, Abort, Upgrade])

/** The run of a task: a UUID of version 4 from the SHA-256 of the device's name and the caller's key. */
export const runIdOf = (name: string, key: string): Effect.Effect<RunId> =>
  Effect.map(sha256HexOf(`effect-openclaw/fleet\n${name}\n${key}`), (hex) =>
    RunId.make(
      `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`
    ))
