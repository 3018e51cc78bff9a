/**
 * How links come in: which upgrades are refused, and what takes the messages of a link.
 */
import type * as Fault from "./Fault.ts"
import type * as Handshake from "./Handshake.ts"
import * as Link from "./Link.ts"
import type * as Links from "./Links.ts"
import type * as Methods from "./Methods.ts"
import type * as Observation from "./Observation.ts"

/** Of one address. Further links are refused until one of them has its session. */
const maxSilentLinks = 32

/** How to refuse an HTTP upgrade. */
export const upgradeOf = (
  links: Links.Links,
  script: Fault.FaultScript,
  observation: Observation.Observation,
  isStopped: () => boolean
): (request: { readonly address?: string }) => Fault.UpgradeRefusal | undefined =>
({ address = "127.0.0.1" }) => {
  const refusal = isStopped()
    ? { status: 0, body: "" }
    : script.takeUpgradeRefusal(observation.attempts() + 1) ?? (links.silent(address) >= maxSilentLinks
      ? { status: 503, body: "Too many unauthenticated sockets" }
      : undefined)
  if (refusal === undefined) return undefined
  observation.attempt()
  observation.changed()
  return refusal
}

/** Takes over links and hands on what comes over them. */
export const acceptBy = ({ handshake, isStopped, links, methods, newId, observation, script }: {
  readonly links: Links.Links
  readonly script: Fault.FaultScript
  readonly observation: Observation.Observation
  readonly handshake: Handshake.Handshake
  readonly methods: Methods.Methods
  readonly newId: () => string
  readonly isStopped: () => boolean
}): (peer: Link.Peer) => Link.PeerHandler => {
  const receive = (link: Link.Link, text: string) => {
    if (link.state !== "open") return
    observation.recordFrame(link, "in", text)
    if (link.session === undefined) handshake.receive(link, text)
    else methods.receive(link.session, text, (answer) => Link.send(link, answer))
  }
  return (peer) => {
    const number = observation.attempt()
    const stopped = isStopped()
    const fault = stopped ? {} : script.take(number)
    const link = links.open({ number, peer, fault, nonce: newId(), connId: newId() })
    if (stopped || fault.upgradeRefusal !== undefined) Link.end(link, 1006, "")
    else if (Link.reach(link, "open")) {
      Link.guard(link, () => handshake.begin(link))
      observation.changed()
    }
    return {
      onText: (text) => Link.guard(link, () => receive(link, text)),
      onClose: () => {
        if (Link.forget(link)) observation.changed()
      },
      hasSession: () => link.session !== undefined && link.state !== "ended"
    }
  }
}
