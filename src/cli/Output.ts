/**
 * What a command prints: one JSON object a line for programs, or sentences for people.
 *
 * The answer, and nothing else, goes to standard output; logs and warnings go to standard error. Colour and the live line
 * appear on a terminal only.
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import * as Terminal from "effect/Terminal"
import { handshakeAdvice } from "../advice/HandshakeAdvice.ts"
import { compareCode } from "../identity/CompareCode.ts"
import type { AgentEvent, Failure } from "../protocol/AgentEvent.ts"
import { encodeAgentEvent, isoTime } from "../protocol/AgentEvent.ts"
import { covers } from "../protocol/Connect.ts"
import { queuedWords } from "../tasks/TaskWords.ts"

export class Output extends Context.Service<Output, {
  readonly json: boolean
  /** A person can look at standard output right now. */
  readonly terminal: boolean
  readonly event: (event: AgentEvent) => Effect.Effect<void>
  /** One line of the answer. */
  readonly line: (text: string) => Effect.Effect<void>
  /** A sentence for the person, on standard error. */
  readonly warn: (text: string) => Effect.Effect<void>
  /** Replaces the live line, or removes it when empty. Nothing on anything but a terminal. */
  readonly live: (text: string) => Effect.Effect<void>
}>()("effect-openclaw/cli/Output") {
  static readonly layer = (json: boolean): Layer.Layer<Output, never, Stdio.Stdio> => Layer.effect(this, make(json))
}

/** The present time as events show it. */
export const now = Effect.map(Clock.currentTimeMillis, isoTime)

/** The last event of a command that lives until it is stopped. */
export const stopped = (output: Output["Service"]): Effect.Effect<void> =>
  Effect.andThen(output.live(""), Effect.flatMap(now, (at) => output.event({ at, event: "stopped" })))

const make = Effect.fnUntraced(function*(json: boolean) {
  const stdio = yield* Stdio.Stdio
  const kind = yield* Effect.orDie(Config.option(Config.String("TERM")))
  // A dumb terminal prints what would move the cursor.
  const terminal = !json && (yield* stdio.stdoutIsTerminal) && Option.getOrUndefined(kind) !== "dumb"
  const noColor = yield* Effect.orDie(Config.option(Config.String("NO_COLOR")))
  const style = terminal && Option.isNone(noColor) ? colored : plain
  // Zero where the width is not known.
  const columns = Option.match(yield* Effect.serviceOption(Terminal.Terminal), {
    onNone: () => Effect.succeed(0),
    onSome: (terminal) => terminal.columns
  })
  let shown = ""

  // A reader that went away (`| head`) is no reason to stop the agent.
  const write = (text: string) => Effect.ignore(Stream.run(Stream.succeed(text), stdio.stdout()))
  const line = (text: string) =>
    Effect.suspend(() => {
      const live = shown
      return write(live === "" ? `${text}\n` : `${erase}${text}\n${live}`)
    })
  return Output.of({
    json,
    terminal,
    line,
    warn: (text) => Effect.ignore(Stream.run(Stream.succeed(`${text}\n`), stdio.stderr())),
    event: (event) => {
      if (json) return write(`${encodeAgentEvent(event)}\n`)
      const text = render(event, style)
      return text === undefined ? Effect.void : line(text)
    },
    live: (text) =>
      Effect.flatMap(columns, (width) => {
        const fitting = fitted(text, width)
        if (!terminal || fitting === shown) return Effect.void
        shown = fitting
        return write(`${erase}${fitting}`)
      })
  })
})

const erase = "\r\u001b[K"

/** A line that was wrapped could not be taken back. */
const fitted = (text: string, width: number): string =>
  width > 1 && text.length >= width ? `${text.slice(0, width - 2)}…` : text

/** How words are set off. On anything but a terminal, not at all. */
export interface Style {
  readonly good: (text: string) => string
  readonly bad: (text: string) => string
  readonly attention: (text: string) => string
  readonly dim: (text: string) => string
  readonly strong: (text: string) => string
}

