/**
 * The files that go with open tasks, kept by their content beside the entries of the journal. Of several equal files of one task one
 * is kept.
 */
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Bounds from "../protocol/Bounds.ts"
import type { PrivateFile } from "../storage/PrivateFile.ts"
import type { StorageError } from "../storage/StorageError.ts"
import type { StorageWarning } from "../storage/StorageWarning.ts"
import { isContentOf } from "./Attachment.ts"
import * as JournalFile from "./JournalFile.ts"
import type { RunId } from "./Task.ts"
import type { KnownContents, TaskJournalError } from "./TaskJournal.ts"

export const makeMemory = (full: (path: string) => TaskJournalError): KnownContents => {
  const kept = new Map<string, Map<string, Uint8Array>>()
  const total = () => [...kept.values()].flatMap((run) => [...run.values()]).reduce((sum, one) => sum + one.length, 0)
  return {
    put: (runId, { sha256 }, content) =>
      Effect.suspend(() => {
        const run = kept.get(runId) ?? new Map<string, Uint8Array>()
        if (run.has(sha256)) return Effect.void
        if (total() + content.length > JournalFile.maxContentBytes) return Effect.fail(full("memory"))
        kept.set(runId, run.set(sha256, content.slice()))
        return Effect.void
      }),
    get: (runId, { sha256 }) => Effect.sync(() => Option.fromUndefinedOr(kept.get(runId)?.get(sha256))),
    drop: (runId) => Effect.sync(() => void kept.delete(runId)),
    know: () => Effect.void
  }
}

/** What the directory of the journal gives. */
interface Directory {
  readonly fs: FileSystem.FileSystem
  readonly files: PrivateFile["Service"]
  readonly log: (warnings: ReadonlyArray<StorageWarning>) => Effect.Effect<void>
  readonly names: Effect.Effect<ReadonlyArray<string>, TaskJournalError>
  readonly pathOf: (name: string) => string
  readonly strict: boolean | undefined
  readonly failed: (error: StorageError) => TaskJournalError
  readonly full: (path: string) => TaskJournalError
}

export const makeFiles = ({ failed, files, fs, full, log, names, pathOf, strict }: Directory): KnownContents => {
  const options = { strict, maxBytes: Bounds.frameBytes.ceiling }
  /** What own tasks have, so that most of them, which have nothing, cost no look at the directory. */
  const known = new Map<string, Set<string>>()
  const know = (runId: RunId, records: ReadonlyArray<JournalFile.AttachmentRecord>) => {
    if (records.length > 0) {
      known.set(
        runId,
        new Set([...known.get(runId) ?? [], ...records.map(({ sha256 }) => sha256)])
      )
    }
  }
  const present = Effect.flatMap(names, (all) =>
    Effect.forEach(
      all.filter((name) => JournalFile.parseName(name)._tag === "Content"),
      (name) =>
        Effect.match(fs.stat(pathOf(name)), {
          onFailure: () => 0,
          onSuccess: ({ size }) => Number(ByteSize.toBigInt(size))
        })
    ))
  return {
    know: (runId, records) => Effect.sync(() => know(runId, records)),
    put: Effect.fnUntraced(function*(runId, record, content) {
      if (known.get(runId)?.has(record.sha256) === true) return
      const path = pathOf(JournalFile.contentNameOf(runId, record.sha256))
      if ((yield* present).reduce((sum, bytes) => sum + bytes, content.length) > JournalFile.maxContentBytes) {
        return yield* full(path)
      }
      // Uninterruptible: what is there has to be known, so that it can be dropped.
      const { warnings } = yield* files.replace(path, content, options).pipe(
        Effect.mapError(failed),
        Effect.tap(() => Effect.sync(() => know(runId, [record]))),
        Effect.uninterruptible
      )
      yield* log(warnings)
    }),
    get: Effect.fnUntraced(function*(runId, record) {
      const path = pathOf(JournalFile.contentNameOf(runId, record.sha256))
      const found = yield* Effect.mapError(files.read(path, options), failed)
      if (Option.isNone(found)) return Option.none<Uint8Array>()
      const { bytes, warnings } = found.value
      yield* log(warnings)
      return (yield* isContentOf(record, bytes)) ? Option.some(bytes) : Option.none<Uint8Array>()
    }),
    /** A file that cannot be removed is reported, and removed with those that nobody needs later. */
    drop: (runId) =>
      Effect.suspend(() => {
        const hashes = known.get(runId)
        if (hashes === undefined) return Effect.void
        const removed = Effect.forEach(
          hashes,
          (sha256) =>
            Effect.ignore(files.remove(pathOf(JournalFile.contentNameOf(runId, sha256))), {
              log: "Warn",
              message: "a file of a task that is sent stays in the journal"
            }),
          { discard: true }
        )
        // One that is interrupted, as the program ends, is done again with the task's entry.
        return Effect.andThen(removed, Effect.sync(() => void known.delete(runId)))
      })
  }
}
