/**
 * An agent process with a journal on the real disk and a real socket, which kills itself at a given moment: before or behind
 * a frame, before or behind an operation of the file system. Run by `KilledProcesses.slow.test.ts`, as
 * `worker URL DIRECTORY MOMENT [SESSION TASK]...`; moment 0 never comes. Each line on standard output has come true:
 * `end RUN KIND TEXT` when the end of a task is told, `done` when nothing is open any more.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Clock from "effect/Clock"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Stream from "effect/Stream"
import { writeSync } from "node:fs"
import { nodejsProcesses } from "../../../src/agent/NodejsProcesses.ts"
import { Supervisor } from "../../../src/connection/Supervisor.ts"
import type { LinkHandler } from "../../../src/link/Transport.ts"
import { Transport } from "../../../src/link/Transport.ts"
import * as TransportWs from "../../../src/link/TransportWs.ts"
import type { TaskEvent } from "../../../src/tasks/Task.ts"
import { TaskJournal } from "../../../src/tasks/TaskJournal.ts"
import { TaskRunner } from "../../../src/tasks/TaskRunner.ts"
import * as MemoryAgent from "../../support/MemoryAgent.ts"

const [url = "", directory = "", fatal = "0", ...work] = process.argv.slice(2)

// A pipe that is not written at once would lose what came true just before the end.
const say = (...words: ReadonlyArray<unknown>) => void writeSync(1, `${words.join(" ")}\n`)

let moments = 0
const moment = () => {
  if (++moments === Number(fatal)) process.kill(process.pid, "SIGKILL")
}
const around = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.sync(moment).pipe(Effect.andThen(effect), Effect.tap(() => Effect.sync(moment)))

const fileSystem = Layer.effect(
  FileSystem.FileSystem,
  Effect.map(FileSystem.FileSystem, (fs) => ({
    ...fs,
    open: (path, options) => around(fs.open(path, options)),
    link: (from, to) => around(fs.link(from, to)),
    rename: (from, to) => around(fs.rename(from, to)),
    remove: (path, options) => around(fs.remove(path, options))
  }))
).pipe(Layer.provide(NodeFileSystem.layer))

const transport = Layer.effect(
  Transport,
  Effect.map(Transport, (under) =>
    Transport.of({
      dial: Effect.fnUntraced(function*(target, handler: LinkHandler) {
        const link = yield* under.dial(target, {
          ...handler,
          onText: (text) => {
            moment()
            handler.onText(text)
            moment()
          }
        })
        return {
          ...link,
          sendUnsafe: (text: string) => {
            moment()
            const sent = link.sendUnsafe(text)
            moment()
            return sent
          }
        }
      })
    }))
).pipe(Layer.provide(TransportWs.layer))

/** Waits are a tenth as long, times are right. */
const hasty = Layer.effect(
  Clock.Clock,
  Effect.map(Clock.Clock, (clock): Clock.Clock => ({
    currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
    currentTimeMillis: clock.currentTimeMillis,
    currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
    currentTimeNanos: clock.currentTimeNanos,
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: clock.monotonicTimeNanos,
    sleep: (duration) => clock.sleep(Duration.times(duration, 0.1))
  }))
)

const isEnd = ({ _tag }: TaskEvent) => _tag !== "Queued" && _tag !== "Sent" && _tag !== "Phase"

const life = Effect.gen(function*() {
  const runner = yield* TaskRunner
  const journal = yield* TaskJournal
  yield* Effect.forkScoped(
    Stream.runForEach(runner.events, (event) =>
      Effect.sync(() => {
        if (isEnd(event)) say("end", event.runId, event._tag, "text" in event ? event.text : "")
      })),
    { startImmediately: true }
  )
  for (let index = 0; index < work.length; index += 2) {
    yield* runner.delegate(work[index + 1] ?? "", { sessionKey: work[index] ?? "" })
  }
  for (const { taskId } of yield* runner.list) yield* runner.await(taskId)
  yield* Effect.repeat(Effect.delay(journal.read, "100 millis"), { until: (open) => open.length === 0 })
  say("done")
}).pipe(Effect.scoped)

NodeRuntime.runMain(
  life.pipe(
    Effect.provide(
      TaskRunner.layer({ taskTimeout: "1 hour" }).pipe(
        Layer.provide(Layer.fresh(Supervisor.layer)),
        Layer.provide(MemoryAgent.host(transport, { url, token: MemoryAgent.operatorToken })),
        Layer.provideMerge(TaskJournal.layerFile({ directory, deviceId: "the-device", processes: nodejsProcesses })),
        Layer.provide([fileSystem, NodePath.layer, SecureRandom.layerWebCrypto]),
        Layer.provide(hasty)
      )
    ),
    Effect.provide([hasty, Logger.layer([])])
  )
)
