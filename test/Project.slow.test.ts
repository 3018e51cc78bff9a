import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Schema from "effect/Schema"
import manifest from "../package.json" with { type: "json" }
import { projectOf, root, run } from "./support/Tool.ts"

const textOf = (path: string) => Effect.flatMap(FileSystem.FileSystem, (fs) => fs.readFileString(`${root}/${path}`))

const decodeLock = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.Struct({
  packages: Schema.Record(
    Schema.String,
    Schema.Struct({
      resolved: Schema.optionalKey(Schema.String),
      optionalDependencies: Schema.optionalKey(Schema.Record(Schema.String, Schema.String))
    })
  )
})))

/** The files of the project's root, of `src` and of `test`, without what tools write and what was recorded. */
const sources = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const below = (folder: string) =>
    Effect.map(
      fs.readDirectory(`${root}/${folder}`, { recursive: true }),
      (names) => names.map((name) => `${folder}/${name}`)
    )
  const all = [yield* fs.readDirectory(root), yield* below("src"), yield* below("test")].flat()
  return all.filter((path) => !/\bnode_modules\b|\bpackage-lock\.json$|^test\/vectors\//.test(path))
})

/** A file of each kind that the formatter knows, as it does not leave it. */
const drifted: Readonly<Record<string, string>> = {
  ts: "const  x = 1;\n",
  tsx: "const  x = <a/>;\n",
  js: "const  x = 1;\n",
  json: '{  "a":1 }\n',
  md: "a\n\n\n\nb\n"
}
const kindOf = (path: string): string => /\.(tsx?|js|json|md)$/.exec(path)?.[1] ?? ""

/** The tools start cold, on a machine that may have more to do. */
const timeoutMs = 60_000

describe("the project's own rules", () => {
  it.live("F15: the compiler refuses what nothing uses", () =>
    Effect.gen(function*() {
      const folder = yield* projectOf({
        "src/agent/Unused.ts": [
          'import * as Effect from "effect/Effect"',
          "export const f = (parameter: number) => {",
          "  const local = 1",
          "}"
        ].join("\n")
      })
      const { code, stdout } = yield* run(folder, manifest.scripts["check:types"])
      assert.notStrictEqual(code, 0)
      for (const name of ["Effect", "parameter", "local"]) {
        assert.include(stdout, `'${name}' is declared but its value is never read`)
      }
    }).pipe(Effect.provide(NodeServices.layer)), timeoutMs)

  it.live(
    "F37: the format of every file is part of the check, so that it never drifts into another change",
    () =>
      Effect.gen(function*() {
        const paths = (yield* sources).filter((path) => kindOf(path) !== "" && path !== ".dprint.json")
        assert.includeMembers(paths, [
          "README.md",
          "package.json",
          ".oxlintrc.json",
          "src/index.ts",
          "test/Project.slow.test.ts"
        ])
        const folder = yield* projectOf(Object.fromEntries(paths.map((path) => [path, drifted[kindOf(path)] ?? ""])))
        const { code, stdout } = yield* run(folder, `${manifest.scripts["check:format"]} --list-different`)
        assert.notStrictEqual(code, 0)
        const found = stdout.split("\n").map((path) => path.replace(/^.*\/effect-openclaw-tool-[^/]+\//, ""))
        assert.sameMembers(found, paths)
      }).pipe(Effect.provide(NodeServices.layer)),
    timeoutMs
  )

  it.effect("no comment switches a check off", () =>
    Effect.gen(function*() {
      // `@ts-expect-error` is a check of its own: it fails where nothing is wrong. Only tests have it.
      const switchesOff = /(?:\/\/|\/\*)\s*(?:eslint-|oxlint-|dprint-ignore|@ts-(?!expect-error )|@effect-diagnostics)/
      assert.match("f() // eslint-disable-line", switchesOff)
      assert.match("// @ts-ignore", switchesOff)
      const paths = (yield* sources).filter((path) =>
        /\.(?:tsx?|js)$/.test(path) && path !== "test/Project.slow.test.ts"
      )
      assert.isAbove(paths.length, 300)
      const found = yield* Effect.filter(paths, (path) => Effect.map(textOf(path), (text) => switchesOff.test(text)))
      assert.deepStrictEqual(found, [])
      const expecting = yield* Effect.filter(
        paths.filter((path) => path.startsWith("src/")),
        (path) => Effect.map(textOf(path), (text) => text.includes("@ts-expect-error"))
      )
      assert.deepStrictEqual(expecting, [])
    }).pipe(Effect.provide(NodeServices.layer)))

  it("the check runs every check", () => {
    const scripts = Object.keys(manifest.scripts)
    const parts = manifest.scripts.check.split(" && ").map((part) => part.replace(/^npm run /, ""))
    assert.sameMembers(parts, scripts.filter((name) => name.startsWith("check:")))
  })

  it.effect("npm ci works on every platform: the lock file has each optional package of each tool, and no registry", () =>
    Effect.gen(function*() {
      for (const lock of ["package-lock.json", "test/docs/package-lock.json", "test/bench/peers/package-lock.json"]) {
        const { packages } = yield* Effect.flatMap(textOf(lock), decodeLock)
        const missing = Object.entries(packages).flatMap(([where, { optionalDependencies = {} }]) =>
          Object.keys(optionalDependencies).filter((name) =>
            packages[`node_modules/${name}`] === undefined && packages[`${where}/node_modules/${name}`] === undefined
          )
        )
        assert.deepStrictEqual(missing, [])
        assert.deepStrictEqual(Object.values(packages).filter(({ resolved }) => resolved !== undefined), [])
      }
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("F22: the gate runs the suite on exactly the oldest Node.js that the engines field names, and on 24", () =>
    Effect.gen(function*() {
      const gate = yield* textOf(".ci/run")
      const oldest = /^>=(\d+\.\d+)$/.exec(manifest.engines.node)?.[1]
      assert.include(gate, `node@${oldest}.0`)
      assert.match(manifest.devDependencies.node, /^24\./)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("the gate runs every check, every test and the reference", () =>
    Effect.gen(function*() {
      const gate = yield* textOf(".ci/run")
      // `npm test` runs the fast tests too, and `check` its parts.
      const wanted = Object.keys(manifest.scripts).filter((name) =>
        name === "check" || name === "docs" || (name.startsWith("test") && name !== "test:fast")
      )
      assert.lengthOf(wanted, 6)
      for (const name of wanted) assert.match(gate, new RegExp(`npm (?:run )?${name}$`, "m"))
      assert.match(gate, /^npm ci$/m)
    }).pipe(Effect.provide(NodeServices.layer)))
})
