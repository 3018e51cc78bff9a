/**
 * Setup codes and join URLs: who may use one, for what, and for how long. As 2026.9.6 has it (test/vectors/setup-2026.9.6.json): a code
 * admits one device, in one role at a time with the scopes that it first asked for, until it has all that the code is made for.
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Asker } from "./PairingBook.ts"
import { satisfies } from "./PairingBook.ts"
import { trim } from "./Trim.ts"

/** A setup code cannot be made for this address or profile. */
export class SetupCodeRefused extends Schema.TaggedError<SetupCodeRefused>()("SetupCodeRefused", {
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}

/** What a code is made for: every scope but those of pairing, the same without `operator.admin`, or tools alone. */
export type Access = "full" | "limited" | "node"

/** What `device.pair.setupCode` is asked for. */
export interface Wish {
  readonly publicUrl?: string | undefined
  readonly bootstrapProfile?: string | undefined
  readonly joinUrl?: boolean | undefined
}

/** What it answers. */
export interface Minted {
  readonly setupId: string
  /** Milliseconds on the gateway's clock. */
  readonly expiresAtMs: number
  readonly setupCode: string
  readonly joinUrl?: string
  readonly gatewayUrl: string
  readonly auth: string
  readonly urlSource: "request.publicUrl"
  readonly access: Access
  readonly accessDowngraded?: true
}

/** A code that has done what it was made for. */
export interface Completion {
  readonly setupId: string
  readonly deviceId: string
  readonly deviceName?: string
  readonly access: Access
  readonly ts: number
}

export interface SetupCodes {
  readonly mint: (wish: Wish, nowMs: number) => Result.Result<Minted, SetupCodeRefused>
  /** The answer to `GET` at a path, as JSON. Gives each code once. */
  readonly join: (path: string, nowMs: number) => { readonly status: number; readonly body: string }
  /** Whether a code admits this device. The first device, and what it asks for, are noted. */
  readonly admits: (sent: string, asker: Asker, nowMs: number) => boolean
  /** Whether an admitted device needs no other approval. */
  readonly approves: (sent: string, asker: Asker) => boolean
  /** The device has its hello-ok. Gives the completion if the code has done all that it was made for, and is gone. */
  readonly redeem: (
    sent: string | undefined,
    asker: Asker | undefined,
    nowMs: number
  ) => Completion | undefined
  readonly completion: (setupId: string) => Completion | undefined
}

interface Granted {
  readonly roles: ReadonlyArray<string>
  readonly scopes: ReadonlyArray<string>
}

interface Code {
  readonly token: string
  readonly setupId: string
  readonly access: Access
  readonly expiresAtMs: number
  deviceId: string | undefined
  /** What the device asked for, until it has it. */
  pending: Granted | undefined
  redeemed: Granted
}

const handoff = ["approvals", "questions", "read", "talk.secrets", "write"].map((name) => `operator.${name}`)
const profiles: Readonly<Record<Access, Granted>> = {
  full: { roles: ["node", "operator"], scopes: ["operator.admin", ...handoff] },
  limited: { roles: ["node", "operator"], scopes: handoff },
  node: { roles: ["node"], scopes: [] }
}

/** How long a code lasts, in milliseconds. */
const lifeMs = 600_000
const mostCodes = 1000

const notFound = { status: 404, body: JSON.stringify({ error: "not_found" }) }
const onlyLoopback = "Gateway is only bound to loopback. Set gateway.bind=lan, enable tailscale serve, or configure"
  + " plugins.entries.device-pair.config.publicUrl."
const insecure = "Tailscale and public mobile pairing require a secure gateway URL (wss://) or Tailscale Serve/Funnel."
  + " Resolved source: plugins.entries.device-pair.config.publicUrl. Fix: use a private LAN address, prefer"
  + " gateway.tailscale.mode=serve, or set gateway.remote.url / plugins.entries.device-pair.config.publicUrl to a wss:// URL."
  + " ws:// is only valid for localhost, private LAN addresses, .local hosts, or the Android emulator."

const isLoopback = (host: string) => /^(localhost|\[::1\]|127\.\d+\.\d+\.\d+)$/.test(host)
const isPrivate = (host: string) => /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|169\.254\.)|\.local$/.test(host)

const refuse = (reason: string) => Result.fail(new SetupCodeRefused({ reason }))

/** The URL as a code has it, or why there is none. */
const gatewayUrlOf = (publicUrl: string | undefined): Result.Result<URL, SetupCodeRefused> => {
  if (publicUrl === undefined) return refuse(onlyLoopback)
  const url = URL.canParse(publicUrl) ? new URL(publicUrl.replace(/^http/, "ws")) : undefined
  if (url === undefined || !/^wss?:$/.test(url.protocol)) return refuse("Configured publicUrl is invalid.")
  return url.protocol === "wss:" || isLoopback(url.hostname) || isPrivate(url.hostname)
    ? Result.succeed(url)
    : refuse(insecure)
}

