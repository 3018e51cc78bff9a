/**
 * Arbitrary courses of events, as an agent, a faulty agent or an attacker sends them and a reader answers them.
 *
 * There are few devices, requests and times, so that they meet; many of the texts are hostile.
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import type { DialogState, Happening } from "../../../../src/dialog/app/DialogState.ts"
import { initial, step } from "../../../../src/dialog/app/DialogState.ts"
import { readCheck, readEvent } from "../../../../src/dialog/app/EventReader.ts"
import type { Wire } from "./FakeAgent.ts"
import { deviceId, nowMs } from "./States.ts"

/** What a reader does, or what the element notices by itself. */
export interface Act {
  readonly act: "dismiss" | "reopen" | "check-wanted" | "check-failed" | "caught-up" | "lost" | "open" | "refused"
}
/** `{ check }` is what a host hands over about the next check. */
export type Input = Wire | Act

const isAct = (input: Input): input is Act => "act" in input

/** Absent where the element ignores the input. */
export const happeningOf = (input: Input): Happening | undefined => {
  if (!isAct(input)) {
    if (!("check" in input)) return readEvent(input)
    const check = readCheck(input["check"])
    return check === undefined ? undefined : { event: "check", check }
  }
  const { act } = input
  return act === "lost" || act === "open" || act === "refused" ? { event: "contact", contact: act } : { event: act }
}

export const receive = (state: DialogState, input: Input): DialogState => {
  const happening = happeningOf(input)
  return happening === undefined ? state : step(state, happening)
}

export interface Moment {
  readonly input: Input
  readonly before: DialogState
  readonly state: DialogState
}
/** Every state on the way, each with what led to it. */
export const moments = (inputs: ReadonlyArray<Input>, from: DialogState = initial): ReadonlyArray<Moment> => {
  let before = from
  return inputs.map((input) => {
    const moment = { input, before, state: receive(before, input) }
    before = moment.state
    return moment
  })
}

const Text = Schema.Literals([
  "",
  " ",
  "plain",
  "openclaw devices approve 3f0c8a52",
  "docker exec '<container>' openclaw devices list",
  "say <a> to <b> and <a>",
  `<img src=x onerror="document.title='owned'">`,
  "two\nlines",
  "back\u0008space",
  "turned \u202e round",
  "hidden\u200bspace",
  "\ud800",
  "Approve this device",
  "wss://gateway.example/?q=<x>",
  "__proto__",
  "\u05e9\u05dc\u05d5\u05dd"
])
const Time = Schema.Literals([
  "",
  "never",
  "1969-12-31T23:59:00Z",
  ...[-90_000_000, -7_300_000, -130_000, -20_000, -1000, 0, 1000, 59_500, 300_000, 90_000_000].map((offset) =>
    new Date(nowMs + offset).toISOString()
  )
])
/** The first three times out of four. */
const mostly = <const A extends string>(first: A, ...others: ReadonlyArray<A>) =>
  Schema.Union([Schema.Literal(first), Schema.Literal(first), Schema.Literal(first), Schema.Literals(others)])
const Device = mostly<string>(deviceId, "0".repeat(64), "abc", "")
const RequestId = mostly("first", "second")
const Command = Schema.Struct({ text: Text })
const optional = Schema.optionalKey
const texts = Schema.Array(Text).check(Schema.isMaxLength(3))
const Reason = mostly(
  "not-paired",
  "role-upgrade",
  "scope-upgrade",
  "metadata-upgrade",
  "unspecified",
  "quantum-upgrade"
)
const request = {
  deviceId: Device,
  requestId: optional(RequestId),
  reason: Reason,
  since: optional(Time),
  expiresAt: optional(Time)
}
const Failure = Schema.Struct({
  error: Schema.Literals(["OriginNotAllowed", "AuthRejected", "ApprovalTimedOut", "PairingRequired", "", "toString"]),
  reason: optional(Schema.Literals(["TokenMissing", "not-paired", "constructor", "other"])),
  message: Text,
  owner: optional(Schema.Literals(["you", "gateway host", "__proto__", "somebody"])),
  advice: optional(Text),
  command: optional(Text),
  next: optional(Text)
})

const commands = {
  approve: optional(Command),
  list: optional(Command),
  places: optional(
    Schema.Array(
      Schema.Struct({
        place: Schema.Literals(["host", "docker", "ssh", "<img>", ""]),
        fill: texts,
        approve: optional(Command),
        list: optional(Command)
      })
    ).check(Schema.isMaxLength(3))
  )
}

const Waits = Schema.Struct({
  event: Schema.Literals(
    ["required", "reminder", "superseded", "expiring", "renewed"].map((name) => `pairing.${name}`)
  ),
  ...request,
  ...commands,
  connected: optional(Schema.Boolean),
  requestedScopes: optional(texts),
  approvedScopes: optional(texts),
  note: optional(Text)
})
const Ends = Schema.Struct({
  event: Schema.Literals(["pairing.expired", "pairing.resolved", "pairing.cancelled"]),
  ...request,
  ...commands,
  outcome: optional(Schema.Literals(["rejected", "unseen", "ended", "forgotten"]))
})
const News = Schema.Union([
  Schema.Struct({ event: Schema.Literal("identity"), deviceId: Device, compareCode: Text }),
  Schema.Struct({ event: Schema.Literal("gateway"), url: Text }),
  Schema.Struct({ event: Schema.Literals(["connecting", "paused", "stopped", "nonsense", "task.reply"]) }),
  Schema.Struct({ event: Schema.Literal("connected"), missingScopes: optional(texts) }),
  Schema.Struct({ event: Schema.Literal("waiting"), cause: Failure, retryAt: Time }),
  Schema.Struct({ check: Schema.Struct({ checking: Schema.Boolean, nextCheckAt: Schema.NullOr(Time) }) })
])
const Halt = Schema.Struct({ event: Schema.Literal("halted"), error: Failure })
const Acts = Schema.Struct({
  act: Schema.Literals(["dismiss", "reopen", "check-wanted", "check-failed", "caught-up", "lost", "open", "refused"])
})
/** What can be done to an element whose host reads the stream itself. */
const HostActs = Schema.Struct({ act: Schema.Literals(["dismiss", "reopen"]) })

const course = <S extends Schema.Constraint>(schema: S) =>
  Arbitrary.array(Arbitrary.schema(schema), { minLength: 3, maxLength: 14 })
export const inputs = course(Schema.Union([Waits, Waits, Ends, News, News, Halt, Acts, Acts]))
export const hostInputs = course(Schema.Union([Waits, Waits, Ends, News, News, Halt, HostActs]))
/** Without a request or a halt, but for requests that expire. */
export const quietInputs = course(Schema.Union([Ends, News, Acts]))
export const places = Arbitrary.schema(Schema.Literals(["docker", "<img>", "elsewhere", ""]))
