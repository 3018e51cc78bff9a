/**
 * One attempt, and the session that it leads to.
 *
 * Every attempt runs here, also one for wider scopes beside a session. `Admission` admits it and is told of a refused
 * credential, metrics count it, and the token of hello-ok is stored before anybody can use the session.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Plan from "../handshake/ConnectPlan.ts"
import type { GatewaySettings } from "../handshake/GatewayConfig.ts"
import type { Established } from "../handshake/Handshake.ts"
import { Handshake } from "../handshake/Handshake.ts"
import { type HandshakeError, ScopesNarrowed } from "../handshake/HandshakeError.ts"
import * as Monotonic from "../handshake/Monotonic.ts"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import type { StoredToken, TokenKey } from "../identity/TokenStore.ts"
import { TokenStore } from "../identity/TokenStore.ts"
import { covers } from "../protocol/Connect.ts"
import { Admission } from "./Admission.ts"
import type { Offer } from "./Credentials.ts"
import * as Metrics from "./Metrics.ts"
import type { History } from "./RetryPolicy.ts"
import type { SessionFacts } from "./Session.ts"
import * as Session from "./Session.ts"

/** The services that attempts use. */
export interface Means {
  readonly identity: DeviceIdentity["Service"]
  readonly admission: Admission["Service"]
  readonly handshake: Handshake["Service"]
  readonly tokens: TokenStore["Service"]
  readonly clock: Clock.Clock
  readonly meters: Metrics.Counters
}

export const means: Effect.Effect<Means, never, Admission | DeviceIdentity | Handshake | TokenStore> = Effect
  .contextWith(
    (context: Context.Context<Admission | DeviceIdentity | Handshake | TokenStore>) =>
      Effect.succeed({
        identity: Context.get(context, DeviceIdentity),
        admission: Context.get(context, Admission),
        handshake: Context.get(context, Handshake),
        tokens: Context.get(context, TokenStore),
        clock: Context.get(context, Clock.Clock),
        meters: Metrics.countersOf(context)
      })
  )

/** A session, and the scope that ends it and its link. */
export interface Live {
  readonly _tag: "Live"
  readonly session: Session.LiveSession
  readonly linkScope: Scope.Closeable
  /** The gateway takes a request for wider scopes over the session. */
  readonly takesUpgrade: boolean
  readonly credential: Offer["credential"]["_tag"]
  /** When the session began, in monotonic milliseconds. */
  readonly sinceMs: number
}

const upgradeMethods = ["device.scopes.requestUpgrade", "device.scopes.waitUpgrade"]

const keyOf = ({ identity }: Means, { endpoint, role }: GatewaySettings): TokenKey => ({
  gatewayScope: endpoint.gatewayScope,
  deviceId: identity.deviceId,
  role
})

/** The device token of this gateway. If it cannot be read, the device has to pair again at worst, so that is only logged. */
export const storedToken = (means: Means, settings: GatewaySettings): Effect.Effect<StoredToken | undefined> =>
  Effect.suspend(() => means.tokens.get(keyOf(means, settings))).pipe(
    Effect.map(Option.getOrUndefined),
    Effect.catch((error) => Effect.as(Effect.logWarning("stored device token not readable", error.message), undefined))
  )

export const storeToken = (
  means: Means,
  settings: GatewaySettings,
  token: StoredToken["token"],
  scopes: ReadonlyArray<string>
): Effect.Effect<void> =>
  Effect.suspend(() =>
    means.tokens.put(keyOf(means, settings), { token, scopes, storedAtMs: means.clock.currentTimeMillisUnsafe() })
  ).pipe(
    Effect.catch((error) => Effect.logWarning("device token not stored; pairing may be needed again", error.message)),
    Effect.asVoid
  )

/** Removes a token that the gateway refused, unless somebody has replaced it meanwhile. */
export const forgetToken = (means: Means, settings: GatewaySettings, { token }: StoredToken): Effect.Effect<void> =>
  Effect.ignore(means.tokens.remove(keyOf(means, settings), token))

