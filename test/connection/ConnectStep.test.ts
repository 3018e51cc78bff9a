import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { Decision, Input, Memory } from "../../src/connection/ConnectStep.ts"
import * as ConnectStep from "../../src/connection/ConnectStep.ts"
import type { Offer } from "../../src/connection/Credentials.ts"
import * as RetryPolicy from "../../src/connection/RetryPolicy.ts"
import type { Scopes } from "../../src/connection/ScopeRequest.ts"
import * as ScopeRequest from "../../src/connection/ScopeRequest.ts"
import type { GatewaySettings } from "../../src/handshake/GatewayConfig.ts"
import type { HandshakeError } from "../../src/handshake/HandshakeError.ts"
import {
  AuthRejected,
  DeviceProofRejected,
  GatewayUnavailable,
  PairingRequired,
  ProtocolMismatch,
  RateLimited
} from "../../src/handshake/HandshakeError.ts"
import type { StoredToken } from "../../src/identity/TokenStore.ts"
import { LinkError, UpgradeRejected } from "../../src/link/LinkError.ts"
import { TlsPinMismatch } from "../../src/link/TlsError.ts"
import { RequestId, ScopeName } from "../../src/protocol/Connect.ts"
import * as Device from "../support/Device.ts"

const narrow = ["operator.read"]
const wide = ["operator.read", "operator.write"]

const Pairing = Schema.TaggedStruct("Pairing", {
  reason: Schema.Literals(["not-paired", "scope-upgrade", "unspecified", "role-upgrade"]),
  request: Schema.Literals(["r1", "r2", "r3"]),
  approved: Schema.UndefinedOr(Schema.Literals(["nothing", "narrow", "wide"])),
  retryAfterMs: Schema.UndefinedOr(Schema.Literals([0, 20_000, 600_000])),
  pauseReconnect: Schema.Boolean
})

/** How an attempt can end without a session, and what the gateway says with it. */
const Failure = Schema.Union([
  Schema.TaggedStruct("Auth", { reason: Schema.Literals(["TokenMismatch", "DeviceTokenMismatch", "ScopeMismatch"]) }),
  Schema.TaggedStruct("Proof", { detailed: Schema.Boolean }),
  Schema.TaggedStruct("Locked", { retryAfterMs: Schema.UndefinedOr(Schema.Literals([1000, 299_979])) }),
  Schema.TaggedStruct("Unavailable", { retryAfterMs: Schema.UndefinedOr(Schema.Literals([0, 500, 70_000])) }),
  Schema.TaggedStruct("Link", { closeCode: Schema.Literals([1006, 1009, 1012]) }),
  Schema.TaggedStruct("Upgrade", {
    status: Schema.Literals([403, 429, 503]),
    retryAfterMs: Schema.UndefinedOr(Schema.Literals([500, 3_600_000]))
  }),
  Schema.TaggedStruct("Certificate", {}),
  Schema.TaggedStruct("Protocol", {})
])
type Failure = typeof Failure.Type

/** What happens next, where the connection's decision leaves a choice. */
const Happening = Schema.Struct({
  /** A session or a failure. Those that make the device try something else come more often. */
  ends: Schema.Union([
    Schema.TaggedStruct("Session", {}),
    Schema.TaggedStruct("Narrower", {}),
    Schema.TaggedStruct("Mismatch", {}),
    Pairing,
    Failure
  ]),
  livedMs: Schema.Literals([0, 1000, 30_000, 86_400_000]),
  passMs: Schema.Literals([0, 500, 3000, 60_000, 3_600_000]),
  unit: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 0.999_999 })),
  seen: Schema.Boolean,
  stored: Schema.Literals(["none", "narrow", "wide"])
})
type Happening = typeof Happening.Type

const World = Schema.Struct({
  credential: Schema.Literals(["token", "password", "none"]),
  narrowedScopes: Schema.Literals(["accept", "refuse"]),
  remote: Schema.Boolean,
  /** Scopes are asked for beside those of the settings. */
  more: Schema.Boolean
})
type World = typeof World.Type

