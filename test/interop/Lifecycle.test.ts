import { assert, describe, layer } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { failure } from "../../src/agent/AgentEvents.ts"
import type { Session } from "../../src/connection/Session.ts"
import { AuthToken } from "../../src/protocol/Connect.ts"
import * as Compatibility from "./support/Compatibility.ts"
import * as LibraryAgent from "./support/LibraryAgent.ts"
import { releases } from "./support/OpenClaw.ts"
import { admitted, approve, ownAddress, Place } from "./support/Place.ts"
import { connect, type GatewayError, makeDevice, type RawClient } from "./support/RawClient.ts"
import type { RemoteProxy } from "./support/RemoteProxy.ts"

// Everything here branches on what a gateway does, never on what it is called.

const wrongToken = Redacted.make("not-the-token-of-this-gateway")
const everything = ["operator.read", "operator.write"]

const decodePending = Schema.decodeUnknownEffect(Schema.Struct({
  pending: Schema.Array(Schema.Struct({ requestId: Schema.String, deviceId: Schema.String }))
}))

/** An agent that was approved if the gateway asked for it, with the shared token. */
const connected = Effect.fnUntraced(function*(home: LibraryAgent.Home, remote: RemoteProxy, scopes = everything) {
  const { gateway } = yield* Place
  const agent = yield* LibraryAgent.start(home, { url: remote.url, token: gateway.token, scopes })
  const session = yield* admitted(agent)
  return { agent, session, paired: session.facts.deviceTokenIssued }
})

const acts = {
  rotate: { method: "device.token.rotate", params: { role: "operator" } },
  revoke: { method: "device.token.revoke", params: { role: "operator" } },
  remove: { method: "device.pair.remove", params: {} }
}

/**
 * What an act of the administrator does to a live session. A gateway that ends sessions does it with its answer; one that
 * answers a further request of the session has kept it.
 */
const act = Effect.fnUntraced(function*(name: keyof typeof acts, deviceId: string, session: Session) {
  const { admin } = yield* Place
  const acted = yield* Effect.result(admin.request(acts[name].method, { ...acts[name].params, deviceId }))
  if (Result.isFailure(acted)) return { _tag: "Refused", message: acted.failure.message } as const
  const lives = yield* Effect.result(session.request("chat.history", { sessionKey: "agent:main:main" }))
  if (Result.isSuccess(lives)) return { _tag: "Kept" } as const
  assert.strictEqual((yield* session.ended).closeCode, 4001)
  return { _tag: "Cut" } as const
})

const secretOf = (agent: LibraryAgent.LibraryAgent) =>
  Effect.map(agent.stored, (stored) => stored === undefined ? undefined : Redacted.value(stored.token))

const refusals = (agent: LibraryAgent.LibraryAgent) =>
  agent.attempts.flatMap(({ refusal }) => refusal === undefined ? [] : [refusal])

/** It has stopped trying, says why, and what to do about it. */
const assertHalted = (
  agent: LibraryAgent.LibraryAgent,
  status: LibraryAgent.Settled,
  error: string,
  reasons: ReadonlyArray<string> = []
) => {
  const context = JSON.stringify(refusals(agent))
  assert.strictEqual(status._tag, "Halted", context)
  if (status._tag !== "Halted") return
  const told = failure(status.cause)
  assert.strictEqual(told.error, error, context)
  if (reasons.length > 0) assert.include(reasons, told.reason, context)
  assert.isString(told.advice)
  assert.isString(told.owner)
}

/** The refusal of a signature by a gateway that may not know proof version 3. */
const mayNotKnowV3 = (error: GatewayError | undefined) =>
  error?.message === "device signature invalid"
  && (error.details?.code === undefined || error.details.code === "DEVICE_AUTH_INVALID")

