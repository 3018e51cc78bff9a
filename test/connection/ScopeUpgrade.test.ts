import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { Admission } from "../../src/connection/Admission.ts"
import type { ConnectionStatus } from "../../src/connection/ConnectionStatus.ts"
import type { Options } from "../../src/devgateway/DevGateway.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import type { Fault } from "../../src/devgateway/Fault.ts"
import type { GatewayInput } from "../../src/handshake/GatewayConfig.ts"
import { GatewayConfig } from "../../src/handshake/GatewayConfig.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { TokenStore } from "../../src/identity/TokenStore.ts"
import { Role, ScopeName } from "../../src/protocol/Connect.ts"
import * as Frame from "../../src/protocol/Frame.ts"
import * as Device from "../support/Device.ts"
import * as LogLines from "../support/LogLines.ts"
import * as MemoryAgent from "../support/MemoryAgent.ts"
import * as OwnMetrics from "../support/OwnMetrics.ts"
import { ScriptedTransport } from "../support/ScriptedTransport.ts"
import * as Wire from "../support/WireFrames.ts"

const token = MemoryAgent.sharedToken
const narrow = ["operator.read"]
const wide = ["operator.read", "operator.write"]
const more = [ScopeName.make("operator.write")]

/** The two ways of asking: over the session, and by a second attempt where a gateway does not have that. */
const gateways: ReadonlyArray<["over the session" | "by a second attempt", boolean]> = [
  ["over the session", true],
  ["by a second attempt", false]
]

const provided = (scopeUpgrades: boolean, gateway: Partial<Options> = {}) => <A, E, R>(test: Effect.Effect<A, E, R>) =>
  test.pipe(
    Effect.provide(MemoryAgent.layer({ gateway: { scopeUpgrades, ...gateway }, client: { token, scopes: narrow } })),
    Random.withSeed("upgrade")
  )

/** Approves whatever waits now. */
const approve = Effect.gen(function*() {
  const gateway = yield* DevGateway
  const [entry] = yield* gateway.pending
  yield* gateway.approve(entry?.requestId ?? assert.fail("nothing is pending"))
})
const reject = Effect.gen(function*() {
  const gateway = yield* DevGateway
  const [entry] = yield* gateway.pending
  yield* gateway.reject(entry?.requestId ?? assert.fail("nothing is pending"))
})
const pendingIds = Effect.flatMap(
  DevGateway,
  (gateway) => Effect.map(gateway.pending, (pending) => pending.map(({ requestId }) => String(requestId)))
)
const attempts = Effect.flatMap(DevGateway, (gateway) => Effect.map(gateway.stats, (stats) => stats.attempts))

/** Starts with other settings for the same gateway, on the same store. */
const startedWith = (input: GatewayInput) =>
  Effect.gen(function*() {
    const { endpoint } = yield* GatewayConfig
    const settings = { ...Device.settings(input), endpoint }
    return yield* Effect.provideService(MemoryAgent.start, GatewayConfig, settings)
  })

/** A device that was approved for reading alone, and has stopped. */
const pairedNarrow = Effect.gen(function*() {
  const first = yield* MemoryAgent.start
  yield* first.reached("AwaitingApproval")
  yield* approve
  yield* first.supervisor.checkNow
  yield* first.reached("Connected")
  yield* first.stop
})

type Connected = Extract<ConnectionStatus, { readonly _tag: "Connected" }>

const until = (running: MemoryAgent.Running, where: (status: Connected) => boolean) =>
  running.supervisor.changes.pipe(
    Stream.map(({ status }) => status),
    Stream.filter((status): status is Connected => status._tag === "Connected" && where(status)),
    Stream.runHead,
    Effect.flatMap((found) => Effect.fromOption(found)),
    Effect.orDie
  )
const waiting = (running: MemoryAgent.Running) => until(running, ({ upgrade }) => upgrade !== undefined)
const wider = (running: MemoryAgent.Running) =>
  until(running, ({ session }) => session.facts.scopes.includes("operator.write"))
const declined = (running: MemoryAgent.Running) => until(running, (status) => status.declined !== undefined)
const now = (running: MemoryAgent.Running) =>
  Effect.map(running.supervisor.status, (status) => status._tag === "Connected" ? status : assert.fail(status._tag))

