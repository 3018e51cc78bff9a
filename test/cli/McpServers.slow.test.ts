import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { format } from "../../src/cli/CommandWords.ts"
import { texts } from "../toolhost/Fixture.ts"
import * as Cli from "./Cli.ts"
import { module, staged } from "./ToolGateway.ts"

const limit = 60_000
const server = (name: string, ...args: ReadonlyArray<string>) =>
  format([process.execPath, fileURLToPath(new URL(`../toolhost/${name}.ts`, import.meta.url)), ...args])

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe("run --mcp-server", () => {
  it.live(
    "serves the tools of two servers beside those of a module, and ends the servers with itself",
    () =>
      Effect.gen(function*() {
        const { approved, env, gateway, stateDir } = yield* staged
        const flags = [
          "--tools",
          module,
          "--mcp-server",
          `echo=${server("EchoServer", "2025-06-18")}`,
          "--mcp-server",
          `sdk=${server("SdkServer")}`,
          "--allow-tool",
          "echo_wipe",
          "--mcp-env",
          "ECHO_KEY"
        ]
        const cli = yield* Cli.start(["run", "--json", "--no-page", ...flags], {
          stateDir,
          env: { ...env, ECHO_KEY: "key", OTHER: "other" }
        })
        yield* approved
        yield* gateway.awaitState(({ tools }) => tools.length > 8)
        assert.deepStrictEqual((yield* gateway.tools).map(({ name }) => name).toSorted(), [
          "die",
          "draw",
          "echo",
          "echo_wipe",
          "env",
          "grow",
          "pid",
          "plain",
          "stopped",
          "wait",
          "wipe"
        ])
        const call = (name: string, args: unknown = {}) => Effect.map(gateway.callTool(name, args), texts)
        assert.deepStrictEqual(yield* call("echo", { text: "hi" }), [
          'structuredContent:\n{\n  "text": "hi"\n}',
          '{"text":"hi"}'
        ])
        assert.match((yield* call("echo_wipe", { text: "it" })).join(), /wiped it/)
        // Nobody said that it destroys nothing.
        assert.match((yield* call("plain")).join(), /nobody is there who could decide/)
        const names = (yield* call("env")).join()
        assert.include(names, "ECHO_KEY")
        for (const name of ["OPENCLAW", "OTHER", "NODE_COMPILE_CACHE"]) assert.notInclude(names, name)
        yield* call("grow")
        yield* gateway.awaitState(({ tools }) => tools.some(({ name }) => name === "late_tool"))
        const pid = Number((yield* call("pid")).at(-1))
        assert.isTrue(isAlive(pid))
        yield* Effect.forkChild(Effect.exit(call("die"))).pipe(Effect.flatMap(Fiber.join))
        yield* Effect.repeat(Effect.yieldNow, {
          until: () => cli.stderr.some((line) => line.includes("started again"))
        })
        assert.match(cli.stderr.join("\n"), /an MCP server has ended and is started again.*echo.*the disk is on fire/)
        const again = Effect.map(Effect.orElseSucceed(call("pid"), () => [""]), (said) => Number(said.at(-1)))
        const next = yield* Effect.repeat(again, { until: (number) => number > 0 })
        assert.notStrictEqual(next, pid)
        yield* cli.signal("SIGTERM")
        assert.deepStrictEqual(yield* cli.exit, { code: 0, signal: null })
        assert.isFalse(isAlive(next))
      }).pipe(Effect.scoped, Effect.provide(Cli.platform)),
    limit
  )

  it.live("our own MCP server is one, too", () =>
    Effect.gen(function*() {
      const { approved, env, gateway, stateDir } = yield* staged
      const own = `mine=${
        format([process.execPath, fileURLToPath(new URL("../../src/cli/Main.ts", import.meta.url)), "mcp"])
      }`
      yield* Cli.start(["run", "--json", "--no-page", "--mcp-server", own], { stateDir, env })
      yield* approved
      yield* gateway.awaitState(({ tools }) => tools.length > 1)
      const names = (yield* gateway.tools).map(({ name }) => name)
      assert.isTrue(names.some((name) => name.includes("delegate")), names.join())
    }).pipe(Effect.scoped, Effect.provide(Cli.platform)), limit)

  it.live(
    "a command that cannot be read, and a variable that is not there or a secret of ours, end the command",
    () =>
      Effect.gen(function*() {
        const stateDir = yield* Cli.temporaryDirectory
        for (
          const [flags, problem] of [
            [["--mcp-server", "node 'x"], /--mcp-server: a quotation mark ' has no end/],
            [["--mcp-server", "files="], /--mcp-server: there is no command/],
            [["--mcp-env", "NO_SUCH_VARIABLE"], /--mcp-env: there is no variable NO_SUCH_VARIABLE/],
            [["--mcp-env", "OPENCLAW_GATEWAY_TOKEN"], /--mcp-env: OPENCLAW_GATEWAY_TOKEN is a setting of this program/]
          ] as const
        ) {
          const { code, stderr } = yield* Cli.finished(["run", ...flags], { stateDir })
          assert.strictEqual(code, 78)
          assert.match(stderr, problem)
        }
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )
})
