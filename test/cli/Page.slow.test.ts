import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import { Server } from "node:net"
import { fileURLToPath } from "node:url"
import * as Agent from "../../src/agent/Agent.ts"
import { orSettings } from "../../src/cli/CommandError.ts"
import { plain } from "../../src/cli/EventText.ts"
import { Output } from "../../src/cli/Output.ts"
import * as Page from "../../src/cli/Page.ts"
import type { AgentEvent } from "../../src/protocol/AgentEvent.ts"
import * as RecordedAgent from "../../src/recorder/RecordedAgent.ts"
import * as MemoryGateway from "../../src/testing/MemoryGateway.ts"
import { ask, decodeRecord, nextEvent, open, raw, site } from "../dialog/DialogServerClient.ts"
import { observed, shown } from "../support/Observed.ts"
import * as Cli from "./Cli.ts"

const limit = 60_000
const builtPage = fileURLToPath(new URL("../../dist/dialog/site/index.html", import.meta.url))
const servedAt = (url: unknown) => {
  const [, port = "", token = ""] = /^http:\/\/127\.0\.0\.1:(\d+)\/#token=([A-Za-z0-9_-]{43})$/.exec(String(url)) ?? []
  assert.notStrictEqual(token, "")
  return { port: Number(port), token }
}

const addressOf = (event: AgentEvent | undefined) => servedAt(event?.event === "page" ? event.url : "")

/** What an effect does while no port can be listened on. */
const whenListening = <A, E, R>(code: string, effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const listen = Server.prototype.listen
    return Effect.acquireUseRelease(
      Effect.sync(() => {
        Server.prototype.listen = function(this: Server) {
          queueMicrotask(() => this.emit("error", Object.assign(new Error(code), { code })))
          return this
        }
      }),
      () => effect,
      () => Effect.sync(() => void (Server.prototype.listen = listen))
    )
  })

/** Starts the page as `run` does, and what was said on standard error. */
const started = Effect.fnUntraced(function*(
  options: Parameters<typeof Page.start>[0],
  record: ReturnType<typeof RecordedAgent.layer> = (agent) => agent
) {
  const warnings: Array<string> = []
  const output = Output.of({
    json: true,
    terminal: false,
    style: plain,
    lively: false,
    progress: () => Effect.void,
    reply: () => Effect.void,
    replyAlone: () => Effect.void,
    replyPiece: () => Effect.void,
    lost: Effect.never,
    delivered: Effect.void,
    readerLeft: Effect.never,
    event: () => Effect.void,
    line: () => Effect.void,
    warn: (text) => Effect.sync(() => void warnings.push(text)),
    ask: () => Effect.void,
    conceal: () => Effect.void,
    live: () => Effect.void
  })
  const event = yield* Page.start(options).pipe(
    Effect.provideService(Output, output),
    Effect.provide(
      record(Agent.layer()).pipe(
        Layer.provideMerge(MemoryGateway.layer()),
        Layer.provideMerge(Layer.mergeAll(NodeServices.layer, SecureRandom.layerWebCrypto))
      )
    )
  )
  return { event, warnings }
})

