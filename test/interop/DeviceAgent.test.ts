import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { randomUUID } from "node:crypto"
import { AgentEvent } from "../../src/protocol/AgentEvent.ts"
import * as Compatibility from "./support/Compatibility.ts"
import { spawnCli } from "./support/DeviceCli.ts"
import type { CliEvent, DeviceCli } from "./support/DeviceCli.ts"
import { boot, type Gateway, releases } from "./support/OpenClaw.ts"
import { isAlive } from "./support/ProcessGroup.ts"
import { administrator } from "./support/RawClient.ts"
import { proxy } from "./support/RemoteProxy.ts"

const isAgentEvent = Schema.is(AgentEvent)
const text = (event: CliEvent, field: string): string => {
  const value = event[field]
  assert.isString(value, `${field} of ${JSON.stringify(event)}`)
  return String(value)
}

/** Delegates a line typed on standard input and returns the reply to it. */
const ask = Effect.fnUntraced(function*(cli: DeviceCli, line: string) {
  yield* cli.stdinWrite(line)
  const { taskId } = yield* cli.nextEvent("task.sent")
  return yield* cli.nextEvent("task.reply", "60 seconds", (event) => event["taskId"] === taskId)
})

/** Ends `run` with a signal: at once, with status 0, `stopped` last, and no word on standard error. */
const end = Effect.fnUntraced(function*(cli: DeviceCli) {
  const [took, exit] = yield* Effect.timed(Effect.andThen(cli.signal("SIGTERM"), cli.exit))
  assert.deepStrictEqual(exit, { code: 0, signal: null })
  assert.isBelow(Duration.toMillis(took), 2000)
  assert.strictEqual(cli.events.at(-1)?.["event"], "stopped")
  assert.deepStrictEqual(cli.stdout.filter((line) => !line.startsWith("{")), [])
  for (const event of cli.events) assert.isTrue(isAgentEvent(event), JSON.stringify(event))
})

const ChatEnd = Schema.Struct({
  runId: Schema.String,
  state: Schema.Literals(["final", "error"]),
  errorMessage: Schema.optionalKey(Schema.String)
})
const decodeEnd = Schema.decodeUnknownOption(ChatEnd)

/**
 * The error that a client which is none of ours gets in the same session. A release (2026.6.11) takes one message after its
 * restart and fails the next ones of that session: a failure counts as the gateway's own when everybody gets it.
 */
const brokenSession = Effect.fnUntraced(function*(gateway: Gateway) {
  const client = yield* administrator(gateway)
  const runId = randomUUID()
  yield* client.request("chat.send", {
    sessionKey: "agent:main:main",
    message: "does it work for others",
    deliver: false,
    idempotencyKey: runId
  })
  const ended = yield* client.nextEvent(
    "chat",
    (payload) => Option.exists(decodeEnd(payload), (end) => end.runId === runId)
  )
  return Option.getOrThrow(Option.flatMapNullishOr(decodeEnd(ended.payload), (end) => end.errorMessage))
})

