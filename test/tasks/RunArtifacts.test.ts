import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import type { ConnectionStatus } from "../../src/connection/ConnectionStatus.ts"
import { fromError } from "../../src/connection/RequestError.ts"
import type { Session } from "../../src/connection/Session.ts"
import { callBy } from "../../src/connection/Session.ts"
import { Supervisor } from "../../src/connection/Supervisor.ts"
import { GatewayConfig } from "../../src/handshake/GatewayConfig.ts"
import { FileNotGiven } from "../../src/link/LinkError.ts"
import { Transport } from "../../src/link/Transport.ts"
import type { ArtifactError } from "../../src/tasks/RunArtifacts.ts"
import { RunArtifacts } from "../../src/tasks/RunArtifacts.ts"
import type { Task } from "../../src/tasks/Task.ts"
import { RunId, TaskId } from "../../src/tasks/Task.ts"
import { TaskNotFound } from "../../src/tasks/TaskError.ts"
import { TaskRunner } from "../../src/tasks/TaskRunner.ts"
import { home, makeGateway, offline, plainFacts } from "./Fixture.ts"
import * as RecordedRuns from "./RecordedRuns.ts"

const task: Task = {
  taskId: TaskId.make("00000001"),
  runId: RunId.make("run-artifacts"),
  sessionKey: "agent:main:artifacts",
  summary: "[draw] a point",
  acceptedAtMs: 0,
  inherited: false,
  state: { _tag: "Completed", text: "", atMs: undefined }
}

const image = {
  id: "artifact_managed_image_1",
  type: "image",
  title: "drawn.png",
  mimeType: "image/png",
  sizeBytes: 70
}

type Answer = (method: string, params: unknown) => unknown

interface Means {
  readonly version?: string
  readonly status?: ConnectionStatus
  readonly fetch?: (path: string, maxBytes: number) => ReturnType<NonNullable<Transport["Service"]["fetch"]>>
  /** Where the session is. */
  readonly at?: string
}

/** The service over a session that answers by hand. */
const over = Effect.fnUntraced(
  function*(answer: Answer, { at = home, fetch, status, version = "2026.9.6" }: Means = {}) {
    const asked: Array<readonly [method: string, params: unknown]> = []
    const waited: Array<unknown> = []
    const request: Session["request"] = (method, params) =>
      Effect.suspend(() => {
        if (method === "agent.wait") {
          waited.push(params)
          return Effect.succeed({ runId: task.runId, status: "ok" })
        }
        asked.push([method, params])
        const given = answer(method, params)
        return given instanceof Error
          ? Effect.fail(fromError(method, { code: "INVALID_REQUEST", message: given.message }))
          : Effect.succeed(given)
      })
    const { session: plain } = yield* makeGateway()
    const session: Session = {
      ...plain,
      facts: { ...plainFacts, serverVersion: version },
      request,
      call: callBy(request)
    }
    const changes = Stream.make({ gatewayScope: at, status: status ?? { _tag: "Connected", session } } as const)
    const context = yield* Layer.build(RunArtifacts.layer.pipe(Layer.provide([
      GatewayConfig.layer({ url: home }),
      Layer.succeed(Transport, {
        dial: () => Effect.never,
        ...(fetch === undefined ? {} : {
          fetch: ({ url }, path, maxBytes) =>
            url.href === home ? fetch(path, maxBytes) : Effect.die(new Error("another gateway was asked"))
        })
      }),
      Layer.mock(Supervisor, { changes }),
      Layer.mock(TaskRunner, {
        get: (taskId) => taskId === task.taskId ? Effect.succeed(task) : Effect.fail(new TaskNotFound({ taskId }))
      })
    ])))
    return { ...Context.get(context, RunArtifacts), asked, waited }
  }
)

const reasonOf = (effect: Effect.Effect<unknown, ArtifactError | TaskNotFound>) =>
  Effect.map(Effect.flip(effect), (error) => error._tag === "ArtifactError" ? error.reason : error._tag)

const shown = { id: image.id, type: "image", title: image.title, mimeType: image.mimeType, bytes: image.sizeBytes }

