/**
 * One attempt: dial, answer the challenge, and end with hello-ok or a typed error. Nothing here retries.
 *
 * Frames are judged in the link's own callback. The connecting fiber waits on two deferreds, so the two deadlines are the
 * only timers, and a refusal or a close reaches the caller at once. Each attempt has an exchange of its own, so a late
 * callback of an old link cannot touch a newer attempt.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import type { Phase } from "../link/LinkError.ts"
import { dialWithoutSecrets, LinkError, withoutSecrets } from "../link/LinkError.ts"
import type { Link, LinkHandler } from "../link/Transport.ts"
import { secretsOf, Transport } from "../link/Transport.ts"
import type { Challenge, HelloOk } from "../protocol/Connect.ts"
import { decodeChallenge, decodeHelloOk, encodeConnectParams } from "../protocol/Connect.ts"
import type { ProofVersion } from "../protocol/DeviceProof.ts"
import * as Frame from "../protocol/Frame.ts"
import * as FrameLimit from "../protocol/FrameLimit.ts"
import * as Refusal from "../protocol/Refusal.ts"
import type { ConnectPlan } from "./ConnectPlan.ts"
import * as Plan from "./ConnectPlan.ts"
import type { HandshakeError } from "./HandshakeError.ts"
import {
  ChallengeInvalid,
  ChallengeTimeout,
  DeviceProofRejected,
  fromRefusal,
  GatewayRejected,
  HelloTimeout,
  ofHello
} from "./HandshakeError.ts"
import * as Monotonic from "./Monotonic.ts"
import * as Timeline from "./Timeline.ts"

/** How long an attempt may take, and whether a gateway may leave out the challenge. */
export interface HandshakeLimits {
  readonly challengeTimeout: Duration.Duration
  readonly helloTimeout: Duration.Duration
  readonly legacyWithoutChallenge: boolean
}

/** A link that got hello-ok. */
export interface Established {
  readonly link: Link
  readonly hello: HelloOk
  /** The gateway's clock minus ours, in milliseconds, when the challenge arrived. Absent without a challenge. */
  readonly clockDeltaMs: number | undefined
  /** From the start of dialling to hello-ok, in milliseconds. */
  readonly elapsedMs: number
  /** Credentials that the gateway knows, the device token of this hello-ok included. */
  readonly secrets?: ReadonlyArray<Redacted.Redacted>
}

/**
 * Performs the handshake: dial, challenge, proof, hello-ok. `Handshake.layer` provides it over a `Transport`; `Agent.layer`
 * includes it.
 */
export class Handshake extends Context.Service<Handshake, {
  /**
   * Performs one attempt. From hello-ok on, and from the same callback, frames and the link's end go to `handler`. The
   * scope closes the link. A failed attempt leaves nothing behind.
   *
   * One span, `Handshake.connect`, has a child for each step that was reached, such as `gateway.dial` (`Timeline.steps`).
   * `attributesOf` lists its attributes; of the credential it states the kind only.
   */
  readonly connect: (
    plan: ConnectPlan,
    limits: HandshakeLimits,
    handler: LinkHandler
  ) => Effect.Effect<Established, HandshakeError, Scope.Scope>
}>()("effect-openclaw/handshake/Handshake") {
  static readonly layer: Layer.Layer<Handshake, never, Transport> = Layer.effect(
    Handshake,
    Effect.gen(function*() {
      const transport = yield* Transport
      return Handshake.of({
        connect: Effect.fn("Handshake.connect", { kind: "client" })(function*(plan, limits, handler) {
          return yield* attempt(transport, plan, limits, handler)
        })
      })
    })
  )
}

/** One request per link before hello, so one constant id is enough. */
const connectId = "connect"