const secret = Redacted.make("secret")
const settingsOf = ({ credential, narrowedScopes, remote }: World): GatewaySettings =>
  Device.settings({
    ...(credential === "none" ? {} : { [credential]: secret }),
    ...(remote ? { url: "wss://gateway.example" } : {}),
    narrowedScopes,
    scopes: wide
  })

const storedOf = (stored: Happening["stored"]): StoredToken | undefined =>
  stored === "none"
    ? undefined
    : { token: Device.token(stored), scopes: stored === "narrow" ? narrow : wide, storedAtMs: 0 }

type Ending = Exclude<Happening["ends"], { readonly _tag: "Session" }>

const errorOf = (failure: Ending, offer: Offer, proof: "v2" | "v3"): HandshakeError => {
  switch (failure._tag) {
    case "Narrower":
      return new PairingRequired({ reason: "scope-upgrade", requestId: RequestId.make("r1"), approvedScopes: narrow })
    case "Mismatch":
      return new AuthRejected({ reason: "TokenMismatch", sent: offer.credential._tag })
    case "Pairing": {
      const { approved, pauseReconnect, reason, request, retryAfterMs } = failure
      return new PairingRequired({
        reason,
        requestId: RequestId.make(request),
        approvedScopes: approved === undefined
          ? undefined
          : approved === "nothing"
          ? []
          : approved === "wide"
          ? wide
          : narrow,
        retryAfterMs,
        pauseReconnect
      })
    }
    case "Auth":
      return new AuthRejected({ reason: failure.reason, sent: offer.credential._tag })
    case "Proof":
      return new DeviceProofRejected({ reason: "SignatureInvalid", proof, detailed: failure.detailed })
    case "Locked":
      return new RateLimited({ retryAfterMs: failure.retryAfterMs })
    case "Unavailable":
      return new GatewayUnavailable({ retryAfterMs: failure.retryAfterMs })
    case "Link":
      return new LinkError({ reason: "Closed", phase: "hello", closeCode: failure.closeCode })
    case "Upgrade":
      return new UpgradeRejected({ status: failure.status, body: "", retryAfterMs: failure.retryAfterMs })
    case "Certificate":
      return new TlsPinMismatch({ reason: "Unknown", host: "", seenCertificate: "", seenKey: "", expected: [] })
    case "Protocol":
      return new ProtocolMismatch({ reason: "Protocol", minProtocol: 3, maxProtocol: 4 })
  }
}

/** One step as it was made. */
interface Made {
  readonly before: Memory
  readonly input: Input
  readonly after: Memory
  readonly decision: Decision
  readonly nowMs: number
  /** What the attempt that this input ends had offered. */
  readonly offer: Offer | undefined
}

/** Lives through what happens: each input is one that the decision before it waits for. */
const lived = (world: World, happenings: ReadonlyArray<Happening>): ReadonlyArray<Made> => {
  const settings = settingsOf(world)
  const scopes: Scopes = world.more
    ? ScopeRequest.open(
      ScopeRequest.begin(settings.scopes),
      [...settings.scopes, ScopeName.make("operator.approvals")],
      0
    )
    : ScopeRequest.begin(settings.scopes)
  let memory = ConnectStep.begin(0)
  let decision: Decision = { _tag: "Attempt" }
  let nowMs = 0
  const made: Array<Made> = []
  for (const { ends, livedMs, passMs, seen, stored, unit } of happenings) {
    nowMs += passMs
    const token = storedOf(stored)
    const offer = ConnectStep.offer(memory, settings, scopes, token)
    const input: Input = decision._tag === "Halt"
      ? { _tag: "Resumed" }
      : decision._tag === "Serve"
      ? { _tag: "LinkLost", error: new LinkError({ reason: "Closed", phase: "session", closeCode: 1006 }), livedMs }
      : ends._tag === "Session"
      ? { _tag: "Connected" }
      : {
        _tag: "AttemptFailed",
        error: errorOf(ends, offer, memory.history.proof),
        offer,
        stored: token
      }
    const moment = { nowMs, unit, seenAtMs: seen ? nowMs : Number.NEGATIVE_INFINITY, sleptMs: 0 }
    const before = memory
    const [after, next] = ConnectStep.step(memory, input, { moment, settings, scopes })
    made.push({
      before,
      input,
      after,
      decision: next,
      nowMs,
      offer: input._tag === "AttemptFailed" ? offer : undefined
    })
    memory = after
    decision = next
  }
  return made
}

