import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { type Agent, AgentFailed, fromReply } from "../../src/devgateway/Agent.ts"
import { DevGateway, type Options } from "../../src/devgateway/DevGateway.ts"
import recordedChat from "../vectors/chat-2026.9.6.json" with { type: "json" }
import recorded from "../vectors/gateway-2026.9.6.json" with { type: "json" }
import { at, device, type FakeLink, link, outcome, shapeOf } from "./FakeClient.ts"

type Gateway = DevGateway["Service"]

const withGateway = <A, E>(options: Partial<Options>, body: (gateway: Gateway) => Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    yield* TestClock.setTime(1_800_000_000_000)
    return yield* Effect.flatMap(DevGateway, body).pipe(Effect.provide(DevGateway.layerTest(options)))
  })

const enter = (
  gateway: Gateway,
  scopes: ReadonlyArray<string> = ["operator.read", "operator.write"],
  caps: ReadonlyArray<string> = []
) => {
  const client = link(gateway)
  client.connect(device(1), { token: "operator-token", scopes, params: { caps } })
  return client
}

const say = (client: FakeLink, message: string, idempotencyKey: string, sessionKey = "agent:main:main") =>
  client.request("chat.send", { sessionKey, message, deliver: false, idempotencyKey })

const states = (client: FakeLink, runId: string) =>
  client.events("chat").filter((event) => at(event, "payload", "runId") === runId).map((event) =>
    String(at(event, "payload", "state"))
  )

const finalText = (client: FakeLink, runId: string) =>
  client.events("chat").filter((event) =>
    at(event, "payload", "runId") === runId && at(event, "payload", "state") === "final"
  ).map((event) => at(event, "payload", "message", "content", "0", "text"))

/** Lets forked runs continue until they wait for something. */
const settle = TestClock.adjust("1 millis")

/** An agent that sends a word and then waits for the test. */
const paused = (gate: Deferred.Deferred<void>): Agent => () =>
  Stream.make({ _tag: "Text" as const, delta: "word0" }).pipe(
    Stream.concat(Stream.fromEffect(Effect.as(Deferred.await(gate), { _tag: "Text" as const, delta: " word1" })))
  )

