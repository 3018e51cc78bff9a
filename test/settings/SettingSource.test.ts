import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { open } from "node:fs/promises"
import { inspect } from "node:util"
import { deviceTable } from "../../src/cli/DeviceTable.ts"
import * as Settings from "../../src/cli/Settings.ts"
import { GatewayConfig } from "../../src/handshake/GatewayConfig.ts"
import { gatewayTable } from "../../src/handshake/GatewayTable.ts"
import * as IdentitySecrets from "../../src/identity/IdentitySecrets.ts"
import { authority } from "../support/TlsAuthority.ts"

type Environment = Readonly<Record<string, string>>

const secret = "s3cret-of-a-test"
const wss = { OPENCLAW_GATEWAY_URL: "wss://gateway.example" }

const provided = (env: Environment) =>
  Layer.merge(
    NodeServices.layer,
    ConfigProvider.layer(ConfigProvider.fromEnvRecord({ HOME: "/home/me", ...env }, { preserveEmptyStrings: true }))
  )

const byLibrary = (env: Environment) =>
  Effect.provide(GatewayConfig, Layer.provide(GatewayConfig.layerEnv, provided(env)))

const byCommands = (env: Environment) =>
  Settings.read({ gatewayUrl: Option.none(), stateDir: Option.none() }, { platform: "linux" }).pipe(
    Effect.provide(provided(env))
  )

const valueOf = (value: Redacted.Redacted | undefined) => value === undefined ? undefined : Redacted.value(value)

/** What the library makes of an environment, after it was held to be what the commands make of it. */
const secretsOf = Effect.fnUntraced(function*(env: Environment) {
  const [library, { gateway }] = yield* Effect.all([byLibrary({ ...wss, ...env }), byCommands({ ...wss, ...env })])
  const [one, other] = [library, gateway].map(({ headers, password, token }) => ({
    token: valueOf(token),
    password: valueOf(password),
    headers: headers.map(({ value }) => Redacted.value(value)).join()
  }))
  assert.deepStrictEqual(one, other)
  return one
})

/** The lines of the refusal, which library and commands share and in which no secret is. */
const refusalOf = Effect.fnUntraced(function*(env: Environment) {
  const [library, commands] = yield* Effect.all([Effect.flip(byLibrary(env)), Effect.flip(byCommands(env))])
  assert.strictEqual(library.message, commands.message)
  assert.notInclude(`${library.message} ${inspect(library, { depth: 9 })}`, secret)
  return library.message.split("\n")
})

const files = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: secret })
  const write = (name: string, content: string | Uint8Array) =>
    Effect.as(
      fs.writeFile(`${directory}/${name}`, typeof content === "string" ? new TextEncoder().encode(content) : content),
      `${directory}/${name}`
    )
  return { directory, write }
}).pipe(Effect.provide(NodeServices.layer))

const descriptorOf = (path: string) =>
  Effect.map(
    Effect.acquireRelease(Effect.promise(() => open(path)), (opened) => Effect.promise(() => opened.close())),
    ({ fd }) => String(fd)
  )

/** The rows with a variable that hold secrets of the gateway, with a text that each takes. */
const secrets = Object.values(gatewayTable).filter(({ source }) => source === "secret").flatMap((row) => {
  if (!("variable" in row)) return []
  const { variable } = row
  return [[variable, /HEADERS/.test(variable) ? `X-Token: ${secret}` : secret] as const]
})

