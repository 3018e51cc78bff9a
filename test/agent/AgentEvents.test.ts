import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as NextStep from "../../src/advice/NextStep.ts"
import * as Agent from "../../src/agent/Agent.ts"
import { AgentEvents } from "../../src/agent/AgentEvents.ts"
import { Supervisor } from "../../src/connection/Supervisor.ts"
import { fromReply } from "../../src/devgateway/Agent.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import { check } from "../../src/handshake/GatewayConfig.ts"
import { TlsUntrusted } from "../../src/link/TlsError.ts"
import { Transport } from "../../src/link/Transport.ts"
import { AgentEvent } from "../../src/protocol/AgentEvent.ts"
import { ScopeName } from "../../src/protocol/Connect.ts"
import { RunId, TaskId } from "../../src/tasks/Task.ts"
import type { JournalEntry } from "../../src/tasks/TaskJournal.ts"
import { TaskJournal } from "../../src/tasks/TaskJournal.ts"
import { TaskRunner } from "../../src/tasks/TaskRunner.ts"
import * as MemoryGateway from "../../src/testing/MemoryGateway.ts"
import * as MemoryAgent from "../support/MemoryAgent.ts"

/** Follows the events from now on; `next` waits for one by its name and forgets those before it. */
const watch = Effect.fnUntraced(function*(events: Stream.Stream<AgentEvent>) {
  const seen: Array<AgentEvent> = []
  const coming = yield* Queue.unbounded<AgentEvent>()
  const reading = yield* events.pipe(
    Stream.runForEach((event) =>
      Effect.sync(() => {
        seen.push(event)
        Queue.offerUnsafe(coming, event)
      })
    ),
    Effect.forkScoped
  )
  const next = (name: AgentEvent["event"]): Effect.Effect<AgentEvent> =>
    Effect.filterOrElse(Queue.take(coming), (event) => event.event === name, () => next(name))
  return { seen, next, ended: Fiber.join(reading) }
})

const journalWith = (left: ReadonlyArray<JournalEntry>) =>
  Layer.effect(
    TaskJournal,
    Effect.tap(TaskJournal, (journal) => Effect.orDie(Effect.forEach(left, journal.put)))
  ).pipe(Layer.provide(TaskJournal.layerMemory))

/** An agent on a gateway in memory, until the scope is closed. */
const agent = Effect.fnUntraced(function*(
  options: Parameters<typeof MemoryGateway.layer>[0] & {
    readonly agent?: Agent.Options
    /** Open tasks that an earlier process left. */
    readonly left?: ReadonlyArray<JournalEntry>
  } = {}
) {
  const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
  const context = yield* Layer.buildWithScope(
    Agent.layer(options.agent).pipe(
      Layer.provide(journalWith(options.left ?? [])),
      Layer.provideMerge(MemoryGateway.layer(options))
    ),
    scope
  )
  const gateway = Context.get(context, DevGateway)
  const { events } = Context.get(context, AgentEvents)
  return {
    gateway,
    events,
    watching: yield* watch(events),
    supervisor: Context.get(context, Supervisor),
    tasks: Context.get(context, TaskRunner),
    close: Scope.close(scope, Exit.void),
    approveFirst: gateway.awaitState(({ pending }) => pending.length > 0).pipe(
      Effect.flatMap(({ pending: [request] }) => gateway.approve(request?.requestId ?? ""))
    )
  }
})

const names = (events: ReadonlyArray<AgentEvent>) => events.map(({ event }) => event)
/** What a subscriber that comes now is told, up to an event. */
const told = (events: Stream.Stream<AgentEvent>, last: AgentEvent["event"]) =>
  Stream.runCollect(Stream.takeUntil(events, ({ event }) => event === last))
const encode = Schema.encodeEffect(Schema.fromJsonString(AgentEvent))
const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(AgentEvent), { onExcessProperty: "error" })

