/**
 * A fleet of two processes on a real gateway: its devices are approved as a person does it, and one of the processes is killed under
 * tasks. And what that gateway does with two links of one device, against which the fence stands.
 *
 * The model of the gateway answers with the text that it is asked, and counts.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { afterAll, beforeAll } from "vitest"
import type { Session } from "../../../src/connection/Session.ts"
import { spawnCli } from "../../interop/support/DeviceCli.ts"
import { untilTrue } from "../../interop/support/EventLog.ts"
import * as LibraryAgent from "../../interop/support/LibraryAgent.ts"
import * as OpenClaw from "../../interop/support/OpenClaw.ts"
import { administrator, readAndWrite } from "../../interop/support/RawClient.ts"
import { proxy, type RemoteProxy } from "../../interop/support/RemoteProxy.ts"
import { keyText } from "../Databases.ts"
import { allowed, setting, tell } from "./Figures.ts"
import type { RunnerProcess } from "./FleetWorld.ts"
import * as FleetWorld from "./FleetWorld.ts"

const release = "2026.9.6"
const names = FleetWorld.namesOf(20)
const taskCount = Math.min(40, Math.ceil(setting("TASKS", 2000) / 8))
const nameOf = (index: number) => names[index % names.length] ?? ""

const scope = Scope.makeUnsafe()
let gateway: OpenClaw.Gateway
let remote: RemoteProxy
let world: Effect.Success<ReturnType<typeof FleetWorld.makeAt>>
let runners: ReadonlyArray<RunnerProcess>

const run = <A, E>(effect: Effect.Effect<A, E, Layer.Success<typeof NodeServices.layer> | Scope.Scope>) =>
  Effect.runPromise(effect.pipe(Scope.provide(scope), Effect.provide(NodeServices.layer)))

const addressOf = ({ port }: RunnerProcess) => `127.0.0.1:${port}`
const devicesOf = (runner: RunnerProcess) =>
  Effect.map(world.fleet.list, (rows) => rows.flatMap((row) => row.runner === addressOf(runner) ? [row.name] : []))

/** Milliseconds until all devices have a link and are connected by these runners, as the runners say. */
const connectedBy = (by: ReadonlyArray<RunnerProcess>) =>
  Effect.gen(function*() {
    const began = performance.now()
    const places = by.map(addressOf)
    const isPlaced = Effect.zipWith(
      world.fleet.list,
      remote.open,
      (rows, links) => links === names.length && rows.every(({ runner = "" }) => places.includes(runner))
    )
    const reports = Effect.forEach(names, (name) => world.fleet.status(name), { concurrency: 4 })
    yield* Effect.repeat(Effect.delay(isPlaced, "100 millis"), { until: (placed) => placed })
    yield* Effect.repeat(reports, {
      schedule: Schedule.spaced("100 millis"),
      until: (all) => all.every(({ runner, state }) => state === "connected" && places.includes(runner))
    })
    return Math.round(performance.now() - began)
  }).pipe(
    Effect.timeoutOrElse({
      duration: "60 seconds",
      orElse: () =>
        Effect.flatMap(world.fleet.list, (rows) => Effect.die(new Error(`not connected: ${JSON.stringify(rows)}`)))
    })
  )

const Pending = Schema.Struct({ name: Schema.String, requestId: Schema.String, command: Schema.String })
/** What `fleet approve --json` prints. */
const waiting = Effect.gen(function*() {
  const cli = yield* spawnCli(["fleet", "approve", "--json"], {
    env: {
      OPENCLAW_FLEET_DATABASE_URL: world.server.url,
      OPENCLAW_FLEET_KEY: keyText,
      OPENCLAW_GATEWAY_URL: remote.url
    },
    stdin: []
  })
  const { code } = yield* cli.exit
  assert.strictEqual(code, 0, cli.stderr.join("\n"))
  return yield* Effect.forEach(cli.events, (line) => Schema.decodeUnknownEffect(Pending)(line))
}).pipe(Effect.scoped)

