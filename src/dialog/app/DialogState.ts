/**
 * What the dialog stands for: a pure function from what it was and one thing that happened to what it is.
 *
 * A request is known by gateway, device and request id (reason and scopes where there is no id), and by no time and no
 * text. It opens once: what repeats it changes what is shown, and whoever dismissed it opens it again by hand.
 */
import type { UpgradeEnd } from "../../protocol/PairingNotice.ts"
import type { Check, DialogEvent, Failure, Request } from "./EventReader.ts"

/** `refused`: the server does not know our key, so trying again is of no use until there is another. */
export type Contact = "none" | "open" | "lost" | "refused"

/** How a wait ended: the device was let in, it has more scopes now, or it has none of those that it wished for. */
export type End = "resolved" | "widened" | UpgradeEnd

export type View =
  | { readonly is: "idle" }
  | {
    readonly is: "pending"
    readonly key: string
    readonly request: Request
    /** What the gateway does with the request: keeps it, is about to drop it, has dropped it. */
    readonly phase: "kept" | "expiring" | "expired"
    /** It took the place of another one, whose command is dead. */
    readonly superseded: boolean
  }
  /** Nothing has to be done any more. It is told beside the page, never in front of it. */
  | { readonly is: "over"; readonly end: End }
  | { readonly is: "halted"; readonly key: string; readonly failure: Failure }

export interface DialogState {
  readonly view: View
  /** The view is in front of the reader; otherwise it is dismissed, and a control opens it. */
  readonly open: boolean
  readonly gateway: string
  readonly identity: { readonly deviceId: string; readonly words: string } | undefined
  readonly connection: "unknown" | "connecting" | "connected" | "waiting" | "paused" | "stopped" | "halted"
  /** When the agent dials again, while it cannot reach the gateway. */
  readonly retryAt: number | undefined
  readonly check: Check
  readonly contact: Contact
  /** After the stream was lost: the request has not been named again, so it may have ended meanwhile. */
  readonly unconfirmed: boolean
}

export type Happening =
  | DialogEvent
  | { readonly event: "check"; readonly check: Check }
  | { readonly event: "contact"; readonly contact: Contact }
  /** The stream is back, and what it repeats at its beginning has been read. */
  | { readonly event: "caught-up" }
  | { readonly event: "dismiss" | "reopen" }

const notChecking: Check = { checking: false, nextCheckAt: undefined }

export const initial: DialogState = {
  view: { is: "idle" },
  open: false,
  gateway: "",
  identity: undefined,
  connection: "unknown",
  retryAt: undefined,
  check: notChecking,
  contact: "none",
  unconfirmed: false
}

export const requestKey = (gateway: string, { deviceId, reason, requested, requestId }: Request): string =>
  JSON.stringify([gateway, deviceId, requestId ?? [reason, ...(requested ?? []).toSorted()]])

export const step = (state: DialogState, happening: Happening): DialogState => {
  const { view } = state
  switch (happening.event) {
    case "identity":
      return { ...state, identity: { deviceId: happening.deviceId, words: happening.compareCode } }
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
      return view.is === "pending" && view.request.deviceId === happening.deviceId
        ? over(state, endOf(state, happening))
        : state
    case "halted": {
      const { error } = happening
      const key = JSON.stringify([state.gateway, error.error, error.reason])
      const same = view.is === "halted" && view.key === key
      return {
        ...state,
        connection: "halted",
        check: notChecking,
        view: { is: "halted", key, failure: error },
        open: same ? state.open : true,
        unconfirmed: false
      }
    }
    case "waiting":
      return { ...noLongerHalted(state), connection: "waiting", retryAt: happening.retryAt }
    case "connecting":
    case "connected":
    case "paused":
    case "stopped":
      return { ...noLongerHalted(state), connection: happening.event, retryAt: undefined }
    case "check":
      return { ...state, check: happening.check }
    case "contact":
      return {
        ...state,
        contact: happening.contact,
        unconfirmed: state.unconfirmed || (state.contact === "lost" && happening.contact === "open")
      }
    case "caught-up":
      if (!state.unconfirmed) return state
      return view.is === "pending" ? over(state, endOf(state, happening)) : { ...state, unconfirmed: false }
    case "dismiss":
      return view.is === "over" ? idle(state) : { ...state, open: false }
    case "reopen":
      return view.is === "idle" || view.is === "over" ? state : { ...state, open: true }
    case "task.queued":
    case "task.sent":
    case "task.phase":
    case "task.reply":
    case "task.failed":
      return state
  }
}

const withRequest = (
  state: DialogState,
  event: Extract<DialogEvent, { readonly request: Request }>["event"],
  request: Request
): DialogState => {
  const { view } = state
  const key = requestKey(state.gateway, request)
  const before = view.is === "pending" && (view.key === key || isSameWithoutScopes(event, view.request, request))
    ? view
    : undefined
  const phase = event === "pairing.expired" ? "expired" : event === "pairing.expiring" ? "expiring" : "kept"
  return {
    ...state,
    unconfirmed: false,
    open: before === undefined ? true : state.open,
    view: {
      is: "pending",
      key: before?.key ?? key,
      // What has expired names no commands and no scopes; its commands are dead, its scopes are still worth showing.
      request: event === "pairing.expired" && before !== undefined
        ? {
          ...request,
          requested: before.request.requested,
          approved: before.request.approved,
          connected: before.request.connected
        }
        : request,
      phase,
      superseded: before?.superseded ?? event === "pairing.superseded"
    }
  }
}

/** The event of an expiry has no scopes, which are part of the key where there is no id. */
const isSameWithoutScopes = (event: DialogEvent["event"], before: Request, now: Request): boolean =>
  event === "pairing.expired" && now.requestId === undefined && before.requestId === undefined
  && before.deviceId === now.deviceId && before.reason === now.reason

const idle = (state: DialogState): DialogState => ({
  ...state,
  view: { is: "idle" },
  open: false,
  unconfirmed: false,
  check: notChecking
})

/** How what waits ends with this; absent where it just ends. */
export const endOf = ({ connection, view }: DialogState, happening: Happening): End | undefined => {
  const more = view.is === "pending" && view.request.connected
  if (happening.event === "pairing.resolved") return more ? "widened" : "resolved"
  if (happening.event === "pairing.cancelled") return happening.outcome
  // It ended unseen. Being connected says that the device was let in, and nothing about more scopes.
  return happening.event === "caught-up" && connection === "connected" && !more ? "resolved" : undefined
}

const over = (state: DialogState, end: End | undefined): DialogState => ({
  ...idle(state),
  view: end === undefined ? { is: "idle" } : { is: "over", end }
})

const noLongerHalted = (state: DialogState): DialogState => state.view.is === "halted" ? idle(state) : state
