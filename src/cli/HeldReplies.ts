/**
 * A task whose reply nobody has been told yet stays in the journal, so that the next program tells it.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { AgentEvent } from "../protocol/AgentEvent.ts"
import { TaskJournal } from "../tasks/TaskJournal.ts"
import type { Output } from "./Output.ts"

export interface HeldReplies {
  /** The journal, without the removal of tasks that have a reply. */
  readonly layer: Layer.Layer<TaskJournal, never, TaskJournal>
  /** The reply of this run was told: its task may leave the journal. */
  readonly told: (runId: string) => Effect.Effect<void>
}

export const make = (): HeldReplies => {
  const toldRuns = new Set<string>()
  /** What removes the tasks that were to be removed before their reply was told. */
  const held = new Map<string, Effect.Effect<void>>()
  return {
    layer: Layer.effect(
      TaskJournal,
      Effect.map(TaskJournal, (journal) =>
        TaskJournal.of({
          ...journal,
          remove: (runId, ended) =>
            Effect.suspend(() => {
              const remove = journal.remove(runId, ended)
              if (ended !== "Completed" || toldRuns.delete(runId)) return remove
              held.set(
                runId,
                Effect.ignore(remove, { log: "Warn", message: "a task whose reply was delivered stays in the journal" })
              )
              return Effect.void
            })
        }))
    ),
    told: (runId) =>
      Effect.suspend(() => {
        const remove = held.get(runId)
        if (remove === undefined) return Effect.sync(() => void toldRuns.add(runId))
        held.delete(runId)
        return remove
      })
  }
}

/** Lets the task of a reply go, unless its reply could not be written. */
export const toldTo = (output: Output["Service"], held: HeldReplies, event: AgentEvent): Effect.Effect<void> =>
  event.event === "task.reply"
    ? Effect.matchEffect(output.delivered, { onFailure: () => Effect.void, onSuccess: () => held.told(event.runId) })
    : Effect.void
