/**
 * The part that a process has in a gateway's patience, without a clock or a database.
 *
 * Gateways count by address. Processes that reach them from one address divide 24 handshakes at the same time and eight refused
 * credentials within a minute. Each keeps to its part without asking, and it counts its own refusals itself, so the sum holds however
 * old the figures are that it has of the others. Those correct what dividing leaves out: refusals to processes that are gone, and
 * to processes that had a larger part before others came.
 *
 * Times are monotonic milliseconds of this process.
 */
import type { Allowance } from "../connection/AdmissionStep.ts"
import { windowMs } from "../connection/AdmissionStep.ts"

/** Of one address at one gateway. */
export const limits = {
  /** Three quarters of the silent sockets that a gateway accepts. */
  handshakes: 24,
  /** More would be of no use to a process. */
  handshakesOfOne: 8,
  /** Below the ten that lock an address out. */
  refusals: 8,
  /**
   * So long after a process has come, the others keep to smaller parts: they read every 2 s, and what they had begun before has ended, as
   * hardly a handshake takes 8 s.
   */
  unknownMs: 10_000
} as const

/** A credential of another process that a gateway refused. */
export interface Refusal {
  readonly process: string
  readonly gatewayScope: string
  readonly atMs: number
}

/** What a process knows of the others with its address. */
export interface View {
  /** When this process came. */
  readonly sinceMs: number
  /** Those that live. */
  readonly others: ReadonlySet<string>
  /** To all others, also to those that are gone. */
  readonly refusals: ReadonlyArray<Refusal>
}

/** What this process may do with a gateway. */
export const allowance = ({ others, refusals, sinceMs }: View, gatewayScope: string, nowMs: number): Allowance => {
  const counts = new Map<string, number>()
  let gone = 0
  for (const { atMs, gatewayScope: scope, process } of refusals) {
    if (scope !== gatewayScope || atMs <= nowMs - windowMs) continue
    counts.set(process, (counts.get(process) ?? 0) + 1)
    if (!others.has(process)) gone++
  }
  const all = others.size + 1
  const part = Math.max(0, Math.floor((limits.refusals - gone) / all))
  let left: number = limits.refusals - gone
  for (const process of others) left -= Math.max(part, counts.get(process) ?? 0)
  const refusedElsewhere = counts.size > 0
  // Without the first one, none of more than eight processes would ever begin.
  const own = refusedElsewhere ? Math.max(0, Math.min(part, left)) : Math.max(1, part)
  // The others may still use what was theirs without this process.
  const isUnknown = others.size > 0 && nowMs - sinceMs < limits.unknownMs
  return {
    handshakes: Math.max(1, Math.min(limits.handshakesOfOne, Math.floor(limits.handshakes / all))),
    refusals: isUnknown ? Math.min(1, own) : own,
    refusedElsewhere
  }
}