describe.each(Effect.runSync(releases))("the device agent on OpenClaw %s", (release) => {
  it.live(
    "is approved by OpenClaw's own CLI, delegates, comes back by its stored token, leaves nothing",
    (context) =>
      Effect.gen(function*() {
        const note = Compatibility.note(context, release)
        const fs = yield* FileSystem.FileSystem
        const gateway = yield* boot(release)
        const remote = yield* proxy(gateway)
        const home = yield* fs.makeTempDirectoryScoped({ prefix: "effect-openclaw-home-" })
        const stateDir = `${home}/state`
        const args = ["--json", "--state-dir", stateDir, "--log-level", "all"]
        const where = { HOME: home, OPENCLAW_GATEWAY_URL: remote.url }
        const withToken = { ...where, OPENCLAW_GATEWAY_TOKEN: Redacted.value(gateway.token) }

        const first = yield* spawnCli(["run", ...args], { env: withToken })
        const identity = yield* first.nextEvent("identity")
        assert.isTrue(identity["created"])
        assert.isFalse((yield* first.nextEvent("gateway"))["embedded"])
        const answer = yield* first.nextEvent(["pairing.required", "connected"], "20 seconds")
        const asked = answer["event"] === "pairing.required"
        const hello = !asked ? answer : yield* Effect.gen(function*() {
          const requestId = text(answer, "requestId")
          assert.deepStrictEqual(answer["approve"], {
            argv: ["openclaw", "devices", "approve", requestId],
            text: `openclaw devices approve ${requestId}`
          })
          // While it waits, a task is taken and kept.
          yield* first.stdinWrite("kept until approved")
          assert.strictEqual((yield* first.nextEvent("task.queued"))["reason"], "AwaitingApproval")
          const approved = yield* gateway.cli(["devices", "approve", requestId])
          assert.strictEqual(approved.code, 0, approved.stderr)
          const connected = yield* first.nextEvent("connected", "30 seconds")
          assert.strictEqual(
            (yield* first.nextEvent("task.reply", "60 seconds"))["text"],
            "echo: kept until approved"
          )
          return connected
        })
        // A few early releases admit every operator with the shared token, and then give no device token.
        assert.strictEqual(hello["deviceTokenIssued"], asked)
        assert.includeMembers([...(Array.isArray(hello["scopes"]) ? hello["scopes"] : [])], [
          "operator.read",
          "operator.write"
        ])
        for (const name of ["pairing.resolved", "pairing.required"]) {
          assert.strictEqual(first.events.filter(({ event }) => event === name).length, asked ? 1 : 0)
        }
        note({
          protocol: String(hello["protocol"]),
          pairing: asked ? "yes" : "no",
          deviceToken: asked ? "yes" : "no"
        })

        const line = `hello ${randomUUID()}`
        assert.strictEqual((yield* ask(first, line))["text"], `echo: ${line}`)
        yield* gateway.model.nextPrompt(line)
        yield* end(first)

        // No shared token any more: the stored device token is enough. Where there is none, it has to be told.
        if (!asked) {
          const refused = yield* spawnCli(["run", ...args], { env: where })
          const { error } = yield* refused.nextEvent("halted", "30 seconds")
          assert.deepInclude(error, { error: "AuthRejected", owner: "you" })
          assert.include(JSON.stringify(error), "OPENCLAW_GATEWAY_TOKEN")
          yield* end(refused)
        }
        note({ reconnect: asked ? "yes" : "no" })
        const later = asked ? where : withToken
        const second = yield* spawnCli(["run", ...args], { env: later })
        assert.deepInclude(yield* second.nextEvent("identity"), { created: false, deviceId: identity["deviceId"] })
        yield* second.nextEvent("connected", "30 seconds")
        assert.isUndefined(second.events.find(({ event }) => String(event).startsWith("pairing.")))
        const pair = [`one ${randomUUID()}`, `two ${randomUUID()}`]
        yield* Effect.forEach(pair, second.stdinWrite)
        const replies = [
          yield* second.nextEvent("task.reply", "60 seconds"),
          yield* second.nextEvent("task.reply", "60 seconds")
        ]
        assert.deepStrictEqual(replies.map((reply) => reply["text"]), pair.map((asked) => `echo: ${asked}`))

        const task = `delegated ${randomUUID()}`
        const delegate = yield* spawnCli(["delegate", task, ...args], { env: later })
        assert.strictEqual((yield* delegate.nextEvent("task.reply", "60 seconds"))["text"], `echo: ${task}`)
        assert.deepStrictEqual(yield* delegate.exit, { code: 0, signal: null })
        note({ delegate: "yes" })

        // The gateway goes and comes back; so does the agent.
        yield* gateway.restart
        yield* second.nextEvent("waiting", "30 seconds")
        yield* second.nextEvent("connected", "90 seconds")
        const after = `after the restart ${randomUUID()}`
        assert.strictEqual((yield* ask(second, after))["text"], `echo: ${after}`)
        const further = `further ${randomUUID()}`
        yield* second.stdinWrite(further)
        const outcome = yield* second.nextEvent(["task.reply", "task.failed"])
        if (outcome["event"] === "task.reply") assert.strictEqual(outcome["text"], `echo: ${further}`)
        else assert.isNotEmpty(yield* brokenSession(gateway), JSON.stringify(outcome))
        yield* end(second)
        assert.isFalse(isAlive(second))
        note({ restart: outcome["event"] === "task.reply" ? "yes" : "yes, with failures" })

        const secret = Redacted.value(gateway.token)
        for (const cli of [first, second, delegate]) {
          assert.notInclude([...cli.stdout, ...cli.stderr].join("\n"), secret)
        }
        assert.deepStrictEqual((yield* fs.readDirectory(stateDir)).toSorted(), [
          "identity.json",
          "live",
          "tasks",
          ...(asked ? ["tokens"] : [])
        ])
        // The private sockets of the programs went with them.
        assert.deepStrictEqual(yield* fs.readDirectory(`${stateDir}/live`), [])
        // Every task was answered, so the journal has nothing left to do.
        assert.deepStrictEqual(yield* fs.readDirectory(`${stateDir}/tasks`), [])
      }).pipe(Effect.provide(NodeServices.layer)),
    600_000
  )
})
