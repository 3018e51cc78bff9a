/**
 * The file of the flight recorder: one JSON object a line, a header first.
 *
 * Times (`at`) are milliseconds on the recording machine's clock. `Redaction` has changed every value, so a recording can be
 * handed on: it holds no credential, no key, no signature, no text of people or agents, and no host name.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { UpgradeReason } from "../link/FrontDoor.ts"
import { LinkReason } from "../link/LinkError.ts"
import { UntrustedReason } from "../link/TlsError.ts"
import { ClientId, ClientMode, PlatformName, ScopeName } from "../protocol/Connect.ts"

const Text = Schema.String
const Id = Schema.NonEmptyString
const maybe = Schema.optionalKey
/** Milliseconds since 1970, up to the year 9999, so that a date can be made of it and of times soon after. */
const Time = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 253_402_300_799_999 }))
/** Milliseconds, up to ten years. */
const Wait = Schema.Finite.check(Schema.isBetween({ minimum: 1, maximum: 315_360_000_000 }))

/** The settings that decide what the client does. Credentials are stand-ins. */
export const Settings = Schema.Struct({
  scheme: Schema.Literals(["ws:", "wss:"]),
  /** Whether the gateway is on the same machine. Its name and port are not kept. */
  loopback: Schema.Boolean,
  /** Stand-in of the gateway, the same for the same gateway. */
  gateway: Text.check(Schema.isPattern(/^g\d{1,6}$/)),
  /** Pins are set. They are not kept. */
  pinned: Schema.Boolean,
  token: maybe(Text),
  password: maybe(Text),
  scopes: Schema.Array(ScopeName),
  clientId: ClientId,
  clientMode: ClientMode,
  clientVersion: Text,
  caps: Schema.Array(Text),
  narrowedScopes: Schema.Literals(["accept", "refuse"]),
  /** An Origin header was set. */
  origin: Schema.Boolean,
  challengeTimeoutMs: Wait,
  helloTimeoutMs: Wait,
  requestTimeoutMs: Wait,
  legacyWithoutChallenge: Schema.Boolean
})
export type Settings = typeof Settings.Type

/** A task of an earlier process. Its text is a stand-in. */
export const OpenTask = Schema.Struct({
  taskId: Id,
  runId: Id,
  sessionKey: Text,
  summary: Text,
  position: Schema.Natural,
  acceptedAtMs: Time,
  sentAtMs: maybe(Time),
  answeredRunId: maybe(Id),
  elsewhere: maybe(Schema.Boolean),
  abortRequested: maybe(Schema.Boolean)
})
export type OpenTask = typeof OpenTask.Type

/** The first line of a recording: which program recorded, on which platform, with which settings. */
export const Header = Schema.Struct({
  format: Schema.Literal("effect-openclaw/recording"),
  version: Schema.Literal(1),
  at: Time,
  /** Release of the program that recorded. */
  program: Text,
  platform: PlatformName,
  settings: Settings,
  /** The device token that was stored for this gateway, as a stand-in. */
  stored: maybe(Schema.Struct({ token: Text, scopes: Schema.Array(Text) })),
  sessionKey: maybe(Text),
  taskTimeoutMs: maybe(Wait),
  /** How often the journal was asked for tasks of programs that had ended. */
  takeOverEveryMs: maybe(Wait)
})
export type Header = typeof Header.Type

/** The approval that the client waits for: its request, its reason, how often the request was replaced. */
const Approval = Schema.Struct({ requestId: maybe(Text), reason: Text, replaced: Schema.Finite })

/** A state of the connection. Durations are counted from `at`, so that two recordings can be compared. */
export const State = Schema.Struct({
  state: Text,
  attempt: maybe(Schema.Finite),
  /** Class and reason of the failure for which it waits or halted. */
  cause: maybe(Text),
  /** Further facts of the cause, such as phase, close code or status. */
  facts: maybe(Schema.Record(Text, Schema.Union([Text, Schema.Finite, Schema.Boolean]))),
  approval: maybe(Approval),
  /** The wait for wider scopes beside a session, and how the last one ended that did not bring them. */
  upgrade: maybe(Approval),
  declined: maybe(Text),
  suspension: maybe(Text),
  checking: maybe(Schema.Boolean),
  /** Until the next try or the next ask, in milliseconds. */
  inMs: maybe(Schema.Finite),
  protocol: maybe(Schema.Finite),
  scopes: maybe(Schema.Array(Text)),
  missingScopes: maybe(Schema.Array(Text)),
  deviceTokenIssued: maybe(Schema.Boolean),
  clockDeltaMs: maybe(Schema.Finite)
})
export type State = typeof State.Type

