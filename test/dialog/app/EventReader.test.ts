import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import {
  parseJson,
  readCheck,
  readEvent,
  readQuestionEvent,
  readTaskEvent
} from "../../../src/dialog/app/EventReader.ts"
import { AgentEvent, encodeAgentEvent } from "../../../src/protocol/AgentEvent.ts"
import { UpgradeEnd } from "../../../src/protocol/PairingNotice.ts"
import { notice, resolved } from "./support/States.ts"

/** One arbitrary for each event of the union, so that every event comes up. */
const each = AgentEvent.members.map((member) => [member.fields.event.literal, Arbitrary.schema(member)] as const)
const many = { seed: 6, runs: 150 }

/** The fields that the page does not show, each with the reason. */
const unread: Readonly<Record<string, ReadonlyArray<string>>> = {
  // The page shows what holds, not when it was said.
  "*": ["at"],
  page: ["url"],
  // It is told at standard input alone.
  "task.refused": ["error", "line", "summary"],
  "answer.refused": ["line", "questionId", "reason"],
  // Its steps are phases of the task, too.
  "task.tool": ["detail", "failed", "phase", "taskId", "tool", "toolCallId"],
  // The file is on the machine of whoever runs the command.
  "task.saved": ["bytes", "mimeType", "path", "taskId", "title"],
  // The program itself says this, on the machine where the files are.
  identity: ["created", "path"],
  gateway: ["embedded"],
  connecting: ["attempt"],
  // A reminder is no new instruction, and the request that was replaced no longer counts.
  "pairing.reminder": ["reminder", "role"],
  "pairing.superseded": ["previousRequestId", "role"],
  // The reason was shown while it mattered.
  "pairing.resolved": ["reason", "role"],
  "pairing.cancelled": ["reason", "role"],
  connected: ["protocol", "serverVersion", "scopes", "clockDeltaMs", "deviceTokenIssued"],
  // What a person has to approve of them is told by its notice.
  tools: ["state", "tools", "error", "retryAt"],
  // The commands of a request say what they approve.
  "pairing.required": ["role"],
  "pairing.expiring": ["role"],
  "pairing.expired": ["role"],
  "pairing.renewed": ["role"],
  // Pages know a task by its own id.
  "task.sent": ["runId"],
  "task.reply": ["runId"]
}

/** The dialog reads an event, or the list of tasks or that of questions does. */
const readAny = (value: unknown) => readEvent(value) ?? readTaskEvent(value) ?? readQuestionEvent(value)

