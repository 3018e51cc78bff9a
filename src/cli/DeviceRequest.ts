/**
 * What `devices` decides: which request or device a word means, what a request asks beyond what is approved, and whether it
 * still asks for what a person was shown. Pure.
 */
import * as Result from "effect/Result"
import { covers } from "../protocol/Connect.ts"
import type { Device } from "../protocol/Method.ts"
import type { nodePairList } from "../protocol/NodeMethod.ts"

/** Pairing of a device, or the commands by which the gateway's agent uses the tools of one (OpenClaw: the surface of a node). */
export type About = "pairing" | "tools"

/** What is asked or approved. */
export interface Rights {
  readonly roles: ReadonlyArray<string>
  /** Scopes of a pairing, commands of tools. */
  readonly names: ReadonlyArray<string>
}

interface Description extends Rights {
  readonly about: About
  /** The id of the device, which is also that of the node. */
  readonly deviceId: string
  readonly name: string
  readonly platform: string
}

/** A request that waits for a decision. */
export interface Request extends Description {
  readonly requestId: string
  readonly remoteIp: string
  /** Milliseconds on the gateway's clock. */
  readonly askedAtMs: number | undefined
}

/** A device token, without its value. */
export interface Token {
  readonly role: string
  readonly scopes: ReadonlyArray<string>
  readonly revoked: boolean
}

/** What is approved. */
export interface Approved extends Description {
  readonly connected: boolean
  readonly tokens: ReadonlyArray<Token>
}

/** Everything that waits on a gateway and everything that is approved. */
export interface Listing {
  readonly requests: ReadonlyArray<Request>
  readonly approved: ReadonlyArray<Approved>
}

const rolesOf = ({ role, roles }: Device): ReadonlyArray<string> => roles ?? (role === undefined ? [] : [role])

const timeOf = (ms: unknown): number | undefined => typeof ms === "number" && Number.isFinite(ms) ? ms : undefined

const described = (device: Device): Description => ({
  about: "pairing",
  deviceId: device.deviceId,
  name: device.displayName ?? device.clientId ?? "",
  platform: device.platform ?? "",
  roles: rolesOf(device),
  names: device.scopes ?? []
})

/** The answers of `device.pair.list` and `node.pair.list` as one. */
export const listing = (
  devices: { readonly pending: ReadonlyArray<Device>; readonly paired: ReadonlyArray<Device> },
  nodes: typeof nodePairList.answer.Type
): Listing => ({
  requests: [
    ...devices.pending.flatMap((device): ReadonlyArray<Request> =>
      device.requestId === undefined ? [] : [{
        ...described(device),
        requestId: device.requestId,
        remoteIp: device.remoteIp ?? "",
        askedAtMs: timeOf(device.ts)
      }]
    ),
    ...nodes.pending.map((node): Request => ({
      about: "tools",
      deviceId: node.nodeId,
      requestId: node.requestId,
      name: node.displayName ?? "",
      platform: node.platform ?? "",
      roles: [],
      names: node.commands ?? [],
      remoteIp: node.remoteIp ?? "",
      askedAtMs: timeOf(node.ts)
    }))
  ],
  approved: [
    ...devices.paired.map((device): Approved => ({
      ...described(device),
      connected: device.connected === true,
      tokens: (device.tokens ?? []).map(({ revokedAtMs, role, scopes }) => ({
        role,
        scopes: scopes ?? [],
        revoked: timeOf(revokedAtMs) !== undefined
      }))
    })),
    ...(nodes.paired ?? []).map((node): Approved => ({
      about: "tools",
      deviceId: node.nodeId,
      name: node.displayName ?? "",
      platform: "",
      roles: [],
      names: node.commands ?? [],
      connected: false,
      tokens: []
    }))
  ]
})

/** Why a word means nothing, or more than one thing. */
export type NotOne<A> = { readonly _tag: "Unknown" } | { readonly _tag: "Several"; readonly among: ReadonlyArray<A> }

