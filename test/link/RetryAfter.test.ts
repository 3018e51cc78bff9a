import { assert, describe, it } from "@effect/vitest"
import * as RetryAfter from "../../src/link/RetryAfter.ts"

const noonMs = Date.UTC(2026, 0, 1, 12)
const read = (retryAfter: string | ReadonlyArray<string> | undefined, date?: string) =>
  RetryAfter.read({ "retry-after": retryAfter, date }, noonMs)

describe("Retry-After", () => {
  const cases: ReadonlyArray<readonly [string, string | undefined, number | undefined]> = [
    ["120", undefined, 120_000],
    [" 7 ", undefined, 7000],
    ["0", undefined, 500],
    ["86400", undefined, 3_600_000],
    ["9".repeat(400), undefined, 3_600_000],
    ["Thu, 01 Jan 2026 12:01:30 GMT", undefined, 90_000],
    ["Thu, 01 Jan 2026 11:00:00 GMT", undefined, 500],
    // By the server's own clock, which is an hour behind this one.
    ["Thu, 01 Jan 2026 11:01:00 GMT", "Thu, 01 Jan 2026 11:00:00 GMT", 60_000],
    ["Thu, 01 Jan 2026 12:00:30 GMT", "no date", 30_000],
    ["-5", undefined, undefined],
    ["soon", undefined, undefined],
    ["", undefined, undefined]
  ]
  it.each(cases)("%s is read within its bounds, a date by the server's own clock", (retryAfter, date, expected) => {
    assert.strictEqual(read(retryAfter, date), expected)
  })

  it("absent, or told more than once, says nothing", () => {
    assert.isUndefined(read(undefined))
    assert.isUndefined(read(["1", "2"]))
  })
})
