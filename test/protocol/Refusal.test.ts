import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { buildPairingConnectErrorDetails } from "@openclaw/gateway-protocol/connect-error-details"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { Meaning } from "../../src/protocol/Refusal.ts"
import * as Refusal from "../../src/protocol/Refusal.ts"

/** `PairingRequired/not-paired`, `RateLimited`: a meaning on one line. */
const named = (meaning: Meaning): string => "reason" in meaning ? `${meaning._tag}/${meaning.reason}` : meaning._tag

/** Reads an error object as it comes off the wire, as a handshake does. */
const readWire = Refusal.read
const meaningOfWire = (error: unknown): string => named(readWire(error).meaning)

/** What each detail code means that a release was seen to send (protocol notes, "Error objects, verbatim"). */
const byDetailCode: Record<string, string> = {
  AUTH_TOKEN_MISSING: "AuthRejected/TokenMissing",
  AUTH_TOKEN_MISMATCH: "AuthRejected/TokenMismatch",
  AUTH_DEVICE_TOKEN_MISMATCH: "AuthRejected/DeviceTokenMismatch",
  AUTH_SCOPE_MISMATCH: "AuthRejected/ScopeMismatch",
  AUTH_RATE_LIMITED: "RateLimited",
  DEVICE_AUTH_SIGNATURE_INVALID: "DeviceProofRejected/SignatureInvalid",
  DEVICE_AUTH_SIGNATURE_EXPIRED: "DeviceProofRejected/SignatureExpired",
  DEVICE_AUTH_NONCE_MISMATCH: "DeviceProofRejected/NonceMismatch",
  DEVICE_AUTH_DEVICE_ID_MISMATCH: "DeviceProofRejected/DeviceIdMismatch",
  DEVICE_IDENTITY_REQUIRED: "DeviceProofRejected/IdentityRequired",
  CONTROL_UI_DEVICE_IDENTITY_REQUIRED: "DeviceProofRejected/IdentityRequired",
  CONTROL_UI_ORIGIN_NOT_ALLOWED: "OriginNotAllowed",
  PROTOCOL_MISMATCH: "ProtocolMismatch/Protocol"
}

/** Releases 2026.2.22 to 2026.2.26 send one code for every bad proof; `details.reason` tells the case. */
const coarseByReason: Record<string, string> = {
  "device-signature": "DeviceProofRejected/SignatureInvalid",
  "device-signature-stale": "DeviceProofRejected/SignatureExpired",
  "device-nonce-mismatch": "DeviceProofRejected/NonceMismatch",
  "device-id-mismatch": "DeviceProofRejected/DeviceIdMismatch"
}

/** Errors without a detail code: the message as far as it is the same on every release, and what it means. */
const byMessage: ReadonlyArray<readonly [start: string, meaning: string]> = [
  ["pairing required", "PairingRequired/unspecified"],
  ["unauthorized: gateway token mismatch", "AuthRejected/TokenMismatch"],
  ["unauthorized: gateway token missing", "AuthRejected/TokenMissing"],
  ["device signature invalid", "DeviceProofRejected/SignatureInvalid"],
  ["device signature expired", "DeviceProofRejected/SignatureExpired"],
  ["device nonce mismatch", "DeviceProofRejected/NonceMismatch"],
  ["device nonce required", "DeviceProofRejected/NonceRequired"],
  ["device identity mismatch", "DeviceProofRejected/DeviceIdMismatch"],
  ["device identity required", "DeviceProofRejected/IdentityRequired"],
  ["control ui requires HTTPS or localhost", "DeviceProofRejected/IdentityRequired"],
  ["origin not allowed", "OriginNotAllowed"],
  ["protocol mismatch", "ProtocolMismatch/Protocol"],
  ["invalid connect params: at /client/id:", "ClientNotAllowed"],
  ["invalid connect params: at /client/mode:", "ClientNotAllowed"]
]

