import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { DevGateway, type Options } from "../../src/devgateway/DevGateway.ts"
import recorded from "../vectors/gateway-2026.9.6.json" with { type: "json" }
import { at, type ConnectOptions, type Device, device, link, outcome, shapeOf } from "./FakeClient.ts"

type Gateway = DevGateway["Service"]

const alice = device(1)
const bob = device(2)
const admin = device(9)

const withGateway = <A, E>(body: (gateway: Gateway) => Effect.Effect<A, E>, options?: Partial<Options>) =>
  Effect.gen(function*() {
    yield* TestClock.setTime(1_800_000_000_000)
    return yield* Effect.flatMap(DevGateway, body).pipe(Effect.provide(DevGateway.layerTest(options)))
  })

const ask = (gateway: Gateway, options?: ConnectOptions, owner: Device = alice) => link(gateway).connect(owner, options)

const requestIdOf = (answer: unknown) => String(at(answer, "error", "details", "requestId"))

/** Pairs a device and gives its token. */
const pair = Effect.fnUntraced(function*(gateway: Gateway, owner: Device = alice, options?: ConnectOptions) {
  yield* gateway.approve(requestIdOf(ask(gateway, options, owner)))
  return String(at(ask(gateway, options, owner), "payload", "auth", "deviceToken"))
})

const operator = (gateway: Gateway, scopes: ReadonlyArray<string> = ["operator.admin", "operator.pairing"]) => {
  const client = link(gateway)
  client.connect(admin, { token: "operator-token", scopes, client: { id: "cli", mode: "cli" } })
  return client
}

const details = (answer: unknown) => at(answer, "error", "details")

const wider = ["operator.read", "operator.write", "operator.approvals"]

describe("a pending request", () => {
  it.effect("is refused as recorded and shown to operators as recorded", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        const watcher = operator(gateway)
        const stranger = operator(gateway, ["operator.read"])
        const client = link(gateway, { address: "10.20.6.137" })
        const answer = client.connect(alice)
        assert.deepStrictEqual(shapeOf(at(answer, "error")), shapeOf(recorded.pairing.notPaired.error))
        assert.strictEqual(
          client.closes[0]?.reason,
          `pairing required: device is not approved yet (requestId: ${requestIdOf(answer)})`
        )
        const [pending] = yield* gateway.pending
        assert.deepStrictEqual(pending, {
          ...recorded.pairing.pendingEntry,
          requestId: requestIdOf(answer),
          deviceId: alice.id,
          publicKey: alice.publicKey,
          silent: false,
          ts: 1_800_000_000_000
        })
        const [requested] = watcher.events("device.pair.requested")
        assert.deepStrictEqual(at(requested, "payload"), pending)
        assert.strictEqual(at(requested, "seq"), 1)
        assert.deepStrictEqual(stranger.events("device.pair.requested"), [])
      })
    ))

  it.effect("keeps its id for the same ask, and lives 300 s from the last one", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        const first = requestIdOf(ask(gateway))
        for (let minute = 0; minute < 10; minute++) {
          yield* TestClock.adjust("1 minute")
          assert.strictEqual(requestIdOf(ask(gateway)), first)
        }
        yield* TestClock.adjust("299999 millis")
        assert.lengthOf(yield* gateway.pending, 1)
        yield* TestClock.adjust("1 millis")
        assert.lengthOf(yield* gateway.pending, 0)
        assert.strictEqual((yield* Effect.flip(gateway.approve(first)))._tag, "UnknownRequest")
        assert.notStrictEqual(requestIdOf(ask(gateway)), first)
      })
    ))

  it.effect("a wider ask replaces it, and a narrower one keeps the wider scopes", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        const first = requestIdOf(ask(gateway))
        const second = requestIdOf(ask(gateway, { scopes: wider }))
        assert.notStrictEqual(second, first)
        assert.strictEqual(requestIdOf(ask(gateway)), second)
        const pending = yield* gateway.pending
        assert.deepStrictEqual(pending.map(({ scopes }) => scopes), [wider])
        const refused = operator(gateway).request("device.pair.approve", { requestId: first })
        assert.deepStrictEqual(at(refused, "error"), recorded.lifecycle.approveUnknown.error)
      })
    ))

  it.effect("only operators learn of a rejection, and the next ask makes a new id", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        const watcher = operator(gateway)
        const requestId = requestIdOf(ask(gateway))
        const answer = watcher.request("device.pair.reject", { requestId })
        assert.deepStrictEqual(at(answer, "payload"), { requestId, deviceId: alice.id })
        assert.strictEqual(at(watcher.events("device.pair.resolved")[0], "payload", "decision"), "rejected")
        assert.notStrictEqual(requestIdOf(ask(gateway)), requestId)
      })
    ))

  it.effect("120 asks in 20 s give 120 answers with one id", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        const ids = new Set<string>()
        for (let i = 0; i < 120; i++) {
          ids.add(requestIdOf(ask(gateway)))
          yield* TestClock.adjust("166 millis")
        }
        assert.strictEqual(ids.size, 1)
        assert.strictEqual((yield* gateway.stats).refusals.get("PAIRING_REQUIRED"), 120)
      })
    ))
})

