import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Schema from "effect/Schema"
import { fileURLToPath } from "node:url"
import { exitCodes } from "../../src/cli/ExitCode.ts"
import * as Cli from "./Cli.ts"

const limit = 60_000

const decodeAnswer = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.Struct({
  same: Schema.Boolean,
  links: Schema.Int,
  messages: Schema.Int,
  difference: Schema.optionalKey(Schema.Struct({ what: Schema.String, afterMs: Schema.Finite })),
  recorded: Schema.Array(Schema.Struct({ state: Schema.String })),
  replayed: Schema.Array(Schema.Struct({ state: Schema.String }))
})))

const committed = (name: string) => fileURLToPath(new URL(`../recordings/${name}.ndjson`, import.meta.url))

describe.concurrent("the flight recorder on the command line", () => {
  it.live(
    "B16: a run on a gateway that is approved on, used and restarted is recorded over sockets and replays to the same states",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const stateDir = yield* Cli.temporaryDirectory
        const file = `${stateDir}/agent.ndjson`
        const token = "a-shared-token-of-this-test"
        const env = { OPENCLAW_GATEWAY_TOKEN: token }
        const gateway = yield* Cli.start(["gateway", "--port", "0", "--json"], { stateDir, env })
        const { url } = yield* gateway.nextEvent("gateway")
        const args = ["--gateway-url", String(url)]
        const agent = yield* Cli.start(["run", "--json", "--record", file, ...args], { stateDir, env })
        const { requestId } = yield* agent.nextEvent("pairing.required")
        yield* Cli.finished(["devices", "approve", String(requestId), "--yes", ...args], { stateDir, env })
        yield* agent.nextEvent("connected")
        yield* agent.stdinWrite("a task that nobody else may read")
        yield* agent.nextEvent("task.reply")
        yield* gateway.signal("SIGTERM")
        yield* gateway.exit
        yield* agent.nextEvent("waiting")
        yield* agent.signal("SIGINT")
        const { code } = yield* agent.exit
        assert.strictEqual(code, 0)

        const text = yield* fs.readFileString(file)
        assert.strictEqual((yield* fs.stat(file)).mode & 0o777, 0o600)
        for (const secret of [token, "nobody else may read", String(url).slice(5)]) assert.notInclude(text, secret)
        assert.match(text, /"kind":"end"\}\n$/)

        const told = yield* Cli.finished(["replay", file], { stateDir })
        assert.deepStrictEqual([told.code, told.stderr], [0, ""])
        assert.match(told.stdout[0] ?? "", /^recorded 2\d{3}-.* by release 0\.1\.0: \d+ entries in \d+\.\d s$/)
        assert.match(told.stdout.at(-1) ?? "", /^same: \d+ states, \d+ links, \d+ messages?$/)
        assert.isTrue(told.stdout.some((line) => /^ +\+\d+\.\d{3} s {2}AwaitingApproval .*not-paired/.test(line)))

        const json = yield* Cli.finished(["replay", file, "--json"], { stateDir })
        const answer = yield* decodeAnswer(json.stdout.join("\n"))
        assert.isTrue(answer.same)
        assert.includeMembers(answer.recorded.map(({ state }) => state), ["AwaitingApproval", "Connected", "Waiting"])
        assert.deepStrictEqual(answer.replayed, answer.recorded)
      }).pipe(Effect.scoped, Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "a replay that differs ends with status 1 and says where",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const stateDir = yield* Cli.temporaryDirectory
        const file = `${stateDir}/changed.ndjson`
        const text = yield* fs.readFileString(committed("drop-at-challenge"))
        yield* fs.writeFileString(
          file,
          text.replace('"kind":"closed","link":1,"end":', '"kind":"noise","link":1,"length":1,"end":')
        )
        const told = yield* Cli.finished(["replay", file], { stateDir })
        assert.strictEqual(told.code, exitCodes.failed)
        assert.match(told.stdout.join("\n"), /different at \+0\.000 s \(\w+\)\n {2}recorded {2}.*\n {2}replayed {2}/)
        assert.include(told.stderr, "the replay differs from the recording")
        const json = yield* Cli.finished(["replay", file, "--json"], { stateDir })
        const answer = yield* decodeAnswer(json.stdout.join("\n"))
        assert.deepStrictEqual([json.code, answer.same], [exitCodes.failed, false])
      }).pipe(Effect.scoped, Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "a file that is not there, one that is no recording, and one that exists already are told in a sentence",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const stateDir = yield* Cli.temporaryDirectory
        const absent = yield* Cli.finished(["replay", `${stateDir}/absent`], { stateDir })
        assert.deepStrictEqual([absent.code, absent.stdout], [exitCodes.settings, []])
        assert.match(absent.stderr, /absent cannot be read \(ENOENT\)/)
        const endless = yield* Cli.finished(["replay", "/dev/zero"], { stateDir })
        assert.strictEqual(endless.code, exitCodes.settings)
        assert.match(endless.stderr, /\/dev\/zero cannot be read \(no regular file\)/)
        yield* fs.writeFileString(`${stateDir}/large`, "")
        yield* fs.truncate(`${stateDir}/large`, 65 * 1024 * 1024)
        const large = yield* Cli.finished(["replay", `${stateDir}/large`], { stateDir })
        assert.strictEqual(large.code, exitCodes.settings)
        assert.match(large.stderr, /large holds more than a recording, which has at most 64 MiB/)
        yield* fs.writeFileString(`${stateDir}/notes`, "no recording\n")
        const notes = yield* Cli.finished(["replay", `${stateDir}/notes`], { stateDir })
        assert.strictEqual(notes.code, exitCodes.settings)
        assert.match(notes.stderr, /this is not a recording; make one with: openclaw-device run --record <new file>/)
        const again = yield* Cli.finished(["delegate", "x", "--record", `${stateDir}/notes`], { stateDir })
        assert.strictEqual(again.code, exitCodes.settings)
        assert.match(again.stderr, /notes exists, and a recording never replaces a file; name another one/)
        assert.strictEqual(yield* fs.readFileString(`${stateDir}/notes`), "no recording\n")
      }).pipe(Effect.scoped, Effect.provide(Cli.platform)),
    limit
  )
})
