/**
 * The user that this process acts as.
 */
import * as Context from "effect/Context"

/** Numeric effective user id; undefined where the system has none (Windows, a browser). */
export const HostUser = Context.Reference<number | undefined>("effect-openclaw/storage/HostUser", {
  defaultValue: () => typeof process === "undefined" ? undefined : process.geteuid?.()
})
