import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Cli from "./Cli.ts"

const limit = 60_000

const Text = (value: unknown): string => {
  assert.isString(value)
  return String(value)
}

/** The pasteable text of an event that carries an approve command. */
const approveText = (event: Readonly<Record<string, unknown>>): string => {
  const approve = event["approve"]
  assert.isObject(approve)
  return Text(Object.entries(approve ?? {}).find(([name]) => name === "text")?.[1])
}

describe.concurrent("the main job", () => {
  it.live(
    "run embeds a gateway, is approved by the pasted command, and gives every line its own reply",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const stateDir = yield* Cli.temporaryDirectory
        const cli = yield* Cli.start(["run", "--json"], { stateDir })
        const required = yield* cli.nextEvent("pairing.required")
        assert.strictEqual((yield* fs.stat(`${stateDir}/gateway.json`)).mode & 0o777, 0o600)

        const answer = yield* Cli.paste(`${approveText(required)} --yes`)
        const approvedAtMs = performance.now()
        assert.deepStrictEqual(answer, { code: 0, stdout: [`approved ${Text(required["requestId"])}`], stderr: "" })
        yield* cli.nextEvent("connected")
        assert.isBelow(performance.now() - approvedAtMs, 4000)

        yield* cli.stdinWrite("water the plants\nfeed the cat")
        yield* cli.nextEvent("task.reply")
        yield* cli.nextEvent("task.reply")
        yield* Cli.endsAt(cli, "SIGTERM", stateDir)

        const events = yield* Cli.eventsOf(cli)
        assert.deepStrictEqual(Cli.withoutPage(Cli.names(events)).slice(0, 4), [
          "identity",
          "gateway",
          "connecting",
          "pairing.required"
        ])
        const [identity, gateway] = events
        assert.include(identity, { event: "identity", created: true, path: `${stateDir}/identity.json` })
        assert.include(gateway, { event: "gateway", embedded: true })
        assert.lengthOf(events.filter(({ event }) => event === "pairing.required"), 1)
        const resolved = events.filter((event) => event.event === "pairing.resolved")
        assert.deepStrictEqual(resolved.map(({ requestId }) => requestId), [required["requestId"]])

        // Tasks of one session run in the order in which they were given, so the first to be sent is the first line.
        const sent = events.flatMap((event) => event.event === "task.sent" ? [event] : [])
        const replies = events.flatMap((event) => event.event === "task.reply" ? [event] : [])
        assert.deepStrictEqual(
          replies.map(({ runId, taskId, text }) => ({ runId, taskId, text })),
          sent.map(({ runId, taskId }, index) => ({
            runId,
            taskId,
            text: index === 0 ? "echo: water the plants" : "echo: feed the cat"
          }))
        )
        assert.lengthOf(new Set(replies.map(({ taskId }) => taskId)), 2)
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "F52: a task typed before the approval is kept, and the end of standard input does not end run",
    () =>
      Effect.gen(function*() {
        const stateDir = yield* Cli.temporaryDirectory
        const shown = yield* Cli.finished(["identity", "show", "--json"], { stateDir })
        const created: unknown = JSON.parse(shown.stdout.join(""))
        const cli = yield* Cli.start(["run", "--json"], { stateDir, stdin: ["early bird"] })
        const required = yield* cli.nextEvent("pairing.required")
        const answer = yield* Cli.paste(`${approveText(required)} --yes`)
        assert.strictEqual(answer.code, 0)
        const reply = yield* cli.nextEvent("task.reply")
        assert.strictEqual(reply["text"], "echo: early bird")
        yield* Cli.endsAt(cli, "SIGINT", stateDir)

        const events = yield* Cli.eventsOf(cli)
        const task = events.filter((event) => "taskId" in event && event.taskId === reply["taskId"])
        const queued = task.filter(({ event }) => event === "task.queued")
        assert.include(queued.at(-1), { event: "task.queued", reason: "AwaitingApproval" })
        assert.strictEqual(task[queued.length]?.event, "task.sent")
        assert.isBelow(Cli.names(events).lastIndexOf("task.queued"), Cli.names(events).indexOf("connected"))
        const [identity] = events
        assert.isTrue(identity?.event === "identity" && !identity.created)
        assert.deepInclude(created, {
          created: true,
          deviceId: identity?.event === "identity" ? identity.deviceId : ""
        })
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "F12: against a gateway of another process a start that needs approval is one notice and no error",
    () =>
      Effect.gen(function*() {
        const stateDir = yield* Cli.temporaryDirectory
        const gateway = yield* Cli.start(["gateway", "--port", "0", "--json"], { stateDir })
        const url = Text((yield* gateway.nextEvent("gateway"))["url"])
        const cli = yield* Cli.start(["run", "--json"], { stateDir, env: { OPENCLAW_GATEWAY_URL: url } })
        const required = yield* cli.nextEvent("pairing.required")
        const answer = yield* Cli.paste(`${approveText(required)} --yes`)
        const approvedAtMs = performance.now()
        assert.strictEqual(answer.code, 0)
        yield* cli.nextEvent("connected")
        assert.isBelow(performance.now() - approvedAtMs, 4000)
        yield* cli.stdinWrite("water the plants")
        assert.strictEqual((yield* cli.nextEvent("task.reply"))["text"], "echo: water the plants")

        const events = yield* Cli.eventsOf(cli)
        assert.include(events[1], { event: "gateway", url, embedded: false })
        const seen = Cli.withoutPage(Cli.names(events))
        assert.deepStrictEqual(
          seen.filter((name) => !name.startsWith("task.")).toSorted(),
          ["connected", "connecting", "gateway", "identity", "pairing.required", "pairing.resolved"]
        )
        assert.strictEqual(Cli.quiet(cli.stderr), "")
        yield* cli.signal("SIGINT")
        assert.deepStrictEqual(yield* cli.exit, { code: 0, signal: null })
        yield* Cli.endsAt(gateway, "SIGINT", stateDir)
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )
})
