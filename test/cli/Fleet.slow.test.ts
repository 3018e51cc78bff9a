import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { createServer as createCollector } from "node:http"
import { createServer } from "node:net"
import { exitCodes } from "../../src/cli/ExitCode.ts"
import { freePort } from "../support/FreePort.ts"
import { listening } from "../support/Listening.ts"
import * as Cli from "./Cli.ts"

const limit = 90_000
const key = Buffer.alloc(32, 9).toString("base64")

/** A fleet in a file of a state directory. */
const place = Effect.map(Cli.temporaryDirectory, (stateDir) => ({
  stateDir,
  env: { OPENCLAW_FLEET_FILE: `${stateDir}/fleet.db`, OPENCLAW_FLEET_KEY: key }
}))

describe.concurrent("fleet", () => {
  it.live("registers, lists and removes devices in a file", () =>
    Effect.gen(function*() {
      const options = yield* place
      const run = (...args: ReadonlyArray<string>) => Cli.finished(["fleet", ...args], options)
      const early = yield* run("list")
      assert.strictEqual(early.code, exitCodes.unreachable)
      assert.include(early.stderr, "fleet migrate")
      assert.strictEqual((yield* run("migrate")).code, 0)
      assert.deepStrictEqual((yield* run("list")).stdout, ["No device is registered."])
      assert.deepStrictEqual((yield* run("add", "lamp", "door")).stdout, ["lamp is registered", "door is registered"])
      assert.deepStrictEqual((yield* run("add", "lamp")).stdout, ["lamp was registered already"])
      const bad = yield* run("add", "No Name")
      assert.strictEqual(bad.code, exitCodes.failed)
      assert.include(bad.stderr, "is no name of a device")
      assert.deepStrictEqual((yield* run("list")).stdout, ["door  nowhere  -", "lamp  nowhere  -"])
      const removed = yield* run("remove", "door", "--json")
      assert.deepStrictEqual(removed.stdout, [`{"name":"door","openTasks":0,"identity":"kept"}`])
      assert.include((yield* run("remove", "door")).stderr, "no device door is registered")
      assert.include((yield* run("delegate", "lamp", "hello", "--key", "a")).stderr, "OPENCLAW_FLEET_DATABASE_URL")
    }).pipe(Effect.provide(Cli.platform)), limit)

  it.live("says which setting is missing or wrong, and never a secret", () =>
    Effect.gen(function*() {
      const stateDir = yield* Cli.temporaryDirectory
      const run = (env: Record<string, string>, ...args: ReadonlyArray<string>) =>
        Cli.finished(["fleet", ...args], { stateDir, env })
      const none = yield* run({}, "list")
      assert.strictEqual(none.code, exitCodes.settings)
      assert.include(none.stderr, "OPENCLAW_FLEET_DATABASE_URL")
      const wrong = yield* run({ OPENCLAW_FLEET_DATABASE_URL: "mysql://canary-secret" }, "list")
      assert.strictEqual(wrong.code, exitCodes.settings)
      assert.notInclude(wrong.stderr, "canary-secret")
      const away = yield* run({ OPENCLAW_FLEET_DATABASE_URL: "postgres://u:canary-secret@127.0.0.1:1/x" }, "list")
      assert.strictEqual(away.code, exitCodes.unreachable)
      assert.notInclude(away.stderr, "canary-secret")
      const keyless = yield* run({ OPENCLAW_FLEET_FILE: `${stateDir}/fleet.db` }, "run")
      assert.strictEqual(keyless.code, exitCodes.settings)
      assert.include(keyless.stderr, "OPENCLAW_FLEET_KEY is not set")
      const short = yield* run(
        { OPENCLAW_FLEET_FILE: `${stateDir}/fleet.db`, OPENCLAW_FLEET_KEY: "canary-secret" },
        "run"
      )
      assert.include(short.stderr, "32 bytes")
      assert.notInclude(short.stderr, "canary-secret")
    }).pipe(Effect.provide(Cli.platform)), limit)

  it.live(
    "does not run where another process does, and says which port another program has",
    () =>
      Effect.gen(function*() {
        const { env, stateDir } = yield* place
        const options = {
          stateDir,
          env: { ...env, OPENCLAW_GATEWAY_URL: "ws://127.0.0.1:1", OPENCLAW_GATEWAY_TOKEN: "x" }
        }
        const port = yield* listening(createServer())
        yield* Cli.finished(["fleet", "migrate"], options)
        const noPort = yield* Cli.finished(["fleet", "run", "--metrics-port", String(port)], options)
        assert.strictEqual(noPort.code, exitCodes.settings)
        assert.include(noPort.stderr, `on port ${port} of 127.0.0.1: another program listens there`)
        assert.include(noPort.stderr, "--metrics-port")
        const runner = yield* Cli.start(["fleet", "run", "--json"], options)
        yield* runner.nextEvent("fleet.ready")
        const second = yield* Cli.finished(["fleet", "run"], options)
        assert.strictEqual(second.code, exitCodes.settings)
        assert.include(second.stderr, "is the runner this machine already")
        assert.include(second.stderr, "a fleet in a file has one process")
        yield* runner.signal("SIGTERM")
        assert.strictEqual((yield* Effect.timeout(runner.exit, "20 seconds")).code, 0)
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "runs the devices of a file: ready, what waits for approval, metrics, and a graceful end",
    () =>
      Effect.gen(function*() {
        const options = yield* place
        const gateway = yield* Cli.start(["gateway", "--port", "0", "--json"], { stateDir: options.stateDir })
        yield* gateway.nextEvent("gateway")
        yield* Cli.finished(["fleet", "migrate"], options)
        yield* Cli.finished(["fleet", "add", "lamp"], options)
        const port = yield* freePort
        const runner = yield* Cli.start(["fleet", "run", "--json", "--metrics-port", String(port)], options)
        const pending = yield* runner.nextEvent("pairing.required")
        assert.match(runner.stdout[0] ?? "", /"event":"fleet.ready"/)
        const ready = yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}/ready`))
        assert.strictEqual(ready.status, 200)
        const metrics = yield* Effect.promise(() =>
          fetch(`http://127.0.0.1:${port}/metrics`).then((answer) => answer.text())
        )
        assert.include(metrics, "# TYPE")
        const waiting = yield* Effect.repeat(
          Effect.map(Cli.finished(["fleet", "approve", "--json"], options), ({ stdout }) => stdout),
          { until: (lines) => lines.length === 1 }
        )
        const request = JSON.parse(waiting[0] ?? "")
        assert.deepInclude(request, { name: "lamp", requestId: pending["requestId"] })
        assert.include(request.command, `devices approve ${request.requestId}`)
        assert.strictEqual((yield* Cli.finished(["devices", "approve", request.requestId, "--yes"], options)).code, 0)
        const connected = yield* runner.nextEvent("connected")
        assert.strictEqual(connected["device"], "lamp")
        yield* runner.signal("SIGTERM")
        const { code } = yield* Effect.timeout(runner.exit, "20 seconds")
        assert.strictEqual(code, 0)
        for (const line of [...runner.stdout, ...runner.stderr]) assert.notInclude(line, key)
        const after = yield* Cli.finished(["fleet", "status", "--json"], options)
        assert.deepInclude(JSON.parse(after.stdout[0] ?? ""), { runners: [], devices: 1, states: { nowhere: 1 } })
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "follows the events of the runner from another process, of all devices or of some, until Ctrl-C",
    () =>
      Effect.gen(function*() {
        const options = yield* place
        assert.strictEqual((yield* Cli.finished(["fleet", "events"], options)).code, exitCodes.unreachable)
        const gateway = yield* Cli.start(["gateway", "--port", "0", "--json"], { stateDir: options.stateDir })
        yield* gateway.nextEvent("gateway")
        yield* Cli.finished(["fleet", "migrate"], options)
        yield* Cli.finished(["fleet", "add", "lamp", "door"], options)
        const runner = yield* Cli.start(["fleet", "run", "--json"], options)
        const all = yield* Cli.start(["fleet", "events", "--json", "--since", "1h"], options)
        const one = yield* Cli.start(["fleet", "events", "--json", "--since", "1h", "lamp", "sofa"], options)
        const pending = new Map<unknown, unknown>()
        while (pending.size < 2) {
          const { device, requestId, runner } = yield* all.nextEvent("pairing.required")
          pending.set(device, requestId)
          assert.strictEqual(runner, "this machine")
        }
        assert.sameMembers([...pending.keys()], ["lamp", "door"])
        for (const requestId of pending.values()) {
          yield* Cli.finished(["devices", "approve", String(requestId), "--yes"], options)
        }
        const connected = [yield* all.nextEvent("connected"), yield* all.nextEvent("connected")]
        assert.sameMembers(connected.map(({ device }) => device), ["lamp", "door"])
        yield* one.nextEvent("connected")
        const lines = all.stdout.map((line) => JSON.parse(line))
        assert.deepStrictEqual(lines.map(({ seq }) => seq), lines.map((_, index) => index + 1))
        assert.strictEqual(new Set(lines.map(({ process }) => process)).size, 1)
        for (const line of one.stdout) assert.match(line, /^\{"device":"lamp","runner":"this machine","epoch":1,/)
        assert.include(one.stderr.join(), "no device sofa is registered yet")

        const person = yield* Cli.start(["fleet", "events", "--since", "1h"], options)
        yield* Effect.repeat(Effect.delay(Effect.sync(() => person.stdout.join("\n")), "50 millis"), {
          until: (text) => /^\d\d:\d\d:\d\d lamp {2}connected/m.test(text) && /door {2}connected/.test(text)
        })
        for (const follower of [all, one, person]) {
          yield* follower.signal("SIGINT")
          assert.strictEqual((yield* Effect.timeout(follower.exit, "20 seconds")).code, 0)
        }
        yield* runner.signal("SIGTERM")
        yield* Effect.timeout(runner.exit, "20 seconds")
        const late = yield* Cli.finished(["fleet", "events", "--since", "soon"], options)
        assert.strictEqual(late.code, exitCodes.usage)
        assert.include(late.stderr, "1 second to 7 days")
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "B16: spans, metrics and logs of a runner go to a collector, and say how many devices are in which state",
    () =>
      Effect.gen(function*() {
        const options = yield* place
        const got = new Map<string, string>()
        const all = yield* Deferred.make<void>()
        const waits = /"openclaw_fleet_devices".*"stringValue":"awaiting-approval"/s
        const collector = createCollector((request, response) => {
          let body = ""
          request.on("data", (chunk) => void (body += String(chunk)))
          request.on("end", () => {
            got.set(request.url ?? "", `${got.get(request.url ?? "") ?? ""}${body}`)
            response.end("{}")
            if (got.size === 3 && waits.test(got.get("/v1/metrics") ?? "")) Deferred.doneUnsafe(all, Effect.void)
          })
        })
        const port = yield* listening(collector)
        const gateway = yield* Cli.start(["gateway", "--port", "0", "--json"], { stateDir: options.stateDir })
        yield* gateway.nextEvent("gateway")
        yield* Cli.finished(["fleet", "migrate"], options)
        yield* Cli.finished(["fleet", "add", "lamp"], options)
        const runner = yield* Cli.start(["fleet", "run", "--json", "--log-level", "info"], {
          stateDir: options.stateDir,
          env: {
            ...options.env,
            OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
            OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
            OTEL_METRIC_EXPORT_INTERVAL: "500"
          }
        })
        yield* Effect.timeout(Deferred.await(all), "40 seconds")
        assert.sameMembers([...got.keys()], ["/v1/traces", "/v1/metrics", "/v1/logs"])
        assert.include(got.get("/v1/traces"), "Handshake")
        for (const body of got.values()) assert.notInclude(body, key)
        yield* runner.signal("SIGTERM")
        assert.strictEqual((yield* Effect.timeout(runner.exit, "20 seconds")).code, 0)
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )
})