describe("a secret", () => {
  it("is token, password, headers and what the identity needs", () => {
    assert.deepStrictEqual(secrets.map(([variable]) => variable), [
      "OPENCLAW_GATEWAY_TOKEN",
      "OPENCLAW_GATEWAY_PASSWORD",
      "OPENCLAW_GATEWAY_HEADERS"
    ])
    for (const { source } of Object.values(IdentitySecrets.identityTable)) assert.strictEqual(source, "secret")
  })

  it.effect.each(secrets)(
    "%s comes from the variable, a file or a descriptor",
    ([variable, text]) =>
      Effect.gen(function*() {
        const { write } = yield* files
        const path = yield* write("secret", `${text}\r\n`)
        const expected = yield* secretsOf({ [variable]: text })
        assert.include(JSON.stringify(expected), secret)
        assert.deepStrictEqual(yield* secretsOf({ [`${variable}_FILE`]: ` ${path}\r` }), expected)
        const fd = yield* descriptorOf(path)
        const [library, { gateway }] = [
          yield* byLibrary({ ...wss, [`${variable}_FD`]: fd }),
          yield* byCommands({ ...wss, [`${variable}_FD`]: `${yield* descriptorOf(path)}\r` })
        ]
        for (const { headers, password, token } of [library, gateway]) {
          assert.include([valueOf(token), valueOf(password), headers.map(({ value }) => valueOf(value)).join()], secret)
        }
      })
  )

  it.effect.each(secrets)(
    "%s has one source, and what is wrong with it is named without path and content",
    ([variable, text]) =>
      Effect.gen(function*() {
        const { directory, write } = yield* files
        const file = `${variable}_FILE`
        const good = yield* write("good", text)
        const cases: ReadonlyArray<readonly [Environment, ReadonlyArray<string>]> = [
          [{ [variable]: text, [file]: good }, [`${file}: is set beside ${variable}; set one of them`]],
          [{ [file]: good, [`${variable}_FD`]: "0" }, [`${variable}_FD: is set beside ${file}; set one of them`]],
          [{ [file]: `${directory}/none` }, [`${file}: names a file that cannot be read`]],
          [{ [file]: yield* write("empty", " \r\n") }, [`${file}: names a file that holds nothing`]],
          [{ [file]: yield* write("bytes", Uint8Array.of(255, 0, 200)) }, [
            `${file}: names a file that does not hold UTF-8 text`
          ]],
          [{ [`${variable}_FD`]: "../x" }, [`${variable}_FD: must be the number of an open file descriptor`]],
          [{ [`${variable}_FD`]: "987654" }, [`${variable}_FD: names a file descriptor that cannot be read`]]
        ]
        for (const [env, lines] of cases) assert.deepStrictEqual(yield* refusalOf({ ...wss, ...env }), lines)
      })
  )

  it.effect("of the identity follows the same rules", () =>
    Effect.gen(function*() {
      const { directory, write } = yield* files
      const variable = IdentitySecrets.identityTable.passphrase.variable
      const passphrase = (env: Environment) =>
        IdentitySecrets.passphrase.pipe(
          Effect.map((found) => valueOf(Option.getOrUndefined(found))),
          Effect.provide(provided({ HOME: directory, ...env }))
        )
      yield* write("secret", `${secret}\r\n`)
      assert.strictEqual(yield* passphrase({ [variable]: `${secret}\r` }), secret)
      assert.strictEqual(yield* passphrase({ [variable]: ` ${secret} \r` }), ` ${secret} `)
      assert.strictEqual(yield* passphrase({ [`${variable}_FILE`]: `${directory}/secret\r` }), secret)
      assert.strictEqual(yield* passphrase({ [`${variable}_FILE`]: "~/secret" }), secret)
    }))
})

