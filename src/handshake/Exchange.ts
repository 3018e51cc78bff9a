/**
 * The synchronous half of an attempt: what each frame before hello-ok means, and where those after it go.
 *
 * Frames are judged in the link's own callback. The connecting fiber waits on two deferreds. Each attempt has an exchange of
 * its own, so a late callback of an old link cannot touch a newer attempt. It lives as long as the link, and after hello-ok it
 * holds nothing but the owner's handler and the credentials that are kept out of what the link says.
 */
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { Phase } from "../link/LinkError.ts"
import { LinkError, withoutSecrets } from "../link/LinkError.ts"
import type { Link, LinkHandler } from "../link/Transport.ts"
import { secretsOf } from "../link/Transport.ts"
import type { Challenge, HelloOk } from "../protocol/Connect.ts"
import { decodeChallenge, decodeHelloOk } from "../protocol/Connect.ts"
import type { ProofVersion } from "../protocol/DeviceProof.ts"
import * as Frame from "../protocol/Frame.ts"
import * as FrameLimit from "../protocol/FrameLimit.ts"
import * as Refusal from "../protocol/Refusal.ts"
import type { ConnectPlan } from "./ConnectPlan.ts"
import type { HandshakeError } from "./HandshakeError.ts"
import { ChallengeInvalid, fromRefusal, GatewayRejected, ofHello } from "./HandshakeError.ts"
import * as Timeline from "./Timeline.ts"

/** One request per link before hello, so one constant id is enough. */
export const connectId = "connect"

/** What is known until hello-ok. */
export interface Progress {
  readonly plan: ConnectPlan
  readonly clock: Clock.Clock
  readonly timeline: Timeline.Timeline
  readonly challenge: Deferred.Deferred<Challenge, HandshakeError>
  readonly hello: Deferred.Deferred<HelloOk, HandshakeError>
  phase: Phase
  proof: ProofVersion
  limitBytes: number
  link: Link | undefined
  /** The gateway's clock minus ours, in milliseconds, when the challenge arrived. */
  clockDeltaMs: number | undefined
  /** Credentials that the gateway knows, from hello-ok on the one that it has issued too. */
  secrets: ReadonlyArray<Redacted.Redacted>
}

export const begin = (plan: ConnectPlan, clock: Clock.Clock): Progress => ({
  plan,
  clock,
  timeline: Timeline.make(clock),
  challenge: Deferred.makeUnsafe(),
  hello: Deferred.makeUnsafe(),
  phase: "dial",
  proof: plan.proof,
  limitBytes: FrameLimit.greetingLimitBytes,
  link: undefined,
  clockDeltaMs: undefined,
  secrets: secretsOf(plan.target)
})

/** The link is open. The challenge may have come already. */
export const linkOpened = (self: Progress, link: Link): void => {
  self.link = link
  self.phase = "challenge"
  Timeline.enter(self.timeline, "challenge")
  if (self.clockDeltaMs !== undefined) Timeline.enter(self.timeline, "connect")
}

/** Call it before `connect` is sent: the answer may arrive during the send. */
export const enterHello = (self: Progress, proof: ProofVersion): void => {
  self.phase = "hello"
  Timeline.enter(self.timeline, "hello")
  self.proof = proof
  self.limitBytes = FrameLimit.helloLimitBytes
  self.link?.limitUnsafe?.({ totalBytes: self.limitBytes })
}

/** Adds the elapsed time to a dial error, and the phase if the transport does not state one. */
export const withPhase = (self: Progress, error: LinkError): LinkError =>
  new LinkError({
    ...error,
    phase: error.phase === "dial" ? self.phase : error.phase,
    elapsedMs: Timeline.elapsedMs(self.timeline)
  })

/** Only an open link can end, even if the dialling fiber has not run since it opened. */
const lost = (self: Progress, error: LinkError): LinkError =>
  new LinkError({
    ...error,
    phase: self.phase === "hello" ? self.phase : "challenge",
    elapsedMs: Timeline.elapsedMs(self.timeline)
  })

