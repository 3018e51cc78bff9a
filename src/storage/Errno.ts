/**
 * The names that operating systems give to failed calls.
 */
import type { PlatformError } from "effect/PlatformError"
import * as Predicate from "effect/Predicate"

/** The `errno` name of a failed call, such as `EACCES`, where the platform gives one. */
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
