import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { fileURLToPath } from "node:url"

/** The sentences of six words or more in the strings of a source. A template counts from one value to the next. */
const sentencesOf = (source: string): ReadonlyArray<string> => {
  const code = source.replace(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "")
  return Array.from(
    code.matchAll(/"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`/g),
    ([, string, template]) => string ?? template ?? ""
  )
    .flatMap((text) => text.split(/\$\{[^}]*\}|(?<=[.!?]) /))
    .map((text) => text.replace(/\s+/g, " ").trim())
    .filter((text) => /^[A-Za-z]/.test(text) && text.split(" ").length >= 6)
}

/**
 * Sources whose sentences are looked at. The page in the browser imports no advice, and a test of its own compares the two; the
 * development gateway speaks as a gateway does.
 */
const isOurs = (name: string): boolean => !/^(?:dialog\/app|devgateway)\//.test(name)

const sources = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const root = fileURLToPath(new URL("../../src", import.meta.url))
  const names = (yield* fs.readDirectory(root, { recursive: true })).map((name) => name.replaceAll("\\", "/"))
  return yield* Effect.forEach(
    names.filter((name) => name.endsWith(".ts") && isOurs(name)),
    (name) => Effect.map(fs.readFileString(`${root}/${name}`), (text) => ({ name, text }))
  )
}).pipe(Effect.provide(NodeServices.layer))

describe("sentences", () => {
  it.effect("no sentence stands in two modules: what says the same reads it from one place", () =>
    Effect.gen(function*() {
      const places = new Map<string, Set<string>>()
      for (const { name, text } of yield* sources) {
        for (const sentence of sentencesOf(text)) {
          places.set(sentence, (places.get(sentence) ?? new Set()).add(name))
        }
      }
      assert.isAbove(places.size, 300)
      const twice = [...places].filter(([, names]) => names.size > 1)
      assert.deepStrictEqual(twice.map(([sentence, names]) => `${[...names].join(", ")}: ${sentence}`), [])
    }))

  it("sentences are found in strings and templates, and not in comments", () => {
    assert.deepStrictEqual(
      sentencesOf([
        '// "One sentence that stands in a comment."',
        'const a = "One sentence that stands in a string. And another one behind the first."',
        "const b = `${x} which is a part of a template with ${y} and some more of it at its end`",
        'const c = "too short to count"'
      ].join("\n")),
      [
        "One sentence that stands in a string.",
        "And another one behind the first.",
        "which is a part of a template with",
        "and some more of it at its end"
      ]
    )
  })
})
