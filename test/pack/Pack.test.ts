import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Schema from "effect/Schema"
import { fileURLToPath } from "node:url"
import * as ProcessGroup from "../interop/support/ProcessGroup.ts"

const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "")

const Manifest = Schema.fromJsonString(Schema.Struct({
  version: Schema.String,
  devDependencies: Schema.Record(Schema.String, Schema.String)
}))
const Packed = Schema.fromJsonString(Schema.Array(Schema.Struct({
  filename: Schema.String,
  files: Schema.Array(Schema.Struct({ path: Schema.String }))
})))
const Installed = Schema.fromJsonString(
  Schema.Array(Schema.Struct({ version: Schema.String, location: Schema.String }))
)
const Outcome = Schema.fromJsonString(Schema.Struct({
  queued: Schema.String,
  outcome: Schema.TaggedStruct("Completed", { text: Schema.String })
}))

const Replaced = Schema.fromJsonString(Schema.Struct({
  outcome: Schema.Struct({ _tag: Schema.Literal("Completed"), text: Schema.String }),
  asked: Schema.Array(Schema.String)
}))

/** Runs a command to its end and answers its standard output; a status other than 0 fails with all that it printed. */
const command = Effect.fnUntraced(function*(cwd: string, name: string, ...args: ReadonlyArray<string>) {
  const stdout: Array<string> = []
  const all: Array<string> = []
  const inherited = Object.entries(process.env).flatMap(([key, value]) =>
    // what `npm run` and vitest say about this project is not about the other one
    value === undefined || /^(?:npm_(?:package|lifecycle)|VITEST|NODE_OPTIONS$|INIT_CWD$)/.test(key)
      ? []
      : [[key, value]]
  )
  const child = yield* ProcessGroup.spawn(name, args, {
    cwd,
    env: { ...Object.fromEntries(inherited), PATH: `${root}/node_modules/.bin:${process.env["PATH"] ?? ""}` },
    onStdout: (line) => {
      stdout.push(line)
      all.push(line)
    },
    onStderr: (line) => void all.push(line)
  })
  yield* child.endInput
  const { code } = yield* child.drained
  assert.strictEqual(code, 0, [name, ...args, "", ...all].join("\n"))
  return stdout.join("\n")
}, Effect.scoped)

const temporary = Effect.flatMap(
  FileSystem.FileSystem,
  (fs) => fs.makeTempDirectoryScoped({ prefix: "effect-openclaw-pack-" })
)

/** Packs a copy of what is in this folder: the build that belongs to packing must not touch the one that others use. */
const pack = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const copy = yield* temporary
  for (
    const name of [
      "src",
      "test/pack",
      "test/examples",
      "package.json",
      "tsconfig.json",
      "README.md",
      "CHANGELOG.md",
      "LICENSE"
    ]
  ) {
    yield* fs.copy(`${root}/${name}`, `${copy}/${name}`)
  }
  yield* fs.symlink(`${root}/node_modules`, `${copy}/node_modules`)
  // In one step, what the build prints would stand before the JSON.
  yield* command(copy, "npm", "run", "prepare", "--loglevel=error")
  const printed = yield* command(copy, "npm", "pack", "--json", "--ignore-scripts", "--loglevel=error")
  const [packed] = yield* Schema.decodeEffect(Packed)(printed)
  return { files: (packed?.files ?? []).map(({ path }) => path), tarball: `${copy}/${packed?.filename ?? ""}` }
})

const compilerOptions = {
  target: "es2023",
  lib: ["es2023", "dom"],
  module: "nodenext",
  types: ["node"],
  noEmit: true,
  allowImportingTsExtensions: true,
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  skipLibCheck: false
}

