import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import manifest from "../../package.json" with { type: "json" }
import { packageVersion } from "../../src/handshake/PackageVersion.ts"

it("is the version of package.json", () => {
  assert.strictEqual<string>(packageVersion, manifest.version)
})

it.effect("no other source states a version of its own", () =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const source = `${import.meta.dirname}/../../src`
    const files = (yield* fs.readDirectory(source, { recursive: true })).filter((name) => name.endsWith(".ts"))
    const stating = yield* Effect.filter(files, (name) =>
      Effect.map(fs.readFileString(`${source}/${name}`), (text) => text.includes(`"${manifest.version}"`)))
    assert.deepStrictEqual(stating, ["handshake/PackageVersion.ts"])
  }).pipe(Effect.provide(NodeServices.layer)))
