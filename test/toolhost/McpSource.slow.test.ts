import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import process from "node:process"
import { fileURLToPath } from "node:url"
import * as McpSource from "../../src/toolhost/McpSource.ts"
import * as RestartStep from "../../src/toolhost/RestartStep.ts"
import type { SourceTool } from "../../src/toolhost/ToolSource.ts"
import { texts } from "./Fixture.ts"

const limit = 40_000
const serverFile = (name: string) => fileURLToPath(new URL(name, import.meta.url))

const startedBy = Effect.fnUntraced(function*(command: string, args: ReadonlyArray<string>) {
  const told: Array<ReadonlyArray<SourceTool>> = []
  const logs: Array<string> = []
  const logger = Logger.make(({ message }) => void logs.push(JSON.stringify(message)))
  const source = yield* McpSource.make({
    name: "test",
    command,
    args,
    environment: { PATH: process.env["PATH"] ?? "", OWN: "yes" },
    version: "0.0.0"
  }).pipe(Effect.provide(Logger.layer([logger])))
  yield* Effect.forkScoped(Stream.runForEach(source.tools, (tools) => Effect.sync(() => void told.push(tools))))
  const until = (what: string, holds: () => boolean) =>
    Effect.repeat(Effect.yieldNow, { until: holds }).pipe(
      Effect.timeoutOrElse({
        duration: "20 seconds",
        orElse: () => Effect.die(new Error(`waits in vain: ${what}; ${logs.join()}`))
      })
    )
  yield* until("tools", () => told.length > 0)
  const tool = (name: string) => {
    const found = told.at(-1)?.find((tool) => tool.name === name)
    return found ?? assert.fail(`no tool ${name}`)
  }
  const call = (name: string, given: unknown = {}) => Effect.result(tool(name).call(given))
  return { call, logs, source, told, tool, until }
})

const started = (file: string, args: ReadonlyArray<string> = []) => startedBy(process.execPath, [file, ...args])

/** Whether any process of the group is there. */
const isGroupAlive = (pid: number): boolean => {
  try {
    return process.kill(-pid, 0)
  } catch {
    return false
  }
}