describe("approval", () => {
  it.effect("over the wire answers and publishes as recorded, and the waiting client hears nothing", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        const watcher = operator(gateway)
        const waiting = link(gateway)
        const requestId = requestIdOf(waiting.connect(alice))
        const frames = waiting.texts.length
        const answer = watcher.request("device.pair.approve", { requestId })
        assert.deepStrictEqual(shapeOf(at(answer, "payload")), shapeOf(recorded.lifecycle.approveRpc.payload))
        const resolved = watcher.events("device.pair.resolved")[0]
        const { __bytes: _, ...expected } = recorded.lifecycle.pairEvents[1] ?? { __bytes: 0 }
        assert.deepStrictEqual(shapeOf(resolved), shapeOf(expected))
        assert.strictEqual(waiting.texts.length, frames)
      })
    ))

  it.effect("admits the device with a token that stays the same, alone and beside the shared token", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        const token = yield* pair(gateway)
        const ways: ReadonlyArray<[keyof typeof recorded.pairing, ConnectOptions]> = [
          ["afterApprove", {}],
          ["tokenAsAuthToken", { token }],
          ["tokenAsDeviceToken", { auth: { deviceToken: token }, signedToken: token }],
          ["tokenBoth", { auth: { token: "shared-token", deviceToken: token } }],
          ["wrongSharedRightDevice", { auth: { token: "wrong", deviceToken: token }, signedToken: "wrong" }],
          ["tokenOtherClient", { token, client: { id: "cli", mode: "cli" } }],
          ["tokenNarrower", { token, scopes: ["operator.read"] }],
          ["familyChange", { deviceFamily: "laptop" }]
        ]
        for (const [name, options] of ways) {
          const auth = at(ask(gateway, options), "payload", "auth")
          assert.deepStrictEqual(shapeOf(auth), shapeOf(at(recorded.pairing[name], "hello", "auth")), name)
          assert.strictEqual(at(auth, "method"), at(recorded.pairing[name], "hello", "auth", "method"), name)
          assert.strictEqual(at(auth, "deviceToken"), token, name)
        }
        assert.deepStrictEqual(at(ask(gateway, { token, scopes: [] }), "payload", "auth", "scopes"), [])
      })
    ))

  it.effect("refuses the token of another device, as recorded", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        const token = yield* pair(gateway)
        const ways: ReadonlyArray<[keyof typeof recorded.pairing, ConnectOptions, Device]> = [
          ["tokenOtherDevice", { token }, bob],
          ["tokenNoDevice", { token, withoutDevice: true }, alice],
          ["tokenWider", { token, scopes: wider }, alice],
          ["tokenAsDeviceTokenSignedEmpty", { auth: { deviceToken: token }, signedToken: "" }, alice]
        ]
        for (const [name, options, owner] of ways) {
          assert.deepStrictEqual(at(ask(gateway, options, owner), "error"), at(recorded.pairing[name], "error"), name)
        }
        assert.lengthOf(yield* gateway.pending, 0) // a wider ask with the token is a mismatch, not an ask for pairing
      })
    ))

  it.effect("a scope upgrade replaces the token and leaves the live link open", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        const before = yield* pair(gateway)
        const live = link(gateway)
        live.connect(alice, { token: before })
        yield* TestClock.adjust("1 second")
        const refused = ask(gateway, { scopes: wider })
        assert.deepStrictEqual(shapeOf(at(refused, "error")), shapeOf(recorded.pairing.scopeUpgrade.error))
        assert.deepInclude(details(refused), {
          reason: "scope-upgrade",
          requestedScopes: wider,
          approvedScopes: ["operator.read", "operator.write"]
        })
        assert.isTrue((yield* gateway.pending)[0]?.isRepair)
        const device = yield* gateway.approve(requestIdOf(refused))
        assert.deepStrictEqual(shapeOf(device), shapeOf(recorded.pairing.approveUpgrade.json.device))
        assert.deepStrictEqual(live.closes, [])
        assert.deepStrictEqual(
          at(ask(gateway, { token: before }), "error"),
          recorded.pairing.oldTokenAfterUpgrade.error
        )
        const auth = at(ask(gateway, { scopes: wider }), "payload", "auth")
        assert.notStrictEqual(at(auth, "deviceToken"), before)
        assert.strictEqual(at(auth, "issuedAtMs"), 1_800_000_001_000)
      })
    ))

  it.effect("another role and another platform need an approval, as recorded", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        yield* pair(gateway)
        const role = ask(gateway, { role: "node", scopes: [] })
        assert.deepStrictEqual(shapeOf(at(role, "error")), shapeOf(recorded.pairing.roleUpgrade.error))
        const platform = ask(gateway, { platform: "macos" })
        assert.deepStrictEqual(shapeOf(at(platform, "error")), shapeOf(recorded.pairing.platformChange.error))
        yield* gateway.approve(requestIdOf(platform))
        assert.strictEqual(outcome(ask(gateway, { platform: "macos" })), "hello-ok")
        assert.strictEqual(at(details(ask(gateway)), "reason"), "metadata-upgrade")
      })
    ))

  it.effect("needs operator.pairing, and the scopes that it grants", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        const requestId = requestIdOf(ask(gateway))
        const reader = operator(gateway, ["operator.read"])
        assert.deepStrictEqual(
          at(reader.request("device.pair.approve", { requestId }), "error"),
          recorded.hello.missingScope.error
        )
        const pairer = operator(gateway, ["operator.pairing"])
        assert.strictEqual(outcome(pairer.request("device.pair.approve", { requestId })), "MISSING_SCOPE")
        assert.lengthOf(yield* gateway.paired, 0)
        assert.lengthOf(yield* gateway.pending, 1)
      })
    ))
})

