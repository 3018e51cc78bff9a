import { assert, describe, it } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js"
import * as Tool from "effect/ai/Tool"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { fileURLToPath } from "node:url"
import manifest from "../../package.json" with { type: "json" }
import * as TaskTools from "../../src/agent/TaskTools.ts"
import { projectMain } from "../interop/support/DeviceCli.ts"
import * as ProcessGroup from "../interop/support/ProcessGroup.ts"
import * as Cli from "./Cli.ts"

const limit = 60_000
const token = "a-shared-token"
const main = projectMain
const compileCache = fileURLToPath(new URL("../../node_modules/.cache/effect-openclaw-cli", import.meta.url))
const names = Object.keys(TaskTools.TaskTools.tools)

/** A gateway of another process, which the commands of the same state directory find. */
const gateway = Effect.gen(function*() {
  const stateDir = yield* Cli.temporaryDirectory
  const cli = yield* Cli.start(["gateway", "--port", "0", "--json"], {
    stateDir,
    env: { OPENCLAW_GATEWAY_TOKEN: token }
  })
  yield* cli.nextEvent("gateway")
  return stateDir
})

const CallResult = Schema.Struct({
  isError: Schema.optionalKey(Schema.Boolean),
  content: Schema.Tuple([Schema.Struct({ type: Schema.Literal("text"), text: Schema.String })]),
  structuredContent: Schema.optionalKey(TaskTools.TaskAnswer)
})
const decodeResult = Schema.decodeUnknownEffect(CallResult)
const decodeRefusal = Schema.decodeUnknownEffect(Schema.fromJsonString(TaskTools.TaskRefusal))

/** The server as the official client library starts it, talks to it and ends it. */
const client = Effect.fnUntraced(function*(stateDir: string) {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [main, "mcp", "--json", "--state-dir", stateDir],
    env: { HOME: stateDir, NODE_COMPILE_CACHE: compileCache },
    stderr: "pipe"
  })
  const asked = yield* Deferred.make<void>()
  const replied = yield* Deferred.make<void>()
  const strange: Array<Error> = []
  let stderr = ""
  transport.stderr?.on("data", (chunk) => {
    stderr += String(chunk)
    if (stderr.includes('"event":"pairing.required"')) Deferred.doneUnsafe(asked, Effect.void)
    if (stderr.includes('"event":"task.reply"')) Deferred.doneUnsafe(replied, Effect.void)
  })
  const client = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      // A line on standard output that is no message of the protocol is told here.
      const onerror = (error: Error) => void strange.push(error)
      const client = Object.assign(new Client({ name: "test", version: "1" }), { onerror })
      await client.connect(transport)
      return client
    }),
    (client) => Effect.promise(() => client.close())
  )
  return {
    client,
    asked: Deferred.await(asked),
    replied: Deferred.await(replied),
    stderr: () => stderr,
    strange,
    call: Effect.fnUntraced(function*(name: string, args: Readonly<Record<string, string>>) {
      const startedAtMs = performance.now()
      const result = yield* Effect.promise(() => client.callTool({ name, arguments: args }))
      return { elapsedMs: performance.now() - startedAtMs, ...(yield* decodeResult(result)) }
    })
  }
})

/** The server with its lines in our hands. */
const raw = Effect.gen(function*() {
  const stateDir = yield* Cli.temporaryDirectory
  const stdout: Array<string> = []
  const stderr: Array<string> = []
  const answered = yield* Deferred.make<void>()
  const server = yield* ProcessGroup.spawn(
    process.execPath,
    [main, "mcp", "--gateway-url", "ws://127.0.0.1:1", "--state-dir", stateDir],
    {
      cwd: stateDir,
      env: { HOME: stateDir, NODE_COMPILE_CACHE: compileCache },
      onStdout: (line) => {
        stdout.push(line)
        Deferred.doneUnsafe(answered, Effect.void)
      },
      onStderr: (line) => void stderr.push(line)
    }
  )
  return { ...server, stdout, stderr, answered: Deferred.await(answered) }
})

const request = (id: number, method: string, params: unknown) => JSON.stringify({ jsonrpc: "2.0", id, method, params })
const initialize = request(1, "initialize", {
  protocolVersion: "2025-06-18",
  capabilities: {},
  clientInfo: { name: "test", version: "1" }
})
const Message = Schema.fromJsonString(Schema.Struct({
  jsonrpc: Schema.Literal("2.0"),
  id: Schema.optionalKey(Schema.Int),
  result: Schema.optionalKey(Schema.Unknown)
}))
const decodeMessage = Schema.decodeUnknownEffect(Message)