/** Characters of a device id that are enough to name it. `devices list` shows sixteen. */
const shortest = 8

const isOf = (word: string) => ({ deviceId }: { readonly deviceId: string }): boolean =>
  deviceId === word || (word.length >= shortest && deviceId.startsWith(word))

const one = <A>(found: ReadonlyArray<A>): Result.Result<A, NotOne<A>> => {
  const [first, ...others] = found
  if (first === undefined) return Result.fail({ _tag: "Unknown" })
  return others.length === 0 ? Result.succeed(first) : Result.fail({ _tag: "Several", among: found })
}

/** The request that a request id names, or the only one of the device that a device id or its beginning names. */
export const requestOf = ({ requests }: Listing, word: string): Result.Result<Request, NotOne<Request>> => {
  const byId = requests.filter(({ requestId }) => requestId === word)
  return one(byId.length > 0 ? byId : requests.filter(isOf(word)))
}

/** The device that a device id or its beginning names, or that asks by this request. */
export const deviceOf = ({ approved, requests }: Listing, word: string): Result.Result<string, NotOne<string>> => {
  const byRequest = requests.filter(({ requestId }) => requestId === word)
  const found = byRequest.length > 0 ? byRequest : [...requests, ...approved].filter(isOf(word))
  return one([...new Set(found.map(({ deviceId }) => deviceId))])
}

/** Rights of one device, by what they are about. */
export const approvedOf = ({ approved }: Listing, deviceId: string, about: About): Approved | undefined =>
  approved.find((each) => each.deviceId === deviceId && each.about === about)

/** What a request asks: that which is not approved yet, and that which is. */
export interface Difference {
  readonly newRoles: ReadonlyArray<string>
  readonly more: ReadonlyArray<string>
  readonly kept: ReadonlyArray<string>
}

/** A request against what is approved, or against what a person was shown. A wider scope covers a narrower one. */
export const difference = (asked: Rights, approved: Rights | undefined): Difference => {
  const has = (name: string) => approved !== undefined && covers(approved.names, name)
  return {
    newRoles: asked.roles.filter((role) => approved?.roles.includes(role) !== true),
    more: asked.names.filter((name) => !has(name)),
    kept: asked.names.filter(has)
  }
}

/** What becomes of a decision on a request, once the requests were read again. */
export type Verdict =
  | { readonly _tag: "Approve"; readonly requestId: string }
  /** It asks for more than the person agreed to. */
  | { readonly _tag: "Grown"; readonly requestId: string; readonly more: ReadonlyArray<string> }
  /** It was answered, or has expired. */
  | { readonly _tag: "Gone" }

/**
 * Whether a request may be approved now. `agreed`: what the person agreed to. A device that asks again may get another request
 * id, so the device counts, not the id; what it asks for now has to be within what was agreed to, unless more is accepted.
 */
export const verdict = (
  request: Pick<Request, "about" | "deviceId" | "requestId">,
  agreed: Rights,
  now: Listing,
  acceptMore: boolean
): Verdict => {
  const same = now.requests.filter(({ about, deviceId }) => about === request.about && deviceId === request.deviceId)
  const present = same.find(({ requestId }) => requestId === request.requestId) ?? same[0]
  if (present === undefined) return { _tag: "Gone" }
  const { more, newRoles } = difference(present, agreed)
  const grown = [...newRoles.map((role) => `the role ${role}`), ...more]
  return grown.length === 0 || acceptMore
    ? { _tag: "Approve", requestId: present.requestId }
    : { _tag: "Grown", requestId: present.requestId, more: grown }
}

/** The role whose token is meant: the given one, or the only one that has a valid token. */
export const roleOf = (
  { tokens }: Approved,
  given: string | undefined
): Result.Result<string, NotOne<string>> => {
  const roles = tokens.filter(({ revoked }) => !revoked).map(({ role }) => role)
  return given === undefined ? one(roles) : Result.succeed(given)
}