const shown = ({ host, pathname, protocol }: URL) => `${protocol}//${host}${pathname === "/" ? "" : pathname}`

const union = (one: ReadonlyArray<string>, other: ReadonlyArray<string>) => [...new Set([...one, ...other])]
const within = (inner: Granted, outer: Granted) =>
  inner.roles.every((role) => outer.roles.includes(role))
  && inner.scopes.every((scope) => satisfies(outer.scopes, scope))
const same = (one: Granted, other: Granted) => within(one, other) && within(other, one)

export const make = (options: {
  /** As codes name how the gateway authenticates. */
  readonly auth: string
  readonly newId: () => string
  readonly newToken: () => Redacted.Redacted
}): SetupCodes => {
  const codes = new Map<string, Code>() // by token
  const joins = new Map<string, { readonly body: string; readonly expiresAtMs: number }>()
  const completions = new Map<string, Completion>()

  const alive = (sent: string, nowMs: number): Code | undefined => {
    const code = codes.get(sent)
    return code === undefined || code.expiresAtMs <= nowMs ? undefined : code
  }
  const asked = ({ role, scopes }: Asker): Granted => ({ roles: [role], scopes: role === "operator" ? scopes : [] })

  return {
    mint: ({ bootstrapProfile, joinUrl = false, publicUrl }, nowMs) => {
      if (joinUrl && bootstrapProfile !== undefined && bootstrapProfile !== "node") {
        return refuse("Join URLs require bootstrapProfile=node.")
      }
      return Result.map(gatewayUrlOf(publicUrl), (url): Minted => {
        const plain = url.protocol === "ws:" && !isLoopback(url.hostname)
        const downgraded = plain && bootstrapProfile === undefined && !joinUrl
        const access: Access = joinUrl || bootstrapProfile === "node"
          ? "node"
          : downgraded || bootstrapProfile !== undefined
          ? "limited"
          : "full"
        const [setupId, token, expiresAtMs] = [options.newId(), Redacted.value(options.newToken()), nowMs + lifeMs]
        const content = JSON.stringify({ url: shown(url), bootstrapToken: token, expiresAtMs })
        codes.set(token, {
          token,
          setupId,
          access,
          expiresAtMs,
          deviceId: undefined,
          pending: undefined,
          redeemed: { roles: [], scopes: [] }
        })
        trim(codes, mostCodes)
        const name = Redacted.value(options.newToken()).slice(0, 22)
        if (joinUrl) joins.set(name, { body: content, expiresAtMs })
        trim(joins, mostCodes)
        return {
          setupId,
          expiresAtMs,
          setupCode: Buffer.from(content).toString("base64url"),
          ...(joinUrl ? { joinUrl: `${shown(url).replace(/^ws/, "http")}/j/${name}` } : {}),
          gatewayUrl: shown(url),
          auth: options.auth,
          urlSource: "request.publicUrl",
          access,
          ...(downgraded ? { accessDowngraded: true } : {})
        }
      })
    },

    join: (path, nowMs) => {
      const [, name = ""] = /\/j\/([\w-]{22})$/.exec(path) ?? []
      const found = joins.get(name)
      joins.delete(name)
      return found === undefined || found.expiresAtMs <= nowMs ? notFound : { status: 200, body: found.body }
    },

    admits: (sent, asker, nowMs) => {
      const code = alive(sent, nowMs)
      if (code === undefined || !within(asked(asker), profiles[code.access])) return false
      if (code.deviceId !== undefined && code.deviceId !== asker.deviceId) return false
      if (code.pending !== undefined && !same(code.pending, asked(asker))) return false
      code.deviceId = asker.deviceId
      code.pending = asked(asker)
      return true
    },

    approves: (sent, { clientId, role }) =>
      codes.get(sent)?.access === "node" && role === "node" && clientId === "node-host",

    redeem: (sent, asker, nowMs) => {
      const code = codes.get(sent ?? "")
      if (code === undefined || asker === undefined) return undefined
      const { roles, scopes } = asked(asker)
      code.redeemed = { roles: union(code.redeemed.roles, roles), scopes: union(code.redeemed.scopes, scopes) }
      code.pending = undefined
      if (!within(profiles[code.access], code.redeemed)) return undefined
      codes.delete(code.token)
      const completion: Completion = {
        setupId: code.setupId,
        deviceId: asker.deviceId,
        ...(asker.displayName === undefined ? {} : { deviceName: asker.displayName }),
        access: code.access,
        ts: nowMs
      }
      completions.set(code.setupId, completion)
      trim(completions, mostCodes)
      return completion
    },

    completion: (setupId) => completions.get(setupId)
  }
}
