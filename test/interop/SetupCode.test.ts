import * as NodeServices from "@effect/platform-node/NodeServices"
import { describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as SetupScript from "../oracle/SetupScript.ts"
import { releases } from "./support/OpenClaw.ts"
import { isAnsweredAlike } from "./support/RecordedScript.ts"

const recorded = ["2026.8.2", "2026.9.6"]

describe.each(Effect.runSync(releases))("the script of setup codes on OpenClaw %s", (release) => {
  it.live.skipIf(!recorded.includes(release))(
    "is answered as recorded",
    () => isAnsweredAlike(release, "setup", SetupScript).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    300_000
  )
})
