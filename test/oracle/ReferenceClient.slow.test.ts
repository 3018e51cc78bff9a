/**
 * Compares our client with OpenClaw's client and validators from npm: both sign the same text for the same plan, our messages
 * pass their checks, and their client works with our `DevGateway`.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  buildDeviceAuthPayload,
  buildDeviceAuthPayloadV3,
  GatewayBrowserDeviceAuthLifecycle,
  GatewayClient,
  type GatewayClientOptions,
  GatewayClientRequestError,
  GatewayScopeUpgrade
} from "@openclaw/gateway-client"
import {
  formatValidationErrors,
  validateChatAbortParams,
  validateChatHistoryParams,
  validateChatSendParams,
  validateConnectParams,
  validateRequestFrame
} from "@openclaw/gateway-protocol"
import * as Arbitrary from "effect/Arbitrary"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from "node:crypto"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import { serve } from "../../src/devgateway/DevGatewayWs.ts"
import * as Plan from "../../src/handshake/ConnectPlan.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import type { Challenge, ConnectParams } from "../../src/protocol/Connect.ts"
import { encodeRequest } from "../../src/protocol/Frame.ts"
import { arbitraryChallenge, arbitraryPlan } from "../../src/testing/Arbitraries.ts"
import * as Device from "../support/Device.ts"

const sample = { seed: 4, runs: 300 }

interface Attempt {
  readonly plan: Plan.ConnectPlan
  readonly challenge: Challenge
}

const arbitraryAttempt = (identity: DeviceIdentity["Service"]): Arbitrary.Arbitrary<Attempt> =>
  Arbitrary.all({ plan: arbitraryPlan(identity), challenge: arbitraryChallenge })

/** What the reference package builds from the parameters that we send, without our plan. */
const referenceText = (proof: "v2" | "v3", { auth, client, device, role, scopes }: ConnectParams): string => {
  const fields = {
    deviceId: device.id,
    clientId: client.id,
    clientMode: client.mode,
    role,
    scopes: [...scopes],
    signedAtMs: device.signedAt,
    token: auth?.token ?? auth?.bootstrapToken ?? null,
    nonce: device.nonce ?? ""
  }
  return proof === "v2"
    ? buildDeviceAuthPayload(fields)
    : buildDeviceAuthPayloadV3({ ...fields, platform: client.platform, deviceFamily: client.deviceFamily ?? null })
}

/** The key of the test device, in the form of another implementation. */
const nodeKey = createPrivateKey({
  key: Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), Redacted.value(Device.seed)]),
  format: "der",
  type: "pkcs8"
})
const nodeSign = (text: string) => sign(null, Buffer.from(text, "utf8"), nodeKey).toString("base64url")