/**
 * The only recorded errors that keep their own words: mistakes in a frame that this client cannot make, and answers to
 * requests after hello. None has a detail code but the missing scope of 2026.8.2 on, whose code is no connect code.
 */
const keptAsTheyCame: ReadonlyArray<RegExp> = [
  /^invalid connect params: must be object$/,
  /^invalid connect params: must have required property 'minProtocol'/,
  /^invalid connect params: at root: unexpected property 'invented'$/,
  /^invalid connect params: at \/client: unexpected property 'invented'$/,
  /^invalid connect params: at \/client: must have required property '(platform|version)'$/,
  /^invalid connect params: at \/client\/version: must not have fewer than 1 characters$/i,
  /^invalid connect params: at \/auth: unexpected property '(bootstrapToken|deviceToken|invented)'$/,
  /^invalid connect params: at \/device: (must have required property 'nonce'|unexpected property 'invented')$/,
  /^invalid connect params: at \/device\/nonce: must not have fewer than 1 characters$/i,
  /^invalid connect params: at \/device\/signedAt: must be integer$/,
  /^invalid role$/,
  /^invalid handshake: first request must be connect$/,
  /^invalid request frame: at root: unexpected property 'invented'$/,
  /^invalid chat\.history params: must have required property 'sessionKey'/,
  /^invalid device\.pair\.(approve|reject) params: must have required property 'requestId'$/,
  /^missing scope: operator\.(admin|pairing|write)$/,
  /^unknown requestId$/
]

interface Recorded {
  readonly where: string
  readonly error: { readonly code: string; readonly message: string }
  readonly details: Record<string, unknown>
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const refusalsIn = (value: unknown, where: string): ReadonlyArray<Recorded> => {
  if (Array.isArray(value)) return value.flatMap((item, index) => refusalsIn(item, `${where}[${index}]`))
  if (!isRecord(value)) return []
  const { error } = value
  const here = isRecord(error) && typeof error.code === "string" && typeof error.message === "string"
    ? [{
      where,
      error: { ...error, code: error.code, message: error.message },
      details: isRecord(error.details) ? error.details : {}
    }]
    : []
  return [...here, ...Object.entries(value).flatMap(([key, item]) => refusalsIn(item, `${where}.${key}`))]
}

const recordings = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const folder = (yield* Path.Path).join(import.meta.dirname, "..", "vectors")
  const names = (yield* fs.readDirectory(folder)).filter((name) => /^gateway-.*\.json$/.test(name)).toSorted()
  return yield* Effect.forEach(names, (name) =>
    Effect.map(fs.readFileString(`${folder}/${name}`), (text) => ({
      release: name.slice("gateway-".length, -".json".length),
      refusals: refusalsIn(JSON.parse(text), "")
    })))
}).pipe(Effect.provide(NodeServices.layer))

const allRecorded = Effect.map(
  recordings,
  (all) => all.flatMap(({ refusals, release }) => refusals.map((one) => ({ ...one, where: `${release}${one.where}` })))
)

const documented = ({ details, error }: Recorded): string => {
  const { code, reason } = details
  if (code === "PROTOCOL_MISMATCH" && details["reloadRequired"] === true) return "ProtocolMismatch/ControlUiBuild"
  if (code === "PAIRING_REQUIRED") return `PairingRequired/${reason}`
  if (code === "DEVICE_AUTH_INVALID") return coarseByReason[`${reason}`] ?? "not in the table"
  if (typeof code === "string" && byDetailCode[code] !== undefined) return byDetailCode[code]
  if (code !== undefined && code !== "MISSING_SCOPE") return "not in the table"
  const meaning = byMessage.find(([start]) => error.message.startsWith(start))?.[1]
  if (meaning !== undefined) return meaning
  return keptAsTheyCame.some((message) => message.test(error.message)) ? "Unknown" : "not in the table"
}