const Pairing = Schema.Struct({
  pending: Schema.Array(Schema.Struct({ requestId: Schema.String, displayName: Schema.optionalKey(Schema.String) })),
  paired: Schema.Array(Schema.Struct({ displayName: Schema.optionalKey(Schema.String) }))
})
const pairing = Effect.gen(function*() {
  const admin = yield* administrator(gateway)
  return yield* Schema.decodeUnknownEffect(Pairing)(yield* admin.request("device.pair.list", {}))
}).pipe(Effect.scoped)

const History = Schema.Struct({
  messages: Schema.Array(Schema.Struct({ role: Schema.String, content: Schema.Unknown }))
})

/** A task, by its key. */
const textOf = (key: string) => `task ${key}.`

/** Delegates the task of a key, and gives what did not come back as it should. */
const delegated = (index: number, key: string) =>
  world.fleet.delegate(nameOf(index), textOf(key), { key }).pipe(
    Effect.map((result) =>
      result._tag === "Completed" && result.text === `echo: ${textOf(key)}` ? [] : [`${key}: ${JSON.stringify(result)}`]
    ),
    Effect.catch((error) => Effect.succeed([`${key}: ${error.message}`]))
  )

/** How often the model was asked the text of a key. */
const asked = (key: string) => gateway.model.prompts.filter((prompt) => prompt.includes(textOf(key))).length

/** Whether a frame is an event of this run. */
const isEventOf = (runId: string) => (text: string) =>
  text.startsWith('{"type":"event"') && text.includes(`"runId":"${runId}"`)

