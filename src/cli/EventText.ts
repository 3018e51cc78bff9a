/**
 * An event of the agent as a person reads it on a terminal or in a log. Pure.
 *
 * No text in it acts on a terminal. Words of the gateway are fields within this program's own lines; a reply is set off behind
 * a bar. Lines are broken where the terminal would break them, so that no words of others begin at the margin; commands and
 * addresses are not, as they are copied.
 */
import type * as Redacted from "effect/Redacted"
import { approvalAdvice } from "../advice/HandshakeAdvice.ts"
import { compareCode } from "../identity/CompareCode.ts"
import type { AgentEvent, Failure } from "../protocol/AgentEvent.ts"
import { covers } from "../protocol/Connect.ts"
import * as OutsideText from "../protocol/OutsideText.ts"
import { wrap } from "../protocol/TextColumns.ts"
import { queuedWords, truncatedWords } from "../tasks/TaskWords.ts"
import type { Piece } from "./LiveReply.ts"

/** How words are set off. On anything but a terminal, not at all. */
export interface Style {
  readonly good: (text: string) => string
  readonly bad: (text: string) => string
  readonly attention: (text: string) => string
  readonly dim: (text: string) => string
  readonly strong: (text: string) => string
}

const same = (text: string) => text
export const plain: Style = { good: same, bad: same, attention: same, dim: same, strong: same }

/** A line of the text. An exact one is not broken. */
type Line = string | { readonly exact: string }

/** Lines that were broken go on this far from the margin. */
const hanging = 4

/**
 * One event as a person reads it; `undefined` for what says nothing new. `columns` is the width of the terminal, 0 where there
 * is none.
 */
export const render = (event: AgentEvent, style: Style, columns = 0): string | undefined => {
  const lines = linesOf(event, style, columns)
  return lines?.flatMap((line) =>
    typeof line === "string" ? wrap(line, Math.max(0, columns - 1), hanging) : [line.exact]
  )
    .join("\n")
}

const linesOf = (event: AgentEvent, style: Style, columns: number): ReadonlyArray<Line> | undefined => {
  switch (event.event) {
    case "identity":
      return identityLines(event, style)
    case "gateway":
      return [{
        exact: `${style.dim("gateway ")} ${OutsideText.line(event.url)}${
          event.embedded ? style.dim(" (started by this program)") : ""
        }`
      }]
    case "page":
      return [{ exact: `${style.dim("page    ")} ${OutsideText.line(event.url)}` }]
    case "connecting":
      return event.attempt > 1 ? [style.dim(`connecting (attempt ${event.attempt})`)] : undefined
    case "pairing.required":
    case "pairing.superseded":
      return requestLines(event, style)
    case "pairing.reminder":
      return [
        style.attention("Still waiting for approval."),
        ...(event.approve === undefined ? [] : [{ exact: OutsideText.line(event.approve.text) }])
      ]
    case "pairing.expiring":
      return [style.attention("The approval request is about to expire, as the gateway cannot be asked.")]
    case "pairing.expired":
      return [style.attention("The approval request has expired; a new one follows when the gateway can be asked.")]
    case "pairing.renewed":
      return [style.dim("the approval request is alive again")]
    case "pairing.resolved":
      return [style.good(event.reason === "surface" ? "tools approved" : "approved")]
    case "pairing.cancelled":
      return [
        style.dim(
          event.outcome === undefined
            ? "no longer waiting for approval"
            : event.reason === "surface"
            ? "tools: the gateway's agent may not use them"
            : `more scopes: ${without[event.outcome]}`
        )
      ]
    case "connected":
      return [connectedLine(event, style)]
    case "tools":
      return toolsLines(event, style)
    case "waiting":
      return [
        style.dim(`${text(event.cause.message)}; trying again at ${OutsideText.field(event.retryAt.slice(11, 19))} UTC`)
      ]
    case "paused":
      return [style.dim("paused")]
    case "halted":
      return [
        `${style.bad("stopped trying")}: ${text(event.error.message)}`,
        ...adviceOf(event.error),
        ...(event.error.next === undefined ? [] : [text(event.error.next)])
      ]
    case "tool.asked":
      return questionLines(event, style, columns)
    case "tool.settled":
      return [style.dim(`tool ${text(event.tool)} (${text(event.questionId)}): ${settled[event.outcome]}`)]
    case "answer.refused":
      return [style.attention(`${text(event.questionId)}: ${unanswered[event.reason]}`)]
    case "task.text": // the reply follows, and tools are phases too
    case "task.tool":
      return undefined
    case "task.queued":
    case "task.sent":
    case "task.phase":
    case "task.failed":
      return taskLines(event, style)
    case "task.reply": {
      return [
        { exact: replyPiece(event.taskId, { text: event.text, first: true }, style, columns) },
        ...(event.truncated === true ? [style.attention(truncatedWords(event.text))] : [])
      ]
    }
    case "task.refused":
      return [
        `${style.bad(`line ${event.line} was not taken`)}: ${text(event.error.message)}: ${text(event.summary)}`,
        ...adviceOf(event.error)
      ]
    case "task.saved": {
      const facts = `${event.bytes} bytes${event.mimeType === undefined ? "" : `, ${text(event.mimeType)}`}`
      const path = OutsideText.line(event.path)
      return [{ exact: style.dim(`task ${shortId(event.taskId)} saved ${path} (${facts})`) }]
    }
    case "stopped":
      return [style.dim("stopped")]
  }
}