const attempt = Effect.fnUntraced(function*(
  transport: Transport["Service"],
  plan: ConnectPlan,
  limits: HandshakeLimits,
  handler: LinkHandler
) {
  const clock = yield* Clock.Clock
  const startedMs = Monotonic.nowMs(clock)
  const timeline = Timeline.make(clock)
  const exchange = makeExchange(plan, clock, timeline, handler)
  // A scope of its own: a failed attempt closes its link before its caller sees the error.
  const linkScope = yield* Effect.flatMap(Scope.Scope, (scope) => Scope.fork(scope))

  const negotiate = Effect.gen(function*() {
    const link = yield* dial(transport, plan, limits, exchange)
    const spentMs = Monotonic.nowMs(clock) - startedMs
    const answered = yield* Deferred.await(exchange.challenge).pipe(
      Effect.map((challenge) => ({ proof: Plan.proofVersion(plan, true), answer: Plan.answer(plan, challenge) })),
      Effect.timeoutOrElse({
        duration: Duration.subtract(limits.challengeTimeout, Duration.millis(spentMs)),
        orElse: () =>
          limits.legacyWithoutChallenge
            ? Effect.sync(() => ({
              proof: Plan.proofVersion(plan, false),
              answer: Plan.answerWithoutChallenge(plan, clock.currentTimeMillisUnsafe())
            }))
            : Effect.fail(challengeTimeout(exchange.phase(), limits))
      })
    )
    const { proof } = answered
    const { params } = yield* Effect.mapError(
      Effect.fromResult(answered.answer),
      () => new DeviceProofRejected({ reason: "SelfCheckFailed", proof, detailed: true })
    )
    const text = Frame.encodeRequest(connectId, "connect", encodeConnectParams(params))
    const tooLarge = FrameLimit.check("connect", text, FrameLimit.connectLimitBytes)
    if (tooLarge !== undefined) return yield* tooLarge
    exchange.enterHello(proof, link)
    // If the link no longer takes the frame, wait: it reports its end, with code and reason, to the exchange.
    const sent = link.sendUnsafe(text)
    const hello = yield* Effect.timeoutOrElse(Deferred.await(exchange.hello), {
      duration: limits.helloTimeout,
      orElse: () =>
        Effect.fail(
          sent
            ? new HelloTimeout({ timeoutMs: Duration.toMillis(limits.helloTimeout) })
            : new LinkError({ reason: "Closed", phase: "hello", elapsedMs: timeline.elapsedMs() })
        )
    })
    const elapsedMs = Monotonic.nowMs(clock) - startedMs
    return {
      link,
      hello,
      clockDeltaMs: exchange.clockDeltaMs(),
      elapsedMs,
      secrets: exchange.secrets()
    } satisfies Established
  })

  return yield* negotiate.pipe(
    Scope.provide(linkScope),
    Effect.tapError((error) =>
      Effect.annotateLogs(Effect.logInfo("connection attempt failed"), {
        error: error._tag,
        reason: "reason" in error ? error.reason : undefined,
        phase: error._tag === "LinkError" ? error.phase : exchange.phase(),
        elapsedMs: Monotonic.nowMs(clock) - startedMs,
        closeCode: error._tag === "LinkError" ? error.closeCode : undefined,
        closeReason: error._tag === "LinkError" ? error.closeReason : undefined,
        status: error._tag === "UpgradeRejected" ? error.status : undefined,
        challengeSeen: exchange.clockDeltaMs() !== undefined,
        clockDeltaMs: exchange.clockDeltaMs(),
        gateway: `${plan.target.url.protocol}//${plan.target.url.host}`
      })
    ),
    Effect.onError((cause) => Scope.close(linkScope, Exit.failCause(cause))),
    Effect.onExit((exit) =>
      Effect.withFiber((fiber) => Effect.sync(() => trace(fiber, plan, exchange, timeline, exit)))
    )
  )
})

