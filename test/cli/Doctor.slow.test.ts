/**
 * `doctor` on broken set-ups: the right finding first, and nothing false beside it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { homedir } from "node:os"
import { fileURLToPath } from "node:url"
import { stripVTControlCharacters } from "node:util"
import { gunzipSync } from "node:zlib"
import type { Options } from "../../src/devgateway/DevGateway.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import * as DevGatewayWs from "../../src/devgateway/DevGatewayWs.ts"
import { spawnCli } from "../interop/support/DeviceCli.ts"
import * as HttpProxy from "../support/HttpProxy.ts"
import * as Loopback from "../support/LoopbackServer.ts"
import * as Authority from "../support/TlsAuthority.ts"
import * as Front from "../support/TlsFront.ts"
import * as Cli from "./Cli.ts"
import * as Shell from "./Shell.ts"

const sharedToken = "shared-token-canary"
/** Admits a device without pairing. */
const operatorToken = "operator-token-canary"
const nobody = 65_534
const isRoot = process.getuid?.() === 0

const gateway = Effect.fnUntraced(function*(options: Partial<Options> = {}, clockAheadMs = 0) {
  const clock = yield* Clock.Clock
  const nowMs = () => clock.currentTimeMillisUnsafe() + clockAheadMs
  const ahead: Clock.Clock = Object.assign(Object.create(clock), {
    currentTimeMillisUnsafe: nowMs,
    currentTimeMillis: Effect.sync(nowMs)
  })
  const context = yield* Layer.build(DevGateway.layer({
    auth: { mode: "token", token: Redacted.make(sharedToken) },
    operatorToken: Redacted.make(operatorToken),
    version: "2026.9.6",
    ...options
  })).pipe(Effect.provideService(Clock.Clock, ahead))
  const url = yield* Effect.provideContext(DevGatewayWs.serve({ port: 0 }), context)
  return { url, gateway: Context.get(context, DevGateway) }
})

/** A directory that lasts, where the machine has one, with an identity in it. */
const device = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const stateDir = yield* fs.makeTempDirectoryScoped({ directory: homedir(), prefix: ".oc-doctor-" })
  yield* Cli.finished(["identity", "create"], { stateDir })
  return stateDir
})

interface Seen {
  readonly code: number | null
  readonly root: string | undefined
  readonly error: string
  /** What is told to be wrong. A machine whose home does not last is nobody's fault here. */
  readonly told: ReadonlyArray<string>
  readonly json: Record<string, unknown> & { readonly checks: ReadonlyArray<Record<string, string>> }
}

const seen = (code: number | null, stdout: ReadonlyArray<string>, stderr: string): Seen => {
  assert.strictEqual(stderr, "")
  assert.strictEqual(stdout.length, 1, stdout.join("\n"))
  const json = JSON.parse(stdout[0] ?? "")
  const wrong = json.checks.filter(({ id, status }: Record<string, string>) =>
    (status === "fail" || status === "warn") && id !== "durable-place"
  )
  const root = json.checks.find(({ id }: Record<string, string>) => id === json.root)
  return {
    code,
    root: wrong[0]?.id,
    error: [root?.error, root?.reason].filter((part) => part !== undefined).join("/"),
    told: wrong.map(({ id }: Record<string, string>) => id),
    json
  }
}

const examined = Effect.fnUntraced(
  function*(stateDir: string, env: Readonly<Record<string, string>>, args: ReadonlyArray<string> = []) {
    const { code, stderr, stdout } = yield* Cli.finished(["doctor", "--json", ...args], { stateDir, env })
    return seen(code, stdout, stderr)
  }
)

/** The same by what a person sees: on a terminal, the same troubles in the same order, and the same exit status. */
const looked = Effect.fnUntraced(function*(stateDir: string, env: Readonly<Record<string, string>>) {
  const found = yield* examined(stateDir, env)
  const terminal = yield* Shell.onTerminal("$CLI doctor", { stateDir, env })
  const { code } = yield* Effect.timeout(terminal.drained, "40 seconds")
  const lines = stripVTControlCharacters(yield* terminal.screen).split(/\r?\n/)
  const told = lines.flatMap((line) => /^(?:fail|warn) +(\S+)/.exec(line)?.[1] ?? [])
  assert.deepStrictEqual(
    [told.filter((id) => id !== "durable-place"), code],
    [found.told, found.code],
    lines.join("\n")
  )
  return found
})

const on = (url: URL, token = operatorToken) => ({
  OPENCLAW_GATEWAY_URL: url.href,
  OPENCLAW_GATEWAY_TOKEN: token
})

