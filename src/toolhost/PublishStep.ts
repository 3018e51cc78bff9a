/**
 * How the tools of a host stand with its gateway, and when they are published next: a pure step.
 *
 * A gateway answers a publication with the tools that it took. It takes none while a person has not approved the command, and
 * says who waits for what when it is asked. The node hears of an approval from some releases, and of a rejection from none, so
 * a host that waits asks again. Times are monotonic milliseconds.
 */
import type { AnswerInvalid, RequestError } from "../connection/RequestError.ts"
import type { RequestId } from "../protocol/Connect.ts"
import { ToolsNotOffered } from "./ToolError.ts"

/** A request to approve the command of the tools. It has no end but a person's decision. */
export interface SurfaceApproval {
  /** Absent where the gateway does not say. */
  readonly requestId: RequestId | undefined
  readonly sinceMs: number
  readonly lastAskedAtMs: number
  /** How often the gateway replaced the request during this wait. */
  readonly replaced: number
}

/** How the tools of a host stand with its gateway. */
export type ToolHostStatus =
  /** No link, or nothing is known yet over this one. */
  | { readonly _tag: "Offline" }
  /** A person has to approve once that the gateway calls tools of this device. */
  | { readonly _tag: "AwaitingApproval"; readonly approval: SurfaceApproval }
  /** The gateway's agent has these tools. */
  | { readonly _tag: "Published"; readonly tools: ReadonlyArray<string> }
  /** `Rejected`: a person said no. `SwitchedOff`: a setting of the gateway keeps tools of devices out. */
  | { readonly _tag: "Withheld"; readonly reason: "Rejected" | "SwitchedOff" }
  | { readonly _tag: "NotOffered"; readonly error: ToolsNotOffered }
  /** Another connection of this device serves as its node. This one waits, as two would take the place of each other for ever. */
  | { readonly _tag: "Superseded" }

/** What a host remembers from one step to the next. */
export interface Memory {
  readonly status: ToolHostStatus
  /** Refusals in a row that may pass by themselves, and how many of them say that another connection took the place. */
  readonly failures: number
  readonly displaced: number
  readonly serverVersion: string | undefined
}

/** What happened to the connection of the node, or to a request of it. */
export type Input =
  | { readonly _tag: "Connected"; readonly serverVersion: string | undefined }
  | { readonly _tag: "Disconnected" }
  /** The gateway has answered a publication of so many tools. */
  | { readonly _tag: "Taken"; readonly offered: number; readonly tools: ReadonlyArray<string> }
  /** What the gateway says of its approval, after it took nothing. */
  | { readonly _tag: "Pending"; readonly requestId: RequestId; readonly nowMs: number }
  | { readonly _tag: "NotPending"; readonly approved: boolean }
  | { readonly _tag: "Failed"; readonly error: RequestError | AnswerInvalid }

/** What the host does next. */
export type Decision =
  /** Publish, after so long or when there is news. */
  | { readonly _tag: "Publish"; readonly afterMs: number }
  /** Ask what the gateway's approval waits for. */
  | { readonly _tag: "Inquire" }
  /** Do nothing over this link. */
  | { readonly _tag: "Rest" }

/** Before the first connection. */
export const idle: Memory = { status: { _tag: "Offline" }, failures: 0, displaced: 0, serverVersion: undefined }

/** The first wait after a refusal, in milliseconds, and the longest. */
const firstBackoffMs = 250
const longestBackoffMs = 5000
/** A refusal of the kind that a replaced connection gets also comes while an approval is made, and then passes. */
const displacedAfter = 5
/** How often a waiting host asks, and for how long it asks more often. */
const soonMs = 5000
const soonUntilMs = 300_000
const laterMs = 30_000
/** How often tools are published that are published already, to notice what the gateway tells nobody. */
const refreshMs = 60_000