describe("AgentEvents", () => {
  it.effect("a late subscriber is told who, where, how the connection stands, and the open notice", () =>
    Effect.gen(function*() {
      const { approveFirst, events, gateway, watching } = yield* agent({ agent: { embedded: true } })
      const required = yield* watching.next("pairing.required")
      const late = yield* told(events, "pairing.required")
      assert.deepStrictEqual(names(late).filter((name) => name !== "connecting"), [
        "identity",
        "gateway",
        "pairing.required"
      ])
      assert.include(late[1], { url: "ws://127.0.0.1:18789", embedded: true })
      assert.deepStrictEqual(late.at(-1), required)

      yield* TestClock.adjust("31 seconds")
      const reminder = yield* watching.next("pairing.reminder")
      assert.deepStrictEqual((yield* told(events, "pairing.reminder")).at(-1), reminder)

      yield* approveFirst
      yield* TestClock.adjust("15 seconds")
      const connected = yield* watching.next("connected")
      yield* watching.next("pairing.resolved")
      const after = yield* told(events, "connected")
      assert.deepStrictEqual(names(after), ["identity", "gateway", "connected"])
      assert.deepStrictEqual(after.at(-1), connected)

      yield* gateway.dropAll(1012)
      const waiting = yield* watching.next("waiting")
      assert.deepStrictEqual((yield* told(events, "waiting")).at(-1), waiting)
    }))

  it.effect("G15: a suspended gateway is told as that, its tasks as kept; each is run once when it takes work again", () =>
    Effect.gen(function*() {
      const { events, gateway, tasks, watching } = yield* agent({ client: { token: MemoryAgent.operatorToken } })
      assert.notProperty(yield* watching.next("connected"), "suspension")
      yield* gateway.suspend("draining")
      assert.include(yield* watching.next("connected"), { suspension: "draining" })
      const { runId, taskId } = yield* tasks.delegate("one")
      assert.include(yield* watching.next("task.queued"), { taskId, reason: "Suspended" })
      assert.include((yield* told(events, "connected")).at(-1), { suspension: "draining" })
      yield* gateway.suspend("prepared")
      assert.include(yield* watching.next("connected"), { suspension: "prepared" })
      yield* gateway.dropAll(1012)
      yield* watching.next("waiting")
      yield* TestClock.adjust("5 seconds")
      assert.include(yield* watching.next("connected"), { suspension: "prepared" })
      yield* gateway.suspend("accepting")
      assert.notProperty(yield* watching.next("connected"), "suspension")
      yield* TestClock.adjust("5 seconds")
      assert.include(yield* watching.next("task.reply"), { taskId, text: "echo: one" })
      assert.deepStrictEqual([...(yield* gateway.stats).runs], [[runId, 1]])
    }))

  it.effect("a certificate that halts a first start and is waited for later says what follows, each time", () =>
    Effect.gen(function*() {
      const portal = new TlsUntrusted({
        reason: "HostMismatch",
        host: "portal.example:443",
        seenCertificate: "sha256:AA",
        seenKey: "sha256//BB",
        code: "HOSTNAME_MISMATCH",
        validFromMs: 0,
        validToMs: 0,
        names: ""
      })
      let behindPortal = true
      const transport = Layer.effect(
        Transport,
        Effect.map(
          Transport,
          ({ dial }) =>
            Transport.of({ dial: (target, handler) => behindPortal ? Effect.fail(portal) : dial(target, handler) })
        )
      )
      const host = MemoryGateway.layer({ client: { token: MemoryAgent.operatorToken } })
      const context = yield* Layer.build(
        Agent.layer().pipe(Layer.provideMerge(transport), Layer.provideMerge(host))
      )
      const watching = yield* watch(Context.get(context, AgentEvents).events)
      const halted = yield* watching.next("halted")
      assert.strictEqual(halted.event === "halted" ? halted.error.next : undefined, NextStep.stays)
      behindPortal = false
      yield* Context.get(context, Supervisor).checkNow
      yield* watching.next("connected")
      behindPortal = true
      yield* Context.get(context, DevGateway).dropAll(1012)
      yield* TestClock.adjust("1 second")
      yield* watching.next("waiting")
      const waiting = yield* watching.next("waiting")
      assert.strictEqual(waiting.event === "waiting" ? waiting.cause.next : undefined, NextStep.retriesSlowly)
    }))

  it.effect("another gateway is told before what happens on it, and alone to a late subscriber", () =>
    Effect.gen(function*() {
      const { events, supervisor, watching } = yield* agent({ client: { token: MemoryAgent.operatorToken } })
      yield* watching.next("connected")
      const settings = yield* Effect.fromResult(
        check({ url: "ws://127.0.0.1:19999", token: MemoryAgent.operatorToken })
      )
      yield* supervisor.reconfigure(settings)
      yield* watching.next("connected")
      const since = watching.seen.slice(watching.seen.findIndex(({ event }) => event === "connected") + 1)
      assert.deepStrictEqual(names(since), ["gateway", "connecting", "connected"])
      const gateways = [since[0], ...(yield* told(events, "connected")).filter(({ event }) => event === "gateway")]
      for (const event of gateways) assert.deepInclude(event, { url: "ws://127.0.0.1:19999" })
      assert.lengthOf(gateways, 2)
    }))

  for (const scopeUpgrades of [true, false]) {
    const way = scopeUpgrades ? "over the session" : "by a second attempt"
    it.effect(`B03 G06: more scopes, asked for ${way}: told beside the session, and a running task is not lost`, () =>
      Effect.gen(function*() {
        const answer = yield* Deferred.make<void>()
        const slow = fromReply(({ message }) => Effect.as(Deferred.await(answer), `done: ${message}`))
        const { approveFirst, gateway, supervisor, tasks, watching } = yield* agent({
          gateway: { scopeUpgrades, agent: slow }
        })
        yield* approveFirst
        yield* TestClock.adjust("15 seconds")
        yield* watching.next("connected")
        const { taskId } = yield* tasks.delegate("a long task")
        yield* watching.next("task.sent")

        const outcome = yield* Effect.forkChild(supervisor.upgradeScopes([ScopeName.make("operator.approvals")]))
        const required = yield* watching.next("pairing.required")
        assert.deepInclude(required, {
          reason: "scope-upgrade",
          connected: true,
          approvedScopes: ["operator.read", "operator.write"],
          requestedScopes: ["operator.read", "operator.write", "operator.approvals"]
        })
        yield* TestClock.adjust("40 seconds")
        yield* watching.next("pairing.reminder")
        yield* approveFirst
        yield* TestClock.adjust("15 seconds")
        assert.strictEqual((yield* Fiber.join(outcome))._tag, "Granted")
        const connected = yield* watching.next("connected")
        assert.deepInclude(connected, { scopes: ["operator.read", "operator.write", "operator.approvals"] })
        yield* watching.next("pairing.resolved")

        yield* Deferred.succeed(answer, undefined)
        yield* watching.next("task.reply")
        yield* TestClock.adjust("30 seconds")
        assert.deepInclude(yield* tasks.await(taskId), { _tag: "Completed", text: "done: a long task" })
        assert.deepStrictEqual([...(yield* gateway.stats).runs.values()], [1])
        const ends = names(watching.seen).filter((name) => name === "task.reply" || name === "task.failed")
        assert.deepStrictEqual(ends, ["task.reply"])
        assert.strictEqual(names(watching.seen).filter((name) => name === "connected").length, 2)
        assert.notInclude(names(watching.seen), "waiting")
      }))
  }

  it.effect("a late subscriber is told the open tasks, what each is and how far it got, and none that ended", () =>
    Effect.gen(function*() {
      const { approveFirst, events, tasks, watching } = yield* agent()
      yield* watching.next("pairing.required")
      yield* tasks.delegate("water the plants")
      assert.include(yield* watching.next("task.queued"), { reason: "AwaitingApproval", summary: "water the plants" })
      const late = yield* told(events, "task.queued")
      assert.deepStrictEqual(names(late).slice(-2), ["pairing.required", "task.queued"])
      assert.include(late.at(-1), { summary: "water the plants" })
      yield* approveFirst
      yield* TestClock.adjust("15 seconds")
      assert.include(yield* watching.next("task.sent"), { summary: "water the plants" })
      yield* watching.next("task.reply")
      assert.deepStrictEqual(names(yield* told(events, "connected")), ["identity", "gateway", "connected"])
    }))

  it.effect("a late subscriber is told how a task ended that an earlier process had accepted", () =>
    Effect.gen(function*() {
      const { events, tasks, watching } = yield* agent({
        client: { token: MemoryAgent.operatorToken },
        left: [{
          taskId: TaskId.make("0badcafe"),
          runId: RunId.make("4c0f5d3e-5f0b-4a0b-9b60-3f6f0d5a7a01"),
          gatewayScope: "ws://127.0.0.1:18789/",
          sessionKey: "agent:main:main",
          summary: "water the plants",
          position: 1,
          acceptedAtMs: 0
        }]
      })
      const reply = yield* watching.next("task.reply")
      assert.include(reply, { taskId: "0badcafe", text: "echo: water the plants" })
      const { taskId } = yield* tasks.delegate("a task of this process")
      yield* tasks.await(taskId)
      yield* watching.next("task.reply")
      const late = yield* told(events, "task.reply")
      assert.deepStrictEqual(late.at(-1), reply)
      assert.isFalse(late.some((event) => "taskId" in event && event.taskId === taskId))
      const again = yield* Effect.map(Stream.runHead(tasks.replies), Option.getOrThrow)
      assert.strictEqual<string>(again.taskId, "0badcafe")
    }))

  it.effect("a subscriber that does not read yet loses nothing, and each has everything in order", () =>
    Effect.gen(function*() {
      const { approveFirst, events, tasks, watching } = yield* agent()
      const subscribed = yield* Deferred.make<void>()
      const reads = yield* Deferred.make<void>()
      const slow: Array<AgentEvent> = []
      const texts = (found: ReadonlyArray<AgentEvent>) =>
        found.flatMap((event) => event.event === "task.reply" ? [event.text] : [])
      const slowly = yield* events.pipe(
        Stream.runForEachWhile((event) =>
          Effect.gen(function*() {
            slow.push(event)
            yield* Deferred.succeed(subscribed, undefined)
            yield* Deferred.await(reads)
            return texts(slow).length < 50
          })
        ),
        Effect.forkScoped
      )
      yield* Deferred.await(subscribed)
      for (let index = 0; index < 50; index++) yield* tasks.delegate(`task ${index}`)
      yield* approveFirst
      yield* TestClock.adjust("15 seconds")
      const expected = Array.from({ length: 50 }, (_, index) => `echo: task ${index}`)
      for (const text of expected) assert.include(yield* watching.next("task.reply"), { text })
      assert.lengthOf(slow, 1)
      yield* Deferred.succeed(reads, undefined)
      yield* Fiber.join(slowly)
      assert.deepStrictEqual(texts(slow), expected)
      assert.deepStrictEqual(names(slow), names(watching.seen.slice(0, slow.length)))
    }))

  it.effect("the stream ends with its scope", () =>
    Effect.gen(function*() {
      const { close, events, gateway, watching } = yield* agent()
      yield* watching.next("pairing.required")
      yield* close
      yield* watching.ended
      assert.notInclude(names(watching.seen), "stopped")
      yield* gateway.awaitState(({ stats }) => stats.openPeers === 0)
      assert.isAtMost((yield* Stream.runCollect(events)).length, 4)
    }))

  it.effect("every event of a whole life encodes, decodes to itself, and holds no secret", () =>
    Effect.gen(function*() {
      const { approveFirst, close, gateway, supervisor, tasks, watching } = yield* agent()
      yield* watching.next("pairing.required")
      yield* TestClock.adjust("31 seconds")
      yield* watching.next("pairing.reminder")
      yield* tasks.delegate("hello")
      yield* approveFirst
      yield* TestClock.adjust("15 seconds")
      yield* watching.next("task.reply")
      yield* gateway.stop
      yield* watching.next("waiting")
      yield* gateway.start
      yield* TestClock.adjust("5 seconds")
      yield* watching.next("connected")
      yield* supervisor.pause
      yield* watching.next("paused")
      yield* supervisor.resume
      yield* TestClock.adjust("5 seconds")
      yield* watching.next("connected")
      yield* close
      yield* watching.ended
      assert.includeMembers([...new Set(names(watching.seen))], [
        "identity",
        "gateway",
        "connecting",
        "pairing.required",
        "pairing.reminder",
        "pairing.resolved",
        "connected",
        "task.queued",
        "task.sent",
        "task.reply",
        "waiting",
        "paused"
      ])
      for (const event of watching.seen) {
        const text = yield* encode(event)
        assert.deepStrictEqual(yield* decode(text), event)
        assert.notInclude(text, Redacted.value(MemoryGateway.sharedToken))
      }
    }))

  it.effect("a refusal for good is one halted event that says whose side it is", () =>
    Effect.gen(function*() {
      const { events, watching } = yield* agent({ client: { token: Redacted.make("wrong-token") } })
      const halted = yield* watching.next("halted")
      assert.isTrue(halted.event === "halted" && halted.error.error === "AuthRejected")
      assert.isTrue(halted.event === "halted" && halted.error.owner !== undefined)
      assert.notInclude(yield* encode(halted), "wrong-token")
      assert.deepStrictEqual((yield* told(events, "halted")).at(-1), halted)
    }))

  it.effect("what a tool tells is gathered ten times a second, and its last word is told", () =>
    Effect.gen(function*() {
      const data = (phase: string, step: number) => ({ phase, toolCallId: "c", name: "exec", partialResult: `${step}` })
      const steps = [data("start", 0), ...Array.from({ length: 198 }, (_, step) => data("update", step))]
      const working = Stream.mapEffect(
        Stream.fromIterable([...steps, { ...data("result", 0), result: "done" }]),
        (told) => Effect.as(Effect.sleep("10 millis"), { _tag: "Event" as const, stream: "tool", data: told })
      )
      const said = Effect.as(Effect.sleep("300 millis"), { _tag: "Text" as const, delta: "done" })
      const { tasks, watching } = yield* agent({
        client: { token: MemoryAgent.operatorToken },
        gateway: { agent: () => Stream.concat(working, Stream.fromEffect(said)) }
      })
      yield* watching.next("connected")
      yield* tasks.delegate("work")
      for (let turn = 0; turn < 300; turn++) yield* TestClock.adjust("10 millis")
      yield* watching.next("task.reply")
      const told = watching.seen.flatMap((event) => event.event === "task.tool" ? [event] : [])
      assert.isAtLeast(told.length, 10)
      assert.isAtMost(told.length, 25)
      assert.deepInclude(told.at(-1), { phase: "result", detail: "done" })
    }))

  it.effect("what a run writes is told while it writes, at most ten times a second, and at once to one who comes late", () =>
    Effect.gen(function*() {
      const pieces = Array.from({ length: 50 }, (_, index) => `${index} `)
      const writing = Stream.mapEffect(
        Stream.fromIterable(pieces),
        (delta) => Effect.as(Effect.sleep("40 millis"), { _tag: "Text" as const, delta })
      )
      const { events, tasks, watching } = yield* agent({
        client: { token: MemoryAgent.operatorToken },
        gateway: { agent: () => writing }
      })
      yield* watching.next("connected")
      yield* tasks.delegate("write")
      yield* watching.next("task.sent")
      yield* TestClock.adjust("1 second")
      const late = yield* watch(events)
      yield* TestClock.adjust("1 millis")
      const texts = (seen: ReadonlyArray<AgentEvent>) =>
        seen.flatMap((event) => event.event === "task.text" ? [event] : [])
      const read = (seen: ReadonlyArray<AgentEvent>) =>
        texts(seen).reduce((text, event) => text.slice(0, event.from) + event.text, "")
      assert.isAbove(read(watching.seen).length, 10)
      assert.strictEqual(read(late.seen), read(watching.seen))
      assert.lengthOf(texts(late.seen), 1)
      yield* TestClock.adjust("3 seconds")
      yield* watching.next("task.reply")
      assert.isAtMost(texts(watching.seen).length, 21)
      assert.isAbove(texts(watching.seen).length, 5)
      assert.isTrue(pieces.join("").startsWith(read(watching.seen)))
      assert.isEmpty(texts(watching.seen.slice(watching.seen.findIndex(({ event }) => event === "task.reply"))))
    }))
})