describe("RunArtifacts", () => {
  it.effect("lists what the agent showed in the run, and leaves out what is not understood", () =>
    Effect.gen(function*() {
      const told = [image, null, { id: 7 }, { ...image, id: "" }, { ...image, type: "program" }, {
        ...image,
        sizeBytes: -1
      }]
      const { asked, list, waited } = yield* over(() => ({ artifacts: told }))
      assert.deepStrictEqual(yield* list(task.taskId), [shown])
      assert.deepStrictEqual(asked, [[
        "artifacts.list",
        { sessionKey: task.sessionKey, runId: task.runId, messageRole: "assistant" }
      ]])
      // The files are there when the run is over for `agent.wait`, and not yet when its end is told.
      assert.deepStrictEqual(waited, [{ runId: task.runId, timeoutMs: 5000 }])
      const many = yield* over(() => ({ artifacts: Array.from({ length: 1000 }, () => image) }))
      assert.lengthOf(yield* many.list(task.taskId), 64)
    }))

  it.effect("asks each release what it was recorded to answer, and those that give nothing not at all", () =>
    Effect.gen(function*() {
      for (const release of RecordedRuns.releases) {
        const { artifacts } = yield* RecordedRuns.read(release)
        const byRole = JSON.stringify(artifacts?.later["artifacts.list of the run, by the agent"])
        const list = JSON.stringify(artifacts?.later["artifacts.list of the run"])
        const service = yield* over(() => ({ artifacts: [{ ...image, id: "artifact_of_a_tool" }, image] }), {
          version: release
        })
        if (!list.includes("drawn.png")) {
          assert.strictEqual(yield* reasonOf(service.list(task.taskId)), "NotSupported", release)
          assert.deepStrictEqual(service.asked, [], release)
          continue
        }
        const found = yield* service.list(task.taskId)
        const takesRole = byRole.includes("drawn.png")
        assert.strictEqual(JSON.stringify(service.asked).includes("messageRole"), takesRole, release)
        // Without the role, an image that a tool gave to the agent may be among them.
        assert.deepStrictEqual(found.map(({ id }) => id).includes("artifact_of_a_tool"), takesRole, release)
        assert.deepInclude(found, shown)
      }
    }))

  it.effect("gets the content by its address, over the session's own way to the gateway", () =>
    Effect.gen(function*() {
      const fetched: Array<readonly [path: string, maxBytes: number]> = []
      const service = yield* over(() => ({ artifact: image, url: "/api/x?mediaTicket=t", expiresAt: "soon" }), {
        fetch: (path, maxBytes) => {
          fetched.push([path, maxBytes])
          return Effect.succeed(new Uint8Array([1, 2]))
        }
      })
      assert.deepStrictEqual([...yield* service.download(task.taskId, shown, 5)], [1, 2])
      assert.deepStrictEqual(fetched, [["/api/x?mediaTicket=t", 5]])
      assert.deepInclude(service.asked[0]?.[1], { artifactId: image.id })
    }))

  it.effect("takes the content from the answer where it is there", () =>
    Effect.gen(function*() {
      const service = yield* over(() => ({ artifact: image, encoding: "base64", data: "AQID" }))
      assert.deepStrictEqual([...yield* service.download(task.taskId, shown)], [1, 2, 3])
      assert.strictEqual(yield* reasonOf(service.download(task.taskId, shown, 2)), "TooLarge")
    }))

  it.effect("says why there is nothing to be had, and never the address", () =>
    Effect.gen(function*() {
      const url = "/api/x?mediaTicket=secret"
      const failing = (error: FileNotGiven): Means => ({ fetch: () => Effect.fail(error) })
      const cases: ReadonlyArray<readonly [reason: string, answer: unknown, means?: Means]> = [
        ["Refused", new Error("artifact not found")],
        ["Invalid", { artifact: image }],
        ["Invalid", { artifact: image, encoding: "base64", data: "***" }],
        ["Invalid", "nothing"],
        ["Elsewhere", { artifact: image, url }],
        ["Elsewhere", { artifact: image, url }, { at: "ws://127.0.0.1:1/", fetch: () => Effect.die("asked") }],
        ["Elsewhere", { artifact: image, url }, failing(new FileNotGiven({ reason: "NotHere" }))],
        ["TooLarge", { artifact: image, url }, failing(new FileNotGiven({ reason: "TooLarge" }))],
        ["Refused", { artifact: image, url }, failing(new FileNotGiven({ reason: "Refused", status: 401 }))],
        ["NotConnected", {}, { status: offline }]
      ]
      for (const [reason, answer, means] of cases) {
        const { download } = yield* over(() => answer, means)
        const error = yield* Effect.flip(download(task.taskId, { ...shown, title: "a\u001b\nb" }))
        assert.strictEqual(error._tag === "ArtifactError" ? error.reason : error._tag, reason)
        assert.notInclude(error.message, "secret")
        assert.notInclude(error.message, "\u001b")
      }
      const old = yield* over(() => new Error("missing scope: operator.admin"), { version: "dev" })
      assert.strictEqual(yield* reasonOf(old.list(task.taskId)), "NotSupported")
      const { list } = yield* over(() => ({}))
      assert.strictEqual(yield* reasonOf(list(TaskId.make("00000002"))), "TaskNotFound")
      assert.strictEqual(yield* reasonOf(list(task.taskId)), "Invalid")
    }))

  it.effect("does not wait for ever", () =>
    Effect.gen(function*() {
      const { download } = yield* over(() => ({ artifact: image, url: "/api/x" }), { fetch: () => Effect.never })
      const waiting = yield* Effect.forkChild(reasonOf(download(task.taskId, shown)), { startImmediately: true })
      yield* TestClock.adjust("60 seconds")
      assert.strictEqual(yield* Fiber.join(waiting), "TimedOut")
    }))
})
