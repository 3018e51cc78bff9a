/**
 * Why a handshake did not end in hello-ok. One class for each thing that a caller treats differently.
 *
 * No field holds a credential, a signature or a frame. Texts from the gateway are printable and cut.
 */
import * as Schema from "effect/Schema"
import type { EndpointInvalid, InsecureUrl } from "../link/Endpoint.ts"
import type { DialError } from "../link/LinkError.ts"
import { Phase } from "../link/LinkError.ts"
import type { HelloOk } from "../protocol/Connect.ts"
import { ClientId, ClientMode, RequestId } from "../protocol/Connect.ts"
import type { ProofVersion } from "../protocol/DeviceProof.ts"
import type { FrameTooLarge } from "../protocol/FrameLimit.ts"
import type { Refusal } from "../protocol/Refusal.ts"
import { AuthReason, DeviceProofReason, MismatchReason, PairingReason } from "../protocol/Refusal.ts"
import type { ConnectPlan } from "./ConnectPlan.ts"
import { CredentialKind } from "./ConnectPlan.ts"

/** A person has to approve this device on the gateway. Callers wait; nothing is broken. */
export class PairingRequired extends Schema.TaggedError<PairingRequired>()("PairingRequired", {
  reason: PairingReason,
  /** Absent when the gateway sent none, or one that is not safe to show. */
  requestId: Schema.optional(RequestId),
  requestedScopes: Schema.optional(Schema.Array(Schema.String)),
  approvedScopes: Schema.optional(Schema.Array(Schema.String)),
  recommendedNextStep: Schema.optional(Schema.String),
  pauseReconnect: Schema.optional(Schema.Boolean),
  /** Milliseconds from the refusal on, before which the gateway does not want to be asked again. */
  retryAfterMs: Schema.optional(Schema.Finite)
}) {
  override get message(): string {
    return `the gateway wants a person to approve this device (${this.reason}, request ${this.requestId ?? "unknown"})`
  }
}

/** The gateway sent no challenge in time. */
export class ChallengeTimeout extends Schema.TaggedError<ChallengeTimeout>()("ChallengeTimeout", {
  /**
   * `dial`: the socket did not open. `tls`: it opened, and TLS was not agreed. `upgrade`: the HTTP request was not
   * answered. `challenge`: the link opened, and no challenge came.
   */
  phase: Phase,
  /** From the start of dialling, in milliseconds. */
  timeoutMs: Schema.Finite
}) {
  override get message(): string {
    switch (this.phase) {
      case "dial":
        return `no connection to the gateway within ${this.timeoutMs} ms (phase dial)`
      case "tls":
        return `TLS with the gateway was not agreed within ${this.timeoutMs} ms (phase tls)`
      case "upgrade":
        return `the gateway's HTTP side did not answer the upgrade within ${this.timeoutMs} ms (phase upgrade)`
      default:
        return `the gateway sent no connect.challenge within ${this.timeoutMs} ms (phase challenge)`
    }
  }
}

/** The challenge has no nonce or time that can be signed: `ts` must be a whole number of milliseconds, not negative. */
export class ChallengeInvalid extends Schema.TaggedError<ChallengeInvalid>()("ChallengeInvalid", {}) {
  override get message(): string {
    return "the gateway's connect.challenge has no usable nonce and ts"
  }
}

/** The gateway did not answer `connect` in time. */
export class HelloTimeout extends Schema.TaggedError<HelloTimeout>()("HelloTimeout", { timeoutMs: Schema.Finite }) {
  override get message(): string {
    return `the gateway did not answer connect within ${this.timeoutMs} ms (phase hello)`
  }
}

/** The credential, or its absence, was refused. Judge by `sent`, not by `reason`: gateways mix up the codes. */
export class AuthRejected extends Schema.TaggedError<AuthRejected>()("AuthRejected", {
  reason: AuthReason,
  sent: CredentialKind
}) {
  override get message(): string {
    return `the gateway refused the credential (${this.reason}, sent: ${this.sent})`
  }
}