const storedToken = Effect.gen(function*() {
  const { endpoint } = yield* GatewayConfig
  const { deviceId } = yield* DeviceIdentity
  const key = { gatewayScope: endpoint.gatewayScope, deviceId, role: Role.make("operator") }
  const found = yield* Effect.flatMap(TokenStore, (store) => store.get(key))
  return Option.getOrThrow(found)
})

/** An agent whose settings name more than was approved, connected with what was. */
const grown = Effect.gen(function*() {
  yield* pairedNarrow
  const running = yield* startedWith({ token, scopes: wide })
  const status = yield* waiting(running)
  return { running, session: status.session, approval: status.upgrade ?? assert.fail("no upgrade") }
})

const assertServing = Effect.fnUntraced(function*({ session }: Connected) {
  assert.isObject(yield* session.request("health", {}))
})

describe.each(gateways)("wider scopes, asked for %s", (_, scopeUpgrades) => {
  const on = provided(scopeUpgrades)
  const rejection = scopeUpgrades ? "rejected" : "replaced"

  it.effect("B03 G06: settings that grew do not cost the session: it connects with what was approved and asks for the rest", () =>
    Effect.gen(function*() {
      const { approval, running } = yield* grown
      const status = yield* now(running)
      assert.deepStrictEqual(status.session.facts.scopes, narrow)
      assert.deepStrictEqual(status.session.facts.missingScopes, ["operator.write"])
      assert.deepInclude(approval, { reason: "scope-upgrade", requestedScopes: wide, approvedScopes: narrow })
      assert.deepStrictEqual(yield* pendingIds, [String(approval.requestId)])
      yield* assertServing(status)
      assert.isTrue(running.seen.every(({ _tag }) => _tag === "Connecting" || _tag === "Connected"))
    }).pipe(on))

  it.effect("B03 G06: approved, a session with the wider scopes takes over at once; the token is stored and the old link closed", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const { running, session } = yield* grown
      const before = yield* storedToken
      yield* approve
      yield* TestClock.adjust(scopeUpgrades ? 0 : "15 seconds")
      const status = yield* wider(running)
      assert.strictEqual((yield* session.ended).reason, "Ended")
      assert.deepStrictEqual(status.session.facts.missingScopes, [])
      assert.isUndefined(status.upgrade)
      assert.isUndefined(status.declined)
      yield* assertServing(status)
      const stored = yield* storedToken
      assert.notStrictEqual(Redacted.value(stored.token), Redacted.value(before.token))
      assert.sameMembers([...stored.scopes], wide)
      assert.strictEqual((yield* gateway.stats).openPeers, 1)
      yield* running.stop
      yield* wider(yield* startedWith({ scopes: wide }))
    }).pipe(on))

  it.effect("rejected, the session is as it was, and nobody is asked again, not after a lost link either", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const { running, session } = yield* grown
      yield* reject
      yield* TestClock.adjust(scopeUpgrades ? 0 : "15 seconds")
      const status = yield* declined(running)
      assert.strictEqual(status.declined, rejection)
      assert.strictEqual(status.session, session)
      yield* assertServing(status)
      const seen = yield* attempts
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* attempts, seen)
      assert.deepStrictEqual(yield* pendingIds, [])
      yield* gateway.dropAll(1006)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual((yield* now(running)).session.facts.scopes, narrow)
      assert.strictEqual(yield* attempts, seen + 1)
      assert.deepStrictEqual(yield* pendingIds, [])
    }).pipe(on))

  it.effect("an hour that nobody looks at it ends the asking, not the session", () =>
    Effect.gen(function*() {
      const { running, session } = yield* grown
      yield* TestClock.adjust("59 minutes")
      assert.isDefined((yield* now(running)).upgrade)
      assert.lengthOf(yield* pendingIds, 1)
      yield* TestClock.adjust("4 minutes")
      const status = yield* now(running)
      assert.strictEqual(status.declined, "unseen")
      assert.strictEqual(status.session, session)
    }).pipe(on))

  it.effect("the request stays the same over lost links and a restart of the gateway, and approving it still helps", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const { approval, running } = yield* grown
      yield* gateway.dropAll(1006)
      yield* TestClock.adjust("1 second")
      const again = yield* waiting(running)
      assert.deepInclude(again.upgrade, { requestId: approval.requestId, sinceMs: approval.sinceMs, replaced: 0 })
      yield* gateway.stop
      yield* TestClock.adjust("20 seconds")
      yield* gateway.start
      yield* TestClock.adjust("31 seconds")
      const back = yield* waiting(running)
      assert.strictEqual(back.upgrade?.requestId, approval.requestId)
      assert.deepStrictEqual(yield* pendingIds, [String(approval.requestId)])
      yield* approve
      yield* TestClock.adjust("60 seconds")
      yield* wider(running)
    }).pipe(on))

  it.effect("approved while the link was down, it comes back with the wider scopes", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const { running } = yield* grown
      yield* gateway.stop
      yield* approve
      yield* gateway.start
      yield* TestClock.adjust("31 seconds")
      const status = yield* wider(running)
      assert.isUndefined(status.upgrade)
    }).pipe(on))

  it.effect("revoked meanwhile it waits for the whole of it, and has it after one approval", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const { deviceId } = yield* DeviceIdentity
      const { running } = yield* grown
      yield* gateway.revoke(deviceId)
      yield* TestClock.adjust("1 second")
      const { approval } = yield* running.reached("AwaitingApproval")
      assert.strictEqual(approval.reason, "role-upgrade")
      assert.sameMembers([...approval.requestedScopes ?? []], wide)
      yield* approve
      yield* TestClock.adjust("60 seconds")
      const status = yield* wider(running)
      assert.isUndefined(status.upgrade)
      assert.isUndefined(status.declined)
    }).pipe(on))

  it.effect("what was declined is forgotten once the device is approved anew", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const { deviceId } = yield* DeviceIdentity
      const { running } = yield* grown
      yield* reject
      yield* TestClock.adjust("15 seconds")
      yield* declined(running)
      yield* gateway.remove(deviceId)
      yield* TestClock.adjust("1 second")
      yield* running.reached("AwaitingApproval")
      yield* approve
      yield* TestClock.adjust("15 seconds")
      const status = yield* running.reached("Connected")
      assert.isUndefined(status.declined)
    }).pipe(on))

  it.effect("asked for by name: granted with the scopes, kept over a reconnect, and what is there is not asked for", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      yield* pairedNarrow
      const running = yield* startedWith({ token, scopes: narrow })
      yield* running.reached("Connected")
      const have = yield* running.supervisor.upgradeScopes([ScopeName.make("operator.read")])
      assert.deepStrictEqual(have, { _tag: "Granted", scopes: narrow })
      assert.deepStrictEqual(yield* pendingIds, [])
      const outcome = yield* Effect.forkChild(running.supervisor.upgradeScopes(more), { startImmediately: true })
      yield* waiting(running)
      yield* approve
      yield* TestClock.adjust("15 seconds")
      const granted = yield* Fiber.join(outcome)
      assert.strictEqual(granted._tag, "Granted")
      yield* wider(running)
      yield* gateway.dropAll(1012)
      yield* TestClock.adjust("1 second")
      assert.sameMembers([...(yield* now(running)).session.facts.scopes], wide)
      yield* running.supervisor.pause
      yield* running.supervisor.resume
      const { session } = yield* running.reached("Connected")
      assert.sameMembers([...session.facts.scopes], wide)
      assert.deepStrictEqual(yield* pendingIds, [])
    }).pipe(on))

  it.effect("one at a time, and only beside a session", () =>
    Effect.gen(function*() {
      const unpaired = yield* startedWith({ token, scopes: narrow })
      yield* unpaired.reached("AwaitingApproval")
      const early = yield* Effect.flip(unpaired.supervisor.upgradeScopes(more))
      assert.deepInclude(early, { _tag: "ScopeUpgradeRefused", reason: "NotConnected" })
      yield* unpaired.stop
      const { running } = yield* grown
      const second = yield* Effect.flip(running.supervisor.upgradeScopes([ScopeName.make("operator.approvals")]))
      assert.deepInclude(second, { _tag: "ScopeUpgradeRefused", reason: "UnderWay" })
      assert.lengthOf(yield* pendingIds, 1)
    }).pipe(on))

  it.effect("after a rejection it may be asked for again by name", () =>
    Effect.gen(function*() {
      const { running } = yield* grown
      yield* reject
      yield* TestClock.adjust("15 seconds")
      yield* declined(running)
      const outcome = yield* Effect.forkChild(running.supervisor.upgradeScopes(more), { startImmediately: true })
      const status = yield* waiting(running)
      assert.isUndefined(status.declined)
      yield* approve
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual((yield* Fiber.join(outcome))._tag, "Granted")
    }).pipe(on))

  it.effect("the caller may lose interest, the request goes on", () =>
    Effect.gen(function*() {
      yield* pairedNarrow
      const running = yield* startedWith({ token, scopes: narrow })
      yield* running.reached("Connected")
      const outcome = yield* Effect.forkChild(running.supervisor.upgradeScopes(more), { startImmediately: true })
      yield* waiting(running)
      yield* Fiber.interrupt(outcome)
      yield* approve
      yield* TestClock.adjust("15 seconds")
      yield* wider(running)
    }).pipe(on))

  const ends: ReadonlyArray<[string, (running: MemoryAgent.Running) => Effect.Effect<void, never, GatewayConfig>]> = [
    ["pause", ({ supervisor }) => supervisor.pause],
    ["stop", ({ stop }) => stop],
    [
      "other settings",
      ({ supervisor }) =>
        Effect.flatMap(
          GatewayConfig,
          ({ endpoint }) => supervisor.reconfigure({ ...Device.settings({ token, scopes: narrow }), endpoint })
        )
    ]
  ]
  it.effect.each(ends)("%s ends it, and leaves no second link behind", ([name, end]) =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      yield* pairedNarrow
      const running = yield* startedWith({ token, scopes: narrow })
      yield* running.reached("Connected")
      const outcome = yield* Effect.forkChild(running.supervisor.upgradeScopes(more), { startImmediately: true })
      yield* waiting(running)
      yield* end(running)
      assert.deepStrictEqual(yield* Fiber.join(outcome), { _tag: "Declined", reason: "ended" })
      const seen = yield* attempts
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual((yield* gateway.stats).openPeers, name === "other settings" ? 1 : 0)
      assert.isAtMost((yield* attempts) - seen, name === "other settings" ? 1 : 0)
    }).pipe(on))

  it.effect("settings that refuse less than all wait for the approval, as ever", () =>
    Effect.gen(function*() {
      yield* pairedNarrow
      const running = yield* startedWith({ token, scopes: wide, narrowedScopes: "refuse" })
      const { approval } = yield* running.reached("AwaitingApproval")
      assert.strictEqual(approval.reason, "scope-upgrade")
      yield* approve
      yield* TestClock.adjust("15 seconds")
      yield* wider(running)
    }).pipe(on))

  it.effect("settings that refuse less keep a session that has all of theirs, whatever more is asked for by name", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      yield* pairedNarrow
      const running = yield* startedWith({ token, scopes: narrow, narrowedScopes: "refuse" })
      yield* running.reached("Connected")
      yield* Effect.forkChild(running.supervisor.upgradeScopes(more), { startImmediately: true })
      yield* waiting(running)
      yield* gateway.dropAll(1006)
      yield* TestClock.adjust("1 second")
      yield* waiting(running)
      assert.notInclude(running.seen.map(({ _tag }) => _tag), "AwaitingApproval")
    }).pipe(on))

  it.effect("not even what it had: it asks for all of it at once, and waits", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const { deviceId } = yield* DeviceIdentity
      const { running } = yield* grown
      yield* gateway.remove(deviceId)
      yield* TestClock.adjust("1 second")
      const { approval } = yield* running.reached("AwaitingApproval")
      assert.strictEqual(approval.reason, "not-paired")
      assert.sameMembers([...approval.requestedScopes ?? []], wide)
    }).pipe(on))
})

