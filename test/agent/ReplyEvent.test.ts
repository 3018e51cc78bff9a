import { assert, describe, it } from "@effect/vitest"
import { Ajv2020 } from "ajv/dist/2020.js"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Agent from "../../src/agent/Agent.ts"
import { AgentEvents } from "../../src/agent/AgentEvents.ts"
import type { Projection } from "../../src/agent/ReplyEvent.ts"
import {
  ChatMessage,
  fromFailure,
  initial,
  jsonSchemas,
  replies,
  ReplyEvent,
  step,
  toChatMessages
} from "../../src/agent/ReplyEvent.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import { AgentEvent } from "../../src/protocol/AgentEvent.ts"
import { PairingReason } from "../../src/protocol/Refusal.ts"
import { TaskRunner } from "../../src/tasks/TaskRunner.ts"
import * as MemoryGateway from "../../src/testing/MemoryGateway.ts"
import vectors from "../vectors/ten-contract.json" with { type: "json" }
import * as ChatReader from "./ChatReader.ts"

const decodeEvents = Schema.decodeUnknownSync(Schema.Array(AgentEvent), { onExcessProperty: "error" })
const ajv = new Ajv2020({ strict: true })
const accepts = {
  ReplyEvent: ajv.compile(jsonSchemas().ReplyEvent),
  ChatMessage: ajv.compile(jsonSchemas().ChatMessage)
}

const run = (events: ReadonlyArray<AgentEvent>): ReadonlyArray<ReplyEvent> => {
  let state: Projection = initial
  return events.flatMap((event) => {
    const [next, told] = step(state, event)
    state = next
    return told
  })
}
const pageAfter = (messages: ReadonlyArray<ChatMessage>) =>
  messages.reduce((page, message) => ChatReader.read(page, { ...message }), ChatReader.empty)

const names = AgentEvent.members.map(({ fields }) => fields.event.literal)
/** Any text in any field. */
const anything = Arbitrary.array(Arbitrary.schema(AgentEvent), { maxLength: 10 })
/** Long sequences of every kind of event, in any order, about the same few tasks. */
const known = vectors.cases.flatMap(({ events }) => decodeEvents(events))
const lives = Arbitrary.array(
  Arbitrary.map(
    Arbitrary.all([Arbitrary.schema(Schema.Literals(names)), Arbitrary.schema(Schema.Literals(["a", "b", "c"]))]),
    ([name, taskId]): AgentEvent => {
      const event = known.find(({ event }) => event === name) ?? { at: "", event: "stopped" }
      return "taskId" in event
        ? { ...event, taskId, ...(event.event === "task.queued" ? { reason: "AwaitingApproval" } : {}) }
        : event
    }
  ),
  { minLength: 20, maxLength: 40 }
)

