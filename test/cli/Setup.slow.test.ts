import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import * as DevGatewayWs from "../../src/devgateway/DevGatewayWs.ts"
import * as Cli from "./Cli.ts"
import * as Shell from "./Shell.ts"

const limit = 90_000

const served = Effect.gen(function*() {
  const context = yield* Layer.build(DevGateway.layerTest())
  const url = yield* Effect.provideContext(DevGatewayWs.serve(), context)
  return { gateway: Context.get(context, DevGateway), url: url.href }
})

describe.concurrent("init and settings", () => {
  it.live(
    "first use on a terminal: init asks, hides the token, writes a private file, and the next command works without a flag",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const { url } = yield* served
        const stateDir = yield* Cli.temporaryDirectory
        const file = `${stateDir}/config/settings.json`
        const env = { OPENCLAW_DEVICE_SETTINGS: file }
        const shell = yield* Shell.start(`script --quiet --return --flush --command '$CLI init' $STATE/screen`, {
          stateDir,
          env
        })
        const screen = Effect.orElseSucceed(fs.readFileString(`${stateDir}/screen`), () => "")
        const until = (text: string) =>
          Effect.repeat(Effect.andThen(Effect.yieldNow, screen), { until: (all) => all.includes(text) }).pipe(
            Effect.timeoutOrElse({ duration: "20 seconds", orElse: () => Effect.die(`${text} did not come`) })
          )
        for (
          const [question, answer] of [
            ["The gateway's address (empty for ws://127.0.0.1:18789)", url],
            ["token, if you have it", "operator-token"],
            ["A directory for identity", `${stateDir}/own`]
          ] as const
        ) {
          yield* until(question)
          yield* shell.write(`${answer}\r`)
        }
        yield* until("wrote ")
        yield* shell.endInput
        assert.strictEqual((yield* shell.drained).code, 0)
        assert.notInclude(yield* screen, "operator-token")
        assert.strictEqual((yield* fs.stat(file)).mode & 0o777, 0o600)
        assert.deepStrictEqual(JSON.parse(yield* fs.readFileString(file)), {
          OPENCLAW_GATEWAY_URL: url,
          OPENCLAW_GATEWAY_TOKEN: "operator-token",
          OPENCLAW_DEVICE_STATE_DIR: `${stateDir}/own`
        })

        const delegated = yield* Shell.finished(
          "unset OPENCLAW_DEVICE_STATE_DIR; $CLI delegate hello && $CLI settings && ls $STATE/own",
          { stateDir, env }
        )
        assert.strictEqual(delegated.code, 0, delegated.stderr)
        assert.strictEqual(delegated.stdout[0], "echo: hello")
        assert.include(delegated.stdout, "identity.json")
        const text = delegated.stdout.join("\n")
        assert.match(text, new RegExp(`^OPENCLAW_GATEWAY_URL +file +${url}$`, "m"))
        assert.match(text, /^OPENCLAW_GATEWAY_TOKEN +file +set, and not shown$/m)
        assert.match(text, /^OPENCLAW_DEVICE_SETTINGS +variable /m)
        assert.notInclude(text, "operator-token")
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "a flag wins over a variable, and a variable over the file; each says where it comes from",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const stateDir = yield* Cli.temporaryDirectory
        const file = `${stateDir}/settings.json`
        const env = { OPENCLAW_DEVICE_SETTINGS: file, OPENCLAW_CHAT_SESSION_KEY: "of:the:variable" }
        const made = yield* Cli.finished(["init", "--yes", "--json", "--gateway-url", "ws://127.0.0.1:1"], {
          stateDir,
          env
        })
        assert.strictEqual(made.code, 0, made.stderr)
        const content = JSON.parse(yield* fs.readFileString(file))
        yield* fs.writeFileString(
          file,
          JSON.stringify({ ...content, OPENCLAW_CHAT_SESSION_KEY: "of:the:file", OPENCLAW_TASK_TIMEOUT: "300" })
        )
        const shown = yield* Cli.finished(["settings", "--json", "--gateway-url", "ws://127.0.0.1:2"], {
          stateDir,
          env
        })
        const of = (setting: string) =>
          shown.stdout.map((line) => JSON.parse(line)).find((row) => row.setting === setting)
        assert.deepInclude(of("OPENCLAW_GATEWAY_URL"), {
          value: "ws://127.0.0.1:2",
          origin: "flag",
          by: "--gateway-url"
        })
        assert.deepInclude(of("OPENCLAW_CHAT_SESSION_KEY"), { value: "of:the:variable", origin: "variable" })
        assert.deepInclude(of("OPENCLAW_TASK_TIMEOUT"), { value: "300", origin: "file" })
        assert.deepInclude(of("OPENCLAW_PAIRING_REMINDERS"), { value: "2", origin: "default" })

        const again = yield* Cli.finished(["init", "--json", "--gateway-url", "ws://127.0.0.1:3"], { stateDir, env })
        assert.strictEqual(again.code, 64)
        assert.match(again.stderr, /This would replace .*Add --yes/)
        const bad = yield* Cli.finished(["init", "--yes", "--gateway-url", "ws://gateway.example"], { stateDir, env })
        assert.strictEqual(bad.code, 78)
        assert.include(yield* fs.readFileString(file), "of:the:file")
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "a file that others may read, or that is damaged or gone, ends every command with 78 and a sentence",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const stateDir = yield* Cli.temporaryDirectory
        const file = `${stateDir}/settings.json`
        const list = () => Cli.finished(["tasks", "list"], { stateDir, env: { OPENCLAW_DEVICE_SETTINGS: file } })
        const gone = yield* list()
        assert.strictEqual(gone.code, 78)
        assert.match(gone.stderr, /the settings file .* is not there/)
        yield* fs.writeFileString(file, "{}", { mode: 0o644 })
        yield* fs.chmod(file, 0o644)
        assert.strictEqual((yield* list()).code, 78)
        yield* fs.chmod(file, 0o600)
        assert.strictEqual((yield* list()).code, 0)
        yield* fs.writeFileString(file, `{"OPENCLAW_GATEWAY_TOKN": "a-secret"}`)
        const damaged = yield* list()
        assert.strictEqual(damaged.code, 78)
        assert.match(
          damaged.stderr,
          /has OPENCLAW_GATEWAY_TOKN, which is no setting; the nearest is OPENCLAW_GATEWAY_TOKEN/
        )
        assert.notInclude(damaged.stderr, "a-secret")
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )
})
