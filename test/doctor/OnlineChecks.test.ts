import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { CheckId, CheckStatus, Result } from "../../src/doctor/Check.ts"
import { ok } from "../../src/doctor/Check.ts"
import { examine } from "../../src/doctor/Examine.ts"
import type { Online, Way } from "../../src/doctor/OnlineChecks.ts"
import { onlineChecks } from "../../src/doctor/OnlineChecks.ts"
import { diagnose, reach } from "../../src/doctor/Order.ts"
import type { Outcome } from "../../src/doctor/Outcome.ts"
import { checkOf, ofReport, ofStatus } from "../../src/doctor/Outcome.ts"
import { toolsCheck, toolSearchCheck } from "../../src/doctor/ToolsCheck.ts"
import { AuthRejected } from "../../src/handshake/HandshakeError.ts"
import type { Answer } from "../../src/link/GatewayProbe.ts"
import { LinkError } from "../../src/link/LinkError.ts"
import type { StatusReport } from "../../src/status/StatusReport.ts"
import { report } from "./Report.ts"

const way: Way = {
  url: "wss://gateway.example:443",
  secure: true,
  proxy: undefined,
  pinned: false,
  origin: undefined,
  clientId: "gateway-client",
  role: "operator",
  credential: "the gateway's token is set"
}

const met: Outcome = {
  _tag: "Met",
  by: "attempt",
  met: {
    protocol: 4,
    release: "2026.9.6",
    scopes: ["operator.read"],
    missingScopes: [],
    deviceTokenIssued: true
  }
}

const nowMs = Date.UTC(2026, 10, 27)
const dayMs = 86_400_000
const answer = (status: number, days = 90): Answer => ({
  status,
  body: status === 200 ? "" : "draining",
  certificate: {
    subject: "CN=gateway",
    issuer: "CN=Test",
    validFromMs: nowMs - dayMs,
    validToMs: nowMs + days * dayMs + 1,
    protocol: "TLSv1.3",
    chainLength: 2
  },
  elapsedMs: 3
})

const well: Online = {
  outcome: met,
  observed: undefined,
  clockDeltaMs: 5,
  health: answer(200),
  ready: answer(200),
  nowMs
}

const examined = (online: Online) =>
  examine([
    { id: "settings", needs: [], make: Effect.succeed(ok("")) },
    { id: "identity", needs: ["settings"], make: Effect.succeed(ok("")) },
    ...onlineChecks(Effect.succeed(online), way)
  ])

const statusOf = (results: ReadonlyArray<Result>, id: CheckId): CheckStatus | undefined =>
  results.find((result) => result.id === id)?.finding.status

const told = (results: ReadonlyArray<Result>) => diagnose(results).told.map(({ id }) => id)

/** The chain in which each check stands behind the one before. */
const chain: ReadonlyArray<CheckId> = [
  "proxy",
  "dns",
  "dial",
  "tls",
  "certificate",
  "front-door",
  "challenge",
  "ready",
  "protocol",
  "client",
  "origin",
  "credential",
  "proof",
  "pairing",
  "session",
  "scopes"
]

describe("a failure of the connection", () => {
  for (const [index, at] of chain.entries()) {
    it.effect(`at ${at} is told alone: what comes before is ok, and what comes after was not made`, () =>
      Effect.gen(function*() {
        const outcome: Outcome = { _tag: "Failed", by: "attempt", at, finding: { status: "fail", what: "x" } }
        const results = yield* examined({ ...well, outcome })
        assert.deepStrictEqual(told(results), [at])
        for (const before of chain.slice(0, index)) assert.strictEqual(statusOf(results, before), "ok", before)
        for (const after of chain.slice(index + 1)) assert.strictEqual(statusOf(results, after), "skipped", after)
        for (const { because } of results) assert.include([undefined, at], because)
      }))
  }

  it.effect("of a run that is asked has the same place", () =>
    Effect.gen(function*() {
      const error = new AuthRejected({ reason: "TokenMismatch", sent: "SharedToken" })
      const own = ofStatus({ _tag: "Halted", cause: error, approval: undefined }, () => undefined)
      const asked = ofReport(report({
        state: "halted",
        cause: { error: "AuthRejected", reason: "TokenMismatch", message: error.message }
      }))
      assert.isTrue(own._tag === "Failed" && asked._tag === "Failed" && own.at === asked.at && own.at === "credential")
      const link = new LinkError({ reason: "HungUp", phase: "upgrade", elapsedMs: 1 })
      const waiting = ofReport(report({
        state: "waiting",
        cause: { error: "LinkError", reason: "HungUp", message: link.message }
      }))
      assert.strictEqual(waiting._tag === "Failed" ? waiting.at : "", checkOf("LinkError", "HungUp", "upgrade"))
      const results = yield* examined({ ...well, outcome: asked })
      assert.deepStrictEqual(reach(results), { reachable: true, allowed: false })
    }))

  it.effect("that is not known is none: nothing is told", () =>
    Effect.gen(function*() {
      const results = yield* examined({ ...well, outcome: ofReport(report({ state: "connecting" })) })
      assert.deepStrictEqual([told(results), diagnose(results).worst], [[], "ok"])
      assert.deepStrictEqual(reach(results), { reachable: undefined, allowed: undefined })
    }))
})