describe("the packed package", () => {
  it.live("holds nothing but dist, src and what npm wants; and works in an empty strict project", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { devDependencies, version } = yield* Effect.flatMap(
        fs.readFileString(`${root}/package.json`),
        Schema.decodeUnknownEffect(Manifest)
      )
      const { files, tarball } = yield* pack

      const examples = files.filter((path) => /^test\/examples\/[^/]+\.ts$/.test(path))
      assert.includeMembers(examples, ["Embedding.ts", "InMemory.test.ts"].map((name) => `test/examples/${name}`))
      const others = files.filter((path) => !/^(?:dist|src|test\/examples)\//.test(path))
      assert.deepStrictEqual(others.toSorted(), ["CHANGELOG.md", "LICENSE", "README.md", "package.json"])
      const changes = yield* fs.readFileString(`${root}/CHANGELOG.md`)
      assert.match(version, /^\d+\.\d+\.\d+(-[\w.]+)?$/)
      assert.include(changes, `\n## ${version}\n`)
      assert.deepStrictEqual(
        files.filter((path) => /tsconfig|^(?:dist|src)\S*\.test\.|tsbuildinfo|node_modules/.test(path)),
        []
      )
      // What a browser loads is bundled.
      const sources = files.filter((path) => /^src\/(?!dialog\/app\/).*\.ts$/.test(path))
      assert.isAbove(sources.length, 40)
      for (const source of sources) {
        const built = source.replace(/^src\//, "dist/").replace(/\.ts$/, "")
        assert.includeMembers(files, [`${built}.js`, `${built}.d.ts`])
      }
      const installed = ["openclaw-device.js", "Main.js", "answers.json", "THIRD-PARTY-LICENSES.txt"]
      assert.includeMembers(files, installed.map((name) => `dist/bin/${name}`))
      const site = ["index.html", "page.js", "page.css", "openclaw-pairing-dialog.js"].map((name) => `site/${name}`)
      assert.includeMembers(
        files,
        ["openclaw-pairing-dialog.js", "app/PairingDialog.d.ts", ...site].map((name) => `dist/dialog/${name}`)
      )

      const project = yield* temporary
      const pinned = (...names: ReadonlyArray<string>) =>
        Object.fromEntries(names.map((name) => [name, devDependencies[name] ?? ""]))
      yield* fs.writeFileString(
        `${project}/package.json`,
        JSON.stringify({
          name: "embedding",
          private: true,
          type: "module",
          dependencies: { "effect-openclaw": `file:${tarball}`, ...pinned("effect", "@effect/platform-node") },
          devDependencies: {
            ...pinned("typescript", "@types/node", "vitest", "@effect/vitest"),
            "@arethetypeswrong/cli": "0.18.5",
            publint: "0.3.25"
          }
        })
      )
      yield* fs.writeFileString(`${project}/tsconfig.json`, JSON.stringify({ compilerOptions, include: ["*.ts"] }))
      yield* fs.copyFile(`${root}/test/pack/Embedding.ts`, `${project}/Program.ts`)
      yield* fs.copyFile(`${root}/test/pack/Replacing.ts`, `${project}/Replacing.ts`)
      yield* fs.copyFile(`${root}/test/pack/ToolCalled.ts`, `${project}/ToolCalled.ts`)
      yield* command(project, "npm", "install", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error")

      // Every entry of the package leads to its types and its code, as Node.js and bundlers resolve it.
      yield* command(project, `${project}/node_modules/.bin/attw`, tarball, "--profile", "esm-only", "--no-color")
      yield* command(project, `${project}/node_modules/.bin/publint`, "run", tarball, "--strict")

      for (const example of examples) {
        const name = example.replace(/^.*\//, "")
        yield* fs.copyFile(`${project}/node_modules/effect-openclaw/${example}`, `${project}/${name}`)
      }
      for (const name of ["effect", "@effect/platform-node", "effect-openclaw"]) {
        const copies = yield* Effect.flatMap(
          command(project, "npm", "query", `[name="${name}"]:not(:root)`, "--loglevel=error"),
          Schema.decodeUnknownEffect(Installed)
        )
        assert.deepStrictEqual(copies.map(({ location }) => location), [`node_modules/${name}`])
      }

      yield* command(project, `${project}/node_modules/.bin/tsc`, "-p", ".")

      const printed = yield* command(project, "node", "Program.ts")
      // the lines before it are the log
      const { outcome, queued } = yield* Schema.decodeUnknownEffect(Outcome)(printed.split("\n").at(-1))
      assert.strictEqual(outcome.text, "echo: water the plants")
      assert.include(["AwaitingApproval", "Offline"], queued)
      // Each of the services was another one, and the agent worked with it.
      const replaced = yield* Schema.decodeUnknownEffect(Replaced)(
        (yield* command(project, "node", "Replacing.ts")).split("\n").at(-1)
      )
      assert.strictEqual(replaced.outcome.text, "echo: water the plants")
      assert.deepStrictEqual(replaced.asked, [
        "Admission",
        "AgentEvents",
        "ApproveCommands",
        "DeviceIdentity",
        "GatewayConfig",
        "Handshake",
        "PairingNotifier",
        "Supervisor",
        "TaskJournal",
        "TaskRunner",
        "TokenStore",
        "Transport"
      ])
      // The program is a bundle; the module of tools brings the project's own copy of effect.
      const called = (yield* command(project, "node", "ToolCalled.ts")).split("\n").findLast((line) =>
        line.includes('"right"')
      )
      assert.deepStrictEqual(JSON.parse(called ?? "{}"), {
        right: [
          { type: "text", text: 'structuredContent:\n{\n  "degrees": 4\n}' },
          { type: "text", text: '{"degrees":4}' }
        ],
        wrong: "error"
      })
      yield* command(project, `${project}/node_modules/.bin/vitest`, "run")

      const bin = `${project}/node_modules/.bin/openclaw-device`
      assert.include(yield* command(project, bin, "--version"), version)
      assert.include(yield* command(project, bin, "run", "--help"), "--page-port")
      const state = `${project}/state`
      const identity = yield* command(project, bin, "identity", "show", "--json", "--state-dir", state)
      assert.deepInclude(JSON.parse(identity), { created: true, path: `${state}/identity.json` })
    }).pipe(Effect.provide(NodeServices.layer)))
})