/** Reports the attempt and the length of each step to the tracer, if one is installed. */
const trace = (
  fiber: Fiber.Fiber<unknown, unknown>,
  plan: ConnectPlan,
  exchange: Exchange,
  timeline: Timeline.Timeline,
  exit: Exit.Exit<Established, HandshakeError>
) => {
  const tracer = Timeline.tracerOf(fiber)
  const span = fiber.cache.span
  if (tracer === undefined || span?._tag !== "Span") return
  const steps = timeline.end()
  for (const [name, value] of Object.entries(attributesOf(plan, exchange, exit))) {
    if (value !== undefined) span.attribute(name, value)
  }
  for (const { ms, step } of steps) span.attribute(`openclaw.connect.${step}_ms`, ms)
  timeline.trace(tracer, span, Exit.asVoid(exit))
}

/**
 * The attributes of an attempt's span, besides the milliseconds of each step (`openclaw.connect.<step>_ms`). The names are
 * those of OpenTelemetry where it has one (semantic conventions: server, url, network, error).
 */
const attributesOf = (
  { credential, proof, target: { url } }: ConnectPlan,
  exchange: Exchange,
  exit: Exit.Exit<Established, HandshakeError>
) => {
  const port = url.port === "" ? (url.protocol === "wss:" ? 443 : 80) : Number(url.port)
  const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
  const reason = error !== undefined && "reason" in error ? error.reason : undefined
  const interrupted = Exit.isFailure(exit) && error === undefined ? "Interrupted" : undefined
  return {
    "server.address": url.hostname,
    "server.port": port,
    "url.scheme": url.protocol.slice(0, -1),
    "network.protocol.name": "websocket",
    "openclaw.gateway.scope": `${url.protocol}//${url.hostname}:${port}${url.pathname}`,
    "openclaw.connect.credential": credential._tag,
    "openclaw.connect.proof": Plan.proofVersion({ proof }, exchange.clockDeltaMs() !== undefined),
    "openclaw.connect.outcome": Exit.isSuccess(exit) ? "Connected" : error?._tag ?? interrupted,
    "openclaw.connect.reason": reason,
    "error.type": error?._tag ?? interrupted,
    "openclaw.connect.phase": exchange.phase(),
    "openclaw.challenge.seen": exchange.clockDeltaMs() !== undefined,
    "openclaw.clock_delta_ms": exchange.clockDeltaMs()
  }
}

const challengeTimeout = (phase: Phase, limits: HandshakeLimits) =>
  new ChallengeTimeout({ phase, timeoutMs: Duration.toMillis(limits.challengeTimeout) })

const dial = (
  transport: Transport["Service"],
  plan: ConnectPlan,
  limits: HandshakeLimits,
  exchange: Exchange
): Effect.Effect<Link, HandshakeError, Scope.Scope> =>
  transport.dial(plan.target, exchange.handler).pipe(
    Effect.mapError((error) => dialWithoutSecrets(error, secretsOf(plan.target))),
    Effect.mapError((error) => error._tag === "LinkError" ? exchange.withPhase(error) : error),
    Effect.tap(() => Effect.sync(exchange.linkOpened)),
    Effect.timeoutOrElse({
      duration: limits.challengeTimeout,
      orElse: () => Effect.fail(challengeTimeout(exchange.phase(), limits))
    })
  )

interface Exchange {
  readonly handler: LinkHandler
  readonly challenge: Deferred.Deferred<Challenge, HandshakeError>
  readonly hello: Deferred.Deferred<HelloOk, HandshakeError>
  readonly phase: () => Phase
  readonly linkOpened: () => void
  /** Adds the elapsed time to a dial error, and the phase if the transport does not state one. */
  readonly withPhase: (error: LinkError) => LinkError
  /** Call it before `connect` is sent: the answer may arrive during the send. */
  readonly enterHello: (proof: ProofVersion, link: Link) => void
  readonly clockDeltaMs: () => number | undefined
  /** Credentials that the gateway knows, from hello-ok on the one that it has issued too. */
  readonly secrets: () => ReadonlyArray<Redacted.Redacted>
}

