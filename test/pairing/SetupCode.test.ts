import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { inspect } from "node:util"
import { check } from "../../src/handshake/GatewayConfig.ts"
import * as SetupCode from "../../src/pairing/SetupCode.ts"

const nowMs = 1_800_000_000_000
const secret = "Zq3-bootstrap_token-of-the-gateway-Zq3"
const content = (more: Readonly<Record<string, unknown>> = {}) => ({
  url: "wss://gateway.example",
  bootstrapToken: secret,
  expiresAtMs: nowMs + 600_000,
  ...more
})
const encoded = (value: unknown): string =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url")
const parse = (text: string, at = nowMs) => SetupCode.parse(Redacted.make(text), at)

/** The code in a text, or the reason why it is refused. */
const read = (text: string, at = nowMs) =>
  Result.match(parse(text, at), {
    onFailure: ({ reason }) => reason,
    onSuccess: (pasted) => pasted._tag === "Code" ? pasted.code : pasted
  })
const codeOf = (text: string) => {
  const found = read(text)
  return typeof found === "object" && "urls" in found ? found : assert.fail(JSON.stringify(found))
}

describe("SetupCode", () => {
  it("reads a code, and the same behind oc-pair://, whatever white space is around it", () => {
    for (
      const text of [encoded(content()), `oc-pair://${encoded(content())}`, ` \n OC-Pair://${encoded(content())}\r\n`]
    ) {
      const { expiresAtMs, pin, token, urls } = codeOf(text)
      assert.deepStrictEqual([expiresAtMs, pin, urls], [nowMs + 600_000, undefined, ["wss://gateway.example"]])
      assert.strictEqual(Redacted.value(token), secret)
    }
  })

  it("tries the URLs of a list in place of the one, and ignores what it does not know", () => {
    const urls = ["ws://127.0.0.1:18789", "wss://gateway.example/base", "wss://[fd00::1]:8443"]
    assert.deepStrictEqual<ReadonlyArray<string>>(codeOf(encoded(content({ urls, later: { deep: [1] } }))).urls, urls)
  })

  it("keeps the fingerprint in every spelling", () => {
    const digits = "ab".repeat(32)
    const colons = (digits.match(/../g) ?? []).join(":")
    for (const tlsFingerprint of [digits, digits.toUpperCase(), colons, `sha256:${digits}`, `sha256:${colons}`]) {
      assert.deepStrictEqual(codeOf(encoded(content({ tlsFingerprint }))).pin, { of: "certificate", sha256: digits })
    }
  })

  const key = "A".repeat(22)
  it.each(
    [
      [`https://gateway.example/j/${key}`, "wss://gateway.example", `/j/${key}`],
      [
        `https://gateway.example:8443/base/of/it/j/${key}`,
        "wss://gateway.example:8443/base/of/it",
        `/base/of/it/j/${key}`
      ],
      [`http://127.0.0.1:18789/j/${key}`, "ws://127.0.0.1:18789", `/j/${key}`],
      [`HTTP://localhost:1/j/${key}`, "ws://localhost:1", `/j/${key}`]
    ] as const
  )("reads the join URL %s", (text, gatewayUrl, path) => {
    const pasted = Result.getOrThrow(parse(text))
    if (pasted._tag !== "JoinUrl") return assert.fail(pasted._tag)
    assert.strictEqual(pasted.joinUrl.gatewayUrl, gatewayUrl)
    assert.strictEqual(Redacted.value(pasted.joinUrl.path), path)
    assert.notInclude(inspect(pasted, { depth: 9 }), key)
  })

  const refused: ReadonlyArray<readonly [string, string, SetupCode.SetupCodeInvalid["reason"]]> = [
    ["nothing", " \n", "Empty"],
    ["the prefix alone", "oc-pair://", "NotACode"],
    ["more than 8192 characters", "x".repeat(8193), "TooLong"],
    ["a sentence", "please pair me", "NotACode"],
    ["standard base64", `${encoded(content())}+/=`, "NotACode"],
    ["a shared token", "0123456789abcdef0123456789abcdef", "Incomplete"],
    ["a code without its end", encoded(content()).slice(0, -9), "Incomplete"],
    ["bytes that are no text", Buffer.from([0xff, 0xfe, 0x00]).toString("base64url"), "Incomplete"],
    ["a list", encoded([content()]), "Malformed"],
    ["null", encoded(null), "Malformed"],
    ["without a URL", encoded(content({ url: undefined })), "Malformed"],
    ["without a token", encoded(content({ bootstrapToken: undefined })), "Malformed"],
    ["with an empty token", encoded(content({ bootstrapToken: "" })), "Malformed"],
    ["with a token that cannot be signed", encoded(content({ bootstrapToken: "a|b" })), "Malformed"],
    ["with another scheme", encoded(content({ url: "https://gateway.example" })), "Malformed"],
    ["with a user in the URL", encoded(content({ url: "wss://u:p@gateway.example" })), "Malformed"],
    ["with a query", encoded(content({ url: "wss://gateway.example?x=1" })), "Malformed"],
    ["with a fragment", encoded(content({ url: "wss://gateway.example#x" })), "Malformed"],
    ["with a URL that is not normal", encoded(content({ url: "WSS://gateway.example" })), "Malformed"],
    ["with a URL that ends in a slash", encoded(content({ url: "wss://gateway.example/" })), "Malformed"],
    ["with a long URL", encoded(content({ url: `wss://gateway.example/${"x".repeat(2048)}` })), "Malformed"],
    ["with no URLs", encoded(content({ urls: [] })), "Malformed"],
    ["with nine URLs", encoded(content({ urls: Array(9).fill("wss://gateway.example") })), "Malformed"],
    ["with one bad URL of two", encoded(content({ urls: ["wss://gateway.example", "nonsense"] })), "Malformed"],
    ["with another time", encoded(content({ expiresAtMs: 1.5 })), "Malformed"],
    ["with a time before all times", encoded(content({ expiresAtMs: -1 })), "Malformed"],
    ["with another fingerprint", encoded(content({ tlsFingerprint: "ab" })), "Malformed"],
    ["with the fingerprint of a key", encoded(content({ tlsFingerprint: `sha256//${"A".repeat(43)}=` })), "Malformed"],
    [
      "with two fingerprints",
      encoded(content({ tlsFingerprint: `${"ab".repeat(32)},${"cd".repeat(32)}` })),
      "Malformed"
    ],
    ["a deep one", encoded(`${"[".repeat(2000)}${"]".repeat(2000)}`), "Malformed"],
    ["of which the time is over", encoded(content({ expiresAtMs: nowMs })), "Expired"],
    ["an http join URL to another machine", `http://gateway.example/j/${key}`, "PlaintextJoin"],
    ["a join URL of another length", `https://gateway.example/j/${key}A`, "NotACode"],
    ["a join URL with a query", `https://gateway.example/j/${key}?x=1`, "NotACode"],
    ["a join URL with a fragment", `https://gateway.example/j/${key}#x`, "NotACode"],
    ["a join URL with a user", `https://u@gateway.example/j/${key}`, "NotACode"],
    ["the dashboard", `https://gateway.example/#token=${key}`, "NotACode"]
  ]
  it.each(refused)("refuses %s", (_, text, reason) => {
    assert.strictEqual(read(text), reason)
  })

  it("says when it expired, by the gateway's clock", () => {
    const error = Result.getOrThrow(Result.flip(parse(encoded(content({ expiresAtMs: Date.UTC(2026, 0, 2) })))))
    assert.strictEqual(
      error.message,
      "the setup code expired at 2026-01-02T00:00:00.000Z, by the clock of this machine"
    )
  })

  const Text = Schema.String.check(Schema.isMaxLength(60))
  const word = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_-]{1,60}$/))
  const port = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65_535 }))

  it.effect.prop("gives back what a gateway put in", [
    word,
    Schema.Array(port).check(Schema.isMinLength(1), Schema.isMaxLength(8)),
    Schema.Boolean,
    Schema.Boolean
  ], ([token, ports, pinned, link]) =>
    Effect.sync(() => {
      const urls = ports.map((port) => new URL(`wss://gateway.example:${port}`).origin.replace(/\/$/, ""))
      const text = encoded(content({
        url: urls[0],
        urls,
        bootstrapToken: token,
        ...(pinned ? { tlsFingerprint: "cd".repeat(32) } : {})
      }))
      const code = codeOf(`${link ? "oc-pair://" : ""}${text}`)
      assert.deepStrictEqual<ReadonlyArray<string>>(code.urls, urls)
      assert.strictEqual(Redacted.value(code.token), token)
      assert.strictEqual(code.pin !== undefined, pinned)
      // Every URL gives settings that can be used, with the pin.
      for (const input of SetupCode.inputsOf(code)) {
        const settings = Result.getOrThrow(check(input))
        assert.strictEqual(settings.pinned, pinned)
        assert.strictEqual(Redacted.value(settings.bootstrapToken ?? code.token), token)
      }
    }), { arbitrary: { seed: 1, runs: 200 } })

  /** Texts of every kind: arbitrary ones, such as base64 gives, and contents of which one field is something else. */
  const garbage = Arbitrary.flatMap(
    Arbitrary.schema(Schema.Literals(["text", "base64", "json", "field", "join"])),
    (kind): Arbitrary.Arbitrary<string> => {
      switch (kind) {
        case "text":
          return Arbitrary.schema(Text)
        case "base64":
          return Arbitrary.map(Arbitrary.schema(Text), encoded)
        case "json":
          return Arbitrary.map(Arbitrary.schema(Schema.Json), (json) => encoded(json))
        case "field":
          return Arbitrary.map(
            Arbitrary.all([
              Arbitrary.schema(Schema.Literals(["url", "urls", "bootstrapToken", "expiresAtMs", "tlsFingerprint"])),
              Arbitrary.schema(Schema.Json)
            ]),
            ([field, json]) => encoded(content({ [field]: json }))
          )
        case "join":
          return Arbitrary.map(Arbitrary.schema(Text), (text) => `https://gateway.example/j/${text}`)
      }
    }
  )

  it.effect.prop(
    "takes nothing else, says so by a typed error, and repeats nothing of it",
    [garbage],
    ([text]) =>
      Effect.sync(() => {
        const parsed = parse(text)
        if (Result.isSuccess(parsed)) return
        const error = parsed.failure
        assert.strictEqual(error._tag, "SetupCodeInvalid")
        const told = [
          error.message,
          JSON.stringify(error),
          inspect(error, { depth: 9 }),
          Cause.pretty(Cause.fail(error))
        ]
        for (const where of told) {
          assert.notInclude(where.replaceAll(import.meta.url, ""), secret)
          if (text.trim().length > 12) assert.notInclude(where, text.trim())
        }
      }),
    { arbitrary: { seed: 2, runs: 400 } }
  )

  it("keeps the token out of everything that prints a code", () => {
    const code = codeOf(encoded(content()))
    const settings = Result.getOrThrow(check(SetupCode.inputsOf(code)[0] ?? {}))
    for (const value of [code, settings, SetupCode.inputsOf(code)]) {
      for (const text of [inspect(value, { depth: 9 }), JSON.stringify(value)]) assert.notInclude(text, secret)
    }
  })

  it("leaves the pin to the program that has pins of its own, and to URLs that have a certificate", () => {
    const code = codeOf(encoded(content({ urls: ["ws://127.0.0.1:1", "wss://a"], tlsFingerprint: "ab".repeat(32) })))
    assert.deepStrictEqual(SetupCode.inputsOf(code).map(({ tlsPins }) => tlsPins !== undefined), [false, true])
    assert.isTrue(SetupCode.inputsOf(code, { pinned: true }).every(({ tlsPins }) => tlsPins === undefined))
  })
})