const sgr = (code: number) => (text: string) => `\u001b[${code}m${text}\u001b[0m`
const same = (text: string) => text
const colored: Style = { good: sgr(32), bad: sgr(31), attention: sgr(33), dim: sgr(2), strong: sgr(1) }
export const plain: Style = { good: same, bad: same, attention: same, dim: same, strong: same }

const without = {
  rejected: "rejected; it works on with those that it has",
  expired: "nobody answered before the request expired; it works on with those that it has",
  replaced: "rejected, or expired: the gateway does not say which; it works on with those that it has",
  unseen: "nobody answered; it works on with those that it has",
  refused: "the gateway does not take the request; it works on with those that it has",
  ended: "no longer asked for"
} as const

/** One event as a person reads it; `undefined` for what says nothing new. Pure. No text in it acts on a terminal. */
export const render = (event: AgentEvent, style: Style): string | undefined => {
  switch (event.event) {
    case "identity":
      return [
        `${style.dim("device  ")} ${event.deviceId.slice(0, 16)}… ${
          style.dim(
            event.path !== undefined
              ? `${event.created ? "created in" : "from"} ${visible(event.path)}`
              : event.created
              ? "(in memory only)"
              : "from the configuration"
          )
        }`,
        `${style.dim("code    ")} ${visible(event.compareCode)}`
      ].join("\n")
    case "gateway":
      return `${style.dim("gateway ")} ${visible(event.url)}${
        event.embedded ? style.dim(" (started by this program)") : ""
      }`
    case "page":
      return `${style.dim("page    ")} ${visible(event.url)}`
    case "connecting":
      return event.attempt > 1 ? style.dim(`connecting (attempt ${event.attempt})`) : undefined
    case "pairing.required":
    case "pairing.superseded":
      return [
        "",
        style.attention(
          event.event === "pairing.required"
            ? event.connected === true ? "More scopes wait for approval." : "Approval needed, once."
            : `The gateway replaced the request; the ${
              event.previousRequestId === undefined ? "earlier command" : `command for ${event.previousRequestId}`
            } no longer works.`
        ),
        `${handshakeAdvice.PairingRequired[event.reason].problem} Somebody has to approve it.`,
        ...scopesOf(event),
        `It is this device if they see ${event.deviceId.slice(0, 16)}… or this code: ${
          style.strong(compareCode(event.deviceId).words)
        }`,
        ...(event.approve === undefined
          ? [
            "The gateway gave no request id that could be shown. List what waits, then approve it:",
            "",
            style.strong(visible(event.list.text))
          ]
          : [
            event.places === undefined
              ? "Paste this into a second terminal:"
              : "Paste this into a terminal on the gateway host:",
            "",
            style.strong(visible(event.approve.text))
          ]),
        "",
        ...elsewhere(event).map(style.dim),
        ...(event.note === undefined ? [] : [visible(event.note)]),
        style.dim(
          event.connected === true
            ? "It works meanwhile with what was approved, and takes the others over by itself."
            : `Nothing has to be restarted. ${handshakeAdvice.PairingRequired[event.reason].next}`
        )
      ].join("\n")
    case "pairing.reminder":
      return [
        style.attention("Still waiting for approval."),
        ...(event.approve === undefined ? [] : [visible(event.approve.text)])
      ].join("\n")
    case "pairing.expiring":
      return style.attention("The approval request is about to expire, as the gateway cannot be asked.")
    case "pairing.expired":
      return style.attention("The approval request has expired; a new one follows when the gateway can be asked.")
    case "pairing.renewed":
      return style.dim("the approval request is alive again")
    case "pairing.resolved":
      return style.good("approved")
    case "pairing.cancelled":
      return style.dim(
        event.outcome === undefined ? "no longer waiting for approval" : `more scopes: ${without[event.outcome]}`
      )
    case "connected":
      return [
        style.good("connected"),
        style.dim(
          `protocol ${event.protocol}, gateway ${visible(event.serverVersion ?? "unknown")}, scopes ${
            visible(event.scopes.join(" ")) || "none"
          }${event.deviceTokenIssued ? "" : ", no device token (this gateway admits the client by its credential)"}`
        ),
        ...(event.missingScopes === undefined
          ? []
          : [style.attention(`not granted: ${visible(event.missingScopes.join(" "))}`)]),
        ...clockNote(event.clockDeltaMs).map(style.attention)
      ].join("  ")
    case "waiting":
      return style.dim(`${visible(event.cause.message)}; trying again at ${visible(event.retryAt.slice(11, 19))} UTC`)
    case "paused":
      return style.dim("paused")
    case "halted":
      return [
        `${style.bad("stopped trying")}: ${visible(event.error.message)}`,
        ...adviceOf(event.error).map(visible),
        ...(event.error.next === undefined ? [] : [visible(event.error.next)])
      ].join("\n")
    case "task.queued":
      return style.dim(`task ${short(event.taskId)} kept: ${queued(event.reason)}`)
    case "task.sent":
      return style.dim(`task ${short(event.taskId)} sent`)
    case "task.phase":
      return style.dim(`task ${short(event.taskId)} ${visible(event.phase)}`)
    case "task.reply":
      return `${style.good(`task ${short(event.taskId)}`)} ${visible(event.text)}`
    case "task.failed":
      return [
        `${style.bad(`task ${short(event.taskId)} failed`)}: ${visible(event.error.message)}`,
        ...adviceOf(event.error).map(visible)
      ].join("\n")
    case "stopped":
      return style.dim("stopped")
  }
}