const finds = (found: Seen, id: string, code: number, error = "") => {
  assert.deepStrictEqual([found.told, found.code], [[id], code], JSON.stringify(found.json, undefined, 1))
  if (error !== "") assert.strictEqual(found.error, error)
  const root = found.json.checks.find((check) => check["id"] === id)
  for (const part of ["what", "owner", "advice", "problem"]) assert.isNotEmpty(root?.[part], part)
}

const live = (
  title: string,
  test: () => Effect.Effect<void, unknown, Layer.Success<typeof Cli.platform> | Scope.Scope>
) => it.live(title, () => Effect.provide(Effect.scoped(test()), Cli.platform), 60_000)

describe("doctor finds, and tells nothing else beside it", () => {
  live("1: a wrong token", () =>
    Effect.gen(function*() {
      const found = yield* looked(yield* device, on((yield* gateway()).url, "wrong-token"))
      finds(found, "credential", 77, "AuthRejected/TokenMismatch")
      assert.deepInclude(found.json, { reachable: true, allowed: false })
    }))

  live("2: a wrong port", () =>
    Effect.gen(function*() {
      const found = yield* looked(yield* device, on(new URL("ws://127.0.0.1:1")))
      finds(found, "dial", 69, "LinkError/Unreachable")
      assert.deepInclude(found.json, { reachable: false })
      assert.notProperty(found.json, "allowed")
    }))

  live("3: TLS to a plain port", () =>
    Effect.gen(function*() {
      const { url } = yield* gateway()
      const found = yield* looked(yield* device, on(new URL(`wss://localhost:${url.port}`)))
      finds(found, "tls", 69, "LinkError/NotTls")
    }))

  live("4: a foreign certificate", () =>
    Effect.gen(function*() {
      const front = yield* Front.serve(Authority.selfSigned(), (yield* gateway()).url)
      const found = yield* looked(yield* device, on(front.url))
      finds(found, "certificate", 78, "TlsUntrusted/SelfSigned")
    }))

  live("5: a front door", () =>
    Effect.gen(function*() {
      const url = yield* Loopback.upgrades((_, socket) =>
        void socket.end(
          Loopback.answer("302 Found", ["Location: https://team.cloudflareaccess.com/cdn-cgi/access/login/x"], "")
        )
      )
      const found = yield* looked(yield* device, on(url))
      finds(found, "front-door", 69, "UpgradeRejected/CloudflareAccess")
    }))

  live("6: a proxy that does not let this machine through", () =>
    Effect.gen(function*() {
      const proxy = yield* HttpProxy.serve({ refuse: 403 })
      const found = yield* examined(yield* device, {
        ...on(new URL("wss://gateway.example")),
        HTTPS_PROXY: `http://127.0.0.1:${proxy.port}`
      })
      finds(found, "proxy", 69, "ProxyRejected/Refused")
    }))

  live("7: a clock that is off by ten minutes", () =>
    Effect.gen(function*() {
      const found = yield* looked(yield* device, on((yield* gateway({}, 600_000)).url))
      finds(found, "clock", 1)
      assert.deepInclude(found.json, { reachable: true, allowed: true, verdict: "warn" })
      const clock = found.json.checks.find(({ id }) => id === "clock")
      assert.match(clock?.["what"] ?? "", /this machine's clock is (10 min|9 min 59 s) behind the gateway's/)
    }))

  live("8: a key that everybody may read, and mends it only when asked", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const stateDir = yield* device
      const identity = `${stateDir}/identity.json`
      const env = on((yield* gateway()).url)
      yield* fs.chmod(identity, 0o644)
      finds(yield* looked(stateDir, env), "identity-file", 78, "IdentityExposed/FileAccessible")
      assert.strictEqual((yield* fs.stat(identity)).mode & 0o777, 0o644)
      const mended = yield* examined(stateDir, env, ["--fix"])
      assert.deepStrictEqual([mended.told, mended.json["mended"]], [[], [`chmod 600 ${identity}`]])
      assert.strictEqual((yield* fs.stat(identity)).mode & 0o777, 0o600)
    }))

  live("9: a state directory that cannot be written", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const env = on((yield* gateway()).url)
      const open = yield* Cli.temporaryDirectory
      yield* fs.chmod(open, 0o755)
      const stateDir = `${open}/state`
      yield* Cli.finished(["identity", "create"], { stateDir })
      // To root no mode is an obstacle.
      if (isRoot) {
        yield* fs.chown(stateDir, nobody, nobody)
        yield* fs.chown(`${stateDir}/identity.json`, nobody, nobody)
      }
      yield* fs.chmod(stateDir, 0o555)
      const main = fileURLToPath(new URL("processes/AsNobody.ts", import.meta.url))
      const cli = yield* spawnCli(["doctor", "--json", "--state-dir", stateDir], {
        env: { ...env, HOME: open },
        stdin: [],
        ...(isRoot ? { main } : {})
      })
      const { code } = yield* cli.exit
      const found = seen(code, cli.stdout, cli.stderr.join("\n"))
      finds(found, "state-directory", 78, "StorageError/Unwritable")
      yield* fs.chmod(stateDir, 0o755)
    }))

  live("10: a gateway that is older than supported", () =>
    Effect.gen(function*() {
      const { url } = yield* gateway({ version: "2025.1.1", protocol: { current: 2, minimumProbe: 2 } })
      const found = yield* looked(yield* device, on(url))
      finds(found, "protocol", 76, "ProtocolMismatch/Protocol")
      assert.match(JSON.stringify(found.json), /the older side is the gateway/)
    }))

  live("11: a scope that was not granted", () =>
    Effect.gen(function*() {
      const { gateway: own, url } = yield* gateway()
      const stateDir = yield* device
      const env = on(url, sharedToken)
      const first = yield* looked(stateDir, { ...env, OPENCLAW_GATEWAY_SCOPES: "operator.read" })
      finds(first, "pairing", 75, "PairingRequired/not-paired")
      for (const { requestId } of yield* own.pending) yield* own.approve(requestId)
      const found = yield* looked(stateDir, env)
      finds(found, "scopes", 1)
      assert.match(JSON.stringify(found.json), /not granted: operator\.write/)
    }))

  live("12: a second run on the same state, which is asked and not disturbed", () =>
    Effect.gen(function*() {
      const { gateway: own, url } = yield* gateway()
      const stateDir = yield* device
      const env = on(url)
      const first = yield* Cli.start(["run", "--json", "--no-page"], { stateDir, env })
      yield* first.nextEvent("connected")
      yield* Cli.served(stateDir)
      const alone = yield* looked(stateDir, env)
      assert.deepStrictEqual([alone.told, alone.code, alone.json["asked"]], [[], 0, "run"])
      const second = yield* Cli.start(["run", "--json", "--no-page"], { stateDir, env })
      yield* second.nextEvent("connected")
      yield* Cli.served(stateDir, 2)
      const found = yield* looked(stateDir, env)
      finds(found, "programs", 1)
      assert.deepInclude(found.json, { asked: "run", allowed: true })
      assert.lengthOf(yield* own.pending, 0)
      assert.deepStrictEqual(first.events.filter(({ event }) => event === "waiting"), [])
    }))
})