/** A piece of a reply behind its bar: its beginning behind the name of the task, too. */
export const replyPiece = (taskId: string, { first, text }: Piece, style: Style, columns = 0): string => {
  const task = `task ${shortId(taskId)}`
  const lead = `${first ? task : " ".repeat(task.length)} | `
  const shown = OutsideText.reply(text, { lead, columns: Math.max(0, columns - 1) })
  return first ? `${style.good(task)}${shown.slice(task.length)}` : shown
}

export type ReplyOfTask = EventOf<"task.reply">

/**
 * The text of a reply alone, for a program that reads it: lines and tabs as they are, and what could act on a terminal made
 * visible.
 */
export const replyText = (event: ReplyOfTask, secrets: ReadonlyArray<Redacted.Redacted>): string =>
  OutsideText.redact(event.text, secrets).split(/\r\n?|\n/u).map((line) =>
    line.split("\t").map(OutsideText.line).join("\t")
  ).join("\n")

type EventOf<Name extends AgentEvent["event"]> = Extract<AgentEvent, { readonly event: Name }>

const identityLines = (event: EventOf<"identity">, style: Style): ReadonlyArray<Line> => {
  const source = event.path !== undefined
    ? `${event.created ? "created in" : "from"} ${OutsideText.line(event.path)}`
    : event.created
    ? "(in memory only)"
    : "from the configuration"
  return [
    { exact: `${style.dim("device  ")} ${event.deviceId.slice(0, 16)}… ${style.dim(source)}` },
    `${style.dim("code    ")} ${OutsideText.field(event.compareCode)}`
  ]
}

type Request = EventOf<"pairing.required" | "pairing.superseded">

const requestLines = (event: Request, style: Style): ReadonlyArray<Line> => {
  const { next, problem } = approvalAdvice(event.reason)
  const command = (event.approve ?? event.list).text
  return [
    "",
    style.attention(requestHeading(event)),
    `${problem} Somebody has to approve it.`,
    ...scopesOf(event),
    `It is this device if they see ${event.deviceId.slice(0, 16)}… or this code: ${
      style.strong(compareCode(event.deviceId).words)
    }`,
    event.approve === undefined
      ? "The gateway gave no request id that could be shown. List what waits, then approve it:"
      : event.places === undefined
      ? "Paste this into a second terminal:"
      : "Paste this into a terminal on the gateway host:",
    "",
    { exact: style.strong(OutsideText.line(command)) },
    "",
    ...otherPlaces(event, style),
    ...(event.note === undefined ? [] : [text(event.note)]),
    style.dim(
      event.connected === true
        ? "It works meanwhile with what was approved, and takes the others over by itself."
        : `Nothing has to be restarted. ${next}`
    )
  ]
}

const requestHeading = (event: Request): string => {
  if (event.event === "pairing.required") {
    return event.connected === true ? "More scopes wait for approval." : "Approval needed, once."
  }
  const dead = event.previousRequestId === undefined ? "earlier command" : `command for ${event.previousRequestId}`
  return `The gateway replaced the request; the ${dead} no longer works.`
}

/** What is asked for; where some of it was approved before, what is new. */
const scopesOf = ({ approvedScopes = [], requestedScopes = [] }: Request): ReadonlyArray<string> => {
  const added = requestedScopes.filter((scope) => !covers(approvedScopes, scope))
  if (requestedScopes.length === 0) return []
  return approvedScopes.length === 0 || added.length === 0
    ? [`It asks for ${OutsideText.names(requestedScopes)}.`]
    : [`It has ${OutsideText.names(approvedScopes)}, and asks for ${OutsideText.names(added)} besides.`]
}

/** The same command for a gateway that lives somewhere else, where that is not known. */
const otherPlaces = ({ places = [] }: Request, style: Style): ReadonlyArray<Line> => {
  // PowerShell runs the host's command as it is written.
  const others = places.filter(({ place }) => place !== "host" && place !== "powershell")
  return others.length === 0 ? [] : [
    style.dim("If the gateway lives in a container or on another machine, one of these instead:"),
    ...others.map(({ approve, list }) => ({ exact: style.dim(OutsideText.line((approve ?? list).text)) })),
    ""
  ]
}

const without = {
  rejected: "rejected; it works on with those that it has",
  expired: "nobody answered before the request expired; it works on with those that it has",
  replaced: "rejected, or expired: the gateway does not say which; it works on with those that it has",
  unseen: "nobody answered; it works on with those that it has",
  refused: "the gateway does not take the request; it works on with those that it has",
  ended: "no longer asked for"
} as const

