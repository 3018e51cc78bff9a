/**
 * What this program does by itself after a failure: sentences that several entries share.
 */

/** The connection is tried again. */
export const retries = "This program keeps trying by itself, less and less often, at most every 30 seconds."
/** The connection is given up for now. */
export const stays = "This program stays up and does not try again until its settings change or it is told to."
/** The connection is tried again although it was refused, because the gateway let this device in before. */
export const retriesSlowly =
  "This program tries again by itself, after half a minute and then less and less often, at most every ten minutes."
/** A person has to approve. */
export const polls = "This program asks again by itself and goes on as soon as the device is approved."
/** A setting cannot be used. */
export const nothingStarted = "Nothing was started."
/** A file, or what it holds, cannot be used. */
export const nothingChanged = "Nothing was changed."
/** The session is as it was. */
export const sessionStays = "The session goes on with the scopes that it has."
/** A file of a task cannot be sent. */
export const nothingSent = "Nothing of the task was sent."
/** A task was refused. */
export const taskNotTaken = "The task was not taken, and nothing was sent."
/** The tools of this program are not used. */
export const toolsLater = "The tools are offered again with the next connection; everything else works meanwhile."
