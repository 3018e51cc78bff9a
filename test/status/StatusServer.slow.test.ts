import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Net from "node:net"
import { AgentEvents } from "../../src/agent/AgentEvents.ts"
import type { GatewayStatus } from "../../src/connection/ConnectionStatus.ts"
import { Supervisor } from "../../src/connection/Supervisor.ts"
import type { AgentEvent } from "../../src/protocol/AgentEvent.ts"
import * as StatusClient from "../../src/status/StatusClient.ts"
import * as StatusServer from "../../src/status/StatusServer.ts"

const about = { command: "run", pid: 42, program: "0.1.0", nodejs: "v24.0.0", configured: "none" } as const
const at = "2026-11-27T10:00:00.000Z"
const connecting: GatewayStatus = { gatewayScope: "ws://127.0.0.1:1/", status: { _tag: "Connecting", attempt: 1 } }

/** A program without a connection. `tell` makes it tell an event. */
const program = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const stateDirectory = yield* fs.makeTempDirectoryScoped({ prefix: "oc-status-" })
  const events = yield* Queue.unbounded<AgentEvent>()
  const layer = Layer.mergeAll(
    Layer.mock(AgentEvents, { events: Stream.fromQueue(events) }),
    Layer.mock(Supervisor, {
      status: Effect.succeed(connecting.status),
      changes: Stream.concat(Stream.succeed(connecting), Stream.never)
    })
  )
  const serve = Effect.provide(
    StatusServer.serve({ stateDirectory, about, stored: Effect.succeed(true) }),
    layer
  )
  return { stateDirectory, serve, tell: (event: AgentEvent) => Queue.offer(events, event) }
})

/** Sends bytes over the socket and gives all that comes back until it closes. */
const exchange = (path: string, text: string) =>
  Effect.callback<string>((resume) => {
    let answer = ""
    const socket = Net.connect({ path }, () => socket.write(text))
    socket.on("data", (data) => void (answer += data.toString()))
    socket.on("error", () => {})
    socket.on("close", () => resume(Effect.succeed(answer)))
    return Effect.sync(() => void socket.destroy())
  })

const socketOf = Effect.fnUntraced(function*(stateDirectory: string) {
  const fs = yield* FileSystem.FileSystem
  const [name = ""] = yield* fs.readDirectory(`${stateDirectory}/live`)
  return { path: `${stateDirectory}/live/${name}`, pid: 42 }
})

const machine = Layer.mergeAll(NodeServices.layer, SecureRandom.layerWebCrypto)
const live = (title: string, test: () => Effect.Effect<void, unknown, Layer.Success<typeof machine> | Scope.Scope>) =>
  it.live(title, () => Effect.provide(Effect.scoped(test()), machine))

