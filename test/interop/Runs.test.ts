import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as RunScript from "../oracle/RunScript.ts"
import * as RecordedRuns from "../tasks/RecordedRuns.ts"
import { boot, releases } from "./support/OpenClaw.ts"
import { makeDevice } from "./support/RawClient.ts"

/** `OPENCLAW_RECORD=true` writes what is played in place of comparing it. */
const isRecording = Config.withDefault(Config.Boolean("OPENCLAW_RECORD"), false)

describe.each(Effect.runSync(releases))("the script of runs on OpenClaw %s", (release) => {
  it.live.skipIf(!RecordedRuns.releases.some((known) => known === release))(
    "G14 B20: is told, remembered and kept as recorded",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const gateway = yield* boot(release)
        const played = yield* RunScript.play({
          url: gateway.url,
          token: gateway.token,
          device: yield* makeDevice,
          release: gateway.model.release,
          restart: gateway.restart
        })
        const json = RunScript.toJson(release, played)
        if (yield* isRecording) {
          return yield* fs.writeFileString(new URL(`../vectors/runs-${release}.json`, import.meta.url).pathname, json)
        }
        const recorded = yield* fs.readFileString(RecordedRuns.path(release))
        assert.deepStrictEqual(RunScript.facts(JSON.parse(json)), RunScript.facts(JSON.parse(recorded)))
      }).pipe(Effect.provide(NodeServices.layer)),
    600_000
  )
})
