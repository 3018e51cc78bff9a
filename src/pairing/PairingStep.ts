/**
 * What a change of the connection means for the person who has to approve: a pure function from the wait so far and one
 * event to the wait after it and the notices that follow.
 *
 * Times are milliseconds on this process's clock.
 */
import * as Hash from "effect/Hash"
import type { Approval, ConnectionStatus } from "../connection/ConnectionStatus.ts"
import { requestLifeMs } from "../connection/ConnectionStatus.ts"
import { isoTime } from "../protocol/AgentEvent.ts"
import type { DeviceId } from "../protocol/Connect.ts"
import { covers } from "../protocol/Connect.ts"
import { field, lengths } from "../protocol/OutsideText.ts"
import type { PairingNotice, UpgradeEnd } from "../protocol/PairingNotice.ts"
import type { Commands } from "./ApproveCommand.ts"

/** The notice that is open. */
export interface LiveNotice {
  readonly key: string
  /** The gateway scope: `scheme://host:port/path`. */
  readonly gateway: string
  readonly deviceId: DeviceId
  readonly approval: Approval
  /** When this request was first told. Reminders count from it. */
  readonly noticedAtMs: number
  /** When the request dies unless it is asked for again. */
  readonly expiresAtMs: number
  /** `expiresAtMs` when nothing asks again before it; absent while asking keeps the request alive. */
  readonly dropsAtMs: number | undefined
  readonly phase: "open" | "expiring" | "expired"
  /** The device is connected with the approved scopes, and only wider ones wait for a person. */
  readonly connected: boolean
}

/** What `step` remembers from one event to the next. */
export interface Pairing {
  readonly live: LiveNotice | undefined
  /** How many waits ended in an approval. Part of the key, as a gateway may repeat an id or send none. */
  readonly resolved: number
}

/** No wait, and none before. */
export const idle: Pairing = { live: undefined, resolved: 0 }

/** The tools of a device wait for a person, who has approved the device itself. */
export interface SurfaceRequired {
  readonly _tag: "SurfaceRequired"
}

/** What `step` reacts to: a change of the connection, or a timer of the live notice that has run out. */
export type PairingEvent =
  | {
    readonly _tag: "StatusChanged"
    readonly status: ConnectionStatus
    /** The gateway scope at that moment. */
    readonly gateway: string
    readonly nowMs: number
  }
  | {
    readonly _tag: "ReminderDue"
    readonly key: string
    /** With the key it names the notice: a cancelled request may be told again under the same key. */
    readonly noticedAtMs: number
    readonly reminder: number
  }
  | { readonly _tag: "ExpiryDue"; readonly key: string; readonly nowMs: number }

/** `Suppressed`: about pairing, but nothing new. `NotPairing`: not about pairing. */
export type Outcome =
  | { readonly _tag: "Emitted"; readonly notices: readonly [PairingNotice, ...Array<PairingNotice>] }
  | { readonly _tag: "Suppressed" }
  | { readonly _tag: "NotPairing" }

/** What does not change while the notifier runs: the device, and how to write the commands. */
export interface Subject {
  readonly deviceId: DeviceId
  /** Of which of the device's connections; the operator's unless set. */
  readonly role?: "node" | undefined
  readonly commands: Commands
}

/** How long before its end an expiring request is told. */
export const expiryLeadMs = 60_000

type Stepped = readonly [Pairing, Outcome]

const suppressed: Outcome = { _tag: "Suppressed" }
const notPairing: Outcome = { _tag: "NotPairing" }

/** Total: every event has an answer in every state. */
export const step = (subject: Subject, pairing: Pairing, event: PairingEvent): Stepped => {
  const { live } = pairing
  switch (event._tag) {
    case "StatusChanged":
      return onStatus(subject, pairing, event.status, event.gateway, event.nowMs)
    case "ReminderDue":
      if (live === undefined) return [pairing, notPairing]
      if (live.key !== event.key || live.noticedAtMs !== event.noticedAtMs || live.phase === "expired") {
        return [pairing, suppressed]
      }
      return [pairing, emitted([{ _tag: "Reminder", ...instructions(subject, live), reminder: event.reminder }])]
    case "ExpiryDue":
      if (live === undefined) return [pairing, notPairing]
      return live.key === event.key ? age(subject, pairing, live, [], event.nowMs) : [pairing, suppressed]
  }
}

