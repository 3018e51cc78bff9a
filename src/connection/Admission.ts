/**
 * How the agents of one process share a gateway's patience.
 *
 * A gateway refuses the 33rd socket without a `connect` from one address, and locks an address out after ten wrong credentials
 * in a minute. So at most eight handshakes with one gateway run at once, and eight credentials may be refused within a minute;
 * handshakes that may become the next refusals wait. `AdmissionStep` decides. Give one layer to all agents of a process.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Semaphore from "effect/Semaphore"
import * as Monotonic from "../handshake/Monotonic.ts"
import * as AdmissionStep from "./AdmissionStep.ts"

/** The limits of `Admission.layer`, for each gateway. Gateways count by address, so they are for all agents of a process together. */
export const limits = {
  /** A quarter of the silent sockets that a gateway accepts from one address. */
  handshakes: 8,
  /** Below the ten that lock an address out, as other programs on this machine may use the rest. */
  refusals: 8,
  windowMs: AdmissionStep.windowMs
} as const

/** How a process shares an address with other processes. */
export interface Sharing {
  /** What this process may do now. Asked whenever a handshake wants to begin. */
  readonly allowance: (gatewayScope: string) => AdmissionStep.Allowance
  /** Runs after each refused credential, before its handshake ends. */
  readonly onRefused: (gatewayScope: string) => Effect.Effect<void>
}

/** An `Admission` whose allowance changes. */
export interface Shared {
  readonly admission: Admission["Service"]
  /** Handshakes that wait ask for their allowance again. */
  readonly review: Effect.Effect<void>
}

/**
 * Decides when an agent may start a handshake, so that the agents of one process together stay below a gateway's limits.
 * Provided by `Admission.layer`, once for a process.
 */
export class Admission extends Context.Service<Admission, {
  /** Runs a handshake when there is room for it with that gateway, in the order of the calls. The room is free again when it ends. */
  readonly admit: <A, E, R>(gatewayScope: string, handshake: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Notes that a credential was refused. Part of the handshake that `admit` runs: once that has ended, the next one may begin. */
  readonly refused: (gatewayScope: string) => Effect.Effect<void>
}>()("effect-openclaw/connection/Admission") {
  /** With an allowance that other processes have a part in. */
  static readonly makeShared = (sharing: Sharing): Effect.Effect<Shared> => makeShared(sharing)

  static readonly layer: Layer.Layer<Admission> = Layer.effect(
    this,
    Effect.suspend(() => {
      const allowance = { handshakes: limits.handshakes, refusals: limits.refusals, refusedElsewhere: false }
      return Effect.map(
        makeShared({ allowance: () => allowance, onRefused: () => Effect.void }),
        ({ admission }) => admission
      )
    })
  )
}

/** What agents do with one gateway. */
interface Gate {
  readonly gatewayScope: string
  state: AdmissionStep.Gate
  /** The first of those that wait has it, and the others wait for it in order. */
  readonly turn: Semaphore.Semaphore
  waiting: number
  /** Lets the first of those that wait look again. */
  wake: () => void
}

const nothing = () => {}

/** Gateways ask for approval only after they have accepted the credential. */
const outcomeOf = (exit: Exit.Exit<unknown, unknown>): AdmissionStep.Outcome =>
  Exit.isSuccess(exit) || Option.exists(Exit.findErrorOption(exit), Predicate.isTagged("PairingRequired"))
    ? "Accepted"
    : Exit.hasInterrupts(exit)
    ? "Interrupted"
    : "Failed"

const makeShared = Effect.fnUntraced(function*({ allowance, onRefused }: Sharing) {
  const clock = yield* Clock.Clock
  const gates = new Map<string, Gate>()
  const nowMs = () => Monotonic.nowMs(clock)
  const gateOf = (gatewayScope: string): Gate => {
    const known = gates.get(gatewayScope)
    if (known !== undefined) return known
    const gate: Gate = {
      gatewayScope,
      state: AdmissionStep.initial,
      turn: Semaphore.makeUnsafe(1),
      waiting: 0,
      wake: nothing
    }
    gates.set(gatewayScope, gate)
    return gate
  }
  const decide = (gate: Gate) => AdmissionStep.decide(gate.state, allowance(gate.gatewayScope), nowMs())

  /** Waits until the decision may be another one. */
  const change = (gate: Gate, againAtMs: number | undefined): Effect.Effect<void> => {
    const woken = Effect.callback<void>((resume) => {
      // The fiber may have yielded since it looked.
      if (decide(gate)._tag === "Enter") return resume(Effect.void)
      gate.wake = () => resume(Effect.void)
      return Effect.sync(() => void (gate.wake = nothing))
    })
    return againAtMs === undefined
      ? woken
      : Effect.raceFirst(woken, Effect.sleep(Duration.millis(Math.max(0, againAtMs - nowMs()))))
  }
  /** Calls `enter` at the moment at which there is room. */
  const untilRoom = (gate: Gate, enter: () => void): Effect.Effect<void> =>
    Effect.suspend(() => {
      const decision = decide(gate)
      if (decision._tag === "Wait") return Effect.andThen(change(gate, decision.againAtMs), untilRoom(gate, enter))
      enter()
      return Effect.void
    })

  const admission = Admission.of({
    admit: (gatewayScope, handshake) =>
      Effect.suspend(() => {
        const gate = gateOf(gatewayScope)
        let place: "outside" | "waiting" | "inside" = "outside"
        const leave = () => {
          if (place === "waiting") gate.waiting--
          place = "outside"
        }
        const enter = () => {
          leave()
          place = "inside"
          gate.state = AdmissionStep.entered(gate.state)
        }
        const body = Effect.suspend(() => {
          if (gate.waiting === 0 && decide(gate)._tag === "Enter") {
            enter()
            return handshake
          }
          gate.waiting++
          place = "waiting"
          return Effect.andThen(Semaphore.withPermits(gate.turn, 1)(untilRoom(gate, enter)), handshake)
        })
        // Wherever it is interrupted, its place is free again.
        return Effect.onExitPrimitive(body, (exit) => {
          if (place === "inside") {
            gate.state = AdmissionStep.left(gate.state, outcomeOf(exit), nowMs())
            gate.wake()
          }
          leave()
          return undefined
        })
      }),
    refused: (gatewayScope) =>
      Effect.suspend(() => {
        const gate = gateOf(gatewayScope)
        gate.state = AdmissionStep.refused(gate.state, nowMs())
        return onRefused(gatewayScope)
      })
  })
  return {
    admission,
    review: Effect.sync(() => {
      for (const { wake } of gates.values()) wake()
    })
  } satisfies Shared
})
