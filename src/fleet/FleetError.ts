/**
 * What can go wrong with a fleet: one class for each thing that a caller treats differently.
 */
import * as Schema from "effect/Schema"
import { ListenReason, listenWords } from "../link/ListenFailure.ts"
import { field, lengths } from "../protocol/OutsideText.ts"

/** No device of this name is registered, or it has been removed. */
export class DeviceUnknown extends Schema.TaggedError<DeviceUnknown>()("DeviceUnknown", { device: Schema.String }) {
  override get message(): string {
    return `no device ${field(this.device, { maxLength: lengths.name })} is registered in this fleet`
  }
}

/** The name cannot be that of a device: 1 to 64 of a-z, 0-9, dot, dash and underscore, the first a letter or a digit. */
export class DeviceNameInvalid extends Schema.TaggedError<DeviceNameInvalid>()("DeviceNameInvalid", {
  device: Schema.String
}) {
  override get message(): string {
    return `${
      field(this.device, { maxLength: lengths.name })
    } is no name of a device: it has 1 to 64 of a-z, 0-9, dot, dash`
      + " and underscore, and begins with a letter or a digit"
  }
}

/**
 * The task was not taken. `reason` is that of `TaskRefused`. A refusal that passes, because too many tasks wait or the journal cannot
 * be written at the moment, is not told: the task is tried again.
 */
export class DelegateRefused extends Schema.TaggedError<DelegateRefused>()("DelegateRefused", {
  reason: Schema.Literals([
    "Empty",
    "NotText",
    "TooLarge",
    "TooMany",
    "Stopped",
    "NotKept",
    "Attachment",
    "KeyInvalid"
  ]),
  problem: Schema.String
}) {
  override get message(): string {
    return this.problem
  }
}

/** The fleet cannot be reached: its database or the runner of the device does not answer. The same call may be made again. */
export class FleetUnavailable extends Schema.TaggedError<FleetUnavailable>()("FleetUnavailable", {
  doing: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `the fleet cannot be reached to ${this.doing}: its database or a runner does not answer`
  }
}

/** A runner cannot listen for the others. */
export class RunnerPortUnavailable extends Schema.TaggedError<RunnerPortUnavailable>()("RunnerPortUnavailable", {
  host: Schema.String,
  port: Schema.Int,
  reason: ListenReason,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    const where = `${field(this.host, { maxLength: lengths.name })}:${this.port}`
    return `this runner cannot listen on ${where} for the other runners: ${listenWords[this.reason]}. `
      + (this.reason === "NotHere"
        ? "Give it an address of this machine to listen on (OPENCLAW_FLEET_LISTEN_HOST)"
        : "Give it another port (OPENCLAW_FLEET_PORT)")
  }
}

/** Another process is this runner: two with one address would take its devices from each other again and again. */
export class RunnerTaken extends Schema.TaggedError<RunnerTaken>()("RunnerTaken", { runner: Schema.String }) {
  override get message(): string {
    const runner = field(this.runner, { maxLength: lengths.name })
    return `another process of this fleet is the runner ${runner} already. Each runner has a host and a port of its own, at which the`
      + " others reach it (OPENCLAW_FLEET_HOST, OPENCLAW_FLEET_PORT); a fleet in a file has one process"
  }
}