const onStatus = (
  subject: Subject,
  pairing: Pairing,
  status: ConnectionStatus,
  gateway: string,
  nowMs: number
): Stepped => {
  switch (status._tag) {
    case "AwaitingApproval": {
      const expiresAtMs = status.approval.lastAskedAtMs + requestLifeMs
      const dropsAtMs = status.nextCheckAtMs < expiresAtMs ? undefined : expiresAtMs
      return onApproval(subject, pairing, { approval: status.approval, dropsAtMs, gateway, nowMs, connected: false })
    }
    case "Connecting":
      // A link that was lost while waiting is dialled again: the wait goes on. Only another gateway ends it.
      if (pairing.live === undefined) return [pairing, notPairing]
      return pairing.live.gateway === gateway ? [pairing, suppressed] : cancel(subject, pairing)
    case "Connected": {
      const { live } = pairing
      if (status.upgrade !== undefined) {
        const { upgrade: approval } = status
        return onApproval(subject, pairing, { approval, dropsAtMs: undefined, gateway, nowMs, connected: true })
      }
      if (live === undefined) return [pairing, notPairing]
      return live.gateway === gateway && isGranted(live, status)
        ? resolve(subject, pairing, live)
        : cancel(subject, pairing, status.declined)
    }
    case "Waiting": {
      // A request for wider scopes outlives the link over which it was made.
      const approval = status.approval ?? (pairing.live?.connected === true ? pairing.live.approval : undefined)
      return approval === undefined ? cancel(subject, pairing) : onUnasked(subject, pairing, approval, gateway, nowMs)
    }
    case "Halted":
      // Asking has stopped, yet approving still helps. Every other cause has to be dealt with first.
      return status.approval !== undefined
          && (status.cause._tag === "ApprovalTimedOut" || status.cause._tag === "PairingRequired")
        ? onUnasked(subject, pairing, status.approval, gateway, nowMs)
        : cancel(subject, pairing)
    case "Paused":
    case "Stopped":
      return cancel(subject, pairing)
  }
}

const onUnasked = (subject: Subject, pairing: Pairing, approval: Approval, gateway: string, nowMs: number) =>
  onApproval(subject, pairing, {
    approval,
    // A request for the commands of a node does not die.
    dropsAtMs: approval.reason === "surface" ? undefined : approval.lastAskedAtMs + requestLifeMs,
    gateway,
    nowMs,
    connected: pairing.live?.connected ?? false
  })

/** Whether a session with these scopes ends the wait. A device that waited to be admitted needs no certain scopes. */
const isGranted = (
  { approval, connected }: LiveNotice,
  { declined, session }: Extract<ConnectionStatus, { readonly _tag: "Connected" }>
): boolean => {
  if (!connected) return true
  if (approval.reason === "surface") return declined === undefined
  return (approval.requestedScopes ?? []).every((scope) => covers(session.facts.scopes, scope))
}

const onApproval = (subject: Subject, pairing: Pairing, { approval, connected, dropsAtMs, gateway, nowMs }: {
  readonly approval: Approval
  readonly dropsAtMs: number | undefined
  readonly gateway: string
  readonly nowMs: number
  readonly connected: boolean
}): Stepped => {
  const before = pairing.live
  const key = keyOf(subject, gateway, approval, pairing.resolved)
  const expiresAtMs = approval.lastAskedAtMs + requestLifeMs
  const opened: LiveNotice = {
    key,
    gateway,
    deviceId: subject.deviceId,
    approval,
    noticedAtMs: nowMs,
    expiresAtMs,
    dropsAtMs,
    phase: "open",
    connected
  }
  if (before === undefined) {
    // The gateway has dropped the request already, so there is nothing to approve.
    return nowMs < expiresAtMs
      ? age(subject, pairing, opened, [{ _tag: "Required", ...instructions(subject, opened) }], nowMs)
      : [pairing, suppressed]
  }
  if (before.key === key) {
    const live: LiveNotice = { ...opened, noticedAtMs: before.noticedAtMs, phase: before.phase }
    if (before.phase === "open" || expiresAtMs === before.expiresAtMs) return age(subject, pairing, live, [], nowMs)
    const renewed: LiveNotice = { ...live, phase: "open" }
    return age(subject, pairing, renewed, [{ _tag: "Renewed", ...instructions(subject, renewed) }], nowMs)
  }
  const notices: ReadonlyArray<PairingNotice> = before.gateway === gateway
    ? [{
      _tag: "Superseded",
      ...instructions(subject, opened),
      ...(before.approval.requestId === undefined ? {} : { previousRequestId: before.approval.requestId })
    }]
    : [{ _tag: "Cancelled", ...about(subject, before) }, { _tag: "Required", ...instructions(subject, opened) }]
  return age(subject, pairing, opened, notices, nowMs)
}

