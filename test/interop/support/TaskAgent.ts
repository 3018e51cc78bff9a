import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Supervisor } from "../../../src/connection/Supervisor.ts"
import type { TaskEvent, TaskId, TaskOutcome, TaskReceipt } from "../../../src/tasks/Task.ts"
import { TaskJournal } from "../../../src/tasks/TaskJournal.ts"
import { type Options, TaskRunner } from "../../../src/tasks/TaskRunner.ts"
import { type EventLog, makeEventLog, untilTrue } from "./EventLog.ts"
import type { InteropError } from "./InteropError.ts"
import * as LibraryAgent from "./LibraryAgent.ts"
import { admitted } from "./Place.ts"

const SendFrame = Schema.fromJsonString(Schema.Struct({
  method: Schema.Literal("chat.send"),
  params: Schema.Struct({ idempotencyKey: Schema.String })
}))
const decodeSend = Schema.decodeUnknownOption(SendFrame)

export type Receipt = TaskReceipt

const ChatFrame = Schema.fromJsonString(Schema.Struct({
  event: Schema.Literal("chat"),
  payload: Schema.Struct({
    runId: Schema.String,
    state: Schema.optionalKey(Schema.String),
    errorMessage: Schema.optionalKey(Schema.String)
  })
}))
const decodeChat = Schema.decodeUnknownOption(ChatFrame)

const isEnd = ({ _tag }: TaskEvent) => _tag !== "Queued" && _tag !== "Sent" && _tag !== "Phase"

export interface TaskAgent extends LibraryAgent.LibraryAgent {
  readonly tasks: TaskRunner["Service"]
  readonly events: ReadonlyArray<TaskEvent>
  /** The next event of this kind of a task; events passed over stay in `events`. 60 s unless set. */
  readonly next: <Tag extends TaskEvent["_tag"]>(
    taskId: TaskId,
    tag: Tag,
    timeout?: Duration.Input
  ) => Effect.Effect<void, InteropError>
  /** The end of a task, when `events` has it too; 60 s unless set. */
  readonly outcome: (taskId: TaskId, timeout?: Duration.Input) => Effect.Effect<TaskOutcome, InteropError>
  /** Done when it is connected; it is made to try at once. */
  readonly online: Effect.Effect<void, InteropError>
  /** Done when a `chat` event of this state arrived for the run. */
  readonly heard: (runId: string, state: string) => Effect.Effect<void>
  /** The payloads of the `chat` events that arrived. */
  readonly chats: ReadonlyArray<(typeof ChatFrame.Type)["payload"]>
  /** Done when `chat.send` with this key was handed to a link. */
  readonly handedOver: (runId: string) => Effect.Effect<void>
  /** Done when the journal has no open task. */
  readonly nothingOpen: Effect.Effect<void>
  /** How often a key was handed to a link with `chat.send`. */
  readonly sends: (runId: string) => number
}

/**
 * A paired agent that delegates, with its journal in a file: what a program has that embeds the library. When it is
 * there, it is connected.
 */
export const start = Effect.fn("TaskAgent.start")(function*(
  home: LibraryAgent.Home,
  options: LibraryAgent.StartOptions & { readonly tasks?: Options }
) {
  const fs = yield* FileSystem.FileSystem
  const scope = yield* Scope.fork(yield* Effect.scope)
  const agent = yield* Scope.provide(LibraryAgent.start(home, options), scope)
  const layer = TaskRunner.layer(options.tasks).pipe(
    Layer.provide(Layer.succeed(Supervisor, agent.supervisor)),
    Layer.provide(TaskJournal.layerFile({ directory: home.taskDirectory })),
    Layer.provide(SecureRandom.layerWebCrypto)
  )
  const tasks = Context.get(yield* Layer.buildWithScope(layer, scope), TaskRunner)
  const log: EventLog<TaskEvent> = yield* makeEventLog<TaskEvent>()
  yield* Effect.forkIn(
    Effect.ensuring(
      Stream.runForEach(tasks.events, (event) => Effect.sync(() => log.offerUnsafe(event))),
      Effect.sync(log.endUnsafe)
    ),
    scope,
    { startImmediately: true }
  )
  yield* admitted(agent)
  const next = (describe: string, where: (event: TaskEvent) => boolean, timeout: Duration.Input) =>
    log.next({ describe, where, timeout, context: () => log.all.slice(-20).map((event) => JSON.stringify(event)) })
  const sends = (runId: string) =>
    agent.frames.filter(({ from, text }) =>
      from === "client" && Option.exists(decodeSend(text), ({ params }) => params.idempotencyKey === runId)
    ).length
  const chats = () =>
    agent.frames.flatMap(({ text }) => Option.toArray(Option.map(decodeChat(text), ({ payload }) => payload)))
  const made: TaskAgent = {
    ...agent,
    stop: Scope.close(scope, Exit.void),
    tasks,
    events: log.all,
    next: (taskId, tag, timeout = "60 seconds") =>
      Effect.asVoid(next(`${tag} of ${taskId}`, (event) => event.taskId === taskId && event._tag === tag, timeout)),
    outcome: (taskId, timeout = "60 seconds") => {
      const told = () => log.all.some((event) => event.taskId === taskId && isEnd(event))
      return Effect.tap(Effect.orDie(tasks.await(taskId)), untilTrue(told)).pipe(
        Effect.timeoutOrElse({
          duration: timeout,
          orElse: () => Effect.andThen(next(`end of ${taskId}`, () => false, 0), Effect.never)
        })
      )
    },
    online: Effect.asVoid(agent.until("Connected")),
    heard: (runId, state) => untilTrue(() => chats().some((chat) => chat.runId === runId && chat.state === state)),
    get chats() {
      return chats()
    },
    handedOver: (runId) => untilTrue(() => sends(runId) > 0),
    nothingOpen: Effect.repeat(Effect.delay(Effect.orDie(fs.readDirectory(home.taskDirectory)), "10 millis"), {
      until: (names) => names.length === 0
    }).pipe(Effect.asVoid),
    sends
  }
  return made
})