/** Parts of a life between two of these. */
const split = (made: ReadonlyArray<Made>, ends: (each: Made) => boolean): ReadonlyArray<ReadonlyArray<Made>> =>
  made.reduce<Array<Array<Made>>>((parts, each) => {
    if (ends(each)) parts.push([])
    parts.at(-1)?.push(each)
    return parts
  }, [[]])

const isFresh = ({ input }: Made) => input._tag === "Connected" || input._tag === "Resumed"
const toldMs = ({ input }: Made): number =>
  input._tag === "AttemptFailed" && "retryAfterMs" in input.error ? input.error.retryAfterMs ?? 0 : 0

const law = (name: string, holds: (made: ReadonlyArray<Made>, world: World) => void) =>
  it.effect.prop(
    name,
    [Arbitrary.schema(World), Arbitrary.array(Arbitrary.schema(Happening), { maxLength: 40 })],
    ([world, happenings]) => Effect.sync(() => holds(lived(world, happenings), world)),
    { arbitrary: { seed: "connect step", runs: 300, size: 40 } }
  )

describe("ConnectStep, whatever happens in whatever order", () => {
  law(
    "narrowing is tried at most once in the life of a link, and what was narrowed is part of what is wanted",
    (made) => {
      for (const life of split(made, isFresh)) {
        const narrowings = life.filter(({ decision }) => decision._tag === "Narrow")
        assert.isAtMost(narrowings.length, 1)
        for (const { decision } of narrowings) {
          if (decision._tag !== "Narrow") continue
          assert.isTrue(decision.approved.length > 0 && decision.approved.length < decision.goal.length)
          assert.includeMembers([...decision.goal], [...decision.approved])
        }
      }
    }
  )

  law("a narrowed attempt that has to be approved too is followed at once by one for everything", (made, world) => {
    const settings = settingsOf(world)
    for (const { after, before, decision, input } of made) {
      if (input._tag !== "AttemptFailed" || input.error._tag !== "PairingRequired") continue
      if (before.narrowing._tag !== "Narrowed") continue
      assert.strictEqual(decision._tag, "Attempt")
      assert.strictEqual(after.next, "Poll")
      const { scopes } = ConnectStep.offer(after, settings, ScopeRequest.begin(settings.scopes), undefined)
      assert.deepStrictEqual(scopes, settings.scopes)
    }
  })

  law("there is no halt without an input that resumes it, and then everything may be tried again", (made) => {
    for (const { after, decision, nowMs } of made) {
      if (decision._tag !== "Halt") continue
      const moment = { nowMs, unit: 0, seenAtMs: nowMs, sleptMs: 0 }
      const settings = Device.settings({ token: secret, scopes: wide })
      const scopes = ScopeRequest.begin(settings.scopes)
      const [resumed, next] = ConnectStep.step(after, { _tag: "Resumed" }, { moment, settings, scopes })
      assert.strictEqual(next._tag, "Attempt")
      assert.strictEqual(resumed.next, "Attempt")
      assert.strictEqual(resumed.history.attempt, 1)
      assert.strictEqual(resumed.narrowing._tag, "Untried")
      const offer = ConnectStep.offer(resumed, settings, scopes, storedOf("wide"))
      assert.strictEqual(offer.credential._tag, "SharedToken")
      // An approval that nobody gave in time is waited for again.
      const answer = new PairingRequired({ reason: "not-paired", requestId: after.history.approval?.requestId })
      const asked = ConnectStep.step(
        resumed,
        { _tag: "AttemptFailed", error: answer, offer, stored: undefined },
        { moment, settings, scopes }
      )
      assert.strictEqual(asked[1]._tag, "AskAgain")
    }
  })

  law("no wait ends before a time that the gateway has set, not even for somebody who looks", (made) => {
    for (const each of made) {
      const { decision, nowMs } = each
      if (decision._tag === "Wait") {
        assert.isAtLeast(decision.notBeforeMs, nowMs + toldMs(each))
        assert.isAtLeast(decision.untilMs, decision.notBeforeMs)
      }
      if (decision._tag === "AskAgain") {
        assert.isAtLeast(decision.notBeforeMs, nowMs + toldMs(each))
        for (const attended of [true, false]) {
          const { approval, notBeforeMs } = decision
          const atMs = RetryPolicy.nextCheckAtMs(approval, attended, notBeforeMs, { nowMs, unit: 0.999_999 })
          assert.isAtLeast(atMs, notBeforeMs)
        }
      }
    }
  })

  law("an approval that is waited for survives polls and lost links, from its first ask to the session", (made) => {
    for (const life of split(made, ({ input }) => input._tag === "Connected")) {
      const [first, ...others] = life
      if (first?.input._tag === "Connected") assert.isUndefined(first.after.history.approval)
      let waited = first?.after.history.approval
      for (const { after: { history: { approval } }, decision, input, nowMs } of others) {
        if (waited !== undefined) {
          assert.isDefined(approval)
          assert.strictEqual(approval?.sinceMs, waited.sinceMs)
          const asked = input._tag === "AttemptFailed" && input.error._tag === "PairingRequired"
          if (!asked && input._tag !== "Resumed") assert.strictEqual(approval, waited)
        }
        if (decision._tag === "AskAgain") {
          assert.strictEqual(decision.approval, approval)
          assert.strictEqual(approval?.lastAskedAtMs, nowMs)
        }
        waited = approval
      }
    }
  })

  law(
    "at most four attempts follow at once on another between two sessions: one each for the credential, the proof and less, and one for all again",
    (made) => {
      for (const life of split(made, isFresh)) {
        const atOnce = life.filter(({ decision, input }) =>
          input._tag === "AttemptFailed" && (decision._tag === "Attempt" || decision._tag === "Narrow")
        )
        assert.isAtMost(atOnce.length, 4)
      }
    }
  )

  law("attempts count up from one until a session or an approval, and polls do not count", (made) => {
    for (const { after, before, decision, input } of made) {
      if (after.next === "Poll") {
        assert.isTrue(decision._tag !== "Wait" && decision._tag !== "Halt")
        assert.isAtMost(after.history.attempt, before.history.attempt)
        continue
      }
      if (decision._tag === "Serve" || decision._tag === "Halt") continue
      const restarted = input._tag === "LinkLost" || input._tag === "Resumed" || before.next === "Poll"
      if (!restarted) assert.strictEqual(after.history.attempt, before.history.attempt + 1)
      assert.isAtLeast(after.history.attempt, 1)
    }
  })

  law(
    "once a session has been, no refusal of the upgrade or of TLS halts, and before it one that may pass does not",
    (made) => {
      const first = made.findIndex(({ input }) => input._tag === "Connected")
      for (const [index, { decision, input }] of made.entries()) {
        if (input._tag !== "AttemptFailed") continue
        const { error, stored } = input
        if (error._tag !== "UpgradeRejected" && error._tag !== "TlsPinMismatch") continue
        const served = stored !== undefined || (first >= 0 && first < index)
        const passes = error._tag === "UpgradeRejected" && error.status !== 403
        if (served || passes) assert.strictEqual(decision._tag, "Wait")
      }
    }
  )

  law("a stored token is given up only when it was the one that was sent", (made) => {
    for (const { decision, offer } of made) {
      if (!("forget" in decision) || decision.forget === undefined) continue
      assert.strictEqual(offer?.credential._tag, "DeviceToken")
      if (offer?.credential._tag === "DeviceToken") {
        assert.strictEqual(Redacted.value(offer.credential.token), Redacted.value(decision.forget.token))
      }
    }
  })

  law("a session forgets which credentials were refused, and that less was asked for", (made) => {
    for (const { after, decision, input } of made) {
      if (input._tag !== "Connected") continue
      assert.strictEqual(decision._tag, "Serve")
      assert.deepInclude(after, { refused: { shared: false, stored: false }, narrowing: { _tag: "Untried" } })
      assert.deepInclude(after.history, { attempt: 0, approval: undefined })
    }
  })
})
