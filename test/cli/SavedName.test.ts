import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { numbered, savedName } from "../../src/cli/SavedName.ts"

const name = (title: string, extension?: string) => savedName(title, extension, "image", 1)

describe("SavedName", () => {
  it("keeps a plain name, and takes the last part of a path", () => {
    const names: ReadonlyArray<readonly [title: string, name: string]> = [
      ["drawn.png", "drawn.png"],
      ["Übersicht 2026.pdf", "Übersicht 2026.pdf"],
      ["報告.png", "報告.png"],
      ["archive.tar.gz", "archive.tar.gz"],
      ["../../etc/passwd", "passwd"],
      ["/etc/cron.d/x", "x"],
      ["C:\\Windows\\win.ini", "win.ini"],
      ["a/", "a"],
      ["..", "image-1"],
      ["", "image-1"],
      ["   ", "image-1"],
      [".bashrc", "bashrc"],
      ["-rf.png", "rf.png"],
      ["~root", "root"],
      ["a:b|c?.png", "a_b_c_.png"],
      ["con", "_con"],
      ["NUL.png", "_NUL.png"],
      ["a\u0000\u001b[31m.png", "a_u{0}_u{1b}[31m.png"],
      ["gpj.\u202egnp", "gpj._u{202e}gnp"],
      ["a\n b", "a b"]
    ]
    for (const [title, expected] of names) assert.strictEqual(name(title), expected, JSON.stringify(title))
  })

  it("adds the extension of the type where there is none", () => {
    assert.strictEqual(name("drawn", "png"), "drawn.png")
    assert.strictEqual(name("drawn.png", "jpeg"), "drawn.png")
    assert.strictEqual(name("", "png"), "image-1.png")
    assert.strictEqual(name("x".repeat(300), "png"), `${"x".repeat(80)}.png`)
    assert.strictEqual(name(`${"x".repeat(300)}.png`), `${"x".repeat(80)}.png`)
  })

  it("numbers before the extension", () => {
    assert.deepStrictEqual([1, 2, 3].map((nth) => numbered("a.png", nth)), ["a.png", "a-2.png", "a-3.png"])
    assert.strictEqual(numbered("a", 2), "a-2")
  })

  const Title = Arbitrary.schema(Schema.String)
  const unsafe = /[/\\<>:"|?*\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]|^[.\-~\s]|[.\s]$/u

  it.effect.prop(
    "whatever the title is, the name stays in its directory, is seen whole, and is short enough for a file system",
    [Title, Title],
    ([title, more]) =>
      Effect.sync(() => {
        for (const each of [title, `${more}/${title}`, `${title}.${more}`, `.${title}\u202e${more}\u0000`]) {
          for (const found of [name(each), name(each, "png"), numbered(name(each, "png"), 1000)]) {
            assert.notMatch(found, unsafe, JSON.stringify(each))
            assert.isAbove(found.length, 0)
            assert.isAtMost(new TextEncoder().encode(found).length, 255)
          }
        }
      }),
    { arbitrary: { seed: 15, runs: 300 } }
  )
})
