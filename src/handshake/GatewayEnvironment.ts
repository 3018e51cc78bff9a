/**
 * Settings of a gateway's client from the environment. The library and the commands read them here, so that the same
 * variables mean the same to both.
 */
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type { FileSystem } from "effect/FileSystem"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Struct from "effect/Struct"
import type { Problem } from "../settings/Setting.ts"
import * as SettingSource from "../settings/SettingSource.ts"
import { gatewayTable } from "./GatewayTable.ts"

/** What the environment says about a gateway, not yet checked. */
export interface GatewayEnvironment {
  readonly found: SettingSource.Texts<typeof gatewayTable>
  /** Certificates that Node.js cannot read. */
  readonly damaged: ReadonlyArray<Problem<"tlsAuthorities">>
  /** What a person should know about it; one sentence each, no secrets. */
  readonly warnings: ReadonlyArray<string>
}

type Texts = GatewayEnvironment["found"]["texts"]

/** Reads the variables and the files that they name. `flags` are texts by the names of the options. */
export const read = Effect.fn("GatewayEnvironment.read")(function*(
  flags: { readonly [K in keyof typeof gatewayTable]?: string | undefined } = {}
): Effect.fn.Return<GatewayEnvironment, Config.ConfigError, FileSystem> {
  const { faults, texts: all } = yield* SettingSource.find(gatewayTable, flags)
  const { texts, warnings } = forThisClient(all)
  const authorities = SettingSource.parse(gatewayTable, texts).values.tlsAuthorities ?? []
  return { found: { texts, faults }, damaged: yield* damagedAuthority(authorities), warnings }
})

/** Client ids of browsers. Gateways check their Origin and demand one exact build of the Control UI. */
const browserIds: ReadonlySet<string> = new Set(["openclaw-control-ui", "webchat-ui", "webchat"])

/** Leaves out what is meant for a browser client, and a password beside a token. Each comes with a warning. */
const forThisClient = (found: Texts): { readonly texts: Texts; readonly warnings: ReadonlyArray<string> } => {
  const warnings: Array<string> = [...SettingSource.quoteWarnings(Object.values(found))]
  let texts = found
  const clientId = textOf(found.clientId)
  if (found.clientId !== undefined && clientId !== undefined && browserIds.has(clientId)) {
    const { clientMode: mode, origin } = found
    texts = Struct.omit(found, ["clientId", "clientMode", "origin"])
    warnings.push(
      `${found.clientId.name}=${clientId} is for browsers; this program connects as ${gatewayTable.clientId.default}, which`
        + " needs no Origin and no Control UI build."
    )
    const modeText = textOf(mode)
    if (mode !== undefined && modeText !== gatewayTable.clientMode.default) {
      warnings.push(
        `${mode.name}=${modeText} belongs to that browser client; this program uses ${gatewayTable.clientMode.default}.`
      )
    }
    if (origin !== undefined) {
      warnings.push(`${origin.name} is not sent: only browsers have an Origin, and gateways check it.`)
    }
  }
  if (texts.token !== undefined && texts.password !== undefined) {
    warnings.push(`${texts.token.name} and ${texts.password.name} are both set; the token is used.`)
    texts = Struct.omit(texts, ["password"])
  }
  return { texts, warnings }
}

const textOf = (found: SettingSource.Text | undefined): string | undefined =>
  found === undefined ? undefined : Redacted.value(found.text).trim()

/** Reads each certificate, because OpenSSL skips a damaged one in silence. */
const damagedAuthority = Effect.fnUntraced(function*(authorities: ReadonlyArray<string>) {
  if (authorities.length === 0) return []
  const { X509Certificate } = yield* Effect.promise(() => import("node:crypto"))
  const wrong = authorities.findIndex((pem) => Result.isFailure(Result.try(() => new X509Certificate(pem))))
  return wrong === -1
    ? []
    : [{ setting: "tlsAuthorities" as const, problem: `certificate ${wrong + 1} of ${authorities.length} is damaged` }]
})
