import { assert, describe, it } from "@effect/vitest"
import * as McpProtocol from "effect/ai/McpProtocol"
import * as McpServer from "effect/ai/McpServer"
import * as McpTest from "effect/ai/McpTest"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import { describe as descriptorsOf } from "../../src/toolhost/ToolCatalogue.ts"
import { ToolHost } from "../../src/toolhost/ToolHost.ts"
import * as Fixture from "./Fixture.ts"

class Place extends Schema.Class<Place>("Place")({ name: Schema.NonEmptyString, at: Schema.DateFromString }) {}

interface Tree {
  readonly name: string
  readonly branches: ReadonlyArray<Tree>
}
const Tree = Schema.Struct({
  name: Schema.String,
  branches: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree))
}).annotate({ identifier: "Tree" })

/** Schemas as tools have them. A tool of each gives back what it got. */
const schemas = {
  flat: Schema.Struct({ city: Schema.NonEmptyString, days: Schema.Int }),
  optional: Schema.Struct({ a: Schema.optionalKey(Schema.Boolean), b: Schema.NullOr(Schema.Finite) }),
  transformed: Schema.Struct({ when: Schema.DateFromString, count: Schema.FiniteFromString }),
  nested: Schema.Struct({ list: Schema.Array(Schema.Struct({ kind: Schema.Literals(["x", "y"]), n: Schema.Int })) }),
  union: Schema.Struct({ value: Schema.Union([Schema.String, Schema.Struct({ id: Schema.Int })]) }),
  named: Place,
  tree: Tree
}

class Refused extends Schema.TaggedError<Refused>()("Refused", { why: Schema.String }) {
  override get message(): string {
    return `refused: ${this.why}`
  }
}

const echo = <const Name extends string, S extends Schema.Codec<unknown, unknown>>(name: Name, schema: S) =>
  Tool.make(name, { description: `gives ${name} back`, parameters: schema, success: schema, failure: Refused })

const Echo = Toolkit.make(
  echo("flat", schemas.flat),
  echo("optional", schemas.optional),
  echo("transformed", schemas.transformed),
  echo("nested", schemas.nested),
  echo("union", schemas.union),
  echo("named", schemas.named),
  echo("tree", schemas.tree),
  Tool.make("nothing"),
  Tool.make("scalar", { parameters: Schema.Struct({ n: Schema.Finite }), success: Schema.Finite }),
  Tool.make("fails", { parameters: Schema.Struct({ how: Schema.String }), failure: Refused }),
  Tool.make("returns", { parameters: Schema.Struct({ how: Schema.String }), failure: Refused, failureMode: "return" })
)

const fail = ({ how }: { readonly how: string }) =>
  how === "die" ? Effect.die(new Error("a bug")) : Effect.fail(new Refused({ why: how }))
const handlers = Echo.toLayer({
  flat: (given) => Effect.succeed(given),
  optional: (given) => Effect.succeed(given),
  transformed: (given) => Effect.succeed(given),
  nested: (given) => Effect.succeed(given),
  union: (given) => Effect.succeed(given),
  named: (given) => Effect.succeed(given),
  tree: (given) => Effect.succeed(given),
  nothing: () => Effect.void,
  scalar: ({ n }) => Effect.succeed(n),
  fails: fail,
  returns: fail
})

const mcp = McpTest.makeClient(McpServer.toolkit(Echo).pipe(Layer.provide(handlers)), {
  protocols: [McpProtocol.v2025_11_25]
})

/** What the gateway adds of its own: structured content as text before the rest. */
const withoutStructured = (content: ReadonlyArray<unknown>) =>
  content.filter((part) =>
    !(Predicate.hasProperty(part, "text") && String(part.text).startsWith("structuredContent:\n"))
  )

const plain = (value: unknown): unknown => value === undefined ? undefined : JSON.parse(JSON.stringify(value))