describe("chat.send", () => {
  it.effect("sends the frames of the recorded run, in its order, with its keys and types", () =>
    withGateway({}, (gateway) =>
      Effect.gen(function*() {
        const client = enter(gateway)
        const before = client.texts.length
        say(client, "hello there", "key-1")
        yield* settle
        const expected = recordedChat.plain.frames.filter((frame) => frame.event !== "chat.metadata.changed")
        const frames = client.frames().slice(before)
        const label = (frame: unknown) => [
          at(frame, "type"),
          at(frame, "event"),
          at(frame, "payload", "state") ?? at(frame, "payload", "stream"),
          at(frame, "payload", "phase") ?? at(frame, "payload", "data", "phase")
        ]
        assert.deepStrictEqual(frames.map(label), expected.map(label))
        frames.forEach((frame, i) =>
          assert.deepStrictEqual(shapeOf(frame), shapeOf(expected[i]), JSON.stringify(label(frame)))
        )
        const runSeqs = (all: ReadonlyArray<unknown>) => all.slice(1).map((frame) => at(frame, "payload", "seq"))
        assert.deepStrictEqual(runSeqs(frames), [1, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8, 9, 10, 11, 11, 11])
        assert.deepStrictEqual(frames.slice(1).map((frame) => at(frame, "seq")), frames.slice(1).map((_, i) => i + 1))
        assert.deepStrictEqual(finalText(client, "key-1"), ["echo: hello there"])
      })))

  it.effect("a repeated key is answered in_flight, then ok, and starts no run", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      yield* withGateway({ agent: paused(gate) }, (gateway) =>
        Effect.gen(function*() {
          const client = enter(gateway)
          assert.deepStrictEqual(at(say(client, "x", "key-1"), "payload"), { runId: "key-1", status: "started" })
          yield* settle
          assert.deepStrictEqual(at(say(client, "x", "key-1"), "payload"), { runId: "key-1", status: "in_flight" })
          yield* Deferred.succeed(gate, undefined)
          yield* settle
          const again = say(client, "x", "key-1")
          assert.deepStrictEqual(shapeOf(at(again, "payload")), shapeOf(recordedChat.sameIdempotencyKey.payload))
          assert.strictEqual(at(again, "payload", "status"), "ok")
          assert.deepStrictEqual([...(yield* gateway.stats).runs], [["key-1", 1]])
        }))
    }))

  it.effect("refuses as recorded: no key, no text, an unknown agent, no operator.write", () =>
    withGateway({}, (gateway) =>
      Effect.sync(() => {
        const client = enter(gateway)
        const missing = client.request("chat.send", { sessionKey: "main", message: "x" })
        assert.deepStrictEqual(at(missing, "error"), recordedChat.missingIdempotencyKey.error)
        assert.deepStrictEqual(at(say(client, "", "key-1"), "error"), recordedChat.emptyMessage.error)
        const nobody = say(client, "x", "key-2", "agent:nobody:main")
        assert.deepStrictEqual(at(nobody, "error"), at(recordedChat.unknownAgent.frames[0], "error"))
        const reader = enter(gateway, ["operator.read"])
        assert.deepStrictEqual(at(say(reader, "x", "key-3"), "error"), recorded.hello.missingWrite.error)
      })))

  it.effect("events carry the full session key and go to every reader, each with its own sequence", () =>
    withGateway({}, (gateway) =>
      Effect.gen(function*() {
        const client = enter(gateway)
        yield* gateway.broadcast("health", {})
        const other = enter(gateway, ["operator.read"])
        const blind = enter(gateway, ["operator.pairing"])
        say(client, "x", "key-1", "main")
        yield* settle
        assert.deepStrictEqual(states(other, "key-1"), states(client, "key-1"))
        assert.deepStrictEqual(blind.events("chat"), [])
        const first = (of: FakeLink) => of.events("chat")[0]
        assert.strictEqual(at(first(client), "payload", "sessionKey"), "agent:main:main")
        assert.deepStrictEqual([at(first(client), "seq"), at(first(other), "seq")], [2, 1])
      })))

  it.effect("a failed run sends two errors as recorded, the second numbered 1", () =>
    withGateway(
      { agent: fromReply(() => Effect.fail(new AgentFailed({ errorMessage: "no credit" }))) },
      (gateway) =>
        Effect.gen(function*() {
          const client = enter(gateway)
          say(client, "x", "key-1")
          yield* settle
          const errors = (frames: ReadonlyArray<unknown>) =>
            frames.filter((frame) => at(frame, "payload", "state") === "error")
          const expected = errors(recordedChat.refused.frames)
          assert.deepStrictEqual(errors(client.frames()).map(shapeOf), expected.map(shapeOf))
          assert.strictEqual(at(errors(client.frames())[0], "payload", "errorMessage"), "no credit")
          assert.strictEqual(at(errors(client.frames())[1], "payload", "seq"), 1)
        })
    ))

  it.effect("a broken agent fails its run and frees the session", () =>
    withGateway({ agent: () => Stream.die("bug") }, (gateway) =>
      Effect.gen(function*() {
        const client = enter(gateway)
        say(client, "x", "key-1")
        yield* settle
        assert.strictEqual(states(client, "key-1").at(-1), "error")
        say(client, "x", "key-2")
        yield* settle
        assert.strictEqual(states(client, "key-2").at(-1), "error")
      })))

  it.effect("an agent without text ends in a final without a message", () =>
    withGateway({ agent: fromReply(() => Effect.succeed("")) }, (gateway) =>
      Effect.gen(function*() {
        const client = enter(gateway)
        say(client, "x", "key-1")
        yield* settle
        const final = client.events("chat").at(-1)
        assert.strictEqual(at(final, "payload", "state"), "final")
        assert.isUndefined(at(final, "payload", "message"))
      })))
})

