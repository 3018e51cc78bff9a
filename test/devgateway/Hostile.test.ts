import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as TestClock from "effect/testing/TestClock"
import type { Caller } from "../../src/devgateway/ConnectCheck.ts"
import * as CredentialCheck from "../../src/devgateway/CredentialCheck.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import type { Fault } from "../../src/devgateway/Fault.ts"
import * as PairingBook from "../../src/devgateway/PairingBook.ts"
import * as Refusals from "../../src/devgateway/Refusals.ts"
import * as SetupCodes from "../../src/devgateway/SetupCodes.ts"
import * as LogLines from "../support/LogLines.ts"
import { at, device, link, outcome } from "./FakeClient.ts"

const alice = device(1)
const layer = DevGateway.layerTest()

/** Names that every object literal has. */
const inherited = ["constructor", "toString", "valueOf", "hasOwnProperty", "__proto__", "__defineGetter__"]

describe("names that every object has", () => {
  it.effect.each(inherited)("%s as a scope is one that nobody has", (name) =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const scopes = ["operator.read", name]
      link(gateway).connect(alice, { scopes: ["operator.read"] })
      yield* gateway.approve((yield* gateway.pending)[0]?.requestId ?? "")
      const wider = link(gateway).connect(alice, { scopes })
      assert.strictEqual(at(wider, "error", "details", "reason"), "scope-upgrade")
      const operator = link(gateway)
      operator.connect(device(2), { token: "operator-token", scopes: ["operator.pairing", "operator.read"] })
      const requestId = at(wider, "error", "details", "requestId")
      const approval = operator.request("device.pair.approve", { requestId })
      assert.strictEqual(at(approval, "error", "details", "missingScope"), name)
      const client = link(gateway)
      assert.strictEqual(outcome(client.connect(alice, { scopes: ["operator.read"] })), "hello-ok")
      assert.strictEqual(outcome(client.request("device.scopes.requestUpgrade", { scopes })), unknownScope)
      yield* gateway.approve(String(requestId))
      assert.strictEqual(outcome(link(gateway).connect(alice, { scopes })), "hello-ok")
    }).pipe(Effect.provide(layer)))

  it.effect.each(inherited)(
    "%s as a role, a client, a property or a proof is refused",
    (name) =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        const first = JSON.parse(`{"minProtocol":3,"maxProtocol":4,"${name}":{"${name}":1}}`)
        assert.strictEqual(outcome(link(gateway).connect(alice, { role: name })), "invalid role")
        for (const options of [{ client: { id: name } }, { client: { mode: name } }, { params: first }]) {
          assert.match(String(outcome(link(gateway).connect(alice, options))), /^invalid connect params: /)
        }
        assert.strictEqual(
          outcome(link(gateway).connect(alice, { device: { publicKey: name, id: name } })),
          "DEVICE_AUTH_DEVICE_ID_MISMATCH"
        )
      }).pipe(Effect.provide(layer))
  )

  it.effect.each(inherited)("%s as a method, or in its parameters, is refused", (name) =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const client = link(gateway)
      client.connect(alice, { token: "operator-token", scopes: ["operator.admin", "operator.pairing"] })
      assert.strictEqual(outcome(client.request(name)), `unknown method: ${name}`)
      assert.match(String(outcome(client.request("health", JSON.parse(`{"${name}":1}`)))), /unexpected property/)
      for (const method of ["device.token.rotate", "device.token.revoke"]) {
        assert.match(String(outcome(client.request(method, { deviceId: name, role: name }))), /denied/)
      }
      assert.strictEqual(outcome(client.request("device.pair.remove", { deviceId: name })), "unknown deviceId")
      assert.strictEqual(outcome(client.request("device.pair.approve", { requestId: name })), "unknown requestId")
      const waited = client.request("agent.wait", { runId: name, timeoutMs: 0 })
      assert.strictEqual(at(waited, "payload", "status"), "timeout")
      client.request("chat.send", { sessionKey: name, message: "hi", idempotencyKey: name })
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(at(client.events("chat").at(-1), "payload", "state"), "final")
    }).pipe(Effect.provide(layer)))
})

const unknownScope = "requested scopes contain an unknown operator scope"