/** Total: every input has an answer in every state. */
export const step = (memory: Memory, input: Input): readonly [Memory, Decision] => {
  switch (input._tag) {
    case "Connected":
      return [
        { ...memory, failures: 0, displaced: 0, serverVersion: input.serverVersion },
        { _tag: "Publish", afterMs: 0 }
      ]
    case "Disconnected":
      // A request outlives the link. What else was known belongs to it.
      return [
        { ...memory, status: memory.status._tag === "AwaitingApproval" ? memory.status : { _tag: "Offline" } },
        { _tag: "Rest" }
      ]
    case "Taken":
      return input.tools.length > 0 || input.offered === 0
        ? [settled(memory, { _tag: "Published", tools: input.tools }), { _tag: "Publish", afterMs: refreshMs }]
        : [{ ...memory, failures: 0, displaced: 0 }, { _tag: "Inquire" }]
    case "Pending": {
      const approval = approvalOf(memory.status, input.requestId, input.nowMs)
      const soon = input.nowMs - approval.sinceMs < soonUntilMs
      return [
        settled(memory, { _tag: "AwaitingApproval", approval }),
        { _tag: "Publish", afterMs: soon ? soonMs : laterMs }
      ]
    }
    case "NotPending":
      return [
        settled(memory, { _tag: "Withheld", reason: input.approved ? "SwitchedOff" : "Rejected" }),
        { _tag: "Publish", afterMs: refreshMs }
      ]
    case "Failed":
      return failed(memory, input.error)
  }
}

const settled = (memory: Memory, status: ToolHostStatus): Memory => ({ ...memory, status, failures: 0, displaced: 0 })

const approvalOf = (status: ToolHostStatus, requestId: RequestId, nowMs: number): SurfaceApproval => {
  if (status._tag !== "AwaitingApproval") return { requestId, sinceMs: nowMs, lastAskedAtMs: nowMs, replaced: 0 }
  const { approval } = status
  return {
    ...approval,
    requestId,
    lastAskedAtMs: nowMs,
    replaced: approval.replaced + (approval.requestId === requestId ? 0 : 1)
  }
}

const failed = (memory: Memory, error: RequestError | AnswerInvalid): readonly [Memory, Decision] => {
  const refused = (reason: ToolsNotOffered["reason"], gatewayMessage: string): readonly [Memory, Decision] => [
    settled(memory, {
      _tag: "NotOffered",
      error: new ToolsNotOffered({
        reason,
        gatewayMessage,
        ...(memory.serverVersion === undefined ? {} : { serverVersion: memory.serverVersion })
      })
    }),
    { _tag: "Rest" }
  ]
  switch (error._tag) {
    case "RequestRejected": {
      if (isUnknown(error.gatewayMessage)) return refused("Old", error.gatewayMessage)
      if (error.detailCode === "PAIRING_CHANGED") {
        const displaced = memory.displaced + 1
        return displaced < displacedAfter
          ? again({ ...memory, displaced }, error.retryAfterMs)
          : [{ ...settled(memory, { _tag: "Superseded" }), displaced }, { _tag: "Rest" }]
      }
      return error.code === "UNAVAILABLE" || error.retryable === true
        ? again(memory, error.retryAfterMs)
        : refused("Refused", error.gatewayMessage)
    }
    case "AnswerInvalid":
    case "FrameTooLarge":
    case "MissingScope":
      return refused("Refused", error.message)
    case "RequestTimeout":
      return again(memory)
    // The end of the link is told by the session.
    case "LinkError":
      return [memory, { _tag: "Rest" }]
  }
}

/** As releases before 2026.8 refuse, and others over protocol 3. */
const isUnknown = (message: string): boolean => /^unknown method\b|^unauthorized role: node$/.test(message)

const again = (memory: Memory, notBeforeMs = 0): readonly [Memory, Decision] => [
  { ...memory, failures: memory.failures + 1 },
  {
    _tag: "Publish",
    afterMs: Math.max(notBeforeMs, Math.min(firstBackoffMs * 2 ** memory.failures, longestBackoffMs))
  }
]