/** Too many wrong credentials from this address. Even the right one is refused until the lock-out ends. */
export class RateLimited extends Schema.TaggedError<RateLimited>()("RateLimited", {
  retryAfterMs: Schema.optional(Schema.Finite)
}) {
  override get message(): string {
    return `the gateway locked this address out after wrong credentials${
      this.retryAfterMs === undefined ? "" : ` for ${Math.ceil(this.retryAfterMs / 1000)} s`
    }`
  }
}

/** The device proof was refused: identity, signature, nonce or its time. */
export class DeviceProofRejected extends Schema.TaggedError<DeviceProofRejected>()("DeviceProofRejected", {
  reason: DeviceProofReason,
  proof: Schema.Literals(["v1", "v2", "v3"]),
  /** False on releases that may not know proof version 3. */
  detailed: Schema.Boolean
}) {
  override get message(): string {
    return `the gateway refused the device proof (${this.reason}, proof ${this.proof})`
  }
}

/**
 * Client and gateway do not fit together, most often because they have no protocol version in common. `minProtocol` and
 * `maxProtocol` are what the client offered, `expectedProtocol` what the gateway named, if it did.
 */
export class ProtocolMismatch extends Schema.TaggedError<ProtocolMismatch>()("ProtocolMismatch", {
  reason: MismatchReason,
  minProtocol: Schema.Int,
  maxProtocol: Schema.Int,
  expectedProtocol: Schema.optional(Schema.Finite)
}) {
  /** Which side has to be brought up to date. */
  get older(): "gateway" | "client" | "unknown" {
    if (this.expectedProtocol === undefined) return "unknown"
    return this.expectedProtocol < this.minProtocol ? "gateway" : "client"
  }
  override get message(): string {
    return `this client speaks protocol ${this.minProtocol} to ${this.maxProtocol}, the gateway ${
      this.expectedProtocol ?? "another one"
    } (${this.reason}); the older side is ${this.older === "unknown" ? "not known" : `the ${this.older}`}`
  }
}

/** The gateway does not accept the `Origin` header of the upgrade, or the lack of one. */
export class OriginNotAllowed extends Schema.TaggedError<OriginNotAllowed>()("OriginNotAllowed", {
  /** The Origin that was sent, if one was. */
  origin: Schema.optional(Schema.String)
}) {
  override get message(): string {
    return this.origin === undefined
      ? "the gateway wants an Origin from this client id"
      : `the gateway does not allow the origin ${this.origin}`
  }
}

/** The gateway does not accept this client id with this client mode. Both are from closed lists of the gateway's release. */
export class ClientNotAllowed extends Schema.TaggedError<ClientNotAllowed>()("ClientNotAllowed", {
  clientId: ClientId,
  clientMode: ClientMode
}) {
  override get message(): string {
    return `the gateway does not know the client id ${this.clientId} with mode ${this.clientMode}`
  }
}

/** The gateway answers and is not ready, for example while it starts. */
export class GatewayUnavailable extends Schema.TaggedError<GatewayUnavailable>()("GatewayUnavailable", {
  retryAfterMs: Schema.optional(Schema.Finite),
  detail: Schema.optional(Schema.String)
}) {
  override get message(): string {
    return `the gateway is not ready${this.detail === undefined ? "" : ` (${this.detail})`}`
  }
}

/** A refusal that this version does not know, in the gateway's own words, or a hello-ok that this version refuses. */
export class GatewayRejected extends Schema.TaggedError<GatewayRejected>()("GatewayRejected", {
  /**
   * `Refused`: the gateway's refusal. `HelloUnreadable`: the hello-ok cannot be read. `RoleNotOffered`: it is for another role
   * than the one that this client asked for.
   */
  reason: Schema.Literals(["Refused", "HelloUnreadable", "RoleNotOffered"]),
  code: Schema.String,
  detailCode: Schema.optional(Schema.String),
  gatewayMessage: Schema.String
}) {
  override get message(): string {
    switch (this.reason) {
      case "HelloUnreadable":
        return "the gateway accepted the connection with a hello-ok that cannot be read"
      case "RoleNotOffered":
        return "the gateway accepted the connection in a role that this client did not ask for"
      case "Refused":
        return `the gateway refused the connection: ${this.gatewayMessage} (${this.detailCode ?? this.code})`
    }
  }
}

