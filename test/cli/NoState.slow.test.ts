import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import * as DevGatewayWs from "../../src/devgateway/DevGatewayWs.ts"
import { spawnCli } from "../interop/support/DeviceCli.ts"
import * as Cli from "./Cli.ts"

/** A gateway that admits every device, and the variables with which the program reaches it and has its key. */
const configured = Effect.gen(function*() {
  const context = yield* Layer.build(DevGateway.layerTest({}))
  const url = yield* Effect.provideContext(DevGatewayWs.serve(), context)
  return {
    gateway: Context.get(context, DevGateway),
    env: {
      NODE_COMPILE_CACHE: Cli.compileCache,
      OPENCLAW_GATEWAY_URL: url.href,
      OPENCLAW_GATEWAY_TOKEN: "operator-token",
      OPENCLAW_DEVICE_IDENTITY_SEED: "07".repeat(32)
    }
  }
})

/** Runs the program without `--state-dir`, with standard input at its end. */
const finished = Effect.fnUntraced(function*(args: ReadonlyArray<string>, env: Readonly<Record<string, string>>) {
  const cli = yield* spawnCli(args, { env, stdin: [] })
  const { code } = yield* Effect.timeout(cli.exit, "30 seconds")
  return { code, stdout: cli.stdout.join("\n"), stderr: Cli.quiet(cli.stderr) }
})

/** Nothing can be made below it, not even by root. */
const readOnlyHome = "/dev/null"

describe("--no-state", () => {
  it.live("a task is done with a configured key where nothing can be written; without the flag it is refused with the cause", () =>
    Effect.gen(function*() {
      const { env } = yield* configured
      const home = { ...env, HOME: readOnlyHome }
      const refused = yield* finished(["delegate", "one"], home)
      assert.deepStrictEqual([refused.code, refused.stdout], [78, ""])
      assert.match(
        refused.stderr,
        /^ERROR\n +\/dev\/null\/\.local\/state\/effect-openclaw\S* could not be (?:read|written) \(ENOTDIR\)/
      )
      const done = yield* finished(["delegate", "one", "--no-state"], home)
      assert.deepStrictEqual([done.code, done.stdout], [0, "echo: one"])
      assert.notMatch(done.stderr, /could not|warning/)
      const variable = yield* finished(["delegate", "two"], { ...home, OPENCLAW_DEVICE_NO_STATE: "true" })
      assert.deepStrictEqual([variable.code, variable.stdout], [0, "echo: two"])
    }).pipe(Effect.provide(Cli.platform)))

  it.live("writes nothing at all, and says that a state directory is not used", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { env } = yield* configured
      const home = yield* Cli.temporaryDirectory
      const done = yield* finished(["delegate", "one", "--no-state", "--state-dir", `${home}/state`], {
        ...env,
        HOME: home
      })
      assert.deepStrictEqual([done.code, done.stdout], [0, "echo: one"])
      assert.strictEqual(done.stderr.split("\n")[0], "warning: --state-dir is not used, as nothing is stored.")
      assert.deepStrictEqual(yield* fs.readDirectory(home), [])
    }).pipe(Effect.provide(Cli.platform)))

  it.live("needs a key from the settings, and no command takes it for an empty state directory", () =>
    Effect.gen(function*() {
      const { env: { OPENCLAW_DEVICE_IDENTITY_SEED: seed, ...env } } = yield* configured
      const keyless = yield* finished(["delegate", "one", "--no-state"], { ...env, HOME: readOnlyHome })
      assert.strictEqual(keyless.code, 78)
      assert.match(keyless.stderr, /There is no key: .*OPENCLAW_DEVICE_IDENTITY_SEED/)
      for (const args of [["tasks", "list"], ["devices", "list"], ["run"], ["gateway", "--port", "0"]]) {
        const { OPENCLAW_GATEWAY_URL: url, ...others } = env
        const { code, stderr } = yield* finished([...args, "--no-state"], {
          ...(args[0] === "devices" ? { ...others, OPENCLAW_GATEWAY_URL: url } : others),
          OPENCLAW_DEVICE_IDENTITY_SEED: seed,
          HOME: readOnlyHome
        })
        assert.strictEqual(code, 64, args.join(" "))
        assert.match(stderr, /This needs a state directory, and with --no-state .* there is none\. Nothing was done/)
      }
    }).pipe(Effect.provide(Cli.platform)))

  it.live("without HOME the home directory is that of the user in the system's list", () =>
    Effect.gen(function*() {
      const { env } = yield* configured
      const { code, stdout } = yield* finished(["delegate", "one", "--no-state"], { ...env, HOME: "" })
      assert.deepStrictEqual([code, stdout], [0, "echo: one"])
      const { stderr } = yield* finished(["tasks", "show", "none"], { ...env, HOME: "" })
      assert.match(stderr, /no task none is open/)
    }).pipe(Effect.provide(Cli.platform)))
})
