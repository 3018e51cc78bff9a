/**
 * When the next handshake with a gateway may begin, without a clock or a fiber.
 *
 * Until a handshake has ended, the gateway may refuse its credential. So the handshakes under way and the refusals of the last minute
 * together stay within the limit of refusals. That holds up nobody while the gateway accepts credentials: when the last handshake was
 * accepted a moment ago and nothing was refused within the minute, only the limit of handshakes counts.
 *
 * Times are monotonic milliseconds.
 */

/** For how long a gateway counts a wrong credential. */
export const windowMs = 60_000

/** For how long an accepted handshake tells that the next will be too. A gateway that changes its credentials restarts meanwhile. */
export const trustMs = 10_000

/** What a process may do with one gateway. */
export interface Allowance {
  /** Handshakes at the same time. */
  readonly handshakes: number
  /** Refused credentials of this process within a minute. */
  readonly refusals: number
  /** Within the last minute the gateway refused a credential of another process from the same address. */
  readonly refusedElsewhere: boolean
}

/** What happened with one gateway in this process. */
export interface Gate {
  /** Handshakes that have begun and not ended. */
  readonly underWay: number
  /** When credentials were refused, oldest first. */
  readonly refusedAtMs: ReadonlyArray<number>
  /** When the gateway last accepted a credential. Undefined if a handshake failed since. */
  readonly acceptedAtMs: number | undefined
}

/** `Failed` for every reason but a request to pair: a gateway makes that after it has accepted the credential. */
export type Outcome = "Accepted" | "Failed" | "Interrupted"

export type Decision =
  | { readonly _tag: "Enter" }
  /** Ask again when a handshake ends or the allowance changes, and at `againAtMs` at the latest if that is set. */
  | { readonly _tag: "Wait"; readonly againAtMs: number | undefined }

export const initial: Gate = { underWay: 0, refusedAtMs: [], acceptedAtMs: undefined }

const enter: Decision = { _tag: "Enter" }

const recent = ({ refusedAtMs }: Gate, nowMs: number): ReadonlyArray<number> =>
  refusedAtMs.length === 0 ? refusedAtMs : refusedAtMs.filter((at) => at > nowMs - windowMs)

export const decide = (gate: Gate, allowance: Allowance, nowMs: number): Decision => {
  const { acceptedAtMs, underWay } = gate
  if (underWay >= allowance.handshakes) return { _tag: "Wait", againAtMs: undefined }
  const refusals = recent(gate, nowMs)
  const accepts = acceptedAtMs !== undefined && nowMs - acceptedAtMs < trustMs
    && refusals.length === 0 && !allowance.refusedElsewhere
  if (accepts) return enter
  const over = underWay + refusals.length - allowance.refusals
  if (over < 0) return enter
  // So many and one more have to be a minute old.
  const last = refusals[over]
  return { _tag: "Wait", againAtMs: last === undefined ? undefined : last + windowMs }
}

/** After a handshake has begun. */
export const entered = (gate: Gate): Gate => ({ ...gate, underWay: gate.underWay + 1 })

/** After a credential was refused. The handshake is still under way. */
export const refused = (gate: Gate, nowMs: number): Gate => ({
  ...gate,
  refusedAtMs: [...recent(gate, nowMs), nowMs],
  acceptedAtMs: undefined
})

/** After a handshake has ended. */
export const left = (gate: Gate, outcome: Outcome, nowMs: number): Gate => ({
  ...gate,
  underWay: gate.underWay - 1,
  acceptedAtMs: outcome === "Accepted" ? nowMs : outcome === "Failed" ? undefined : gate.acceptedAtMs
})
