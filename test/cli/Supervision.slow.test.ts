import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
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

const until = <E, R>(what: string, holds: Effect.Effect<boolean, E, R>) =>
  Effect.repeat(Effect.andThen(Effect.yieldNow, holds), { until: (yes) => yes }).pipe(
    Effect.timeoutOrElse({ duration: "20 seconds", orElse: () => Effect.die(`${what} did not come`) })
  )

/** A `systemd-notify` that writes down what it is told, and the `PATH` on which it is found first. */
const systemd = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const folder = yield* Cli.temporaryDirectory
  const log = `${folder}/told`
  yield* fs.writeFileString(`${folder}/systemd-notify`, `#!/bin/sh\nfor each; do echo "$each"; done >> ${log}\n`)
  yield* fs.chmod(`${folder}/systemd-notify`, 0o755)
  const told = Effect.map(
    Effect.orElseSucceed(fs.readFileString(log), () => ""),
    (text) => text.split("\n").filter((line) => line !== "")
  )
  return { told, env: { PATH: `${folder}:/usr/bin:/bin`, NOTIFY_SOCKET: `${folder}/notify` } }
})

describe.concurrent("under supervision", () => {
  it.live(
    "B15: systemd hears READY once, what the connection is at, the watchdog, and STOPPING; a file is there while it is connected",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const { gateway, url } = yield* served
        const { env, told } = yield* systemd
        const stateDir = yield* Cli.temporaryDirectory
        const ready = `${stateDir}/ready`
        const cli = yield* Cli.start(["run", "--json", "--no-page", "--ready-file", ready], {
          stateDir,
          env: { ...env, OPENCLAW_GATEWAY_URL: url, OPENCLAW_GATEWAY_TOKEN: "shared-token", WATCHDOG_USEC: "200000" }
        })
        const { requestId } = yield* cli.nextEvent("pairing.required")
        yield* until(
          "the approval",
          Effect.map(told, (all) => all.includes(`STATUS=waiting for approval of ${requestId}`))
        )
        assert.isFalse(yield* fs.exists(ready))
        yield* gateway.approve(String(requestId))
        yield* cli.stdinWrite("")
        yield* cli.nextEvent("connected")
        yield* until("the file", fs.exists(ready))
        assert.strictEqual(yield* fs.readFileString(ready), `${cli.pid}\n`)
        yield* until("the connection", Effect.map(told, (all) => all.includes("STATUS=connected")))
        yield* until("the watchdog", Effect.map(told, (all) => all.filter((each) => each === "WATCHDOG=1").length >= 3))
        yield* Cli.endsAt(cli, "SIGTERM", stateDir)
        assert.isFalse(yield* fs.exists(ready))
        const all = (yield* told).filter((each) => each !== "WATCHDOG=1")
        assert.deepStrictEqual(all, [
          "STATUS=connecting",
          "READY=1",
          `STATUS=waiting for approval of ${requestId}`,
          ...all.slice(3, -3),
          "STATUS=connected",
          "STOPPING=1",
          "STATUS=stopping"
        ])
        assert.lengthOf(all.filter((each) => each === "READY=1"), 1)
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "B15: SIGHUP reads a secret's file again; a file that is gone changes nothing",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const { gateway, url } = yield* served
        const stateDir = yield* Cli.temporaryDirectory
        const secret = `${stateDir}/token`
        yield* fs.writeFileString(secret, "wrong", { mode: 0o600 })
        const cli = yield* Cli.start(["run", "--json", "--no-page", "--reload-on-sighup"], {
          stateDir,
          env: { OPENCLAW_GATEWAY_URL: url, OPENCLAW_GATEWAY_TOKEN_FILE: secret }
        })
        yield* cli.nextEvent("halted")
        yield* fs.remove(secret)
        yield* cli.signal("SIGHUP")
        yield* until(
          "the refusal",
          Effect.sync(() => cli.stderr.some((line) => line.startsWith("error: the settings stay as they are")))
        )
        yield* fs.writeFileString(secret, "shared-token\n", { mode: 0o600 })
        yield* cli.signal("SIGHUP")
        const { requestId } = yield* cli.nextEvent("pairing.required")
        yield* gateway.approve(String(requestId))
        yield* cli.stdinWrite("")
        yield* cli.nextEvent("connected")
        yield* cli.signal("SIGTERM")
        assert.deepStrictEqual(yield* cli.exit, { code: 0, signal: null })
        for (const line of [...cli.stdout, ...cli.stderr]) assert.notInclude(line, "shared-token")
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "B15: --no-retry and --exit-on-pairing end with the status of the cause, after its event",
    () =>
      Effect.gen(function*() {
        const { url } = yield* served
        const stateDir = yield* Cli.temporaryDirectory
        const run = (flags: ReadonlyArray<string>, token: string, gatewayUrl = url) =>
          Cli.finished(["run", "--json", "--no-page", ...flags], {
            stateDir,
            env: { OPENCLAW_GATEWAY_URL: gatewayUrl, OPENCLAW_GATEWAY_TOKEN: token }
          })
        for (
          const [ended, code, event] of [
            [yield* run(["--exit-on-pairing"], "shared-token"), 75, "pairing.required"],
            [yield* run(["--no-retry"], "wrong-token"), 77, "halted"],
            [yield* run(["--no-retry"], "shared-token", "ws://127.0.0.1:1"), 69, "waiting"]
          ] as const
        ) {
          assert.strictEqual(ended.code, code, ended.stderr)
          assert.deepStrictEqual(ended.stdout.slice(-2).map((line) => JSON.parse(line).event), [event, "stopped"])
          assert.match(ended.stderr, /ERROR/)
        }
        const unusable = yield* run(["--ready-file", `${stateDir}/none/ready`], "shared-token")
        assert.strictEqual(unusable.code, 78)
        assert.match(unusable.stderr, /the readiness file .* cannot be written/)
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "logs have one form each, and none lets a foreign text act",
    () =>
      Effect.gen(function*() {
        const stateDir = yield* Cli.temporaryDirectory
        const lines = Effect.fnUntraced(function*(format: string) {
          const ended = yield* Shell.finished(
            `$CLI run --no-retry --no-page --log-level info --log-format ${format} --gateway-url ws://127.0.0.1:1`,
            { stateDir }
          )
          return ended.stderr.split("\n").filter((line) => line.includes("attempt failed"))
        })
        assert.match((yield* lines("pretty"))[0] ?? "", /^\d{4}-\d\d-\d\dT[\d:.]+Z INFO  .*attempt failed/)
        assert.match((yield* lines("logfmt"))[0] ?? "", /^timestamp=\S+ level=INFO .*attempt failed/)
        assert.strictEqual(JSON.parse((yield* lines("json"))[0] ?? "").level, "INFO")
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "B16: spans, metrics and logs go to a collector when the variables of OpenTelemetry name one, without a secret",
    () =>
      Effect.gen(function*() {
        const got = new Map<string, string>()
        const all = yield* Deferred.make<void>()
        const collector = createServer((request, response) => {
          let body = ""
          request.on("data", (chunk) => void (body += String(chunk)))
          request.on("end", () => {
            got.set(request.url ?? "", `${got.get(request.url ?? "") ?? ""}${body}`)
            response.end("{}")
            if (got.size === 3) Deferred.doneUnsafe(all, Effect.void)
          })
        })
        yield* Effect.acquireRelease(
          Effect.callback<void>((resume) => void collector.listen(0, "127.0.0.1", () => resume(Effect.void))),
          () => Effect.sync(() => void collector.close())
        )
        // A server that listens on TCP has an address with a port.
        const { port } = collector.address() as AddressInfo
        const { url } = yield* served
        const stateDir = yield* Cli.temporaryDirectory
        const ended = yield* Cli.finished(["delegate", "x", "--log-level", "info"], {
          stateDir,
          env: {
            OPENCLAW_GATEWAY_URL: url,
            OPENCLAW_GATEWAY_TOKEN: "operator-token",
            OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
            OTEL_EXPORTER_OTLP_PROTOCOL: "http/json"
          }
        })
        assert.deepStrictEqual([ended.code, ended.stdout], [0, ["echo: x"]], ended.stderr)
        yield* Effect.timeout(Deferred.await(all), "10 seconds")
        assert.sameMembers([...got.keys()], ["/v1/traces", "/v1/metrics", "/v1/logs"])
        assert.include(got.get("/v1/traces"), "openclaw-device")
        assert.match(got.get("/v1/metrics") ?? "", /gateway_connect_attempts/)
        for (const body of got.values()) assert.notInclude(body, "operator-token")

        const refused = yield* Cli.finished(["tasks", "list"], {
          stateDir,
          env: { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1", OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" }
        })
        assert.strictEqual(refused.code, 78)
        assert.match(refused.stderr, /OTEL_EXPORTER_OTLP_PROTOCOL: must be http\/protobuf or http\/json/)
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )
})
