import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Worker } from "node:worker_threads"
import { toMarkup } from "../../../src/dialog/app/Markdown.ts"
import { isWithinLimits, limits } from "../../../src/dialog/app/MarkdownLimits.ts"
import { pieces } from "../../../src/dialog/app/PlainText.ts"
import { hostileTexts } from "./support/HostileTexts.ts"
import type { Rendered } from "./support/MarkdownWorker.ts"

/** A thread that renders one text after the other. The scope ends it, whatever it is at. */
const makeRenderer = Effect.gen(function*() {
  const worker = yield* Effect.acquireRelease(
    Effect.sync(() => new Worker(new URL("./support/MarkdownWorker.ts", import.meta.url))),
    (worker) => Effect.promise(() => worker.terminate())
  )
  return (text: string) =>
    Effect.callback<Rendered>((resume) => {
      worker.once("message", (rendered: Rendered) => resume(Effect.succeed(rendered)))
      worker.postMessage(text, [])
    }).pipe(Effect.timeout("15 seconds"), Effect.orDie)
})

/** As much of the beginning as is rendered at all: there the work is greatest. */
const atTheLimits = (text: string): string => {
  let length = Math.min(text.length, limits.characters)
  while (length > 0 && !isWithinLimits(text.slice(0, length))) length = Math.floor(length * 0.9)
  return text.slice(0, length)
}

/** What one text may take, however long it is: a core's time is some tenths of this. */
const boundMs = 3000

const bits = (
  "* ** _ ~ ` ``` [ ] ]( ](b) ![ ( ) < > # - + = | |- \\ & &a; <a <a> <!-- <? www. http:// @ . ! ? : a b é 😀 中 — 0"
).split(" ")
const layout = [" ", "  ", "    ", "\t", "\n", "\n\n", "> ", "- ", "1. ", "\n> ", "\n- ", "\n  ", "\\\n", "[ ] "]
const Bit = Arbitrary.schema(Schema.Literals([...bits, ...layout]))
const some = Arbitrary.map(Arbitrary.array(Bit, { minLength: 1, maxLength: 4 }), (all) => all.join(""))

describe("a reply as Markdown", () => {
  it.live(
    "a text that is made to keep the page busy takes no longer than its limits allow, at any length",
    () =>
      Effect.gen(function*() {
        const render = yield* makeRenderer
        for (const [name, made] of Object.entries(hostileTexts)) {
          for (
            const text of [made(6000), made(limits.characters), atTheLimits(made(limits.characters)), made(200_000)]
          ) {
            const { cpuMs, markup = 0, threw } = yield* render(text)
            assert.isFalse(threw, name)
            assert.isBelow(cpuMs, boundMs, `${name}: ${text.length}`)
            assert.isBelow(markup, 1_000_000, `${name}: ${text.length}`)
          }
        }
      }),
    120_000
  )

  it.live("nor does any pattern, repeated until the limits are met", () =>
    Effect.gen(function*() {
      const render = yield* makeRenderer
      const patterns = yield* Arbitrary.sampleEffect(Arbitrary.array(some, { minLength: 3, maxLength: 3 }), {
        count: 100,
        seed: 3
      })
      for (const [first = "", unit = "a", last = ""] of patterns) {
        const text = atTheLimits(`${first}${unit.repeat(limits.characters / unit.length)}${last}`)
        const { cpuMs, threw } = yield* render(text)
        assert.isFalse(threw, JSON.stringify([first, unit, last]))
        assert.isBelow(cpuMs, boundMs, JSON.stringify([first, unit, last]))
      }
    }), 120_000)

  it("a long answer with sections, tables, code and lists is formatted", () => {
    const section = (index: number) =>
      [
        `## ${index}. What was found in \`src/part_${index}\``,
        `The **north** bed is _dry_, see [the log](https://gateway.example/log/${index}) and https://docs.example/a_b?c=d.`
          .repeat(6),
        `- **first**: a line of about eighty characters, which is quite usual for an item\n  - below it\n    - below that\n`
          .repeat(6),
        `| bed | moisture | pump | last |\n| --- | ---: | --- | --- |\n${
          "| north | 12 % | `valve_2` | **today** |\n".repeat(12)
        }`,
        `\`\`\`ts\n${"    const some_value = other_value.map((one_value) => one_value * 2) // _x_\n".repeat(20)}\`\`\``,
        "> as was said before\n\n1. one\n2. two\n3. three"
      ].join("\n\n")
    const answer = Array.from({ length: 9 }, (_, index) => section(index)).join("\n\n")
    assert.isAbove(answer.length, 30_000)
    assert.include(toMarkup(answer) ?? "", "<strong>today</strong>")
    assert.isUndefined(toMarkup(answer + answer))
  })

  it.effect.prop("as plain text it is the same text, in pieces that no character is cut by", [
    Arbitrary.array(Bit, { maxLength: 30 }),
    Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 300 })))
  ], ([all, times]) =>
    Effect.sync(() => {
      const text = all.join("").repeat(times)
      const cut = pieces(text)
      assert.strictEqual(cut.join(""), text)
      for (const piece of cut) {
        assert.isAtMost(Array.from(piece).length, 2000)
        assert.notMatch(piece, /\p{Cs}/u)
      }
      assert.isAtMost(cut.length, 1 + text.length / 500)
    }), { arbitrary: { seed: 4, runs: 100 } })
})