describe("a run in its session", () => {
  it.effect("a busy session answers with an empty final, and replies later under an unknown run id", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      yield* withGateway({ agent: paused(gate) }, (gateway) =>
        Effect.gen(function*() {
          const client = enter(gateway)
          say(client, "first", "key-1")
          yield* settle
          say(client, "second", "key-2")
          const empty = client.events("chat").at(-1)
          const expected = recordedChat.twoAtOnce.frames.filter((frame) => at(frame, "payload", "state") === "final")
          assert.deepStrictEqual(shapeOf(empty), shapeOf(expected[0]))
          yield* Deferred.succeed(gate, undefined)
          yield* settle
          assert.deepStrictEqual(states(client, "key-2"), ["final"])
          assert.deepStrictEqual(finalText(client, "key-1"), ["word0 word1"])
          const last = client.events("chat").at(-1)
          assert.notInclude(states(client, String(at(last, "payload", "runId"))), "status")
          assert.deepStrictEqual(keys(at(last, "payload")), keys(at(expected[2], "payload")))
          assert.notInclude(["key-1", "key-2"], at(last, "payload", "runId"))
        }))
    }))

  it.effect("deltas are thinned to one in 150 ms and carry the whole text so far", () =>
    withGateway({
      agent: () =>
        Stream.make("a", "b", "c", "d").pipe(
          Stream.mapEffect((delta) => Effect.delay(Effect.succeed({ _tag: "Text" as const, delta }), "100 millis"))
        )
    }, (gateway) =>
      Effect.gen(function*() {
        const client = enter(gateway)
        say(client, "x", "key-1")
        yield* TestClock.adjust("1 second")
        const deltas = client.events("chat").filter((event) => at(event, "payload", "state") === "delta")
        assert.deepStrictEqual(
          deltas.map((event) => [
            at(event, "payload", "deltaText"),
            at(event, "payload", "message", "content", "0", "text")
          ]),
          [["a", "a"], ["bc", "abc"], ["d", "abcd"]]
        )
      })))

  it.effect("tool events go only to links that asked for them", () =>
    withGateway({
      agent: () => Stream.make({ _tag: "Event", stream: "tool", data: { phase: "start", name: "exec" } })
    }, (gateway) =>
      Effect.gen(function*() {
        const plain = enter(gateway)
        const curious = enter(gateway, ["operator.read", "operator.write"], ["tool-events"])
        say(plain, "x", "key-1")
        yield* settle
        const tools = (client: FakeLink) =>
          client.events("agent").filter((event) => at(event, "payload", "stream") === "tool")
        assert.lengthOf(tools(plain), 0)
        assert.lengthOf(tools(curious), 1)
      })))
})

const keys = (value: unknown) => Object.keys(typeof value === "object" && value !== null ? value : {}).sort()

describe("chat.abort", () => {
  it.effect("sends aborted with the text so far before it answers, as recorded", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      yield* withGateway({ agent: paused(gate) }, (gateway) =>
        Effect.gen(function*() {
          const client = enter(gateway)
          say(client, "x", "key-1", "agent:main:abort")
          yield* settle
          const answer = client.request("chat.abort", { sessionKey: "agent:main:abort", runId: "key-1" })
          assert.deepStrictEqual(at(answer, "payload"), { ok: true, aborted: true, runIds: ["key-1"] })
          const frames = client.frames()
          const aborted = frames.findIndex((frame) => at(frame, "payload", "state") === "aborted")
          const answered = frames.findIndex((frame) => at(frame, "payload", "aborted") === true)
          assert.isBelow(aborted, answered)
          const expected = recordedChat.aborted.frames.find((frame) => at(frame, "payload", "state") === "aborted")
          assert.deepStrictEqual(shapeOf(frames[aborted]), shapeOf(expected))
          yield* Deferred.succeed(gate, undefined)
          yield* settle
          assert.strictEqual(states(client, "key-1").at(-1), "aborted")
          const nothing = client.request("chat.abort", { sessionKey: "agent:main:abort" })
          assert.deepStrictEqual(at(nothing, "payload"), { ok: true, aborted: false, runIds: [] })
        }))
    }))
})

describe("the end of a run", () => {
  /** An agent that waits for ever and reports its interruption. */
  const watched = (interrupted: Deferred.Deferred<void>): Agent => () =>
    Stream.fromEffect(Effect.onInterrupt(Effect.never, () => Effect.asVoid(Deferred.succeed(interrupted, undefined))))

  it.effect("an abort interrupts the agent", () =>
    Effect.gen(function*() {
      const interrupted = yield* Deferred.make<void>()
      yield* withGateway({ agent: watched(interrupted) }, (gateway) =>
        Effect.gen(function*() {
          const client = enter(gateway)
          say(client, "x", "key-1")
          yield* settle
          client.request("chat.abort", { sessionKey: "main" })
          yield* Deferred.await(interrupted)
        }))
    }))

  it.effect("an agent that cannot be interrupted has no effect after the abort", () =>
    withGateway({
      agent: () =>
        Stream.fromEffect(
          Effect.uninterruptible(Effect.delay(Effect.succeed({ _tag: "Text" as const, delta: "late" }), "1 second"))
        )
    }, (gateway) =>
      Effect.gen(function*() {
        const client = enter(gateway)
        say(client, "x", "key-1")
        yield* settle
        client.request("chat.abort", { sessionKey: "main" })
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(states(client, "key-1").at(-1), "aborted")
      })))

  it.effect("a stop interrupts the agent, frees the session and forgets its keys", () =>
    Effect.gen(function*() {
      const interrupted = yield* Deferred.make<void>()
      yield* withGateway({ agent: watched(interrupted) }, (gateway) =>
        Effect.gen(function*() {
          const client = enter(gateway)
          say(client, "x", "key-1")
          say(client, "y", "key-2")
          yield* settle
          yield* gateway.stop
          yield* Deferred.await(interrupted)
          yield* gateway.start
          const again = enter(gateway)
          assert.strictEqual(at(say(again, "x", "key-1"), "payload", "status"), "started")
          yield* settle
          assert.deepStrictEqual(states(again, "key-1"), ["status", "status", "status"])
          assert.strictEqual((yield* gateway.stats).runs.get("key-1"), 2)
        }))
    }))
})

