/**
 * One attempt: dial, answer the challenge, and end with hello-ok or a typed error. Nothing here retries.
 *
 * `Exchange` judges the frames. The connecting fiber waits for it, so the two deadlines are the only timers, and a refusal or a
 * close reaches the caller at once.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import type * as Tracer from "effect/Tracer"
import { dialWithoutSecrets, LinkError } from "../link/LinkError.ts"
import type { Link, LinkHandler } from "../link/Transport.ts"
import { secretsOf, Transport } from "../link/Transport.ts"
import type { HelloOk } from "../protocol/Connect.ts"
import { encodeConnectParams } from "../protocol/Connect.ts"
import * as Frame from "../protocol/Frame.ts"
import * as FrameLimit from "../protocol/FrameLimit.ts"
import type { ConnectPlan } from "./ConnectPlan.ts"
import * as Plan from "./ConnectPlan.ts"
import * as Exchange from "./Exchange.ts"
import type { HandshakeError } from "./HandshakeError.ts"
import { ChallengeTimeout, DeviceProofRejected, HelloTimeout } from "./HandshakeError.ts"
import * as Patience from "./Patience.ts"
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
  /**
   * Closes the link: a scope within the caller's, so that one of several links can be closed before the others. A function, so
   * that what prints this value does not print the fibers of the scope.
   */
  readonly scope: () => Scope.Closeable
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
  static readonly make: Effect.Effect<Handshake["Service"], never, Transport> = Effect.map(
    Transport,
    (transport) => ({
      connect: (plan, limits, handler) =>
        Effect.withFiber((fiber) => {
          const tracer = Timeline.tracerOf(fiber)
          return tracer === undefined
            ? attempt(transport, plan, limits, handler)
            : attemptInSpan(tracer, (traced) => attempt(transport, plan, limits, handler, traced))
        })
    })
  )

  static readonly layer: Layer.Layer<Handshake, never, Transport> = Layer.effect(this, Handshake.make)
}

/** Where the spans of an attempt go. */
interface Traced {
  readonly tracer: Tracer.Tracer
  readonly span: Tracer.Span
}

/** Tracers keep a span's result. What an attempt gives holds secrets, so it passes beside the span. */
const attemptInSpan = (
  tracer: Tracer.Tracer,
  run: (traced: Traced) => Effect.Effect<Established, HandshakeError, Scope.Scope>
): Effect.Effect<Established, HandshakeError, Scope.Scope> =>
  Effect.suspend(() => {
    let result: Effect.Effect<Established> = Effect.interrupt
    return Effect.flatMap(
      Effect.useSpan("Handshake.connect", { kind: "client" }, (span) =>
        Effect.map(Effect.withParentSpan(run({ tracer, span }), span), (established) => {
          result = Effect.succeed(established)
        })),
      () =>
        result
    )
  })

const attempt = Effect.fnUntraced(function*(
  transport: Transport["Service"],
  plan: ConnectPlan,
  limits: HandshakeLimits,
  handler: LinkHandler,
  traced?: Traced
) {
  const progress = Exchange.begin(plan, yield* Clock.Clock)
  // A scope of its own: a failed attempt closes its link before its caller sees the error.
  const scope = Scope.forkUnsafe(yield* Scope.Scope)
  return yield* negotiate(transport, limits, progress, new Exchange.Exchange(progress, handler), scope).pipe(
    Scope.provide(scope),
    Effect.onExit((exit) => {
      if (traced !== undefined) trace(traced, progress, exit)
      if (Exit.isSuccess(exit)) return Effect.void
      const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
      const closed = Scope.close(scope, exit)
      return error === undefined ? closed : Effect.andThen(logFailure(progress, error), closed)
    })
  )
})

