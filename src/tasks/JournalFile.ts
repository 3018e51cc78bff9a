/**
 * The files of the task journal: their names and what is in them. Pure.
 *
 * - `<run id>.<owner>.json`: an open task. Version 1 had no owner in its name.
 * - `<run id>.abort`: a request to abort the task, later with the answer.
 * - `<owner>.runner`: the process of an owner (see `TaskOwner`).
 * - `<run id>.<SHA-256>.attachment`: a file that goes with the task, as it is, until the gateway has the task.
 *
 * Every other file is one line of JSON in UTF-8. What comes from a file has bounds, and nothing is encoded that is outside them.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { RunId, TaskId } from "./Task.ts"
import type { AbortAnswer, JournalEntry } from "./TaskJournal.ts"

/** What a file may hold and still be read. */
export const maxBytes = 1024 * 1024

/** The end of the year 9999, the last that a date shows with four digits. */
const maxTimeMs = 253_402_300_799_999
const TimeMs = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: maxTimeMs }))

/** Above this a position counts as this one, and the time decides: so every position has one behind it. */
const maxPosition = 2 ** 52

const printable = (maxLength: number) =>
  Schema.String.check(Schema.isPattern(new RegExp(`^\\P{Cc}{1,${maxLength}}$`, "u")))

/** What identifies a file of a task apart from its content, which is kept by its hash until the gateway has the task. */
export const AttachmentRecord = Schema.Struct({
  name: Schema.String,
  mimeType: Schema.String,
  /** The length of the content. */
  bytes: Schema.Natural,
  /** SHA-256 of the content, in lower-case hex. */
  sha256: Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/))
})
export type AttachmentRecord = typeof AttachmentRecord.Type

/** How many bytes of files all open tasks of a journal may have. */
export const maxContentBytes = 256 * 1024 * 1024

/** How many files a task may have. */
export const maxAttachments = 32

const Task = Schema.Struct({
  format: Schema.Literal("effect-openclaw/task"),
  /** 3 for a task with files, so that a program that knows none leaves it alone. */
  version: Schema.Literals([1, 2, 3]),
  taskId: Schema.String.check(Schema.isPattern(/^[0-9a-f]{8}$/)),
  runId: RunId,
  /** Absent in version 1. */
  deviceId: Schema.optionalKey(printable(128)),
  gatewayScope: printable(4096),
  sessionKey: Schema.String,
  summary: Schema.String,
  position: Schema.Natural,
  acceptedAtMs: TimeMs,
  sentAtMs: Schema.optionalKey(TimeMs),
  answeredRunId: Schema.optionalKey(printable(512)),
  /** `merged` of the entry. */
  elsewhere: Schema.optionalKey(Schema.Boolean),
  attachments: Schema.optionalKey(Schema.Array(AttachmentRecord).check(Schema.isMaxLength(maxAttachments)))
})
const decodeTask = Schema.decodeUnknownOption(Schema.fromJsonString(Task))
const isAnsweredRunId = Schema.is(printable(512))

/** An entry with the device that delegated it; nothing where the text is no task of this run, or is out of bounds. */
export const decode = (
  text: string,
  runId: string
): Option.Option<JournalEntry & { readonly deviceId: string | undefined }> =>
  decodeTask(text).pipe(
    Option.filter((task) => task.runId === runId),
    Option.map((task) => ({
      taskId: TaskId.make(task.taskId),
      runId: task.runId,
      gatewayScope: task.gatewayScope,
      sessionKey: task.sessionKey,
      summary: task.summary,
      position: Math.min(task.position, maxPosition),
      acceptedAtMs: task.acceptedAtMs,
      sentAtMs: task.sentAtMs,
      answeredRunId: task.answeredRunId,
      merged: task.elsewhere,
      ...(task.attachments === undefined ? {} : { attachments: task.attachments }),
      deviceId: task.deviceId
    }))
  )

