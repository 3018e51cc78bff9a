import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import type { Session } from "../../src/connection/Session.ts"
import * as Sessions from "../../src/connection/Session.ts"
import { LinkError } from "../../src/link/LinkError.ts"
import * as Frame from "../../src/protocol/Frame.ts"
import * as Census from "../support/Census.ts"
import * as LogLines from "../support/LogLines.ts"

interface Wire {
  /** `pause` and `resume`, in order. */
  readonly reading: Array<"pause" | "resume">
  readonly sent: Array<{ readonly id: string; readonly method: string; readonly params: unknown }>
  readonly closed: Array<readonly [number, string]>
  /** What the link says to a send. */
  takes: boolean
  onSend: () => void
  readonly deliver: (text: string) => void
  readonly close: (closeCode: number, closeReason?: string) => void
}

const facts: Sessions.SessionFacts = {
  protocol: 4,
  serverVersion: "2026.9.6",
  scopes: ["operator.read"],
  missingScopes: [],
  deviceTokenIssued: true,
  connectedAtMs: 0,
  clockDeltaMs: 0,
  handshakeMs: 1
}

const opened = Effect.fnUntraced(function*(options: {
  readonly tickIntervalMs?: number
  readonly handshakeTakes?: Duration.Input
  readonly maxPayload?: number
  /** What the gateway says that it granted; nothing on early releases. */
  readonly scopes?: ReadonlyArray<string>
} = {}) {
  const prepared = yield* Sessions.prepare
  const wire: Wire = {
    reading: [],
    sent: [],
    closed: [],
    takes: true,
    onSend: () => {},
    deliver: prepared.handler.onText,
    close: (closeCode, closeReason = "") =>
      prepared.handler.onClose(new LinkError({ reason: "Closed", phase: "session", closeCode, closeReason }))
  }
  const link = {
    sendUnsafe: (text: string) => {
      if (!wire.takes) return false
      wire.sent.push(JSON.parse(text))
      wire.onSend()
      return true
    },
    closeUnsafe: (code: number, reason: string) => void wire.closed.push([code, reason]),
    pause: () => void wire.reading.push("pause"),
    resume: () => void wire.reading.push("resume")
  }
  yield* TestClock.adjust(options.handshakeTakes ?? 0)
  const session = yield* prepared.open(
    {
      link,
      hello: {
        type: "hello-ok",
        protocol: 4,
        ...(options.scopes === undefined ? {} : { auth: { scopes: options.scopes } }),
        policy: {
          ...(options.tickIntervalMs === undefined ? {} : { tickIntervalMs: options.tickIntervalMs }),
          ...(options.maxPayload === undefined ? {} : { maxPayload: options.maxPayload })
        }
      }
    },
    { ...facts, scopes: options.scopes ?? facts.scopes },
    { requestTimeout: Duration.seconds(30) }
  )
  return { session, wire }
})

/** A request under way: its frame has been handed to the link. */
const asked = (session: Session, method: string, timeout?: Duration.Duration) =>
  Effect.forkScoped(session.request(method, { a: 1 }, timeout === undefined ? {} : { timeout }), {
    startImmediately: true
  })

const failure = <A, E>(fiber: Fiber.Fiber<A, E>) => Effect.flip(Fiber.join(fiber))
const tick = (seq?: number) => Frame.encodeEvent("tick", { ts: 1 }, seq)

