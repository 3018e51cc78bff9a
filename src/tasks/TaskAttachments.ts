/**
 * The way of a task's files: from the caller into the journal, and from there into the request, each time that it is sent.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Session } from "../connection/Session.ts"
import type { Attachment } from "./Attachment.ts"
import { encode, paramsOf, recordOf } from "./Attachment.ts"
import * as AttachmentCheck from "./AttachmentCheck.ts"
import type { AttachmentRecord } from "./JournalFile.ts"
import type { RunId } from "./Task.ts"
import { AttachmentRefused, TaskRefused } from "./TaskError.ts"
import type { TaskJournal } from "./TaskJournal.ts"

/** What `chat.send` has of a task besides its files. */
type Message = Parameters<typeof AttachmentCheck.check>[1]

const refused = (cause: AttachmentRefused) => new TaskRefused({ reason: "Attachment", cause })

/**
 * The records of the files, checked against what the gateway takes or, while there is no session, what any gateway takes. Then they
 * are checked again when the task is sent.
 */
export const recordsOf = (
  attachments: ReadonlyArray<Attachment>,
  message: Message,
  session: Session | undefined
): Effect.Effect<ReadonlyArray<AttachmentRecord>, TaskRefused> => {
  const candidates = attachments.map(({ content, mimeType, name }) => ({ name, mimeType, bytes: content.length }))
  const limits = session === undefined ? AttachmentCheck.anyGateway : AttachmentCheck.limitsOf(session.facts)
  const refusal = AttachmentCheck.check(candidates, message, limits)
  return refusal === undefined ? Effect.forEach(attachments, recordOf) : Effect.fail(refused(refusal))
}

/** Writes the files to the journal. What it has written is removed when it fails or is interrupted. */
export const keep = Effect.fnUntraced(function*(
  { contents }: TaskJournal["Service"],
  runId: RunId,
  attachments: ReadonlyArray<Attachment>,
  records: ReadonlyArray<AttachmentRecord>
) {
  if (contents === undefined) return yield* refused(new AttachmentRefused({ reason: "NotKept" }))
  yield* Effect.forEach(
    attachments,
    ({ content }, index) => {
      const record = records[index]
      return record === undefined ? Effect.void : contents.put(runId, record, content)
    },
    { discard: true }
  ).pipe(
    Effect.tapError((error) => Effect.logError(error.message)),
    Effect.mapError((cause) => new TaskRefused({ reason: "NotKept", cause })),
    Effect.onError(() => contents.drop(runId))
  )
})

/** The files as `chat.send` has them. A gateway that was not known when the task was accepted may take less. */
export const load = Effect.fnUntraced(function*(
  { contents }: TaskJournal["Service"],
  runId: RunId,
  records: ReadonlyArray<AttachmentRecord>,
  message: Message,
  { facts }: Session
) {
  const refusal = AttachmentCheck.check(records, message, AttachmentCheck.limitsOf(facts))
  if (refusal !== undefined) return yield* refusal
  return yield* Effect.forEach(
    records,
    (record) =>
      (contents?.get(runId, record) ?? Effect.succeedNone).pipe(
        Effect.catch((error) => Effect.as(Effect.logWarning(error.message), Option.none<Uint8Array>())),
        Effect.flatMap((content) =>
          Option.isSome(content)
            ? Effect.succeed({ ...paramsOf(record), content: encode(content.value) })
            : Effect.fail(new AttachmentRefused({ reason: "Lost", name: record.name }))
        )
      )
  )
})

/** A slow line: bytes in a second. */
const slowBytes = 64 * 1024

/** How long the answer to a request with these files may take. */
export const timeoutOf = (records: ReadonlyArray<AttachmentRecord>): Duration.Duration =>
  Duration.sum(Duration.seconds(30), Duration.seconds(records.reduce((sum, { bytes }) => sum + bytes, 0) / slowBytes))
