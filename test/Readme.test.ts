import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { fileURLToPath } from "node:url"
import manifest from "../package.json" with { type: "json" }
import { exitCodes } from "../src/cli/CommandError.ts"
import { markdown } from "../src/cli/Settings.ts"
import { AgentEvent } from "../src/protocol/AgentEvent.ts"

const readme = Effect.flatMap(
  FileSystem.FileSystem,
  (fs) => fs.readFileString(fileURLToPath(new URL("../README.md", import.meta.url)))
).pipe(Effect.provide(NodeServices.layer))

/** Table rows as cells, however they are padded. */
const rows = (text: string): ReadonlyArray<string> =>
  text.split("\n").filter((line) => line.startsWith("|")).map((line) =>
    line.split("|").map((cell) => cell.trim().replace(/^-+$/, "---")).join("|")
  )

const between = (text: string, marker: string): string =>
  text.split(`<!-- ${marker} -->`)[1]?.split(`<!-- /${marker} -->`)[0] ?? ""

describe("README", () => {
  it.effect("shows the settings that there are", () =>
    Effect.map(readme, (text) => assert.deepStrictEqual(rows(between(text, "settings")), rows(markdown()))))

  it.effect("names every event of --json", () =>
    Effect.map(readme, (text) => {
      for (const member of AgentEvent.members) assert.include(text, `\`${member.fields.event.literal}\``)
    }))

  it.effect("names every exit status", () =>
    Effect.map(readme, (text) => {
      for (const code of Object.values(exitCodes)) assert.match(text, new RegExp(`^\\| ${code} +\\|`, "m"))
    }))

  it.effect("shows of its examples what stands in them", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const shown = [...(yield* readme).matchAll(/<!-- (\S+\.(?:html|js|tsx)) -->\s*```\w+\n([^]*?)```/g)]
      assert.lengthOf(shown, 3)
      for (const [, path = "", code = ""] of shown) {
        const file = yield* fs.readFileString(fileURLToPath(new URL(`../${path}`, import.meta.url)))
        const lines = file.split("\n").map((line) => line.trim())
        for (const line of code.split("\n")) assert.include(lines, line.trim(), path)
      }
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("names every npm script that a person runs", () =>
    Effect.map(readme, (text) => {
      for (const script of ["start", "test", "check", "test:pack", "test:interop", "shots"]) {
        assert.property(manifest.scripts, script)
        assert.match(text, new RegExp(`npm (?:run )?${script}\\b`))
      }
      for (const [, script] of text.matchAll(/npm run ([a-z:]+)/g)) assert.property(manifest.scripts, script ?? "")
    }))
})