describe("Session", () => {
  it.effect("an answer reaches the request with its id, in whatever order answers come", () =>
    Effect.gen(function*() {
      const { session, wire } = yield* opened()
      const [first, second] = [yield* asked(session, "a"), yield* asked(session, "b")]
      assert.deepStrictEqual(wire.sent.map(({ method }) => method), ["a", "b"])
      assert.deepStrictEqual(wire.sent[0]?.params, { a: 1 })
      wire.deliver(Frame.encodeResponse(wire.sent[1]?.id ?? "", "two"))
      wire.deliver(Frame.encodeResponse(wire.sent[0]?.id ?? "", "one"))
      assert.deepStrictEqual([yield* Fiber.join(first), yield* Fiber.join(second)], ["one", "two"])
      assert.strictEqual(session.counts().pending, 0)
    }))

  it.live("an answer that arrived while the process was busy counts, although its deadline is over", () =>
    Effect.gen(function*() {
      const prepared = yield* Sessions.prepare
      const link = { sendUnsafe: () => true, closeUnsafe: () => {}, pause: () => {}, resume: () => {} }
      const hello = { type: "hello-ok" as const, protocol: 4 }
      const session = yield* prepared.open({ link, hello }, facts, { requestTimeout: Duration.millis(20) })
      const request = yield* asked(session, "a")
      const clock = yield* Clock.Clock
      // The event loop serves its timers before its sockets, as it does this answer.
      yield* Effect.sync(() => {
        setImmediate(() => prepared.handler.onText(Frame.encodeResponse("1", "in time")))
        const until = clock.currentTimeMillisUnsafe() + 60
        while (clock.currentTimeMillisUnsafe() < until);
      })
      assert.strictEqual(yield* Fiber.join(request), "in time")
    }))

  it.effect("an answer that comes while the frame is still being sent counts", () =>
    Effect.gen(function*() {
      const { session, wire } = yield* opened()
      wire.onSend = () => wire.deliver(Frame.encodeResponse(wire.sent.at(-1)?.id ?? "", "at once"))
      assert.strictEqual(yield* session.request("a", {}), "at once")
      assert.strictEqual(session.counts().pending, 0)
    }))

  it.effect("F42: on a close with 1012 all three pending requests fail at once, with code and reason", () =>
    Effect.gen(function*() {
      const { session, wire } = yield* opened()
      const fibers = [yield* asked(session, "a"), yield* asked(session, "b"), yield* asked(session, "c")]
      assert.strictEqual(session.counts().pending, 3)
      wire.close(1012, "service restart")
      assert.strictEqual(session.counts().pending, 0)
      for (const fiber of fibers) {
        const error = yield* failure(fiber)
        assert.isTrue(error._tag === "LinkError" && error.closeCode === 1012 && error.closeReason === "service restart")
      }
      const late = yield* Effect.flip(session.request("d", {}))
      assert.isTrue(late._tag === "LinkError" && late.closeCode === 1012)
      assert.strictEqual((yield* session.ended).closeCode, 1012)
      assert.strictEqual(wire.sent.length, 3)
    }))

  it.effect("the first end of a link is the one that counts", () =>
    Effect.gen(function*() {
      const { session, wire } = yield* opened()
      wire.close(1012, "first")
      wire.close(1006, "second")
      assert.strictEqual((yield* session.ended).closeReason, "first")
    }))

  it.effect("F42: closing the session's own scope fails what is pending as Ended", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { session } = yield* Scope.provide(opened(), scope)
      const fiber = yield* asked(session, "a")
      yield* Scope.close(scope, Exit.void)
      const error = yield* failure(fiber)
      assert.isTrue(error._tag === "LinkError" && error.reason === "Ended")
    }))

  describe("F49: a registration ends with its request", () => {
    it.effect("F49: an interrupted request leaves no registration, and its late answer is noise", () =>
      Effect.gen(function*() {
        const { session, wire } = yield* opened()
        const fiber = yield* asked(session, "a")
        assert.strictEqual(session.counts().pending, 1)
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(session.counts().pending, 0)
        wire.deliver(Frame.encodeResponse(wire.sent[0]?.id ?? "", "late"))
        assert.strictEqual(session.counts().noise, 1)
      }))

    it.effect("F49: a send that the link does not take fails and leaves none", () =>
      Effect.gen(function*() {
        const { session, wire } = yield* opened()
        wire.takes = false
        const error = yield* Effect.flip(session.request("a", {}))
        assert.strictEqual(error._tag, "LinkError")
        assert.strictEqual(session.counts().pending, 0)
      }))

    it.effect("F49: parameters that are no JSON leave none", () =>
      Effect.gen(function*() {
        const { session, wire } = yield* opened()
        const exit = yield* Effect.exit(session.request("a", { count: 1n }))
        assert.isTrue(Exit.hasDies(exit))
        assert.strictEqual(session.counts().pending, 0)
        assert.deepStrictEqual(wire.sent, [])
      }))

    it.effect("F49: a request that timed out leaves none", () =>
      Effect.gen(function*() {
        const { session } = yield* opened()
        const fiber = yield* asked(session, "slow", Duration.seconds(5))
        yield* TestClock.adjust("5 seconds")
        const error = yield* failure(fiber)
        assert.isTrue(error._tag === "RequestTimeout" && error.timeoutMs === 5_000 && error.method === "slow")
        assert.strictEqual(session.counts().pending, 0)
      }))
  })

  describe("deadlines", () => {
    it.effect("each of many requests expires at its own time, whatever the order they were sent in", () =>
      Effect.gen(function*() {
        const { session } = yield* opened()
        const seconds = [7, 3, 30, 1, 3, 12, 2, 29]
        const fibers = yield* Effect.forEach(seconds, (each) => asked(session, `m${each}`, Duration.seconds(each)))
        for (let now = 1; now <= 30; now++) {
          yield* TestClock.adjust("999 millis")
          assert.strictEqual(session.counts().pending, seconds.filter((each) => each >= now).length)
          yield* TestClock.adjust("1 millis")
          assert.strictEqual(session.counts().pending, seconds.filter((each) => each > now).length)
        }
        for (const fiber of fibers) assert.strictEqual((yield* failure(fiber))._tag, "RequestTimeout")
      }))

    it.effect("a request without a timeout of its own gets the session's, and an endless one never expires", () =>
      Effect.gen(function*() {
        const { session } = yield* opened()
        const [usual, endless] = [yield* asked(session, "a"), yield* asked(session, "b", Duration.infinity)]
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual((yield* failure(usual))._tag, "RequestTimeout")
        yield* TestClock.adjust("30 days")
        assert.isUndefined(endless.pollUnsafe())
      }))

    it.effect("one fiber and one timer serve them all, and an answered request arms none", () =>
      Census.taken((census) =>
        Effect.gen(function*() {
          const { session, wire } = yield* opened()
          yield* asked(session, "first")
          yield* TestClock.adjust(0)
          assert.strictEqual(census.sleeps(), 1)
          const [begun, fibers] = [census.sleepsBegun(), census.fibers()]
          wire.onSend = () => wire.deliver(Frame.encodeResponse(wire.sent.at(-1)?.id ?? "", null))
          for (let count = 0; count < 100; count++) yield* session.request("fast", {})
          yield* TestClock.adjust("1 second")
          assert.deepStrictEqual([census.sleepsBegun(), census.fibers()], [begun, fibers])
          wire.onSend = () => {}
          const sooner = yield* asked(session, "sooner", Duration.seconds(2))
          yield* TestClock.adjust("2 seconds")
          assert.strictEqual((yield* failure(sooner))._tag, "RequestTimeout")
          assert.isAtMost(census.sleepsBegun() - begun, 2)
        })
      ))

    it.effect("what a caller does on its timeout may send again at once", () =>
      Effect.gen(function*() {
        const { session, wire } = yield* opened()
        const fiber = yield* Effect.forkScoped(
          Effect.retry(session.request("again", {}, { timeout: Duration.seconds(1) }), { times: 2 }),
          { startImmediately: true }
        )
        yield* asked(session, "long", Duration.seconds(20))
        yield* TestClock.adjust("3 seconds")
        assert.strictEqual((yield* failure(fiber))._tag, "RequestTimeout")
        assert.strictEqual(wire.sent.filter(({ method }) => method === "again").length, 3)
        assert.strictEqual(session.counts().pending, 1)
      }))
  })

  describe("tick watchdog", () => {
    it.effect("G20: silence of two tick intervals ends the session as Silent and closes with 4000", () =>
      Effect.gen(function*() {
        const { session, wire } = yield* opened({ tickIntervalMs: 30_000 })
        const fiber = yield* asked(session, "a", Duration.minutes(10))
        yield* TestClock.adjust("30 seconds")
        wire.deliver(tick())
        yield* TestClock.adjust("59999 millis")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        const error = yield* failure(fiber)
        assert.isTrue(error._tag === "LinkError" && error.reason === "Silent" && error.closeCode === 4000)
        assert.deepStrictEqual(wire.closed, [[4000, "tick timeout"]])
        assert.strictEqual((yield* session.ended).reason, "Silent")
      }))

    it.effect("any frame counts as a sign of life, noise too", () =>
      Effect.gen(function*() {
        const { session, wire } = yield* opened({ tickIntervalMs: 1_000 })
        for (const text of [tick(1), "noise", "", Frame.encodeResponse("9", null), tick(2)]) {
          yield* TestClock.adjust("1900 millis")
          wire.deliver(text)
        }
        assert.deepStrictEqual(wire.closed, [])
        assert.strictEqual(session.counts().noise, 3)
      }))

    it.effect("a slow handshake is no silence", () =>
      Effect.gen(function*() {
        const { wire } = yield* opened({ tickIntervalMs: 1_000, handshakeTakes: "14 seconds" })
        yield* TestClock.adjust("1999 millis")
        assert.deepStrictEqual(wire.closed, [])
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(wire.closed.length, 1)
      }))

    it.effect("a gateway that names no interval is not watched", () =>
      Census.taken((census) =>
        Effect.gen(function*() {
          const { wire } = yield* opened()
          yield* TestClock.adjust("1 day")
          assert.deepStrictEqual(wire.closed, [])
          assert.strictEqual(census.sleeps(), 0)
        })
      ))
  })

  describe("what is not sent", () => {
    const size = 524_288
    /** As many bytes as the request's frame may have, in characters of three bytes and a rest of one. */
    const filling = (bytes: number) => {
      const room = bytes - Frame.encodeRequest("1", "chat.send", { message: "" }).length
      return { message: "€".repeat(Math.floor(room / 3)) + "x".repeat(room % 3) }
    }

    it.effect("a frame of exactly the gateway's limit goes out; one byte more does not, and leaves no registration", () =>
      Effect.gen(function*() {
        const { session, wire } = yield* opened({ maxPayload: size })
        yield* Effect.forkScoped(session.request("chat.send", filling(size)), { startImmediately: true })
        assert.strictEqual(wire.sent.length, 1)
        const refused = yield* Effect.flip(session.request("chat.send", filling(size + 1)))
        assert.deepInclude(refused, {
          _tag: "FrameTooLarge",
          method: "chat.send",
          bytes: size + 1,
          limitBytes: size
        })
        assert.strictEqual(wire.sent.length, 1)
        assert.strictEqual(session.counts().pending, 1)
      }))

    it.effect("without a word of the gateway the limit is 25 MiB", () =>
      Effect.gen(function*() {
        const { session, wire } = yield* opened()
        const refused = yield* Effect.flip(session.request("chat.send", filling(26_214_401)))
        assert.deepInclude(refused, { _tag: "FrameTooLarge", limitBytes: 26_214_400 })
        assert.deepStrictEqual(wire.sent, [])
      }))

    it.effect("B03: a method whose scope was not granted fails with the scope that it needs, without a round trip", () =>
      Effect.gen(function*() {
        const { session, wire } = yield* opened({ scopes: ["operator.read"] })
        for (
          const [method, scope] of [
            ["chat.send", "operator.write"],
            ["chat.abort", "operator.write"],
            ["device.pair.approve", "operator.pairing"],
            ["device.token.revoke", "operator.pairing"]
          ] as const
        ) {
          const refused = yield* Effect.flip(session.request(method, {}))
          assert.deepInclude(refused, { _tag: "MissingScope", method, scope })
        }
        assert.deepStrictEqual(wire.sent, [])
        assert.strictEqual(session.counts().pending, 0)
      }))

    const covering: ReadonlyArray<[string, ReadonlyArray<string> | undefined, string]> = [
      ["a scope that was granted", ["operator.read"], "chat.history"],
      ["a wider one, which covers it", ["operator.write"], "chat.history"],
      ["an administrator's", ["operator.admin"], "device.pair.approve"],
      ["a method whose scope nobody knows", ["operator.read"], "no.such.method"],
      ["asking for wider scopes", [], "device.scopes.requestUpgrade"],
      ["a gateway that does not say what it granted", undefined, "device.pair.approve"]
    ]
    it.effect.each(covering)("B03: %s is the gateway's to judge", ([, scopes, method]) =>
      Effect.gen(function*() {
        const { session, wire } = yield* opened(scopes === undefined ? {} : { scopes })
        yield* Effect.forkScoped(session.request(method, {}), { startImmediately: true })
        assert.deepStrictEqual(wire.sent.map((sent) => sent.method), [method])
      }))
  })

  describe("backpressure", () => {
    const chat = (seq: number) => Frame.encodeEvent("chat", seq, seq)
    const held = Effect.fnUntraced(function*(options: Parameters<typeof opened>[0] = {}) {
      const { session, wire } = yield* opened(options)
      const subscription = yield* session.subscribe(["chat"], { backpressure: true, capacity: 4 })
      for (let seq = 1; seq <= 6; seq++) wire.deliver(chat(seq))
      assert.deepStrictEqual(wire.reading, ["pause"])
      return { session, subscription, wire }
    })

    it.effect("a full subscriber stops the reading once, half of it taken goes on, and nothing is lost", () =>
      Effect.gen(function*() {
        const { session, subscription, wire } = yield* held()
        const taken: Array<unknown> = []
        const reading = yield* Effect.forkScoped(
          Stream.runForEach(
            subscription.events,
            ({ payload }) => Effect.andThen(Effect.sync(() => void taken.push(payload)), Effect.sleep("1 second"))
          )
        )
        // Half a queue is taken at a time: two are at work, four wait, then two, and only then less than half of four.
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(wire.reading, ["pause"])
        yield* TestClock.adjust("3 seconds")
        assert.deepStrictEqual(wire.reading, ["pause", "resume"])
        wire.deliver(chat(7))
        wire.close(1000)
        yield* TestClock.adjust("10 seconds")
        yield* Fiber.join(reading)
        assert.deepStrictEqual(taken, [1, 2, 3, 4, 5, 6, 7])
        assert.deepStrictEqual([subscription.lost(), session.counts().dropped], [0, 0])
      }))

    it.effect("while the link is not read no request times out; afterwards each has the time that it had left", () =>
      Effect.gen(function*() {
        const { session, wire } = yield* opened()
        const before = yield* asked(session, "before", Duration.seconds(10))
        yield* TestClock.adjust("4 seconds")
        const subscription = yield* session.subscribe(["chat"], { backpressure: true, capacity: 1 })
        wire.deliver(chat(1))
        assert.deepStrictEqual(wire.reading, ["pause"])
        const during = yield* asked(session, "during", Duration.seconds(8))
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(session.counts().pending, 2)
        yield* Stream.runHead(subscription.events)
        assert.deepStrictEqual(wire.reading, ["pause", "resume"])
        yield* TestClock.adjust("5999 millis")
        assert.strictEqual(session.counts().pending, 2)
        yield* TestClock.adjust("1 millis")
        assert.deepInclude(yield* failure(before), { _tag: "RequestTimeout", method: "before" })
        yield* TestClock.adjust("2 seconds")
        assert.deepInclude(yield* failure(during), { _tag: "RequestTimeout", method: "during" })
      }))

    it.effect("nor is the gateway's silence noticed, until the link is read again", () =>
      Effect.gen(function*() {
        const { session, subscription, wire } = yield* held({ tickIntervalMs: 15_000 })
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(wire.closed, [])
        yield* Stream.runDrain(Stream.take(subscription.events, 6))
        yield* TestClock.adjust("29999 millis")
        assert.deepStrictEqual(wire.closed, [])
        yield* TestClock.adjust("1 millis")
        assert.strictEqual((yield* session.ended).reason, "Silent")
      }))

    it.effect("one timer at most waits while the link is not read", () =>
      Census.taken((census) =>
        Effect.gen(function*() {
          const { session } = yield* held({ tickIntervalMs: 15_000 })
          yield* asked(session, "slow", Duration.millis(1))
          yield* TestClock.adjust("1 hour")
          assert.isAtMost(census.sleeps(), 1)
          assert.isAtMost(census.sleepsBegun(), 4)
        })
      ))

    it.effect("a subscriber that gives up lets go of the link, and the last of several does", () =>
      Effect.gen(function*() {
        const { session, wire } = yield* opened()
        const own = yield* Scope.make()
        yield* Scope.provide(session.subscribe(["chat"], { backpressure: true, capacity: 1 }), own)
        const other = yield* session.subscribe(["chat"], { backpressure: true, capacity: 1 })
        wire.deliver(chat(1))
        yield* Scope.close(own, Exit.void)
        assert.deepStrictEqual(wire.reading, ["pause"])
        yield* Stream.runHead(other.events)
        assert.deepStrictEqual(wire.reading, ["pause", "resume"])
      }))

    it.effect("what came before the end of the session is still there after it", () =>
      Effect.gen(function*() {
        const { subscription, wire } = yield* held()
        wire.close(1012)
        assert.deepStrictEqual(
          (yield* Stream.runCollect(subscription.events)).map(({ payload }) => payload),
          [1, 2, 3, 4, 5, 6]
        )
      }))
  })

  describe("events", () => {
    it.effect("a subscriber gets its events in order, and the stream ends with the session", () =>
      Effect.gen(function*() {
        const { session, wire } = yield* opened()
        const { events, lost } = yield* session.subscribe(["chat"])
        wire.deliver(Frame.encodeEvent("chat", 1, 1))
        wire.deliver(tick(2))
        wire.deliver(Frame.encodeEvent("chat", 2, 3))
        wire.close(1012)
        assert.deepStrictEqual((yield* Stream.runCollect(events)).map(({ payload }) => payload), [1, 2])
        assert.strictEqual(lost(), 0)
        const late = yield* session.subscribe(["chat"])
        assert.deepStrictEqual(yield* Stream.runCollect(late.events), [])
      }))

    it.effect("missing sequence numbers are counted, for the session and for each subscriber", () =>
      Effect.gen(function*() {
        const { session, wire } = yield* opened()
        const early = yield* session.subscribe(["chat"])
        for (const seq of [5, 6]) wire.deliver(tick(seq))
        assert.strictEqual(session.counts().missed, 0, "a connection may begin at any number")
        wire.deliver(tick(9))
        const late = yield* session.subscribe(["chat"])
        wire.deliver(tick())
        wire.deliver(tick(11))
        wire.deliver(tick(2))
        assert.strictEqual(session.counts().missed, 3)
        assert.deepStrictEqual([early.lost(), late.lost()], [3, 1])
      }))

    it.effect("what a slow subscriber loses is counted, and nobody else loses it", () =>
      Effect.gen(function*() {
        const { session, wire } = yield* opened()
        const slow = yield* session.subscribe(["chat"], { capacity: 2 })
        const quick = yield* session.subscribe(["chat"])
        for (let seq = 1; seq <= 5; seq++) wire.deliver(Frame.encodeEvent("chat", seq, seq))
        wire.close(1000)
        assert.deepStrictEqual((yield* Stream.runCollect(slow.events)).map(({ payload }) => payload), [1, 2])
        assert.strictEqual((yield* Stream.runCollect(quick.events)).length, 5)
        assert.deepStrictEqual([slow.lost(), quick.lost(), session.counts().dropped], [3, 0, 3])
      }))

    it.effect("a subscription that is given up costs nothing more", () =>
      Effect.gen(function*() {
        const { session, wire } = yield* opened()
        yield* Effect.scoped(session.subscribe(["chat"], { capacity: 1 }))
        for (let seq = 1; seq <= 5; seq++) wire.deliver(Frame.encodeEvent("chat", seq, seq))
        assert.strictEqual(session.counts().dropped, 0)
      }))

    it.effect("a listener is called before the socket's callback returns, with gaps and the end in their places", () =>
      Effect.gen(function*() {
        const { session, wire } = yield* opened()
        const told: Array<unknown> = []
        const listener = {
          onEvent: ({ payload }: Frame.EventFrame) => void told.push(payload),
          onLost: (events: number) => void told.push(`${events} lost`),
          onEnd: () => void told.push("end")
        }
        yield* session.listen(["chat"], listener)
        wire.deliver(Frame.encodeEvent("chat", "one", 1))
        assert.deepStrictEqual(told, ["one"])
        wire.deliver(tick(2))
        wire.deliver(Frame.encodeEvent("chat", "two", 5))
        assert.deepStrictEqual(told, ["one", "two", "2 lost"])
        wire.close(1012)
        assert.deepStrictEqual(told, ["one", "two", "2 lost", "end"])
        yield* session.listen(["chat"], listener)
        assert.deepStrictEqual(told.slice(4), ["end"], "a session that has ended says so at once")
      }))

    it.effect("a listener is called no more once its scope has closed, and a session that ends leaves nothing in a scope", () =>
      Effect.gen(function*() {
        const { session, wire } = yield* opened()
        const told: Array<unknown> = []
        const listener = {
          onEvent: ({ payload }: Frame.EventFrame) => void told.push(payload),
          onEnd: () => void told.push("end")
        }
        yield* Effect.scoped(session.listen(["chat"], listener))
        wire.deliver(Frame.encodeEvent("chat", 1, 1))
        assert.deepStrictEqual(told, [])
        const scope = yield* Scope.make()
        yield* Scope.provide(session.listen(["chat"], listener), scope)
        assert.strictEqual(scope.state._tag, "Open")
        wire.close(1012)
        assert.deepStrictEqual(told, ["end"])
        yield* Scope.provide(session.listen(["chat"], listener), scope)
        assert.strictEqual(scope.state._tag, "Empty")
      }))

    it.effect("a listener that throws is logged and called no more, and the link goes on", () =>
      LogLines.kept((lines) =>
        Effect.gen(function*() {
          const { session, wire } = yield* opened()
          const { events } = yield* session.subscribe(["chat"])
          let calls = 0
          yield* session.listen(["chat"], {
            onEvent: () => {
              calls++
              throw new Error("a bug of the listener")
            }
          })
          for (const seq of [1, 2]) wire.deliver(Frame.encodeEvent("chat", seq, seq))
          wire.close(1012)
          assert.strictEqual(calls, 1)
          assert.strictEqual((yield* Stream.runCollect(events)).length, 2)
          assert.deepStrictEqual(lines.map(({ level }) => level), ["Error"])
        })
      ))

    it.effect("F48: messages that are no frames are counted and ignored", () =>
      Effect.gen(function*() {
        const { session, wire } = yield* opened()
        const noise = [
          `["x"]`,
          "1",
          "null",
          "true",
          `"text"`,
          "",
          "not json",
          "{}",
          `{"type":"mystery","id":"1"}`,
          `{"type":"event"}`,
          `{"type":"event","event":7}`,
          `{"type":"res","id":1,"ok":true}`,
          `{"type":"res","id":"77","ok":true}`
        ]
        for (const text of noise) wire.deliver(text)
        assert.strictEqual(session.counts().noise, noise.length)
        wire.onSend = () => wire.deliver(Frame.encodeResponse(wire.sent.at(-1)?.id ?? "", "alive"))
        assert.strictEqual(yield* session.request("a", {}), "alive")
      }))
  })

  describe("refusals of requests", () => {
    const refused = Effect.fnUntraced(function*(error: Frame.ErrorShape) {
      const { session, wire } = yield* opened()
      const fiber = yield* asked(session, "chat.send")
      wire.deliver(Frame.encodeRefusal(wire.sent[0]?.id ?? "", error))
      return yield* failure(fiber)
    })

    const missing: ReadonlyArray<readonly [string, Frame.ErrorShape]> = [
      ["releases without details", { code: "INVALID_REQUEST", message: "missing scope: operator.write" }],
      ["releases with details", {
        code: "FORBIDDEN",
        message: "whatever",
        details: { code: "MISSING_SCOPE", missingScope: "operator.write", requiredScopes: ["operator.write"] }
      }]
    ]
    it.effect.each(missing)(
      "F34: a missing scope is MissingScope and never a pairing matter (%s)",
      ([, error]) =>
        Effect.gen(function*() {
          const result = yield* refused(error)
          assert.isTrue(
            result._tag === "MissingScope" && result.scope === "operator.write" && result.method === "chat.send"
          )
        })
    )

    it.effect("F34: the same words inside another error do not count", () =>
      Effect.gen(function*() {
        const error = { code: "INVALID_REQUEST", message: "tool said: missing scope: operator.write" }
        assert.strictEqual((yield* refused(error))._tag, "RequestRejected")
      }))

    it.effect("any other refusal keeps its codes, its text and its wait", () =>
      Effect.gen(function*() {
        const result = yield* refused({
          code: "UNAVAILABLE",
          message: "busy\u001b[31m",
          retryAfterMs: 700,
          details: { code: "SESSION_BUSY" }
        })
        assert.isTrue(result._tag === "RequestRejected")
        if (result._tag !== "RequestRejected") return
        assert.deepInclude({ ...result }, {
          method: "chat.send",
          code: "UNAVAILABLE",
          detailCode: "SESSION_BUSY",
          gatewayMessage: "busy\\u{1b}[31m",
          retryAfterMs: 700
        })
      }))

    it.effect("a refusal without an error object is still a refusal", () =>
      Effect.gen(function*() {
        const { session, wire } = yield* opened()
        const fiber = yield* asked(session, "a")
        wire.deliver(`{"type":"res","id":"${wire.sent[0]?.id}","ok":false}`)
        assert.strictEqual((yield* failure(fiber))._tag, "RequestRejected")
      }))
  })
})
