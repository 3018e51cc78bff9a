/**
 * One attempt, decided before anything is opened.
 *
 * A plan is immutable. The sent parameters and the signed text both come from it, so they cannot differ. The nonce is an
 * argument of `answer`, never a field: a second challenge cannot change what an attempt signs.
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import type { Target } from "../link/Transport.ts"
import type { AuthToken, Challenge, ConnectParams, ScopeName } from "../protocol/Connect.ts"
import { protocolRange } from "../protocol/Connect.ts"
import type { ProofVersion } from "../protocol/DeviceProof.ts"
import * as DeviceProof from "../protocol/DeviceProof.ts"
import type { GatewaySettings } from "./GatewayConfig.ts"

/** The kinds of `Credential`, for errors, spans and recordings, which never hold the credential itself. */
export const CredentialKind = Schema.Literals(["SharedToken", "Password", "DeviceToken", "SetupCode", "None"])
export type CredentialKind = typeof CredentialKind.Type

/** What a client presents besides its device proof. */
export type Credential =
  | { readonly _tag: "SharedToken"; readonly token: Redacted.Redacted<AuthToken> }
  | { readonly _tag: "Password"; readonly password: Redacted.Redacted }
  | {
    readonly _tag: "DeviceToken"
    readonly token: Redacted.Redacted<AuthToken>
    /** The scopes it was issued with. Asking for more with it is refused by every release. */
    readonly scopes: ReadonlyArray<string>
  }
  /** The bootstrap token of a setup code. The gateway takes it from one device, until that has its device token. */
  | { readonly _tag: "SetupCode"; readonly token: Redacted.Redacted<AuthToken> }
  | { readonly _tag: "None" }

/** The settings that a plan copies unchanged. */
type CopiedSetting =
  | "caps"
  | "clientId"
  | "clientMode"
  | "clientVersion"
  | "commands"
  | "deviceFamily"
  | "displayName"
  | "role"
  | "scopes"

/** Everything that an attempt sends and signs, except the challenge. Made by `make` from settings, identity and credential. */
export interface ConnectPlan extends Pick<GatewaySettings, CopiedSetting> {
  readonly target: Target
  readonly identity: DeviceIdentity["Service"]
  readonly proof: "v2" | "v3"
  readonly credential: Credential
  /** What the log and the span of the attempt call it; the gateway does not get it. */
  readonly attempt?: number | string | undefined
  readonly minProtocol: number
  readonly maxProtocol: number
}

/** Where the gateway is, and how it is recognised. */
export const targetOf = ({ endpoint, headers, origin, tls }: GatewaySettings) => ({
  url: endpoint.url,
  origin,
  tls,
  headers
})

/** Makes the plan of one attempt from settings, identity and the chosen credential. */
export const make = (
  settings: GatewaySettings,
  identity: DeviceIdentity["Service"],
  choice: {
    readonly credential: Credential
    readonly proof?: "v2" | "v3"
    readonly scopes?: ReadonlyArray<ScopeName>
    /** The device token that this gateway gave before, offered or not: the gateway knows it. */
    readonly stored?: Redacted.Redacted | undefined
    readonly attempt?: number | string | undefined
  }
): ConnectPlan => ({
  target: {
    ...targetOf(settings),
    secrets: [
      settings.token,
      settings.password,
      settings.bootstrapToken,
      choice.stored,
      sentSecret(choice.credential)
    ].filter((secret) => secret !== undefined)
  },
  identity,
  proof: choice.proof ?? "v3",
  credential: choice.credential,
  attempt: choice.attempt,
  clientId: settings.clientId,
  clientMode: settings.clientMode,
  clientVersion: settings.clientVersion,
  displayName: settings.displayName,
  deviceFamily: settings.deviceFamily,
  role: settings.role,
  scopes: choice.scopes ?? settings.scopes,
  caps: settings.caps,
  commands: settings.commands,
  ...protocolRange
})

/** The parameters of `connect` and the text that their signature covers. */
export interface Answer {
  readonly params: ConnectParams
  /** Holds the token that is sent: never log or keep it. */
  readonly signedText: Redacted.Redacted
}

