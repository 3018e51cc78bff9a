import { assert, describe, it } from "@effect/vitest"
import type { Entries } from "../../../src/advice/Entry.ts"
import { catalogue, lookup } from "../../../src/advice/ErrorCatalogue.ts"
import { adviceOn, messagesFor } from "../../../src/dialog/app/Messages.ts"
import { pageMessagesFor } from "../../../src/dialog/app/PageMessages.ts"
import { PairingReason } from "../../../src/protocol/Refusal.ts"

const english = messagesFor("en").messages
const german = messagesFor("de-AT").messages

/** Paths to all texts below a value; functions give their text for an argument. */
const texts = (value: unknown, path = ""): ReadonlyArray<readonly [string, string]> =>
  typeof value === "string"
    ? [[path, value]]
    : typeof value === "function"
    ? [[path, String(value("x"))]]
    : Object.entries(value ?? {}).flatMap(([name, inner]) => texts(inner, `${path}/${name}`))

const entries: Entries = catalogue
/** The reasons of a class in the catalogue; one that is `undefined` for a class without reasons. */
const reasonsOf = (error: string): ReadonlyArray<string | undefined> => {
  const found = entries[error] ?? {}
  return typeof found["problem"] === "string" ? [undefined] : Object.keys(found)
}
const told = Object.keys(english.failures).flatMap((error) => reasonsOf(error).map((reason) => ({ error, reason })))

describe("Messages", () => {
  it("F27: in English, each failure is told word for word as the catalogue tells it", () => {
    assert.isAbove(told.length, 8)
    for (const { error, reason } of told) {
      const entry = lookup(error, reason)
      const { action, next, problem } = adviceOn(english, error, reason) ?? assert.fail(error)
      assert.deepStrictEqual({ problem, action, next }, {
        problem: entry?.problem ?? "",
        action: entry?.action ?? "",
        next: entry?.next ?? ""
      })
    }
  })

  it("tells every class that it knows in all of its reasons, and every reason of a pairing", () => {
    for (const [error, found] of Object.entries(english.failures)) {
      const cases = typeof found["problem"] === "string" ? [undefined] : Object.keys(found)
      for (const reason of cases) assert.include([...reasonsOf(error), "other"], reason, error)
    }
    for (const reason of PairingReason.literals) assert.isDefined(adviceOn(english, "PairingRequired", reason))
    assert.isDefined(adviceOn(english, "ApprovalTimedOut", undefined))
    assert.isUndefined(adviceOn(english, "TypeError", undefined))
    assert.isUndefined(adviceOn(english, "toString", "constructor"))
  })

  it("both languages have every text, each in its own words", () => {
    const [en, de] = [texts(english), texts(german)]
    assert.deepStrictEqual(de.map(([path]) => path), en.map(([path]) => path))
    const same = en.filter(([, text], index) => de[index]?.[1] === text).map(([path]) => path)
    assert.deepStrictEqual(same.filter((path) => !path.startsWith("/places/")), ["/gateway"])
    for (const [path, text] of [...en, ...de]) assert.notStrictEqual(text.trim(), "", path)
    const page = [texts(pageMessagesFor(["en"]).messages), texts(pageMessagesFor(["fr", "de-CH"]).messages)] as const
    assert.deepStrictEqual(page[1].map(([path]) => path), page[0].map(([path]) => path))
  })

  it("an unknown language falls back to English", () => {
    for (const tag of ["fr", "", "x-klingon", "__proto__", "constructor"]) {
      assert.strictEqual(messagesFor(tag).language, "en")
    }
    assert.strictEqual(pageMessagesFor(["fr", "ja"]).language, "en")
  })

  it("F27: no text asks to restart anything", () => {
    for (const [path, text] of [...texts(english), ...texts(german)]) {
      assert.notMatch(text, /restart (this|the) (program|agent)|--latest/i, path)
    }
  })
})
