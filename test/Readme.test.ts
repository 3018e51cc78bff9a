import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import { fileURLToPath } from "node:url"
import manifest from "../package.json" with { type: "json" }
import { exitCodes } from "../src/cli/ExitCode.ts"
import { AgentEvent } from "../src/protocol/AgentEvent.ts"

const root = fileURLToPath(new URL("..", import.meta.url))

interface Page {
  /** Below the root of the repository. */
  readonly path: string
  readonly text: string
}

/** The README, and the page of each room that has one. */
const pages = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const rooms = yield* fs.readDirectory(`${root}/src`)
  const found: Array<Page> = [{ path: "README.md", text: yield* fs.readFileString(`${root}/README.md`) }]
  for (const room of rooms.filter((name) => !name.includes("."))) {
    const path = `src/${room}/README.md`
    if (yield* fs.exists(`${root}/${path}`)) found.push({ path, text: yield* fs.readFileString(`${root}/${path}`) })
  }
  return found
})

const about = (path: string) => Effect.map(pages, (all) => all.find((page) => page.path === path)?.text ?? "")

describe("the pages", () => {
  it.effect("a newcomer reads the README in five minutes, and its first screen has the two commands", () =>
    Effect.gen(function*() {
      const text = yield* about("README.md")
      assert.isAtMost(text.split("\n").length, 250)
      const firstScreen = text.split("\n").slice(0, 30).join("\n")
      assert.include(firstScreen, "npm ci && npm start")
      assert.include(firstScreen, "npm ci && npm test")
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("every link within the repository leads to a file, and every page of a room is linked", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const all = yield* pages
      const linked = new Set<string>()
      for (const page of all) {
        for (const [, target = ""] of page.text.matchAll(/\]\(((?!https?:)[^)#]+)\)/g)) {
          const file = path.join(path.dirname(page.path), target)
          linked.add(file)
          assert.isTrue(yield* fs.exists(path.join(root, file)), `${page.path}: ${target}`)
        }
      }
      assert.includeMembers([...linked], all.map((page) => page.path).filter((page) => page !== "README.md"))
      assert.isAbove(all.length, 6)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("each example that a page shows is in the file that it names", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      let shown = 0
      for (const page of yield* pages) {
        for (const [, file = "", code = ""] of page.text.matchAll(/<!-- (\S+\.\w+) -->\s*```\w+\n([^]*?)```/g)) {
          const lines = (yield* fs.readFileString(`${root}/${file}`)).split("\n").map((line) => line.trim())
          for (const line of code.split("\n")) assert.include(lines, line.trim(), file)
          shown++
        }
      }
      assert.strictEqual(shown, 7)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("the examples of programs are shown whole", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const text = yield* about("README.md")
      for (const file of ["test/examples/Embedding.ts", "test/examples/InMemory.test.ts"]) {
        assert.include(text, `<!-- ${file} -->\n\n\`\`\`ts\n${yield* fs.readFileString(`${root}/${file}`)}\`\`\``)
      }
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("the page of the command line names every event of --json and every exit status", () =>
    Effect.gen(function*() {
      const text = yield* about("src/cli/README.md")
      for (const member of AgentEvent.members) assert.include(text, `\`${member.fields.event.literal}\``)
      for (const code of Object.values(exitCodes)) assert.match(text, new RegExp(`^\\| ${code} +\\|`, "m"))
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("the README names every npm script that a person runs, and the pages name no other", () =>
    Effect.gen(function*() {
      const text = yield* about("README.md")
      for (const script of ["start", "test", "check", "test:pack", "test:interop", "shots"]) {
        assert.property(manifest.scripts, script)
        assert.match(text, new RegExp(`npm (?:run )?${script}\\b`))
      }
      for (const page of yield* pages) {
        for (const [, script] of page.text.matchAll(/npm run ([a-z:]+)/g)) {
          assert.property(manifest.scripts, script ?? "", page.path)
        }
      }
    }).pipe(Effect.provide(NodeServices.layer)))
})