describe("Page.start", () => {
  it.live("its event tells the one address that opens it", () =>
    Effect.gen(function*() {
      const { event, warnings } = yield* started({ site: yield* site })
      assert.isTrue(event?.event === "page")
      const served = servedAt(event?.event === "page" ? event.url : "")
      assert.strictEqual((yield* ask(served, "/", { token: false })).status, 200)
      assert.deepStrictEqual(warnings, [])
    }).pipe(Effect.provide(Logger.layer([]))))

  it.live("B16: its token is in no recording, span, metric label or log of the agent, however it is used", () =>
    Effect.gen(function*() {
      const folder = yield* site
      const directory = yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped())
      const path = `${directory}/agent.ndjson`
      const served = yield* Effect.flatMap(
        observed(Effect.scoped(Effect.gen(function*() {
          const { event } = yield* started({ site: folder }, RecordedAgent.layer({ path }))
          const served = servedAt(event?.event === "page" ? event.url : "")
          yield* ask(served, "/")
          yield* ask(served, "/tasks")
          return { served, metrics: yield* Metric.snapshot }
        }))),
        ({ exit, told }) => Effect.map(exit, (all) => ({ ...all, told }))
      )
      const recording = yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.readFileString(path))
      assert.match(recording, /"kind":"end"/)
      for (const text of [recording, shown(served.metrics), ...served.told]) {
        assert.notInclude(text, served.served.token)
      }
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("a page that was not built, or no port for it, is a warning that says what to do, and no failure", () =>
    Effect.gen(function*() {
      const { event, warnings } = yield* started({ site: "/nowhere/site" })
      assert.isUndefined(event)
      assert.lengthOf(warnings, 1)
      assert.match(warnings[0] ?? "", /^warning: .*not built.*npm run build.*Everything else goes on/)
      assert.notInclude(warnings[0] ?? "", "/nowhere")

      const folder = yield* site
      const refused = yield* whenListening("EMFILE", started({ site: folder }))
      assert.isUndefined(refused.event)
      assert.match(refused.warnings[0] ?? "", /^warning: .*no port.*--no-page/)
    }).pipe(Effect.provide(Logger.layer([]))))

  it.live("a port that was asked for is served, and one that another program has is an error that names it", () =>
    Effect.gen(function*() {
      const folder = yield* site
      const free = yield* Effect.scoped(Effect.map(started({ site: folder }), ({ event }) => addressOf(event).port))
      const first = yield* started({ site: folder, port: free })
      assert.strictEqual(addressOf(first.event).port, free)
      const error = orSettings(yield* Effect.flip(started({ site: folder, port: free })))
      assert.deepStrictEqual([error.error, error.exit], ["DialogUnavailable", "settings"])
      assert.strictEqual(
        error.message,
        `the page cannot be served: another program listens on port ${free} of 127.0.0.1.`
          + " Choose another port with --page-port, or 0 for any that is free. Command: openclaw-device run --page-port 0"
      )
      const forbidden = yield* Effect.flip(whenListening("EACCES", started({ site: folder, port: 80 })))
      assert.match(forbidden.message, /may not listen on port 80 of 127\.0\.0\.1\. Choose a port above 1023/)
      // Whatever else keeps it from listening is no wrong setting.
      assert.isUndefined((yield* whenListening("EMFILE", started({ site: folder, port: free }))).event)
    }))
})

describe.concurrent("the page of run", () => {
  it.live(
    "run tells it after who and where, nowhere else, and ends at once with pages that are open",
    () =>
      Effect.gen(function*() {
        const stateDir = yield* Cli.temporaryDirectory
        const cli = yield* Cli.start(["run", "--json", "--log-level", "all"], { stateDir })
        const required = yield* cli.nextEvent("pairing.required")
        const shown = yield* Cli.eventsOf(cli)
        if (!(yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.exists(builtPage)))) {
          // The checkout is not built: then there is no page, and everything else goes on.
          assert.match(cli.stderr.join("\n"), /^warning: The page .*npm run build/m)
          assert.notInclude(Cli.names(shown), "page")
          yield* cli.signal("SIGINT")
          assert.deepStrictEqual(yield* cli.exit, { code: 0, signal: null })
          return
        }
        assert.deepStrictEqual(Cli.names(shown).slice(0, 3), ["identity", "gateway", "page"])
        const page = shown[2]
        const served = servedAt(page?.event === "page" ? page.url : "")
        const stream = yield* open(served, "/events")
        assert.strictEqual((yield* nextEvent(stream, "pairing.required"))["requestId"], required["requestId"])
        const attend = yield* open(served, "/attend")
        yield* attend.comment
        yield* open(served, "/events")
        const task = yield* ask(served, "/tasks", { method: "POST", body: '{"summary":"water the plants"}' })
        assert.strictEqual((yield* cli.nextEvent("task.queued"))["taskId"], decodeRecord(task.body)["taskId"])
        yield* raw(served.port, "GET / HTTP/1.1\r\nHost: ")

        const startedAtMs = performance.now()
        yield* cli.signal("SIGINT")
        assert.deepStrictEqual(yield* cli.exit, { code: 0, signal: null })
        const elapsedMs = performance.now() - startedAtMs
        // 300 ms on a machine of its own; here it shares one with other tests.
        assert.isBelow(elapsedMs, 1000)
        assert.strictEqual((yield* Cli.eventsOf(cli)).at(-1)?.event, "stopped")
        assert.strictEqual(yield* stream.ended, "complete")
        const lines = [...cli.stdout, ...cli.stderr].filter((line) => line.includes(served.token))
        assert.lengthOf(lines, 1)
        assert.strictEqual(decodeRecord(lines[0])["event"], "page")
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live("--no-page does without it, and says nothing of it", () =>
    Effect.gen(function*() {
      const stateDir = yield* Cli.temporaryDirectory
      const cli = yield* Cli.start(["run", "--json", "--no-page"], { stateDir })
      yield* cli.nextEvent("pairing.required")
      assert.notInclude(Cli.names(yield* Cli.eventsOf(cli)), "page")
      assert.notInclude(cli.stderr.join("\n"), "page")
      yield* Cli.endsAt(cli, "SIGINT", stateDir)
    }).pipe(Effect.provide(Cli.platform)), limit)

  it.live(
    "--page-port and its variable choose the port, and a port that is taken ends the program with what to do",
    () =>
      Effect.gen(function*() {
        const stateDir = yield* Cli.temporaryDirectory
        const first = yield* Cli.start(["run", "--json"], { stateDir })
        yield* first.nextEvent("pairing.required")
        const page = (yield* Cli.eventsOf(first)).find(({ event }) => event === "page")
        if (page === undefined) return assert.include(first.stderr.join("\n"), "npm run build")
        const { port } = addressOf(page)
        for (
          const [args, env] of [
            [["--page-port", String(port)], {}],
            [[], { OPENCLAW_DEVICE_PAGE_PORT: String(port) }]
          ] as const
        ) {
          const second = yield* Cli.start(["run", ...args], { stateDir: yield* Cli.temporaryDirectory, env })
          assert.deepStrictEqual(yield* second.exit, { code: 78, signal: null })
          assert.include(second.stderr.join("\n"), `another program listens on port ${port} of 127.0.0.1`)
          assert.include(second.stderr.join("\n"), "--page-port")
        }
        yield* first.signal("SIGINT")
        yield* first.exit
        const third = yield* Cli.start(["run", "--json", "--page-port", String(port)], { stateDir })
        yield* third.nextEvent("pairing.required")
        const again = (yield* Cli.eventsOf(third)).find(({ event }) => event === "page")
        assert.strictEqual(addressOf(again).port, port)
        yield* Cli.endsAt(third, "SIGINT", stateDir)
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )
})
