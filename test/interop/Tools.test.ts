import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { AgentEvents } from "../../src/agent/AgentEvents.ts"
import * as ToolAgent from "../../src/agent/ToolAgent.ts"
import { Admission } from "../../src/connection/Admission.ts"
import { GatewayConfig } from "../../src/handshake/GatewayConfig.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { Signer } from "../../src/identity/Signer.ts"
import { TokenStore } from "../../src/identity/TokenStore.ts"
import * as TransportWs from "../../src/link/TransportWs.ts"
import { ApproveCommands } from "../../src/pairing/ApproveCommand.ts"
import type { AgentEvent } from "../../src/protocol/AgentEvent.ts"
import { isBefore } from "../../src/protocol/Connect.ts"
import type { Method } from "../../src/protocol/Method.ts"
import * as NodeMethod from "../../src/protocol/NodeMethod.ts"
import { TaskJournal } from "../../src/tasks/TaskJournal.ts"
import { ToolHost } from "../../src/toolhost/ToolHost.ts"
import * as Fixture from "../toolhost/Fixture.ts"
import { untilTrue } from "./support/EventLog.ts"
import type { InteropError } from "./support/InteropError.ts"
import { boot, type Gateway, releases } from "./support/OpenClaw.ts"
import { administrator, readAndWrite } from "./support/RawClient.ts"
import * as RemoteProxy from "./support/RemoteProxy.ts"

const hostOf = (url: string, { token }: Gateway) =>
  Layer.mergeAll(
    Admission.layer,
    TransportWs.layer,
    GatewayConfig.layer({ url, token, displayName: "interop" }),
    Layer.orDie(DeviceIdentity.layerEphemeral()).pipe(Layer.provide(Signer.layerNodejs)),
    TokenStore.layerMemory,
    TaskJournal.layerMemory,
    Layer.orDie(ApproveCommands.layer({ _tag: "host" }))
  ).pipe(Layer.provideMerge(SecureRandom.layerWebCrypto))

const until = (what: string, is: () => boolean) =>
  Effect.timeoutOrElse(untilTrue(is), {
    duration: "90 seconds",
    orElse: () => Effect.die(new Error(`waits in vain: ${what}`))
  })

const textIn = (value: unknown): string => JSON.stringify(value)

/** A gateway, a device with the two tools behind a proxy, and an administrator. */
const staged = Effect.fnUntraced(function*(release: string) {
  const gateway = yield* boot(release)
  const proxy = yield* RemoteProxy.proxy(gateway)
  const slow = yield* Fixture.slowness
  const seen: Array<AgentEvent> = []
  const context = yield* Layer.build(
    ToolAgent.layer(Fixture.Tools, Fixture.handlers(slow)).pipe(Layer.provideMerge(hostOf(proxy.url, gateway)))
  )
  const events = yield* Effect.provide(AgentEvents, context)
  yield* Effect.forkScoped(Stream.runForEach(events.events, (event) => Effect.sync(() => void seen.push(event))))
  /** Pastes the command of a notice into a shell on the gateway's host. */
  const approve = Effect.fnUntraced(function*(reason: string) {
    const find = () => seen.find((event) => event.event === "pairing.required" && event.reason === reason)
    yield* until(reason, () => find() !== undefined)
    const notice = find()
    if (notice?.event !== "pairing.required" || notice.approve === undefined) return assert.fail(textIn(notice))
    const { code, stderr, stdout } = yield* gateway.shell(notice.approve.text)
    assert.strictEqual(code, 0, `${notice.approve.text}\n${stdout}\n${stderr}`)
    return notice
  })
  const admin = yield* administrator(gateway, { scopes: readAndWrite, caps: ["tool-events"] })
  const send = (key: string, ...lines: ReadonlyArray<string>) =>
    admin.request("chat.send", {
      sessionKey: `agent:main:${key}`,
      message: lines.join("\n"),
      deliver: false,
      idempotencyKey: `run-${key}`
    })
  const ended = (key: string) =>
    admin.nextEvent(
      "chat",
      (payload) =>
        Predicate.hasProperty(payload, "runId") && payload.runId === `run-${key}`
        && Predicate.hasProperty(payload, "state")
        && ["final", "aborted", "error"].includes(String(payload.state))
    )
  return { admin, approve, ended, gateway, host: yield* Effect.provide(ToolHost, context), proxy, seen, send, slow }
})

const published = Effect.fnUntraced(function*(release: string) {
  const stage = yield* staged(release)
  yield* stage.approve("not-paired")
  yield* stage.approve("role-upgrade")
  yield* stage.approve("surface")
  yield* Fixture.reached(stage.host, "Published")
  return stage
})

const answerOf = <Params, Answer>(
  { request }: { readonly request: (method: string, params: unknown) => Effect.Effect<unknown, InteropError> },
  { answer, name }: Method<Params, Answer>,
  params: Params
) => Effect.flatMap(request(name, params), Schema.decodeUnknownEffect(answer))

const useWeather = (city: unknown) => `[use effect_weather ${JSON.stringify({ city })}]`