/** The synchronous half of an attempt: what each frame before hello-ok means, and where those after it go. */
const makeExchange = (
  plan: ConnectPlan,
  clock: Clock.Clock,
  timeline: Timeline.Timeline,
  handler: LinkHandler
): Exchange => {
  const challenge = Deferred.makeUnsafe<Challenge, HandshakeError>()
  const hello = Deferred.makeUnsafe<HelloOk, HandshakeError>()
  let secrets = secretsOf(plan.target)
  let phase: Phase = "dial"
  let proof: ProofVersion = plan.proof
  let limitBytes = FrameLimit.greetingLimitBytes
  let limitLink: Link["limitUnsafe"]
  let clockDeltaMs: number | undefined

  const fail = (error: HandshakeError) => {
    Deferred.doneUnsafe(challenge, Effect.fail(error))
    Deferred.doneUnsafe(hello, Effect.fail(error))
  }
  /** Only an open link can end, even if the dialling fiber has not run since it opened. */
  const lost = (error: LinkError) =>
    new LinkError({ ...error, phase: phase === "hello" ? phase : "challenge", elapsedMs: timeline.elapsedMs() })
  const onChallenge = (payload: unknown) => {
    // A second challenge changes nothing: the first nonce is already signed. Neither does one after the legacy answer.
    if (phase === "hello" || Deferred.isDoneUnsafe(challenge)) return
    const decoded = decodeChallenge(payload)
    if (Option.isNone(decoded)) return fail(new ChallengeInvalid())
    clockDeltaMs = decoded.value.ts - clock.currentTimeMillisUnsafe()
    if (phase === "challenge") timeline.enter("connect")
    Deferred.doneUnsafe(challenge, Effect.succeed(decoded.value))
  }
  const onAnswer = (frame: Frame.ResponseFrame) => {
    if (phase !== "hello" || Deferred.isDoneUnsafe(hello)) return
    if (frame.ok) {
      const decoded = decodeHelloOk(frame.payload, secrets)
      if (Result.isFailure(decoded)) {
        return fail(new GatewayRejected({ reason: "HelloUnreadable", code: "", gatewayMessage: "" }))
      }
      const refused = ofHello(decoded.success, plan)
      if (refused !== undefined) return fail(refused)
      phase = "session"
      const issued = decoded.success.auth?.deviceToken
      if (issued !== undefined) secrets = [...secrets, issued]
      limitLink?.({ messageBytes: FrameLimit.receiveLimitBytes(decoded.success.policy?.maxPayload) })
      return void Deferred.doneUnsafe(hello, Effect.succeed(decoded.success))
    }
    fail(fromRefusal(Refusal.read(frame.error, secrets), plan, proof))
  }

  return {
    challenge,
    hello,
    phase: () => phase,
    linkOpened: () => {
      phase = "challenge"
      timeline.enter("challenge")
      if (clockDeltaMs !== undefined) timeline.enter("connect")
    },
    withPhase: (error) =>
      new LinkError({
        ...error,
        phase: error.phase === "dial" ? phase : error.phase,
        elapsedMs: timeline.elapsedMs()
      }),
    enterHello: (version, link) => {
      phase = "hello"
      timeline.enter("hello")
      proof = version
      limitBytes = FrameLimit.helloLimitBytes
      limitLink = link.limitUnsafe
      limitLink?.({ totalBytes: limitBytes })
    },
    clockDeltaMs: () => clockDeltaMs,
    secrets: () => secrets,
    handler: {
      onText: (text) => {
        if (phase === "session") return handler.onText(text)
        if (text.length > limitBytes) return fail(lost(new LinkError({ reason: "TooLarge", phase })))
        const frame = Frame.parse(text)
        if (frame?.type === "event" && frame.event === "connect.challenge") onChallenge(frame.payload)
        else if (frame?.type === "res" && frame.id === connectId) onAnswer(frame)
      },
      onClose: (error) => {
        const clean = withoutSecrets(error, secrets)
        if (phase === "session") return handler.onClose(clean)
        fail(lost(clean))
      },
      onPhase: (next) => {
        if (phase !== "dial" && phase !== "tls") return
        phase = next
        timeline.enter(next)
      }
    }
  }
}
