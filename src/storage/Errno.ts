/**
 * The `errno` names of operating systems.
 */
import type { PlatformError } from "effect/PlatformError"
import * as Predicate from "effect/Predicate"

/** The `errno` name of a failed call, such as `EACCES`; undefined where the platform gives none. */
export const errnoOf = (error: PlatformError): string | undefined => {
  const cause = error.reason.cause
  if (Predicate.hasProperty(cause, "code") && typeof cause.code === "string") return cause.code
  switch (error.reason._tag) {
    case "NotFound":
      return "ENOENT"
    case "AlreadyExists":
      return "EEXIST"
    case "PermissionDenied":
      return "EACCES"
    default:
      return undefined
  }
}