describe.each(Effect.runSync(releases))("tools of a device on OpenClaw %s", (release) => {
  const old = isBefore(release, "2026.8") === true

  it.live.skipIf(old)(
    "are approved by the commands of the notices, found and called by the agent",
    () =>
      Effect.gen(function*() {
        const { admin, ended, gateway, send, slow } = yield* published(release)
        const { model } = gateway
        yield* send("called", useWeather("Oslo"))
        yield* ended("called")
        assert.match(textIn(model.toolResults), /degrees.{1,10}4/)
        if (model.tools().includes("tool_search")) {
          yield* send("search", `[use tool_search ${JSON.stringify({ query: "temperature in a city" })}]`)
          yield* ended("search")
          assert.include(textIn(model.toolResults.at(-1)), "effect_weather")
        } else assert.include(model.tools(), "effect_weather")
        // What the command `tools` tells of it.
        const effective = yield* answerOf(admin, NodeMethod.effectiveTools, { sessionKey: "agent:main:called" })
        const ids = effective.groups.flatMap(({ tools }) => tools).map(({ id }) => id)
        assert.strictEqual(NodeMethod.agentName("0", "effect_weather", new Set(ids)), "effect_weather")
        const { resolved } = yield* answerOf(admin, NodeMethod.toolSearchSetting, {})
        const searched = NodeMethod.isBehindToolSearch(resolved.tools?.toolSearch, release)
        if (searched !== undefined) assert.strictEqual(searched, model.tools().includes("tool_search"))
        assert.strictEqual(searched, isBefore(release, "2026.9") === true ? undefined : true)
        // What the model can mend comes back to it.
        yield* send("wrong", `[use effect_weather ${JSON.stringify({ town: "Oslo" })}]`)
        yield* ended("wrong")
        assert.match(textIn(model.toolResults.at(-1)), /city/)
        yield* send("failed", useWeather("Atlantis"))
        yield* ended("failed")
        assert.match(textIn(model.toolResults.at(-1)), /there is no city Atlantis/)
        yield* send("died", useWeather("Crash"))
        yield* ended("died")
        assert.match(textIn(model.toolResults.at(-1)), /internal error/)
        assert.notInclude(textIn(model.toolResults), "a bug with the secret")

        // Twenty at once.
        yield* Deferred.succeed(slow.release, undefined)
        const answers = yield* Effect.forEach(
          Array.from({ length: 20 }, (_, index) => `n${index}`),
          (name) =>
            admin.request("tools.invoke", { name: "effect_slow", args: { name }, sessionKey: `agent:main:${name}` }),
          { concurrency: "unbounded" }
        )
        for (const [index, answer] of answers.entries()) assert.include(textIn(answer), `done n${index}`)
        assert.lengthOf(slow.begun, 20)
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    240_000
  )

  it.live.skipIf(old)(
    "are interrupted with the run that called them, and by a lost link, and nothing runs twice",
    () =>
      Effect.gen(function*() {
        const { admin, ended, gateway, host, proxy, send, slow } = yield* published(release)
        const call = (name: string) => `[use effect_slow ${JSON.stringify({ name })}]`
        yield* send("aborted", call("aborted"))
        yield* until("the call", () => slow.begun.includes("aborted"))
        yield* admin.request("chat.abort", { sessionKey: "agent:main:aborted", runId: "run-aborted" })
        yield* ended("aborted")
        // 2026.8.2 lets the invocation go on until its deadline.
        if (isBefore(release, "2026.9") !== true) {
          yield* until("the finalizer", () => slow.stopped.includes("aborted"))
          assert.strictEqual(host.counts().running, 0)
        }
        yield* send("cut", call("cut"))
        yield* until("the call", () => slow.begun.includes("cut"))
        yield* proxy.drop
        yield* until("the finalizer", () => slow.stopped.includes("cut"))
        yield* ended("cut")
        assert.match(textIn(gateway.model.toolResults.at(-1)), /disconnect|unavailable|fail|error/i)
        yield* Fixture.reached(host, "Published")
        yield* send("again", useWeather("Rome"))
        yield* ended("again")
        assert.match(textIn(gateway.model.toolResults.at(-1)), /degrees.{1,10}4/)
        assert.deepStrictEqual(slow.begun, ["aborted", "cut"])
        assert.strictEqual(host.counts().running, 0)
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    240_000
  )

  it.live.skipIf(!old)("are not offered by a release that is too old, which says so", () =>
    Effect.gen(function*() {
      const { admin, host, seen } = yield* staged(release)
      // The command line of 2026.6.11 is itself not allowed to approve a node.
      for (const reason of ["not-paired", "role-upgrade"]) {
        const find = () => seen.find((event) => event.event === "pairing.required" && event.reason === reason)
        yield* until(reason, () => find() !== undefined)
        const notice = find()
        yield* admin.request("device.pair.approve", {
          requestId: notice?.event === "pairing.required" ? notice.requestId : ""
        })
      }
      const { error } = yield* Fixture.reached(host, "NotOffered")
      assert.strictEqual(error.reason, "Old")
      assert.include(error.message, "2026.8 or newer")
      yield* until("the event", () => seen.some((event) => event.event === "tools" && event.state === "not-offered"))
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 240_000)
})
