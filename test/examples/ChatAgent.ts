/**
 * A chat runtime that embeds a device: its model can delegate tasks, its user is told what to approve, and a finished task
 * comes back as a turn of its own. Any language model of `effect/ai` does.
 */
import * as TaskTools from "effect-openclaw/agent/TaskTools"
import { PairingNotifier } from "effect-openclaw/pairing/PairingNotifier"
import * as TaskFollowUp from "effect-openclaw/tasks/TaskFollowUp"
import { TaskRunner } from "effect-openclaw/tasks/TaskRunner"
import * as Chat from "effect/ai/Chat"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

/** Runs until it is interrupted. `said` are the user's lines, `show` is the chat window. */
export const chat = Effect.fnUntraced(function*(
  said: Stream.Stream<string>,
  show: (line: string) => Effect.Effect<void>
) {
  const toolkit = yield* TaskTools.TaskTools
  const notifier = yield* PairingNotifier
  const finished = TaskFollowUp.finished(yield* TaskRunner)
  const conversation = yield* Chat.fromPrompt([{
    role: "system",
    content: "Delegate to OpenClaw what you cannot do yourself. Pass on what its tools say has to be done."
  }])

  const turn = Effect.fnUntraced(function*(content: string) {
    let response = yield* conversation.generateText({ prompt: [{ role: "user", content }], toolkit })
    while (response.toolCalls.length > 0) response = yield* conversation.generateText({ prompt: [], toolkit })
    yield* show(response.text)
  })

  // The notice needs no model: it has to be right, and to come at once.
  const notices = Stream.runForEach(
    notifier.notices,
    (notice) =>
      notice._tag === "Required" || notice._tag === "Superseded"
        ? show(`Approve this device, once: ${(notice.approve ?? notice.list).text}`)
        : notice._tag === "Resolved"
        ? show("This device is approved.")
        : Effect.void
  )
  const turns = Stream.runForEach(Stream.merge(said, Stream.map(finished, (task) => TaskFollowUp.text(task))), turn)
  yield* Effect.all([notices, turns], { concurrency: "unbounded", discard: true })
})
