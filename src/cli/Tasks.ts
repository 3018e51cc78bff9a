/**
 * `tasks`: what is open in the journal of a state directory, whether the program that took it runs or not.
 *
 * Reading is all that can be done from beside: the program that has a task at work is the one that sends and ends it.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { isoTime } from "../protocol/AgentEvent.ts"
import { printable } from "../protocol/Refusal.ts"
import type { JournalEntry } from "../tasks/TaskJournal.ts"
import { TaskJournal } from "../tasks/TaskJournal.ts"
import { withSettings } from "./AgentLayer.ts"
import { as, CommandFailed } from "./CommandError.ts"
import type { Output } from "./Output.ts"

const withTasks = (
  body: (tasks: ReadonlyArray<JournalEntry>, output: Output["Service"]) => Effect.Effect<void, CommandFailed>
) =>
  withSettings(Effect.fnUntraced(function*({ files }, output) {
    const tasks = yield* Effect.flatMap(TaskJournal, ({ read }) => read).pipe(
      Effect.provide(TaskJournal.layerFile({ directory: files.tasks })),
      Effect.mapError(as("settings"))
    )
    yield* body(tasks, output)
  }))

/** One task for programs. Times are this machine's; `sentAt` is when it was first about to be sent. */
const asJson = ({ acceptedAtMs, gatewayScope, runId, sentAtMs, sessionKey, summary, taskId }: JournalEntry): string =>
  JSON.stringify({
    taskId,
    runId,
    gateway: gatewayScope,
    sessionKey,
    summary,
    acceptedAt: isoTime(acceptedAtMs),
    ...(sentAtMs === undefined ? {} : { sentAt: isoTime(sentAtMs) })
  })

const list = Command.make("list", {}, () =>
  withTasks(Effect.fnUntraced(function*(tasks, output) {
    if (tasks.length === 0 && !output.json) return yield* output.line("No task is open.")
    for (const task of tasks) {
      yield* output.line(
        output.json
          ? asJson(task)
          : `${task.taskId}  ${task.sentAtMs === undefined ? "kept" : "sent"}  ${isoTime(task.acceptedAtMs)}  ${
            printable(task.summary)
          }`
      )
    }
  }))).pipe(
    Command.withDescription("List the tasks that are open: kept until they can be sent, or sent and not answered"),
    Command.withExamples([{ command: "openclaw-device tasks list", description: "What is open on this machine" }])
  )

const show = Command.make("show", {
  taskId: Argument.String("task-id").pipe(Argument.withDescription("The id that `delegate` and `tasks list` show"))
}, ({ taskId }) =>
  withTasks(Effect.fnUntraced(function*(tasks, output) {
    const task = tasks.find((task) => task.taskId === taskId)
    if (task === undefined) {
      return yield* new CommandFailed({
        exit: "failed",
        error: "TaskNotFound",
        problem: `no task ${printable(taskId)} is open; \`tasks list\` shows those that are`
      })
    }
    if (output.json) return yield* output.line(asJson(task))
    yield* output.line(`task      ${task.taskId}`)
    yield* output.line(`state     ${task.sentAtMs === undefined ? "kept" : `sent at ${isoTime(task.sentAtMs)}`}`)
    yield* output.line(`taken at  ${isoTime(task.acceptedAtMs)}`)
    yield* output.line(`gateway   ${printable(task.gatewayScope)}`)
    yield* output.line(`session   ${printable(task.sessionKey)}`)
    yield* output.line(`run       ${task.runId}`)
    yield* output.line(`what      ${printable(task.summary)}`)
  }))).pipe(
    Command.withDescription("Show one open task"),
    Command.withExamples([{
      command: "openclaw-device tasks show 1a2b3c4d",
      description: "Where it is and since when"
    }])
  )

export const tasks = Command.make("tasks").pipe(
  Command.withDescription("The tasks that are open on this machine"),
  Command.withExamples([{ command: "openclaw-device tasks list", description: "What is open" }]),
  Command.withSubcommands([list, show])
)