/** How a task ended. Of an agent's text it has the length. */
export const TaskEnd = Schema.Struct({
  outcome: Text,
  text: maybe(Text),
  /** Class of the failure. */
  error: maybe(Text),
  sent: maybe(Schema.Boolean),
  answered: maybe(Schema.Boolean),
  history: maybe(Text)
})
export type TaskEnd = typeof TaskEnd.Type

/**
 * How a dial failed, or how a link ended. It names neither the gateway's host nor a proxy's, and has no fingerprint, because
 * public certificate logs lead from a fingerprint to a host.
 */
export const LinkEnd = Schema.Union([
  Schema.Struct({
    error: Schema.Literal("LinkError"),
    reason: LinkReason,
    phase: Schema.Literals(["dial", "tls", "upgrade", "challenge", "hello", "session"]),
    closeCode: maybe(Schema.Int),
    closeReason: maybe(Text),
    errno: maybe(Text),
    /** The link was to go through a proxy. */
    proxied: maybe(Schema.Boolean)
  }),
  Schema.Struct({
    error: Schema.Literal("UpgradeRejected"),
    reason: UpgradeReason,
    status: Schema.Int,
    body: Text,
    retryAfterMs: maybe(Schema.Finite)
  }),
  Schema.Struct({
    error: Schema.Literal("ProxyRejected"),
    reason: Schema.Literals(["Credentials", "Refused", "Unreachable", "Unusable"]),
    status: maybe(Schema.Int),
    retryAfterMs: maybe(Schema.Finite)
  }),
  Schema.Struct({ error: Schema.Literal("TlsPinMismatch"), reason: Schema.Literals(["Rotated", "Unknown"]) }),
  /** `code` is the TLS library's name of the problem. */
  Schema.Struct({ error: Schema.Literal("TlsUntrusted"), reason: UntrustedReason, code: Text })
])
export type LinkEnd = typeof LinkEnd.Type

const Frame = Schema.Record(Schema.String, Schema.Unknown)
const entry = <const Kind extends string, Fields extends Schema.Struct.Fields>(kind: Kind, fields: Fields) =>
  Schema.Struct({ at: Time, kind: Schema.Literal(kind), ...fields })
/** Links are counted from 1. */
const link = { link: Schema.Int }

/** One line after the header. `kind` names it, `at` is the time, `link` counts the dials of the recording. */
export const Entry = Schema.Union([
  // What the client did. A replay compares it.
  entry("dial", link),
  entry("out", { ...link, frame: Frame }),
  /** The link was no longer open, so the message before this was not sent. */
  entry("untaken", link),
  /** The client began to close the link. */
  entry("cut", { ...link, closeCode: Schema.Int }),
  /** The client released the link, or gave up the dial. */
  entry("left", link),
  entry("state", { state: State }),
  entry("ended", { taskId: Id, end: TaskEnd }),
  // What happened to the client. A replay repeats it.
  entry("phase", { ...link, phase: Schema.Literals(["tls", "upgrade"]) }),
  entry("open", link),
  entry("failed", { ...link, end: LinkEnd }),
  entry("in", { ...link, frame: Frame }),
  /** A message that is no frame, by its length in UTF-16 units. */
  entry("noise", { ...link, length: Schema.Int }),
  entry("closed", { ...link, end: LinkEnd }),
  entry("asked", { what: Schema.Literals(["attend", "leave", "checkNow", "pause", "resume", "stop"]) }),
  entry("reconfigured", { settings: Settings }),
  /** The client was told to ask for wider scopes. */
  entry("upgradeScopes", { scopes: Schema.Array(ScopeName) }),
  /**
   * Tasks of earlier processes for the present gateway, which the journal gave to this process. `again`: when it was asked once more,
   * for those of programs that had ended meanwhile.
   */
  entry("takenUp", { tasks: Schema.Array(OpenTask), again: maybe(Schema.Boolean) }),
  entry("delegated", { task: Schema.Int, text: Text, sessionKey: maybe(Text) }),
  /** The ids that the task got. */
  entry("accepted", { task: Schema.Int, taskId: Id, runId: Id }),
  /** By this process, or by another one that shares the journal. */
  entry("abort", { taskId: Id }),
  /** A random number, at least 0 and below 1. */
  entry("draw", { value: Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0), Schema.isLessThan(1)) }),
  // About the recording itself.
  /** How many entries are missing, because writing did not keep up. */
  entry("lost", { count: Schema.Int }),
  /** The file has reached its limit. Later entries are not in it. */
  entry("full", { bytes: Schema.Int }),
  entry("end", {})
])
export type Entry = typeof Entry.Type

