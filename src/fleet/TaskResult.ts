/**
 * How a task ended, as a caller on another machine and the database get it.
 */
import * as Schema from "effect/Schema"
import type { TaskOutcome } from "../tasks/Task.ts"
import { truncation } from "../tasks/Task.ts"

/**
 * The outcome of a task. `Completed` has the reply, `truncated` when the gateway shortened it. `Failed` has the words of the error.
 * `Unknown`: the end of the run could not be learned. `Lost`: the task ended, and its outcome was not kept.
 */
export const TaskResult = Schema.Union([
  Schema.TaggedStruct("Completed", {
    text: Schema.String,
    atMs: Schema.optionalKey(Schema.Finite),
    truncated: Schema.optionalKey(Schema.Literal(true))
  }),
  Schema.TaggedStruct("Failed", { error: Schema.String, message: Schema.String }),
  Schema.TaggedStruct("Aborted", { text: Schema.String }),
  Schema.TaggedStruct("Expired", { sent: Schema.Boolean }),
  Schema.TaggedStruct("Unknown", {
    answered: Schema.Boolean,
    history: Schema.Literals(["NoReply", "Absent", "Unavailable"])
  }),
  Schema.TaggedStruct("Lost", { ended: Schema.String })
])
export type TaskResult = typeof TaskResult.Type

/** The result of an outcome. */
export const fromOutcome = (outcome: TaskOutcome): TaskResult => {
  switch (outcome._tag) {
    case "Completed":
      return {
        _tag: "Completed",
        text: outcome.text,
        ...(outcome.atMs === undefined ? {} : { atMs: outcome.atMs }),
        ...truncation(outcome)
      }
    case "Failed":
      return { _tag: "Failed", error: outcome.error._tag, message: outcome.error.message }
    case "Aborted":
      return { _tag: "Aborted", text: outcome.text }
    case "Expired":
      return { _tag: "Expired", sent: outcome.sent }
    case "Unknown":
      return { _tag: "Unknown", answered: outcome.evidence.answered, history: outcome.evidence.history }
  }
}

const asJson = Schema.fromJsonString(TaskResult)
/** The result as one JSON object. */
export const encode = Schema.encodeSync(asJson)
/** Nothing where the text is no result. */
export const decode = Schema.decodeUnknownOption(asJson)
