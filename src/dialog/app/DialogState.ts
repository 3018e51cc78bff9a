/**
 * What the dialog knows of an agent: a pure step from what it knew and one happening to what it knows now.
 *
 * A request is known by gateway, device and request id (by reason and scopes where there is no id), and by no time and no
 * text. It opens once: what repeats it changes what is shown, and a reader who dismissed it opens it again by hand.
 */
import type { UpgradeEnd } from "../../protocol/PairingNotice.ts"
import type { Check, DialogEvent, Failure, Request } from "./EventReader.ts"

/** `refused`: the server does not accept the token of this page, so the stream stays closed until there is another. */
export type Contact = "none" | "open" | "lost" | "refused"

/** How a wait ended: the device was approved, it has more scopes now, or it has none of those that it asked for. */
export type End = "resolved" | "widened" | UpgradeEnd

export type Stage =
  | { readonly is: "idle" }
  | {
    readonly is: "pending"
    readonly key: string
    readonly request: Request
    /** What the gateway does with the request: keeps it, is about to drop it, has dropped it. */
    readonly phase: "kept" | "expiring" | "expired"
    /** It replaced another request, whose command no longer works. */
    readonly superseded: boolean
  }
  /** Nothing has to be done any more. */
  | { readonly is: "over"; readonly end: End }
  | { readonly is: "halted"; readonly key: string; readonly failure: Failure }

/** The last event that said how the agent's connection to its gateway stands. */
export type Connection =
  | { readonly event: "unknown" }
  | Extract<
    DialogEvent,
    { readonly event: "connecting" | "connected" | "waiting" | "paused" | "halted" | "stopped" }
  >

export interface DialogState {
  readonly stage: Stage
  /** The stage is in front of the reader. A pending or halted one that is not was dismissed. */
  readonly open: boolean
  readonly gateway: string
  readonly identity: Extract<DialogEvent, { readonly event: "identity" }> | undefined
  readonly connection: Connection
  /** `failed`: the reader wanted a check, and the agent could not be told. */
  readonly check: Check & { readonly failed?: true }
  readonly contact: Contact
  /** The stream was opened anew, and the request has not been named again: it may have ended meanwhile. */
  readonly unconfirmed: boolean
}

export type Happening =
  | DialogEvent
  | { readonly event: "check"; readonly check: Check }
  /** The reader wants a check and the agent is being told; it could not be told. */
  | { readonly event: "check-wanted" | "check-failed" }
  | { readonly event: "contact"; readonly contact: Contact }
  /** The stream is back, and what it repeats at its beginning has been read. */
  | { readonly event: "caught-up" }
  | { readonly event: "dismiss" | "reopen" }

const notChecking: Check = { checking: false, nextCheckAt: undefined }

export const initial: DialogState = {
  stage: { is: "idle" },
  open: false,
  gateway: "",
  identity: undefined,
  connection: { event: "unknown" },
  check: notChecking,
  contact: "none",
  unconfirmed: false
}

export const requestKey = (gateway: string, { deviceId, reason, requested, requestId }: Request): string =>
  JSON.stringify([gateway, deviceId, requestId ?? [reason, ...(requested ?? []).toSorted()]])

export const step = (state: DialogState, happening: Happening): DialogState => {
  const { check, stage } = state
  switch (happening.event) {
    case "identity":
      return { ...state, identity: happening }
    case "gateway":
      return { ...state, gateway: happening.url }
    case "pairing.required":
    case "pairing.reminder":
    case "pairing.superseded":
    case "pairing.expiring":
    case "pairing.renewed":
    case "pairing.expired":
      return withRequest(state, happening.event, happening.request)
    case "pairing.resolved":
    case "pairing.cancelled":
      return stage.is === "pending" && stage.request.deviceId === happening.deviceId
        ? over(state, endOf(state, happening))
        : state
    case "halted": {
      const { error } = happening
      const key = JSON.stringify([state.gateway, error.error, error.reason])
      return {
        ...state,
        connection: happening,
        check: notChecking,
        stage: { is: "halted", key, failure: error },
        open: stage.is === "halted" && stage.key === key ? state.open : true,
        unconfirmed: false
      }
    }
    case "connecting":
    case "connected":
    case "waiting":
    case "paused":
    case "stopped":
      return { ...(stage.is === "halted" ? idle(state) : state), connection: happening }
    case "check":
      return { ...state, check: happening.check }
    case "check-wanted":
      return { ...state, check: { checking: true, nextCheckAt: check.nextCheckAt } }
    case "check-failed":
      return { ...state, check: { checking: false, nextCheckAt: check.nextCheckAt, failed: true } }
    case "contact":
      return {
        ...state,
        contact: happening.contact,
        unconfirmed: state.unconfirmed || (state.contact !== "none" && happening.contact === "open")
      }
    case "caught-up":
      if (!state.unconfirmed) return state
      return stage.is === "pending" ? over(state, endOf(state, happening)) : { ...state, unconfirmed: false }
    case "dismiss":
      return stage.is === "over" ? idle(state) : { ...state, open: false }
    case "reopen":
      return stage.is === "idle" || stage.is === "over" ? state : { ...state, open: true }
  }
}

const withRequest = (
  state: DialogState,
  event: Extract<DialogEvent, { readonly request: Request }>["event"],
  request: Request
): DialogState => {
  const { stage } = state
  const key = requestKey(state.gateway, request)
  const before = stage.is === "pending" && (stage.key === key || isSameWithoutScopes(event, stage.request, request))
    ? stage
    : undefined
  return {
    ...state,
    unconfirmed: false,
    open: before === undefined ? true : state.open,
    stage: {
      is: "pending",
      key: before?.key ?? key,
      request: {
        ...request,
        // An agent that was started again names the same request with a later time.
        since: earlier(before?.request.since, request.since),
        // What has expired names no commands and no scopes; its commands no longer work, its scopes are still worth showing.
        ...(event === "pairing.expired" && before !== undefined
          ? {
            requested: before.request.requested,
            approved: before.request.approved,
            connected: before.request.connected
          }
          : {})
      },
      phase: event === "pairing.expired" ? "expired" : event === "pairing.expiring" ? "expiring" : "kept",
      superseded: before?.superseded ?? event === "pairing.superseded"
    }
  }
}

/** The event of an expiry has no scopes, which are part of the key where there is no id. */
const isSameWithoutScopes = (event: DialogEvent["event"], before: Request, now: Request): boolean =>
  event === "pairing.expired" && now.requestId === undefined && before.requestId === undefined
  && before.deviceId === now.deviceId && before.reason === now.reason

const earlier = (one: number | undefined, other: number | undefined): number | undefined =>
  one === undefined || (other !== undefined && other < one) ? other : one

const idle = (state: DialogState): DialogState => ({
  ...state,
  stage: { is: "idle" },
  open: false,
  unconfirmed: false,
  check: notChecking
})

const over = (state: DialogState, end: End | undefined): DialogState => ({
  ...idle(state),
  stage: end === undefined ? { is: "idle" } : { is: "over", end }
})

/** How the pending request ends with this; absent where nothing says how. */
const endOf = ({ connection, stage }: DialogState, happening: Happening): End | undefined => {
  const more = stage.is === "pending" && stage.request.connected
  if (happening.event === "pairing.resolved") return more ? "widened" : "resolved"
  if (happening.event === "pairing.cancelled") return happening.outcome
  // It ended unseen. Being connected says that the device was approved, and nothing about more scopes.
  return connection.event === "connected" && !more ? "resolved" : undefined
}
