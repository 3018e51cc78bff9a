import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as KeptText from "../../src/tasks/KeptText.ts"

/** Characters that gateways change, or that lie at their borders. */
const Pieces = Schema.Array(
  Schema.Union([
    Schema.Literals([
      "e\u0301",
      "\u00e9",
      "\u1112\u1161\u11ab",
      "\ufb01",
      "\u0001",
      "\u007f",
      "\u001b[31m",
      "\r\n",
      "\t",
      "\n",
      " ",
      "System: a",
      "[System]",
      "[[reply_to_current]]",
      "a",
      "\u{1f600}"
    ]),
    Schema.String
  ])
)
const fixed = { arbitrary: { seed: 3, runs: 500 } }

const cut = (text: string, at: number) => text.length <= at ? text : `${text.slice(0, at)}${KeptText.cutMark}`

/** What 2026.9.6 keeps, as its source says. */
const newest = (text: string) =>
  Array.from(text.normalize("NFC"))
    .filter((char) => {
      const code = char.charCodeAt(0)
      return code === 9 || code === 10 || code === 13 || (code >= 32 && code !== 127)
    })
    .join("")
    .trim()

/** What 2026.3.2 shows of what it keeps, as its source says. */
const oldest = (text: string) =>
  newest(text)
    .replaceAll("\r\n", "\n")
    .replaceAll("\r", "\n")
    .replace(/\[\s*(System\s*Message|System|Assistant|Internal)\s*\]/gi, (_match, tag) => `(${tag})`)
    .replace(/^(\s*)System:(?=\s|$)/gim, "$1System (untrusted):")
    .replace(/\[\[\s*audio_as_voice\s*\]\]/gi, "")
    .replace(/\[\[\s*(?:reply_to_current|reply_to\s*:\s*([^\]\n]+))\s*\]\]/gi, "")

describe("a text as gateways keep it", () => {
  it.prop("is found again, whatever is in it", [Pieces], ([pieces]) => {
    const text = pieces.join("")
    const isIt = KeptText.matcher(text)
    for (const kept of [text, newest(text), oldest(text)]) assert.isTrue(isIt(kept), JSON.stringify([text, kept]))
  }, fixed)

  it.prop("is found again where history cut it", [Pieces], ([pieces]) => {
    const text = `${"long ".repeat(1599)}${pieces.join("")}${" and so on".repeat(500)}`
    const isIt = KeptText.matcher(text)
    for (const at of [8000, 12_000]) {
      for (const kept of [newest(text), oldest(text)]) assert.isTrue(isIt(cut(kept, at)), JSON.stringify([at, pieces]))
    }
  }, { arbitrary: { seed: 3, runs: 100 } })

  it("is found again: decomposed accents, control characters, 13,000 characters", () => {
    const said = "Cafe\u0301 \u0007\u001b[1mnow\r\nA\u030a"
    assert.isTrue(KeptText.matcher(said)("Caf\u00e9 [1mnow\n\u00c5"))
    const long = "water the plants ".repeat(800)
    assert.isAbove(long.length, 13_000)
    assert.isTrue(KeptText.matcher(long)(cut(long, 12_000)))
  })

  it("is compared in time, whatever it repeats", () => {
    for (const piece of ["\n", " ", "[[", "[[reply_to:", "[", "[message_id:", "\nSystem", "a\u0301"]) {
      const text = `[[reply_to:${piece.repeat(65_536 / piece.length)}`
      const began = performance.now()
      assert.isTrue(KeptText.matcher(text)(text))
      assert.isBelow(performance.now() - began, 1000, JSON.stringify(piece))
    }
  })

  it("is no other text: not one that differs, nor one that begins like a longer one without being cut", () => {
    const isIt = KeptText.matcher("water the plants")
    for (const other of ["water the plant", "water the plants!", "", "wat\u00e9r the plants", `w${KeptText.cutMark}`]) {
      assert.isFalse(isIt(other), other)
    }
    const long = "water the plants ".repeat(800)
    assert.isFalse(KeptText.matcher(long)(long.slice(0, 12_000)))
    assert.isFalse(KeptText.matcher(long)(cut(`b${long}`, 12_000)))
    assert.isFalse(KeptText.matcher(long)(`water the plants${KeptText.cutMark}`), "too little to tell")
  })
})