describe("a connection that is well, with one thing that is not", () => {
  const cases: ReadonlyArray<readonly [title: string, online: Partial<Online>, id: CheckId]> = [
    ["the gateway's clock is ten minutes ahead", { clockDeltaMs: 600_000 }, "clock"],
    ["the certificate ends in five days", { health: answer(200, 5) }, "certificate"],
    ["the gateway is not ready", { ready: answer(503) }, "ready"],
    ["a scope is missing", { outcome: withMet({ missingScopes: ["operator.write"] }) }, "scopes"],
    ["the release is too old", { outcome: withMet({ release: "2025.12.1" }) }, "release"]
  ]
  for (const [title, change, id] of cases) {
    it.effect(title, () =>
      Effect.gen(function*() {
        const results = yield* examined({ ...well, ...change })
        assert.deepStrictEqual(told(results), [id])
        const { finding } = results.find((result) => result.id === id) ?? assert.fail(id)
        assert.strictEqual(finding.status, "warn")
        assert.isNotEmpty(finding.advice?.action)
      }))
  }

  const quiet: ReadonlyArray<readonly [title: string, online: Partial<Online>, id: CheckId]> = [
    ["an HTTP side that answers otherwise", { health: answer(404), ready: answer(426) }, "health"],
    ["an HTTP side that could not be asked", { health: undefined, ready: undefined }, "ready"],
    ["a release that is newer", { outcome: withMet({ release: "2027.1.1" }) }, "release"],
    ["a gateway that says no release", { outcome: withMet({ release: undefined }) }, "release"],
    ["a gateway that has not said its time", { clockDeltaMs: undefined }, "clock"]
  ]
  for (const [title, change, id] of quiet) {
    it.effect(`${title} is unknown, and no warning`, () =>
      Effect.gen(function*() {
        const results = yield* examined({ ...well, ...change })
        assert.deepStrictEqual([told(results), statusOf(results, id)], [[], "unknown"])
      }))
  }
})

describe("tools", () => {
  const checked = (isNode: boolean, tools: StatusReport["tools"]) =>
    Effect.map(
      examine([toolsCheck(Effect.succeed(isNode), Effect.succeed([report(tools === undefined ? {} : { tools })]))]),
      (results) => statusOf(results, "tools")
    )
  it.effect("that wait, are refused, are there, are unknown, and are none", () =>
    Effect.gen(function*() {
      const pairing = { reason: "surface", since: "", command: "openclaw nodes approve x" } as const
      assert.strictEqual(yield* checked(true, { state: "awaiting-approval", pairing }), "warn")
      assert.strictEqual(yield* checked(true, { state: "switched-off" }), "warn")
      assert.strictEqual(yield* checked(true, { state: "published", tools: ["a"] }), "ok")
      assert.strictEqual(yield* checked(true, undefined), "unknown")
      assert.strictEqual(yield* checked(false, undefined), "ok")
    }))
})

describe("tool search", () => {
  const found = (search: boolean | undefined, tools: StatusReport["tools"]) => {
    const reports = Effect.succeed([report(tools === undefined ? {} : { tools })])
    return Effect.map(
      examine([
        toolsCheck(Effect.succeed(true), reports),
        toolSearchCheck(reports, Effect.succeed(search))
      ]),
      (results) => results.find(({ id }) => id === "tool-search")?.finding
    )
  }
  it.effect("is told of published tools, is unknown where the gateway does not tell, and is never a warning", () =>
    Effect.gen(function*() {
      const published = { state: "published", tools: ["a"] } as const
      const searched = yield* found(true, published)
      assert.strictEqual(searched?.status, "ok")
      assert.match(searched?.what ?? "", /finds the tools by tool search/)
      const atHand = yield* found(false, published)
      assert.strictEqual(atHand?.status, "ok")
      assert.match(atHand?.what ?? "", /has the tools at hand/)
      assert.strictEqual((yield* found(undefined, published))?.status, "unknown")
      for (const tools of [undefined, { state: "switched-off" } as const]) {
        assert.deepStrictEqual(yield* found(true, tools), ok("no tools are published"))
      }
    }))
})

function withMet(change: Partial<Extract<Outcome, { readonly _tag: "Met" }>["met"]>): Outcome {
  return met._tag === "Met" ? { ...met, met: { ...met.met, ...change } } : met
}
