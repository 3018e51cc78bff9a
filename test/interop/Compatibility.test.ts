import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import * as Compatibility from "./support/Compatibility.ts"

const facts = (text: string): Compatibility.Facts =>
  Object.fromEntries(Object.keys(Compatibility.capabilities).map((name) => [name, text]))
const row = (release: string, tested: string, text: string) =>
  Result.getOrThrow(Compatibility.rowOf(release, tested, facts(text)))

describe("the compatibility table", () => {
  it("keeps the rows of releases that were not run, with their own dates, newest release first", () => {
    const before = Compatibility.update("# Title\n\n<!-- compatibility -->\n<!-- /compatibility -->\n\nThe rest.\n", [
      row("2026.3.2", "2026-01-01", "old"),
      row("2026.3.13", "2026-01-01", "old")
    ])
    const after = Result.flatMap(
      before,
      (document) =>
        Compatibility.update(document, [row("2026.9.6", "2026-02-02", "new"), row("2026.3.2", "2026-02-02", "new")])
    )
    const document = Result.getOrThrow(after)
    assert.deepStrictEqual(
      Compatibility.parse(document).map(({ cells, release, tested }) => [release, tested, cells[0]]),
      [["2026.9.6", "2026-02-02", "new"], ["2026.3.13", "2026-01-01", "old"], ["2026.3.2", "2026-02-02", "new"]]
    )
    assert.isTrue(document.startsWith("# Title\n\n<!-- compatibility -->\n\n| OpenClaw"))
    assert.isTrue(document.endsWith("|\n\n<!-- /compatibility -->\n\nThe rest.\n"))
    assert.deepStrictEqual(Compatibility.update(document, []), Result.succeed(document))
  })

  it("has no row for a release of which something was not seen", () => {
    const { proof: _, ...rest } = facts("yes")
    assert.deepStrictEqual(Compatibility.rowOf("2026.9.6", "2026-01-01", rest), Result.fail(["proof"]))
  })

  it.effect("leaves a document without markers as it is, and begins one that is not there", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped()
      const write = (name: string) =>
        Effect.provide(
          Compatibility.write([row("2026.9.6", "2026-01-01", "yes")]),
          ConfigProvider.layer(ConfigProvider.fromEnvRecord({ OPENCLAW_COMPATIBILITY_FILE: `${directory}/${name}` }))
        )
      yield* fs.writeFileString(`${directory}/plain.md`, "no markers")
      assert.include((yield* Effect.flip(write("plain.md"))).message, "left as it is")
      assert.strictEqual(yield* fs.readFileString(`${directory}/plain.md`), "no markers")
      assert.strictEqual(yield* write("new.md"), `${directory}/new.md`)
      assert.lengthOf(Compatibility.parse(yield* fs.readFileString(`${directory}/new.md`)), 1)
    }).pipe(Effect.provide(NodeServices.layer)))
})
