/**
 * One observed attempt to connect: the very connection of `run`, with its credentials and fallbacks, ended as soon as it is known how
 * it goes. The phases and the challenge are read beside it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Admission } from "../connection/Admission.ts"
import type { ConnectionStatus } from "../connection/ConnectionStatus.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import type { GatewayConfig } from "../handshake/GatewayConfig.ts"
import { Handshake } from "../handshake/Handshake.ts"
import * as Timeline from "../handshake/Timeline.ts"
import type { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import type { TokenStore } from "../identity/TokenStore.ts"
import { Transport } from "../link/Transport.ts"
import { decodeChallenge } from "../protocol/Connect.ts"
import * as Frame from "../protocol/Frame.ts"

/** A step of a handshake and how long it took. */
export interface Phase {
  readonly step: Timeline.Step
  readonly ms: number
}

/** What was seen of the last handshake of the attempt. */
export interface Observed {
  readonly phases: ReadonlyArray<Phase>
  /** The gateway's clock minus this machine's, in milliseconds; absent when no challenge came. */
  readonly clockDeltaMs: number | undefined
  /** The kind of the credential that was offered. */
  readonly credential: string | undefined
  /** Handshakes that were needed: more than one where a credential or a form of the proof was tried first. */
  readonly handshakes: number
}

/** How the attempt went, and the connection as long as the scope is open. */
export interface Attempted {
  readonly status: ConnectionStatus
  readonly observed: Observed
}

type Needs = Admission | DeviceIdentity | GatewayConfig | TokenStore | Transport | Scope.Scope

export const attempt: Effect.Effect<Attempted, never, Needs> = Effect.gen(function*() {
  const clock = yield* Clock.Clock
  const transport = yield* Transport
  let timeline = Timeline.make(clock)
  let clockDeltaMs: number | undefined
  let credential: string | undefined
  let handshakes = 0
  let phases: ReadonlyArray<Phase> = []

  const observed: Transport["Service"] = {
    ...transport,
    dial: (target, handler) => {
      const heard = (text: string) => {
        const challenge = clockDeltaMs === undefined ? challengeIn(text) : undefined
        if (challenge !== undefined) {
          clockDeltaMs = challenge - clock.currentTimeMillisUnsafe()
          Timeline.enter(timeline, "connect")
        }
        handler.onText(text)
      }
      const dialled = transport.dial(target, {
        onText: heard,
        onClose: handler.onClose,
        onPhase: (phase) => {
          Timeline.enter(timeline, phase)
          handler.onPhase?.(phase)
        }
      })
      return Effect.map(dialled, (link) => {
        Timeline.enter(timeline, "challenge")
        if (clockDeltaMs !== undefined) Timeline.enter(timeline, "connect")
        return {
          ...link,
          sendUnsafe: (text) => {
            Timeline.enter(timeline, "hello")
            return link.sendUnsafe(text)
          }
        }
      })
    }
  }
  const handshake = yield* Effect.provideService(Handshake.make, Transport, observed)
  const supervisor = yield* Effect.provideService(Supervisor.make, Handshake, {
    connect: (plan, limits, handler) =>
      Effect.suspend(() => {
        timeline = Timeline.make(clock)
        clockDeltaMs = undefined
        credential = plan.credential._tag
        handshakes++
        return Effect.onExit(handshake.connect(plan, limits, handler), () =>
          Effect.sync(() => {
            phases = Timeline.end(timeline)
          }))
      })
  })
  const status = yield* supervisor.changes.pipe(
    Stream.map(({ status }) => status),
    Stream.filter(({ _tag }) => _tag !== "Connecting"),
    Stream.runHead,
    Effect.map(Option.getOrElse((): ConnectionStatus => ({ _tag: "Stopped" })))
  )
  // One attempt is enough: nothing is tried again while the rest is looked at.
  if (status._tag !== "Connected") yield* supervisor.pause
  return { status, observed: { phases, clockDeltaMs, credential, handshakes } }
})

/** The time in a challenge, if the text is one. */
const challengeIn = (text: string): number | undefined => {
  const frame = Frame.parse(text)
  return frame?.type === "event" && frame.event === "connect.challenge"
    ? Option.getOrUndefined(decodeChallenge(frame.payload))?.ts
    : undefined
}
