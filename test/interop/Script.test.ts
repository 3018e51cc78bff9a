import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { compare, describe as describeDifference, play, type Recordings } from "../oracle/Script.ts"
import recorded from "../vectors/script-2026.9.6.json" with { type: "json" }
import { boot, releases } from "./support/OpenClaw.ts"
import { proxy } from "./support/RemoteProxy.ts"

/** By release. `OPENCLAW_RECORD=true` writes what is played in place of comparing it. */
const recordings: Readonly<Record<string, Recordings>> = { "2026.9.6": recorded.exchanges }
const isRecording = Config.withDefault(Config.Boolean("OPENCLAW_RECORD"), false)

describe.each(Effect.runSync(releases))("the script of exchanges on OpenClaw %s", (release) => {
  it.live.skipIf(!(release in recordings))(
    "is answered as recorded, so that DevGateway is measured by what is real",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const gateway = yield* boot(release)
        const remote = yield* proxy(gateway)
        const played = yield* play({
          url: remote.url,
          token: gateway.token,
          administrator: { url: gateway.url, token: gateway.token },
          stop: gateway.stop
        })
        if (yield* isRecording) {
          const file = new URL(`../vectors/script-${release}.json`, import.meta.url).pathname
          const source = `OpenClaw ${release}, played by test/interop/Script.test.ts with OPENCLAW_RECORD=true`
          return yield* fs.writeFileString(file, `${JSON.stringify({ source, exchanges: played }, null, 1)}\n`)
        }
        assert.deepStrictEqual(compare(recordings[release] ?? {}, played).map(describeDifference), [])
      }).pipe(Effect.provide(NodeServices.layer)),
    600_000
  )
})
