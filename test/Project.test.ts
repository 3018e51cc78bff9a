import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Schema from "effect/Schema"
import { fileURLToPath } from "node:url"
import linter from "../.oxlintrc.json" with { type: "json" }
import manifest from "../package.json" with { type: "json" }
import compiler from "../tsconfig.json" with { type: "json" }

const file = (path: string) =>
  Effect.flatMap(
    FileSystem.FileSystem,
    (fs) => fs.readFileString(fileURLToPath(new URL(`../${path}`, import.meta.url)))
  ).pipe(Effect.provide(NodeServices.layer))

const decodeLock = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.Struct({
  packages: Schema.Record(
    Schema.String,
    Schema.Struct({
      resolved: Schema.optionalKey(Schema.String),
      optionalDependencies: Schema.optionalKey(Schema.Record(Schema.String, Schema.String))
    })
  )
})))

describe("the project's own rules", () => {
  it("F15: nothing unused passes the check: compiler and linter refuse it, and a warning is a failure", () => {
    assert.isTrue(compiler.compilerOptions.noUnusedLocals)
    assert.isTrue(compiler.compilerOptions.noUnusedParameters)
    assert.strictEqual(linter.rules["no-unused-vars"], "error")
    assert.include(manifest.scripts["check:lint"], "--deny-warnings")
    assert.include(manifest.scripts.check, "check:lint")
    assert.include(manifest.scripts.check, "check:types")
  })

  it("F37: the format of the whole tree is part of the check, so that it never drifts into another change", () => {
    assert.strictEqual(manifest.scripts["check:format"], "dprint check")
    assert.include(manifest.scripts.check, "check:format")
  })

  it.effect("npm ci works on every platform: the lock file has each optional package of each tool, and no registry", () =>
    Effect.gen(function*() {
      const { packages } = yield* Effect.flatMap(file("package-lock.json"), decodeLock)
      const missing = Object.entries(packages).flatMap(([where, { optionalDependencies = {} }]) =>
        Object.keys(optionalDependencies).filter((name) =>
          packages[`node_modules/${name}`] === undefined && packages[`${where}/node_modules/${name}`] === undefined
        )
      )
      assert.deepStrictEqual(missing, [])
      assert.deepStrictEqual(Object.values(packages).filter(({ resolved }) => resolved !== undefined), [])
    }))

  it.effect("F22: the gate runs the suite on exactly the oldest Node that the engines field names, and on 24", () =>
    Effect.gen(function*() {
      const gate = yield* file(".ci/run")
      const oldest = /^>=(\d+\.\d+)$/.exec(manifest.engines.node)?.[1]
      assert.include(gate, `node@${oldest}.0`)
      assert.match(manifest.devDependencies.node, /^24\./)
    }))

  it.effect("the gate runs what the README tells people to run", () =>
    Effect.gen(function*() {
      const gate = yield* file(".ci/run")
      for (const command of ["npm ci", "npm run check", "npm test", "npm run test:pack", "npm run test:interop"]) {
        assert.include(gate, command)
      }
    }))
})
