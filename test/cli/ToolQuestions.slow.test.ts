import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { ask, open } from "../dialog/DialogServerClient.ts"
import * as Cli from "./Cli.ts"
import * as Shell from "./Shell.ts"
import { module, staged } from "./ToolGateway.ts"

const limit = 40_000
describe("marked tools of run", () => {
  it.live(
    "at a terminal a person allows by a line, refuses by another, and every other line is a task",
    () =>
      Effect.gen(function*() {
        const { approved, call, env, stateDir } = yield* staged
        const shell = yield* Shell.start(`script -qec "$CLI run --no-page --tools ${module}" /dev/null`, {
          stateDir,
          env
        })
        const shown = (text: RegExp) =>
          Effect.repeat(Effect.yieldNow, { until: () => shell.stdout.some((line) => text.test(line)) }).pipe(
            Effect.timeoutOrElse({
              duration: "30 seconds",
              orElse: () => Effect.die(`${text} did not come: ${shell.stdout.slice(-20).join("\n")}`)
            })
          )
        yield* approved
        yield* shown(/the gateway's agent has wipe/)
        const allowed = yield* call("/a\u001b[2J\nb")
        yield* shown(/\| \{"path":"\/a\\u001b\[2J\\nb"\}/)
        yield* shown(/Until \d\d:\d\d:\d\d UTC type y t1 to allow it once, or n t1 to refuse it\./)
        yield* shell.write("y t1 please\n")
        yield* shown(/\| echo: y t1 please/)
        yield* shell.write("y t1\n")
        assert.strictEqual(yield* Fiber.join(allowed), JSON.stringify("wiped /a\u001b[2J\nb"))
        yield* shown(/tool wipe \(t1\): allowed/)
        const denied = yield* call("/b")
        yield* shown(/type y t2/)
        yield* shell.write("n t2\n")
        assert.match(String(yield* Fiber.join(denied)), /a person has refused this call/)
        yield* shell.write("y t2\ny t9\n")
        yield* shown(/t2: too late, this question has ended/)
        yield* shown(/t9: there is no such question; nothing was allowed or refused/)
        yield* shell.write("\u0003")
        yield* shell.drained
      }).pipe(Effect.scoped, Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "without a terminal a call is refused at once, until a page is open, where a person decides",
    () =>
      Effect.gen(function*() {
        const { approved, call, env, stateDir } = yield* staged
        const cli = yield* Cli.start(["run", "--json", "--tools", module], { stateDir, env })
        const page = yield* cli.nextEvent("page")
        const [, port, token = ""] = /:(\d+)\/#token=(.+)$/.exec(String(page["url"])) ?? []
        const served = { port: Number(port), token }
        yield* approved
        yield* cli.nextEvent("tools", "30 seconds", (event) => event["state"] === "published")
        assert.match(String(yield* Fiber.join(yield* call("/a"))), /nobody is there who could decide/)
        const answer = (id: string, decision: string) =>
          Effect.map(ask(served, `/tool-questions/${id}/${decision}`, { method: "POST" }), ({ status }) => status)
        assert.strictEqual(yield* answer("t1", "allow"), 404)
        yield* open(served, "/events")
        const allowed = yield* call("/b")
        const { at: _, answerBy: __, ...asked } = yield* cli.nextEvent("tool.asked")
        assert.deepStrictEqual(asked, {
          event: "tool.asked",
          questionId: "t1",
          tool: "wipe",
          title: "Remove a file",
          arguments: '{"path":"/b"}'
        })
        assert.strictEqual(yield* answer("t1", "allow"), 204)
        assert.strictEqual(yield* Fiber.join(allowed), '"wiped /b"')
        assert.strictEqual(yield* answer("t1", "allow"), 410)
        const { outcome } = yield* cli.nextEvent("tool.settled")
        assert.strictEqual(outcome, "allowed")
        // An answer on standard input counts, too, where a program writes it.
        const denied = yield* call("/c")
        yield* cli.nextEvent("tool.asked")
        yield* cli.stdinWrite("n t2")
        assert.match(String(yield* Fiber.join(denied)), /a person has refused/)
        yield* cli.stdinWrite("n t2")
        const { line, reason } = yield* cli.nextEvent("answer.refused")
        assert.deepStrictEqual([line, reason], [2, "late"])
        assert.match(cli.stderr.join("\n"), /refused: nobody could decide/)
        assert.notMatch(cli.stderr.join("\n"), /\/a/)
      }).pipe(Effect.scoped, Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "--allow-tool calls without a question, and a name that no tool has ends the command",
    () =>
      Effect.gen(function*() {
        const { approved, call, env, gateway, stateDir } = yield* staged
        const cli = yield* Cli.start(["run", "--json", "--no-page", "--tools", module, "--allow-tool", "wipe"], {
          stateDir,
          env
        })
        yield* approved
        assert.strictEqual(yield* Fiber.join(yield* call("/a")), '"wiped /a"')
        assert.lengthOf(cli.events.filter(({ event }) => event === "tool.asked"), 0)
        assert.strictEqual((yield* gateway.stats).openPeers, 2)
        for (const flags of [["--tools", module, "--allow-tool", "wip"], ["--allow-tool", "wipe"]]) {
          const { code, stderr } = yield* Cli.finished(["run", ...flags], { stateDir, env })
          assert.strictEqual(code, 78)
          assert.match(stderr, /--allow-tool: there is no tool wip/)
        }
      }).pipe(Effect.scoped, Effect.provide(Cli.platform)),
    limit
  )
})