describe("a throw while one link is handled", () => {
  /** A gateway with three links. The second one's peer throws whenever `breaks` holds for a text. */
  const crowd = Effect.fnUntraced(function*(breaks: (text: string) => boolean) {
    const gateway = yield* DevGateway
    const enter = () => {
      const client = link(gateway)
      client.connect(alice, { token: "operator-token" })
      return client
    }
    const first = enter()
    const second = link({
      accept: (peer) =>
        gateway.accept({
          ...peer,
          sendUnsafe: (text) => {
            if (breaks(text)) throw new Error("a peer that is out of order")
            peer.sendUnsafe(text)
          }
        })
    })
    second.connect(alice, { token: "operator-token" })
    return { gateway, first, second, third: enter() }
  })

  const broken = [{ code: 1011, reason: "internal error" }]

  const cases: ReadonlyArray<readonly [what: string, word: string]> = [
    ["a broadcast", `"event":"news"`],
    ["a tick", `"event":"tick"`],
    ["the shutdown", `"event":"shutdown"`],
    ["an answer", `"hasActiveRun"`],
    ["the challenge", "connect.challenge"],
    ["hello-ok", "hello-ok"]
  ]
  it.effect.each(cases)(
    "ends that link and no other, in %s",
    ([, word]) =>
      LogLines.kept((lines) =>
        Effect.gen(function*() {
          const { first, gateway, second, third } = yield* crowd((text) => text.includes(word))
          yield* gateway.broadcast("news", {})
          yield* TestClock.adjust("30 seconds")
          for (const client of [first, second, third]) client.request("chat.history", { sessionKey: "main" })
          assert.deepStrictEqual([first.closes, third.closes], [[], []])
          for (const client of [first, third]) {
            assert.lengthOf(client.events("news"), 1)
            assert.lengthOf(client.events("tick"), 1)
          }
          assert.strictEqual((yield* gateway.stats).openPeers, word.includes("shutdown") ? 3 : 2)
          yield* gateway.stop
          assert.deepStrictEqual(second.closes, broken)
          for (const client of [first, third]) {
            assert.lengthOf(client.events("shutdown"), 1)
            assert.deepStrictEqual(client.closes.map(({ code }) => code), [1012])
          }
          assert.deepStrictEqual(lines.map(({ message }) => message), ["a connection failed"])
        }).pipe(Effect.provide(layer))
      )
  )

  /** Faults that stand for a bug in the gateway's own code. */
  const bugs: ReadonlyArray<readonly [where: string, fault: Fault]> = [
    ["connect", {
      get refuse(): never {
        throw new Error("a bug")
      }
    }],
    ["the challenge", {
      get malformedChallenge(): never {
        throw new Error("a bug")
      }
    }],
    ["a late challenge", {
      lateChallenge: "1 second",
      get malformedChallenge(): never {
        throw new Error("a bug")
      }
    }]
  ]
  it.effect.each(bugs)(
    "ends that link and no other, in %s",
    ([, fault]) =>
      LogLines.kept((lines) =>
        Effect.gen(function*() {
          const gateway = yield* DevGateway
          const first = link(gateway)
          first.connect(alice, { token: "operator-token" })
          yield* gateway.script(fault)
          const second = link(gateway)
          yield* TestClock.adjust("2 seconds")
          second.connect(alice, { token: "operator-token" })
          yield* TestClock.adjust("28 seconds")
          assert.deepStrictEqual(second.closes, broken)
          assert.lengthOf(first.events("tick"), 1)
          assert.strictEqual((yield* gateway.stats).openPeers, 1)
          assert.deepStrictEqual(lines.map(({ message }) => message), ["a connection failed"])
        }).pipe(Effect.provide(layer))
      )
  )
})

describe("a client that has not authenticated", () => {
  const oddNames = (turn: number) => Object.fromEntries(Array.from({ length: 2000 }, (_, n) => [`odd-${turn}-${n}`, 1]))

  it.effect("leaves nothing of its names behind, and gets a short answer", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const answers = Array.from({ length: 50 }, (_, turn) => {
        const client = link(gateway)
        client.connect(alice, { params: oddNames(turn) })
        return client.texts.at(-1) ?? ""
      })
      assert.deepStrictEqual([...(yield* gateway.stats).refusals], [["invalid connect params", 50]])
      for (const answer of answers) {
        assert.include(answer, "invalid connect params: at root: unexpected property 'odd-")
        assert.isBelow(answer.length, 4096)
      }
    }).pipe(Effect.provide(layer)))

  it.effect("gets a short answer to long names and long lists", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const params = [{ [`${"x".repeat(50_000)}`]: 1 }, { scopes: Array.from({ length: 10_000 }, () => 5) }]
      for (const [index, odd] of params.entries()) {
        const client = link(gateway)
        client.connect(alice, { params: odd })
        assert.isBelow((client.texts.at(-1) ?? "").length, 4096, String(index))
      }
    }).pipe(Effect.provide(layer)))

  it("is counted among a bounded number of addresses", () => {
    const book = PairingBook.make(bookOptions)
    const credentials = CredentialCheck.make({
      auth: { mode: "token", token: Redacted.make("right") },
      operatorToken: undefined,
      book,
      codes: SetupCodes.make({ auth: "token", newId: () => "id", newToken: () => Redacted.make("token") }),
      limit: 1,
      windowMs: 60_000,
      lockoutMs: 300_000
    })
    const caller: Caller = {
      clientId: "cli",
      clientMode: "cli",
      role: "operator",
      scopes: [],
      toolEvents: false,
      sessionScoped: false,
      credentials: { token: "wrong", password: undefined, deviceToken: undefined, bootstrapToken: undefined },
      asker: undefined
    }
    const locked = (address: string) => {
      const verdict = credentials.admit(caller, address, 0)
      return Result.isFailure(verdict) && Refusals.nameOf(verdict.failure) === "AUTH_RATE_LIMITED"
    }
    assert.deepStrictEqual([locked("first"), locked("first")], [false, true])
    for (let n = 0; n < 10_000; n++) locked(`address-${n}`)
    assert.isTrue(locked("address-9999"))
    assert.isFalse(locked("first"))
  })

  it("has one of a bounded number of pending requests", () => {
    const book = PairingBook.make(bookOptions)
    for (let n = 0; n < 1500; n++) book.ask(asker(`device-${n}`), n, false)
    const pending = book.pending(1500).map(({ deviceId }) => deviceId)
    assert.lengthOf(pending, 1000)
    assert.deepStrictEqual([pending[0], pending.at(-1)], ["device-500", "device-1499"])
    book.ask(asker("device-500"), 1500, false)
    book.ask(asker("late"), 1500, false)
    assert.include(book.pending(1500).map(({ deviceId }) => deviceId), "device-500")
  })
})

let ids = 0
const bookOptions = {
  pendingLifeMs: 300_000,
  merges: true,
  newRequestId: () => `request-${++ids}`,
  newToken: () => Redacted.make("token")
}

const asker = (deviceId: string): PairingBook.Asker => ({
  deviceId,
  publicKey: "key",
  platform: "linux",
  deviceFamily: undefined,
  displayName: undefined,
  clientId: "cli",
  clientMode: "cli",
  role: "operator",
  scopes: ["operator.read"],
  remoteIp: "127.0.0.1"
})
