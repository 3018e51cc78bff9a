/**
 * The form in which recordings keep the state of a connection and the end of a task, and the comparison of two states. Pure.
 */
import type { Approval, ConnectionStatus, HaltCause } from "../connection/ConnectionStatus.ts"
import type { TaskOutcome } from "../tasks/Task.ts"
import type { State, TaskEnd } from "./Recording.ts"
import type { Redactor } from "./Redaction.ts"

/** A state and when it was seen, in milliseconds on the recorded clock. */
export interface TimedState {
  readonly at: number
  readonly state: State
}

/** What a supervisor says before its first attempt. Somebody who subscribes a moment later does not see it. */
export const isBeginning = ({ attempt, state }: State): boolean => state === "Connecting" && attempt === 0

/** `nowMs` is when the state was seen. */
export const describe = (status: ConnectionStatus, nowMs: number, redactor: Redactor): State => {
  const state = status._tag
  switch (status._tag) {
    case "Connecting":
      return { state, attempt: status.attempt }
    case "AwaitingApproval":
      return {
        state,
        approval: approvalOf(status.approval, redactor),
        checking: status.checking,
        // While it asks, it does not wait for a time.
        ...(status.checking ? {} : { inMs: status.nextCheckAtMs - nowMs })
      }
    case "Connected": {
      const { facts } = status.session
      return {
        state,
        protocol: facts.protocol,
        scopes: redactor.names(facts.scopes),
        missingScopes: redactor.names(facts.missingScopes),
        deviceTokenIssued: facts.deviceTokenIssued,
        ...(facts.clockDeltaMs === undefined ? {} : { clockDeltaMs: facts.clockDeltaMs }),
        ...(status.upgrade === undefined ? {} : { upgrade: approvalOf(status.upgrade, redactor) }),
        ...(status.declined === undefined ? {} : { declined: status.declined }),
        ...(status.suspension === undefined ? {} : { suspension: status.suspension })
      }
    }
    case "Waiting":
      return {
        state,
        ...causeOf(status.cause),
        inMs: status.retryAtMs - nowMs,
        ...(status.approval === undefined ? {} : { approval: approvalOf(status.approval, redactor) })
      }
    case "Halted":
      return {
        state,
        ...causeOf(status.cause),
        ...(status.approval === undefined ? {} : { approval: approvalOf(status.approval, redactor) })
      }
    case "Paused":
    case "Stopped":
      return { state }
  }
}

const approvalOf = ({ reason, replaced, requestId }: Approval, redactor: Redactor) => ({
  reason,
  replaced,
  ...(requestId === undefined ? {} : { requestId: redactor.id(requestId) })
})

/** How a task ended. */
export const describeEnd = (outcome: TaskOutcome, redactor: Redactor): TaskEnd => {
  switch (outcome._tag) {
    case "Completed":
    case "Aborted":
      return { outcome: outcome._tag, text: redactor.text(outcome.text) }
    case "Failed":
      return { outcome: outcome._tag, error: outcome.error._tag }
    case "Expired":
      return { outcome: outcome._tag, sent: outcome.sent }
    case "Unknown":
      return { outcome: outcome._tag, ...outcome.evidence }
  }
}

/** Fields of failures that matter, and that no peer can fill with a text of its own. */
const factNames = [
  "phase",
  "closeCode",
  "errno",
  "status",
  "sent",
  "proof",
  "timeoutMs",
  "retryAfterMs",
  "replaced"
] as const

const causeOf = (cause: HaltCause): Pick<State, "cause" | "facts"> => {
  const reason = "reason" in cause ? `/${cause.reason}` : ""
  const facts: Record<string, string | number> = {}
  for (const [key, value] of Object.entries(cause)) {
    if (factNames.some((name) => name === key) && (typeof value === "string" || typeof value === "number")) {
      facts[key] = value
    }
  }
  return { cause: `${cause._tag}${reason}`, facts }
}

/** Times that may differ by what a real event loop takes. Everything else has to be equal. */
const approximate = ["inMs", "clockDeltaMs"] as const

export const same = (left: State, right: State, toleranceMs: number): boolean => {
  for (const key of approximate) {
    const [a, b] = [left[key], right[key]]
    if (a === undefined ? b !== undefined : b === undefined || Math.abs(a - b) > toleranceMs) return false
  }
  return exact(left) === exact(right)
}

const exact = (state: State): string => canonical({ ...state, inMs: 0, clockDeltaMs: 0 })

/** JSON with sorted properties, so that equal values have equal texts. */
export const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => a < b ? -1 : 1))
      : inner)

/** A state on one line, for people. */
export const summary = (state: State): string => {
  const facts = Object.entries(state.facts ?? {}).map(([name, value]) => `${name} ${value}`)
  return [
    state.state,
    state.attempt === undefined ? "" : `attempt ${state.attempt}`,
    state.cause ?? "",
    facts.length === 0 ? "" : `(${facts.join(", ")})`,
    state.approval === undefined ? "" : `request ${state.approval.requestId ?? "unknown"} (${state.approval.reason})`,
    state.checking === true ? "asking" : "",
    state.protocol === undefined ? "" : `protocol ${state.protocol}`,
    state.scopes === undefined ? "" : `scopes ${state.scopes.join(" ") || "none"}`,
    state.upgrade === undefined ? "" : `wider scopes wait for request ${state.upgrade.requestId ?? "unknown"}`,
    state.declined === undefined ? "" : `wider scopes declined (${state.declined})`,
    state.suspension === undefined ? "" : `suspended (${state.suspension})`,
    state.inMs === undefined ? "" : `next in ${(state.inMs / 1000).toFixed(1)} s`
  ].filter((part) => part !== "").join("  ")
}