/** How many refused credentials the device counts with the others of its process. */
const countedRefusals = Effect.fnUntraced(function*<A, E, R>(test: (refusals: () => number) => Effect.Effect<A, E, R>) {
  const admission = yield* Admission
  let refusals = 0
  const counting = Admission.of({
    ...admission,
    refused: (scope) => Effect.andThen(Effect.sync(() => void refusals++), admission.refused(scope))
  })
  return yield* Effect.provideService(test(() => refusals), Admission, counting)
})

describe("a second attempt", () => {
  const on = provided(false)
  const faults: ReadonlyArray<[string, Fault]> = [
    ["breaks off", { dropAt: "challenge" }],
    ["is stalled", { stallAt: "connect" }],
    ["meets a gateway that is not ready", { unavailable: 2000 }],
    ["meets a lock-out", { lockout: 60_000 }],
    ["is refused by the HTTP side", { upgradeRefusal: { status: 503, body: "" } }],
    ["meets a gateway that does not know proof version 3", { refuseProofV3: true }]
  ]
  it.effect.each(faults)(
    "that %s costs the session nothing, and another one follows",
    ([, fault]) =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        const { running, session } = yield* grown
        yield* gateway.script(fault)
        yield* TestClock.adjust("40 seconds")
        assert.strictEqual((yield* now(running)).session, session)
        yield* approve
        yield* TestClock.adjust("90 seconds")
        yield* wider(running)
      }).pipe(on)
  )

  it.effect("whose credential is refused is counted, as every other, and ends the request", () =>
    countedRefusals((refusals) =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        const { running, session } = yield* grown
        yield* gateway.script({
          refuse: { code: "INVALID_REQUEST", message: "unauthorized", details: { code: "AUTH_TOKEN_MISMATCH" } }
        })
        assert.strictEqual(refusals(), 0)
        yield* TestClock.adjust("15 seconds")
        assert.strictEqual(refusals(), 1)
        const status = yield* now(running)
        assert.strictEqual(status.declined, "refused")
        assert.strictEqual(status.session, session)
      })
    ).pipe(on))

  it.effect("attended every three seconds, unattended every fifteen, and at once when asked to check", () =>
    Effect.gen(function*() {
      const { running } = yield* grown
      const during = Effect.fnUntraced(function*(time: "60 seconds") {
        const before = yield* attempts
        yield* TestClock.adjust(time)
        return (yield* attempts) - before
      })
      assert.isAtMost(yield* during("60 seconds"), 5)
      yield* Effect.scoped(Effect.andThen(
        running.supervisor.attend,
        Effect.map(during("60 seconds"), (count) => assert.isAtLeast(count, 19))
      ))
      yield* approve
      yield* running.supervisor.checkNow
      yield* wider(running)
    }).pipe(on))

  it.effect("that is given another request while the first is alive gives up: it was rejected, or expired", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const { running, session } = yield* grown
      yield* gateway.script({ supersede: true })
      yield* TestClock.adjust("15 seconds")
      const status = yield* now(running)
      assert.strictEqual(status.declined, "replaced")
      assert.strictEqual(status.session, session)
    }).pipe(on))

  it.effect("is given a new request once the first is over, and goes on with that", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const { approval, running } = yield* grown
      yield* gateway.stop
      yield* TestClock.adjust("400 seconds")
      yield* gateway.start
      yield* TestClock.adjust("31 seconds")
      const { upgrade } = yield* waiting(running)
      assert.notStrictEqual(upgrade?.requestId, approval.requestId)
      assert.strictEqual(upgrade?.replaced, 1)
      yield* approve
      yield* running.supervisor.checkNow
      yield* wider(running)
    }).pipe(on))

  it.effect("needs the shared credential: a device with its own token alone is told so, and keeps its session", () =>
    LogLines.kept((lines) =>
      Effect.gen(function*() {
        yield* pairedNarrow
        const running = yield* startedWith({ scopes: wide })
        const { session } = yield* running.reached("Connected")
        assert.deepStrictEqual(session.facts.missingScopes, ["operator.write"])
        const refused = yield* Effect.flip(running.supervisor.upgradeScopes(more))
        assert.deepInclude(refused, { _tag: "ScopeUpgradeRefused", reason: "NeedsSharedCredential" })
        assert.include(lines.map(({ message }) => String(message)).join("\n"), refused.message)
        yield* TestClock.adjust("1 hour")
        assert.strictEqual((yield* now(running)).session, session)
        assert.deepStrictEqual(yield* pendingIds, [])
      }).pipe(on)
    ))
})