/** The text of an entry; nothing where `decode` would not read it. A run id of the gateway's that is too long is left out. */
export const encode = (entry: JournalEntry, deviceId: string | undefined): Option.Option<string> => {
  const { answeredRunId, attachments } = entry
  const text = `${
    JSON.stringify({
      format: "effect-openclaw/task",
      version: attachments === undefined ? 2 : 3,
      taskId: entry.taskId,
      runId: entry.runId,
      deviceId,
      gatewayScope: entry.gatewayScope,
      sessionKey: entry.sessionKey,
      summary: entry.summary,
      position: entry.position,
      acceptedAtMs: entry.acceptedAtMs,
      sentAtMs: entry.sentAtMs,
      answeredRunId: isAnsweredRunId(answeredRunId) ? answeredRunId : undefined,
      elsewhere: entry.merged,
      attachments
    })
  }\n`
  return Option.as(decode(text, entry.runId), text)
}

const AbortRequest = Schema.fromJsonString(Schema.Struct({
  format: Schema.Literal("effect-openclaw/task-abort"),
  version: Schema.Literal(1),
  answer: Schema.optionalKey(Schema.Literals(["Completed", "Failed", "Aborted", "Expired", "Unknown"]))
}))
const decodeRequest = Schema.decodeUnknownOption(AbortRequest)
const encodeRequest = Schema.encodeSync(AbortRequest)

/** A request to abort a task, with the answer once there is one. */
export const encodeAbort = (answer?: AbortAnswer): string =>
  `${
    encodeRequest({ format: "effect-openclaw/task-abort", version: 1, ...(answer === undefined ? {} : { answer }) })
  }\n`

export const decodeAbort = (text: string): Option.Option<AbortAnswer> =>
  Option.flatMap(decodeRequest(text), ({ answer }) => Option.fromUndefinedOr(answer))

const uuid = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
const taskName = new RegExp(`^(${uuid})(?:\\.([0-9a-f]{16}))?\\.json$`)
const abortName = new RegExp(`^(${uuid})\\.abort$`)
const runnerName = /^([0-9a-f]{16})\.runner$/
const contentName = new RegExp(`^(${uuid})\\.([0-9a-f]{64})\\.attachment$`)
const temporaryName =
  /^([0-9a-f-]{16,36}(?:\.[0-9a-f]{16}|\.[0-9a-f]{64})?\.(?:json|abort|runner|attachment))\.(?:[0-9a-f]{16}\.tmp|claim)$/

export const taskNameOf = (runId: string, owner: string): string => `${runId}.${owner}.json`
export const abortNameOf = (runId: string): string => `${runId}.abort`
export const runnerNameOf = (owner: string): string => `${owner}.runner`
export const contentNameOf = (runId: string, sha256: string): string => `${runId}.${sha256}.attachment`

/** What a name in the directory stands for. `Temporary` is what a killed writer of `of` left behind. */
export type Named =
  | { readonly _tag: "Task"; readonly runId: string; readonly owner: string | undefined }
  | { readonly _tag: "Abort"; readonly runId: string }
  | { readonly _tag: "Runner"; readonly owner: string }
  | { readonly _tag: "Content"; readonly runId: string }
  | { readonly _tag: "Temporary"; readonly of: string }
  | { readonly _tag: "Other" }

export const parseName = (name: string): Named => {
  const [, runId, owner] = taskName.exec(name) ?? []
  if (runId !== undefined) return { _tag: "Task", runId, owner }
  const [, aborted] = abortName.exec(name) ?? []
  if (aborted !== undefined) return { _tag: "Abort", runId: aborted }
  const [, runner] = runnerName.exec(name) ?? []
  if (runner !== undefined) return { _tag: "Runner", owner: runner }
  const [, attached] = contentName.exec(name) ?? []
  if (attached !== undefined) return { _tag: "Content", runId: attached }
  const [, of] = temporaryName.exec(name) ?? []
  return of === undefined ? { _tag: "Other" } : { _tag: "Temporary", of }
}