describe.concurrent("mcp", () => {
  it.live(
    "F09: a client of the official library lists the tools as their schemas are, delegates before approval, and gets the reply after it from the next server",
    () =>
      Effect.gen(function*() {
        const stateDir = yield* gateway
        const first = yield* client(stateDir)
        const { call, client: sdk } = first
        assert.deepStrictEqual(sdk.getServerVersion(), { name: "openclaw-device", version: manifest.version })
        const { tools } = yield* Effect.promise(() => sdk.listTools())
        assert.deepStrictEqual(tools.map(({ name }) => name), names)
        for (const tool of Object.values(TaskTools.TaskTools.tools)) {
          const told = tools.find(({ name }) => name === tool.name)?.inputSchema
          assert.deepStrictEqual<unknown>(told, Tool.getJsonSchema(tool))
        }

        yield* first.asked
        const delegated = yield* call("claw_task_delegate", { summary: "water the plants" })
        assert.isFalse(delegated.isError)
        const { message = "", status, task_id = "" } = delegated.structuredContent ?? {}
        assert.strictEqual(status, "queued")
        assert.include(message, task_id)
        const requestId = /request ([0-9a-f-]{36}) waits/.exec(message)?.[1] ?? ""
        const waiting = yield* call("claw_task_status", { task_id })
        assert.strictEqual(waiting.structuredContent?.status, "queued")
        const refused = yield* call("claw_task_delegate", { summary: " " })
        assert.isTrue(refused.isError)
        assert.include(yield* decodeRefusal(refused.content[0].text), { reason: "TaskRefused.Empty" })
        for (const { elapsedMs } of [delegated, waiting, refused]) assert.isBelow(elapsedMs, 200)

        const approved = yield* Cli.finished(["devices", "approve", requestId, "--yes"], { stateDir })
        assert.deepStrictEqual(approved, { code: 0, stdout: [`approved ${requestId}`], stderr: "" })
        yield* Effect.promise(() => sdk.close())
        const second = yield* client(stateDir)
        yield* Effect.timeout(second.replied, "20 seconds")
        const done = yield* second.call("claw_task_status", { task_id })
        assert.strictEqual(done.structuredContent?.status, "completed")
        assert.include(done.structuredContent?.message, "echo: water the plants")
        assert.include(first.stderr(), '"event":"pairing.required"')
        for (const { stderr, strange } of [first, second]) {
          assert.deepStrictEqual(strange, [])
          assert.notInclude(stderr(), token)
        }
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "answers what it was asked before standard input ended, and ends with status 0",
    () =>
      Effect.gen(function*() {
        const server = yield* raw
        const asked = [
          initialize,
          JSON.stringify({ jsonrpc: "2.0", method: "notifications/initialized" }),
          request(2, "tools/list", {}),
          request(3, "tools/call", { name: "claw_task_delegate", arguments: { summary: "one" } })
        ]
        yield* server.write(asked.map((line) => `${line}\n`).join(""))
        yield* server.endInput
        assert.deepStrictEqual(yield* Effect.timeout(server.drained, "20 seconds"), { code: 0, signal: null })
        const messages = yield* Effect.forEach(server.stdout, (line) => decodeMessage(line))
        assert.deepStrictEqual(messages.map(({ id }) => id).toSorted(), [1, 2, 3])
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "a line that is no message is answered as such, and what came with it in one write as ever",
    () =>
      Effect.gen(function*() {
        const server = yield* raw
        const strange = ["junk", "{", "5", "null", "[]", "[1]", "{}", '"x"', `{"id":9,"method":5}`]
        const lines = [
          initialize,
          "not json at all",
          request(2, "tools/list", {}),
          ...strange,
          "",
          request(3, "tools/list", {})
        ]
        yield* server.write(lines.map((line) => `${line}\n`).join(""))
        yield* server.endInput
        assert.deepStrictEqual(yield* Effect.timeout(server.drained, "20 seconds"), { code: 0, signal: null })
        const messages: ReadonlyArray<{ id: unknown; error?: { code: number } }> = server.stdout.map((line) =>
          JSON.parse(line)
        )
        const codes = messages.flatMap(({ error }) => error === undefined ? [] : [error.code])
        assert.deepStrictEqual(codes, [-32_700, -32_700, -32_700, ...Array(7).fill(-32_600)])
        const answered = messages.filter(({ error }) => error === undefined).map(({ id }) => id)
        assert.deepStrictEqual(answered.toSorted(), [1, 2, 3])
        assert.notMatch(server.stderr.join("\n"), /SyntaxError|\n\s+at /)
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  for (const how of ["end of standard input", "SIGTERM"] as const) {
    it.live(
      `${how} ends it within a second, with status 0 and nothing else on standard output`,
      () =>
        Effect.gen(function*() {
          const server = yield* raw
          yield* server.write(`${initialize}\n`)
          yield* Effect.timeout(server.answered, "20 seconds")
          const startedAtMs = performance.now()
          yield* how === "SIGTERM" ? server.signal("SIGTERM") : server.endInput
          assert.deepStrictEqual(yield* Effect.timeout(server.drained, "20 seconds"), { code: 0, signal: null })
          assert.isBelow(performance.now() - startedAtMs, 1000)
          assert.lengthOf(server.stdout, 1)
          yield* decodeMessage(server.stdout[0])
          assert.isFalse(ProcessGroup.isAlive(server))
        }).pipe(Effect.provide(Cli.platform)),
      limit
    )
  }
})