describe("a variable of an env file that another system has written", () => {
  it.effect("may end in a carriage return, whichever it is", () =>
    Effect.gen(function*() {
      const { directory, write } = yield* files
      yield* write("ca.pem", authority("Test Authority").certificate)
      yield* write("headers", `X-Token: ${secret}\r\n`)
      const env = {
        HOME: directory,
        OPENCLAW_GATEWAY_URL: "wss://gateway.example",
        OPENCLAW_GATEWAY_TOKEN: secret,
        OPENCLAW_GATEWAY_SCOPES: "operator.read",
        OPENCLAW_GATEWAY_TLS_PINS: "ab".repeat(32),
        OPENCLAW_GATEWAY_TLS_TRUST: "ca-and-pin",
        OPENCLAW_GATEWAY_REQUEST_TIMEOUT: "2 seconds",
        OPENCLAW_GATEWAY_CA_FILE: "~/ca.pem",
        OPENCLAW_GATEWAY_HEADERS_FILE: "~/headers",
        OPENCLAW_DEVICE_STATE_DIR: "~/state",
        OPENCLAW_CHAT_SESSION_KEY: "agent:a:b",
        OPENCLAW_TASK_TIMEOUT: "2 seconds",
        OPENCLAW_PAIRING_REMINDERS: "3"
      }
      const withReturn = Object.fromEntries(Object.entries(env).map(([name, value]) => [name, `${value}\r`]))
      const [plain, settings] = [yield* byCommands(env), yield* byCommands({ ...withReturn, HOME: directory })]
      assert.deepStrictEqual(JSON.stringify(settings), JSON.stringify(plain))
      const library = yield* byLibrary({ ...withReturn, HOME: directory })
      assert.strictEqual(JSON.stringify(library), JSON.stringify(plain.gateway))
      assert.strictEqual(valueOf(settings.gateway.token), secret)
      assert.deepStrictEqual([settings.gateway.headers.length, settings.gateway.tls.authorities.length], [1, 1])
      assert.strictEqual(settings.files?.directory, `${directory}/state`)
    }))

  const quoted = (text: string) => [`"${text}"`, `'${text}'`, ` "${text}"\r`]

  it.effect("that is refused in its quotes says so", () =>
    Effect.gen(function*() {
      const { write } = yield* files
      const refused: ReadonlyArray<readonly [string, string, string]> = [
        ["OPENCLAW_GATEWAY_URL", "wss://gateway.example", "cannot be read"],
        ["OPENCLAW_GATEWAY_NARROWED_SCOPES", "refuse", "must be accept or refuse"],
        ["OPENCLAW_GATEWAY_CLIENT_ID", "cli", "gateway-client"],
        ["OPENCLAW_GATEWAY_REQUEST_TIMEOUT", "2 seconds", "must be a time"],
        ["OPENCLAW_GATEWAY_CA_FILE", yield* write("ca.pem", authority("Test Authority").certificate), "cannot be read"],
        ["OPENCLAW_GATEWAY_TOKEN_FILE", yield* write("token", secret), "cannot be read"]
      ]
      for (const [variable, text, problem] of refused) {
        for (const value of quoted(text)) {
          const [line = "", ...others] = yield* refusalOf({ [variable]: value })
          assert.deepStrictEqual(others, [])
          assert.match(
            line,
            new RegExp(`^${variable}: .*${problem}.*\\. The quotes count as part of the value; remove them$`)
          )
        }
        for (const line of yield* refusalOf({ [variable]: `"${text}` })) assert.notInclude(line, "quotes")
      }
    }))

  it.effect("that is accepted in its quotes comes with a warning", () =>
    Effect.gen(function*() {
      for (const variable of ["OPENCLAW_GATEWAY_TOKEN", "OPENCLAW_GATEWAY_PASSWORD"]) {
        for (const value of quoted(secret)) {
          const warnings = [`${variable} gives a value in quotes. The quotes count as part of the value; remove them.`]
          assert.deepStrictEqual((yield* byLibrary({ [variable]: value })).warnings, warnings)
          assert.deepStrictEqual((yield* byCommands({ [variable]: value })).warnings, warnings)
        }
      }
      for (const { variable } of [deviceTable.stateDirectory, deviceTable.sessionKey]) {
        const { warnings } = yield* byCommands({ [variable]: '"x"' })
        assert.deepStrictEqual(warnings, [
          `${variable} gives a value in quotes. The quotes count as part of the value; remove them.`
        ])
      }
      for (const { variable } of Object.values(IdentitySecrets.identityTable)) {
        const { warnings } = yield* byCommands({ [variable]: `"${secret}"` })
        assert.deepStrictEqual(warnings, [
          `${variable} gives a value in quotes. The quotes count as part of the value; remove them.`
        ])
      }
      assert.deepStrictEqual((yield* byLibrary({ OPENCLAW_GATEWAY_TOKEN: `${secret}"` })).warnings, [])
    }))
})
