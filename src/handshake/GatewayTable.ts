/**
 * The settings of a gateway's client: every row gives an option of `GatewayConfig.layer`, a variable of
 * `GatewayConfig.layerEnv` and of the commands, and a line of the README. A row without a variable is for programs only.
 *
 * To add a setting, add its row here and its type to `GatewayInput`; the compiler asks for both.
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as TlsTrust from "../link/TlsTrust.ts"
import * as UpgradeHeader from "../link/UpgradeHeader.ts"
import {
  AuthToken,
  ClientId,
  ClientMode,
  DeviceFamily,
  DeviceToken,
  DisplayName,
  ScopeName
} from "../protocol/Connect.ts"
import type { Setting } from "../settings/Setting.ts"
import { anyText, exactSecret, file, list, oneOf, secret, setting, text, time, yesOrNo } from "../settings/Setting.ts"
import type { GatewayInput } from "./GatewayConfig.ts"
import { packageVersion } from "./PackageVersion.ts"

const decoder = <S extends Schema.ConstraintDecoder<unknown>>(schema: S) => Schema.decodeUnknownResult(schema)

export const gatewayTable = {
  url: setting(anyText("ws:// to this machine, wss:// anywhere"), {
    variable: "OPENCLAW_GATEWAY_URL",
    flag: "gateway-url",
    default: "ws://127.0.0.1:18789",
    about: "the gateway; without it the one of the last setup code, or else a bare run starts its own"
  }),
  token: setting(
    secret(
      "no pipe sign, no control characters",
      (given) => Result.map(decoder(AuthToken)(given), (token) => Redacted.make(token, { label: "token" }))
    ),
    { variable: "OPENCLAW_GATEWAY_TOKEN", about: "the gateway's shared token" }
  ),
  password: setting(
    secret("any text", (given) => Result.succeed(Redacted.make(given, { label: "password" }))),
    { variable: "OPENCLAW_GATEWAY_PASSWORD", about: "the gateway's password; a token wins over it" }
  ),
  bootstrapToken: setting(
    secret(
      "the token of a setup code",
      (given) => Result.map(decoder(DeviceToken)(given), (token) => Redacted.make(token, { label: "setup code" }))
    ),
    { about: "the token of a setup code, for the first connection; token and password are not used beside it" }
  ),
  scopes: setting(list("names with commas between them", decoder(Schema.Array(ScopeName))), {
    variable: "OPENCLAW_GATEWAY_SCOPES",
    default: "operator.read,operator.write",
    about: "the scopes that the device asks for"
  }),
  narrowedScopes: setting(oneOf("accept", "refuse"), {
    variable: "OPENCLAW_GATEWAY_NARROWED_SCOPES",
    default: "accept",
    about: "whether to connect when fewer were granted"
  }),
  clientId: setting(text("OpenClaw's closed list of client ids", decoder(ClientId)), {
    variable: "OPENCLAW_GATEWAY_CLIENT_ID",
    default: "gateway-client",
    about: "what the client says it is"
  }),
  clientMode: setting(text("OpenClaw's closed list of client modes", decoder(ClientMode)), {
    variable: "OPENCLAW_GATEWAY_CLIENT_MODE",
    default: "backend",
    about: "how the client says it runs"
  }),
  clientVersion: setting(anyText("any text"), {
    default: packageVersion,
    about: "the version that the client states"
  }),
  displayName: setting(text("no control characters", decoder(DisplayName)), {
    about: "what people see the device called"
  }),
  deviceFamily: setting(text("no comma, no pipe sign", decoder(DeviceFamily)), {
    about: "the kind of device, for example iPhone"
  }),
  caps: setting(list("names", (names) => Result.succeed(names)), {
    about: "the capabilities that the client states in place of the usual ones"
  }),
  origin: setting(text("http or https origin, no path", (given) => parseOrigin(given)), {
    variable: "OPENCLAW_GATEWAY_ORIGIN",
    about: "sent as Origin; leave it unset unless a gateway demands one"
  }),
  plaintextHost: setting(anyText("one host name or address"), {
    variable: "OPENCLAW_GATEWAY_PLAINTEXT_HOST",
    about: "the one other host that ws:// may go to, unencrypted"
  }),
  tlsAuthorities: setting(file("certificates in PEM", TlsTrust.parseAuthorities), {
    variable: "OPENCLAW_GATEWAY_CA_FILE",
    about: "authorities to trust besides those of Node.js and the system"
  }),
  tlsPins: setting(text("`sha256:AB:CD:...` or `sha256//...`, with commas", TlsTrust.parsePins), {
    variable: "OPENCLAW_GATEWAY_TLS_PINS",
    about: "the gateway's certificate or public key, checked first"
  }),
  tlsTrust: setting(oneOf("ca", "pin", "ca-and-pin"), {
    variable: "OPENCLAW_GATEWAY_TLS_TRUST",
    otherwise: "pin if there are pins, otherwise ca",
    about: "how the gateway is recognised: by an authority, a pin, or both"
  }),
  headers: setting(exactSecret("lines of `Name: value`", UpgradeHeader.parse), {
    variable: "OPENCLAW_GATEWAY_HEADERS",
    about: "sent with the request, over wss:// only"
  }),
  challengeTimeout: setting(time("1 second", "120 seconds"), {
    variable: "OPENCLAW_GATEWAY_CHALLENGE_TIMEOUT",
    default: "15 seconds",
    about: "from dialling to the gateway's challenge"
  }),
  helloTimeout: setting(time("1 second", "120 seconds"), {
    default: "15 seconds",
    about: "from connect to the gateway's answer"
  }),
  requestTimeout: setting(time("1 second", "600 seconds"), {
    variable: "OPENCLAW_GATEWAY_REQUEST_TIMEOUT",
    default: "30 seconds",
    about: "for one request to be answered"
  }),
  legacyWithoutChallenge: setting(yesOrNo, {
    default: false,
    about: "sign without a nonce for a gateway that never sends a challenge"
  })
} satisfies { readonly [K in keyof GatewayInput]-?: Setting<unknown> }

function parseOrigin(value: string): Result.Result<string, { readonly message: string }> {
  return URL.canParse(value) && /^https?:$/.test(new URL(value).protocol) && new URL(value).origin === value
    ? Result.succeed(value)
    : Result.fail({ message: "must be an origin like https://agent.example:8443: http or https, no path" })
}
