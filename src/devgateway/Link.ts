/**
 * One client link: what the gateway sends on it, what its script (`Fault`) does to it, and how it ends.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Frame from "../protocol/Frame.ts"
import { type Fault, type FaultPhase, noiseBytes, noiseTexts } from "./Fault.ts"
import type { Asker } from "./PairingBook.ts"

/** The far end of a link. */
export interface Peer {
  readonly sendUnsafe: (text: string) => void
  /** Only the noise fault sends binary. */
  readonly sendBinaryUnsafe?: (bytes: Uint8Array) => void
  /** Code 1006 asks for a link that breaks without a close frame. */
  readonly close: (code: number, reason: string) => void
  /** The client is not on loopback. */
  readonly remote: boolean
  /** Identifies the client in lock-outs, in the limit of silent links and as `remoteIp`. `127.0.0.1` unless given. */
  readonly address?: string
  /** Headers of the upgrade request by lower-case name. The gateway reads `origin` only. */
  readonly headers?: Readonly<Record<string, string>>
}

export interface PeerHandler {
  readonly onText: (text: string) => void
  /** The link is gone. Calling it twice, or after the gateway closed the link, does nothing. */
  readonly onClose: () => void
  /** The client has got its hello-ok, and the link has not ended. */
  readonly hasSession: () => boolean
}

/** What was granted with hello-ok. */
export interface Session {
  readonly role: string
  readonly scopes: ReadonlyArray<string>
  readonly asker: Asker | undefined
  readonly toolEvents: boolean
  /** The sessions whose events it asked for, by their full keys; absent for one that gets those of all. */
  readonly sessions: Set<string> | undefined
  /** What a node offers; absent for an operator. */
  readonly claim?: Claim | undefined
  /** A setup code approved the device, and with it the first commands that it offers. */
  readonly surfaceApproved?: boolean
}

/** What a node says of itself. */
export interface Claim {
  readonly version: string
  readonly caps: ReadonlyArray<string>
  readonly commands: ReadonlyArray<string>
}

/** What all links of a gateway share. */
export interface Host {
  readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  readonly recordFrame: (link: Link, direction: "in" | "out", text: string) => void
  /** The link has ended. Called once, before its peer is told. */
  readonly removed: (link: Link) => void
  /** Something threw while this link was handled. It is closed with 1011. */
  readonly failed: (link: Link, cause: unknown) => void
  readonly changed: () => void
}

export interface Link {
  readonly host: Host
  /** Counts links from 1. */
  readonly number: number
  readonly peer: Peer
  readonly address: string
  readonly fault: Fault
  /** Of the challenge. */
  readonly nonce: string
  /** As hello-ok names the connection. */
  readonly connId: string
  /** Absent until hello-ok. */
  session: Session | undefined
  /** A stalled link sends nothing, hears nothing and never closes. */
  state: "open" | "stalled" | "ended"
  /** Sequence number of the last event. */
  seq: number
  /** The deadline of the handshake, and a challenge that is due later. */
  readonly timers: Array<Fiber.Fiber<void>>
}

export const make = (
  host: Host,
  facts: Pick<Link, "number" | "peer" | "fault" | "nonce" | "connId">
): Link => ({
  ...facts,
  host,
  address: facts.peer.address ?? "127.0.0.1",
  session: undefined,
  state: "open",
  seq: 0,
  timers: []
})

/** Runs `act`. A throw ends this link and no other. */
export const guard = (link: Link, act: () => void): void => {
  try {
    act()
  } catch (cause) {
    forget(link)
    link.host.failed(link, cause)
    try {
      link.peer.close(1011, "internal error")
    } catch {
      // The peer cannot be closed. The gateway has forgotten the link.
    }
    link.host.changed()
  }
}

export const send = (link: Link, text: string): void => {
  if (link.state !== "open") return
  link.host.recordFrame(link, "out", text)
  guard(link, () => link.peer.sendUnsafe(text))
}

/** Sends an event with the next sequence number. Only a link with a session gets events. */
export const sendEvent = (link: Link, event: string, payload: unknown): void => {
  if (link.state !== "open" || link.session === undefined) return
  link.seq += link.seq === 1 && link.fault.sequenceGap === true ? 2 : 1
  send(link, Frame.encodeEvent(event, payload, link.seq))
}

/** Sends frames that are not frames of the protocol, if the script says so. */
export const sendNoise = (link: Link): void => {
  if (link.fault.noiseFrames !== true) return
  for (const text of noiseTexts) send(link, text)
  if (link.state === "open") guard(link, () => link.peer.sendBinaryUnsafe?.(noiseBytes))
}

export const clearTimers = (link: Link): void => {
  for (const timer of link.timers.splice(0)) timer.interruptUnsafe()
}

/** Runs `act` after `delay`, unless the link ends or gets its session first. */
export const schedule = (link: Link, delay: Duration.Input, act: () => void): void => {
  const due = Effect.sync(() => link.state === "open" ? guard(link, act) : undefined)
  link.timers.push(link.host.fork(Effect.delay(due, delay)))
}

/** Forgets the link without telling its peer. False when it had ended before. */
export const forget = (link: Link): boolean => {
  if (link.state === "ended") return false
  link.state = "ended"
  clearTimers(link)
  link.host.removed(link)
  return true
}

export const end = (link: Link, code: number, reason: string): void => {
  if (!forget(link)) return
  guard(link, () => link.peer.close(code, reason))
  link.host.changed()
}

/** Sends a last frame and closes. */
export const endWith = (link: Link, text: string, code: number, reason: string): void => {
  if (link.state !== "open") return
  link.host.recordFrame(link, "out", text)
  forget(link) // first: a client that answers from inside its callback is no longer heard
  guard(link, () => {
    link.peer.sendUnsafe(text)
    link.peer.close(code, reason)
  })
  link.host.changed()
}

/** Breaks or stalls the link if its script says so for this phase. True when the link is still open. */
export const reach = (link: Link, phase: FaultPhase): boolean => {
  if (link.fault.dropAt === phase) end(link, 1006, "")
  if (link.fault.stallAt === phase && link.state === "open") {
    link.state = "stalled"
    clearTimers(link)
  }
  return link.state === "open"
}
