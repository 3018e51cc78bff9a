/**
 * Writes `test/recordings` again: `node test/recorder/Record.ts`. Run it when a change of the client's behaviour is intended,
 * and read the difference before you commit it.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as References from "effect/References"
import * as TestClock from "effect/testing/TestClock"
import { fileURLToPath } from "node:url"
import * as Scenarios from "./Scenarios.ts"

const directory = fileURLToPath(new URL("../recordings", import.meta.url))

NodeRuntime.runMain(
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    for (const scenario of Scenarios.scenarios) {
      const text = yield* Effect.provide(Scenarios.recorded(scenario), TestClock.layer())
      yield* fs.writeFileString(`${directory}/${scenario.name}.ndjson`, text)
    }
  }).pipe(Effect.provide(NodeServices.layer), Effect.provideService(References.MinimumLogLevel, "None"))
)
