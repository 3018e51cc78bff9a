/**
 * Makes the changes that are safe to make: a mode that lets others in is narrowed, and the socket of a killed program removed.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type { Mend } from "./Check.ts"
import { mendWords } from "./DoctorReport.ts"

/** Makes the changes, and gives those that were made, as commands. */
export const apply = Effect.fnUntraced(function*(mends: ReadonlyArray<Mend>) {
  const fs = yield* FileSystem.FileSystem
  const made: Array<string> = []
  for (const mend of mends) {
    const change = mend._tag === "Chmod" ? fs.chmod(mend.path, mend.mode) : fs.remove(mend.path)
    if (yield* Effect.isSuccess(change)) made.push(mendWords(mend))
  }
  return made
})