/** One handshake and the session that it gives, in a scope of their own within the caller's. `stored` may not be the one offered. */
export const establish = Effect.fnUntraced(function*(
  means: Means,
  settings: GatewaySettings,
  { attempt, offer, proof, stored }: {
    readonly attempt: number | string
    readonly proof: History["proof"]
    readonly offer: Offer
    readonly stored: StoredToken | undefined
  }
) {
  const { admission, clock, handshake, identity, meters } = means
  const { gatewayScope } = settings.endpoint
  const plan = Plan.make(settings, identity, { ...offer, proof, stored: stored?.token, attempt })
  const prepared = Session.prepareWith(clock, meters)
  const noteRefusal = (error: HandshakeError) =>
    error._tag === "AuthRejected" && offer.credential._tag !== "None" ? admission.refused(gatewayScope) : Effect.void
  return yield* admission.admit(
    gatewayScope,
    Effect.tapError(handshake.connect(plan, settings, prepared.handler), noteRefusal)
  ).pipe(
    Effect.flatMap((established) =>
      Effect.onError(
        open(means, settings, offer, prepared, established),
        (cause) => Scope.close(established.scope(), Exit.failCause(cause))
      )
    ),
    Effect.tapError((error) => Effect.sync(() => meters.attempt(error._tag)))
  )
})

const open = Effect.fnUntraced(function*(
  means: Means,
  settings: GatewaySettings,
  offer: Offer,
  prepared: Session.Prepared,
  established: Established
) {
  const { clock, meters } = means
  const [connectedAtMs, sinceMs] = [clock.currentTimeMillisUnsafe(), Monotonic.nowMs(clock)]
  const { hello } = established
  const linkScope = established.scope()
  const granted = hello.auth?.scopes ?? offer.scopes
  // Gateways replace device tokens without notice, so the token of every hello-ok is stored, before the session can be used.
  const token = hello.auth?.deviceToken
  if (token !== undefined) yield* storeToken(means, settings, token, granted)
  const missing = settings.scopes.filter((scope) => !covers(granted, scope))
  if (missing.length > 0 && (settings.narrowedScopes === "refuse" || missing.length === settings.scopes.length)) {
    return yield* new ScopesNarrowed({ requested: settings.scopes, granted, missing })
  }
  if (missing.length > 0) {
    yield* Effect.annotateLogs(Effect.logWarning("connected with fewer scopes than the settings name"), {
      granted: granted.join(" "),
      missing: missing.join(" ")
    })
  }
  const facts = factsOf(established, { granted, missing, connectedAtMs, caps: settings.caps })
  const session = yield* Scope.provide(prepared.open(established, facts, settings), linkScope)
  meters.attempt("Connected")
  if (established.clockDeltaMs !== undefined) meters.clockDelta(established.clockDeltaMs)
  return {
    _tag: "Live",
    session,
    linkScope,
    takesUpgrade: upgradeMethods.every((method) => hello.features?.methods?.includes(method) === true),
    credential: offer.credential._tag,
    sinceMs
  } satisfies Live
})

const factsOf = ({ clockDeltaMs, elapsedMs, hello }: Established, { caps, connectedAtMs, granted, missing }: {
  readonly caps: ReadonlyArray<string>
  readonly granted: ReadonlyArray<string>
  readonly missing: ReadonlyArray<string>
  readonly connectedAtMs: number
}): SessionFacts => {
  const uptimeMs = hello.snapshot?.uptimeMs
  return {
    protocol: hello.protocol,
    serverVersion: hello.server?.version,
    scopes: granted,
    missingScopes: missing,
    caps,
    policy: hello.policy,
    deviceTokenIssued: hello.auth?.deviceToken !== undefined,
    connectedAtMs,
    clockDeltaMs,
    gatewayStartedAtMs: uptimeMs === undefined ? undefined : connectedAtMs - uptimeMs,
    handshakeMs: elapsedMs
  }
}
