import { assert, describe, it } from "@effect/vitest"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import { ToolHost } from "../../src/toolhost/ToolHost.ts"
import * as Fixture from "./Fixture.ts"

const { published, reached, running, texts } = Fixture

describe("ToolHost", () => {
  it.effect("waits for both approvals, and the gateway's agent then has its tools", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const { host } = yield* Fixture.serving(yield* Fixture.slowness)
      const device = yield* Fixture.approveDevice
      assert.deepInclude(device, { role: "node", clientId: "node-host", clientMode: "node", deviceFamily: "Linux" })
      assert.deepStrictEqual(device?.scopes, [])
      const { approval } = yield* reached(host, "AwaitingApproval")
      const { surfaces: [surface] } = yield* gateway.awaitState(({ surfaces }) => surfaces.length === 1)
      assert.deepInclude(surface, { caps: ["mcp"], commands: ["mcp.tools.call.v1"] })
      assert.strictEqual(String(approval.requestId), surface?.requestId)
      yield* gateway.approveSurface(surface?.requestId ?? "")
      assert.deepStrictEqual((yield* reached(host, "Published")).tools, ["effect_slow", "effect_weather"])
      const tools = yield* gateway.tools
      assert.deepStrictEqual(tools.map(({ name }) => name), ["effect_slow", "effect_weather"])
      assert.deepStrictEqual(yield* gateway.callTool("effect_weather", { city: "Oslo" }), {
        content: [
          { type: "text", text: 'structuredContent:\n{\n  "degrees": 4\n}' },
          { type: "text", text: '{"degrees":4}' }
        ],
        details: { mcpServer: "effect-openclaw", mcpTool: "effect_weather", structuredContent: { degrees: 4 } }
      })
    }).pipe(Effect.provide(Fixture.layer())))

  it.effect("a release that tells the node nothing is asked, and asked less and less", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const { host } = yield* Fixture.serving(yield* Fixture.slowness)
      yield* Fixture.approveBoth
      yield* Effect.yieldNow
      assert.strictEqual((yield* host.status)._tag, "AwaitingApproval")
      yield* TestClock.adjust("5 seconds")
      yield* reached(host, "Published")
      assert.lengthOf(yield* gateway.tools, 2)
    }).pipe(Effect.provide(Fixture.layer({ nodes: { told: false } }))))

  it.effect("a rejected surface is found out, and is no approval", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const { host } = yield* Fixture.serving(yield* Fixture.slowness)
      yield* Fixture.approveDevice
      const { approval } = yield* reached(host, "AwaitingApproval")
      yield* gateway.rejectSurface(approval.requestId ?? "")
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* reached(host, "Withheld")).reason, "Rejected")
    }).pipe(Effect.provide(Fixture.layer())))

  it.effect("an older release is told apart, with what it would take", () =>
    Effect.gen(function*() {
      const { host } = yield* Fixture.serving(yield* Fixture.slowness)
      yield* Fixture.approveDevice
      const { error } = yield* reached(host, "NotOffered")
      assert.strictEqual(error.reason, "Old")
      assert.strictEqual(
        error.message,
        "the gateway's agent cannot use tools of a device: that needs OpenClaw 2026.8 or newer (this is 2026.6.11)"
      )
    }).pipe(Effect.provide(Fixture.layer({ nodes: { tools: false }, version: "2026.6.11" }))))

  it.effect("refuses tools before anything is dialled, each by its name", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const many = Toolkit.make(
        ...Array.from({ length: 130 }, (_, index) => Tool.make(`tool_${index}`)),
        Tool.make("9lives"),
        Tool.make("tuple", { parameters: Schema.Tuple([Schema.String]) })
      )
      const handlers = Layer.effectContext(Effect.die("not wanted"))
      const refused = yield* Effect.flip(Layer.build(ToolHost.layerStarting(many, handlers)))
      assert.deepStrictEqual(refused.problems.map(({ tool }) => tool), ["tool_128", "tool_129", "9lives", "tuple"])
      assert.strictEqual((yield* gateway.stats).attempts, 0)
    }).pipe(Effect.scoped, Effect.provide(Fixture.layer())))

  it.effect("tells the model what it can mend, and of a defect a fixed text", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      yield* published(yield* Fixture.slowness)
      const call = (city: unknown) => gateway.callTool("effect_weather", { city })
      const wrong = yield* call(12)
      assert.strictEqual(wrong.details["status"], "error")
      assert.match(texts(wrong).join(), /city/)
      const failed = yield* call("Atlantis")
      assert.deepStrictEqual([failed.details["status"], texts(failed)], ["error", ["there is no city Atlantis"]])
      const died = yield* call("Crash")
      assert.deepStrictEqual([died.details["status"], texts(died)], [
        "error",
        ["The tool failed because of an internal error. Its host has logged the cause."]
      ])
    }).pipe(Effect.provide(Fixture.layer())))

  it.effect("a handler that interrupts itself is told as stopped, and not as a bug", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const quitting = Toolkit.make(Tool.make("quit"))
      const host = ToolHost.layer(quitting).pipe(Layer.provide(quitting.toLayer({ quit: () => Effect.interrupt })))
      yield* reached((yield* Effect.tap(running(host), Fixture.approveBoth)).host, "Published")
      const { reason } = yield* Effect.flip(gateway.callTool("quit", {}))
      assert.strictEqual(reason, "tool execution failed")
    }).pipe(Effect.provide(Fixture.layer())))

  it.effect("a call that is made again gets the result of the first, which runs once", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const slow = yield* Fixture.slowness
      yield* published(slow)
      const call = gateway.callTool("effect_slow", { name: "one" }, { idempotencyKey: "key" })
      const calls = yield* Effect.forkChild(Effect.all([call, call], { concurrency: 2 }), { startImmediately: true })
      yield* Fixture.until(() => slow.begun.length > 0)
      yield* Deferred.succeed(slow.release, undefined)
      assert.deepStrictEqual((yield* Fiber.join(calls)).map(texts), [['"done one"'], ['"done one"']])
      assert.deepStrictEqual(texts(yield* call), ['"done one"'])
      assert.deepStrictEqual(slow.begun, ["one"])
      // The same key of another conversation, and later, is another call.
      yield* gateway.callTool("effect_slow", { name: "one" }, { idempotencyKey: "key", sessionKey: "agent:main:b" })
      yield* TestClock.adjust("11 seconds")
      yield* call
      assert.deepStrictEqual(slow.begun, ["one", "one", "one"])
    }).pipe(Effect.provide(Fixture.layer())))

  it.effect("a cancelled call is interrupted, and its finalizer has run", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const slow = yield* Fixture.slowness
      const { host } = yield* published(slow)
      const call = yield* Effect.forkChild(gateway.callTool("effect_slow", { name: "one" }), { startImmediately: true })
      yield* Fixture.until(() => slow.begun.length > 0)
      assert.strictEqual(host.counts().running, 1)
      yield* Fiber.interrupt(call)
      yield* Fixture.until(() => host.counts().running === 0)
      assert.deepStrictEqual(slow.stopped, ["one"])
    }).pipe(Effect.provide(Fixture.layer())))

  it.effect("a deadline interrupts the call", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const slow = yield* Fixture.slowness
      const { host } = yield* published(slow)
      const call = yield* Effect.forkChild(Effect.flip(gateway.callTool("effect_slow", { name: "one" })), {
        startImmediately: true
      })
      yield* TestClock.adjust("120 seconds")
      assert.strictEqual((yield* Fiber.join(call)).code, "internal_error")
      assert.deepStrictEqual([slow.stopped, host.counts().running], [["one"], 0])
    }).pipe(Effect.provide(Fixture.layer())))

  it.effect("a lost link interrupts what runs; tools are published again, and nothing runs twice", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const slow = yield* Fixture.slowness
      const { host } = yield* published(slow)
      const call = gateway.callTool("effect_slow", { name: "one" }, { idempotencyKey: "key" })
      const lost = yield* Effect.forkChild(Effect.flip(call), { startImmediately: true })
      yield* Fixture.until(() => slow.begun.length > 0)
      yield* gateway.dropAll(1006)
      assert.strictEqual((yield* Fiber.join(lost)).code, "internal_error")
      yield* TestClock.adjust("2 seconds")
      yield* reached(host, "Published")
      assert.deepStrictEqual([slow.begun, slow.stopped], [["one"], ["one"]])
      assert.strictEqual((yield* Effect.flip(call)).code, "internal_error")
      assert.deepStrictEqual(slow.begun, ["one"])
    }).pipe(Effect.provide(Fixture.layer())))

  it.effect("takes so many at once, lets so many wait, and refuses the others", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const slow = yield* Fixture.slowness
      const { host } = yield* published(slow, { running: 2, queued: 1, argumentsLength: 200 })
      const call = (name: string) => gateway.callTool("effect_slow", { name })
      const calls = yield* Effect.forkChild(
        Effect.forEach(["one", "two", "three"], call, { concurrency: "unbounded" }),
        { startImmediately: true }
      )
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(host.counts(), { running: 2, queued: 1, remembered: 0 })
      assert.match(texts(yield* call("four")).join(), /^Busy: /)
      assert.match(texts(yield* call("x".repeat(200))).join(), /^ArgumentsTooLarge: /)
      yield* Deferred.succeed(slow.release, undefined)
      assert.deepStrictEqual((yield* Fiber.join(calls)).map(texts), [['"done one"'], ['"done two"'], [
        '"done three"'
      ]])
      assert.deepStrictEqual(slow.begun, ["one", "two", "three"])
      assert.deepStrictEqual(host.counts(), { running: 0, queued: 0, remembered: 3 })
    }).pipe(Effect.provide(Fixture.layer())))

  it.effect("a result that is too large is told as such", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const slow = yield* Fixture.slowness
      yield* Deferred.succeed(slow.release, undefined)
      yield* published(slow, { resultLength: 100 })
      assert.match(texts(yield* gateway.callTool("effect_slow", { name: "x".repeat(100) })).join(), /^ResultTooLarge: /)
    }).pipe(Effect.provide(Fixture.layer())))

  it.effect("twenty at once are served", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const slow = yield* Fixture.slowness
      const { host } = yield* published(slow)
      const names = Array.from({ length: 20 }, (_, index) => `n${index}`)
      const calls = yield* Effect.forkChild(
        Effect.forEach(names, (name) => gateway.callTool("effect_slow", { name }), { concurrency: "unbounded" }),
        { startImmediately: true }
      )
      yield* TestClock.adjust(1)
      assert.strictEqual(host.counts().running, 20)
      yield* Deferred.succeed(slow.release, undefined)
      assert.deepStrictEqual((yield* Fiber.join(calls)).map(texts), names.map((name) => [`"done ${name}"`]))
    }).pipe(Effect.provide(Fixture.layer())))

  it.effect("is not ready while its handlers start, and the gateway asks again", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const slow = yield* Fixture.slowness
      const up = yield* Deferred.make<void>()
      const late = Layer.unwrap(Effect.as(Deferred.await(up), Fixture.handlers(slow)))
      const { host } = yield* running(ToolHost.layerStarting(Fixture.Tools, late))
      yield* Fixture.approveBoth
      yield* reached(host, "Published")
      const unready = yield* Effect.forkChild(Effect.flip(gateway.callTool("effect_weather", { city: "Oslo" })), {
        startImmediately: true
      })
      assert.strictEqual((yield* Fixture.joined(unready)).code, "internal_error")
      const call = yield* Effect.forkChild(gateway.callTool("effect_weather", { city: "Oslo" }), {
        startImmediately: true
      })
      yield* TestClock.adjust("200 millis")
      yield* Deferred.succeed(up, undefined)
      assert.deepStrictEqual((yield* Fixture.joined(call)).details["structuredContent"], { degrees: 4 })
    }).pipe(Effect.provide(Fixture.layer())))

  it.effect("a second connection of the device takes its place, which is told and not fought", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const slow = yield* Fixture.slowness
      const { host } = yield* published(slow)
      const second = yield* running(ToolHost.layer(Fixture.Tools).pipe(Layer.provide(Fixture.handlers(slow))))
      yield* reached(second.host, "Published")
      const { attempts } = yield* gateway.stats
      yield* TestClock.adjust("90 seconds")
      assert.strictEqual((yield* host.status)._tag, "Superseded")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* host.status)._tag, "Superseded")
      assert.strictEqual((yield* second.host.status)._tag, "Published")
      assert.strictEqual((yield* gateway.stats).attempts, attempts)
    }).pipe(Effect.provide(Fixture.layer())))

  it.effect("a marked tool is refused unless the host allows it", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const parameters = Schema.Struct({ size: Schema.Finite })
      const marked = Toolkit.make(
        Tool.make("wipe", { parameters, success: Schema.String }).annotate(Tool.Destructive, true),
        Tool.make("ask", { parameters, success: Schema.String, needsApproval: true }),
        Tool.make("ask_for_much", { parameters, success: Schema.String, needsApproval: ({ size }) => size > 10 }),
        Tool.make("free", { parameters, success: Schema.String }).annotate(Tool.Destructive, false)
      )
      const done = () => Effect.succeed("done")
      const asked: Array<string> = []
      const host = ToolHost.layer(marked, {
        approve: ({ arguments: given, tool }) =>
          Effect.sync(() => {
            asked.push(`${tool} ${JSON.stringify(given)}`)
            return tool === "ask"
          })
      }).pipe(Layer.provide(marked.toLayer({ wipe: done, ask: done, ask_for_much: done, free: done })))
      yield* reached((yield* Effect.tap(running(host), Fixture.approveBoth)).host, "Published")
      const call = (name: string, size: number) => Effect.map(gateway.callTool(name, { size }), texts)
      assert.match((yield* call("wipe", 1)).join(), /was not called: nobody has allowed/)
      assert.deepStrictEqual(yield* call("ask", 1), ['"done"'])
      assert.deepStrictEqual(yield* call("ask_for_much", 1), ['"done"'])
      assert.match((yield* call("ask_for_much", 11)).join(), /was not called/)
      assert.deepStrictEqual(yield* call("free", 1), ['"done"'])
      assert.deepStrictEqual(asked, ['wipe {"size":1}', 'ask {"size":1}', 'ask_for_much {"size":11}'])
    }).pipe(Effect.provide(Fixture.layer())))
})