describe("recorded refusals", () => {
  it.effect("are there, of old and new releases", () =>
    Effect.gen(function*() {
      const all = yield* recordings
      assert.deepStrictEqual(all.map(({ release }) => release), [
        "2026.1.29",
        "2026.2.22",
        "2026.2.26",
        "2026.3.2",
        "2026.4.15",
        "2026.5.12",
        "2026.6.11",
        "2026.9.6"
      ])
      for (const { refusals, release } of all) assert.isAbove(refusals.length, 50, release)
    }))

  it.effect("F11: each of them, from old and new releases, has its documented meaning", () =>
    Effect.gen(function*() {
      const wrong = (yield* allRecorded).flatMap((one) => {
        const [expected, actual] = [documented(one), meaningOfWire(one.error)]
        return expected === actual ? [] : [`${one.where}: ${expected}, read as ${actual}: ${JSON.stringify(one.error)}`]
      })
      assert.deepStrictEqual(wrong, [])
    }))

  it.effect("only those without a published detail code may stay unknown, and each of the listed ones occurs", () =>
    Effect.gen(function*() {
      const unknown = (yield* allRecorded).filter(({ error }) => meaningOfWire(error) === "Unknown")
      for (const { details, error, where } of unknown) {
        assert.isTrue(details.code === undefined || details.code === "MISSING_SCOPE", `${where} ${error.message}`)
      }
      const unused = keptAsTheyCame.filter((message) => !unknown.some(({ error }) => message.test(error.message)))
      assert.deepStrictEqual(unused, [])
    }))

  it.effect("every row of the tables occurs in a recording", () =>
    Effect.gen(function*() {
      const all = yield* allRecorded
      const codes = new Set(all.map(({ details }) => details.code))
      const withoutCode = all.filter(({ details }) => details.code === undefined)
      assert.deepStrictEqual(Object.keys(byDetailCode).filter((code) => !codes.has(code)), [])
      assert.deepStrictEqual(
        byMessage.filter(([start]) => !withoutCode.some(({ error }) => error.message.startsWith(start))),
        []
      )
    }))

  it.effect("what a refusal carries comes through: request id, scopes, times, versions", () =>
    Effect.gen(function*() {
      for (const { details, error, where } of yield* allRecorded) {
        const refusal = readWire(error)
        if (refusal.meaning._tag === "PairingRequired") {
          assert.match(refusal.requestId ?? "", /^[0-9a-f-]{36}$/, where)
          assert.strictEqual<unknown>(refusal.requestId, details.requestId)
        }
        assert.deepStrictEqual<unknown>(refusal.requestedScopes, details.requestedScopes, where)
        assert.deepStrictEqual<unknown>(refusal.approvedScopes, details.approvedScopes, where)
        assert.strictEqual<unknown>(refusal.recommendedNextStep, details.recommendedNextStep, where)
        assert.strictEqual<unknown>(refusal.expectedProtocol, details.expectedProtocol, where)
        if ("retryAfterMs" in error) assert.strictEqual<unknown>(refusal.retryAfterMs, error.retryAfterMs, where)
        assert.strictEqual(refusal.message, error.message, where)
        assert.strictEqual(refusal.missingScope, error.message.match(/^missing scope: (.+)$/)?.[1], where)
      }
    }))
})

