/**
 * Who is paired, who asks, and which device tokens are valid: the part of the gateway's state that survives a restart.
 * Everything is synchronous, and every call is given the time.
 */
import * as Redacted from "effect/Redacted"
import type { PairingReason } from "./Refusals.ts"
import { trim } from "./Trim.ts"

/** What requests and paired devices have in common. */
interface Description {
  readonly deviceId: string
  /** Raw key, base64url without padding. */
  readonly publicKey: string
  readonly platform: string
  readonly deviceFamily?: string
  readonly displayName?: string
  readonly clientId: string
  readonly clientMode: string
  readonly role: string
  readonly roles: ReadonlyArray<string>
  readonly scopes: ReadonlyArray<string>
  readonly remoteIp: string
}

/** A pending request, as `device.pair.list` and `device.pair.requested` show it. */
export interface PendingEntry extends Description {
  readonly requestId: string
  readonly silent: false
  /** The device was paired before. */
  readonly isRepair: boolean
  /** Milliseconds on the gateway's clock, of the last ask. */
  readonly ts: number
}

/** A device token without its value, which only its device gets. */
export interface TokenEntry {
  readonly role: string
  /** Sorted. */
  readonly scopes: ReadonlyArray<string>
  readonly createdAtMs: number
  readonly rotatedAtMs?: number
  readonly revokedAtMs?: number
  readonly lastUsedAtMs?: number
}

/** A paired device, as `device.pair.approve` answers; `device.pair.list` adds whether it is connected. */
export interface PairedEntry extends Description {
  readonly approvedVia: "owner" | "bootstrap"
  readonly createdAtMs: number
  readonly approvedAtMs: number
  readonly lastSeenAtMs?: number
  readonly lastSeenReason?: "connect"
  readonly tokens: ReadonlyArray<TokenEntry>
}

/** What a connecting device says about itself and asks for. */
export interface Asker {
  readonly deviceId: string
  readonly publicKey: string
  readonly platform: string
  readonly deviceFamily: string | undefined
  readonly displayName: string | undefined
  readonly clientId: string
  readonly clientMode: string
  readonly role: string
  readonly scopes: ReadonlyArray<string>
  readonly remoteIp: string
}

export interface IssuedToken {
  readonly value: Redacted.Redacted
  readonly issuedAtMs: number
  readonly scopes: ReadonlyArray<string>
}

export type Decision = "approved" | "rejected"

interface Token extends Omit<TokenEntry, "lastUsedAtMs"> {
  readonly value: Redacted.Redacted
  lastUsedAtMs: number | undefined
}

interface Device extends Omit<PairedEntry, "tokens" | "lastSeenAtMs" | "lastSeenReason"> {
  lastSeenAtMs: number | undefined
  readonly tokens: Map<string, Token>
}

/** Scopes that include another one. A map, because clients name scopes. */
const wider: ReadonlyMap<string, string> = new Map([
  ["operator.read", "operator.write"],
  ["operator.talk", "operator.write"]
])

/** `operator.admin` satisfies every operator scope; `operator.write` satisfies read and talk. */
export const satisfies = (granted: ReadonlyArray<string>, scope: string): boolean =>
  granted.includes(scope)
  || (scope.startsWith("operator.") && granted.includes("operator.admin"))
  || granted.includes(wider.get(scope) ?? scope)

const union = (first: ReadonlyArray<string>, second: ReadonlyArray<string>) => [...new Set([...first, ...second])]

const same = (first: ReadonlyArray<string>, second: ReadonlyArray<string>) =>
  first.length === second.length && first.every((item) => second.includes(item))

export interface PairingBook {
  /** Pending requests that have not expired. */
  readonly pending: (nowMs: number) => ReadonlyArray<PendingEntry>
  readonly paired: () => ReadonlyArray<PairedEntry>
  /** Why this device has to be approved before a shared credential admits it, or `undefined` when it is. */
  readonly reasonToAsk: (asker: Asker) => PairingReason | undefined
  readonly approvedOf: (deviceId: string, role: string) =>
    | { readonly roles: ReadonlyArray<string>; readonly scopes: ReadonlyArray<string> }
    | undefined
  /**
   * Makes, renews or replaces the one pending request of this device. `isNew` when its id was not pending before; `replaced`
   * is the request that it replaced.
   */
  readonly ask: (
    asker: Asker,
    nowMs: number,
    supersede: boolean
  ) => { readonly entry: PendingEntry; readonly isNew: boolean; readonly replaced: PendingEntry | undefined }
  /** `bootstrap`: by a setup code. */
  readonly approve: (requestId: string, nowMs: number, via?: PairedEntry["approvedVia"]) => PairedEntry | undefined
  /** The device was approved by a setup code. */
  readonly isByCode: (deviceId: string) => boolean
  readonly reject: (requestId: string, nowMs: number) => PendingEntry | undefined
  /** Whether this text is the device's valid token for this role. */
  readonly tokenMatches: (deviceId: string, role: string, sent: string) => boolean
  readonly token: (deviceId: string, role: string) => IssuedToken | undefined
  readonly seen: (deviceId: string, role: string, nowMs: number, byToken: boolean) => void
  readonly rotate: (deviceId: string, role: string, nowMs: number) => IssuedToken | undefined
  readonly revoke: (deviceId: string, role: string, nowMs: number) => boolean
  readonly remove: (deviceId: string) => boolean
  /** Takes a role from a device, which is forgotten when it has no other. False for a device without the role. */
  readonly removeRole: (deviceId: string, role: string) => boolean
}