describe("EventReader", () => {
  for (const [name, values] of each) {
    it.effect.prop(
      `reads every ${name} that an agent can send, and keeps its ids`,
      [values],
      ([value]) =>
        Effect.sync(() => {
          const json = encodeAgentEvent(value)
          const read = readAny(parseJson(json))
          if (["page", "tools", "answer.refused", "task.refused", "task.saved", "task.tool"].includes(name)) {
            return assert.isUndefined(read)
          }
          assert.strictEqual(read?.event, name)
          assert.strictEqual(readTaskEvent(parseJson(json)) !== undefined, name.startsWith("task."))
          assert.strictEqual(readQuestionEvent(parseJson(json)) !== undefined, name.startsWith("tool."))
          const shown = JSON.stringify(read)
          for (const field of ["deviceId", "requestId", "taskId", "questionId"]) {
            const id: unknown = Reflect.get(value, field)
            if (typeof id === "string" && /^[\w.:-]+$/.test(id)) assert.include(shown, JSON.stringify(id))
          }
        }),
      { arbitrary: many }
    )
  }

  it("F14: every field of every event is shown, or left out for a reason that is written down", () => {
    for (const member of AgentEvent.members) {
      const name = member.fields.event.literal
      const touched = new Set<string>()
      const spy = (fields: object): unknown =>
        new Proxy(fields, {
          get: (target, field) => {
            if (typeof field === "string") touched.add(field)
            return Reflect.get(target, field)
          }
        })
      readAny(spy({ event: name }))
      const left = Object.keys(member.fields).filter((field) => !touched.has(field))
      assert.deepStrictEqual(left.toSorted(), [...(unread["*"] ?? []), ...(unread[name] ?? [])].toSorted(), name)
    }
  })

  it.effect.prop("is total: whatever is received, nothing is thrown", [Schema.Json], ([value]) =>
    Effect.sync(() => {
      for (const event of AgentEvent.members.map((member) => member.fields.event.literal)) {
        for (
          const other of [value, { event: value }, { event, cause: value, error: value, approve: value, places: value }]
        ) {
          readAny(other)
          readCheck(other)
        }
      }
    }), { arbitrary: { seed: 7, runs: 300 } })

  it("F20: prose decides nothing: an event is known by its name alone", () => {
    for (const text of ["pairing required", "pairing_required: true", "openclaw devices approve x"]) {
      for (const event of [{ text }, { event: text }, { event: "notice", text, pairing: text }, text, [text]]) {
        assert.isUndefined(readAny(event))
      }
    }
    for (const name of ["toString", "__proto__", "constructor"]) assert.isUndefined(readAny({ event: name }))
  })

  it("a text with hidden characters is no command, and neither is an empty one", () => {
    const approve = (text: unknown) => {
      const read = readEvent({ ...notice("required"), approve: { argv: [], text } })
      return read !== undefined && "request" in read ? read.request.approve : "?"
    }
    assert.strictEqual(approve("openclaw devices approve é"), "openclaw devices approve é")
    for (const text of ["", "  ", "a\nb", "a\u202eb", "a\u200bb", "a\u0000", "a\u2028b", "\ud800", 1, undefined]) {
      assert.isUndefined(approve(text), JSON.stringify(text))
    }
  })

  it("a piece of a reply keeps its length, and has nothing that would reorder it", () => {
    const piece = (text: unknown) => readTaskEvent({ event: "task.text", taskId: "t", from: 3, text })
    assert.deepStrictEqual(piece("a\u202eb\r\nc\rd"), {
      event: "task.text",
      taskId: "t",
      from: 3,
      text: "a\ufffdb \nc\nd"
    })
  })

  it("text from the wire is shown without what would reorder it", () => {
    const read = readTaskEvent({ ...resolved, event: "task.phase", taskId: "t", phase: "a\u202eb\u0007c" })
    assert.deepStrictEqual(read, { event: "task.phase", taskId: "t", phase: "a\ufffdb\ufffdc" })
    assert.deepStrictEqual(readTaskEvent({ event: "task.reply", taskId: "t", text: "a\r\nb\tc" }), {
      event: "task.reply",
      taskId: "t",
      text: "a\nb\tc",
      late: false
    })
  })

  it("an unknown reason is read as unspecified", () => {
    const read = readEvent({ ...notice("required"), reason: "quantum-upgrade" })
    assert.strictEqual(read !== undefined && "request" in read ? read.request.reason : "", "unspecified")
  })

  it("every outcome of a request for more scopes is known, and an unknown one is absent", () => {
    const read = (outcome: unknown) => readEvent({ ...resolved, event: "pairing.cancelled", outcome })
    for (const outcome of UpgradeEnd.literals) assert.deepInclude(read(outcome), { outcome })
    for (const outcome of [undefined, null, "forgotten", 1]) assert.deepInclude(read(outcome), { outcome: undefined })
  })

  it("times are milliseconds, or absent", () => {
    assert.deepStrictEqual(readCheck({ checking: true, nextCheckAt: "1970-01-01T00:00:01Z" }), {
      checking: true,
      nextCheckAt: 1000
    })
    for (const nextCheckAt of [null, "soon", 5, undefined]) {
      assert.deepStrictEqual(readCheck({ checking: false, nextCheckAt }), { checking: false, nextCheckAt: undefined })
    }
  })
})