const fail = (self: Progress, error: HandshakeError): void => {
  Deferred.doneUnsafe(self.challenge, Effect.fail(error))
  Deferred.doneUnsafe(self.hello, Effect.fail(error))
}

const takeChallenge = (self: Progress, payload: unknown): void => {
  // A second challenge changes nothing: the first nonce is already signed. Neither does one after the legacy answer.
  if (self.phase === "hello" || Deferred.isDoneUnsafe(self.challenge)) return
  const decoded = decodeChallenge(payload)
  if (Option.isNone(decoded)) return fail(self, new ChallengeInvalid())
  self.clockDeltaMs = decoded.value.ts - self.clock.currentTimeMillisUnsafe()
  if (self.phase === "challenge") Timeline.enter(self.timeline, "connect")
  Deferred.doneUnsafe(self.challenge, Effect.succeed(decoded.value))
}

/** Hello-ok, if that is the answer and it can be used. */
const takeAnswer = (self: Progress, frame: Frame.ResponseFrame): HelloOk | undefined => {
  if (self.phase !== "hello" || Deferred.isDoneUnsafe(self.hello)) return undefined
  if (!frame.ok) {
    fail(self, fromRefusal(Refusal.read(frame.error, self.secrets), self.plan, self.proof))
    return undefined
  }
  const decoded = decodeHelloOk(frame.payload, self.secrets)
  if (Result.isFailure(decoded)) {
    fail(self, new GatewayRejected({ reason: "HelloUnreadable", code: "", gatewayMessage: "" }))
    return undefined
  }
  const refused = ofHello(decoded.success, self.plan)
  if (refused === undefined) return decoded.success
  fail(self, refused)
  return undefined
}

/** The handler of an attempt's link. From hello-ok on, and from the same callback, everything goes to `owner`. */
export class Exchange implements LinkHandler {
  readonly #owner: LinkHandler
  #progress: Progress | undefined
  #secrets: ReadonlyArray<Redacted.Redacted> = []
  constructor(progress: Progress, owner: LinkHandler) {
    this.#progress = progress
    this.#owner = owner
  }
  readonly onText = (text: string): void => {
    const progress = this.#progress
    if (progress === undefined) return this.#owner.onText(text)
    if (text.length > progress.limitBytes) {
      return fail(progress, lost(progress, new LinkError({ reason: "TooLarge", phase: progress.phase })))
    }
    const frame = Frame.parse(text)
    if (frame?.type === "event" && frame.event === "connect.challenge") return takeChallenge(progress, frame.payload)
    if (frame?.type !== "res" || frame.id !== connectId) return
    const hello = takeAnswer(progress, frame)
    if (hello !== undefined) this.#enterSession(progress, hello)
  }
  readonly onClose = (error: LinkError): void => {
    const progress = this.#progress
    if (progress === undefined) return this.#owner.onClose(withoutSecrets(error, this.#secrets))
    fail(progress, lost(progress, withoutSecrets(error, progress.secrets)))
  }
  readonly onPhase = (phase: "tls" | "upgrade"): void => {
    const progress = this.#progress
    if (progress === undefined || (progress.phase !== "dial" && progress.phase !== "tls")) return
    progress.phase = phase
    Timeline.enter(progress.timeline, phase)
  }
  #enterSession(progress: Progress, hello: HelloOk) {
    this.#progress = undefined
    progress.phase = "session"
    const issued = hello.auth?.deviceToken
    if (issued !== undefined) progress.secrets = [...progress.secrets, issued]
    this.#secrets = progress.secrets
    progress.link?.limitUnsafe?.({ messageBytes: FrameLimit.receiveLimitBytes(hello.policy?.maxPayload) })
    Deferred.doneUnsafe(progress.hello, Effect.succeed(hello))
  }
}