describe("doctor without usable settings", () => {
  live("names each of them, and makes no other check but of Node.js", () =>
    Effect.gen(function*() {
      const found = yield* examined(yield* device, {
        OPENCLAW_GATEWAY_URL: "gateway.example",
        OPENCLAW_GATEWAY_TLS_PINS: "no-pin"
      })
      finds(found, "settings", 78, "SettingsInvalid")
      const [settings] = found.json.checks
      for (const name of ["OPENCLAW_GATEWAY_URL", "OPENCLAW_GATEWAY_TLS_PINS"]) assert.include(settings?.["what"], name)
      assert.deepStrictEqual(
        found.json.checks.filter(({ status }) => status !== "skipped").map(({ id }) => id),
        ["settings", "nodejs"]
      )
    }))
})

describe("doctor on what is well", () => {
  live("is one line, says how it was reached, and ends with 0", () =>
    Effect.gen(function*() {
      const { url } = yield* gateway()
      const stateDir = yield* device
      const found = yield* examined(stateDir, on(url))
      assert.deepStrictEqual([found.told, found.code], [[], 0], JSON.stringify(found.json))
      assert.deepInclude(found.json, { reachable: true, allowed: true, asked: "attempt", verdict: "ok" })
      const { code, stderr, stdout } = yield* Cli.finished(["doctor"], { stateDir, env: on(url) })
      assert.deepStrictEqual([code, stderr, stdout.length], [0, "", 1], stdout.join("\n"))
      assert.match(stdout[0] ?? "", /^ok {2}ws:\/\/127\.0\.0\.1:\d+ \(OpenClaw 2026\.9\.6, protocol 4\) lets device/)
    }))

  live("with a known authority says how many days the certificate has left", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const authority = Authority.authority("Test Authority")
      const { url } = yield* gateway()
      const stateDir = yield* device
      const ca = `${stateDir}/ca.pem`
      yield* fs.writeFileString(ca, authority.certificate)
      const env = (front: Front.Front) => ({ ...on(front.url), OPENCLAW_GATEWAY_CA_FILE: ca })
      const long = yield* Front.serve(authority.issue({ toDay: 90 }), url)
      const found = yield* examined(stateDir, env(long))
      assert.deepStrictEqual(found.told, [])
      assert.match(JSON.stringify(found.json), /a known authority vouches for it; (89|90) days left, TLSv1\.3/)
      const short = yield* Front.serve(authority.issue({ toDay: 5 }), url)
      finds(yield* examined(stateDir, env(short)), "certificate", 1)
    }))

  live("looks on a terminal as it does in a pipe, with colour", () =>
    Effect.gen(function*() {
      const { url } = yield* gateway()
      const stateDir = yield* device
      const shown = yield* Shell.finished(`script -qec 'env -u NO_COLOR $CLI doctor' /dev/null`, {
        stateDir,
        env: { ...on(url), TERM: "xterm" }
      })
      assert.strictEqual(shown.code, 0)
      assert.include(shown.stdout.join("\n"), "\u001b[32mok\u001b[0m  ws:")
      const wrong = yield* Shell.finished(`script -qec '$CLI doctor' /dev/null`, {
        stateDir,
        env: { ...on(new URL("ws://127.0.0.1:1")), TERM: "xterm" }
      })
      assert.strictEqual(wrong.code, 69)
      assert.match(wrong.stdout[0] ?? "", /^fail {2}dial {2}gateway link could not be opened \(phase dial,/)
      assert.match(wrong.stdout.at(-1) ?? "", /^The gateway is not reachable; \d+ checks are ok, \d+ stand behind/)
    }))
})

