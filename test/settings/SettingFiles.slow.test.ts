import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { execFileSync } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { GatewayConfig } from "../../src/handshake/GatewayConfig.ts"
import * as IdentitySecrets from "../../src/identity/IdentitySecrets.ts"
import { authority } from "../support/TlsAuthority.ts"

const { certificate } = authority("Test Authority")
const variables = ["OPENCLAW_GATEWAY_CA_FILE", "OPENCLAW_GATEWAY_HEADERS_FILE", "OPENCLAW_GATEWAY_TOKEN_FILE"] as const

/** What is set, as a program that reads its environment has it. */
const settings = (env: Readonly<Record<string, string>>) =>
  Effect.provide(
    GatewayConfig,
    Layer.provide(
      GatewayConfig.layerEnv,
      Layer.merge(
        NodeServices.layer,
        ConfigProvider.layer(ConfigProvider.fromEnvRecord({ OPENCLAW_GATEWAY_URL: "wss://gateway.example", ...env }))
      )
    )
  )
const problems = (env: Readonly<Record<string, string>>) =>
  Effect.map(Effect.flip(settings(env)), (error) => error._tag === "SettingsInvalid" ? error.problems : [])

const place = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped({ prefix: "settings-" }))

/** A pipe that a writer holds open in the end, so that whoever reads it can go on. */
const pipe = Effect.fnUntraced(function*(path: string) {
  execFileSync("mkfifo", [path])
  yield* Effect.addFinalizer(() => Effect.sync(() => closeSync(openSync(path, "r+"))))
  return path
})

describe("a file that a variable names", () => {
  it.live.each(variables)("is no device, pipe, directory or huge file for %s", (variable) =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* place
      const huge = `${directory}/huge`
      yield* fs.writeFileString(huge, `X-Long: x\n${"#".repeat(4 * 1024 * 1024)}\n${certificate}`)
      for (
        const [path, problem] of [
          [yield* pipe(`${directory}/pipe`), "names a file that is no regular file"],
          [huge, "names a file that holds more than 4 MiB"],
          [directory, "names a file that cannot be read"],
          [`${directory}/none`, "names a file that cannot be read"],
          ["/dev/zero", "names a file that is no regular file"]
        ] as const
      ) {
        assert.deepStrictEqual(yield* problems({ [variable]: path }), [{ setting: variable, problem }])
      }
    }).pipe(Effect.provide(NodeServices.layer)), { timeout: 5000 })

  it.live("is one for the secrets of an identity, too", () =>
    Effect.gen(function*() {
      const directory = yield* place
      const path = yield* pipe(`${directory}/pipe`)
      const environment = ConfigProvider.layer(
        ConfigProvider.fromEnvRecord({ OPENCLAW_DEVICE_IDENTITY_PASSPHRASE_FILE: path })
      )
      const error = yield* Effect.flip(Effect.provide(IdentitySecrets.passphrase, environment))
      assert.deepInclude({ ...error }, { _tag: "IdentitySecretInvalid", reason: "Unreadable" })
    }).pipe(Effect.provide(NodeServices.layer)), { timeout: 5000 })

  it.live("may be a symbolic link", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* place
      yield* fs.writeFileString(`${directory}/ca`, `# comment\n${certificate}`)
      yield* fs.symlink(`${directory}/ca`, `${directory}/link`)
      const { tls } = yield* settings({ OPENCLAW_GATEWAY_CA_FILE: `${directory}/link` })
      assert.lengthOf(tls.authorities, 1)
    }).pipe(Effect.provide(NodeServices.layer)))

  it("may be the output of a command, which a shell gives as the path of a descriptor", () => {
    const print = 'OPENCLAW_GATEWAY_TOKEN_FILE=<(printf token-of-a-command) exec "$0" "$1"'
    const program = fileURLToPath(new URL("./PrintToken.ts", import.meta.url))
    assert.strictEqual(execFileSync("bash", ["-c", print, process.execPath, program]).toString(), "token-of-a-command")
  })
})
