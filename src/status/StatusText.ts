/**
 * Reports as a person reads them. Pure. What others have written is shown as fields, which act on no terminal.
 */
import type { Failure } from "../protocol/AgentEvent.ts"
import { field, lengths, line, names } from "../protocol/OutsideText.ts"
import type { Pairing, StatusReport } from "./StatusReport.ts"

/** A time span as people say it: `45 s`, `3 min 5 s`, `2 h 5 min`, `3 d 4 h`. Two units at most. */
export const span = (ms: number): string => {
  const seconds = Math.max(0, Math.round(ms / 1000))
  const parts = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"]
  ] as const
  const first = parts.findIndex(([amount]) => amount > 0)
  if (first === -1) return "0 s"
  return parts.slice(first, first + 2).filter(([amount]) => amount > 0).map(([amount, unit]) => `${amount} ${unit}`)
    .join(
      " "
    )
}

/** A clock's difference as people say it. */
export const clockWords = (deltaMs: number): string =>
  Math.abs(deltaMs) < 1000
    ? `clocks agree (${Math.round(deltaMs)} ms)`
    : `this machine's clock is ${span(Math.abs(deltaMs))} ${deltaMs > 0 ? "behind" : "ahead of"} the gateway's`

const stateWords = {
  connecting: "connecting",
  "awaiting-approval": "awaiting approval",
  connected: "connected",
  waiting: "not connected",
  paused: "paused",
  halted: "given up",
  stopped: "stopped"
} as const satisfies Readonly<Record<StatusReport["state"], string>>

const name = (text: string): string => field(text, { maxLength: lengths.name })

/** The state and what it is about, in one line. */
export const headline = (report: StatusReport): string => {
  const { cause, gateway, pairing, retryAt, session, state } = report
  const where = gateway.url === "" ? "" : ` ${state === "connected" ? "to" : "·"} ${line(gateway.url)}`
  const facts = [
    session === undefined
      ? undefined
      : `OpenClaw ${name(session.serverVersion ?? "of unknown release")}, protocol ${session.protocol}`,
    cause === undefined ? undefined : field(cause.message),
    retryAt === undefined ? undefined : `next try ${field(retryAt.slice(11, 19))} UTC`,
    state === "awaiting-approval" && pairing?.requestId !== undefined ? `request ${name(pairing.requestId)}` : undefined
  ].filter((fact) => fact !== undefined)
  return `${stateWords[state]}${where}${facts.length === 0 ? "" : ` (${facts.join("; ")})`}`
}

/** One line of a list: which program, and how it stands. */
export const short = (report: StatusReport): string =>
  `${headline(report)}  ${report.command} ${name(report.program)}, process ${report.pid}, up ${span(report.uptimeMs)}`

/** Everything, a line for each subject. */
export const lines = (report: StatusReport): ReadonlyArray<string> => {
  const { credential, device, lastError, pairing, session, tasks, tools } = report
  const rows: ReadonlyArray<readonly [string, string | undefined]> = [
    ["state", headline(report)],
    ["device", `${name(device.deviceId.slice(0, 16))}…  ${name(device.compareCode)}`],
    ["identity", device.path === undefined ? "not kept in a file" : line(device.path)],
    [
      "role",
      `${report.roles.map(name).join(", ")}${
        session === undefined ? "" : `; scopes ${names(session.scopes) || "none"}`
      }${session?.missingScopes === undefined ? "" : `; not granted: ${names(session.missingScopes)}`}`
    ],
    ["session", sessionWords(report)],
    ["pairing", pairing === undefined ? (session === undefined ? undefined : "approved") : pairingWords(pairing)],
    ["credential", credentialWords(credential)],
    ["tools", tools === undefined ? undefined : toolsWords(tools)],
    [
      "tasks",
      `${tasks.queued} kept, ${tasks.sent} sent; since the start ${tasks.replied} replied, ${tasks.failed} failed`
    ],
    ["last error", lastError === undefined ? "none" : `${field(lastError.at)}  ${failureWords(lastError.error)}`],
    [
      "program",
      `${name(report.command)} ${name(report.program)}, Node.js ${name(report.nodejs)}, process ${report.pid}, up ${
        span(report.uptimeMs)
      }`
    ],
    [
      "clock",
      Math.abs(report.clockStepMs) < 2000
        ? undefined
        : `this machine's clock has moved by ${
          span(Math.abs(report.clockStepMs))
        } since the start: it was set, or the machine`
          + " slept"
    ]
  ]
  return rows.flatMap(([subject, words]) => words === undefined ? [] : [`${subject.padEnd(11)}${words}`])
}

const sessionWords = ({ session, since, state }: StatusReport): string | undefined => {
  if (session === undefined) return `none; ${stateWords[state]} since ${field(since)}`
  const { clockDeltaMs, connectedAt, handshakeMs } = session
  return [
    `since ${field(connectedAt)}`,
    `handshake ${Math.round(handshakeMs)} ms`,
    ...(clockDeltaMs === undefined ? [] : [clockWords(clockDeltaMs)])
  ].join(", ")
}

const pairingWords = ({ command, reason, since }: Pairing): string =>
  `${reason} waits since ${field(since)}; on the gateway host: ${line(command)}`

const credentialWords = ({ configured, stored }: StatusReport["credential"]): string => {
  const set = configured === "none" ? "none is set" : `the gateway's ${configured} is set`
  return `${set}; ${stored ? "a device token is stored" : "no device token is stored"}`
}

const toolsWords = ({ error, pairing, state, tools }: NonNullable<StatusReport["tools"]>): string =>
  [
    state,
    ...(tools === undefined ? [] : [names(tools) || "none"]),
    ...(error === undefined ? [] : [field(error.message)]),
    ...(pairing === undefined ? [] : [pairingWords(pairing)])
  ].join("; ")

const failureWords = ({ error, message }: Failure): string => `${name(error)}: ${field(message)}`
