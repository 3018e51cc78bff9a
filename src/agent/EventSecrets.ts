/**
 * An event without the credentials that the gateway knows, where it holds words of the gateway. Pure.
 */
import type * as Redacted from "effect/Redacted"
import type { AgentEvent, Failure } from "../protocol/AgentEvent.ts"
import { shownScope } from "../protocol/Connect.ts"
import * as OutsideText from "../protocol/OutsideText.ts"

/** The event without credentials in the words of the gateway. */
export const withoutSecrets = (event: AgentEvent, secrets: ReadonlyArray<Redacted.Redacted>): AgentEvent => {
  if (secrets.length === 0) return event
  const clean = (words: string) => OutsideText.redact(words, secrets)
  const scope = (name: string) => shownScope(name, secrets)
  const failure = (error: Failure): Failure => ({ ...error, message: clean(error.message) })
  switch (event.event) {
    case "connected":
      return {
        ...event,
        ...(event.serverVersion === undefined ? {} : { serverVersion: clean(event.serverVersion) }),
        scopes: event.scopes.map(scope),
        ...(event.missingScopes === undefined ? {} : { missingScopes: event.missingScopes.map(scope) })
      }
    case "pairing.required":
    case "pairing.superseded":
    case "pairing.reminder":
    case "pairing.expiring":
    case "pairing.renewed":
      return {
        ...event,
        ...(event.requestedScopes === undefined ? {} : { requestedScopes: event.requestedScopes.map(scope) }),
        ...(event.approvedScopes === undefined ? {} : { approvedScopes: event.approvedScopes.map(scope) })
      }
    case "waiting":
      return { ...event, cause: failure(event.cause) }
    case "halted":
    case "task.failed":
      return { ...event, error: failure(event.error) }
    case "task.saved":
      return { ...event, title: clean(event.title) }
    case "task.phase":
      return { ...event, phase: clean(event.phase) }
    case "tool.asked":
      return { ...event, arguments: clean(event.arguments) }
    case "task.tool":
      return { ...event, ...(event.detail === undefined ? {} : { detail: clean(event.detail) }) }
    case "task.text":
    case "task.reply":
      return { ...event, text: clean(event.text) }
    default:
      return event
  }
}