const negotiate = Effect.fnUntraced(function*(
  transport: Transport["Service"],
  limits: HandshakeLimits,
  progress: Exchange.Progress,
  handler: LinkHandler,
  scope: Scope.Closeable
) {
  const { clock, plan, timeline } = progress
  const answered = yield* Patience.within(
    greeted(transport, progress, handler),
    limits.challengeTimeout,
    () =>
      limits.legacyWithoutChallenge && progress.link !== undefined
        ? Effect.succeed({
          proof: Plan.proofVersion(plan, false),
          answer: Plan.answerWithoutChallenge(plan, clock.currentTimeMillisUnsafe())
        })
        : Effect.fail(
          new ChallengeTimeout({ phase: progress.phase, timeoutMs: Duration.toMillis(limits.challengeTimeout) })
        )
  )
  const { answer, proof } = answered
  const { link } = progress
  if (Result.isFailure(answer) || link === undefined) {
    return yield* new DeviceProofRejected({ reason: "SelfCheckFailed", proof, detailed: true })
  }
  const text = Frame.encodeRequest(Exchange.connectId, "connect", encodeConnectParams(answer.success.params))
  const tooLarge = FrameLimit.check("connect", text, FrameLimit.connectLimitBytes)
  if (tooLarge !== undefined) return yield* tooLarge
  Exchange.enterHello(progress, proof)
  // If the link no longer takes the frame, wait: it reports its end, with code and reason, to the exchange.
  const sent = link.sendUnsafe(text)
  const hello = yield* Patience.within(
    Deferred.await(progress.hello),
    limits.helloTimeout,
    () =>
      Effect.fail(
        sent
          ? new HelloTimeout({ timeoutMs: Duration.toMillis(limits.helloTimeout) })
          : new LinkError({ reason: "Closed", phase: "hello", elapsedMs: Timeline.elapsedMs(timeline) })
      )
  )
  return {
    link,
    hello,
    clockDeltaMs: progress.clockDeltaMs,
    elapsedMs: Timeline.elapsedMs(timeline),
    secrets: progress.secrets,
    scope: () => scope
  } satisfies Established
})

/** Dials, waits for the challenge and answers it. */
const greeted = Effect.fnUntraced(function*(
  transport: Transport["Service"],
  progress: Exchange.Progress,
  handler: LinkHandler
) {
  const { plan } = progress
  const link = yield* Effect.mapError(transport.dial(plan.target, handler), (error) => {
    const clean = dialWithoutSecrets(error, secretsOf(plan.target))
    return clean._tag === "LinkError" ? Exchange.withPhase(progress, clean) : clean
  })
  Exchange.linkOpened(progress, link)
  const challenge = yield* Deferred.await(progress.challenge)
  return { proof: Plan.proofVersion(plan, true), answer: Plan.answer(plan, challenge) }
})

const logFailure = (progress: Exchange.Progress, error: HandshakeError): Effect.Effect<void> => {
  const { clockDeltaMs, phase, plan: { attempt, target: { url } }, timeline } = progress
  const ofLink = error._tag === "LinkError" ? error : undefined
  return Effect.annotateLogs(Effect.logInfo("connection attempt failed"), {
    ...(attempt === undefined ? {} : { attempt }),
    error: error._tag,
    reason: "reason" in error ? error.reason : undefined,
    phase: ofLink === undefined ? phase : ofLink.phase,
    elapsedMs: Timeline.elapsedMs(timeline),
    closeCode: ofLink?.closeCode,
    closeReason: ofLink?.closeReason,
    status: error._tag === "UpgradeRejected" ? error.status : undefined,
    challengeSeen: clockDeltaMs !== undefined,
    clockDeltaMs,
    gateway: `${url.protocol}//${url.host}`
  })
}

/** Reports the attempt and the length of each step. */
const trace = (
  { span, tracer }: Traced,
  progress: Exchange.Progress,
  exit: Exit.Exit<Established, HandshakeError>
): void => {
  const steps = Timeline.end(progress.timeline)
  for (const [name, value] of Object.entries(attributesOf(progress, exit))) {
    if (value !== undefined) span.attribute(name, value)
  }
  for (const { ms, step } of steps) span.attribute(`openclaw.connect.${step}_ms`, ms)
  Timeline.trace(progress.timeline, tracer, span, Exit.asVoid(exit))
}

/**
 * The attributes of an attempt's span, besides the milliseconds of each step (`openclaw.connect.<step>_ms`). The names are
 * those of OpenTelemetry where it has one (semantic conventions: server, url, network, error).
 */
const attributesOf = (
  { clockDeltaMs, phase, plan: { attempt, credential, proof, target: { url } } }: Exchange.Progress,
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
    "openclaw.connect.attempt": attempt,
    "openclaw.connect.credential": credential._tag,
    "openclaw.connect.proof": Plan.proofVersion({ proof }, clockDeltaMs !== undefined),
    "openclaw.connect.outcome": Exit.isSuccess(exit) ? "Connected" : error?._tag ?? interrupted,
    "openclaw.connect.reason": reason,
    "error.type": error?._tag ?? interrupted,
    "openclaw.connect.phase": phase,
    "openclaw.challenge.seen": clockDeltaMs !== undefined,
    "openclaw.clock_delta_ms": clockDeltaMs
  }
}
