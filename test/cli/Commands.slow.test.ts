import { assert, describe, it } from "@effect/vitest"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { exitCodes } from "../../src/cli/ExitCode.ts"
import { Invocation } from "../../src/cli/Invocation.ts"
import { program } from "../../src/cli/Program.ts"
import { table } from "../../src/cli/Settings.ts"
import { PrivateFile } from "../../src/storage/PrivateFile.ts"
import * as Cli from "./Cli.ts"

const limit = 60_000

const Devices = Schema.fromJsonString(Schema.Struct({
  pending: Schema.Array(Schema.Struct({ requestId: Schema.String, deviceId: Schema.String })),
  paired: Schema.Array(Schema.Struct({ deviceId: Schema.String }))
}))
const decodeDevices = Schema.decodeUnknownEffect(Devices)
const Shown = Schema.fromJsonString(Schema.Struct({
  deviceId: Schema.String,
  publicKey: Schema.String,
  platform: Schema.String,
  path: Schema.String,
  created: Schema.Boolean
}))
const decodeShown = Schema.decodeUnknownEffect(Shown)

/** One message and no trace of the program's inside. */
const assertSentence = (stderr: string, sentence: RegExp) => {
  assert.match(stderr, sentence)
  assert.notMatch(stderr, /\n\s+at |node_modules|Error:|\[object|undefined|FiberFailure/)
}

/** A `gateway` command with a known shared token, and the state directory that finds it. */
const gatewayCommand = Effect.gen(function*() {
  const stateDir = yield* Cli.temporaryDirectory
  const token = "a-shared-token"
  const cli = yield* Cli.start(["gateway", "--port", "0", "--json"], {
    stateDir,
    env: { OPENCLAW_GATEWAY_TOKEN: token }
  })
  const { url } = yield* cli.nextEvent("gateway")
  return { cli, stateDir, token, url: String(url) }
})

describe.concurrent("commands on a gateway of another process", () => {
  it.live(
    "delegate needs approval once: status 75, then with --wait, then it just replies",
    () =>
      Effect.gen(function*() {
        const { cli, stateDir, token } = yield* gatewayCommand
        const refused = yield* Cli.finished(["delegate", "one", "--json"], { stateDir })
        assert.strictEqual(refused.code, exitCodes.pairing)
        assert.strictEqual(exitCodes.pairing, 75)
        assert.include(refused.stdout.at(-1), `"event":"pairing.required"`)
        assertSentence(refused.stderr, /this device has to be approved first/)

        const waiting = yield* Cli.start(["delegate", "two", "--wait", "--json"], { stateDir })
        const { deviceId, requestId } = yield* waiting.nextEvent("pairing.required")
        const list = yield* Cli.finished(["devices", "list", "--json"], { stateDir })
        const listed = yield* decodeDevices(list.stdout.join("\n"))
        assert.deepStrictEqual(listed.pending, [{ deviceId: String(deviceId), requestId: String(requestId) }])
        const approved = yield* Cli.finished(["devices", "approve", String(requestId), "--yes", "--json"], { stateDir })
        assert.deepStrictEqual(approved, {
          code: 0,
          stdout: [JSON.stringify({ requestId, decision: "approved" })],
          stderr: ""
        })
        const reply = yield* waiting.nextEvent("task.reply")
        assert.strictEqual(reply["text"], "echo: two")
        assert.deepStrictEqual(yield* waiting.exit, { code: 0, signal: null })
        assert.strictEqual(Cli.quiet(waiting.stderr), "")
        yield* Cli.eventsOf(waiting)

        const paired = yield* Cli.start(["delegate", "three", "--json"], { stateDir, stdin: [] })
        assert.strictEqual((yield* paired.nextEvent("task.reply"))["text"], "echo: three")
        assert.deepStrictEqual(yield* paired.exit, { code: 0, signal: null })
        assert.notInclude(Cli.names(yield* Cli.eventsOf(paired)), "pairing.required")
        assert.strictEqual(Cli.quiet(paired.stderr), "")
        for (const text of [...cli.stdout, ...waiting.stdout, ...refused.stdout]) assert.notInclude(text, token)
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live("devices reject ends a request, and one that is not there is named", () =>
    Effect.gen(function*() {
      const gateway = yield* gatewayCommand
      const remote = {
        stateDir: yield* Cli.temporaryDirectory,
        env: { OPENCLAW_GATEWAY_URL: gateway.url, OPENCLAW_GATEWAY_TOKEN: gateway.token }
      }
      const { stateDir } = gateway
      const asked = yield* Cli.finished(["delegate", "one", "--json"], remote)
      assert.strictEqual(asked.code, exitCodes.pairing)
      const before = yield* decodeDevices((yield* Cli.finished(["devices", "list", "--json"], { stateDir })).stdout[0])
      const requestId = before.pending[0]?.requestId ?? ""
      const rejected = yield* Cli.finished(["devices", "reject", requestId, "--yes"], { stateDir })
      assert.deepStrictEqual(rejected, { code: 0, stdout: [`rejected ${requestId}`], stderr: "" })
      const again = yield* Cli.finished(["devices", "approve", requestId, "--yes"], { stateDir })
      assert.strictEqual(again.code, exitCodes.failed)
      assert.deepStrictEqual(again.stdout, [])
      assertSentence(again.stderr, /the gateway has no request .*`devices list` shows what waits now$/)
      const after = yield* Cli.finished(["devices", "list"], { stateDir })
      assert.deepStrictEqual(after, {
        code: 0,
        stdout: ["Nothing waits for approval.", "No device is paired."],
        stderr: ""
      })
      yield* Cli.endsAt(gateway.cli, "SIGTERM", stateDir)
    }).pipe(Effect.provide(Cli.platform)), limit)

  it.live(
    "G06: settings that grew cost no session: run and delegate go on with what there is, and approval brings the rest",
    () =>
      Effect.gen(function*() {
        const gateway = yield* gatewayCommand
        const remote = (scopes: string) =>
          Effect.map(own, (stateDir) => ({
            stateDir,
            env: {
              OPENCLAW_GATEWAY_URL: gateway.url,
              OPENCLAW_GATEWAY_TOKEN: gateway.token,
              OPENCLAW_GATEWAY_SCOPES: scopes
            }
          }))
        const stateDirectory = yield* Cli.temporaryDirectory
        const own = Effect.succeed(stateDirectory)
        const { stateDir } = gateway
        const answer = (requestId: unknown) =>
          Cli.finished(["devices", "approve", String(requestId), "--yes"], { stateDir })

        const first = yield* Cli.start(
          ["delegate", "one", "--wait", "--json"],
          yield* remote("operator.read,operator.write")
        )
        yield* answer((yield* first.nextEvent("pairing.required"))["requestId"])
        yield* first.nextEvent("task.reply")

        const wide = yield* remote("operator.read,operator.write,operator.approvals")
        const run = yield* Cli.start(["run", "--json"], wide)
        const connected = yield* run.nextEvent("connected")
        assert.deepStrictEqual(connected["missingScopes"], ["operator.approvals"])
        const required = yield* run.nextEvent("pairing.required")
        assert.deepInclude(required, { reason: "scope-upgrade", connected: true })
        yield* run.stdinWrite("two")
        assert.strictEqual((yield* run.nextEvent("task.reply"))["text"], "echo: two")
        const delegated = yield* Cli.finished(["delegate", "three", "--json"], wide)
        assert.strictEqual(delegated.code, 0)

        const list = yield* Cli.finished(["devices", "list"], { stateDir })
        assert.include(
          list.stdout.join("\n"),
          "paired with: operator.read operator.write; more: operator.approvals"
        )
        yield* answer(required["requestId"])
        assert.notProperty(yield* run.nextEvent("connected"), "missingScopes")
        yield* run.nextEvent("pairing.resolved")
        yield* run.signal("SIGINT")
        assert.deepStrictEqual(yield* run.exit, { code: 0, signal: null })
        for (const text of [...run.stdout, ...run.stderr, ...delegated.stdout]) assert.notInclude(text, gateway.token)
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live("a wrong token is status 77, and no token or key is in any output", () =>
    Effect.gen(function*() {
      const { url } = yield* gatewayCommand
      const wrong = "wrong-token-of-a-test"
      const remote = {
        stateDir: yield* Cli.temporaryDirectory,
        env: { OPENCLAW_GATEWAY_URL: url, OPENCLAW_GATEWAY_TOKEN: wrong }
      }
      for (const args of [["delegate", "one", "--json"], ["devices", "list"]]) {
        const ended = yield* Cli.finished(args, remote)
        assert.strictEqual(ended.code, exitCodes.credential)
        assertSentence(ended.stderr, /token/)
        assert.notInclude([...ended.stdout, ended.stderr].join("\n"), wrong)
      }
    }).pipe(Effect.provide(Cli.platform)), limit)
})

describe.concurrent("commands by themselves", () => {
  it.live("a gateway that is not there is status 69 and one message", () =>
    Effect.gen(function*() {
      const env = { OPENCLAW_GATEWAY_URL: "ws://127.0.0.1:1" }
      const ended = yield* Cli.finished(["devices", "list"], { stateDir: yield* Cli.temporaryDirectory, env })
      assert.strictEqual(ended.code, exitCodes.unreachable)
      assert.deepStrictEqual(ended.stdout, [])
      assertSentence(ended.stderr, /ECONNREFUSED/)
    }).pipe(Effect.provide(Cli.platform)), limit)

  it.live(
    "a request id that could act in a shell is refused before anything is opened or written",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const stateDir = yield* Cli.temporaryDirectory
        const ended = yield* Cli.finished(["devices", "approve", "$(x)", "--json"], { stateDir })
        assert.strictEqual(ended.code, exitCodes.usage)
        assert.deepStrictEqual(ended.stdout, [])
        assertSentence(
          ended.stderr,
          /Invalid value for argument <id>: "\$\(x\)"\. Expected: the id of a request or a device/
        )
        assert.deepStrictEqual(yield* fs.readDirectory(stateDir), [])
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live("every bad setting is named at once, with status 78, and nothing is written", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const stateDir = yield* Cli.temporaryDirectory
      const env = { OPENCLAW_GATEWAY_URL: "ws://gateway.example", OPENCLAW_TASK_TIMEOUT: "a while" }
      const ended = yield* Cli.finished(["run", "--json"], { stateDir, env })
      assert.strictEqual(ended.code, exitCodes.settings)
      assert.deepStrictEqual(ended.stdout, [])
      assertSentence(ended.stderr, /OPENCLAW_GATEWAY_URL/)
      assertSentence(ended.stderr, /OPENCLAW_TASK_TIMEOUT: must be a time from 1 second to 24 hours/)
      assert.deepStrictEqual(yield* fs.readDirectory(stateDir), [])
    }).pipe(Effect.provide(Cli.platform)), limit)

  it.live("identity show creates once, and --no-create creates nothing", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const stateDir = `${yield* Cli.temporaryDirectory}/new`
      const none = yield* Cli.finished(["identity", "show", "--json", "--no-create"], { stateDir })
      assert.strictEqual(none.code, exitCodes.settings)
      assert.deepStrictEqual(none.stdout, [])
      assertSentence(none.stderr, /There is no identity at /)
      assert.isFalse(yield* fs.exists(stateDir))

      const first = yield* Cli.finished(["identity", "show", "--json"], { stateDir })
      const created = yield* decodeShown(first.stdout.join("\n"))
      assert.isTrue(created.created)
      assert.strictEqual(created.path, `${stateDir}/identity.json`)
      const second = yield* Cli.finished(["identity", "show", "--json", "--no-create"], { stateDir })
      assert.deepStrictEqual(yield* decodeShown(second.stdout.join("\n")), { ...created, created: false })
      assert.deepStrictEqual([first.code, first.stderr, second.code, second.stderr], [0, "", 0, ""])
    }).pipe(Effect.provide(Cli.platform)), limit)
})

const paths = (command: Command.Command.Any, above: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> => [
  above,
  ...command.subcommands.flatMap(({ commands }) => commands).flatMap((inner) => paths(inner, [...above, inner.name]))
]

const host = Layer.mergeAll(
  PrivateFile.layer,
  Layer.succeed(Invocation, { program: ["openclaw-device"], platform: "linux", version: "0" })
).pipe(Layer.provideMerge(SecureRandom.layerWebCrypto), Layer.provideMerge(Cli.platform))

/** What a command line is answered before any command runs. */
const presented = Effect.fnUntraced(function*(args: ReadonlyArray<string>) {
  const events: Array<CliOutput.Presenter.Event> = []
  const present = (event: CliOutput.Presenter.Event) => Effect.sync(() => void events.push(event))
  yield* Effect.exit(
    Effect.provideService(Command.runWith(program, { version: "0" })(args), CliOutput.Presenter, { present })
  )
  return events
}, Effect.provide(host))

describe("help", () => {
  const all = paths(program, [])

  it("every command is known to the tests", () => {
    assert.deepStrictEqual(
      all.map((path) => path.join(" ")).toSorted(),
      [
        "",
        "delegate",
        "devices",
        "devices approve",
        "devices list",
        "devices reject",
        "devices remove",
        "devices revoke",
        "devices rotate",
        "devices show",
        "doctor",
        "fleet",
        "fleet add",
        "fleet approve",
        "fleet delegate",
        "fleet events",
        "fleet list",
        "fleet migrate",
        "fleet remove",
        "fleet run",
        "fleet status",
        "gateway",
        "identity",
        "identity change-passphrase",
        "identity create",
        "identity decrypt",
        "identity encrypt",
        "identity import",
        "identity reset",
        "identity show",
        "init",
        "mcp",
        "pair",
        "replay",
        "run",
        "settings",
        "status",
        "tasks",
        "tasks abort",
        "tasks list",
        "tasks show",
        "tools"
      ]
    )
  })

  for (const path of all) {
    it.effect(`openclaw-device ${[...path, "--help"].join(" ")} has an example that names it`, () =>
      Effect.gen(function*() {
        const [event] = yield* presented([...path, "--help"])
        assert.isTrue(event?._tag === "Help" && event.reason === "Requested")
        const examples = event?._tag === "Help" ? event.helpDoc.examples ?? [] : []
        assert.isNotEmpty(examples)
        for (const { command } of examples) assert.isTrue(command.startsWith(["openclaw-device", ...path].join(" ")))
      }))
  }

  it.effect("each setting with a flag is offered by a command, with its range", () =>
    Effect.gen(function*() {
      const events = (yield* Effect.forEach(all, (path) => presented([...path, "--help"]))).flat()
      const offered = events.flatMap((event) =>
        event._tag === "Help" ? [...event.helpDoc.flags, ...(event.helpDoc.globalFlags ?? [])] : []
      )
      const rows = table.filter(({ flag }) => flag !== undefined)
      assert.deepStrictEqual(rows.map(({ flag }) => flag), [
        "gateway-url",
        "state-dir",
        "no-state",
        "gateway-place",
        "session",
        "timeout",
        "page-port"
      ])
      for (const { flag, range } of rows) {
        const found = offered.filter(({ name }) => name === flag)
        assert.isNotEmpty(found, flag)
        // A flag that is on or off takes no value.
        if (flag === "no-state") continue
        for (const { description } of found) assert.include(JSON.stringify(description), `(${range})`)
      }
    }))

  it.live(
    "the program has these commands, and prints help on standard output and its version",
    () =>
      Effect.gen(function*() {
        const stateDir = yield* Cli.temporaryDirectory
        const help = yield* Cli.finished(["--help"], { stateDir })
        assert.deepStrictEqual([help.code, help.stderr], [0, ""])
        const text = help.stdout.join("\n")
        for (const path of all) if (path.length === 1) assert.match(text, new RegExp(`^  ${path[0]} `, "m"))
        assert.include(text, "EXAMPLES")
        const usage = yield* Cli.finished(["nonsense"], { stateDir })
        assert.deepStrictEqual([usage.code, usage.stdout], [exitCodes.usage, []])
        assertSentence(usage.stderr, /Unknown subcommand "nonsense"/)
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )
})