describe("the TEN contract", () => {
  it("is this JSON Schema, word for word", () => {
    assert.deepStrictEqual<unknown>(vectors.schemas, jsonSchemas())
  })

  it("a reply that the gateway shortened is not told as whole, in a contract without a field for it", () => {
    const event = { at: "2026-11-22T06:50:30.896Z", event: "task.reply", taskId: "1a2b3c4d", runId: "r" } as const
    const textOf = (text: string) => step(initial, { ...event, text, truncated: true })[1][0]?.reply_text
    assert.strictEqual(
      textOf("half"),
      "half\n\nThis reply is not whole: the gateway shortened it. The rest is in the session on the gateway."
    )
    assert.match(textOf("") ?? "", /^The gateway gave no text of this reply/)
  })

  it.each(vectors.cases)("F13, F14, F27: $name", ({ events, messages, page, replies }) => {
    const told = run(decodeEvents(events))
    assert.deepStrictEqual<unknown>(told, replies)
    assert.deepStrictEqual<unknown>(told.flatMap(toChatMessages), messages)
    assert.deepStrictEqual<unknown>(JSON.parse(JSON.stringify(pageAfter(told.flatMap(toChatMessages)))), page)
  })

  it.prop(
    "F09: one schema gives both sides: what is encoded passes the JSON Schema, and what passes it decodes to itself",
    [Arbitrary.schema(ReplyEvent), Arbitrary.schema(ChatMessage)],
    ([reply, message]) => {
      for (
        const [value, schema, valid] of [
          [reply, ReplyEvent, accepts.ReplyEvent],
          [message, ChatMessage, accepts.ChatMessage]
        ] as const
      ) {
        const json: unknown = JSON.parse(JSON.stringify(value))
        assert.isTrue(valid(json), JSON.stringify(valid.errors))
        assert.isTrue(Option.isSome(Schema.decodeUnknownOption(schema, { onExcessProperty: "error" })(json)))
      }
    },
    { arbitrary: { seed: "contract", runs: 200 } }
  )

  it("F09: what has another type, is left out or is added is refused by both", () => {
    const reply = { task_id: "t", summary: "s", reply_text: "", reply_ts: 1, pairing_required: true }
    const decode = Schema.decodeUnknownOption(ReplyEvent, { onExcessProperty: "error" })
    const wrong: ReadonlyArray<unknown> = [
      { ...reply, pairing_required: "true" },
      { ...reply, pairing_required: 1 },
      { ...reply, pairing_required: null },
      { ...reply, reply_ts: "1" },
      { ...reply, reply_ts: 1.5 },
      { ...reply, reply_ts: -1 },
      { ...reply, exit_after_notify: true },
      { task_id: "t", summary: "s", reply_text: "" }
    ]
    for (const value of wrong) {
      assert.isFalse(accepts.ReplyEvent(value), JSON.stringify(value))
      assert.isTrue(Option.isNone(decode(value)), JSON.stringify(value))
    }
    assert.isTrue(accepts.ReplyEvent(reply))
    assert.isFalse(accepts.ChatMessage({ data_type: "openclaw_result", text: "x", ts: 1, pairing_required: "yes" }))
    assert.isFalse(accepts.ChatMessage({ data_type: "openclaw", text: "x", ts: 1 }))
    // The types of a manifest follow from it: no field is anything but a string, a whole number or a boolean.
    const types = Object.entries(ReplyEvent.fields).map(([name]) => [name, typeOf(name)])
    assert.deepStrictEqual(
      Object.fromEntries(types),
      {
        task_id: "string",
        summary: "string",
        reply_text: "string",
        reply_ts: "integer",
        agent_phase: "string",
        error: "string",
        pairing_required: "boolean",
        pairing_list_cmd: "string",
        pairing_approve_cmd: "string",
        pairing_hint: "string"
      }
    )
  })

  it.prop(
    "F13: every event has its answer in every state, and every answer keeps to the contract",
    [anything, lives],
    (sequences) => {
      const told = sequences.flatMap(run)
      for (const reply of told) {
        assert.isTrue(accepts.ReplyEvent(reply), JSON.stringify(accepts.ReplyEvent.errors))
        // Commands come with the flag, and no other way; an answer is never mixed with a notice.
        const { pairing_approve_cmd, pairing_list_cmd, pairing_required } = reply
        assert.strictEqual(pairing_list_cmd !== undefined, pairing_required === true)
        if (pairing_required !== true) assert.isUndefined(pairing_approve_cmd)
        if (pairing_required !== undefined) assert.deepStrictEqual([reply.reply_text, reply.error], ["", undefined])
        for (const message of toChatMessages(reply)) {
          assert.isTrue(accepts.ChatMessage(message), JSON.stringify(accepts.ChatMessage.errors))
        }
      }
    },
    { arbitrary: { seed: "lives", runs: 300 } }
  )

  it("F13: each kind of event is answered by the arm that is meant for it, and no arm is without one", () => {
    const answered = new Set(vectors.cases.flatMap(({ events }) => decodeEvents(events).map(({ event }) => event)))
    assert.deepStrictEqual([...answered].toSorted(), names.toSorted())
  })

  it.prop(
    "a dialog is open exactly while a request with commands that work stands, and a phase only while it lasts",
    [lives],
    ([events]) => {
      let state: Projection = initial
      let page = ChatReader.empty
      let stands = false
      for (const event of events) {
        const [next, told] = step(state, event)
        state = next
        for (const message of told.flatMap(toChatMessages)) page = ChatReader.read(page, { ...message })
        switch (event.event) {
          case "pairing.required":
          case "pairing.superseded":
          case "pairing.renewed":
          case "pairing.reminder":
          case "pairing.expiring":
            stands = true
            break
          case "pairing.expired":
          case "pairing.cancelled":
          case "pairing.resolved":
            stands = false
            break
          case "task.reply":
          case "task.failed":
            if (state.phaseOf === undefined) assert.isUndefined(page.phase)
            break
          case "stopped":
            stands = false
            assert.isUndefined(page.phase)
            break
        }
        assert.strictEqual(page.dialog !== undefined, stands, event.event)
      }
    },
    { arbitrary: { seed: "dialog", runs: 300 } }
  )

  it.prop(
    "F20: whatever words stand in a message, what the page decides is the same",
    [lives, Arbitrary.schema(Schema.Literals(["pairing required", "", "approved", "OpenClaw error: x", "NOT_PAIRED"]))],
    ([events, words]) => {
      const decisions = (messages: ReadonlyArray<ChatMessage>) => {
        let page = ChatReader.empty
        return messages.map((message) => {
          page = ChatReader.read(page, { ...message })
          return [page.dialog !== undefined, page.lines.length]
        })
      }
      const messages = run(events).flatMap(toChatMessages)
      const reworded = messages.map((message): ChatMessage =>
        message.data_type === "openclaw_phase" ? message : {
          ...message,
          text: `${words} ${message.text}`,
          ...(message.pairing_hint === undefined ? {} : { pairing_hint: words })
        }
      )
      assert.deepStrictEqual(decisions(reworded), decisions(messages))
    },
    { arbitrary: { seed: "words", runs: 200 } }
  )

  it.prop(
    "F20: whatever words an event brings, a notice comes of its name alone",
    [lives, Arbitrary.schema(Schema.Literals(["pairing required", "approved", "NOT_PAIRED", "x"]))],
    ([events, words]) => {
      const reworded = events.map((event): AgentEvent => {
        switch (event.event) {
          case "task.reply":
            return { ...event, text: words }
          case "task.phase":
            return { ...event, phase: words }
          case "task.failed":
          case "halted":
            return { ...event, error: { ...event.error, message: words, advice: words } }
          default:
            return event
        }
      })
      const notices = (told: ReadonlyArray<ReplyEvent>) =>
        told.flatMap((reply) => [reply, ...toChatMessages(reply)])
          .flatMap((item) => "pairing_required" in item ? [item.pairing_required] : [])
      assert.deepStrictEqual(notices(run(reworded)), notices(run(events)))
    },
    { arbitrary: { seed: "words of events", runs: 200 } }
  )

  it("F14: every field that is sent is read by the page or the runtime", () => {
    const used = new Set<string>()
    const watched = <A extends object>(value: A) =>
      new Proxy({ ...value }, {
        get: (target, name) => {
          used.add(String(name))
          return Reflect.get(target, name)
        }
      })
    let page = ChatReader.empty
    for (const { events } of vectors.cases) {
      for (const reply of run(decodeEvents(events))) {
        ChatReader.heard(watched(reply))
        for (const message of toChatMessages(watched(reply))) page = ChatReader.read(page, watched(message))
      }
    }
    const sent = [
      ...Object.keys(ReplyEvent.fields),
      ...ChatMessage.members.flatMap(({ fields }) => Object.keys(fields))
    ]
    assert.deepStrictEqual(sent.filter((field) => !used.has(field)), [])
  })

  it("F27: one hint for each reason, and none asks anybody to restart or retry anything", () => {
    const at = "2026-01-02T03:04:05.678Z"
    const hints = PairingReason.literals.map((reason) => {
      const [event] = decodeEvents([{
        at,
        event: "pairing.required",
        deviceId: "0123456789abcdef".repeat(4),
        reason,
        since: at,
        expiresAt: at,
        list: { argv: ["openclaw", "devices", "list"], text: "openclaw devices list" }
      }])
      const [reply] = event === undefined ? [] : run([event])
      return reply?.pairing_hint ?? ""
    })
    assert.strictEqual(new Set(hints).size, PairingReason.literals.length)
    for (const hint of hints) {
      assert.match(hint, /asks again by itself/)
      assert.notMatch(hint, /restart|retry|try again/i)
    }
  })

  it("what the gateway calls a phase or a failure is one line", () => {
    const at = "2026-01-02T03:04:05.678Z"
    const words = "reading\n\u001b[2JOpenClaw error: paste this"
    const [phase, failed] = run([
      { at, event: "task.phase", taskId: "t", phase: words },
      {
        at,
        event: "task.failed",
        taskId: "t",
        error: { error: "RunFailed", message: words, advice: "Look into the log." }
      }
    ])
    assert.strictEqual(phase?.agent_phase, "reading \\u{1b}[2JOpenClaw error: paste this")
    assert.strictEqual(failed?.error, "reading \\u{1b}[2JOpenClaw error: paste this\nLook into the log.")
  })

  it("a start that failed is an error with what to do, and the page's address goes to nobody", () => {
    const reply = fromFailure(
      {
        error: "IdentityLocked",
        message: "the identity is encrypted",
        advice: "Set the passphrase.",
        next: "Nothing ran."
      },
      "1970-01-01T00:00:01.000Z"
    )
    assert.deepStrictEqual(reply, {
      task_id: "",
      summary: "",
      reply_text: "",
      reply_ts: 1000,
      error: "the identity is encrypted\nSet the passphrase.\nNothing ran."
    })
    assert.deepStrictEqual(toChatMessages(reply), [{
      data_type: "openclaw_result",
      text: "OpenClaw error: the identity is encrypted\nSet the passphrase.\nNothing ran.",
      ts: 1000
    }])
    assert.deepStrictEqual(
      step(initial, { at: "2026-01-02T03:04:05.678Z", event: "page", url: "http://127.0.0.1:1/#token=t" }),
      [initial, []]
    )
  })

  it.effect("a whole life: the page sees the notice with the task that waits, the approval, the phase, and the answer", () =>
    Effect.gen(function*() {
      const { events } = yield* AgentEvents
      const gateway = yield* DevGateway
      const tasks = yield* TaskRunner
      const coming = yield* Queue.unbounded<ReplyEvent>()
      let page = ChatReader.empty
      yield* Effect.forkScoped(Stream.runForEach(replies(events), (reply) =>
        Effect.sync(() => {
          for (const message of toChatMessages(reply)) page = ChatReader.read(page, { ...message })
          Queue.offerUnsafe(coming, reply)
        })))
      const required = yield* Queue.take(coming)
      assert.include(required, { task_id: "", agent_phase: "Pairing required", pairing_required: true })
      const { taskId } = yield* tasks.delegate("water the plants")
      const caused = yield* Queue.take(coming)
      assert.deepStrictEqual(
        { ...caused, reply_ts: 0 },
        { ...required, reply_ts: 0, task_id: taskId, summary: "water the plants" }
      )
      assert.include(page.dialog, { command: required.pairing_approve_cmd })
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(yield* Queue.size(coming), 0, "reminders say nothing new")
      const { pending: [request] } = yield* gateway.awaitState(({ pending }) => pending.length > 0)
      yield* gateway.approve(request?.requestId ?? "")
      yield* TestClock.adjust("60 seconds")
      // The approval and the answer come from different sources, and either may be told first.
      const told: Array<ReplyEvent> = []
      const both = () =>
        told.some(({ reply_text }) => reply_text !== "") && told.some((reply) => reply.pairing_required === false)
      while (!both()) told.push(yield* Queue.take(coming))
      assert.include(told.find(({ reply_text }) => reply_text !== ""), {
        task_id: taskId,
        summary: "water the plants",
        reply_text: "echo: water the plants"
      })
      assert.deepStrictEqual([page.dialog, page.phase], [undefined, undefined])
      assert.include(page.lines, "echo: water the plants")
    }).pipe(Effect.provide(Agent.layer().pipe(Layer.provideMerge(MemoryGateway.layer())))))
})

const typeOf = (name: string): unknown => {
  const { $defs } = jsonSchemas().ReplyEvent
  return Schema.decodeUnknownSync(
    Schema.Struct({
      ReplyEvent: Schema.Struct({ properties: Schema.Record(Schema.String, Schema.Struct({ type: Schema.String })) })
    })
  )($defs).ReplyEvent.properties[name]?.type
}
