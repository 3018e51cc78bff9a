/**
 * A script that a real gateway is asked, and whose answers are kept in `test/vectors`, so that the development gateway can be held to them.
 */
import { assert } from "@effect/vitest"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as Redacted from "effect/Redacted"
import { boot } from "./OpenClaw.ts"
import type { RawClient } from "./RawClient.ts"
import { administrator, readAndWrite } from "./RawClient.ts"
import { proxy } from "./RemoteProxy.ts"

/** `OPENCLAW_RECORD=true` writes what is played in place of comparing it. */
const isRecording = Config.withDefault(Config.Boolean("OPENCLAW_RECORD"), false)

type Scenes = Record<string, Record<string, unknown>>

export interface Script<E, R> {
  readonly play: (
    stage: { readonly url: string; readonly token: Redacted.Redacted; readonly administrator: RawClient },
    scenes?: Scenes
  ) => Effect.Effect<unknown, E, R>
  readonly toJson: (release: string, scenes: Scenes) => string
  /** What has to be alike in two recordings. */
  readonly facts: (recordings: unknown) => unknown
}

/** Plays the script on a gateway of this release, and compares with the recording of this name. */
export const isAnsweredAlike = Effect.fnUntraced(
  function*<E, R>(release: string, name: string, { facts, play, toJson }: Script<E, R>) {
    const fs = yield* FileSystem.FileSystem
    const gateway = yield* boot(release)
    const { url } = yield* proxy(gateway)
    const { token } = gateway
    const scenes: Scenes = {}
    const path = new URL(`../../vectors/${name}-${release}.json`, import.meta.url).pathname
    yield* play({ url, token, administrator: yield* administrator(gateway, { scopes: readAndWrite }) }, scenes).pipe(
      Effect.onError(() => Effect.logError(toJson(release, scenes).slice(-3000)))
    )
    const json = toJson(release, scenes)
    if (yield* isRecording) return yield* fs.writeFileString(path, json)
    assert.deepStrictEqual(facts(JSON.parse(json)), facts(JSON.parse(yield* fs.readFileString(path))))
  }
)