describe("chat.history", () => {
  it.effect("keeps the messages of both sides, with the recorded keys", () =>
    withGateway({}, (gateway) =>
      Effect.gen(function*() {
        const client = enter(gateway)
        say(client, "hello", "key-1")
        yield* settle
        const answer = client.request("chat.history", { sessionKey: "main" })
        const { activity: _, messages: expected, nextOffset: __, ...rest } = recordedChat.history.payload
        assert.includeMembers(keys(at(answer, "payload")), Object.keys(rest))
        const messages = at(answer, "payload", "messages")
        assert.deepStrictEqual(
          [at(messages, "0", "role"), at(messages, "0", "content"), at(messages, "0", "idempotencyKey")],
          ["user", "hello", "key-1:user"]
        )
        assert.deepStrictEqual(
          [at(messages, "1", "role"), at(messages, "1", "content", "0", "text")],
          ["assistant", "echo: hello"]
        )
        assert.deepStrictEqual(shapeOf(at(messages, "1")), shapeOf(expected[2]))
        const last = client.request("chat.history", { sessionKey: "main", limit: 1 })
        assert.strictEqual(at(last, "payload", "messages", "0", "role"), "assistant")
        assert.strictEqual(at(last, "payload", "hasMore"), true)
      })))

  it.effect("needs operator.read or operator.write", () =>
    withGateway({}, (gateway) =>
      Effect.sync(() => {
        const writer = enter(gateway, ["operator.write"])
        const answer = writer.request("chat.history", { sessionKey: "main" })
        assert.strictEqual(at(answer, "payload", "totalMessages"), 0)
      })))

  it.effect("refuses bad parameters as recorded", () =>
    withGateway({}, (gateway) =>
      Effect.sync(() => {
        const answer = enter(gateway).request("chat.history", { nope: 1 })
        assert.deepStrictEqual(at(answer, "error"), recorded.hello.badParams.error)
      })))
})

describe("other requests", () => {
  it.effect("only administrators learn that a method is unknown or that connect comes twice", () =>
    withGateway({}, (gateway) =>
      Effect.sync(() => {
        const client = enter(gateway)
        assert.deepStrictEqual(at(client.request("no.such.method"), "error"), recorded.hello.unknownMethod.error)
        assert.deepStrictEqual(at(client.request("connect", {}), "error"), recorded.hello.secondConnect.error)
        const admin = enter(gateway, ["operator.admin"])
        assert.deepStrictEqual(at(admin.request("no.such.method"), "error"), recorded.hello.unknownMethodAsAdmin)
        assert.deepStrictEqual(at(admin.request("connect", {}), "error"), recorded.hello.secondConnectAsAdmin)
      })))

  it.effect("a bad frame after hello-ok is answered or ignored, and the link stays open", () =>
    withGateway({}, (gateway) =>
      Effect.sync(() => {
        const client = enter(gateway)
        client.send({ type: "req", id: "odd", method: "health", invented: 1 })
        assert.deepStrictEqual(at(client.response("odd"), "error"), recorded.hello.extraFrameField.error)
        const before = client.texts.length
        client.sendText("not json")
        assert.strictEqual(client.texts.length, before)
        assert.strictEqual(outcome(client.request("health")), undefined)
        assert.strictEqual(at(client.response("r2"), "payload", "ok"), true)
        assert.deepStrictEqual(client.closes, [])
      })))
})
