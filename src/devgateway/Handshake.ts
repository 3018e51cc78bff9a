/**
 * The handshake of one link: challenge, `connect`, and hello-ok or a refusal.
 */
import type * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Frame from "../protocol/Frame.ts"
import type { Granted } from "./Connect.ts"
import { health, hello, type SuspensionPhase } from "./Hello.ts"
import * as Link from "./Link.ts"
import type { Observation } from "./Observation.ts"
import * as ParamsCheck from "./ParamsCheck.ts"
import * as Refusals from "./Refusals.ts"

export interface Handshake {
  /** Sends the challenge, or what the link's script has in its place, and starts the deadline. */
  readonly begin: (link: Link.Link) => void
  /** Takes a text message of a link that has no session yet. */
  readonly receive: (link: Link.Link, text: string) => void
}

const maxFirstFrameBytes = 64 * 1024

const challengePayload = ({ fault, nonce }: Link.Link, nowMs: number): unknown => {
  const capabilities = ["model-catalog-snapshot"]
  switch (fault.malformedChallenge) {
    case undefined:
      return { nonce, ts: nowMs, capabilities }
    case "missing-ts":
      return { nonce, capabilities }
    case "negative-ts":
      return { nonce, ts: -5, capabilities }
    case "missing-nonce":
      return { ts: nowMs, capabilities }
    case "piped-nonce":
      return { nonce: nonce.replaceAll("-", "|"), ts: nowMs, capabilities }
  }
}

export const make = (options: {
  readonly judge: (link: Link.Link, sent: unknown) => Result.Result<Granted, Refusals.Refusal>
  readonly version: string
  readonly protocol: number
  readonly tickIntervalMs: number
  readonly scopeUpgrades: boolean
  readonly suspension: () => SuspensionPhase
  readonly deadline: Duration.Input
  /** A link has its session. `code` is the setup code that let it in. */
  readonly joined: (session: Link.Session, code: string | undefined) => void
  /** Of the gateway's present start. */
  readonly started: () => { readonly bootId: string; readonly atMs: number }
  readonly observation: Observation
  readonly nowMs: () => number
  readonly newId: () => string
}): Handshake => {
  const { nowMs, observation } = options

  const challenge = (link: Link.Link) => {
    Link.send(link, Frame.encodeEvent("connect.challenge", challengePayload(link, nowMs())))
    if (link.fault.twoChallenges === true) {
      const second = { nonce: options.newId(), ts: nowMs(), capabilities: [] }
      Link.send(link, Frame.encodeEvent("connect.challenge", second))
    }
    Link.reach(link, "challenge")
  }

  const refuse = (link: Link.Link, id: string, refusal: Refusals.Refusal) => {
    if (link.state !== "open") return
    observation.refusal(Refusals.nameOf(refusal))
    const { closeCode, error } = refusal
    Link.endWith(link, Frame.encodeRefusal(id, error), closeCode, Refusals.closeReasonOf(refusal))
  }

  const welcome = (link: Link.Link, id: string, { code, method, session, token }: Granted) => {
    Link.clearTimers(link)
    link.session = session
    observation.hello()
    const { atMs, bootId } = options.started()
    const payload = hello({
      protocol: options.protocol,
      version: options.version,
      bootId,
      connId: link.connId,
      nowMs: nowMs(),
      startedAtMs: atMs,
      tickIntervalMs: options.tickIntervalMs,
      scopeUpgrades: options.scopeUpgrades,
      suspension: options.suspension(),
      method,
      role: session.role,
      scopes: session.scopes,
      token
    })
    Link.send(link, Frame.encodeResponse(id, payload))
    options.joined(session, code)
    const { closeWith, eventInSamePacketAsHello } = link.fault
    if (eventInSamePacketAsHello === true) Link.sendEvent(link, "health", health(nowMs()))
    Link.sendNoise(link)
    if (closeWith !== undefined) Link.end(link, closeWith.code, closeWith.reason ?? "")
    Link.reach(link, "hello")
    link.host.changed()
  }

  return {
    begin: (link) => {
      const { lateChallenge, noChallenge } = link.fault
      Link.schedule(link, options.deadline, () => Link.end(link, 1000, ""))
      Link.sendNoise(link)
      if (noChallenge === true) return
      if (lateChallenge === undefined) challenge(link)
      else Link.schedule(link, lateChallenge, () => challenge(link))
    },

    receive: (link, text) => {
      if (Buffer.byteLength(text, "utf8") > maxFirstFrameBytes) return Link.end(link, 1009, "")
      const sent = ParamsCheck.parseJson(text)
      if (Option.isNone(sent)) return Link.end(link, 1000, "")
      const frame = Frame.parse(text)
      if (ParamsCheck.complaint(ParamsCheck.requestFrame, sent.value) !== undefined || frame?.type !== "req") {
        return Link.end(link, 1008, "invalid request frame")
      }
      if (frame.method !== "connect") return refuse(link, frame.id, Refusals.firstRequestMustBeConnect)
      if (!Link.reach(link, "connect")) return
      Result.match(options.judge(link, frame.params), {
        onSuccess: (granted) => welcome(link, frame.id, granted),
        onFailure: (refusal) => refuse(link, frame.id, refusal)
      })
    }
  }
}