describe("F07: a code decides, not a text", () => {
  const requestId = "8f5a2df0-8ed8-4c61-9cc1-696e28a07319"
  const pairing = { code: "PAIRING_REQUIRED", reason: "not-paired", requestId }

  it("F07: a code with a message in another language, or with none, is detected", () => {
    for (const message of ["Kopplung erforderlich", "需要配对", ""]) {
      assert.strictEqual(
        meaningOfWire({ code: "NOT_PAIRED", message, details: pairing }),
        "PairingRequired/not-paired"
      )
      assert.strictEqual(
        meaningOfWire({ code: "INVALID_REQUEST", message, details: { code: "AUTH_TOKEN_MISMATCH" } }),
        "AuthRejected/TokenMismatch"
      )
    }
  })

  it("F07: one code for every bad proof is told apart by its reason, whatever the language of the message", () => {
    for (const [reason, meaning] of Object.entries(coarseByReason)) {
      assert.strictEqual(
        meaningOfWire({ code: "INVALID_REQUEST", message: "Gerät", details: { code: "DEVICE_AUTH_INVALID", reason } }),
        meaning
      )
    }
  })

  it("F07: the words pairing required inside another error are not pairing", () => {
    for (
      const error of [
        { code: "INVALID_REQUEST", message: "tool failed: pairing required" },
        { code: "INVALID_REQUEST", message: "pairing required" },
        { code: "INTERNAL", message: "pairing required (requestId: x)", details: { requestId } },
        {
          code: "NOT_PAIRED",
          message: "pairing required: device is not approved yet",
          details: { code: "AGENT_ERROR" }
        },
        { code: "INVALID_REQUEST", message: "missing scope: operator.write" },
        { code: "FORBIDDEN", message: "pairing required", details: { code: "MISSING_SCOPE" } }
      ]
    ) assert.strictEqual(meaningOfWire(error), "Unknown", JSON.stringify(error))
  })

  it("F07: texts count only at the start, and only without a detail code", () => {
    assert.strictEqual(meaningOfWire({ code: "X", message: "note: protocol mismatch" }), "Unknown")
    assert.strictEqual(meaningOfWire({ code: "X", message: "not unauthorized at all" }), "Unknown")
    assert.strictEqual(meaningOfWire({ code: "X", message: "device signature invalid or so" }), "Unknown")
    assert.strictEqual(
      meaningOfWire({ code: "X", message: "unauthorized: gateway token mismatch", details: { code: "NEW_CODE" } }),
      "Unknown"
    )
  })

  it("F11: NOT_PAIRED alone is not pairing, with a request id it is", () => {
    assert.strictEqual(
      meaningOfWire({ code: "NOT_PAIRED", message: "device identity required" }),
      "DeviceProofRejected/IdentityRequired"
    )
    assert.strictEqual(meaningOfWire({ code: "NOT_PAIRED", message: "no" }), "Unknown")
    assert.strictEqual(meaningOfWire({ code: "NOT_PAIRED", message: "no", details: {} }), "Unknown")
    assert.strictEqual(
      meaningOfWire({ code: "NOT_PAIRED", message: "no", details: { requestId } }),
      "PairingRequired/unspecified"
    )
  })

  it("F11: the code in the details wins over the one beside the message", () => {
    assert.strictEqual(
      meaningOfWire({
        code: "NOT_PAIRED",
        message: "pairing required",
        details: { code: "AUTH_TOKEN_MISMATCH", requestId }
      }),
      "AuthRejected/TokenMismatch"
    )
    assert.strictEqual(
      meaningOfWire({ code: "INVALID_REQUEST", message: "unauthorized", details: pairing }),
      "PairingRequired/not-paired"
    )
    assert.strictEqual(
      meaningOfWire({ code: "UNAVAILABLE", message: "no", details: { code: "PROTOCOL_MISMATCH" } }),
      "ProtocolMismatch/Protocol"
    )
  })

  it("each published reason for pairing is kept, any other is unspecified", () => {
    for (const reason of ["not-paired", "role-upgrade", "scope-upgrade", "metadata-upgrade"] as const) {
      const details = buildPairingConnectErrorDetails({ reason, requestId, requestedScopes: ["operator.read"] })
      const refusal = readWire({ code: "NOT_PAIRED", message: "m", details })
      assert.deepStrictEqual(refusal.meaning, { _tag: "PairingRequired", reason })
      assert.strictEqual<unknown>(refusal.requestId, requestId)
      assert.deepStrictEqual(refusal.requestedScopes, ["operator.read"])
    }
    for (const reason of ["tier-upgrade", "", 7, null, undefined]) {
      assert.strictEqual(
        meaningOfWire({ code: "NOT_PAIRED", message: "m", details: { ...pairing, reason } }),
        "PairingRequired/unspecified"
      )
    }
  })

  it("a gateway that starts is unavailable, for as long as it says", () => {
    const refusal = readWire({
      code: "UNAVAILABLE",
      message: "gateway starting; retry shortly",
      retryable: true,
      retryAfterMs: 500,
      details: { reason: "startup-sidecars" }
    })
    assert.deepStrictEqual(refusal.meaning, { _tag: "GatewayUnavailable" })
    assert.strictEqual(refusal.retryAfterMs, 500)
    assert.strictEqual(refusal.detailReason, "startup-sidecars")
  })
})