/** Our own public key does not verify our own signature: a broken signer. Nothing was sent. */
export class SignatureSelfCheckFailed extends Schema.TaggedError<SignatureSelfCheckFailed>()(
  "SignatureSelfCheckFailed",
  {}
) {
  override get message(): string {
    return "this device's signature does not verify with its own public key; nothing was sent"
  }
}

/** Answers a challenge. `signedAt` is the challenge's `ts`, which is the gateway's clock and not ours. */
export const answer = (plan: ConnectPlan, challenge: Challenge): Result.Result<Answer, SignatureSelfCheckFailed> => {
  const build = plan.proof === "v3" ? DeviceProof.textV3 : DeviceProof.textV2
  const text = build(proofFields(plan, challenge.ts), challenge.nonce)
  return signed(plan, text, { signedAt: challenge.ts, nonce: challenge.nonce })
}

/** Answers a gateway that sent no challenge, without a nonce and by our own clock. Only for the opt-in legacy mode. */
export const answerWithoutChallenge = (
  plan: ConnectPlan,
  nowMs: number
): Result.Result<Answer, SignatureSelfCheckFailed> =>
  signed(plan, DeviceProof.textV1(proofFields(plan, nowMs)), { signedAt: nowMs })

/** The fields of a plan that are signed, with the time to sign. */
export const proofFields = (plan: ConnectPlan, signedAtMs: number): DeviceProof.ProofFields => ({
  deviceId: plan.identity.deviceId,
  clientId: plan.clientId,
  clientMode: plan.clientMode,
  role: plan.role,
  scopes: plan.scopes,
  signedAtMs,
  token: sentToken(plan.credential),
  platform: plan.identity.platform,
  deviceFamily: plan.deviceFamily
})

/** The proof version that errors and spans state for an attempt. */
export const proofVersion = (plan: Pick<ConnectPlan, "proof">, challenged: boolean): ProofVersion =>
  challenged ? plan.proof : "v1"

const sentSecret = (credential: Credential): Redacted.Redacted | undefined =>
  credential._tag === "Password" ? credential.password : sentToken(credential)

/** The token slot of the signature holds the token that is sent; a password is never signed. */
const sentToken = (credential: Credential): Redacted.Redacted<AuthToken> | undefined =>
  "token" in credential ? credential.token : undefined

const signed = (
  plan: ConnectPlan,
  text: string,
  when: { readonly signedAt: number; readonly nonce?: Challenge["nonce"] }
): Result.Result<Answer, SignatureSelfCheckFailed> => {
  const signature = plan.identity.sign(text)
  if (!plan.identity.verify(text, signature)) return Result.fail(new SignatureSelfCheckFailed())
  const params: ConnectParams = {
    minProtocol: plan.minProtocol,
    maxProtocol: plan.maxProtocol,
    client: {
      id: plan.clientId,
      version: plan.clientVersion,
      platform: plan.identity.platform,
      mode: plan.clientMode,
      ...(plan.displayName === undefined ? {} : { displayName: plan.displayName }),
      ...(plan.deviceFamily === undefined ? {} : { deviceFamily: plan.deviceFamily })
    },
    role: plan.role,
    scopes: plan.scopes,
    caps: plan.caps,
    ...(plan.commands === undefined ? {} : { commands: plan.commands }),
    ...authParams(plan.credential),
    device: { id: plan.identity.deviceId, publicKey: plan.identity.publicKey, signature, ...when }
  }
  return Result.succeed({ params, signedText: Redacted.make(text, { label: "signedText" }) })
}

const authParams = (credential: Credential): { readonly auth?: NonNullable<ConnectParams["auth"]> } => {
  switch (credential._tag) {
    case "SharedToken":
    case "DeviceToken":
      return { auth: { token: Redacted.value(credential.token) } }
    case "Password":
      return { auth: { password: Redacted.value(credential.password) } }
    case "SetupCode":
      return { auth: { bootstrapToken: Redacted.value(credential.token) } }
    case "None":
      return {}
  }
}
