/**
 * Setup codes of OpenClaw: one paste that says where a gateway is, how it is recognised, and lets one device in. Pure.
 *
 * A code is base64url of a JSON object; a link is the code behind `oc-pair://`; a join URL gives that object once (OpenClaw 2026.9.6,
 * docs/cli/connect.md). The secret part is `Redacted` from here on, and no error repeats anything of what was pasted.
 */
import * as Encoding from "effect/encoding/Base64Url"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { GatewayInput } from "../handshake/GatewayConfig.ts"
import { isLoopback } from "../link/Endpoint.ts"
import * as TlsTrust from "../link/TlsTrust.ts"
import { isoTime } from "../protocol/AgentEvent.ts"
import { type AuthToken, DeviceToken } from "../protocol/Connect.ts"

/** A setup code, decoded. */
export interface SetupCode {
  /** Gateway URLs in order of preference, 1 to 8, `ws:` or `wss:`, without user name, query and fragment. */
  readonly urls: readonly [string, ...ReadonlyArray<string>]
  /** Lets one device in, once for each role that the code is made for. */
  readonly token: Redacted.Redacted<AuthToken>
  /** When the gateway forgets the code: milliseconds on its clock. */
  readonly expiresAtMs: number | undefined
  /** SHA-256 of the gateway's certificate, where it has one of its own. */
  readonly pin: TlsTrust.Pin | undefined
}

/** An address that gives a setup code once. It is as secret as the code. */
export interface JoinUrl {
  /** The gateway's own URL: the join URL without its last two parts, as `ws:` or `wss:`. */
  readonly gatewayUrl: string
  /** The path to ask for. */
  readonly path: Redacted.Redacted
}

/** What was pasted. */
export type Pasted =
  | { readonly _tag: "Code"; readonly code: SetupCode }
  | { readonly _tag: "JoinUrl"; readonly joinUrl: JoinUrl }

/** What was pasted cannot be used as a setup code. Nothing was sent. */
export class SetupCodeInvalid extends Schema.TaggedError<SetupCodeInvalid>()("SetupCodeInvalid", {
  /**
   * `Empty`: nothing was pasted. `TooLong`: more than 8192 characters. `NotACode`: no code, link or join URL. `Incomplete`: a code of
   * which a part is missing or was changed. `Malformed`: the object in it is not that of a setup code. `PlaintextJoin`: a join URL
   * without TLS to another machine. `Expired`: its time is over, by this machine's clock.
   */
  reason: Schema.Literals(["Empty", "TooLong", "NotACode", "Incomplete", "Malformed", "PlaintextJoin", "Expired"]),
  /** When it expired: milliseconds on the gateway's clock. */
  expiredAtMs: Schema.optionalKey(Schema.Finite)
}) {
  override get message(): string {
    switch (this.reason) {
      case "Empty":
        return "no setup code was given"
      case "TooLong":
        return `the setup code is longer than ${limits.code} characters`
      case "NotACode":
        return "this is no setup code, no oc-pair:// link and no join URL of a gateway"
      case "Incomplete":
        return "a part of the setup code is missing or was changed on the way"
      case "Malformed":
        return "the setup code does not say where its gateway is and what lets a device in"
      case "PlaintextJoin":
        return "the join URL begins with http:// and leads to another machine, so that everybody on the way could use the code"
      case "Expired":
        return `the setup code expired${
          this.expiredAtMs === undefined ? "" : ` at ${isoTime(this.expiredAtMs)}`
        }, by the clock of this machine`
    }
  }
}

/** Bounds of what is read. */
export const limits = {
  /** Characters of a code, a link, a join URL, and bytes of what a join URL gives. */
  code: 8192,
  url: 2048,
  urls: 8,
  /** Objects and lists in it. Real ones have two. */
  parts: 64
} as const

const fail = (reason: SetupCodeInvalid["reason"], more: { readonly expiredAtMs?: number } = {}) =>
  Result.fail(new SetupCodeInvalid({ reason, ...more }))

