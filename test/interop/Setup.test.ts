import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Predicate from "effect/Predicate"
import { fileURLToPath } from "node:url"
import { isBefore } from "../../src/protocol/Connect.ts"
import { spawnCli } from "./support/DeviceCli.ts"
import { boot, releases } from "./support/OpenClaw.ts"
import { administrator, readAndWrite } from "./support/RawClient.ts"
import * as RemoteProxy from "./support/RemoteProxy.ts"

const example = fileURLToPath(new URL("../examples/Tools.ts", import.meta.url))
const at = (value: unknown, name: string): unknown => Predicate.hasProperty(value, name) ? value[name] : undefined

/** A gateway that a remote device reaches, and who administers it. */
const staged = Effect.fnUntraced(function*(release: string) {
  const fs = yield* FileSystem.FileSystem
  const gateway = yield* boot(release)
  const { url } = yield* RemoteProxy.proxy(gateway)
  const admin = yield* administrator(gateway, { scopes: readAndWrite })
  const made = (params: Readonly<Record<string, unknown>> = {}) =>
    admin.request("device.pair.setupCode", { publicUrl: url, includeQr: false, ...params })
  const directory = fs.makeTempDirectoryScoped({ prefix: "effect-openclaw-setup-" })
  /** Runs the command line on a state directory, with a code on standard input. */
  const cli = (directory: string, args: ReadonlyArray<string>, pasted?: string) =>
    spawnCli([...args, "--state-dir", directory], {
      env: {},
      ...(pasted === undefined ? {} : { stdin: [pasted] })
    })
  return { admin, cli, directory, gateway, made, url }
})

const codeOf = (answer: unknown): string => String(at(answer, "setupCode"))
const changed = (code: string, more: Readonly<Record<string, unknown>>): string =>
  Buffer.from(JSON.stringify({ ...JSON.parse(Buffer.from(code, "base64url").toString()), ...more })).toString(
    "base64url"
  )

describe.each(Effect.runSync(releases))("setup codes on OpenClaw %s", (release) => {
  const old = isBefore(release, "2026.8") === true

  it.live.skipIf(old)(
    "from the paste to a tool that the gateway's agent calls, with no other command, in less than ten seconds",
    () =>
      Effect.gen(function*() {
        const { admin, cli, directory, gateway, made } = yield* staged(release)
        const stateDir = yield* directory
        const chat = Effect.fnUntraced(function*(key: string, message: string) {
          yield* admin.request("chat.send", {
            sessionKey: `agent:main:${key}`,
            message,
            deliver: false,
            idempotencyKey: `run-${key}`
          })
          yield* admin.nextEvent("chat", (payload) =>
            at(payload, "runId") === `run-${key}` && at(payload, "state") === "final")
        })
        const useWeather = Effect.fnUntraced(function*(key: string) {
          yield* chat(key, `[use effect_weather ${JSON.stringify({ city: "Oslo" })}]`)
          assert.match(JSON.stringify(gateway.model.toolResults.at(-1)), /degrees.{1,10}4/)
        })
        // The first run of a gateway loads its agent, which takes as long as the rest.
        yield* chat("first", "hello")
        const pasted = codeOf(yield* made({ bootstrapProfile: "node" }))
        const startedAtMs = performance.now()
        const args = ["run", "--json", "--no-page", "--tools", example]
        const run = yield* cli(stateDir, [...args, "--pair"])
        yield* run.stdinWrite(pasted)
        yield* run.nextEvent("tools", "60 seconds", (event) =>
          event["state"] === "published")
        yield* useWeather("pasted")
        const elapsedMs = performance.now() - startedAtMs
        yield* Effect.logInfo(`from paste to the tool's result: ${Math.round(elapsedMs)} ms`)
        assert.isBelow(elapsedMs, 10_000)
        assert.isFalse(run.events.some(({ event }) => String(event).startsWith("pairing.")))
        yield* run.signal("SIGTERM")
        yield* run.exit
        // A later start has no code and no setting.
        const again = yield* cli(stateDir, args)
        yield* again.nextEvent("tools", "60 seconds", (event) => event["state"] === "published")
        yield* useWeather("again")
        yield* again.signal("SIGTERM")
        yield* again.exit
        for (const { stderr, stdout } of [run, again]) {
          for (const text of [...stdout, ...stderr]) assert.notInclude(text, pasted)
        }
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    240_000
  )

  it.live.skipIf(old)(
    "a join URL pairs once; used, foreign and expired codes are refused, each in its own words",
    () =>
      Effect.gen(function*() {
        const { cli, directory, made } = yield* staged(release)
        const pair = Effect.fnUntraced(function*(pasted: string) {
          const run = yield* cli(yield* directory, ["pair", "--json"], pasted)
          const { code } = yield* run.exit
          return { code, said: run.stdout.join("\n"), told: run.stderr.join("\n") }
        })
        const joined = yield* made({ joinUrl: true })
        const joinUrl = String(at(joined, "joinUrl"))
        const first = yield* pair(joinUrl)
        assert.deepStrictEqual([first.code, at(JSON.parse(first.said), "roles")], [0, ["node"]], first.told)
        const twice = yield* pair(joinUrl)
        assert.strictEqual(twice.code, 77)
        assert.match(twice.told, /gives each code once/)
        const used = yield* pair(codeOf(joined))
        assert.strictEqual(used.code, 77)
        assert.match(used.told, /refused the setup code: it was used/)
        const foreign = yield* pair(changed(codeOf(yield* made()), { bootstrapToken: "x".repeat(43) }))
        assert.strictEqual(foreign.code, 77)
        assert.match(foreign.told, /is another gateway's/)
        const expired = yield* pair(changed(codeOf(yield* made()), { expiresAtMs: 1_700_000_000_000 }))
        assert.strictEqual(expired.code, 77)
        assert.match(expired.told, /expired at 2023-11-14/)
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    240_000
  )

  it.live.skipIf(old)(
    "an operator is approved by the command of the notice, and never has the shared token",
    () =>
      Effect.gen(function*() {
        const { cli, directory, gateway, made } = yield* staged(release)
        const stateDir = yield* directory
        const pairing = yield* cli(stateDir, ["pair", "--json"], codeOf(yield* made({ bootstrapProfile: "limited" })))
        const { approve } = yield* pairing.nextEvent("pairing.required")
        const line = String(at(approve, "text"))
        const { code, stderr, stdout } = yield* gateway.shell(line)
        assert.strictEqual(code, 0, `${line}\n${stdout}\n${stderr}`)
        assert.strictEqual((yield* pairing.exit).code, 0, pairing.stderr.join("\n"))
        const delegated = yield* cli(stateDir, ["delegate", "hello", "--quiet"], "")
        assert.strictEqual((yield* delegated.exit).code, 0, delegated.stderr.join("\n"))
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    240_000
  )

  it.live.skipIf(!old)("a release without codes refuses one by a typed error", () =>
    Effect.gen(function*() {
      const { cli, directory, url } = yield* staged(release)
      const code = Buffer.from(JSON.stringify({ url, bootstrapToken: "x".repeat(43) })).toString("base64url")
      const run = yield* cli(yield* directory, ["pair"], code)
      assert.include([76, 77], (yield* run.exit).code, run.stderr.join("\n"))
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 240_000)
})