const connectedLine = (event: EventOf<"connected">, style: Style): string => {
  if (event.suspension !== undefined) {
    return style.attention("the gateway is suspended and takes no work; tasks are kept until it goes on")
  }
  const version = OutsideText.field(event.serverVersion ?? "unknown", { maxLength: OutsideText.lengths.name })
  const token = event.deviceTokenIssued ? "" : ", no device token (this gateway admits the client by its credential)"
  return [
    style.good("connected"),
    style.dim(
      `protocol ${event.protocol}, gateway ${version}, scopes ${OutsideText.names(event.scopes) || "none"}${token}`
    ),
    ...(event.missingScopes === undefined
      ? []
      : [style.attention(`not granted: ${OutsideText.names(event.missingScopes)}`)]),
    ...clockNote(event.clockDeltaMs).map(style.attention)
  ].join("  ")
}

const toolsLines = (event: EventOf<"tools">, style: Style): ReadonlyArray<Line> | undefined => {
  const because = event.error === undefined ? [] : adviceOf(event.error)
  const why = text(event.error?.message ?? "")
  switch (event.state) {
    case "connecting":
    case "awaiting-approval":
      return undefined
    case "published":
      return [`${style.good("tools")}  the gateway's agent has ${OutsideText.names(event.tools ?? []) || "none"}`]
    case "waiting": {
      const at = OutsideText.field((event.retryAt ?? "").slice(11, 19))
      return [style.dim(`tools: ${why}; trying again at ${at} UTC`)]
    }
    case "rejected":
      return [style.attention("tools: rejected; start this program again to ask again")]
    case "switched-off":
      return [style.attention("tools: a setting of the gateway keeps tools of devices out (gateway.nodes)")]
    case "superseded":
      return [style.attention("tools: another program of this device serves them; this one waits")]
    case "not-offered":
    case "halted":
      return [`${style.bad("tools")}: ${why}`, ...because]
  }
}

const settled = {
  allowed: "allowed",
  denied: "refused",
  ended: "nobody decided before the call was over; it was not made"
} as const

const unanswered = {
  late: "too late, this question has ended",
  unknown: "there is no such question; nothing was allowed or refused"
} as const

/** The arguments are behind a bar: they are words of a model, which somebody else may have told it. */
const questionLines = (event: EventOf<"tool.asked">, style: Style, columns: number): ReadonlyArray<Line> => {
  const title = event.title === undefined ? "" : ` (${text(event.title)})`
  const from = event.session === undefined ? "" : ` in ${text(event.session)}`
  const id = text(event.questionId)
  return [
    "",
    `${style.attention("May the gateway's agent call a marked tool?")} ${
      style.strong(text(event.tool))
    }${title}${from}`,
    { exact: OutsideText.reply(event.arguments, { columns: Math.max(0, columns - 1) }) },
    ...(event.leftOut === undefined
      ? []
      : [style.attention(`${event.leftOut} more characters of the arguments are not shown.`)]),
    `Until ${text(event.answerBy.slice(11, 19))} UTC type ${style.strong(`y ${id}`)} to allow it once, or ${
      style.strong(`n ${id}`)
    } to refuse it.`
  ]
}

/** Gateways accept two minutes; half a minute is worth a word before that. */
const notedDeltaMs = 30_000

const clockNote = (deltaMs: number | undefined): ReadonlyArray<string> =>
  deltaMs === undefined || Math.abs(deltaMs) < notedDeltaMs
    ? []
    : [
      `this machine's clock is ${Math.round(Math.abs(deltaMs) / 1000)} s ${
        deltaMs > 0 ? "behind" : "ahead of"
      } the gateway's`
    ]

const taskLines = (
  event: EventOf<"task.queued" | "task.sent" | "task.phase" | "task.failed">,
  style: Style
): ReadonlyArray<Line> => {
  const task = `task ${shortId(event.taskId)}`
  switch (event.event) {
    case "task.queued":
      return [style.dim(`${task} kept: ${queued(event.reason)}`)]
    case "task.sent":
      return [style.dim(`${task} sent`)]
    case "task.phase":
      return [style.dim(`${task} ${phaseText(event.phase)}`)]
    case "task.failed":
      return [`${style.bad(`${task} failed`)}: ${text(event.error.message)}`, ...adviceOf(event.error)]
  }
}

/** What has to happen before a kept task is sent. A reason that this release does not know is shown as it is. */
const queued = (reason: string): string =>
  (Object.hasOwn(queuedReasons, reason) ? queuedReasons[reason] : undefined) ?? phaseText(reason)
const queuedReasons: Readonly<Record<string, string>> = queuedWords

/** What is being done right now, as the gateway names it. */
export const phaseText = (phase: string): string => OutsideText.field(phase, { maxLength: OutsideText.lengths.phase })

const text = (words: string): string => OutsideText.field(words, { maxLength: OutsideText.lengths.text })

/** Advice on a line of its own. */
const adviceOf = ({ advice }: Failure): ReadonlyArray<string> => advice === undefined ? [] : [text(advice)]

/** A failure and its advice, as sentences. */
export const failureText = (failure: Failure): string => [text(failure.message), ...adviceOf(failure)].join("\n")

const shortId = (taskId: string): string => OutsideText.field(taskId.slice(0, 8), { maxLength: 8 })
