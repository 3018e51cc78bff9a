import { assert, describe, it } from "@effect/vitest"
import * as Toolkit from "effect/ai/Toolkit"
import * as Arbitrary from "effect/Arbitrary"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import { mostTools, ToolDescriptor } from "../../src/protocol/NodeMethod.ts"
import { describe as descriptorsOf } from "../../src/toolhost/ToolCatalogue.ts"
import { ToolHost } from "../../src/toolhost/ToolHost.ts"
import type { Offer, SourceTool } from "../../src/toolhost/ToolSource.ts"
import { merged, SourceFailed } from "../../src/toolhost/ToolSource.ts"
import * as Fixture from "./Fixture.ts"

const tool = (name: string, more: Partial<SourceTool> = {}): SourceTool => ({
  name,
  title: undefined,
  description: `the tool ${name}`,
  parameters: { type: "object" },
  isMarked: false,
  call: (given) => Effect.succeed({ content: [{ type: "text", text: `${name} ${JSON.stringify(given)}` }] }),
  ...more
})

const own = Result.getOrThrow(descriptorsOf(Fixture.Tools.tools))
const isDescriptor = Schema.is(ToolDescriptor)
const published = (offers: ReadonlyArray<Offer>) => {
  const { descriptors, leftOut, remote } = merged(own, offers)
  assert.isTrue(descriptors.every(isDescriptor))
  const names = descriptors.map(({ name }) => name)
  assert.strictEqual(new Set(names).size, names.length, "each name once")
  assert.isAtMost(names.length, mostTools)
  assert.deepStrictEqual(names.slice(0, own.length), own.map(({ name }) => name), "own tools keep their names")
  assert.deepStrictEqual([...remote.keys()], names.slice(own.length))
  assert.strictEqual(remote.size + leftOut.length, offers.flatMap(({ tools }) => tools).length, "none is lost unsaid")
  return { names: names.slice(own.length), leftOut, remote }
}

const Name = Schema.Literals(["a", "b", "effect_weather", "x.y", "x_y", "1st", "é", "", "n".repeat(70), "one_a"])
const Offers = Schema.Struct({
  one: Schema.Array(Name),
  two: Schema.Array(Name),
  many: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 140 }))
})

describe("merged", () => {
  it.prop(
    "whatever sources offer, names are distinct and fit a gateway, own ones stay, and nothing is lost unsaid",
    [Arbitrary.schema(Offers)],
    ([{ many, one, two }]) => {
      published([
        { source: "one", tools: one.map((name) => tool(name)) },
        { source: "two", tools: two.map((name) => tool(name)) },
        { source: "many", tools: Array.from({ length: many }, (_, index) => tool(`tool_${index}`)) }
      ])
    },
    { arbitrary: { seed: 1, runs: 300 } }
  )

  it("a name that two have stands behind the name of its source, and one of an own tool, too", () => {
    const offers = [
      { source: "one", tools: [tool("a"), tool("effect_weather"), tool("only")] },
      { source: "two", tools: [tool("a"), tool("x.y")] }
    ]
    assert.deepStrictEqual(published(offers).names, ["one_a", "one_effect_weather", "only", "two_a", "x_y"])
    assert.deepStrictEqual(published(offers.toReversed()).names, [
      "two_a",
      "x_y",
      "one_a",
      "one_effect_weather",
      "only"
    ])
  })

  it("says why a tool is left out", () => {
    const { leftOut } = published([{
      source: "one",
      tools: [
        tool("a"),
        tool("a"),
        tool("b", { parameters: {} }),
        ...Array.from({ length: mostTools }, (_, index) => tool(`t${index}`))
      ]
    }])
    assert.deepStrictEqual(leftOut.slice(0, 3), [
      { source: "one", tool: "a", problem: "there is another tool one_a" },
      { source: "one", tool: "b", problem: "its parameters are no object" },
      { source: "one", tool: "t125", problem: "a gateway takes 128 tools of a device" }
    ])
  })
})

describe("a host with sources", () => {
  it.effect("serves their tools beside its own, publishes changes at once, and asks for what is marked", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const slow = yield* Fixture.slowness
      const offered = yield* Queue.unbounded<ReadonlyArray<SourceTool>>()
      const asked: Array<string> = []
      const fails = Effect.fail(new SourceFailed({ source: "one", problem: "it rains" }))
      yield* Queue.offer(offered, [
        tool("plain"),
        tool("marked", { isMarked: true, title: "Marked" }),
        tool("fails", { call: () => fails }),
        tool("dies", { call: () => Effect.die(new Error("a bug with the secret")) })
      ])
      const { host } = yield* Fixture.serving(slow, {
        sources: [{ name: "one", tools: Stream.fromQueue(offered) }],
        approve: ({ title, tool }) => Effect.sync(() => (asked.push(`${tool} ${title}`), asked.length === 1))
      })
      yield* Fixture.approveBoth
      yield* Fixture.reached(host, "Published")
      const text = (name: string) =>
        Effect.map(gateway.callTool(name, { n: 1 }), (output) => Fixture.texts(output).at(-1))
      assert.strictEqual(yield* text("plain"), 'plain {"n":1}')
      assert.strictEqual(yield* text("marked"), 'marked {"n":1}')
      assert.match(String(yield* text("marked")), /The tool marked was not called: nobody has allowed/)
      assert.strictEqual(yield* text("fails"), "one: it rains")
      assert.match(String(yield* text("dies")), /internal error/)
      assert.strictEqual(
        Fixture.texts(yield* gateway.callTool("effect_weather", { city: "Oslo" })).at(-1),
        '{"degrees":4}'
      )
      assert.deepStrictEqual(asked, ["marked Marked", "marked Marked"])
      yield* Queue.offer(offered, [tool("other"), tool("effect_slow")])
      yield* gateway.awaitState(({ tools }) => tools.some(({ name }) => name === "other"))
      assert.deepStrictEqual((yield* gateway.tools).map(({ name }) => name).toSorted(), [
        "effect_slow",
        "effect_weather",
        "one_effect_slow",
        "other"
      ])
      assert.strictEqual(yield* text("one_effect_slow"), 'effect_slow {"n":1}')
    }).pipe(Effect.scoped, Effect.provide(Fixture.layer())))

  it.effect("connects when each has told its first tools, and after half a minute without them", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const first = yield* Deferred.make<ReadonlyArray<SourceTool>>()
      const source = { name: "one", tools: Stream.concat(Stream.fromEffect(Deferred.await(first)), Stream.never) }
      yield* Fixture.running(ToolHost.layer(Toolkit.make(), { sources: [source] }))
      const attempts = Effect.map(gateway.stats, ({ attempts }) => attempts)
      yield* TestClock.adjust("29 seconds")
      assert.strictEqual(yield* attempts, 0)
      yield* Deferred.succeed(first, [tool("plain")])
      yield* gateway.awaitState(({ pending }) => pending.length > 0)
      yield* Fixture.running(
        ToolHost.layer(Toolkit.make(), { sources: [{ name: "never", tools: Stream.never }] })
      )
      const before = yield* attempts
      yield* TestClock.adjust("30 seconds")
      yield* Effect.yieldNow
      assert.isAbove(yield* attempts, before)
    }).pipe(Effect.scoped, Effect.provide(Fixture.layer())))
})