const issuedToken = (token: Token): IssuedToken => ({
  value: token.value,
  issuedAtMs: token.rotatedAtMs ?? token.createdAtMs,
  scopes: token.scopes
})

const pairedEntry = ({ lastSeenAtMs, tokens, ...device }: Device): PairedEntry => ({
  ...device,
  ...(lastSeenAtMs === undefined ? {} : { lastSeenAtMs, lastSeenReason: "connect" }),
  tokens: [...tokens.values()].map((token) => {
    const { lastUsedAtMs, value: _, ...entry } = token
    return lastUsedAtMs === undefined ? entry : { ...entry, lastUsedAtMs }
  })
})

const pendingEntry = (
  asker: Asker,
  facts: Pick<PendingEntry, "requestId" | "roles" | "scopes" | "isRepair" | "ts">
): PendingEntry => ({
  deviceId: asker.deviceId,
  publicKey: asker.publicKey,
  platform: asker.platform,
  ...(asker.deviceFamily === undefined ? {} : { deviceFamily: asker.deviceFamily }),
  ...(asker.displayName === undefined ? {} : { displayName: asker.displayName }),
  clientId: asker.clientId,
  clientMode: asker.clientMode,
  role: asker.role,
  remoteIp: asker.remoteIp,
  silent: false,
  ...facts
})

/** The device of an approved request, with all that was approved before. It still has its old tokens. */
const approvedDevice = (
  entry: PendingEntry,
  before: Device | undefined,
  nowMs: number,
  approvedVia: PairedEntry["approvedVia"]
): Device => {
  const { isRepair: _, requestId: __, silent: ___, ts: ____, ...facts } = entry
  return {
    ...facts,
    roles: union(before?.roles ?? [], entry.roles),
    scopes: union(before?.scopes ?? [], entry.scopes),
    approvedVia,
    createdAtMs: before?.createdAtMs ?? nowMs,
    approvedAtMs: nowMs,
    lastSeenAtMs: before?.lastSeenAtMs,
    tokens: before?.tokens ?? new Map()
  }
}

const removeRole = (devices: Map<string, Device>, deviceId: string, role: string): boolean => {
  const device = devices.get(deviceId)
  if (device === undefined || !device.roles.includes(role)) return false
  const [first, ...others] = device.roles.filter((other) => other !== role)
  device.tokens.delete(role)
  if (first === undefined) devices.delete(deviceId)
  else devices.set(deviceId, { ...device, roles: [first, ...others], role: first })
  return true
}

/** Beyond this number, the request that was asked longest ago is forgotten. */
const maxRequests = 1000

