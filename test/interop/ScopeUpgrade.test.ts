import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { randomUUID } from "node:crypto"
import { Supervisor } from "../../src/connection/Supervisor.ts"
import { ScopeName } from "../../src/protocol/Connect.ts"
import { TaskJournal } from "../../src/tasks/TaskJournal.ts"
import { TaskRunner } from "../../src/tasks/TaskRunner.ts"
import * as LibraryAgent from "./support/LibraryAgent.ts"
import { boot, type Gateway, releases } from "./support/OpenClaw.ts"
import { administrator } from "./support/RawClient.ts"
import { proxy } from "./support/RemoteProxy.ts"

// Branches on what a gateway does, never on what it is called.

class Place extends Context.Service<Place, { readonly gateway: Gateway }>()("test/interop/ScopeUpgrade/Place") {
  static readonly layer = (release: string) =>
    Layer.effect(Place, Effect.map(boot(release), (gateway) => ({ gateway }))).pipe(
      Layer.provideMerge(NodeServices.layer)
    )
}

const less = ["operator.read", "operator.write"]
const more = ScopeName.make("operator.approvals")

const decodePending = Schema.decodeUnknownEffect(Schema.Struct({
  pending: Schema.Array(Schema.Struct({
    requestId: Schema.String,
    deviceId: Schema.String,
    scopes: Schema.Array(Schema.String)
  }))
}))

/** A restart of the gateway ends an administrator, so each act has one of its own. */
const asAdministrator = (method: string, params: object) =>
  Effect.scoped(Effect.gen(function*() {
    const { gateway } = yield* Place
    const admin = yield* administrator(gateway)
    return yield* admin.request(method, params)
  }))

const requestOf = Effect.fnUntraced(function*(deviceId: string) {
  const { pending } = yield* decodePending(yield* asAdministrator("device.pair.list", {}))
  return pending.filter((request) => request.deviceId === deviceId)
})

/** A device that was approved for `less`; none where the gateway admits every device with whatever it asks for. */
const paired = Effect.gen(function*() {
  const { gateway } = yield* Place
  const remote = yield* proxy(gateway)
  const home = yield* LibraryAgent.makeHome
  const agent = yield* LibraryAgent.start(home, { url: remote.url, token: gateway.token, scopes: less })
  const first = yield* agent.settled()
  if (first._tag !== "AwaitingApproval") return undefined
  yield* asAdministrator("device.pair.approve", { requestId: first.approval.requestId })
  yield* agent.supervisor.checkNow
  const { session } = yield* agent.until("Connected")
  return { agent, home, remote, session }
})

/** The request for more that waits beside the session, as the agent tells it and as the gateway has it. */
const upgradeOf = Effect.fnUntraced(function*(agent: LibraryAgent.LibraryAgent) {
  const { session, upgrade } = yield* agent.until("Connected", { where: ({ upgrade }) => upgrade !== undefined })
  const pending = yield* requestOf(agent.deviceId)
  assert.deepStrictEqual(pending.map(({ requestId }) => requestId), [String(upgrade?.requestId)])
  assert.includeMembers([...pending[0]?.scopes ?? []], [...less, more])
  assert.notInclude(session.facts.scopes, more)
  return { requestId: String(upgrade?.requestId), session }
})

const isWider = ({ session }: LibraryAgent.StatusOf<"Connected">) => session.facts.scopes.includes(more)