describe("what is signed", () => {
  it.effect("F16: the reference package builds our signed text from what we send, and both signatures verify", () =>
    Effect.gen(function*() {
      const identity = yield* DeviceIdentity
      const publicKey = createPublicKey(nodeKey)
      yield* Arbitrary.checkEffect(arbitraryAttempt(identity), ({ challenge, plan }) =>
        Effect.sync(() => {
          const { params, signedText } = Result.getOrThrow(Plan.answer(plan, challenge))
          const text = referenceText(plan.proof, params)
          assert.strictEqual(Redacted.value(signedText), text)
          const ours = Buffer.from(params.device.signature, "base64url")
          return verify(null, Buffer.from(text, "utf8"), publicKey, ours) && identity.verify(text, nodeSign(text))
        }), sample)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("the reference client's own plan holds the same device object and the same token as ours", () =>
    Effect.gen(function*() {
      const identity = yield* DeviceIdentity
      yield* Arbitrary.checkEffect(arbitraryAttempt(identity), ({ challenge, plan }) =>
        Effect.gen(function*() {
          const v3 = { ...plan, proof: "v3" as const }
          const { params } = Result.getOrThrow(Plan.answer(v3, challenge))
          const { deviceId, publicKey } = identity
          const loadIdentity = () =>
            Promise.resolve({ deviceId, publicKey, sign: (text: string) => Promise.resolve(nodeSign(text)) })
          const reference = yield* Effect.promise(() =>
            new GatewayBrowserDeviceAuthLifecycle({ loadIdentity, tokenStore: emptyStore }).buildPlan({
              client: params.client,
              role: params.role,
              defaultScopes: params.scopes,
              nonce: challenge.nonce,
              challengeTs: challenge.ts,
              ...params.auth
            })
          )
          assert.deepStrictEqual<unknown>(reference.device, params.device)
          assert.strictEqual<string | undefined>(reference.auth?.token, params.auth?.token)
          return true
        }), sample)
    }).pipe(Effect.provide(Device.layer)))
})

/** A store that is always empty, so a plan has the configured token. */
const emptyStore = { load: () => null, store: () => {}, clear: () => {} }

describe("what is sent", () => {
  it.effect("every connect, with its frame, passes the published validators", () =>
    Effect.gen(function*() {
      const identity = yield* DeviceIdentity
      yield* Arbitrary.checkEffect(arbitraryAttempt(identity), ({ challenge, plan }) =>
        Effect.sync(() => {
          const { params } = Result.getOrThrow(Plan.answer(plan, challenge))
          const sent: unknown = JSON.parse(encodeRequest("1", "connect", params))
          assert.isTrue(validateRequestFrame(sent), formatValidationErrors(validateRequestFrame.errors))
          const received: unknown = Predicate.hasProperty(sent, "params") ? sent.params : undefined
          assert.isTrue(validateConnectParams(received), formatValidationErrors(validateConnectParams.errors))
          return true
        }), sample)
    }).pipe(Effect.provide(Device.layer)))
})

type Occurrence =
  | { readonly _tag: "Hello"; readonly hello: unknown }
  | { readonly _tag: "Refused"; readonly error: unknown }
  | { readonly _tag: "Paused"; readonly detailCode: string | null; readonly code: number }
  | { readonly _tag: "Closed"; readonly code: number; readonly reason: string }
  | { readonly _tag: "Event"; readonly event: string; readonly payload: unknown }

interface StoredToken {
  readonly token: string
  readonly scopes: Array<string>
}

const makeDevice = () => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519", {
    privateKeyEncoding: { format: "pem", type: "pkcs8" },
    publicKeyEncoding: { format: "pem", type: "spki" }
  })
  return {
    deviceId: createHash("sha256").update(rawKey(publicKey)).digest("hex"),
    privateKeyPem: privateKey,
    publicKeyPem: publicKey
  }
}

const rawKey = (publicKeyPem: string) =>
  createPublicKey(publicKeyPem).export({ format: "der", type: "spki" }).subarray(-32)