describe(`a fleet of two processes on OpenClaw ${release}`, () => {
  beforeAll(async () => {
    gateway = await run(OpenClaw.boot(release))
    remote = await run(proxy(gateway))
    world = await run(
      FleetWorld.makeAt({ port: Number(new URL(remote.url).port), token: Redacted.value(gateway.token) })
    )
    runners = await run(Effect.all([world.runner(), world.runner()]))
    await run(Effect.forEach(runners, ({ start }) => start, { concurrency: 2 }))
  }, 180_000)
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)), 60_000)

  it(
    "its devices ask for approval, and are connected once a person has approved them",
    () =>
      run(Effect.gen(function*() {
        yield* Effect.forEach(names, (name) => world.fleet.register(name), { concurrency: 4 })
        const began = performance.now()
        const pending = yield* Effect.repeat(waiting, { until: (found) => found.length === names.length })
        const askedMs = Math.round(performance.now() - began)
        assert.deepStrictEqual(pending.map(({ name }) => name), names)
        const atGateway = yield* pairing
        assert.deepStrictEqual(
          new Map(atGateway.pending.map(({ displayName, requestId }) => [requestId, displayName])),
          new Map(pending.map(({ name, requestId }) => [requestId, name]))
        )

        // The first by the command that was printed, the others by the call that it makes: each command takes OpenClaw seconds to start.
        const [first, ...others] = pending
        const printed = yield* gateway.shell(first?.command ?? assert.fail("nothing waits"))
        assert.strictEqual(printed.code, 0, printed.stderr)
        const admin = yield* administrator(gateway)
        yield* Effect.forEach(others, ({ requestId }) => admin.request("device.pair.approve", { requestId }))
        // Unasked they look again within 15 s.
        yield* Effect.forEach(names, (name) => world.fleet.check(name), { concurrency: 4 })
        const ms = yield* connectedBy(runners)
        tell("real gateway, approval", { devices: names.length, askedMs, msFromTheLastApproval: ms })
        assert.deepStrictEqual(yield* waiting, [])
      })),
    120_000
  )

  it(
    "kill -9 of a runner under tasks: each runs once and is answered with its text, and its devices move",
    () =>
      run(Effect.gen(function*() {
        const shares = yield* Effect.forEach(runners, devicesOf)
        const [lost, other] = (shares[0]?.length ?? 0) >= (shares[1]?.length ?? 0) ? runners : runners.toReversed()
        if (lost === undefined || other === undefined) return assert.fail("no runners")
        const moved = yield* devicesOf(lost)
        assert.isAbove(moved.length, 1)
        const admin = yield* administrator(gateway, { scopes: readAndWrite })
        // What the gateway needs for one handshake; it admits one device after another.
        const [handshake] = yield* Effect.timed(Effect.scoped(administrator(gateway)))

        const keys = Array.from({ length: taskCount }, (_, index) => String(index).padStart(2, "0"))
        const plain = keys.slice(2)
        // One task whose run ends while no runner has its device, and one that runs until another runner has it.
        const held = [`${keys[0]} [hold away]`, `${keys[1]} [hold over]`]
        const holding = yield* Effect.forkChild(
          Effect.forEach(held, (key, index) => delegated(names.indexOf(moved[index] ?? ""), key), { concurrency: 2 })
        )
        yield* Effect.forEach(held, (key) => gateway.model.asked(textOf(key)))
        let answered = 0
        const working = yield* Effect.forkChild(
          Effect.forEach(
            plain,
            (key, index) => Effect.tap(delegated(index, key), () => Effect.sync(() => void answered++)),
            { concurrency: 4 }
          )
        )
        yield* untilTrue(() => answered >= 6)
        const answeredBefore = answered
        const lockAgeMs = yield* FleetWorld.lockAgeMs(world.sql, lost)
        const began = performance.now()
        lost.signal("SIGKILL")
        yield* lost.ended
        yield* gateway.model.release("[hold away]")
        const ms = yield* connectedBy([other])
        yield* gateway.model.release("[hold over]")
        const wrong = (yield* Effect.all([Fiber.join(holding), Fiber.join(working)])).flat(2)
        const runs = [...held, ...plain].map((key) => [key, asked(key)] as const)
        const twice = runs.filter(([, count]) => count !== 1)

        // The gateway's own memory: each text and its answer once, in the session of its device.
        const histories = yield* Effect.forEach(names, (name) =>
          Effect.flatMap(
            admin.request("chat.history", { sessionKey: `agent:main:${name}`, limit: 100 }),
            Schema.decodeUnknownEffect(History)
          ))
        const messages = histories.flatMap((history) => history.messages).map(({ content, role }) => ({
          role,
          text: JSON.stringify(content)
        }))
        const remembered = [...held, ...plain].map((key) =>
          ["user", "assistant"].map((role) =>
            messages.filter((message) => message.role === role && message.text.includes(textOf(key))).length
          )
        )
        tell("real gateway, kill", {
          moved: moved.length,
          ms,
          lockAgeMs,
          handshakeMs: Math.round(Duration.toMillis(handshake)),
          tasks: runs.length,
          answeredBefore,
          wrong: wrong.length,
          notOnce: twice.length,
          allMs: Math.round(performance.now() - began)
        })
        assert.deepStrictEqual(wrong, [])
        assert.deepStrictEqual(twice, [])
        assert.deepStrictEqual(remembered, remembered.map(() => [1, 1]))
        assert.isAtMost(ms, allowed(15_000) + moved.length * Duration.toMillis(handshake))
      })),
    120_000
  )

  it(
    "the runner that was killed is started again: devices move to it, and no person is asked",
    () =>
      run(Effect.gen(function*() {
        const back = (yield* Effect.filter(runners, (runner) =>
          Effect.map(devicesOf(runner), (has) => has.length === 0)))[0] ?? assert.fail("no runner is without devices")
        const began = performance.now()
        yield* back.start
        const startMs = Math.round(performance.now() - began)
        yield* Effect.repeat(Effect.delay(devicesOf(back), "100 millis"), {
          until: (has) =>
            has.length > 0
        })
        yield* connectedBy(runners)
        const { paired, pending } = yield* pairing
        tell("real gateway, return", {
          moved: (yield* devicesOf(back)).length,
          startMs,
          ms: Math.round(performance.now() - began)
        })
        assert.deepStrictEqual(pending, [])
        assert.deepStrictEqual(
          paired.flatMap(({ displayName = "" }) => names.includes(displayName) ? [displayName] : []).toSorted(),
          names
        )
      })),
    60_000
  )

  it(
    "two links of one device: both are open and both may send, each hears what it subscribed to, and a key runs once",
    () =>
      run(
        Effect.gen(function*() {
          const place = yield* proxy(gateway, { clientAddress: "10.1.2.4" })
          const home = yield* LibraryAgent.makeHome
          const start = LibraryAgent.start(home, { url: place.url, token: gateway.token })
          const older = yield* start
          const { approval } = yield* older.until("AwaitingApproval")
          const admin = yield* administrator(gateway)
          yield* admin.request("device.pair.approve", { requestId: approval.requestId })
          yield* older.supervisor.checkNow
          const first = yield* older.until("Connected")
          const newer = yield* start
          const second = yield* newer.until("Connected")
          assert.strictEqual(newer.deviceId, older.deviceId)

          const sessionKey = "agent:main:two-links"
          const subscribe = (session: Session) => session.request("sessions.messages.subscribe", { key: sessionKey })
          const send = (session: Session, message: string, idempotencyKey: string) =>
            Effect.flatMap(
              session.request("chat.send", { sessionKey, message, deliver: false, idempotencyKey }),
              Schema.decodeUnknownEffect(Schema.Struct({ runId: Schema.String, status: Schema.String }))
            )
          const told = (agent: LibraryAgent.LibraryAgent, runId: string) =>
            agent.frames.filter(({ from, text }) => from === "gateway" && isEventOf(runId)(text))
          const ended = (agent: LibraryAgent.LibraryAgent, runId: string) =>
            untilTrue(() => told(agent, runId).some(({ text }) => text.includes('"state":"final"')))

          // Only the older one has subscribed. The newer one sends the same key while the run goes on, and after it.
          yield* subscribe(first.session)
          const mark = "[hold two links]"
          assert.strictEqual((yield* send(first.session, mark, "key-a")).status, "started")
          yield* gateway.model.asked(mark)
          assert.strictEqual((yield* send(second.session, mark, "key-a")).status, "in_flight")
          yield* gateway.model.release(mark)
          yield* ended(older, "key-a")
          assert.strictEqual((yield* send(second.session, mark, "key-a")).status, "ok")
          assert.strictEqual((yield* send(first.session, mark, "key-a")).status, "ok")
          assert.strictEqual(told(newer, "key-a").length, 0)

          // Both have, and send the same key at once.
          yield* subscribe(second.session)
          const both = yield* Effect.all(
            [send(first.session, "both links", "key-b"), send(second.session, "both links", "key-b")],
            { concurrency: 2 }
          )
          assert.deepStrictEqual(both.map(({ status }) => status).toSorted(), ["in_flight", "started"])
          yield* Effect.all([ended(older, "key-b"), ended(newer, "key-b")])
          assert.strictEqual(told(older, "key-b").length, told(newer, "key-b").length)

          // The gateway lets the older one go on: nothing but the fence keeps it from running something of its own.
          assert.strictEqual((yield* send(first.session, "older link", "key-c")).status, "started")
          yield* ended(newer, "key-c")
          for (const text of [mark, "both links", "older link"]) {
            assert.strictEqual(gateway.model.prompts.filter((prompt) => prompt.includes(text)).length, 1, text)
          }
          assert.deepStrictEqual([older, newer].map(({ attempts }) => attempts.length), [2, 1])
          assert.strictEqual(yield* place.open, 2)

          // A device that is removed at the gateway loses both.
          yield* admin.request("device.pair.remove", { deviceId: older.deviceId })
          yield* Effect.forEach([older, newer], (agent) => agent.until("AwaitingApproval"))
        }).pipe(Effect.scoped)
      ),
    60_000
  )
})