describe.each(Effect.runSync(releases))("a scope upgrade on OpenClaw %s", (release) => {
  layer(Place.layer(release), { excludeTestServices: true, timeout: "300 seconds" })((it) => {
    it.effect(
      "B03: approved while a task runs, the session gets the scopes and the task its one answer",
      () =>
        Effect.gen(function*() {
          const { gateway } = yield* Place
          const device = yield* paired
          if (device === undefined) return
          const { agent, session } = device
          const before = yield* agent.stored
          const services = yield* Layer.build(
            TaskRunner.layer().pipe(
              Layer.provide([
                Layer.succeed(Supervisor, agent.supervisor),
                TaskJournal.layerMemory,
                SecureRandom.layerWebCrypto
              ])
            )
          )
          const tasks = Context.get(services, TaskRunner)
          const text = `[hold] ${randomUUID()}`
          const { taskId } = yield* tasks.delegate(text)
          yield* gateway.model.nextPrompt(text)

          const outcome = yield* Effect.forkChild(agent.supervisor.upgradeScopes([more]))
          const { requestId } = yield* upgradeOf(agent)
          yield* asAdministrator("device.pair.approve", { requestId })
          yield* agent.supervisor.checkNow
          const status = yield* agent.until("Connected", { where: isWider })
          assert.strictEqual((yield* Fiber.join(outcome))._tag, "Granted")
          assert.notStrictEqual(status.session, session)
          assert.isUndefined(status.upgrade)
          const stored = yield* agent.stored
          assert.isTrue(
            stored !== undefined && before !== undefined
              && Redacted.value(stored.token) !== Redacted.value(before.token)
          )

          yield* gateway.model.release("[hold]")
          assert.deepInclude(yield* tasks.await(taskId), { _tag: "Completed", text: `echo: ${text}` })
          assert.lengthOf(gateway.model.prompts.filter((prompt) => prompt.includes(text)), 1)
        }),
      90_000
    )

    it.effect("rejected, the session is the one it was and works on", () =>
      Effect.gen(function*() {
        const device = yield* paired
        if (device === undefined) return
        const { agent, session } = device
        const outcome = yield* Effect.forkChild(agent.supervisor.upgradeScopes([more]))
        const { requestId } = yield* upgradeOf(agent)
        yield* asAdministrator("device.pair.reject", { requestId })
        yield* agent.supervisor.checkNow
        const ended = yield* Fiber.join(outcome)
        assert.strictEqual(ended._tag, "Declined")
        // Releases without the request over the session do not tell a rejection.
        if (ended._tag === "Declined") assert.include(["rejected", "replaced"], ended.reason)
        const status = yield* agent.until("Connected")
        assert.strictEqual(status.session, session)
        assert.isUndefined(status.upgrade)
        yield* session.request("chat.history", { sessionKey: "agent:main:main" })
      }), 60_000)

    it.effect(
      "G06: settings that grew connect with what was approved; the request outlives a cut link and a restart",
      () =>
        Effect.gen(function*() {
          const { gateway } = yield* Place
          const device = yield* paired
          if (device === undefined) return
          const { home, remote } = device
          yield* device.agent.stop
          const agent = yield* LibraryAgent.start(home, {
            url: remote.url,
            token: gateway.token,
            scopes: [...less, more]
          })
          const { requestId, session } = yield* upgradeOf(agent)
          assert.deepStrictEqual(session.facts.missingScopes, [more])
          yield* remote.drop
          yield* agent.settled(session)
          const again = yield* upgradeOf(agent)
          assert.strictEqual(again.requestId, requestId)
          yield* gateway.restart
          yield* agent.until("Connected", {
            where: (status) => status.session !== again.session,
            timeout: "90 seconds"
          })
          const back = yield* upgradeOf(agent)
          assert.strictEqual(back.requestId, requestId)
          yield* asAdministrator("device.pair.approve", { requestId })
          yield* agent.supervisor.checkNow
          yield* agent.until("Connected", { where: isWider })
          yield* agent.stop
          // The stored token is the one that has them.
          const later = yield* LibraryAgent.start(home, { url: remote.url, scopes: [...less, more] })
          yield* later.until("Connected", { where: isWider })
        }),
      120_000
    )

    it.effect(
      "with its own token alone it asks where the gateway takes that, and is told where not",
      () =>
        Effect.gen(function*() {
          const device = yield* paired
          if (device === undefined) return
          yield* device.agent.stop
          const agent = yield* LibraryAgent.start(device.home, { url: device.remote.url, scopes: less })
          const { session } = yield* agent.until("Connected")
          const outcome = yield* Effect.forkChild(Effect.result(agent.supervisor.upgradeScopes([more])))
          const status = yield* Effect.raceFirst(
            agent.until("Connected", { where: ({ upgrade }) => upgrade !== undefined }),
            Effect.as(Fiber.join(outcome), undefined)
          )
          if (status === undefined) {
            const refused = yield* Fiber.join(outcome)
            assert.strictEqual(refused._tag, "Failure")
            if (refused._tag === "Failure") assert.strictEqual(refused.failure.reason, "NeedsSharedCredential")
            assert.deepStrictEqual(yield* requestOf(agent.deviceId), [])
            return yield* session.request("chat.history", { sessionKey: "agent:main:main" })
          }
          const { requestId } = yield* upgradeOf(agent)
          yield* asAdministrator("device.pair.approve", { requestId })
          yield* agent.until("Connected", { where: isWider })
          yield* agent.stop
          const later = yield* LibraryAgent.start(device.home, { url: device.remote.url, scopes: [...less, more] })
          yield* later.until("Connected", { where: isWider })
        }),
      60_000
    )
  })
})