/** A recording that was read: its header, and its entries in the order of the file. */
export interface Recording {
  readonly header: Header
  readonly entries: ReadonlyArray<Entry>
}

/** The file is not a recording, or this release cannot read it. */
export class RecordingInvalid extends Schema.TaggedError<RecordingInvalid>()("RecordingInvalid", {
  /** Counted from 1. */
  line: Schema.Int,
  reason: Schema.Literals(["NoHeader", "Version", "Unreadable"])
}) {
  override get message(): string {
    switch (this.reason) {
      case "NoHeader":
        return "this is not a recording; make one with: openclaw-device run --record <new file>"
      case "Version":
        return "this recording was made by a release that this one does not know; replay it with the release that made it"
      case "Unreadable":
        return `line ${this.line} of the recording cannot be read; the file was changed, or cut in the middle`
    }
  }
}

const HeaderLine = Schema.fromJsonString(Header)
const EntryLine = Schema.fromJsonString(Entry)
const decodeHeaderLine = Schema.decodeUnknownResult(HeaderLine)
const decodeEntryLine = Schema.decodeUnknownResult(EntryLine)
const decodeMark = Schema.decodeUnknownOption(
  Schema.fromJsonString(Schema.Struct({ format: Schema.Literal("effect-openclaw/recording"), version: Schema.Unknown }))
)

/** The limit of a file, unless the recorder is told another one, and of what the command reads. */
export const maxBytes = 64 * 1024 * 1024

/** Far more than the recorder writes, and far less than what exhausts the stack. */
const maxDepth = 64

/** Whether arrays and objects in a JSON text are nested more deeply than `maxDepth`. */
const isTooDeep = (line: string): boolean => {
  let depth = 0
  let inString = false
  for (let index = 0; index < line.length; index++) {
    const letter = line[index]
    if (letter === "\\") index++
    else if (letter === '"') inString = !inString
    else if (inString) continue
    else if (letter === "[" || letter === "{") depth++
    else if (letter === "]" || letter === "}") depth--
    if (depth > maxDepth) return true
  }
  return false
}

// Every value is JSON as it is, so that writing needs no schema, which would cost ten times as much.
/** The header as a line of the file, with its line feed. */
export const headerLine = (header: Header): string => `${JSON.stringify(header)}\n`
/** An entry as a line of the file, with its line feed. */
export const entryLine = (entry: Entry): string => `${JSON.stringify(entry)}\n`

/** Reads a recording. It leaves out a last line without its end, which a crash has cut. */
export const parse = (text: string): Effect.Effect<Recording, RecordingInvalid> =>
  Effect.suspend(() => {
    const whole = text.endsWith("\n") ? text.slice(0, -1) : text.slice(0, Math.max(0, text.lastIndexOf("\n")))
    const [first = "", ...rest] = whole.split("\n")
    const invalid = (line: number, reason: RecordingInvalid["reason"]) =>
      Effect.fail(new RecordingInvalid({ line, reason }))
    if (isTooDeep(first)) return invalid(1, "Unreadable")
    const header = decodeHeaderLine(first)
    if (Result.isFailure(header)) {
      const mark = decodeMark(first)
      if (Option.isNone(mark)) return invalid(1, "NoHeader")
      return invalid(1, mark.value.version === 1 ? "Unreadable" : "Version")
    }
    const entries: Array<Entry> = []
    for (const [index, line] of rest.entries()) {
      const read = isTooDeep(line) ? undefined : decodeEntryLine(line)
      if (read === undefined || Result.isFailure(read)) return invalid(index + 2, "Unreadable")
      entries.push(read.success)
    }
    return Effect.succeed({ header: header.success, entries })
  })
