import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { type Agent, AgentFailed, type AgentStep } from "../../src/devgateway/Agent.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import { serve } from "../../src/devgateway/DevGatewayWs.ts"
import { drawnImage } from "../interop/support/ModelStub.ts"
import { makeDevice } from "../interop/support/RawClient.ts"
import recorded from "../vectors/runs-2026.9.6.json" with { type: "json" }
import { facts, play, toJson } from "./RunScript.ts"

const text = (delta: string): AgentStep => ({ _tag: "Text", delta })

/** What the recorded run told on these streams of `agent` events. */
const told = (scene: "artifacts" | "tool" | "thought", streams: ReadonlyArray<string>): ReadonlyArray<AgentStep> =>
  recorded.scenes[scene].events.flatMap(({ payload }) =>
    "stream" in payload && streams.includes(payload.stream)
      ? [{ _tag: "Event" as const, stream: payload.stream, data: payload.data }]
      : []
  )
const call = told("tool", ["item", "tool", "command_output"])
const drawing = told("artifacts", ["item", "tool", "command_output"])
const thoughts = told("thought", ["thinking"])

const drawn: AgentStep = {
  _tag: "File",
  file: { name: "drawn.png", mimeType: "image/png", content: Buffer.from(drawnImage, "base64") }
}

/** Follows the marks that the model provider of the real gateway follows. It has no words before the call of a tool. */
const makeAgent = () => {
  const latches = new Map<string, Latch.Latch>()
  const held = (mark: string) => {
    const latch = latches.get(mark) ?? Latch.makeUnsafe()
    latches.set(mark, latch)
    return latch
  }
  const agent: Agent = ({ message }) => {
    if (message.includes("[fail]")) return Stream.fail(new AgentFailed({ errorMessage: "told to fail" }))
    if (message.includes("[silent]")) return Stream.make(text("NO_REPLY"))
    const length = Number(/\[long (\d+)\]/.exec(message)?.[1] ?? 0)
    const hold = /\[hold[^\]]*\]/.exec(message)?.[0]
    const [first = "", ...rest] = `echo: ${message}`.padEnd(length, "x").split(/(?<=\s)/)
    const before = message.includes("[draw]")
      ? [...drawing, drawn]
      : message.includes("[tool]")
      ? call
      : message.includes("[think]")
      ? thoughts
      : []
    return Stream.make(...before, text(first)).pipe(
      Stream.concat(hold === undefined ? Stream.empty : Stream.drain(Stream.fromEffect(held(hold).await))),
      Stream.concat(Stream.fromIterable(rest.map(text)))
    )
  }
  return { agent, release: (mark: string) => Effect.asVoid(Effect.suspend(() => held(mark).open)) }
}

/** Each fact in a line of its own. */
const lines = (value: unknown, path: ReadonlyArray<string> = []): ReadonlyArray<string> => {
  if (Array.isArray(value)) return value.flatMap((item) => lines(item, path))
  if (!Predicate.isObject(value)) return [`${path.join(" / ")}: ${JSON.stringify(value)}`]
  const inner = Object.entries(value)
  return inner.length === 0
    ? [`${path.join(" / ")}: none`]
    : inner.flatMap(([name, part]) => lines(part, [...path, name]))
}

/** Where `DevGateway` tells something else on purpose. */
const deliberate: ReadonlyArray<{ readonly reason: string; readonly lines: RegExp }> = [
  { reason: "it counts what every run used, a real gateway what its model counts", lines: /"agent usage"$/ },
  { reason: "it has no second model to fall back to", lines: /"agent lifecycle fallback_step"$/ },
  { reason: "it has nothing of what the capabilities stand for", lines: /^hello \/ later \/ capabilities:/ },
  { reason: "it sends no `session.message`, which clients leave aside", lines: /"session\.message"$/ },
  { reason: "its agent may have nothing to say; 2026.9.6 takes that for a failure", lines: /^silent \// },
  {
    reason:
      "it answers a message to a busy session in a run that follows; 2026.9.6 also answers it within the first one",
    lines: /^busy \/ later \/ agent\.wait \/ terminalReply \/ text:/
  }
]

const playOnDevGateway = Effect.gen(function*() {
  const { agent, release } = makeAgent()
  return yield* Effect.gen(function*() {
    const gateway = yield* DevGateway
    return yield* play({
      url: (yield* serve()).href,
      token: Redacted.make("operator-token"),
      device: yield* makeDevice,
      release,
      restart: Effect.andThen(gateway.stop, gateway.start)
    })
  }).pipe(Effect.scoped, Effect.provide(DevGateway.layerTest({ seeded: false, agent })))
})

describe("DevGateway beside the runs of OpenClaw 2026.9.6", () => {
  it.live("G14 B20: tells, remembers and keeps runs as recorded", () =>
    Effect.gen(function*() {
      const played = new Set(lines(facts(JSON.parse(toJson("dev", yield* playOnDevGateway)))))
      const real = new Set(lines(facts(recorded)))
      const differences = [
        ...[...real].filter((line) => !played.has(line)).map((line) => ["recorded", line] as const),
        ...[...played].filter((line) => !real.has(line)).map((line) => ["played", line] as const)
      ]
      const unknown = differences.filter(([, line]) => !deliberate.some((known) => known.lines.test(line)))
      assert.deepStrictEqual(unknown, [])
      const gone = deliberate.filter((known) => !differences.some(([, line]) => known.lines.test(line)))
      assert.deepStrictEqual(gone.map(({ reason }) => reason), [], "no longer a difference")
      assert.isAbove(real.size, 150)
    }), 120_000)
})
