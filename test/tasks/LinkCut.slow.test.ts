import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { type Agent, AgentFailed } from "../../src/devgateway/Agent.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import type { TaskOutcome } from "../../src/tasks/Task.ts"
import type { Fate } from "./Lives.ts"
import * as Lives from "./Lives.ts"

/** Thinks for two seconds, says something, and thinks again. */
const slow: Agent = ({ message }) =>
  Stream.make("echo:", ` ${message}`).pipe(
    Stream.mapEffect((delta) => Effect.as(Effect.sleep("2 seconds"), { _tag: "Text" as const, delta }))
  )
const quick: Agent = ({ message }) => Stream.make({ _tag: "Text" as const, delta: `echo: ${message}` })
/** More than `chat.history` shows. */
const essay = "x".repeat(42_000)
const long: Agent = () => Stream.make({ _tag: "Text" as const, delta: essay })
const silent: Agent = () => Stream.make({ _tag: "Text" as const, delta: "NO_REPLY" })
const failing: Agent = () =>
  Stream.fromEffect(Effect.delay(Effect.fail(new AgentFailed({ errorMessage: "no credit" })), "2 seconds"))

const replied = (text: string) => (outcome: TaskOutcome) => assert.include(outcome, { _tag: "Completed", text })
const agents: ReadonlyArray<readonly [name: string, agent: Agent, isRight: (outcome: TaskOutcome) => void]> = [
  ["slow", slow, replied("echo: water the plants")],
  ["quick", quick, replied("echo: water the plants")],
  [
    "long",
    long,
    (outcome) => assert.isTrue(outcome._tag === "Completed" && outcome.text === essay && !outcome.truncated)
  ],
  ["silent", silent, replied("")],
  [
    "failing",
    failing,
    (outcome) => assert.match(outcome._tag === "Failed" ? outcome.error.message : outcome._tag, /no credit/)
  ]
]

/** Cuts the link at the nth moment of its kind. Counts on, so that it says whether there were so many. */
const cutAt = (nth: number, kinds: ReadonlyArray<string>) => {
  let seen = 0
  const fate: Fate = (moment) => kinds.includes(moment) && ++seen === nth ? "Cut" : undefined
  return { fate, happened: () => seen >= nth }
}

const kinds = [
  ["before a frame", ["sending", "receiving"]],
  ["behind a frame", ["sent", "received"]]
] as const

describe("a link that is cut", () => {
  for (const [agentName, agent, isRight] of agents) {
    for (const [where, moments] of kinds) {
      it.effect(`G14 G15 B07 F51: ${where}, at every one of a ${agentName} run: ended once as it did, and run once`, () =>
        Effect.gen(function*() {
          let cuts = 0
          for (let nth = 1, more = true; more; nth++) {
            const { fate, happened } = cutAt(nth, moments)
            yield* Effect.gen(function*() {
              const gateway = yield* DevGateway
              const life = yield* Lives.begin({ entries: new Map() }, fate)
              const { runId, taskId } = yield* life.runner.delegate("water the plants")
              yield* Lives.until(() => life.told.length > 0)
              const outcome = yield* life.runner.await(taskId)
              isRight(outcome)
              assert.strictEqual(life.told.length, 1, `cut ${nth}`)
              const { runs } = yield* gateway.stats
              assert.deepStrictEqual([...runs], [[runId, 1]], `cut ${nth}`)
            }).pipe(Effect.provide(DevGateway.layerTest({ agent })), Effect.scoped)
            more = happened()
            if (more) cuts++
          }
          assert.isAbove(cuts, 15)
        }))
    }
  }
})
