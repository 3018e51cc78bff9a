/**
 * Writes what the agent showed with its reply to a directory that a person names. Nothing is overwritten, and no other user reads it.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Result from "effect/Result"
import type { AgentEvent } from "../protocol/AgentEvent.ts"
import * as OutsideText from "../protocol/OutsideText.ts"
import { errnoOf } from "../storage/Errno.ts"
import { StorageError, unwritable } from "../storage/StorageError.ts"
import type { Artifact, ArtifactError } from "../tasks/RunArtifacts.ts"
import { RunArtifacts } from "../tasks/RunArtifacts.ts"
import type { TaskId } from "../tasks/Task.ts"
import type { TaskNotFound } from "../tasks/TaskError.ts"
import { now } from "./Output.ts"
import { numbered, savedName } from "./SavedName.ts"

/** Bytes that are written for one run at most. */
const maxTotalBytes = 128 * 1024 * 1024
const maxFileBytes = 25 * 1024 * 1024
/** How many files of one name a directory has before it is given up. */
const mostOfAName = 1000

/** The directory, made if it is missing. */
export const prepare = Effect.fnUntraced(function*(directory: string) {
  const fs = yield* FileSystem.FileSystem
  yield* Effect.mapError(fs.makeDirectory(directory, { recursive: true, mode: 0o700 }), unwritable(directory))
})

/** Saves all files of a task's run and tells each. The first that cannot be saved is the failure; the others are saved all the same. */
export const save = Effect.fnUntraced(function*(
  taskId: TaskId,
  directory: string,
  tell: (event: AgentEvent) => Effect.Effect<void>
) {
  const artifacts = yield* RunArtifacts
  let left = maxTotalBytes
  let failure: ArtifactError | StorageError | TaskNotFound | undefined
  for (const [index, artifact] of (yield* artifacts.list(taskId)).entries()) {
    const saved = yield* artifacts.download(taskId, artifact, Math.min(left, maxFileBytes)).pipe(
      Effect.flatMap((content) => write(directory, artifact, content, index + 1)),
      Effect.result
    )
    if (Result.isFailure(saved)) {
      failure ??= saved.failure
      continue
    }
    left -= saved.success.bytes
    yield* tell({
      at: yield* now,
      event: "task.saved",
      taskId,
      title: OutsideText.field(artifact.title),
      ...saved.success
    })
  }
  if (failure !== undefined) return yield* failure
})

/** Writes a file under the first free name. */
const write = Effect.fnUntraced(function*(directory: string, artifact: Artifact, content: Uint8Array, nth: number) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const { default: mime } = yield* Effect.promise(() => import("mime"))
  const { mimeType, title, type } = artifact
  const extension = mimeType === undefined ? undefined : mime.getExtension(mimeType) ?? undefined
  const name = savedName(title, extension, type, nth)
  for (let number = 1; number <= mostOfAName; number++) {
    const path = paths.join(directory, numbered(name, number))
    // Exclusive: it fails for whatever stands there, also for a link to nowhere.
    const written = yield* Effect.scoped(Effect.flatMap(
      fs.open(path, { flag: "wx", mode: 0o600 }),
      (file) => Effect.onError(file.writeAll(content), () => Effect.ignore(fs.remove(path, { force: true })))
    )).pipe(
      Effect.as(true),
      Effect.catchIf((error) => errnoOf(error) === "EEXIST", () => Effect.succeed(false)),
      Effect.mapError(unwritable(path))
    )
    if (!written) continue
    return {
      path,
      bytes: content.length,
      ...(mimeType === undefined ? {} : { mimeType: OutsideText.field(mimeType, { maxLength: 128 }) })
    }
  }
  return yield* new StorageError({ path: paths.join(directory, name), reason: "Unwritable", errno: "EEXIST" })
})
