/**
 * Faults that a test scripts: one `Fault` per connection, whose properties combine. An empty object is a connection without
 * any fault.
 */
import type * as Duration from "effect/Duration"
import type { ErrorShape } from "../protocol/Frame.ts"

/** The last phase that went well: link opened, challenge sent, `connect` received, hello-ok sent. */
export type FaultPhase = "open" | "challenge" | "connect" | "hello"

/** An answer to the HTTP upgrade request instead of a WebSocket. Status 0 drops the TCP connection without an answer. */
export interface UpgradeRefusal {
  readonly status: number
  readonly body: string
}

/** What goes wrong on one connection. */
export interface Fault {
  /** Never sends a challenge, as a gateway older than the challenge would; a proof without nonce is then accepted. */
  readonly noChallenge?: boolean
  /** The challenge comes this much later than the link. */
  readonly lateChallenge?: Duration.Input
  /** A second challenge follows at once. Only the nonce of the first is accepted. */
  readonly twoChallenges?: boolean
  readonly malformedChallenge?: "missing-ts" | "negative-ts" | "missing-nonce" | "piped-nonce"
  /** The link breaks without a close frame (1006). */
  readonly dropAt?: FaultPhase
  /** The gateway sends nothing more, hears nothing more and never closes. */
  readonly stallAt?: FaultPhase
  /** `connect` is answered `UNAVAILABLE` with this `retryAfterMs`, and the link closed with 1013. */
  readonly unavailable?: number
  /** The link is closed with this right after hello-ok. */
  readonly closeWith?: { readonly code: number; readonly reason?: string }
  /** `connect` is answered `AUTH_RATE_LIMITED` with this `retryAfterMs`. */
  readonly lockout?: number
  /** `connect` is answered with this error, and the link closed with 1008. */
  readonly refuse?: ErrorShape
  /** Version 3 proofs are refused as an invalid signature, without details, as old releases do. */
  readonly refuseProofV3?: boolean
  /** No tick is ever sent. */
  readonly tickLoss?: boolean
  /** The second event after hello-ok skips one sequence number; before the first, no client could tell. */
  readonly sequenceGap?: boolean
  /** An ask for pairing on this connection always makes a new request id. */
  readonly supersede?: boolean
  /** Other JSON, an unknown type, text that is not JSON and binary come before the challenge and after hello-ok. */
  readonly noiseFrames?: boolean
  /** An event follows hello-ok in the same turn, and over a socket in the same packet. */
  readonly eventInSamePacketAsHello?: boolean
  readonly upgradeRefusal?: UpgradeRefusal
}

/** Text messages that are not frames of the protocol. */
export const noiseTexts: ReadonlyArray<string> = [`["x"]`, "1", "null", `{"type":"mystery","id":"1"}`, "not json"]

/** The binary message of `noiseFrames`: bytes that are no UTF-8 text. */
export const noiseBytes: Uint8Array = Uint8Array.of(0, 255, 1, 254)

/** Which fault each connection gets. Connections count from 1. */
export interface FaultScript {
  /** Adds a fault for each of the next connections, in order. */
  readonly add: (faults: ReadonlyArray<Fault>) => void
  /** Decides the fault of every connection that `add` leaves without one. */
  readonly each: (fault: (connection: number) => Fault | undefined) => void
  readonly take: (connection: number) => Fault
  /** Takes the fault of this connection if it refuses the upgrade. */
  readonly takeUpgradeRefusal: (connection: number) => UpgradeRefusal | undefined
}

/**
 * A script that begins with these faults, one for each connection in order. Later connections have none until `add` or
 * `each` gives some.
 */
export const makeScript = (first: ReadonlyArray<Fault>): FaultScript => {
  const queue: Array<Fault> = [...first]
  let others: (connection: number) => Fault | undefined = () => undefined
  return {
    add: (faults) => void queue.push(...faults),
    each: (fault) => {
      others = fault
    },
    take: (connection) => queue.shift() ?? others(connection) ?? {},
    takeUpgradeRefusal: (connection) => {
      const refusal = (queue[0] ?? others(connection))?.upgradeRefusal
      if (refusal !== undefined) queue.shift()
      return refusal
    }
  }
}