describe("McpSource", () => {
  it.live.each(["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"])(
    "speaks %s with a server that speaks nothing else",
    (version) =>
      Effect.gen(function*() {
        const { call, logs, told } = yield* started(serverFile("EchoServer.ts"), [version])
        assert.includeMembers(told[0]?.map(({ name }) => name) ?? [], ["echo", "wipe"])
        const answered = yield* call("echo", { text: "hello" })
        if (answered._tag === "Failure") return assert.fail(answered.failure.message)
        assert.deepStrictEqual(texts(answered.success), ['{"text":"hello"}'])
        if (version >= "2025-06-18") assert.deepStrictEqual(answered.success.structuredContent, { text: "hello" })
        assert.deepStrictEqual(logs, [])
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    limit
  )

  it.live(
    "gives results and failures as the server does, marks what may destroy, and passes no variable on",
    () =>
      Effect.gen(function*() {
        const { call, tool } = yield* started(serverFile("EchoServer.ts"))
        const failed = yield* call("echo", { text: "no" })
        assert.isTrue(failed._tag === "Success" && failed.success.isError === true)
        const wrong = yield* call("echo", { wrong: 1 })
        assert.include(JSON.stringify(wrong), "text", "the server says what is missing")
        assert.include(JSON.stringify(yield* call("echo", [])), "the arguments are no object")
        assert.deepStrictEqual(["echo", "wipe"].map((name) => tool(name).isMarked), [false, true])
        process.env["OPENCLAW_GATEWAY_TOKEN"] = "very-secret"
        const env = JSON.stringify(yield* call("env"))
        assert.include(env, "OWN")
        assert.notInclude(env, "OPENCLAW")
        assert.notInclude(env, "VITEST")
      }).pipe(
        Effect.ensuring(Effect.sync(() => void delete process.env["OPENCLAW_GATEWAY_TOKEN"])),
        Effect.scoped,
        Effect.provide(NodeServices.layer)
      ),
    limit
  )

  it.live("tells tools that come later, and images as the protocol has them", () =>
    Effect.gen(function*() {
      const { call, told, tool, until } = yield* started(serverFile("SdkServer.ts"))
      assert.deepStrictEqual(told[0]?.map(({ isMarked, name }) => [name, isMarked]), [
        ["draw", false],
        ["grow", false],
        ["plain", true]
      ])
      const drawn = yield* call("draw")
      assert.deepInclude(drawn._tag === "Success" ? drawn.success.content[1] : {}, {
        type: "image",
        mimeType: "image/png"
      })
      assert.match(JSON.stringify(drawn), /"data":"iVBORw0K/)
      yield* call("grow")
      yield* until("the late tool", () => told.length === 2)
      assert.strictEqual(tool("late.tool").description, "Came later.")
      // Words of a tool are no notification.
      for (let count = 0; count < 5; count++) yield* call("late.tool")
      assert.lengthOf(told, 2)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), limit)

  it.live(
    "a server that dies is told with its last words and started again; calls meanwhile fail with words",
    () =>
      Effect.gen(function*() {
        const { call, logs, told, until } = yield* started(serverFile("EchoServer.ts"))
        const died = yield* call("die")
        assert.isTrue(died._tag === "Failure")
        yield* until("the log", () => logs.length === 1)
        assert.include(logs[0], "has ended and is started again")
        const meanwhile = yield* call("echo", { text: "x" })
        assert.include(JSON.stringify(meanwhile), "does not run now")
        yield* until("another life", () => told.length === 2)
        assert.isTrue((yield* call("echo", { text: "x" }))._tag === "Success")
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    limit
  )

  it.live(
    "an interrupted call is cancelled at the server, and the scope leaves no process of it",
    () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        // Its own child outlives a server that does not care.
        const script = `sleep 3600 & exec "${process.execPath}" "${serverFile("EchoServer.ts")}"`
        const { call, tool, until } = yield* Scope.provide(startedBy("/bin/sh", ["-c", script]), scope)
        const fiber = yield* Effect.forkChild(tool("wait").call({ text: "x" }), { startImmediately: true })
        const answered = yield* call("pid")
        const pid = answered._tag === "Success" ? Number(texts(answered.success)[0]) : 0
        yield* Fiber.interrupt(fiber)
        assert.include(JSON.stringify(yield* call("stopped")), "x")
        assert.isTrue(isGroupAlive(pid))
        yield* Scope.close(scope, Exit.void)
        yield* until("the end of the group", () => !isGroupAlive(pid))
      }).pipe(Effect.provide(NodeServices.layer)),
    limit
  )

  it.live("a program that is not there is told once, and not tried again", () =>
    Effect.gen(function*() {
      const logs: Array<string> = []
      const logger = Logger.make(({ message }) => void logs.push(JSON.stringify(message)))
      const source = yield* McpSource.make({
        name: "test",
        command: "/nonexistent/program",
        args: [],
        environment: {},
        version: "0.0.0"
      }).pipe(Effect.provide(Logger.layer([logger])))
      const first = yield* Stream.runHead(source.tools)
      assert.deepStrictEqual(first, yield* Effect.succeedSome<ReadonlyArray<SourceTool>>([]))
      assert.lengthOf(logs, 1)
      assert.include(logs[0], "given up")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), limit)
})

describe("RestartStep", () => {
  it("waits longer each time, gives up after five ends in a row, and begins anew after a long life", () => {
    const waits: Array<number> = []
    let failures = 0
    for (;;) {
      const next = RestartStep.step(failures, 10)
      if (next === undefined) break
      failures = next.failures
      waits.push(next.afterMs)
    }
    assert.deepStrictEqual(waits, [1000, 2000, 4000, 8000])
    assert.deepStrictEqual(RestartStep.step(4, RestartStep.steadyMs), { failures: 1, afterMs: 1000 })
  })
})
