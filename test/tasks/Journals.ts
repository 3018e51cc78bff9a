/**
 * Journals of tasks in files and in memory, and entries for them.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { RunId, TaskId } from "../../src/tasks/Task.ts"
import type { JournalEntry } from "../../src/tasks/TaskJournal.ts"
import { TaskJournal } from "../../src/tasks/TaskJournal.ts"
import { home } from "./Fixture.ts"

/** The entry of the task that was accepted as the n-th, with its number in its ids. */
export const entry = (position: number, more: Partial<JournalEntry> = {}): JournalEntry => ({
  taskId: TaskId.make(`0000000${position}`),
  runId: RunId.make(`0000000${position}-0000-4000-8000-000000000000`),
  gatewayScope: home,
  sessionKey: "agent:main:main",
  summary: 'wässere die Pflanzen\n"now"',
  position,
  acceptedAtMs: 1_795_330_230_896,
  ...more
})

/** The journal of a process that begins now. */
export const open = (directory: string) =>
  Effect.map(
    Layer.build(
      Layer.fresh(TaskJournal.layerFile({ directory })).pipe(
        Layer.provide([NodeServices.layer, SecureRandom.layerWebCrypto])
      )
    ),
    Context.get(TaskJournal)
  )

/** A journal in memory. */
export const memory = Effect.map(Layer.build(TaskJournal.layerMemory), Context.get(TaskJournal))

/** A directory for a journal, which does not exist yet. */
export const inDirectory = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  return `${yield* fs.makeTempDirectoryScoped()}/state/tasks`
})
