import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { inspect } from "node:util"
import { secretsOf } from "../../src/link/Transport.ts"
import { parse } from "../../src/link/UpgradeHeader.ts"
import { field } from "../../src/protocol/OutsideText.ts"

const pairs = (text: string) => Result.getOrThrow(parse(text)).map(({ name, value }) => [name, Redacted.value(value)])
const problem = (text: string): string => {
  const result = parse(text)
  return Result.isFailure(result) ? result.failure.message : `accepted as ${JSON.stringify(pairs(text))}`
}

describe("additional headers", () => {
  it("G28: are lines of name and value, with blanks around the value", () => {
    assert.deepStrictEqual(pairs("CF-Access-Client-Id: abc.access\r\n\r\n  CF-Access-Client-Secret:\tdef: ghi \n"), [
      ["CF-Access-Client-Id", "abc.access"],
      ["CF-Access-Client-Secret", "def: ghi"]
    ])
    assert.deepStrictEqual(pairs(" \n "), [])
  })

  const taken = [
    "Host",
    "connection",
    "UPGRADE",
    "Origin",
    "Sec-WebSocket-Key",
    "sec-websocket-protocol",
    "Content-Length",
    "Content-Type",
    "Transfer-Encoding",
    "TE",
    "Trailer",
    "Keep-Alive",
    "Expect",
    "Proxy-Authorization"
  ]
  it.each(taken)("G28: %s cannot be set", (name) => {
    assert.strictEqual(
      problem(`X-A: b\n${name}: sekrit`),
      `line 2 sets ${name}, which the WebSocket request sets itself`
    )
  })

  it.each([
    ["no colon", "sekrit"],
    ["no name", ": sekrit"],
    ["no value", "X-Name:"],
    ["a blank in the name", "X Name: sekrit"],
    ["a blank before the colon", "X-Name : sekrit"],
    ["a line that goes on", "X-Name: a\n sekrit"],
    ["a carriage return inside", "X-Name: a\rX-Other: sekrit"],
    ["a null character", "X-Name: sekrit\u0000"],
    ["letters beyond ASCII", "X-Name: sekrit-ü"],
    ["a name beyond ASCII", "X-Nämé: sekrit"]
  ])("%s is refused without being repeated", (_, text) => {
    const told = problem(text)
    assert.match(told, /^line \d+ is no header; write each on a line of its own/)
    assert.notInclude(told, "sekrit")
  })

  it("the same header twice is a mistake", () => {
    assert.strictEqual(problem("X-A: b\nx-a: c"), "line 2 repeats the header of a line before")
  })

  it.effect.prop(
    "no text adds more lines to a request than there are accepted headers",
    [Schema.String],
    ([text]) =>
      Effect.sync(() => {
        for (const written of [text, `X-Name: ${text}`]) {
          const result = parse(written)
          if (Result.isFailure(result)) continue
          for (const { name, value } of result.success) {
            assert.match(`${name}: ${Redacted.value(value)}`, /^[!-~]+: [ -~\t]+$/)
          }
        }
      }),
    { arbitrary: { seed: "headers", runs: 500 } }
  )

  it("G25: values are not printed, and are removed from answers", () => {
    const headers = Result.getOrThrow(parse("X-A: sekrit\nX-B: other"))
    const secrets = secretsOf({ url: new URL("wss://gateway.test"), origin: undefined, headers })
    assert.notInclude(`${JSON.stringify(headers)} ${inspect(headers, { depth: 9 })}`, "sekrit")
    assert.strictEqual(
      field("X-A: sekrit, again sekrit and other", { secrets }),
      "X-A: [redacted], again [redacted] and [redacted]"
    )
  })
})