describe("a bundle", () => {
  live("has everything but secrets, for its owner alone, and overwrites nothing", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { gateway: own, url } = yield* gateway()
      const stateDir = yield* device
      const file = `${stateDir}/bundle.json.gz`
      const passphrase = "passphrase-canary"
      const env = {
        ...on(url, sharedToken),
        OPENCLAW_DEVICE_IDENTITY_PASSPHRASE: passphrase,
        OPENCLAW_GATEWAY_CLIENT_ID: "gateway-client"
      }
      yield* examined(stateDir, env)
      for (const { requestId } of yield* own.pending) yield* own.approve(requestId)
      const running = yield* Cli.start(["run", "--json", "--no-page"], { stateDir, env })
      yield* running.nextEvent("connected")
      yield* Cli.served(stateDir)
      yield* examined(stateDir, env, ["--bundle", file])
      assert.strictEqual((yield* fs.stat(file)).mode & 0o777, 0o600)
      const text = gunzipSync(yield* fs.readFile(file)).toString()
      const bundle = JSON.parse(text)
      assert.hasAllKeys(bundle, [
        "format",
        "version",
        "program",
        "nodejs",
        "platform",
        "architecture",
        "doctor",
        "settings",
        "programs"
      ])
      assert.deepInclude(bundle.settings, { setting: "OPENCLAW_GATEWAY_TOKEN", value: "[set]" })
      assert.deepInclude(bundle.settings, { setting: "OPENCLAW_GATEWAY_CLIENT_ID", value: "gateway-client" })
      assert.include(bundle.programs[0].recent.map(({ event }: Record<string, string>) => event), "connected")
      const identity = JSON.parse(yield* fs.readFileString(`${stateDir}/identity.json`))
      const key = String(identity.privateKey).split("\n")[1] ?? ""
      const tokens = yield* Effect.forEach(
        (yield* fs.readDirectory(`${stateDir}/tokens`, { recursive: true })).filter((name) => name.endsWith(".json")),
        (name) => Effect.map(fs.readFileString(`${stateDir}/tokens/${name}`), (stored) => JSON.parse(stored).token)
      )
      assert.isAbove(key.length, 20)
      assert.lengthOf(tokens, 1)
      for (const canary of [sharedToken, passphrase, key, ...tokens]) assert.notInclude(text, canary)
      const headers = `${stateDir}/headers.json.gz`
      const behind = {
        OPENCLAW_GATEWAY_URL: "wss://localhost:1",
        OPENCLAW_GATEWAY_HEADERS: "CF-Access-Client-Secret: header-canary",
        OPENCLAW_GATEWAY_PASSWORD: "password-canary"
      }
      yield* examined(yield* device, behind, ["--bundle", headers])
      const other = gunzipSync(yield* fs.readFile(headers)).toString()
      for (const canary of ["header-canary", "password-canary"]) assert.notInclude(other, canary)
      const again = yield* Cli.finished(["doctor", "--bundle", file], { stateDir, env })
      assert.deepStrictEqual([again.code, again.stdout], [78, []])
      assert.match(again.stderr, /exists already, and is not overwritten/)
    }))
})