describe("what else a refusal carries", () => {
  const details = { code: "PAIRING_REQUIRED", reason: "not-paired" }

  it("retryAfterMs is read beside the message, else in the details, and is a duration", () => {
    const of = (top: unknown, inner: unknown) =>
      readWire({ code: "X", message: "m", retryAfterMs: top, details: { retryAfterMs: inner } }).retryAfterMs
    assert.strictEqual(of(299_979, undefined), 299_979)
    assert.strictEqual(of(1000, 2000), 1000)
    assert.strictEqual(of(0, 2000), 500)
    assert.strictEqual(readWire({ code: "X", message: "m", details: { retryAfterMs: 2000 } }).retryAfterMs, 2000)
    assert.strictEqual(of(-1, 2000), 2000)
    assert.isUndefined(readWire({ code: "X", message: "m", details: { retryAfterMs: -1 } }).retryAfterMs)
    assert.isUndefined(readWire({ code: "X", message: "m", details: { retryAfterMs: "9" } }).retryAfterMs)
    assert.isUndefined(readWire({ code: "X", message: "m" }).retryAfterMs)
  })

  const hostileIds: ReadonlyArray<unknown> = [
    "$(reboot)",
    "`id`",
    "a;b",
    "a b",
    "a\nb",
    "abc\n",
    "'",
    '"',
    "-rf",
    "--latest",
    ".hidden",
    "",
    "a\u202Eb",
    "ａ",
    "a".repeat(129),
    7,
    null,
    ["a"],
    { toString: "a" }
  ]
  for (const requestId of hostileIds) {
    it(`F45: the request id ${JSON.stringify(requestId)?.slice(0, 30)} is dropped, the pairing is not`, () => {
      const refusal = readWire({ code: "NOT_PAIRED", message: "m", details: { ...details, requestId } })
      assert.isUndefined(refusal.requestId)
      assert.deepStrictEqual(refusal.meaning, { _tag: "PairingRequired", reason: "not-paired" })
    })
  }

  const odd: ReadonlyArray<unknown> = [null, 7, "text", true, [], {}, [1, "operator.read"]]
  for (
    const field of [
      "requestId",
      "requestedScopes",
      "approvedScopes",
      "recommendedNextStep",
      "pauseReconnect",
      "retryAfterMs",
      "expectedProtocol",
      "reason"
    ]
  ) {
    it(`F11: details.${field} of an unexpected type does not hide the code`, () => {
      for (const value of odd) {
        assert.match(
          meaningOfWire({ code: "NOT_PAIRED", message: "m", details: { ...details, [field]: value } }),
          /^PairingRequired\//
        )
      }
    })
  }
  for (const field of ["retryable", "retryAfterMs", "message"]) {
    it(`F11: ${field} of an unexpected type, or none, does not hide the code`, () => {
      const error = { code: "NOT_PAIRED", message: "m", details, [field]: undefined }
      for (const value of [...odd, undefined]) {
        assert.strictEqual(
          meaningOfWire({ ...error, [field]: value }),
          "PairingRequired/not-paired",
          JSON.stringify({ [field]: value })
        )
      }
    })
  }

  it("F34: the scope that a request needed is named, and its lack is no pairing", () => {
    const named = { code: "MISSING_SCOPE", missingScope: "operator.write" }
    for (
      const error of [
        { code: "INVALID_REQUEST", message: "missing scope: operator.write" },
        { code: "FORBIDDEN", message: "missing scope: operator.write", details: named },
        { code: "FORBIDDEN", message: "fehlende Berechtigung", details: named }
      ]
    ) {
      assert.strictEqual(readWire(error).missingScope, "operator.write")
      assert.strictEqual(meaningOfWire(error), "Unknown")
    }
    for (
      const error of [
        { code: "X", message: "agent says: missing scope: operator.write" },
        { code: "X", message: "missing scope: operator.write", details: { code: "AUTH_SCOPE_MISMATCH" } },
        { code: "X", message: "m", details: { code: "MISSING_SCOPE", missingScope: ["operator.write"] } },
        { code: "X", message: "m", details: { missingScope: "operator.write" } }
      ]
    ) assert.isUndefined(readWire(error).missingScope, JSON.stringify(error))
  })

  it.effect.prop(
    "F48: whatever stands for the error, reading it never throws",
    [Schema.Json],
    ([json]) =>
      Effect.sync(() => {
        const refusal = readWire(json)
        assert.strictEqual(named(refusal.meaning), "Unknown")
        assert.strictEqual(named(readWire({ code: "X", message: "m", details: json }).meaning), "Unknown")
      }),
    { arbitrary: { seed: "refusal", runs: 300 } }
  )

  it("details that are no object are as good as none", () => {
    for (const value of odd.filter((one) => !isRecord(one))) {
      assert.strictEqual(
        meaningOfWire({ code: "X", message: "protocol mismatch", details: value }),
        "ProtocolMismatch/Protocol"
      )
    }
  })

  it("what a refusal repeats of a credential that was sent is left out", () => {
    const secrets = [Redacted.make("the-shared-token"), Redacted.make("a pass word")]
    const text = "bad token the-shared-token or a pass%20word or a pass word"
    const refusal = Refusal.read({
      code: text,
      message: text,
      details: { code: text, reason: text, recommendedNextStep: text, requestedScopes: [text], approvedScopes: [text] }
    }, secrets)
    const clean = "bad token [redacted] or a pass%20word or [redacted]"
    assert.deepInclude(refusal, {
      code: clean,
      message: clean,
      detailCode: clean,
      detailReason: clean,
      recommendedNextStep: clean,
      requestedScopes: [clean],
      approvedScopes: [clean]
    })
  })

  const hostileText = Arbitrary.map(
    Arbitrary.all([
      Arbitrary.schema(Schema.Literals([0, 1, 298, 299, 300, 400])),
      Arbitrary.array(
        Arbitrary.schema(Schema.Literals(["a", "😀", "\u001B[2J", "\n", "\u202E", "\u200B", "\u2028", "\uD83D", "\0"])),
        { maxLength: 6 }
      )
    ]),
    ([length, pieces]) => "x".repeat(length) + pieces.join("")
  )
  it.effect.prop(
    "F45: every text that comes out is printable and at most 300 long",
    [hostileText, hostileText],
    ([one, two]) =>
      Effect.sync(() => {
        const refusal = readWire({
          code: one,
          message: two,
          details: {
            code: one,
            reason: two,
            recommendedNextStep: two,
            requestedScopes: [one, two],
            approvedScopes: [two]
          }
        })
        const texts = {
          code: refusal.code,
          message: refusal.message,
          detailCode: refusal.detailCode,
          detailReason: refusal.detailReason,
          recommendedNextStep: refusal.recommendedNextStep,
          requestedScopes: refusal.requestedScopes?.join(""),
          approvedScopes: refusal.approvedScopes?.join("")
        }
        for (const [field, text] of Object.entries(texts)) {
          // A blank code is as good as none.
          if (field !== "detailCode" || one !== "") assert.isDefined(text)
          assert.notMatch(text ?? "", /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u, field)
          assert.isAtMost(text?.length ?? 0, field === "requestedScopes" ? 600 : 300, field)
        }
      }),
    { arbitrary: { seed: "refusal", runs: 500 } }
  )
})
