import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Agent from "../../src/agent/Agent.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import { DialogServer } from "../../src/dialog/DialogServer.ts"
import * as PageBroadcast from "../../src/dialog/PageBroadcast.ts"
import { type AgentEvent, isoTime } from "../../src/protocol/AgentEvent.ts"
import * as MemoryGateway from "../../src/testing/MemoryGateway.ts"
import { approval, awaiting } from "../pairing/Statuses.ts"
import {
  ask,
  at,
  decodeRecord,
  nextEvent,
  open,
  type Opened,
  raw,
  serve,
  type Served,
  site
} from "./DialogServerClient.ts"

const queued = (taskId: string): AgentEvent => ({ at, event: "task.queued", taskId, reason: "Busy", summary: "s" })
const phase = (taskId: string, phase: string): AgentEvent => ({ at, event: "task.phase", taskId, phase })
const reply = (taskId: string, text: string): AgentEvent => ({ at, event: "task.reply", taskId, runId: "r", text })

/** The next messages, decoded. */
const some = (opened: Opened, count: number) =>
  Effect.map(
    Effect.forEach(Array.from({ length: count }), () => opened.next),
    (messages) => messages.map(({ data, event, id }) => ({ event, id, data: decodeRecord(data) }))
  )
const settled = (served: Served) => ask(served, "/nothing")