/** Reads what was pasted, with white space around it. `nowMs` is the wall clock of this machine. */
export const parse = (pasted: Redacted.Redacted, nowMs: number): Result.Result<Pasted, SetupCodeInvalid> => {
  const text = Redacted.value(pasted).trim()
  if (text === "") return fail("Empty")
  if (text.length > limits.code) return fail("TooLong")
  if (/^https?:/i.test(text)) return Result.map(parseJoinUrl(text), (joinUrl) => ({ _tag: "JoinUrl", joinUrl }))
  const code = text.replace(/^oc-pair:\/\//i, "")
  if (!/^[A-Za-z0-9_-]+$/.test(code)) return fail("NotACode")
  return Result.map(
    Result.flatMap(jsonOf(code), (json) => parseContent(json, nowMs)),
    (code) => ({ _tag: "Code", code })
  )
}

/** Reads the object of a code: what is in it, or what a join URL gives. */
export const parseContent = (json: string, nowMs: number): Result.Result<SetupCode, SetupCodeInvalid> => {
  if (json.length > limits.code) return fail("TooLong")
  if ((json.match(/[[{]/g) ?? []).length > limits.parts) return fail("Malformed")
  const content = decodeContent(json)
  if (Option.isNone(content)) return fail("Malformed")
  const { bootstrapToken, expiresAtMs, tlsFingerprint, url, urls = [url] } = content.value
  const pin = tlsFingerprint === undefined ? undefined : pinOf(tlsFingerprint)
  const [first, ...others] = urls
  if (first === undefined || ![url, ...urls].every(isNormal)) return fail("Malformed")
  if (tlsFingerprint !== undefined && pin === undefined) return fail("Malformed")
  if (expiresAtMs !== undefined && expiresAtMs <= nowMs) return fail("Expired", { expiredAtMs: expiresAtMs })
  return Result.succeed({
    urls: [first, ...others],
    token: Redacted.make(bootstrapToken, { label: "setup code" }),
    expiresAtMs,
    pin
  })
}

/** Whether the time of a code is over. A code without a time does not say. */
export const hasExpired = ({ expiresAtMs }: Pick<SetupCode, "expiresAtMs">, nowMs: number): boolean =>
  expiresAtMs !== undefined && expiresAtMs <= nowMs

/**
 * The settings of a first connection by a code, one for each of its URLs: merge them with those of the program, and try them in
 * order. `pinned`: the program has pins of its own, which stand in place of that of the code.
 */
export const inputsOf = (
  { pin, token, urls }: SetupCode,
  options: { readonly pinned?: boolean } = {}
): ReadonlyArray<GatewayInput> =>
  urls.map((url) => ({
    url,
    bootstrapToken: token,
    ...(pin === undefined || options.pinned === true || url.startsWith("ws:")
      ? {}
      : { tlsPins: TlsTrust.formatPin(pin) })
  }))

const Content = Schema.fromJsonString(Schema.Struct({
  url: Schema.String,
  urls: Schema.optionalKey(Schema.Array(Schema.String).check(Schema.isMinLength(1), Schema.isMaxLength(limits.urls))),
  bootstrapToken: DeviceToken,
  expiresAtMs: Schema.optionalKey(Schema.Natural),
  tlsFingerprint: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(limits.url)))
}))
const decodeContent = Schema.decodeUnknownOption(Content)

const utf8 = Option.liftThrowable((bytes: Uint8Array) => new TextDecoder("utf-8", { fatal: true }).decode(bytes))
const isJson = Option.liftThrowable((text: string): unknown => JSON.parse(text))

const jsonOf = (code: string): Result.Result<string, SetupCodeInvalid> => {
  const json = Option.flatMap(Result.getSuccess(Encoding.decode(code)), utf8)
  return Option.isNone(json) || Option.isNone(isJson(json.value)) ? fail("Incomplete") : Result.succeed(json.value)
}

/** As gateways write them: scheme, host, port and path, and nothing else. */
const isNormal = (text: string): boolean => {
  if (text.length > limits.url || !URL.canParse(text)) return false
  const { host, password, pathname, protocol, username } = new URL(text)
  return (protocol === "ws:" || protocol === "wss:") && username === "" && password === ""
    && text === `${protocol}//${host}${pathname === "/" ? "" : pathname}`
}

const pinOf = (fingerprint: string): TlsTrust.Pin | undefined => {
  const [pin, ...others] = Result.getOrElse(TlsTrust.parsePins(fingerprint), () => [])
  return pin?.of === "certificate" && others.length === 0 ? pin : undefined
}

const parseJoinUrl = (text: string): Result.Result<JoinUrl, SetupCodeInvalid> => {
  if (text.length > limits.url || !URL.canParse(text)) return fail("NotACode")
  const url = new URL(text)
  const [, base] = /^((?:\/[\w\-.~]{1,256}){0,16})\/j\/[\w-]{22}$/.exec(url.pathname) ?? []
  const isBare = url.username === "" && url.password === "" && !/[?#]/.test(text)
  if (base === undefined || !isBare) return fail("NotACode")
  if (url.protocol === "http:" && !isLoopback(url.hostname)) return fail("PlaintextJoin")
  return Result.succeed({
    gatewayUrl: `${url.protocol === "http:" ? "ws" : "wss"}://${url.host}${base}`,
    path: Redacted.make(url.pathname, { label: "join URL" })
  })
}