describe("tools of a host beside those of effect/ai's MCP server", () => {
  it.effect("have the same names, descriptions and schemas", () =>
    Effect.gen(function*() {
      const { tools } = yield* (yield* mcp).listTools()
      const descriptors = Result.getOrThrow(descriptorsOf(Echo.tools))
      assert.deepStrictEqual(
        descriptors.map(({ description, name, parameters }) => ({ name, description, parameters: plain(parameters) }))
          .toSorted(byName),
        tools.map(({ description, inputSchema, name }) => ({
          name,
          description: description ?? name,
          parameters: plain(inputSchema)
        })).toSorted(byName)
      )
    }).pipe(Effect.scoped))

  it.effect("give the same results, failures and refusals for arbitrary arguments", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const client = yield* mcp
      const { host } = yield* Fixture.running(ToolHost.layer(Echo).pipe(Layer.provide(handlers)))
      yield* Fixture.approveBoth
      yield* Fixture.reached(host, "Published")
      const both = Effect.fnUntraced(function*(name: string, args: Record<string, unknown>) {
        const ours = yield* gateway.callTool(name, args)
        const theirs = yield* Effect.result(client.callTool({ name, arguments: args }))
        const told = {
          isError: ours.details["status"] === "error",
          content: withoutStructured(ours.content),
          structuredContent: ours.details["structuredContent"]
        }
        if (Result.isFailure(theirs)) {
          // MCP has an error of the protocol for these, which the model of a gateway would not see.
          assert.isTrue(told.isError)
          assert.deepStrictEqual(Fixture.texts(ours), [theirs.failure.message])
          return
        }
        const { content, isError, structuredContent } = theirs.success
        assert.strictEqual(told.isError, isError === true)
        assert.deepStrictEqual(plain(told.content), plain(content))
        if (Predicate.isObject(structuredContent)) {
          assert.deepStrictEqual(plain(told.structuredContent), plain(structuredContent))
        }
      })
      for (const [name, schema] of Object.entries(schemas)) {
        const encoded = yield* Arbitrary.sampleEffect(Arbitrary.schema(Schema.toEncoded(schema)), {
          seed: 3,
          count: 30
        })
        for (const args of encoded) yield* both(name, Object(plain(args)))
        for (const args of [{}, { city: "" }, { when: "no date", count: "x" }, { extra: 1, name: 12 }]) {
          yield* both(name, args)
        }
      }
      yield* both("nothing", {})
      yield* both("scalar", { n: 4 })
      yield* both("fails", { how: "no" })
      yield* both("returns", { how: "no" })
      yield* both("returns", { how: 12 })
    }).pipe(Effect.scoped, Effect.provide(Fixture.layer())))
})

/** A schema of any shape that tools have, of so many levels. */
const anySchema = (levels: number): Arbitrary.Arbitrary<Schema.Codec<unknown, unknown>> =>
  Arbitrary.flatMap(
    Arbitrary.schema(Schema.Literals(levels === 0 ? leaves : [...leaves, ...branches])),
    (kind): Arbitrary.Arbitrary<Schema.Codec<unknown, unknown>> => {
      if (isLeaf(kind)) return Arbitrary.map(Arbitrary.schema(Schema.Null), () => leafOf[kind])
      const inner = anySchema(levels - 1)
      switch (kind) {
        case "array":
          return Arbitrary.map(inner, (item) => Schema.Array(item))
        case "record":
          return Arbitrary.map(inner, (value) => Schema.Record(Schema.String, value))
        case "nullOr":
          return Arbitrary.map(inner, (value) => Schema.NullOr(value))
        case "union":
          return Arbitrary.map(inner, (value) =>
            Schema.Union([Schema.Struct({ _tag: Schema.Literal("some"), value }), Schema.String]))
        case "struct":
          return anyStruct(levels - 1)
      }
    }
  )

const leaves = ["string", "filled", "number", "int", "boolean", "literal", "date"] as const
const branches = ["array", "record", "nullOr", "union", "struct"] as const
const leafOf: Record<(typeof leaves)[number], Schema.Codec<unknown, unknown>> = {
  string: Schema.String,
  filled: Schema.NonEmptyString.check(Schema.isMaxLength(5)),
  number: Schema.Finite,
  int: Schema.Int.check(Schema.isBetween({ minimum: -5, maximum: 5 })),
  boolean: Schema.Boolean,
  literal: Schema.Literals(["a", "b", 3]),
  date: Schema.DateFromString
}
const isLeaf = (kind: string): kind is keyof typeof leafOf => Object.hasOwn(leafOf, kind)