describe("the streams of the dialog server", () => {
  it.live("a page first gets what holds, then every event, in order and numbered, and two pages get the same", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      served.publish({ at, event: "gateway", url: "ws://127.0.0.1:1", embedded: true })
      served.publish({ at, event: "connecting", attempt: 1 })
      served.publish({ at, event: "connecting", attempt: 2 })
      served.publish(queued("a"))
      served.publish(phase("a", "one"))
      served.publish(phase("a", "two"))
      yield* settled(served)
      const first = yield* open(served, "/events")
      assert.strictEqual(first.status, 200)
      assert.strictEqual(first.headers["content-type"], "text/event-stream")
      const told = yield* some(first, 5)
      assert.deepStrictEqual(told.map(({ event, id }) => [event, id]), [
        ["agent", "1"],
        ["agent", "3"],
        ["agent", "4"],
        ["agent", "6"],
        ["check", undefined]
      ])
      assert.deepStrictEqual(told.map(({ data }) => data["attempt"] ?? data["phase"]), [
        undefined,
        2,
        undefined,
        "two",
        undefined
      ])
      const second = yield* open(served, "/events")
      assert.deepStrictEqual(yield* some(second, 5), told)

      served.publish(reply("a", "line one\nline two"))
      served.publish({ at, event: "paused" })
      const live = yield* some(first, 2)
      assert.deepStrictEqual(live.map(({ data, id }) => [id, data["event"], data["text"]]), [
        ["7", "task.reply", "line one\nline two"],
        ["8", "paused", undefined]
      ])
      assert.deepStrictEqual(yield* some(second, 2), live)

      // A page that comes again gets what holds, with the end of the task and without its phase.
      const again = yield* open(served, "/events")
      const replayed = yield* some(again, 5)
      assert.deepStrictEqual(replayed.map(({ data }) => data["event"]), [
        "gateway",
        "paused",
        "task.queued",
        "task.reply",
        undefined
      ])
    }))

  it.live("a page that comes late gets every open task and the last twenty that ended", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      served.publish(queued("open"))
      for (let index = 0; index < 30; index++) {
        served.publish(queued(`t${index}`))
        served.publish(phase(`t${index}`, "at work"))
        served.publish(reply(`t${index}`, "done"))
      }
      yield* settled(served)
      const late = yield* open(served, "/events")
      const told = yield* some(late, 42)
      assert.deepStrictEqual(
        told.flatMap(({ data }) => data["event"] === "task.reply" ? [data["taskId"]] : []),
        Array.from({ length: 20 }, (_, index) => `t${index + 10}`)
      )
      assert.strictEqual(told[0]?.data["taskId"], "open")
      assert.strictEqual(told.at(-1)?.event, "check")
      assert.notInclude(told.map(({ data }) => data["event"]), "task.phase")
    }))

  it.live("the page gets when the gateway is asked again, and that it is being asked", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const page = yield* open(served, "/events")
      const check = Effect.map(page.next, ({ data, event }) => [event, decodeRecord(data)])
      assert.deepStrictEqual(yield* check, ["check", { checking: false, nextCheckAt: null }])
      const status = awaiting(approval())
      yield* served.setStatus(status)
      assert.deepStrictEqual(yield* check, ["check", { checking: false, nextCheckAt: isoTime(status.nextCheckAtMs) }])
      yield* served.setStatus({ ...status, checking: true })
      assert.deepStrictEqual(yield* check, ["check", { checking: true, nextCheckAt: isoTime(status.nextCheckAtMs) }])
      yield* served.setStatus({ ...status, checking: true, approval: { ...status.approval, replaced: 7 } })
      yield* served.setStatus({ _tag: "Paused" })
      assert.deepStrictEqual(yield* check, ["check", { checking: false, nextCheckAt: null }])
    }))

  it.effect("a comment every 15 seconds keeps both streams open", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const page = yield* open(served, "/events")
      const attend = yield* open(served, "/attend")
      yield* page.next
      assert.strictEqual(yield* attend.comment, "alive", "at once, so that the page knows that it is attended")
      for (let index = 0; index < 3; index++) {
        yield* TestClock.adjust("15 seconds")
        assert.strictEqual(yield* page.comment, "alive")
        assert.strictEqual(yield* attend.comment, "alive")
      }
      yield* served.stop
      assert.deepStrictEqual([yield* page.ended, yield* attend.ended], ["complete", "complete"])
    }))

  it.live("each open page counts as somebody who looks, for as long as it is open", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const watching = yield* open(served, "/events")
      yield* watching.next
      const one = yield* open(served, "/attend")
      const two = yield* open(served, "/attend")
      yield* served.attended(2)
      yield* one.leave
      yield* served.attended(1)
      yield* two.leave
      yield* served.attended(0)
    }))

  it.live("a page that does not read is cut off, others lose nothing, and it gets what holds when it comes back", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const slow = yield* open(served, "/events")
      const quick = yield* open(served, "/events")
      yield* slow.next
      yield* slow.pause
      yield* quick.next
      const text = "x".repeat(64 * 1024)
      const count = 400
      for (let index = 0; index < count; index++) {
        served.publish(reply(`t${index}`, text))
        assert.strictEqual((yield* nextEvent(quick, "task.reply"))["taskId"], `t${index}`)
      }
      yield* slow.resume
      assert.strictEqual(yield* slow.ended, "cut off")
      // Its queue, one batch on its way, and what the two ends of the socket hold.
      assert.isBelow(slow.received(), 12 * 1024 * 1024)
      assert.isAbove(quick.received(), 25 * 1024 * 1024)
      const back = yield* open(served, "/events")
      assert.lengthOf(yield* some(back, 21), 21)
    }))

  it.effect("what a page leaves unread is bounded by number and by size, and one long text cuts nobody off", () =>
    Effect.gen(function*() {
      const cuts: Array<string> = []
      const pages = PageBroadcast.make(() => ["first"])
      const page = (name: string) =>
        Effect.forkScoped(
          Stream.runForEach(pages.subscribe(() => void cuts.push(name)), () => Effect.never),
          { startImmediately: true }
        )
      yield* page("by number")
      yield* Effect.yieldNow
      for (let index = 0; index < PageBroadcast.limits.texts; index++) pages.publish("x")
      assert.deepStrictEqual(cuts, [])
      pages.publish("x")
      pages.publish("x")
      assert.deepStrictEqual(cuts, ["by number"])
      yield* page("by size")
      yield* Effect.yieldNow
      pages.publish("x".repeat(5 * PageBroadcast.limits.characters))
      assert.lengthOf(cuts, 1)
      pages.publish("x")
      assert.deepStrictEqual(cuts, ["by number", "by size"])
      const gone = yield* page("gone")
      yield* Effect.yieldNow
      yield* Fiber.interrupt(gone)
      for (let index = 0; index <= PageBroadcast.limits.texts; index++) pages.publish("x")
      assert.lengthOf(cuts, 2, "nothing waits for a page that left")
    }))

  it.effect("what holds is sent in full however long it is, and what comes meanwhile cuts nobody off", () =>
    Effect.gen(function*() {
      let cut = false
      const told = "x".repeat(2 * PageBroadcast.limits.characters)
      const pages = PageBroadcast.make(() => [told, told])
      const reading = yield* Effect.forkScoped(
        Stream.runCollect(Stream.take(pages.subscribe(() => void (cut = true)), 4)),
        { startImmediately: true }
      )
      pages.publish("one")
      pages.publish("two")
      assert.deepStrictEqual((yield* Fiber.join(reading)).slice(2), ["one", "two"])
      assert.isFalse(cut)
    }))

  it.effect("a page that keeps up is never cut off, however much is sent", () =>
    Effect.gen(function*() {
      const pages = PageBroadcast.make(() => [])
      const arrived = yield* Queue.unbounded<string>()
      let cut = false
      yield* Effect.forkScoped(
        Stream.runForEach(pages.subscribe(() => void (cut = true)), (text) => Queue.offer(arrived, text)),
        { startImmediately: true }
      )
      const text = "x".repeat(PageBroadcast.limits.characters / 16)
      for (let index = 0; index < 2 * PageBroadcast.limits.texts; index++) {
        pages.publish(text)
        yield* Queue.take(arrived)
      }
      assert.isFalse(cut)
    }))

  it.live("a client that sends its request too slowly is cut off, in the head or in the body", () =>
    Effect.gen(function*() {
      const { port, token } = yield* serve({ requestTimeout: "200 millis" })
      const head = yield* raw(port, `GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX-Slow: `)
      const body = yield* raw(
        port,
        `POST /tasks HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${token}\r\n`
          + "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
      )
      assert.match(yield* head.closed, /^HTTP\/1\.1 408 /)
      assert.match(yield* body.closed, /^(HTTP\/1\.1 408 |$)/)
      assert.strictEqual((yield* ask({ port, token }, "/check-now", { method: "POST" })).status, 204)
    }))

  it.live("a head that is too long is refused", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const long = yield* raw(
        served.port,
        `GET / HTTP/1.1\r\nHost: 127.0.0.1:${served.port}\r\nX: ${"x".repeat(20_000)}`
      )
      assert.match(yield* long.closed, /^HTTP\/1\.1 431 /)
    }))

  it.live("connections with the token have places of their own, and the oldest of its kind gives its place to a new one", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const oldest = yield* open(served, "/attend")
      const others = yield* Effect.forEach(Array.from({ length: 47 }), () => open(served, "/attend"))
      yield* served.attended(48)
      const silent = yield* raw(served.port, "")
      for (let index = 0; index < 15; index++) yield* raw(served.port, "")
      assert.strictEqual((yield* ask(served, "/", { token: false })).status, 200)
      assert.strictEqual(yield* silent.closed, "")
      const newest = yield* open(served, "/attend")
      assert.strictEqual(yield* newest.comment, "alive")
      assert.strictEqual(yield* oldest.ended, "cut off")
      yield* served.attended(48)
      yield* Effect.forEach([newest, ...others], ({ leave }) => leave)
      yield* served.attended(0)
    }))

  const manyRequests = (served: Served, path: string, count: number) =>
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${served.port}\r\nAuthorization: Bearer ${served.token}\r\n\r\n`.repeat(
      count
    )

  it.live("a client that asks for more and more and reads nothing is cut off", () =>
    Effect.gen(function*() {
      const served = yield* serve({ drainTimeout: "300 millis" })
      for (const path of ["/", "/page.js", "/nothing"]) {
        const stuck = yield* raw(served.port, manyRequests(served, path, 100_000), false)
        assert.strictEqual(yield* stuck.closed, "", path)
      }
    }))

  it.live("a page is served however many clients read nothing, with the token or without", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const others = { ...served, token: "none" }
      for (let index = 0; index < 70; index++) {
        yield* raw(served.port, manyRequests(others, "/page.js", 1000), false)
        yield* raw(served.port, manyRequests(served, "/events", 3), false)
      }
      for (const path of ["/", "/page.js"]) {
        assert.strictEqual((yield* ask(served, path, { token: false })).status, 200)
      }
      const page = yield* open(served, "/events")
      assert.strictEqual((yield* page.next).event, "check")
      assert.strictEqual((yield* ask(served, "/check-now", { method: "POST" })).status, 204)
    }))

  it.live("no other protocol is offered on a connection: a request for one is answered like any other, and its limits hold", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      for (const upgrade of ["websocket", "h2c"]) {
        const { headers, status } = yield* ask(served, "/", { headers: { connection: "Upgrade", upgrade } })
        assert.deepStrictEqual([status, headers["keep-alive"]], [200, "timeout=5"], upgrade)
      }
    }))

  it.live("it stops within 300 ms whatever is open, and leaves no fiber, socket or timer", () =>
    Effect.gen(function*() {
      let fibers = 0
      const resources = () => process.getActiveResourcesInfo().filter((name) => name.startsWith("TCPSERVER"))
      const before = resources()
      const counted = { recordFiberStart: () => void fibers++, recordFiberEnd: () => void fibers-- }
      const served = yield* Effect.provideService(serve(), Metric.FiberRuntimeMetrics, counted)
      const page = yield* open(served, "/events")
      const attend = yield* open(served, "/attend")
      const stuck = yield* open(served, "/events")
      yield* stuck.next
      yield* stuck.pause
      for (let index = 0; index < 14; index++) served.publish(reply(`t${index}`, "x".repeat(512 * 1024)))
      yield* nextEvent(page, "task.reply")
      const half = yield* raw(served.port, "POST /tasks HTTP/1.1\r\nHost: ")
      const idle = yield* raw(served.port, `GET / HTTP/1.1\r\nHost: 127.0.0.1:${served.port}\r\n\r\n`)
      const silent = yield* raw(served.port, "")
      yield* served.attended(1)
      const startedAtMs = performance.now()
      yield* served.stop
      const elapsedMs = performance.now() - startedAtMs
      assert.isBelow(elapsedMs, 300)
      assert.deepStrictEqual([yield* attend.ended, fibers], ["complete", 0])
      yield* Effect.forEach([half.closed, idle.closed, silent.closed], (closed) => closed)
      yield* stuck.resume
      assert.strictEqual(yield* stuck.ended, "cut off")
      assert.deepStrictEqual(resources(), before)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(ask(served, "/"))), "the port is free again")
      yield* served.attended(0)
    }))

  it.live("a whole pairing is followed and a task delegated over the page's own interface", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(
        DialogServer.layer({ site: yield* site }).pipe(
          Layer.provideMerge(Agent.layer()),
          Layer.provideMerge(MemoryGateway.layer()),
          Layer.provide(Layer.mergeAll(NodeServices.layer, SecureRandom.layerWebCrypto)),
          Layer.provide(Logger.layer([]))
        )
      )
      const gateway = Context.get(context, DevGateway)
      const url = new URL(Redacted.value(Context.get(context, DialogServer).url))
      const served = { port: Number(url.port), token: url.hash.slice("#token=".length) }
      const page = yield* open(served, "/events")
      yield* open(served, "/attend")
      const required = yield* nextEvent(page, "pairing.required")
      const early = yield* ask(served, "/tasks", { method: "POST", body: '{"summary":"water the plants"}' })
      assert.strictEqual(early.status, 202)
      assert.include(yield* nextEvent(page, "task.queued"), {
        taskId: decodeRecord(early.body)["taskId"],
        reason: "AwaitingApproval",
        summary: "water the plants"
      })
      yield* gateway.approve(String(required["requestId"]))
      assert.strictEqual((yield* ask(served, "/check-now", { method: "POST" })).status, 204)
      // The two come from different sources, and either may come first.
      const wanted = new Set<unknown>(["pairing.resolved", "task.reply"])
      while (wanted.size > 0) {
        const [message] = yield* some(page, 1)
        if (message?.data["event"] === "task.reply") assert.include(message.data, { text: "echo: water the plants" })
        wanted.delete(message?.data["event"])
      }
      const gone = yield* ask(served, `/tasks/${decodeRecord(early.body)["taskId"]}`, { method: "DELETE" })
      assert.strictEqual(gone.status, 404)
    }))
})