/** Adds the notices that follow from time alone: the request is about to expire, or has expired. */
const age = (
  subject: Subject,
  pairing: Pairing,
  live: LiveNotice,
  notices: ReadonlyArray<PairingNotice>,
  nowMs: number
): Stepped => {
  const { dropsAtMs, phase } = live
  const next = dropsAtMs === undefined || phase === "expired"
    ? phase
    : nowMs >= dropsAtMs
    ? "expired"
    : nowMs >= dropsAtMs - expiryLeadMs
    ? "expiring"
    : phase
  const aged: LiveNotice = { ...live, phase: next }
  const told: ReadonlyArray<PairingNotice> = next === phase
    ? notices
    : [...notices, ...phaseNotices(subject, aged)]
  return [{ ...pairing, live: aged }, emitted(told)]
}

const emitted = ([first, ...others]: ReadonlyArray<PairingNotice>): Outcome =>
  first === undefined ? suppressed : { _tag: "Emitted", notices: [first, ...others] }

const resolve = (subject: Subject, pairing: Pairing, live: LiveNotice): Stepped => [
  { live: undefined, resolved: pairing.resolved + 1 },
  emitted([{ _tag: "Resolved", ...about(subject, live) }])
]

const cancel = (subject: Subject, pairing: Pairing, outcome?: UpgradeEnd): Stepped =>
  pairing.live === undefined
    ? [pairing, notPairing]
    : [
      { ...pairing, live: undefined },
      emitted([{ _tag: "Cancelled", ...about(subject, pairing.live), ...(outcome === undefined ? {} : { outcome }) }])
    ]

const keyOf = (
  { deviceId, role }: Subject,
  gateway: string,
  approval: Approval,
  resolved: number
): string => {
  const request = approval.requestId
    ?? `${approval.reason}:${
      (Hash.string(JSON.stringify((approval.requestedScopes ?? []).toSorted())) >>> 0).toString(16)
    }`
  const who = role === undefined ? deviceId : `${deviceId} ${role}`
  return `${gateway} ${who} ${request}${resolved === 0 ? "" : ` ${resolved + 1}`}`
}

const about = ({ role }: Subject, { key, gateway, deviceId, approval }: LiveNotice) => ({
  ...(role === undefined ? {} : { role }),
  key,
  gateway,
  deviceId,
  ...(approval.requestId === undefined ? {} : { requestId: approval.requestId }),
  reason: approval.reason
})

const times = ({ approval, expiresAtMs }: LiveNotice) => ({
  since: isoTime(approval.sinceMs),
  expiresAt: isoTime(expiresAtMs)
})

/** Scopes of a request come from the gateway. */
const shownName = (scope: string): string => field(scope, { maxLength: lengths.name })

const instructions = (subject: Subject, live: LiveNotice) => {
  const { requestId, requestedScopes, approvedScopes, reason } = live.approval
  const isSurface = reason === "surface"
  const commands = isSurface ? subject.commands.surface ?? subject.commands : subject.commands
  return {
    ...about(subject, live),
    ...times(live),
    ...(requestedScopes === undefined ? {} : { requestedScopes: requestedScopes.map(shownName) }),
    ...(approvedScopes === undefined ? {} : { approvedScopes: approvedScopes.map(shownName) }),
    ...(live.connected && !isSurface ? { connected: true } : {}),
    list: commands.list,
    ...(requestId === undefined ? {} : { approve: commands.approve(requestId) }),
    ...(commands.places === undefined ? {} : { places: commands.places(requestId) }),
    ...(commands.note === undefined ? {} : { note: commands.note })
  }
}

/** The notice of a phase, but for the first one. */
const phaseNotices = (subject: Subject, live: LiveNotice): ReadonlyArray<PairingNotice> => {
  switch (live.phase) {
    case "open":
      return []
    case "expiring":
      return [{ _tag: "Expiring", ...instructions(subject, live) }]
    case "expired":
      return [{ _tag: "Expired", ...about(subject, live), ...times(live) }]
  }
}

/** What a late subscriber gets first, so that it knows what the others know. */
export const replay = (subject: Subject, { live }: Pairing): ReadonlyArray<PairingNotice> =>
  live === undefined ? [] : [{ _tag: "Required", ...instructions(subject, live) }, ...phaseNotices(subject, live)]
