/**
 * Uses a setup code: finds the gateway that it names, and connects to it once. Only the gateway knows what a code is made for, so it is
 * asked as operator first; it refuses a code that is made for tools alone, which then lets the device in as a node.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { failure } from "../agent/AgentEvents.ts"
import type { ConnectionStatus, HaltCause } from "../connection/ConnectionStatus.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import type { GatewayInput, GatewaySettings } from "../handshake/GatewayConfig.ts"
import { nodeSettings } from "../handshake/GatewayConfig.ts"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import { TokenStore } from "../identity/TokenStore.ts"
import * as JoinUrl from "../pairing/JoinUrl.ts"
import type { Pasted } from "../pairing/SetupCode.ts"
import * as SetupCode from "../pairing/SetupCode.ts"
import { connection, foundation, settled } from "./AgentLayer.ts"
import { as, CommandFailed, exitOf } from "./CommandError.ts"
import { failureText } from "./EventText.ts"
import { Output } from "./Output.ts"
import * as PairedGateway from "./PairedGateway.ts"
import type { Settings } from "./Settings.ts"

/** Reads what was pasted. From here on nothing that is printed has it. */
export const parse = Effect.fnUntraced(function*(pasted: Redacted.Redacted) {
  const { conceal } = yield* Output
  yield* conceal([pasted])
  const parsed = yield* Effect.mapError(
    Effect.fromResult(SetupCode.parse(pasted, yield* Clock.currentTimeMillis)),
    as("credential")
  )
  yield* conceal([parsed._tag === "Code" ? parsed.code.token : parsed.joinUrl.path])
  return parsed
})

/** The gateway that settings are checked with before anything is asked. */
export const firstOf = (pasted: Pasted): GatewayInput => {
  if (pasted._tag === "JoinUrl") return { url: pasted.joinUrl.gatewayUrl }
  const { urls } = pasted.code
  return { url: urls.find((url) => url.startsWith("wss:")) ?? urls[0] }
}

/** What a code led to. */
export interface Entered {
  /** The settings of the gateway, with the token of the code. */
  readonly input: GatewayInput
  readonly gateway: GatewaySettings
  /** The roles in which the gateway let the device in. Empty while a person has to approve it, as operator. */
  readonly roles: ReadonlyArray<PairedGateway.PairedRole>
  readonly code: SetupCode.SetupCode
}

/** What follows from the first answer to a code. */
type Next =
  | { readonly _tag: "Paired" | "Awaited" }
  /** Another role or another URL may lead further. */
  | { readonly _tag: "OtherRole" | "OtherUrl"; readonly cause: HaltCause }
  | { readonly _tag: "Failed"; readonly cause: HaltCause }

/** Errors that say that the gateway is not reached at this URL. */
const unreached: ReadonlySet<HaltCause["_tag"]> = new Set(
  [
    "LinkError",
    "ChallengeTimeout",
    "HelloTimeout",
    "ChallengeInvalid",
    "UpgradeRejected",
    "ProxyRejected",
    "TlsPinMismatch",
    "TlsUntrusted"
  ] as const
)

/** Pure. */
export const next = (status: ConnectionStatus, role: PairedGateway.PairedRole): Next => {
  switch (status._tag) {
    case "Connected":
      return { _tag: "Paired" }
    case "AwaitingApproval":
      return { _tag: "Awaited" }
    case "Halted":
    case "Waiting": {
      const { cause } = status
      if (unreached.has(cause._tag)) return { _tag: "OtherUrl", cause }
      return cause._tag === "AuthRejected" && cause.sent === "SetupCode" && role === "operator"
        ? { _tag: "OtherRole", cause }
        : { _tag: "Failed", cause }
    }
    case "Connecting":
    case "Paused":
    case "Stopped":
      return { _tag: "Failed", cause: { _tag: "InternalError" } }
  }
}

/** Connects in one role, until it is known what follows. */
const attempt = Effect.fnUntraced(
  function*(checked: Settings, gateway: GatewaySettings, role: PairedGateway.PairedRole) {
    const { platform } = yield* DeviceIdentity
    const settings = role === "node" ? nodeSettings(gateway, platform) : gateway
    const status = yield* Effect.flatMap(Supervisor, settled).pipe(Effect.provide(connection(checked, settings)))
    return next(status, role)
  }
)