/** The gateway granted fewer scopes than were asked for, and the settings do not accept that. */
export class ScopesNarrowed extends Schema.TaggedError<ScopesNarrowed>()("ScopesNarrowed", {
  requested: Schema.Array(Schema.String),
  granted: Schema.Array(Schema.String),
  missing: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `the gateway did not grant ${this.missing.join(", ")} (granted: ${this.granted.join(", ") || "nothing"})`
  }
}

/** Every way in which an attempt can fail, from dialling to hello-ok. */
export type HandshakeError =
  | PairingRequired
  | ChallengeTimeout
  | ChallengeInvalid
  | HelloTimeout
  | AuthRejected
  | RateLimited
  | DeviceProofRejected
  | ProtocolMismatch
  | OriginNotAllowed
  | ClientNotAllowed
  | GatewayUnavailable
  | GatewayRejected
  | ScopesNarrowed
  | DialError
  | FrameTooLarge

/** Everything that can keep a session from beginning, bad settings included. */
export type ConnectError = HandshakeError | EndpointInvalid | InsecureUrl

/** Why a hello-ok is refused: it is for a protocol or a role that the client did not offer. */
export const ofHello = (
  { auth, protocol }: HelloOk,
  { maxProtocol, minProtocol, role }: ConnectPlan
): ProtocolMismatch | GatewayRejected | undefined => {
  if (protocol < minProtocol || protocol > maxProtocol) {
    return new ProtocolMismatch({ reason: "Protocol", minProtocol, maxProtocol, expectedProtocol: protocol })
  }
  return auth?.role === undefined || auth.role === role
    ? undefined
    : new GatewayRejected({ reason: "RoleNotOffered", code: "", gatewayMessage: "" })
}

/** Translates a refusal into the error of the attempt. `proof` is the version that was sent. */
export const fromRefusal = (
  refusal: Refusal,
  plan: ConnectPlan,
  proof: ProofVersion = plan.proof
): HandshakeError => {
  const { meaning, retryAfterMs } = refusal
  switch (meaning._tag) {
    case "PairingRequired":
      return new PairingRequired({
        reason: meaning.reason,
        requestId: refusal.requestId,
        requestedScopes: refusal.requestedScopes,
        approvedScopes: refusal.approvedScopes,
        recommendedNextStep: refusal.recommendedNextStep,
        pauseReconnect: refusal.pauseReconnect,
        retryAfterMs
      })
    case "AuthRejected":
      return new AuthRejected({ reason: meaning.reason, sent: plan.credential._tag })
    case "RateLimited":
      return new RateLimited({ retryAfterMs })
    case "DeviceProofRejected":
      return new DeviceProofRejected({
        reason: meaning.reason,
        proof,
        detailed: refusal.detailCode !== undefined && refusal.detailCode !== "DEVICE_AUTH_INVALID"
      })
    case "ProtocolMismatch":
      return new ProtocolMismatch({
        reason: meaning.reason,
        minProtocol: plan.minProtocol,
        maxProtocol: plan.maxProtocol,
        expectedProtocol: refusal.expectedProtocol
      })
    case "OriginNotAllowed":
      return new OriginNotAllowed({ origin: plan.target.origin })
    case "ClientNotAllowed":
      return new ClientNotAllowed({ clientId: plan.clientId, clientMode: plan.clientMode })
    case "GatewayUnavailable":
      return new GatewayUnavailable({ retryAfterMs, detail: refusal.detailReason })
    case "Unknown":
      return new GatewayRejected({
        reason: "Refused",
        code: refusal.code,
        gatewayMessage: refusal.message,
        detailCode: refusal.detailCode
      })
  }
}