/** What has to happen before a kept task is sent. A reason that this release does not know is shown as it is. */
const queued = (reason: string): string =>
  (Object.hasOwn(queuedReasons, reason) ? queuedReasons[reason] : undefined) ?? visible(reason)
const queuedReasons: Readonly<Record<string, string>> = queuedWords

type Asked = Extract<AgentEvent, { readonly event: "pairing.required" | "pairing.superseded" }>

/** What is asked for; where some of it was approved before, what is new. */
const scopesOf = ({ approvedScopes = [], requestedScopes = [] }: Asked): ReadonlyArray<string> => {
  const words = (scopes: ReadonlyArray<string>) => visible(scopes.join(" "))
  const added = requestedScopes.filter((scope) => !covers(approvedScopes, scope))
  if (requestedScopes.length === 0) return []
  return approvedScopes.length === 0 || added.length === 0
    ? [`It asks for ${words(requestedScopes)}.`]
    : [`It has ${words(approvedScopes)}, and asks for ${words(added)} besides.`]
}

/** The same command for a gateway that lives somewhere else, where that is not known. */
const elsewhere = ({ places = [] }: Asked): ReadonlyArray<string> => {
  // PowerShell runs the host's command as it is written.
  const others = places.filter(({ place }) => place !== "host" && place !== "powershell")
  return others.length === 0 ? [] : [
    "If the gateway lives in a container or on another machine, one of these instead:",
    ...others.map(({ approve, list }) => visible((approve ?? list).text)),
    ""
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

/** Advice on a line of its own. */
export const adviceOf = (failure: Failure): ReadonlyArray<string> =>
  failure.advice === undefined ? [] : [failure.advice]

/** A failure and its advice, as sentences. */
export const told = (failure: Failure): string => [failure.message, ...adviceOf(failure)].join("\n")

const short = (taskId: string): string => visible(taskId.slice(0, 8))

/**
 * Text of others without what a terminal would obey, or what would reorder what a reader sees. Line ends stay, tabs become
 * blanks. Joiners stay too, as emoji and some scripts are written with them.
 */
export const visible = (text: string): string =>
  text.replace(/\r\n?|[\p{Zl}\p{Zp}]/gu, "\n").replaceAll("\t", "  ")
    .replace(/(?!\n)[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]/gu, "\ufffd")
