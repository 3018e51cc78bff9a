/**
 * What a person is told about an approval, from the first request to its end.
 *
 * A notice is keyed by gateway scope, device and request id, so that the same request is one notice however often the
 * gateway repeats it. Times are ISO 8601 in UTC, read from this process's clock.
 */
import * as Schema from "effect/Schema"
import { DeviceId, RequestId } from "./Connect.ts"
import { ApprovalReason } from "./Refusal.ts"
import { ShellCommand } from "./ShellCommand.ts"

/**
 * How a request for wider scopes ended without them, while the session went on. `rejected` and `expired`: the gateway said so.
 * `replaced`: it has another request now, so that the earlier one was rejected, or it expired; older releases do not tell.
 * `unseen`: nobody answered in an hour. `refused`: the gateway does not take the request. `ended`: this program stopped asking.
 */
export const UpgradeEnd = Schema.Literals(["rejected", "expired", "replaced", "unseen", "refused", "ended"])
export type UpgradeEnd = typeof UpgradeEnd.Type

/** The commands for one of the places where the gateway may live. */
export const PlaceCommands = Schema.Struct({
  place: Schema.Literals(["host", "docker", "compose", "kubectl", "ssh", "wsl", "powershell"]),
  /**
   * The placeholders in the commands, such as `<container>`, which a person replaces before running them. They are quoted, so
   * that a command with a placeholder fails and does nothing else. Empty when there are none.
   */
  fill: Schema.Array(Schema.String),
  list: ShellCommand,
  /** Absent without a request id: then one lists first. */
  approve: Schema.optionalKey(ShellCommand)
})
export type PlaceCommands = typeof PlaceCommands.Type

const subject = {
  /**
   * Gateway scope, device id and request id (or the reason and a hash of the requested scopes where a gateway sends no id).
   * It holds no time. Compare it, do not parse it.
   */
  key: Schema.String,
  /** The gateway scope: `scheme://host:port/path`. */
  gateway: Schema.String,
  deviceId: DeviceId,
  /** Absent when the gateway sent none, or one that is not safe to show. */
  requestId: Schema.optionalKey(RequestId),
  reason: ApprovalReason,
  /** Absent for the operator. */
  role: Schema.optionalKey(Schema.Literal("node"))
}

const times = {
  /** When this wait began. */
  since: Schema.String,
  /** When the request dies unless it is asked for again: 300 s after the last ask. */
  expiresAt: Schema.String
}

const instructions = {
  ...subject,
  ...times,
  requestedScopes: Schema.optionalKey(Schema.Array(Schema.String)),
  approvedScopes: Schema.optionalKey(Schema.Array(Schema.String)),
  /** True when the device is connected with the approved scopes, and only wider ones wait for approval. */
  connected: Schema.optionalKey(Schema.Boolean),
  /** Lists what waits for approval. */
  list: ShellCommand,
  /** Approves this request. Absent without a request id: then one lists first. */
  approve: Schema.optionalKey(ShellCommand),
  /** The same for each place where the gateway may live; absent where the place is known. `list` is the first one's. */
  places: Schema.optionalKey(Schema.Array(PlaceCommands)),
  /** What the commands need besides, for example a credential. They never hold one. */
  note: Schema.optionalKey(Schema.String)
}

/** One notice about one wait for approval, from `Required` to the notice that ends it. `PairingNotifier` publishes it. */
export const PairingNotice = Schema.Union([
  Schema.TaggedStruct("Required", instructions),
  /** The same request again, on purpose: the `reminder`-th of a fixed number. */
  Schema.TaggedStruct("Reminder", { ...instructions, reminder: Schema.Natural }),
  /** The gateway gave the wait a new request; the command of `previousRequestId` is dead. */
  Schema.TaggedStruct("Superseded", { ...instructions, previousRequestId: Schema.optionalKey(RequestId) }),
  /** Asking fails or has stopped, so the gateway will drop the request at `expiresAt`. */
  Schema.TaggedStruct("Expiring", instructions),
  /** The gateway has dropped the request, so its command is dead. The wait goes on. */
  Schema.TaggedStruct("Expired", { ...subject, ...times }),
  /** Asking works again and the request is alive, so `Expiring` or `Expired` no longer holds. */
  Schema.TaggedStruct("Renewed", instructions),
  Schema.TaggedStruct("Resolved", subject),
  /** The wait ended without an approval: stopped, paused, halted, another gateway was configured, or as `outcome` says. */
  Schema.TaggedStruct("Cancelled", { ...subject, outcome: Schema.optionalKey(UpgradeEnd) })
])
export type PairingNotice = typeof PairingNotice.Type
