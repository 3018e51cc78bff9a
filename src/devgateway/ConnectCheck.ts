/**
 * Checks the parts of a `connect` that do not depend on who is paired: its shape, the protocol range, role, Origin, and the
 * device proof, in the order of release 2026.9.6.
 */
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Claim } from "./Link.ts"
import type { Asker } from "./PairingBook.ts"
import * as ParamsCheck from "./ParamsCheck.ts"
import * as ProofCheck from "./ProofCheck.ts"
import * as Refusals from "./Refusals.ts"

const ConnectParams = Schema.Struct({
  minProtocol: Schema.Int,
  maxProtocol: Schema.Int,
  client: Schema.Struct({
    id: Schema.String,
    mode: Schema.String,
    platform: Schema.String,
    version: Schema.String,
    deviceFamily: Schema.optionalKey(Schema.String),
    displayName: Schema.optionalKey(Schema.String)
  }),
  role: Schema.optionalKey(Schema.String),
  scopes: Schema.optionalKey(Schema.Array(Schema.String)),
  caps: Schema.optionalKey(Schema.Array(Schema.String)),
  commands: Schema.optionalKey(Schema.Array(Schema.String)),
  auth: Schema.optionalKey(Schema.Struct({
    token: Schema.optionalKey(Schema.String),
    password: Schema.optionalKey(Schema.String),
    deviceToken: Schema.optionalKey(Schema.String),
    bootstrapToken: Schema.optionalKey(Schema.String)
  })),
  device: Schema.optionalKey(Schema.Struct({
    id: Schema.String,
    publicKey: Schema.String,
    signature: Schema.String,
    signedAt: Schema.Int,
    nonce: Schema.optionalKey(Schema.String)
  }))
})
type ConnectParams = typeof ConnectParams.Type
const decodeConnectParams = Schema.decodeUnknownOption(ConnectParams)

const roles = ["operator", "node", "worker"]

/** Credentials as the client sent them. An empty one counts as none. */
export interface SentCredentials {
  readonly token: string | undefined
  readonly password: string | undefined
  readonly deviceToken: string | undefined
  /** Of a setup code. */
  readonly bootstrapToken: string | undefined
}

export interface Caller {
  readonly clientId: string
  readonly clientMode: string
  readonly role: string
  readonly scopes: ReadonlyArray<string>
  readonly toolEvents: boolean
  readonly sessionScoped: boolean
  readonly credentials: SentCredentials
  /** The device whose proof was verified, if one was sent. */
  readonly asker: Asker | undefined
  /** What a node offers. */
  readonly claim?: Claim | undefined
}

/** The family that a gateway enters for a node that states none. */
const families: ReadonlyMap<string, string> = new Map([["linux", "Linux"], ["macos", "Mac"], ["windows", "Windows"]])

const filled = (text: string | undefined) => text === "" ? undefined : text

const proofOf = (params: ConnectParams, device: NonNullable<ConnectParams["device"]>): ProofCheck.Proof => ({
  deviceId: device.id,
  publicKey: device.publicKey,
  signature: device.signature,
  signedAtMs: device.signedAt,
  nonce: device.nonce,
  clientId: params.client.id,
  clientMode: params.client.mode,
  role: params.role ?? "operator",
  scopes: params.scopes ?? [],
  token: params.auth?.token ?? params.auth?.deviceToken ?? params.auth?.bootstrapToken ?? "",
  platform: params.client.platform,
  deviceFamily: params.client.deviceFamily
})

export const check = (sent: unknown, facts: {
  readonly protocol: { readonly current: number; readonly minimumProbe: number }
  /** Of the challenge; `undefined` when the gateway sends none. */
  readonly nonce: string | undefined
  readonly proofVersions: ReadonlyArray<"v2" | "v3">
  readonly nowMs: number
  readonly address: string
  readonly origin: string | undefined
  readonly allowedOrigins: ReadonlyArray<string>
  /** A client may connect without a credential. */
  readonly open: boolean
}): Result.Result<Caller, Refusals.Refusal> => {
  const shape = facts.nonce === undefined ? ParamsCheck.connectParamsWithoutNonce : ParamsCheck.connectParams
  const params = Option.getOrUndefined(decodeConnectParams(sent))
  const complaint = ParamsCheck.complaint(shape, sent)
  if (complaint !== undefined || params === undefined) {
    return Result.fail(Refusals.invalidConnectParams(complaint ?? "must be object"))
  }
  const { auth, client, device, maxProtocol, minProtocol, role = "operator", scopes = [] } = params
  const { current, minimumProbe } = facts.protocol
  if (minProtocol > current || maxProtocol < current) {
    return Result.fail(Refusals.protocolMismatch(minProtocol, maxProtocol, current, minimumProbe))
  }
  if (!roles.includes(role)) return Result.fail(Refusals.invalidRole)
  if (facts.origin !== undefined && !facts.allowedOrigins.includes(facts.origin)) {
    return Result.fail(Refusals.originRefused("origin not allowed"))
  }
  if (facts.origin === undefined && ParamsCheck.browserClientIds.includes(client.id)) {
    return Result.fail(Refusals.originRefused("origin missing or invalid"))
  }
  const caller = {
    clientId: client.id,
    clientMode: client.mode,
    role,
    scopes,
    toolEvents: params.caps?.includes("tool-events") ?? false,
    sessionScoped: params.caps?.includes("session-scoped-events") ?? false,
    claim: role === "node"
      ? { version: client.version, caps: params.caps ?? [], commands: params.commands ?? [] }
      : undefined,
    credentials: {
      token: filled(auth?.token),
      password: filled(auth?.password),
      deviceToken: filled(auth?.deviceToken),
      bootstrapToken: filled(auth?.bootstrapToken)
    }
  }
  if (device === undefined) {
    if (client.id === "openclaw-control-ui") return Result.fail(Refusals.controlUiWithoutDevice)
    const bare = caller.credentials.token === undefined && caller.credentials.password === undefined
    return bare && !facts.open ? Result.fail(Refusals.deviceRequired) : Result.succeed({ ...caller, asker: undefined })
  }
  const verdict = ProofCheck.check(proofOf(params, device), facts.nonce, facts.nowMs, facts.proofVersions)
  if (Result.isFailure(verdict)) return Result.fail(Refusals.badProof(verdict.failure))
  return Result.succeed({
    ...caller,
    asker: {
      deviceId: device.id,
      publicKey: verdict.success,
      platform: client.platform,
      deviceFamily: client.deviceFamily
        ?? (client.id === "node-host" ? families.get(client.platform) : undefined),
      displayName: client.displayName,
      clientId: client.id,
      clientMode: client.mode,
      role,
      scopes,
      remoteIp: facts.address
    }
  })
}
