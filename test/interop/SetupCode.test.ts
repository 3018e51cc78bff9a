import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as SetupScript from "../oracle/SetupScript.ts"
import { boot, releases } from "./support/OpenClaw.ts"
import { connect, makeDevice } from "./support/RawClient.ts"
import { proxy } from "./support/RemoteProxy.ts"

/** `OPENCLAW_RECORD=true` writes what is played in place of comparing it. */
const isRecording = Config.withDefault(Config.Boolean("OPENCLAW_RECORD"), false)
const recorded = ["2026.8.2", "2026.9.6"]

describe.each(Effect.runSync(releases))("the script of setup codes on OpenClaw %s", (release) => {
  it.live.skipIf(!recorded.includes(release))("is answered as recorded", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const gateway = yield* boot(release)
      const { url } = yield* proxy(gateway)
      const administrator = yield* connect({
        url: gateway.url,
        token: gateway.token,
        device: yield* makeDevice,
        clientId: "cli",
        clientMode: "cli",
        scopes: ["operator.admin", "operator.pairing", "operator.write", "operator.read"]
      })
      const scenes: Record<string, Record<string, unknown>> = {}
      const path = new URL(`../vectors/setup-${release}.json`, import.meta.url).pathname
      yield* SetupScript.play({ url, token: gateway.token, administrator }, scenes).pipe(
        Effect.onError(() => Effect.logError(SetupScript.toJson(release, scenes).slice(-3000)))
      )
      const json = SetupScript.toJson(release, scenes)
      if (yield* isRecording) return yield* fs.writeFileString(path, json)
      assert.deepStrictEqual(
        SetupScript.facts(JSON.parse(json)),
        SetupScript.facts(JSON.parse(yield* fs.readFileString(path)))
      )
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 300_000)
})