const anyStruct = (levels: number): Arbitrary.Arbitrary<Schema.Codec<unknown, unknown>> =>
  Arbitrary.map(
    Arbitrary.array(Arbitrary.all([anySchema(levels), Arbitrary.schema(Schema.Boolean)]), {
      minLength: 1,
      maxLength: 4
    }),
    (fields) =>
      Schema.Struct(Object.fromEntries(fields.map(([field, isOptional], index) => [
        `f${index}`,
        isOptional ? Schema.optionalKey(field) : field
      ])))
  )

describe("arbitrary toolkits", () => {
  it.effect.each([1, 2, 3, 4])(
    "through the host give what a direct call gives, and what MCP gives (seed %s)",
    (seed) =>
      Effect.gen(function*() {
        const shapes = yield* Arbitrary.sampleEffect(anyStruct(2), { seed, count: 30 })
        const toolkit = Toolkit.make(...shapes.map((shape, index) => echo(`tool_${index}`, shape)))
        const back = (given: unknown) => Effect.succeed(given)
        const echoes = toolkit.toLayer(Object.fromEntries(shapes.map((_, index) => [`tool_${index}`, back])))
        const gateway = yield* DevGateway
        const { host } = yield* Fixture.running(ToolHost.layer(toolkit).pipe(Layer.provide(echoes)))
        yield* Fixture.approveBoth
        yield* Fixture.reached(host, "Published")
        const client = yield* McpTest.makeClient(McpServer.toolkit(toolkit).pipe(Layer.provide(echoes)), {
          protocols: [McpProtocol.v2025_11_25]
        })
        const { tools } = yield* client.listTools()
        assert.deepStrictEqual(
          host.tools().map(({ name, parameters }) => ({ name, parameters: plain(parameters) })).toSorted(byName),
          tools.map(({ inputSchema, name }) => ({ name, parameters: plain(inputSchema) })).toSorted(byName)
        )
        const built = yield* Effect.provide(toolkit, echoes)
        let right = 0
        let wrong = 0
        for (const [index, shape] of shapes.entries()) {
          const name = `tool_${index}` as const
          const fitting = yield* Arbitrary.sampleEffect(Arbitrary.schema(Schema.toEncoded(shape)), { seed, count: 4 })
          const others = yield* Arbitrary.sampleEffect(
            Arbitrary.schema(Schema.Record(Schema.Literals(["f0", "f1", "x"]), Schema.Json)),
            { seed, count: 3 }
          )
          for (const sample of [...fitting, ...others]) {
            const args = Object(plain(sample))
            const through = yield* gateway.callTool(name, args)
            const direct = yield* Effect.result(
              Effect.flatMap(built.handle(name, args, "id"), Stream.runLast)
            )
            const theirs = yield* Effect.result(client.callTool({ name, arguments: args }))
            if (Result.isFailure(direct)) {
              wrong++
              assert.strictEqual(through.details["status"], "error", JSON.stringify(args))
              assert.isTrue(Result.isFailure(theirs) || theirs.success.isError === true)
              continue
            }
            right++
            const encoded = plain(Option.getOrThrow(direct.success).encodedResult)
            assert.deepStrictEqual(plain(through.details["structuredContent"]), encoded, JSON.stringify(args))
            if (Result.isFailure(theirs)) return assert.fail(theirs.failure.message)
            assert.deepStrictEqual(plain(theirs.success.structuredContent), encoded)
            assert.deepStrictEqual(plain(withoutStructured(through.content)), plain(theirs.success.content))
          }
        }
        assert.isAbove(right, 60)
        assert.isAbove(wrong, 20)
      }).pipe(Effect.scoped, Effect.provide(Fixture.layer()))
  )
})

const byName = (one: { readonly name: string }, other: { readonly name: string }) => one.name < other.name ? -1 : 1