describe("the private socket", () => {
  live(
    "is for its owner alone, answers a line with a line, and is gone with the program",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const { serve, stateDirectory } = yield* program
        const scope = yield* Scope.make()
        yield* Scope.provide(serve, scope)
        const socket = yield* socketOf(stateDirectory)
        assert.strictEqual((yield* fs.stat(`${stateDirectory}/live`)).mode & 0o777, 0o700)
        assert.strictEqual((yield* fs.stat(socket.path)).mode & 0o777, 0o600)
        const found = yield* StatusClient.find(stateDirectory)
        assert.deepStrictEqual(
          found.map((one) => one._tag === "Answered" ? [one.report.pid, one.report.state, one.report.credential] : one),
          [[42, "connecting", { configured: "none", stored: true }]]
        )
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(yield* fs.readDirectory(`${stateDirectory}/live`), [])
        assert.deepStrictEqual(yield* StatusClient.find(stateDirectory), [])
      })
  )

  live("refuses what is no request, and one that is too long", () =>
    Effect.gen(function*() {
      const { serve, stateDirectory } = yield* program
      yield* serve
      const { path } = yield* socketOf(stateDirectory)
      assert.include(yield* exchange(path, "hello\n"), "UnknownRequest")
      assert.include(yield* exchange(path, "x".repeat(100_000)), "TooLarge")
      assert.include(yield* exchange(path, `{"version":1,"ask":"report"}\n`), `"state":"connecting"`)
      // Without a session there is nobody to ask.
      assert.strictEqual(yield* exchange(path, `{"version":1,"ask":"tool-search"}\n`), `{"version":1}\n`)
    }))

  live(
    "takes so many conversations at once and no more, and goes on when they have ended",
    () =>
      Effect.gen(function*() {
        const { serve, stateDirectory } = yield* program
        yield* serve
        const socket = yield* socketOf(stateDirectory)
        const scope = yield* Scope.make()
        yield* Effect.forEach(
          Array.from({ length: 16 }),
          () => Scope.provide(Effect.flatten(StatusClient.ask(socket, "watch")), scope),
          { concurrency: 16 }
        )
        const refused = yield* Effect.flip(StatusClient.askOnce(socket, "report"))
        assert.strictEqual(refused.reason, "Refused")
        yield* Scope.close(scope, Exit.void)
        yield* Effect.retry(StatusClient.askOnce(socket, "report"), { times: 100 })
      })
  )

  live("tells a watcher each change, once", () =>
    Effect.gen(function*() {
      const { serve, stateDirectory, tell } = yield* program
      yield* serve
      const next = yield* StatusClient.ask(yield* socketOf(stateDirectory), "watch")
      assert.deepStrictEqual((yield* next).report?.tasks.queued, 0)
      yield* tell({ at, event: "task.phase", taskId: "a", phase: "thinking" })
      yield* tell({ at, event: "task.queued", taskId: "a", reason: "Offline" })
      assert.deepStrictEqual((yield* next).report?.tasks.queued, 1)
      yield* tell({ at, event: "task.sent", taskId: "a", runId: "r" })
      assert.deepStrictEqual((yield* next).report?.tasks, { queued: 0, sent: 1, replied: 0, failed: 0 })
    }))

  live(
    "of a killed program is told as such, and removed by the next program once it is no longer young",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const { serve, stateDirectory } = yield* program
        yield* fs.makeDirectory(`${stateDirectory}/live`, { mode: 0o700 })
        const leftover = `${stateDirectory}/live/7.0123abcd.sock`
        // A socket whose server is gone without having removed it: its name is moved away before it is closed.
        const closed = yield* Deferred.make<void>()
        const server = Net.createServer().listen(`${leftover}.new`, () => Deferred.doneUnsafe(closed, Effect.void))
        yield* Deferred.await(closed)
        yield* fs.rename(`${leftover}.new`, leftover)
        yield* Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
        const found = yield* StatusClient.find(stateDirectory)
        assert.deepStrictEqual(found.map((one) => one._tag === "NotAnswered" && one.error.reason), ["Gone"])
        yield* Effect.scoped(serve)
        assert.isTrue(yield* fs.exists(leftover))
        yield* fs.utimes(leftover, new Date(0), new Date(0))
        yield* Effect.scoped(serve)
        assert.isFalse(yield* fs.exists(leftover))
      })
  )

  live("is not asked in a directory that others may write", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { serve, stateDirectory } = yield* program
      yield* serve
      yield* fs.chmod(`${stateDirectory}/live`, 0o777)
      const error = yield* Effect.flip(StatusClient.find(stateDirectory))
      assert.strictEqual(error.reason, "DirectoryWritable")
    }))

  live("cannot have a long path, and the error says what to do", () =>
    Effect.gen(function*() {
      const { serve } = yield* program
      const stateDirectory = `/tmp/${"x".repeat(90)}`
      const error = yield* Effect.flip(
        Effect.provide(
          StatusServer.serve({ stateDirectory, about, stored: Effect.succeed(false) }),
          Layer.mergeAll(
            Layer.mock(AgentEvents, { events: Stream.empty }),
            Layer.mock(Supervisor, { status: Effect.succeed(connecting.status), changes: Stream.empty })
          )
        )
      )
      assert.match(error.message, /too long for a socket, which may have 103 bytes: choose a shorter state directory/)
      assert.isFunction(serve.pipe)
    }))
})