const hasToken = Effect.fnUntraced(
  function*(checked: Settings, { endpoint: { gatewayScope } }: GatewaySettings, role: PairedGateway.PairedRole) {
    const { deviceId } = yield* DeviceIdentity
    const found = Effect.flatMap(TokenStore, (tokens) => tokens.get({ gatewayScope, deviceId, role }))
    return Option.isSome(yield* Effect.orElseSucceed(Effect.provide(found, foundation(checked)), () => Option.none()))
  }
)

/** The code itself; a join URL is used up by it. */
const codeOf = (checked: Settings, pasted: Pasted) =>
  pasted._tag === "Code"
    ? Effect.succeed(pasted.code)
    : Effect.gen(function*() {
      const gateway = yield* Effect.fromResult(checked.gatewayWith({ url: pasted.joinUrl.gatewayUrl }))
      return yield* JoinUrl.open(pasted.joinUrl, gateway)
    }).pipe(
      Effect.provide(foundation(checked)),
      Effect.mapError((error) =>
        as(error._tag === "SetupCodeInvalid" || error._tag === "JoinUrlRefused" ? "credential" : exitOf(error._tag))(
          error
        )
      )
    )

/** Tries the URLs of a code in order, and in each of them the roles that the code may be for. */
export const enter = Effect.fnUntraced(function*(checked: Settings, pasted: Pasted) {
  const code = yield* codeOf(checked, pasted)
  yield* (yield* Output).conceal([code.token])
  const inputs = SetupCode.inputsOf(code, { pinned: checked.gateway.pinned })
  const checks = inputs.map((input) => ({ input, settings: checked.gatewayWith(input) }))
  const usable = checks.flatMap(({ input, settings }) =>
    Result.isSuccess(settings) ? [{ input, gateway: settings.success }] : []
  )
  const [first] = checks
  if (usable.length === 0 && first !== undefined) {
    yield* Effect.mapError(Effect.fromResult(first.settings), as("settings"))
  }
  let failed: HaltCause = { _tag: "InternalError" }
  for (const { gateway, input } of usable) {
    const found = yield* enterAt(checked, gateway, pasted._tag === "JoinUrl" ? ["node"] : ["operator", "node"])
    if ("roles" in found) return { input, gateway, code, roles: found.roles } satisfies Entered
    failed = found.cause
    if (found._tag !== "OtherUrl") break
  }
  return yield* refusal(failed, code)
})

const enterAt = Effect.fnUntraced(
  function*(checked: Settings, gateway: GatewaySettings, roles: ReadonlyArray<PairedGateway.PairedRole>) {
    let last: Next = { _tag: "Paired" }
    const paired: Array<PairedGateway.PairedRole> = []
    for (const role of roles) {
      const known = yield* hasToken(checked, gateway, role)
      last = yield* attempt(checked, gateway, role)
      if (last._tag === "Paired") paired.push(role)
      // An operator whose token is still good has not used the code, which may be for tools.
      if (last._tag !== "OtherRole" && !(last._tag === "Paired" && known)) break
    }
    return paired.length > 0 || !("cause" in last) ? { roles: paired } : last
  }
)

/** Why a code led nowhere. A gateway does not tell an expired code from a used one; the code itself does. */
export const refusal = Effect.fnUntraced(function*(cause: HaltCause, code: SetupCode.SetupCode) {
  const { expiresAtMs } = code
  const expired = cause._tag === "AuthRejected" && cause.sent === "SetupCode"
    && SetupCode.hasExpired(code, yield* Clock.currentTimeMillis)
  if (expired && expiresAtMs !== undefined) {
    return yield* as("credential")(new SetupCode.SetupCodeInvalid({ reason: "Expired", expiredAtMs: expiresAtMs }))
  }
  const why = failure(cause)
  return yield* new CommandFailed({ exit: exitOf(cause._tag), error: why.error, problem: failureText(why) })
})

/** Remembers the gateway, so that later commands find it, and recognise it. */
export const remember = (
  { files }: Settings,
  gateway: GatewaySettings,
  roles: ReadonlyArray<PairedGateway.PairedRole>,
  { pin }: SetupCode.SetupCode
) =>
  files === undefined
    ? Effect.succeed(roles)
    : Effect.mapError(PairedGateway.remember(files.pairedGateway, gateway, { roles, pin }), as("settings"))
