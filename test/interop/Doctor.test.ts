/**
 * `doctor` against real gateways: one line where all is well, and the right finding first where it is not.
 */
import { assert, describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Redacted from "effect/Redacted"
import { homedir } from "node:os"
import { spawnCli } from "./support/DeviceCli.ts"
import { releases } from "./support/OpenClaw.ts"
import { Place } from "./support/Place.ts"

/** A directory that lasts, where the machine has one. */
const stateDirectory = Effect.flatMap(
  FileSystem.FileSystem,
  (fs) => fs.makeTempDirectoryScoped({ directory: homedir(), prefix: ".oc-doctor-" })
)

const finished = Effect.fnUntraced(function*(args: ReadonlyArray<string>, env: Readonly<Record<string, string>>) {
  const cli = yield* spawnCli(args, { env, stdin: [] })
  const { code } = yield* Effect.timeout(cli.exit, "60 seconds")
  return { code, stdout: cli.stdout, stderr: cli.stderr.join("\n") }
})

const statusOf = (json: { readonly checks: ReadonlyArray<Record<string, string>> }, id: string) =>
  json.checks.find((check) => check["id"] === id)?.["status"]

describe.each(Effect.runSync(releases))("doctor on OpenClaw %s", (release) => {
  layer(Place.layer(release), { excludeTestServices: true, timeout: "300 seconds" })((it) => {
    it.effect("is one line where all is well, and has asked the HTTP side too", () =>
      Effect.gen(function*() {
        const { gateway } = yield* Place
        const stateDir = yield* stateDirectory
        const env = { OPENCLAW_GATEWAY_URL: gateway.url, OPENCLAW_GATEWAY_TOKEN: Redacted.value(gateway.token) }
        yield* finished(["identity", "create", "--state-dir", stateDir], {})
        const { code, stderr, stdout } = yield* finished(["doctor", "--state-dir", stateDir], env)
        assert.deepStrictEqual([code, stderr, stdout.length], [0, "", 1], stdout.join("\n"))
        assert.match(stdout[0] ?? "", /^ok {2}ws:\/\/127\.0\.0\.1:\d+ \(OpenClaw .*, protocol \d\) lets device/)
        // 2026.3.2 calls itself `dev`.
        const named = stdout[0]?.includes(`OpenClaw ${release},`) === true
        assert.isTrue(named || stdout[0]?.includes("OpenClaw dev,") === true, stdout[0])
        const verbose = yield* finished(["doctor", "--json", "--state-dir", stateDir], env)
        const json = JSON.parse(verbose.stdout.join(""))
        assert.deepInclude(json, { verdict: "ok", reachable: true, allowed: true, asked: "attempt" })
        for (const id of ["health", "ready", "clock", "scopes"]) assert.strictEqual(statusOf(json, id), "ok", id)
        assert.strictEqual(statusOf(json, "release"), named ? "ok" : "unknown")
      }), 180_000)

    it.effect("names a wrong token, and nothing else", () =>
      Effect.gen(function*() {
        const { gateway } = yield* Place
        const stateDir = yield* stateDirectory
        yield* finished(["identity", "create", "--state-dir", stateDir], {})
        const { code, stdout } = yield* finished(["doctor", "--json", "--state-dir", stateDir], {
          OPENCLAW_GATEWAY_URL: gateway.url,
          OPENCLAW_GATEWAY_TOKEN: "wrong"
        })
        const json = JSON.parse(stdout.join(""))
        const told = json.checks.filter(({ status }: Record<string, string>) => status === "fail" || status === "warn")
        assert.deepStrictEqual(told.map(({ id }: Record<string, string>) => id), ["credential"])
        assert.strictEqual(code, 77)
      }), 180_000)
  })
})