describe("device.pair.list", () => {
  it.effect("shows pending and paired devices as recorded, and no token", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        const token = yield* pair(gateway)
        const live = link(gateway)
        live.connect(alice, { token })
        ask(gateway, {}, bob)
        const answer = operator(gateway).request("device.pair.list", {})
        const listed = at(answer, "payload", "paired", "0")
        assert.sameMembers(Object.keys(listed ?? {}), Object.keys(recorded.pairing.pairedEntry))
        assert.strictEqual(at(listed, "connected"), true)
        assert.strictEqual(at(answer, "payload", "pending", "0", "deviceId"), bob.id)
        assert.notInclude(JSON.stringify(answer), token)
      })
    ))
})

describe("a device token", () => {
  const ways: ReadonlyArray<["revoke" | "rotate" | "remove", string, string | undefined]> = [
    ["revoke", "device.token.revoke", "role-upgrade"],
    ["rotate", "device.token.rotate", undefined],
    ["remove", "device.pair.remove", "not-paired"]
  ]
  it.effect.each(ways)(
    "%s closes live links with 4001 and ends the token as recorded",
    ([way, method, reason]) =>
      withGateway((gateway) =>
        Effect.gen(function*() {
          const token = yield* pair(gateway)
          const byToken = link(gateway)
          byToken.connect(alice, { token })
          const byShared = link(gateway)
          byShared.connect(alice)
          const other = operator(gateway)
          yield* TestClock.adjust("1 second")
          const params = way === "remove" ? { deviceId: alice.id } : { deviceId: alice.id, role: "operator" }
          const answer = other.request(method, params)
          assert.deepStrictEqual(shapeOf(at(answer, "payload")), shapeOf(recorded.lifecycle[way].cli.json))
          const closed = [{ code: 4001, reason: "device removed" }]
          assert.deepStrictEqual([byToken.closes, byShared.closes, other.closes], [closed, closed, []])
          const { after } = recorded.lifecycle[way]
          assert.deepStrictEqual(at(ask(gateway, { token }), "error"), after.deviceToken.error)
          assert.deepStrictEqual(
            at(ask(gateway, { auth: { deviceToken: token }, signedToken: token }), "error"),
            after.deviceTokenField.error
          )
          const shared = ask(gateway)
          assert.strictEqual(at(details(shared), "reason"), reason)
          assert.deepStrictEqual(shapeOf(at(shared, "error")), shapeOf(at(after.sharedToken, "error")))
          if (way === "rotate") assert.notStrictEqual(at(shared, "payload", "auth", "deviceToken"), token)
        })
      )
  )

  it.effect("of another device needs operator.admin, and a device's own token does not", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        yield* pair(gateway)
        const pairer = operator(gateway, ["operator.pairing"])
        const params = { deviceId: alice.id, role: "operator" }
        assert.strictEqual(outcome(pairer.request("device.token.revoke", params)), "device token revocation denied")
        assert.strictEqual(outcome(pairer.request("device.token.rotate", params)), "device token rotation denied")
        const removed = pairer.request("device.pair.remove", { deviceId: alice.id })
        assert.strictEqual(outcome(removed), "device pairing removal denied")
        const scopes = ["operator.pairing"]
        const token = yield* pair(gateway, bob, { scopes })
        const own = link(gateway)
        own.connect(bob, { token, scopes })
        const rotated = own.request("device.token.rotate", { deviceId: bob.id, role: "operator" })
        const fresh = String(at(rotated, "payload", "token"))
        assert.strictEqual(outcome(ask(gateway, { token: fresh, scopes }, bob)), "hello-ok")
      })
    ))

  it.effect("calls of the owner do the same as methods over the wire", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        const token = yield* pair(gateway)
        yield* gateway.rotate(alice.id)
        assert.strictEqual(outcome(ask(gateway, { token })), "AUTH_TOKEN_MISMATCH")
        yield* gateway.revoke(alice.id)
        assert.strictEqual(at(details(ask(gateway)), "reason"), "role-upgrade")
        yield* gateway.remove(alice.id)
        assert.strictEqual(at(details(ask(gateway)), "reason"), "not-paired")
        assert.strictEqual((yield* Effect.flip(gateway.revoke(bob.id)))._tag, "UnknownDevice")
      })
    ))
})

