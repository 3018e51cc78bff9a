/**
 * The times of a fleet, and how they depend on each other.
 */
import * as Duration from "effect/Duration"

/** Each unless set as `defaults` has it. */
export interface Timing {
  /** After this the devices of a runner that was killed go to others. Rows in the database, so that its restart drops nothing. */
  readonly lockExpiration: Duration.Input
  readonly lockRefresh: Duration.Input
  /** For how long a runner acts for its devices without an answer of the database. */
  readonly leaseLife: Duration.Input
  readonly leaseRenewal: Duration.Input
  /** How often runners look who is there. */
  readonly assignments: Duration.Input
  readonly healthCheck: Duration.Input
  /** How long a runner that joins gets no devices, so that several that join move each device once. */
  readonly joinDebounce: Duration.Input
  /** How often the database is asked for tasks that came through another runner. */
  readonly messagePoll: Duration.Input
  /** How long a device may take to end when its runner leaves. */
  readonly termination: Duration.Input
}

/**
 * The times with which the database may be away for so long, at least 4 s, before devices are given up: a refresh that is not answered
 * within `lockRefresh` gives the locks up. A runner that is killed is replaced after two to three times that and 2 s, by how long ago its
 * locks were refreshed, which a task does too.
 */
export const forAbsence = (
  absence: Duration.Input
): Pick<Timing, "lockExpiration" | "lockRefresh" | "leaseLife"> => ({
  lockRefresh: absence,
  leaseLife: Duration.times(Duration.fromInputUnsafe(absence), 2),
  lockExpiration: Duration.times(Duration.fromInputUnsafe(absence), 3)
})

/** For how long the database may be away unless it is set. */
export const absence = "4 seconds"

/** What holds unless it is set. */
export const defaults: Timing = {
  ...forAbsence(absence),
  leaseRenewal: "2 seconds",
  assignments: "1 second",
  healthCheck: "2 seconds",
  joinDebounce: "2 seconds",
  messagePoll: "2 seconds",
  termination: "5 seconds"
}

/** Why these times do not go together; nothing if they do. */
export const problemOf = (timing: Timing): string | undefined => {
  const ms = (name: keyof Timing) => Duration.toMillis(timing[name])
  if (ms("leaseLife") > ms("lockExpiration") - ms("lockRefresh")) {
    return "leaseLife must not be above lockExpiration minus lockRefresh: a runner would act for devices that others have"
  }
  if (ms("leaseRenewal") * 3 > ms("leaseLife")) return "leaseRenewal must be at most a third of leaseLife"
  if (ms("lockRefresh") * 3 > ms("lockExpiration")) return "lockRefresh must be at most a third of lockExpiration"
  return undefined
}
