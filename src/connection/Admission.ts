/**
 * How the agents of one process share a gateway's patience.
 *
 * A gateway refuses the 33rd socket without a `connect` from one address, and locks an address out after ten wrong credentials
 * in a minute. So at most eight handshakes with one gateway run at once, and after eight refused credentials within a minute
 * the next handshake waits until the oldest is a minute old. Give one layer to all agents of a process.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Semaphore from "effect/Semaphore"
import * as Monotonic from "../handshake/Monotonic.ts"

/** The limits of `Admission`, for each gateway. Gateways count by address, so they are for all agents of a process together. */
export const limits = {
  /** A quarter of the silent sockets that a gateway accepts from one address. */
  handshakes: 8,
  /** Below the ten that lock an address out, as other programs on this machine may use the rest. */
  refusals: 8,
  windowMs: 60_000
} as const

interface Gate {
  readonly permits: Semaphore.Semaphore
  /** When credentials were refused, oldest first, in monotonic milliseconds. */
  refusedAtMs: ReadonlyArray<number>
}

/**
 * Decides when an agent may start a handshake, so that the agents of one process together stay below a gateway's limits.
 * Provided by `Admission.layer`, once for a process.
 */
export class Admission extends Context.Service<Admission, {
  /** Runs a handshake when there is room for it with that gateway. The room is free again when it ends. */
  readonly admit: <A, E, R>(gatewayScope: string, handshake: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Notes that a credential was refused. */
  readonly refused: (gatewayScope: string) => Effect.Effect<void>
}>()("effect-openclaw/connection/Admission") {
  static readonly layer: Layer.Layer<Admission> = Layer.effect(
    this,
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const gates = new Map<string, Gate>()
      const gateOf = (gatewayScope: string): Gate => {
        const known = gates.get(gatewayScope)
        if (known !== undefined) return known
        const gate: Gate = { permits: Semaphore.makeUnsafe(limits.handshakes), refusedAtMs: [] }
        gates.set(gatewayScope, gate)
        return gate
      }
      const recent = (gate: Gate): ReadonlyArray<number> => {
        const sinceMs = Monotonic.nowMs(clock) - limits.windowMs
        gate.refusedAtMs = gate.refusedAtMs.filter((at) => at > sinceMs)
        return gate.refusedAtMs
      }
      const withinBudget = (gate: Gate): Effect.Effect<void> =>
        Effect.suspend(() => {
          const refusals = recent(gate)
          const blocking = refusals[refusals.length - limits.refusals]
          if (blocking === undefined) return Effect.void
          const leftMs = blocking + limits.windowMs - Monotonic.nowMs(clock)
          return Effect.andThen(Effect.sleep(Duration.millis(leftMs)), withinBudget(gate))
        })
      return Admission.of({
        admit: (gatewayScope, handshake) => {
          const gate = gateOf(gatewayScope)
          return Semaphore.withPermits(gate.permits, 1)(Effect.andThen(withinBudget(gate), handshake))
        },
        refused: (gatewayScope) =>
          Effect.sync(() => {
            const gate = gateOf(gatewayScope)
            gate.refusedAtMs = [...recent(gate), Monotonic.nowMs(clock)]
          })
      })
    })
  )
}