export const make = (options: {
  readonly pendingLifeMs: number
  /** An ask adds to the pending request of its device. If false, it replaces the request. */
  readonly merges: boolean
  readonly newRequestId: () => string
  readonly newToken: () => Redacted.Redacted
}): PairingBook => {
  const requests = new Map<string, PendingEntry>() // by device id
  const devices = new Map<string, Device>()

  const alive = (entry: PendingEntry, nowMs: number) => nowMs - entry.ts < options.pendingLifeMs

  const pendingOf = (deviceId: string, nowMs: number) => {
    const entry = requests.get(deviceId)
    if (entry !== undefined && alive(entry, nowMs)) return entry
    requests.delete(deviceId)
    return undefined
  }

  const byRequestId = (requestId: string, nowMs: number) =>
    [...requests.values()].find((entry) => entry.requestId === requestId && alive(entry, nowMs))

  const validToken = (deviceId: string, role: string) => {
    const token = devices.get(deviceId)?.tokens.get(role)
    return token === undefined || token.revokedAtMs !== undefined ? undefined : token
  }

  const replaceToken = (device: Device, role: string, scopes: ReadonlyArray<string>, nowMs: number) => {
    const before = device.tokens.get(role)
    const token: Token = {
      role,
      scopes: scopes.toSorted(),
      createdAtMs: before?.createdAtMs ?? nowMs,
      ...(before === undefined ? {} : { rotatedAtMs: nowMs }),
      value: options.newToken(),
      lastUsedAtMs: before?.lastUsedAtMs
    }
    device.tokens.set(role, token)
    return token
  }

  return {
    pending: (nowMs) => [...requests.values()].filter((entry) => alive(entry, nowMs)),

    paired: () => [...devices.values()].map(pairedEntry),

    reasonToAsk: (asker) => {
      const device = devices.get(asker.deviceId)
      if (device === undefined) return "not-paired"
      const isOther = device.platform !== asker.platform
        || (device.deviceFamily !== undefined && device.deviceFamily !== asker.deviceFamily)
      if (isOther) return "metadata-upgrade"
      const token = validToken(asker.deviceId, asker.role)
      if (token === undefined) return "role-upgrade"
      return asker.scopes.every((scope) => satisfies(token.scopes, scope)) ? undefined : "scope-upgrade"
    },

    approvedOf: (deviceId, role) => {
      const device = devices.get(deviceId)
      if (device === undefined) return undefined
      const token = device.tokens.get(role) ?? device.tokens.get(device.role)
      return { roles: device.roles, scopes: token?.scopes ?? device.scopes.toSorted() }
    },

    ask: (asker, nowMs, supersede) => {
      const before = pendingOf(asker.deviceId, nowMs)
      const scopes = options.merges ? union(before?.scopes ?? [], asker.scopes) : asker.scopes
      const roles = union(before?.roles ?? [], [asker.role])
      const kept = !supersede && before !== undefined && same(before.scopes, scopes) && same(before.roles, roles)
        && before.role === asker.role && before.platform === asker.platform
      const entry = pendingEntry(asker, {
        requestId: kept ? before.requestId : options.newRequestId(),
        roles,
        scopes,
        isRepair: devices.has(asker.deviceId),
        ts: nowMs
      })
      requests.delete(asker.deviceId)
      requests.set(asker.deviceId, entry)
      trim(requests, maxRequests)
      return { entry, isNew: !kept, replaced: kept ? undefined : before }
    },

    isByCode: (deviceId) => devices.get(deviceId)?.approvedVia === "bootstrap",

    approve: (requestId, nowMs, via = "owner") => {
      const entry = byRequestId(requestId, nowMs)
      if (entry === undefined) return undefined
      requests.delete(entry.deviceId)
      const device = approvedDevice(entry, devices.get(entry.deviceId), nowMs, via)
      for (const role of entry.roles) {
        const asked = role === "operator"
          ? entry.scopes
          : entry.scopes.filter((scope) => !scope.startsWith("operator."))
        replaceToken(device, role, union(device.tokens.get(role)?.scopes ?? [], asked), nowMs)
      }
      devices.set(entry.deviceId, device)
      return pairedEntry(device)
    },

    reject: (requestId, nowMs) => {
      const entry = byRequestId(requestId, nowMs)
      if (entry !== undefined) requests.delete(entry.deviceId)
      return entry
    },

    tokenMatches: (deviceId, role, sent) => {
      const token = validToken(deviceId, role)
      return token !== undefined && Redacted.value(token.value) === sent
    },

    token: (deviceId, role) => {
      const token = validToken(deviceId, role)
      return token === undefined ? undefined : issuedToken(token)
    },

    seen: (deviceId, role, nowMs, byToken) => {
      const device = devices.get(deviceId)
      if (device === undefined) return
      device.lastSeenAtMs = nowMs
      const token = device.tokens.get(role)
      if (token !== undefined && byToken) token.lastUsedAtMs = nowMs
    },

    rotate: (deviceId, role, nowMs) => {
      const device = devices.get(deviceId)
      const token = validToken(deviceId, role)
      return device === undefined || token === undefined
        ? undefined
        : issuedToken(replaceToken(device, role, token.scopes, nowMs))
    },

    revoke: (deviceId, role, nowMs) => {
      const token = validToken(deviceId, role)
      if (token === undefined) return false
      devices.get(deviceId)?.tokens.set(role, { ...token, revokedAtMs: nowMs })
      return true
    },

    remove: (deviceId) => {
      requests.delete(deviceId)
      return devices.delete(deviceId)
    },

    removeRole: (deviceId, role) => removeRole(devices, deviceId, role)
  }
}