/** A device that runs the reference client, and keeps its token between connections. */
const makeHost = (url: URL) => {
  const deviceIdentity = makeDevice()
  const tokens = new Map<string, StoredToken>()
  const hostDeps: NonNullable<GatewayClientOptions["hostDeps"]> = {
    signDevicePayload: (pem, payload) => sign(null, Buffer.from(payload, "utf8"), pem).toString("base64url"),
    publicKeyRawBase64UrlFromPem: (pem) => rawKey(pem).toString("base64url"),
    loadDeviceAuthToken: ({ deviceId, role }) => tokens.get(`${deviceId} ${role}`) ?? null,
    storeDeviceAuthToken: ({ deviceId, role, scopes, token }) =>
      void tokens.set(`${deviceId} ${role}`, { token, scopes }),
    clearDeviceAuthToken: ({ deviceId, role }) => void tokens.delete(`${deviceId} ${role}`)
  }
  const start = Effect.fnUntraced(function*(options: GatewayClientOptions = {}) {
    const occurrences = yield* Queue.unbounded<Occurrence>()
    const tell = (occurrence: Occurrence) => void Queue.offerUnsafe(occurrences, occurrence)
    const client = yield* Effect.acquireRelease(
      Effect.sync(() =>
        new GatewayClient({
          url: url.href,
          platform: "linux",
          clientVersion: "2026.9.1",
          scopes: ["operator.read", "operator.write"],
          deviceIdentity,
          hostDeps,
          onHelloOk: (hello) => tell({ _tag: "Hello", hello }),
          onConnectError: (error) => tell({ _tag: "Refused", error }),
          onReconnectPaused: ({ code, detailCode }) => tell({ _tag: "Paused", code, detailCode }),
          onClose: (code, reason) => tell({ _tag: "Closed", code, reason }),
          onEvent: ({ event, payload }) => tell({ _tag: "Event", event, payload }),
          ...options
        })
      ),
      (client) => Effect.promise(() => client.stopAndWait({ timeoutMs: 2000 }))
    )
    /** The next matching occurrence of this kind. Earlier ones are dropped. */
    const next = <Tag extends Occurrence["_tag"]>(
      tag: Tag,
      fits: (occurrence: Extract<Occurrence, { readonly _tag: Tag }>) => boolean = () => true
    ): Effect.Effect<Extract<Occurrence, { readonly _tag: Tag }>> => {
      const isKind = (occurrence: Occurrence): occurrence is Extract<Occurrence, { readonly _tag: Tag }> =>
        occurrence._tag === tag
      const isIt = (occurrence: Occurrence): occurrence is Extract<Occurrence, { readonly _tag: Tag }> =>
        isKind(occurrence) && fits(occurrence)
      const search: Effect.Effect<Extract<Occurrence, { readonly _tag: Tag }>> = Effect.filterOrElse(
        Queue.take(occurrences),
        isIt,
        () => search
      )
      return Effect.timeout(search, patience).pipe(Effect.orDie)
    }
    client.start()
    return { client, next }
  })
  return { deviceId: deviceIdentity.deviceId, tokens, start }
}

const patience = Duration.seconds(15)