describe("a scope upgrade on a live link", () => {
  it.effect("answers the waiting request after the approval, with the new token", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        const token = yield* pair(gateway)
        const live = link(gateway)
        live.connect(alice, { token })
        const asked = live.request("device.scopes.requestUpgrade", { scopes: wider })
        const requestId = String(at(asked, "payload", "requestId"))
        live.send({ type: "req", id: "wait", method: "device.scopes.waitUpgrade", params: { requestId } })
        yield* TestClock.adjust("4 minutes")
        assert.isUndefined(live.response("wait"))
        yield* gateway.approve(requestId)
        const answer = at(live.response("wait"), "payload")
        assert.deepInclude(answer, {
          status: "approved",
          requestId,
          scopes: ["operator.approvals", "operator.read", "operator.write"]
        })
        const fresh = String(at(answer, "deviceToken"))
        assert.strictEqual(outcome(ask(gateway, { token: fresh, scopes: wider })), "hello-ok")
      })
    ))

  it.effect("may name a scope that covers the link's scopes, and no unknown scope", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        const token = yield* pair(gateway, alice, { scopes: ["operator.read"] })
        const live = link(gateway)
        live.connect(alice, { token, scopes: ["operator.read"] })
        const ask = (scopes: ReadonlyArray<string>) => live.request("device.scopes.requestUpgrade", { scopes })
        assert.isString(at(ask(["operator.write"]), "payload", "requestId"))
        assert.strictEqual(
          outcome(ask(["operator.pairing"])),
          "requested scopes must include the connection's current scopes"
        )
        assert.strictEqual(
          outcome(ask(["operator.read", "operator.nonsense"])),
          "requested scopes contain an unknown operator scope"
        )
      })
    ))

  it.effect("ends in an error when the gateway goes down, and the request stays pending", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        const token = yield* pair(gateway)
        const live = link(gateway)
        live.connect(alice, { token })
        const asked = live.request("device.scopes.requestUpgrade", { scopes: wider })
        const requestId = String(at(asked, "payload", "requestId"))
        live.send({ type: "req", id: "wait", method: "device.scopes.waitUpgrade", params: { requestId } })
        yield* gateway.stop
        assert.strictEqual(outcome(live.response("wait")), "scope upgrade expired or not found")
        assert.lengthOf(yield* gateway.pending, 1)
      })
    ))

  it.effect("is unknown to old releases, where an ask for other scopes replaces the pending one", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        yield* pair(gateway)
        const live = link(gateway)
        const hello = live.connect(alice)
        assert.notInclude(JSON.stringify(at(hello, "payload", "features")), "device.scopes")
        assert.strictEqual(
          outcome(live.request("device.scopes.requestUpgrade", { scopes: wider })),
          "MISSING_SCOPE"
        )
        const first = requestIdOf(ask(gateway, { scopes: wider }))
        assert.strictEqual(requestIdOf(ask(gateway, { scopes: wider })), first)
        const other = requestIdOf(ask(gateway, { scopes: ["operator.read", "operator.pairing"] }))
        assert.notStrictEqual(other, first)
        assert.deepStrictEqual((yield* gateway.pending).map(({ scopes }) => scopes), [[
          "operator.read",
          "operator.pairing"
        ]])
      }), { scopeUpgrades: false }))

  it.effect("is of no use to another device", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        yield* pair(gateway)
        yield* pair(gateway, bob)
        const requestId = requestIdOf(ask(gateway, { scopes: wider }))
        const other = link(gateway)
        other.connect(bob)
        assert.strictEqual(
          outcome(other.request("device.scopes.waitUpgrade", { requestId })),
          "scope upgrade expired or not found"
        )
      })
    ))

  it.effect("answers rejected or expired", () =>
    withGateway((gateway) =>
      Effect.gen(function*() {
        const token = yield* pair(gateway)
        const live = link(gateway)
        live.connect(alice, { token })
        const askFor = (id: string) => {
          const asked = live.request("device.scopes.requestUpgrade", { scopes: wider })
          const requestId = String(at(asked, "payload", "requestId"))
          live.send({ type: "req", id, method: "device.scopes.waitUpgrade", params: { requestId } })
          return requestId
        }
        const first = askFor("first")
        yield* gateway.reject(first)
        assert.deepStrictEqual(at(live.response("first"), "payload"), { status: "rejected", requestId: first })
        const second = askFor("second")
        yield* TestClock.adjust("200 seconds")
        live.request("device.scopes.requestUpgrade", { scopes: wider }) // asked again, so it does not expire
        yield* TestClock.adjust("299 seconds")
        assert.isUndefined(live.response("second"))
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(at(live.response("second"), "payload"), { status: "expired", requestId: second })
      })
    ))
})
