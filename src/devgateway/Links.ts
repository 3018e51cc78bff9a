/**
 * All open links of the gateway, and who of them gets an event.
 */
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Frame from "../protocol/Frame.ts"
import * as Link from "./Link.ts"
import { satisfies } from "./PairingBook.ts"

/** Judges whether a link gets an event. */
export type Audience = (session: Link.Session, link: Link.Link) => boolean

export interface Links {
  readonly open: (facts: Parameters<typeof Link.make>[1]) => Link.Link
  readonly count: () => number
  /** Links of this address that have not got their session yet. */
  readonly silent: (address: string) => number
  readonly publish: (event: string, payload: unknown, audience: Audience) => void
  readonly endAll: (code: number, reason: string) => void
  readonly isConnected: (deviceId: string) => boolean
  /** Sends an event without a sequence number to one session. */
  readonly tell: (session: Link.Session, event: string, payload: unknown) => void
  /** Ends the links of a device, or those in one role. */
  readonly endDevice: (deviceId: string, role?: string) => void
}

/** As real gateways close the links of a device whose token or pairing is gone. */
const deviceRemoved = { code: 4001, reason: "device removed" }

export const everyone: Audience = () => true

const operators = (scope: string): Audience => (session) =>
  session.role === "operator" && satisfies(session.scopes, scope)

export const readers: Audience = operators("operator.read")

/** Those of an audience that asked for the events of a session, or get those of all. */
export const ofSession = (audience: Audience, sessionKey: string): Audience => (session, link) =>
  (session.sessions === undefined || session.sessions.has(sessionKey)) && audience(session, link)

/** Readers that asked for the events of tools. */
export const toolReaders: Audience = (session, link) => session.toolEvents && readers(session, link)

export const approvers: Audience = operators("operator.pairing")

export const make = (options: {
  readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  readonly recordFrame: Link.Host["recordFrame"]
  readonly failed: Link.Host["failed"]
  readonly changed: () => void
  /** The link of this session has ended. */
  readonly left: (session: Link.Session) => void
}): Links => {
  const links = new Set<Link.Link>()
  const host: Link.Host = {
    ...options,
    removed: (link) => {
      links.delete(link)
      if (link.session !== undefined) options.left(link.session)
    }
  }
  /** A copy, because an event or an end can open and end links. */
  const all = () => [...links]
  const isOf = (deviceId: string) => (link: Link.Link) => link.session?.asker?.deviceId === deviceId

  return {
    open: (facts) => {
      const link = Link.make(host, facts)
      links.add(link)
      return link
    },
    count: () => links.size,
    silent: (address) => all().filter((link) => link.session === undefined && link.address === address).length,
    publish: (event, payload, audience) => {
      for (const link of all()) {
        if (link.session !== undefined && audience(link.session, link)) Link.sendEvent(link, event, payload)
      }
    },
    endAll: (code, reason) => {
      for (const link of all()) Link.end(link, code, reason)
    },
    isConnected: (deviceId) => all().some(isOf(deviceId)),
    tell: (session, event, payload) => {
      for (const link of all()) if (link.session === session) Link.send(link, Frame.encodeEvent(event, payload))
    },
    endDevice: (deviceId, role) => {
      const ending = all().filter(isOf(deviceId)).filter(({ session }) => role === undefined || session?.role === role)
      for (const link of ending) Link.end(link, deviceRemoved.code, deviceRemoved.reason)
      options.changed()
    }
  }
}