const at = (value: unknown, ...path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>((inner, name) => Predicate.hasProperty(inner, name) ? inner[name] : undefined, value)

const layer = DevGateway.layerTest({ seeded: false, recordFrames: true })

/** The `auth` of the last `connect` that a gateway received. */
const lastAuth = Effect.fnUntraced(function*(gateway: DevGateway["Service"]) {
  const connects = (yield* gateway.frames).flatMap(({ direction, text }): ReadonlyArray<unknown> => {
    const frame: unknown = direction === "in" ? JSON.parse(text) : undefined
    return at(frame, "method") === "connect" ? [frame] : []
  })
  return at(connects.at(-1), "params", "auth")
})

describe("the reference client on DevGateway", () => {
  it.live("is told to pair, waits, is approved, connects, gets a device token and reconnects with that alone", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const host = makeHost(yield* serve())

      const asking = yield* host.start({ token: "shared-token" })
      const { error } = yield* asking.next("Refused")
      assert.instanceOf(error, GatewayClientRequestError)
      const [pending] = yield* gateway.pending
      assert.deepInclude(at(error, "details"), {
        code: "PAIRING_REQUIRED",
        reason: "not-paired",
        requestId: pending?.requestId
      })
      assert.strictEqual(pending?.deviceId, host.deviceId)
      assert.deepInclude(yield* asking.next("Paused"), { code: 1008, detailCode: "PAIRING_REQUIRED" })
      yield* gateway.approve(pending?.requestId ?? "")

      const approved = yield* host.start({ token: "shared-token" })
      const { hello } = yield* approved.next("Hello")
      assert.deepInclude(at(hello, "auth"), { method: "token", scopes: ["operator.read", "operator.write"] })
      const token = at(hello, "auth", "deviceToken")
      assert.isString(token)
      assert.deepStrictEqual<unknown>([...host.tokens.values()], [{
        token,
        scopes: ["operator.read", "operator.write"]
      }])
      yield* Effect.promise(() => approved.client.stopAndWait())

      const back = yield* host.start()
      const again = yield* back.next("Hello")
      assert.strictEqual(at(again.hello, "auth", "method"), "device-token")
      assert.strictEqual(at(again.hello, "auth", "deviceToken"), token)
      assert.deepStrictEqual(yield* lastAuth(gateway), { token, deviceToken: token })
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("chats: events lead to the final, and history has the messages", () =>
    Effect.gen(function*() {
      const host = makeHost(yield* serve())
      const { client, next } = yield* host.start({ token: "operator-token" })
      yield* next("Hello")
      const chat = { sessionKey: "main", message: "hello there", deliver: false, idempotencyKey: "key-1" }
      assert.isTrue(validateChatSendParams(chat))
      const started = yield* Effect.promise(() => client.request("chat.send", chat))
      assert.deepStrictEqual(started, { runId: "key-1", status: "started" })
      const final = yield* next("Event", ({ payload }) =>
        at(payload, "runId") === "key-1" && at(payload, "state") === "final")
      assert.strictEqual(at(final.payload, "message", "content", "0", "text"), "echo: hello there")
      const asked = { sessionKey: "main" }
      assert.isTrue(validateChatHistoryParams(asked) && validateChatAbortParams(asked))
      const history = yield* Effect.promise(() =>
        client.request("chat.history", asked)
      )
      assert.strictEqual(history["totalMessages"], 2)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("reads our refusals: it gives up on a wrong token, and waits as told while a gateway starts", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const host = makeHost(yield* serve())
      const wrong = yield* host.start({ token: "wrong" })
      assert.strictEqual((yield* wrong.next("Paused")).detailCode, "AUTH_TOKEN_MISMATCH")

      yield* gateway.script({ unavailable: 100 })
      const early = yield* host.start({ token: "operator-token" })
      yield* early.next("Hello")
      const { hellos, refusals } = yield* gateway.stats
      assert.deepStrictEqual([hellos, refusals.get("UNAVAILABLE")], [1, 1])
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("reconnects after a restart of the gateway, with its token", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const host = makeHost(yield* serve())
      const asking = yield* host.start({ token: "shared-token" })
      yield* asking.next("Paused")
      const [pending] = yield* gateway.pending
      yield* gateway.approve(pending?.requestId ?? "")
      yield* Effect.scoped(Effect.flatMap(host.start({ token: "shared-token" }), ({ next }) => next("Hello")))

      const lasting = yield* host.start()
      yield* lasting.next("Hello")
      yield* gateway.stop
      assert.deepStrictEqual((yield* lasting.next("Event", ({ event }) => event === "shutdown")).payload, {
        reason: "gateway stopping"
      })
      assert.deepInclude(yield* lasting.next("Closed"), { code: 1012, reason: "service restart" })
      yield* gateway.start
      yield* lasting.next("Hello")
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("its scope upgrade asks over the live link, and stores the token of the approval", () =>
    Effect.gen(function*() {
      const gateway = yield* DevGateway
      const host = makeHost(yield* serve())
      const asking = yield* host.start({ token: "shared-token" })
      yield* asking.next("Paused")
      const [first] = yield* gateway.pending
      yield* gateway.approve(first?.requestId ?? "")
      const { client, next } = yield* host.start({ token: "shared-token" })
      const before = at((yield* next("Hello")).hello, "auth", "deviceToken")

      const stored: Array<unknown> = []
      const upgrade = new GatewayScopeUpgrade({
        request: (method, params, options) => client.request(method, params, options),
        tokenStore: { ...emptyStore, store: (record) => void stored.push(record) },
        reconnect: () => {}
      })
      const scopes = ["operator.read", "operator.write", "operator.approvals"]
      const approving = Effect.gen(function*() {
        const { pending } = yield* gateway.awaitState((state) => state.pending.length === 1)
        yield* gateway.approve(pending[0]?.requestId ?? "")
      })
      const asked = Effect.promise(() =>
        upgrade.requestScopeUpgrade({
          binding: { clientId: "gateway-client", deviceId: host.deviceId, role: "operator" },
          scopes
        })
      )
      const [outcome] = yield* Effect.all([asked, approving], { concurrency: 2 }).pipe(Effect.timeout(patience))
      assert.strictEqual(outcome.status, "approved")
      assert.sameMembers([...(outcome.status === "approved" ? outcome.scopes : [])], scopes)
      assert.deepInclude(stored[0], { deviceId: host.deviceId, role: "operator" })
      assert.isString(at(stored[0], "token"))
      assert.notStrictEqual(at(stored[0], "token"), before)
    }).pipe(Effect.scoped, Effect.provide(layer)))
})