/** Version 3 first and, where the gateway does not know it, version 2; from then on always the one that it took. */
const assertProofs = (agent: LibraryAgent.LibraryAgent): "v2" | "v3" => {
  const taken = mayNotKnowV3(agent.attempts[0]?.refusal) ? "v2" : "v3"
  assert.deepStrictEqual(
    agent.attempts.map(({ proof }) => proof),
    agent.attempts.map((_, index) => index === 0 ? "v3" : taken)
  )
  return taken
}

/** How many dials one credential costs an agent that starts: with an unknown proof version, one more. */
const dialsAtStart = (agent: LibraryAgent.LibraryAgent) => mayNotKnowV3(agent.attempts[0]?.refusal) ? 2 : 1

describe.each(Effect.runSync(releases))("the life of a device on OpenClaw %s", (release) => {
  layer(Place.layer(release), { excludeTestServices: true, timeout: "300 seconds" })((it) => {
    it.effect(
      "proof version 3 first, then 2 once, and the request keeps its id over polls",
      (context) =>
        Effect.gen(function*() {
          const note = Compatibility.note(context, release)
          const { admin, gateway } = yield* Place
          const remote = yield* ownAddress
          const home = yield* LibraryAgent.makeHome
          const agent = yield* LibraryAgent.start(home, { url: remote.url, token: gateway.token })
          const first = yield* agent.settled()
          let dials = dialsAtStart(agent)
          assert.lengthOf(agent.attempts, dials)
          if (first._tag === "AwaitingApproval") {
            const { reason, requestId } = first.approval
            assert.include(["not-paired", "unspecified"], reason)
            for (let poll = 0; poll < 3; poll++) {
              const { lastAskedAtMs } = (yield* agent.until("AwaitingApproval")).approval
              yield* agent.supervisor.checkNow
              const { approval } = yield* agent.until("AwaitingApproval", {
                where: ({ approval, checking }) => !checking && approval.lastAskedAtMs > lastAskedAtMs
              })
              assert.deepInclude(approval, { requestId, replaced: 0 })
              assert.lengthOf(agent.attempts, ++dials)
            }
            const { pending } = yield* decodePending(yield* admin.request("device.pair.list", {}))
            assert.deepStrictEqual(
              pending.filter(({ deviceId }) => deviceId === agent.deviceId).map((request) => request.requestId),
              [String(requestId)]
            )
            assert.isTrue((yield* approve(agent, first)).facts.deviceTokenIssued)
            assert.isDefined(yield* agent.stored)
            assert.lengthOf(agent.attempts, ++dials)
          }

          // A lost link, and other settings for the same gateway: the proof that it took is kept.
          const { session } = yield* agent.until("Connected")
          yield* remote.drop
          assert.strictEqual((yield* agent.settled(session))._tag, "Connected")
          assert.lengthOf(agent.attempts, ++dials)
          const { session: again } = yield* agent.until("Connected")
          yield* agent.reconfigure({ token: gateway.token, scopes: ["operator.read"] })
          assert.strictEqual((yield* agent.settled(again))._tag, "Connected")
          assert.lengthOf(agent.attempts, ++dials)
          note({ proof: assertProofs(agent) })
        }),
      60_000
    )

    it.effect("a local backend is admitted without pairing", (context) =>
      Effect.gen(function*() {
        Compatibility.note(context, release)
        const { gateway } = yield* Place
        const agent = yield* LibraryAgent.start(yield* LibraryAgent.makeHome, gateway)
        const { session } = yield* agent.until("Connected")
        assert.strictEqual((yield* agent.stored) !== undefined, session.facts.deviceTokenIssued)
        assert.includeMembers([...session.facts.scopes], everything)
      }), 60_000)

    for (const name of ["rotate", "revoke", "remove"] as const) {
      it.effect(
        `${name}, with the shared token: it ends by itself in the right state`,
        (context) =>
          Effect.gen(function*() {
            const note = Compatibility.note(context, release)
            const fs = yield* FileSystem.FileSystem
            const remote = yield* ownAddress
            const home = yield* LibraryAgent.makeHome
            const { agent, paired, session } = yield* connected(home, remote)
            if (!paired) return note({ [name]: "no token" })
            const identity = yield* fs.readFileString(home.identityPath)
            const secret = yield* secretOf(agent)

            const outcome = yield* act(name, agent.deviceId, session)
            if (outcome._tag === "Refused") {
              assert.include(outcome.message, "unknown method")
              return note({ [name]: "not offered" })
            }
            // Up to some release the gateway leaves the session alone, and gives a new token at once even after a revoke.
            const kept = outcome._tag === "Kept"
            if (kept) {
              const now = yield* agent.supervisor.status
              assert.isTrue(now._tag === "Connected" && now.session === session)
              yield* remote.drop
            }
            const [took, next] = yield* Effect.timed(agent.settled(session))
            assert.isBelow(Duration.toMillis(took), 5000)
            const tokenAtOnce = name === "rotate" || (name === "revoke" && kept)
            assert.strictEqual(next._tag, tokenAtOnce ? "Connected" : "AwaitingApproval")
            if (next._tag === "AwaitingApproval") {
              const { reason } = next.approval
              // Early releases give no reason.
              assert.include([name === "revoke" ? "role-upgrade" : "not-paired", "unspecified"], reason)
              assert.isTrue((yield* approve(agent, next)).facts.deviceTokenIssued)
            }
            const fresh = yield* secretOf(agent)
            assert.isDefined(fresh)
            assert.notStrictEqual(fresh, secret)
            assert.strictEqual(yield* fs.readFileString(home.identityPath), identity)

            // The token that is stored by now is one that works.
            yield* agent.stop
            const later = yield* LibraryAgent.start(home, remote)
            assert.strictEqual((yield* later.settled())._tag, "Connected")
            note({ [name]: `${kept ? "kept" : "cut"}, ${tokenAtOnce ? "new token" : "approval"}` })
          }),
        60_000
      )

      it.effect(
        `${name}, with the stored token alone: halted with advice, and the shared token goes on`,
        (context) =>
          Effect.gen(function*() {
            Compatibility.note(context, release)
            const { gateway } = yield* Place
            const fs = yield* FileSystem.FileSystem
            const remote = yield* ownAddress
            const home = yield* LibraryAgent.makeHome
            const { agent: first, paired } = yield* connected(home, remote)
            if (!paired) return
            yield* first.stop
            const identity = yield* fs.readFileString(home.identityPath)

            const agent = yield* LibraryAgent.start(home, remote)
            const { session } = yield* agent.until("Connected")
            const dials = agent.attempts.length
            const outcome = yield* act(name, agent.deviceId, session)
            if (outcome._tag === "Refused") return
            if (outcome._tag === "Kept") yield* remote.drop
            assertHalted(agent, yield* agent.settled(session), "AuthRejected")
            assert.lengthOf(agent.attempts, dials + 1)
            assert.isUndefined(yield* agent.stored)
            assert.strictEqual(yield* fs.readFileString(home.identityPath), identity)

            const halted = yield* agent.until("Halted")
            yield* agent.reconfigure({ token: gateway.token })
            const resumed = yield* agent.settled(session, halted)
            assert.notStrictEqual(resumed._tag, "Halted")
            assert.lengthOf(agent.attempts, dials + 2)
          }),
        60_000
      )
    }

    it.effect(
      "a scope approval replaces the token, and the next start works with the new one",
      (context) =>
        Effect.gen(function*() {
          Compatibility.note(context, release)
          const { gateway } = yield* Place
          const remote = yield* ownAddress
          const home = yield* LibraryAgent.makeHome
          const { agent, paired, session } = yield* connected(home, remote, ["operator.read"])
          if (!paired) return
          const narrow = yield* agent.stored
          yield* agent.reconfigure({ token: gateway.token, scopes: everything, narrowedScopes: "refuse" })
          const asked = yield* agent.settled(session)
          assert.strictEqual(asked._tag, "AwaitingApproval")
          if (asked._tag !== "AwaitingApproval") return
          assert.include(["scope-upgrade", "unspecified"], asked.approval.reason)
          const wide = yield* approve(agent, asked)
          assert.includeMembers([...wide.facts.scopes], everything)
          assert.notStrictEqual(
            yield* secretOf(agent),
            narrow === undefined ? undefined : Redacted.value(narrow.token)
          )
          yield* agent.stop

          const later = yield* LibraryAgent.start(home, { url: remote.url, scopes: everything })
          assert.includeMembers([...(yield* later.until("Connected")).session.facts.scopes], everything)

          // Whoever still holds the replaced token is told, once, and drops it.
          const other = { ...home, tokenDirectory: `${home.tokenDirectory}-other` }
          const stale = yield* LibraryAgent.start(other, { url: remote.url, scopes: ["operator.read"] })
          const missing = yield* stale.until("Halted")
          assertHalted(stale, missing, "AuthRejected", ["TokenMissing"])
          if (narrow !== undefined) yield* stale.store(narrow)
          const dials = stale.attempts.length
          yield* stale.supervisor.checkNow
          assertHalted(stale, yield* stale.settled(undefined, missing), "AuthRejected")
          assert.lengthOf(stale.attempts, dials + 1)
          assert.isUndefined(yield* stale.stored)
        }),
      60_000
    )

    it.effect(
      "with the stored token alone no more is asked for than it holds; a scope mismatch keeps it",
      (context) =>
        Effect.gen(function*() {
          Compatibility.note(context, release)
          const remote = yield* ownAddress
          const home = yield* LibraryAgent.makeHome
          const { agent: first, paired } = yield* connected(home, remote, ["operator.read"])
          if (!paired) return
          const narrow = yield* first.stored
          yield* first.stop

          const agent = yield* LibraryAgent.start(home, { url: remote.url, scopes: everything })
          yield* agent.until("Connected")
          assert.deepStrictEqual(
            agent.attempts.map(({ scopes }) => scopes),
            agent.attempts.map(() => ["operator.read"])
          )
          assert.deepStrictEqual(yield* agent.stored, narrow)
          yield* agent.stop

          // A store that takes the token for more than it is, as one does that was copied from elsewhere.
          const other = { ...home, tokenDirectory: `${home.tokenDirectory}-other` }
          const misled = yield* LibraryAgent.start(other, { url: remote.url, scopes: everything })
          const missing = yield* misled.until("Halted")
          if (narrow !== undefined) yield* misled.store({ ...narrow, scopes: everything })
          yield* misled.supervisor.checkNow
          assertHalted(misled, yield* misled.settled(undefined, missing), "AuthRejected")
          // Earlier releases call it a token mismatch, which cannot be told from a dead token.
          const told = refusals(misled).at(-1)?.details?.code === "AUTH_SCOPE_MISMATCH"
          assert.strictEqual((yield* misled.stored) !== undefined, told)
        }),
      60_000
    )

    it.effect(
      "a wrong shared token halts at once; a stored one is tried in its place, once",
      (context) =>
        Effect.gen(function*() {
          Compatibility.note(context, release)
          const remote = yield* ownAddress
          const wrong = { url: remote.url, token: wrongToken }
          const home = yield* LibraryAgent.makeHome
          const agent = yield* LibraryAgent.start(home, wrong)
          const first = yield* agent.until("Halted")
          assertHalted(agent, first, "AuthRejected")
          assert.lengthOf(agent.attempts, dialsAtStart(agent))

          // Two wrong credentials: each is offered once.
          const dials = agent.attempts.length
          yield* agent.store({
            token: Redacted.make(AuthToken.make("not-a-device-token-of-this-gateway")),
            scopes: everything,
            storedAtMs: 0
          })
          yield* agent.supervisor.checkNow
          assertHalted(agent, yield* agent.settled(undefined, first), "AuthRejected")
          assert.lengthOf(agent.attempts, dials + 2)
          assert.isUndefined(yield* agent.stored)
          assertProofs(agent)
          yield* agent.stop

          const { agent: good, paired } = yield* connected(home, remote)
          yield* good.stop
          if (!paired) return
          const wrongAgain = yield* LibraryAgent.start(home, wrong)
          assert.strictEqual((yield* wrongAgain.settled())._tag, "Connected")
          assert.lengthOf(wrongAgain.attempts, dialsAtStart(wrongAgain) + 1)
        }),
      60_000
    )

    it.effect("a locked-out address waits until the gateway lets it in again", (context) =>
      Effect.gen(function*() {
        Compatibility.note(context, release)
        const { gateway } = yield* Place
        const remote = yield* ownAddress
        const device = yield* makeDevice
        const offer = Effect.scoped(connect({ url: remote.url, token: wrongToken, device }))
        const isLockOut = ({ answer }: RawClient) =>
          answer._tag === "Refused" && answer.error.message.includes("too many failed authentication attempts")
        let locked = false
        for (let offers = 0; offers < 14 && !locked; offers++) locked = isLockOut(yield* offer)

        const agent = yield* LibraryAgent.start(yield* LibraryAgent.makeHome, { ...remote, token: gateway.token })
        if (!locked) return assert.notStrictEqual((yield* agent.settled())._tag, "Halted")
        const { cause, retryAtMs } = yield* agent.until("Waiting")
        assert.strictEqual(cause._tag, "RateLimited")
        assert.isAbove(retryAtMs - (yield* Clock.currentTimeMillis), 240_000)
        assert.lengthOf(agent.attempts, 1)
      }), 60_000)

    const refused: ReadonlyArray<{
      readonly what: string
      readonly alter: (connect: string) => string
      readonly error: string
      readonly reasons?: ReadonlyArray<string>
    }> = [
      {
        what: "a protocol from the future",
        alter: (text) => text.replace(/"minProtocol":\d+,"maxProtocol":\d+/, `"minProtocol":99,"maxProtocol":99`),
        error: "ProtocolMismatch"
      },
      {
        what: "an invented client id",
        alter: (text) => text.replace(`"id":"gateway-client"`, `"id":"invented"`),
        error: "ClientNotAllowed"
      },
      {
        what: "an unknown property",
        alter: (text) => text.replace(`"caps":`, `"invented":1,"caps":`),
        error: "GatewayRejected"
      },
      {
        what: "a signature of something else",
        alter: (text) => text.replace(/"signature":"(.)/, (_, first) => `"signature":"${first === "A" ? "B" : "A"}`),
        error: "DeviceProofRejected",
        reasons: ["SignatureInvalid"]
      },
      {
        what: "another nonce",
        alter: (text) => text.replace(/"nonce":"[^"]*"/, `"nonce":"another"`),
        error: "DeviceProofRejected",
        reasons: ["NonceMismatch"]
      },
      {
        what: "the id of another device",
        alter: (text) => text.replace(/"id":"[0-9a-f]{64}"/, `"id":"${"0".repeat(64)}"`),
        error: "DeviceProofRejected",
        reasons: ["DeviceIdMismatch"]
      }
    ]
    for (const { alter, error, reasons, what } of refused) {
      it.effect(`refused for ${what}: halted, and not tried again`, (context) =>
        Effect.gen(function*() {
          Compatibility.note(context, release)
          const { gateway } = yield* Place
          const remote = yield* ownAddress
          const agent = yield* LibraryAgent.start(yield* LibraryAgent.makeHome, {
            ...remote,
            token: gateway.token,
            alter
          })
          assertHalted(agent, yield* agent.settled(), error, reasons)
          assert.lengthOf(agent.attempts, dialsAtStart(agent))
          assert.lengthOf(refusals(agent), agent.attempts.length)
        }), 60_000)
    }
  })
})