describe("over the session", () => {
  it.effect("a device with its own token alone can ask too, and has the new token before anybody sees the scopes", () =>
    LogLines.kept((lines) =>
      Effect.gen(function*() {
        yield* pairedNarrow
        const running = yield* startedWith({ scopes: wide })
        yield* waiting(running)
        const before = yield* storedToken
        yield* approve
        yield* wider(running)
        const stored = yield* storedToken
        assert.sameMembers([...stored.scopes], wide)
        for (const secret of [before, stored].map((entry) => Redacted.value(entry.token))) {
          assert.notInclude(JSON.stringify(lines), secret)
          assert.notInclude(JSON.stringify(running.seen), secret)
        }
        yield* running.stop
        yield* wider(yield* startedWith({ scopes: wide }))
      }).pipe(provided(true))
    ))

  it.effect("a request that the gateway lets expire ends as expired", () =>
    Effect.gen(function*() {
      const { running, session } = yield* grown
      yield* TestClock.adjust("61 seconds")
      const status = yield* now(running)
      assert.strictEqual(status.declined, "expired")
      assert.strictEqual(status.session, session)
    }).pipe(provided(true, { pendingLife: "60 seconds" })))

  it.effect("a scope that the gateway does not know is refused, and the session goes on", () =>
    Effect.gen(function*() {
      yield* pairedNarrow
      const running = yield* startedWith({ scopes: narrow })
      const { session } = yield* running.reached("Connected")
      const before = yield* attempts
      const outcome = yield* running.supervisor.upgradeScopes([ScopeName.make("operator.nonsense")])
      assert.deepStrictEqual(outcome, { _tag: "Declined", reason: "refused" })
      assert.strictEqual((yield* now(running)).session, session)
      assert.strictEqual(yield* attempts, before)
    }).pipe(provided(true)))
})

