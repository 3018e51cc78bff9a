import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Pin } from "../../src/link/TlsTrust.ts"
import { formatPin, parseAuthorities, parsePins } from "../../src/link/TlsTrust.ts"
import * as Authority from "../support/TlsAuthority.ts"

const hex = "ab".repeat(32)
const colons = Array.from({ length: 32 }, () => "AB").join(":")
const key = Buffer.from(hex, "hex").toString("base64")
const certificatePin: Pin = { of: "certificate", sha256: hex }
const keyPin: Pin = { of: "key", sha256: hex }

const pins = (text: string) => Result.getOrThrow(parsePins(text))
const problem = (result: Result.Result<unknown, { readonly message: string }>): string =>
  Result.isFailure(result) ? result.failure.message : "accepted"

describe("pins", () => {
  const readable: ReadonlyArray<readonly [string, ReadonlyArray<Pin>]> = [
    [hex, [certificatePin]],
    [hex.toUpperCase(), [certificatePin]],
    [colons, [certificatePin]],
    [`sha256:${hex}`, [certificatePin]],
    [`SHA256:${colons.toLowerCase()}`, [certificatePin]],
    [`sha256 Fingerprint=${colons}`, [certificatePin]],
    [`SHA-256 Fingerprint=${colons}\n`, [certificatePin]],
    [`sha256//${key}`, [keyPin]],
    [`sha256//${key};sha256//${key}`, [keyPin, keyPin]],
    [` ${hex} ,\n sha256//${key} `, [certificatePin, keyPin]]
  ]
  it.each(readable)("B13: %j is read", (text, expected) => {
    assert.deepStrictEqual(pins(text), expected)
  })

  const unreadable: ReadonlyArray<readonly [string, string]> = [
    ["too short", hex.slice(2)],
    ["too long", `${hex}ab`],
    ["SHA-1", "ab".repeat(20)],
    ["colons at some places only", `${hex.slice(0, 32)}:${hex.slice(32)}`],
    ["base64 of another length", `sha256//${Buffer.from(hex.slice(2), "hex").toString("base64")}`],
    ["base64url", `sha256//${key.replaceAll("+", "-").replaceAll("/", "_").slice(0, -1)}`],
    ["base64 without its scheme", key],
    ["a URL with a password", "https://user:sekrit@gateway.example"],
    ["nothing but commas", ",;"],
    ["one good and one bad", `${hex},sekrit`]
  ]
  it.each(unreadable)("%s is refused without being repeated", (_, text) => {
    const told = problem(parsePins(text))
    assert.match(told, /^pin \d+ of \d+ cannot be read; write .*sha256:AB:CD.*sha256\/\/<base64>/)
    assert.notInclude(told, "sekrit")
    if (text.length > 2) assert.notInclude(told, text)
  })

  it("names the one of several that is wrong", () => {
    assert.match(problem(parsePins(`${hex},x,${hex}`)), /^pin 2 of 3 /)
  })

  const bytes = Arbitrary.array(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))), {
    minLength: 32,
    maxLength: 32
  })
  it.effect.prop("a formatted pin can be parsed again", [
    bytes,
    Arbitrary.schema(Schema.Literals(["certificate", "key"]))
  ], (
    [value, of]
  ) =>
    Effect.sync(() => {
      const pin: Pin = { of, sha256: Buffer.from(value).toString("hex") }
      assert.deepStrictEqual(pins(formatPin(pin)), [pin])
    }), { arbitrary: { seed: "pins", runs: 100 } })
})

describe("authorities", () => {
  const { certificate } = Authority.authority("Test Authority")

  const rewritten = (change: (der: Buffer) => Buffer): string => {
    const der = Buffer.from(certificate.replaceAll(/-----.*-----|\s/g, ""), "base64")
    return `-----BEGIN CERTIFICATE-----\n${change(der).toString("base64")}\n-----END CERTIFICATE-----`
  }

  it("are taken out of a file with other text around them", () => {
    const text = `# ours\r\n${certificate.replaceAll("\n", "\r\n")}\nbetween\n${certificate}`
    const found = Result.getOrThrow(parseAuthorities(text))
    assert.deepStrictEqual(found.map((block) => block.replaceAll("\r", "")), [certificate.trim(), certificate.trim()])
  })

  const bad: ReadonlyArray<readonly [string, string, RegExp]> = [
    ["nothing", "", /no certificate/],
    ["a private key", "-----BEGIN PRIVATE KEY-----\nc2Vrcml0\n-----END PRIVATE KEY-----", /no certificate/],
    ["a cut one", certificate.slice(0, -40), /no certificate/],
    ["no base64", "-----BEGIN CERTIFICATE-----\n!sekrit!\n-----END CERTIFICATE-----", /1 of 1 is damaged/],
    ["some bytes less", rewritten((bytes) => bytes.subarray(0, -3)), /1 of 1 is damaged/],
    ["another thing", rewritten((bytes) => Buffer.concat([Buffer.of(0x31), bytes.subarray(1)])), /1 of 1 is damaged/],
    ["some bytes more", rewritten((bytes) => Buffer.concat([bytes, Buffer.of(0)])), /1 of 1 is damaged/],
    ["the second", `${certificate}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----`, /2 of 2 is damaged/]
  ]
  it.each(bad)("%s is refused without being repeated", (_, text, what) => {
    assert.match(problem(parseAuthorities(text)), what)
    assert.notInclude(problem(parseAuthorities(text)), "sekrit")
  })
})