/** What a link was asked for at connect; its answer is the test's. */
const connecting = Effect.fnUntraced(function*(generation: number) {
  const transport = yield* ScriptedTransport
  const link = yield* transport.nth(generation)
  link.send(Wire.challenge())
  const { params } = yield* link.nthSent(1)
  return { link, scopes: Predicate.hasProperty(params, "scopes") ? params.scopes : undefined }
})
const letIn = (scopes: ReadonlyArray<string>, more: object = {}) => Wire.helloOk({ auth: { scopes }, ...more })
const onScript = Effect.provide(MemoryAgent.host(ScriptedTransport.layer, { token, scopes: wide }))
const moreThanApproved = (requestId: string) =>
  Wire.pairingRequired(requestId, { reason: "scope-upgrade", approvedScopes: narrow })

/** Connected with less, on a gateway that the test plays. */
const playing = Effect.gen(function*() {
  const running = yield* MemoryAgent.start
  const first = yield* connecting(1)
  assert.deepStrictEqual(first.scopes, wide)
  first.link.send(moreThanApproved("one"))
  const second = yield* connecting(2)
  assert.deepStrictEqual(second.scopes, narrow)
  return { running, link: second.link }
})

describe("on a gateway that", () => {
  it.effect("takes its time to close, the old session has ended before the new one is told, and the link ends behind it", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      transport.script({}, { releaseTakes: Effect.sleep("1 second") })
      const { link, running } = yield* playing
      link.send(letIn(narrow))
      const { session } = yield* waiting(running)
      yield* TestClock.adjust("15 seconds")
      const third = yield* connecting(3)
      let ended = false
      yield* Effect.forkChild(Effect.andThen(session.ended, Effect.sync(() => void (ended = true))), {
        startImmediately: true
      })
      const seenEnded = yield* Effect.forkChild(Effect.map(wider(running), () => ended), { startImmediately: true })
      third.link.send(letIn(wide))
      assert.isTrue(yield* Fiber.join(seenEnded))
      assert.isFalse(link.released())
      yield* TestClock.adjust("1 second")
      assert.isTrue(link.released())
    }).pipe(onScript))

  it.effect("lets a second attempt in with no more than there was, keeps the session that there was", () =>
    Effect.gen(function*() {
      const { link, running } = yield* playing
      link.send(letIn(narrow))
      const { session } = yield* waiting(running)
      yield* TestClock.adjust("15 seconds")
      const third = yield* connecting(3)
      third.link.send(letIn(narrow))
      const status = yield* declined(running)
      assert.strictEqual(status.declined, "refused")
      assert.strictEqual(status.session, session)
      assert.isTrue(third.link.released())
      assert.isFalse(link.released())
      // What let the second attempt in was no session for anybody.
      const series = yield* OwnMetrics.series
      assert.strictEqual(series["gateway_connect_attempts_total{outcome=Connected}"], 2)
      assert.notProperty(series, "gateway_session_duration_seconds")
    }).pipe(onScript, OwnMetrics.kept))

  it.effect("does not take what was approved either is asked for all of it, once, and that is waited for", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const { link, running } = yield* playing
      link.send(moreThanApproved("two"))
      const third = yield* connecting(3)
      assert.deepStrictEqual(third.scopes, wide)
      third.link.send(moreThanApproved("three"))
      const { approval } = yield* running.reached("AwaitingApproval")
      assert.strictEqual<string | undefined>(approval.requestId, "three")
      assert.strictEqual(transport.dials(), 3)
      yield* TestClock.adjust("15 seconds")
      const fourth = yield* connecting(4)
      assert.deepStrictEqual(fourth.scopes, wide)
      fourth.link.send(letIn(wide))
      assert.isUndefined((yield* wider(running)).upgrade)
    }).pipe(onScript))

  it.effect("names a time before which it does not want to be asked again, is not asked by a second attempt before it", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const running = yield* MemoryAgent.start
      const first = yield* connecting(1)
      first.link.send(
        Wire.pairingRequired("one", { reason: "scope-upgrade", approvedScopes: narrow, retryAfterMs: 60_000 })
      )
      const second = yield* connecting(2)
      second.link.send(letIn(narrow))
      yield* waiting(running)
      yield* running.supervisor.checkNow
      yield* TestClock.adjust("59999 millis")
      assert.strictEqual(transport.dials(), 2)
      yield* TestClock.adjust(1)
      yield* connecting(3)
    }).pipe(onScript))

  it.effect("answers a wait with an error has not decided: it is asked again, and waited for again", () =>
    Effect.gen(function*() {
      const { link, running } = yield* playing
      const methods = ["device.scopes.requestUpgrade", "device.scopes.waitUpgrade"]
      link.send(letIn(narrow, { features: { methods } }))
      const next = Effect.fnUntraced(function*(n: number, answer: (id: string) => string) {
        const { id, method } = yield* link.nthSent(n)
        link.send(answer(id))
        return method
      })
      const asked = (id: string) => Frame.encodeResponse(id, { requestId: "one" })
      const forgotten = (id: string) =>
        Frame.encodeRefusal(id, { code: "INVALID_REQUEST", message: "scope upgrade expired or not found" })
      assert.strictEqual(yield* next(2, asked), methods[0])
      assert.strictEqual(yield* next(3, forgotten), methods[1])
      yield* TestClock.adjust("14 seconds")
      assert.lengthOf(link.sent, 3)
      assert.isDefined((yield* now(running)).upgrade)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* next(4, asked), methods[0])
      assert.strictEqual(
        yield* next(5, (id) => Frame.encodeResponse(id, { requestId: "one", status: "rejected" })),
        methods[1]
      )
      assert.strictEqual((yield* declined(running)).declined, "rejected")
    }).pipe(onScript))
})

it.effect("connected with less than the settings name, the log warns and says what is missing", () =>
  LogLines.kept((lines) =>
    Effect.gen(function*() {
      yield* grown
      const warning = lines.find(({ message }) => String(message).includes("fewer scopes"))
      assert.strictEqual(warning?.level, "Warn")
      assert.include(JSON.stringify(warning?.annotations), "operator.write")
    }).pipe(provided(true))
  ))
