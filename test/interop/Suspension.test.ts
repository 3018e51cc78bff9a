import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, layer } from "@effect/vitest"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { randomUUID } from "node:crypto"
import { play } from "../oracle/SuspensionScript.ts"
import recorded from "../vectors/suspension-2026.9.6.json" with { type: "json" }
import { InteropError } from "./support/InteropError.ts"
import * as LibraryAgent from "./support/LibraryAgent.ts"
import { releases } from "./support/OpenClaw.ts"
import { ownAddress, Place } from "./support/Place.ts"
import { makeDevice, type RawClient } from "./support/RawClient.ts"
import * as TaskAgent from "./support/TaskAgent.ts"

const Lease = Schema.Struct({ suspensionId: Schema.String })
const decodeLease = Schema.decodeUnknownEffect(Lease)

/** Asks for a suspension until the gateway has nothing of its own at work that forbids it. */
const suspend = (admin: RawClient, drain: boolean) =>
  admin.request("gateway.suspend.prepare", { requestId: randomUUID(), drain }).pipe(
    Effect.flatMap(decodeLease),
    Effect.retry({ schedule: Schedule.spaced("1 second"), times: 30 }),
    Effect.mapError((cause) => new InteropError({ step: "request", detail: "it was not suspended", cause }))
  )
const resume = (admin: RawClient, { suspensionId }: typeof Lease.Type) =>
  admin.request("gateway.suspend.resume", { suspensionId })

describe.each(Effect.runSync(releases).filter((release) => release >= "2026.9"))(
  "a suspended OpenClaw %s",
  (release) => {
    layer(Place.layer(release), { excludeTestServices: true, timeout: "300 seconds" })((it) => {
      it.effect(
        "tells its phases and refuses requests as recorded",
        () =>
          Effect.gen(function*() {
            const { admin, gateway } = yield* Place
            let lease: typeof Lease.Type = { suspensionId: "" }
            const played = yield* play({
              url: gateway.url,
              token: gateway.token,
              device: yield* makeDevice,
              suspend: Effect.map(suspend(admin, true), (held) => {
                lease = held
              }),
              look: Effect.suspend(() => admin.ask("gateway.suspend.status", lease)),
              resume: Effect.suspend(() => resume(admin, lease)),
              asked: gateway.model.asked,
              release: gateway.model.release
            })
            if (yield* Config.withDefault(Config.Boolean("OPENCLAW_RECORD"), false)) {
              const file = new URL("../vectors/suspension-2026.9.6.json", import.meta.url).pathname
              const source = `OpenClaw ${release}, played by test/interop/Suspension.test.ts with OPENCLAW_RECORD=true`
              const fs = yield* FileSystem.FileSystem
              return yield* fs.writeFileString(file, `${JSON.stringify({ source, ...played }, null, 1)}\n`)
            }
            const { source: _, ...expected } = recorded
            assert.deepStrictEqual<unknown>(played, expected)
          }).pipe(Effect.provide(NodeServices.layer)),
        120_000
      )

      it.effect(
        "G15: a task that is delegated meanwhile is kept, and run once as soon as it takes work again",
        () =>
          Effect.gen(function*() {
            const { admin, gateway } = yield* Place
            const remote = yield* ownAddress
            const home = yield* LibraryAgent.makeHome
            const agent = yield* TaskAgent.start(home, { url: remote.url, token: gateway.token })
            const suspended = agent.supervisor.status.pipe(
              Effect.map((status) => status._tag === "Connected" ? status.suspension : undefined)
            )
            const lease = yield* suspend(admin, false)
            yield* Effect.repeat(Effect.delay(suspended, "10 millis"), { until: (phase) => phase === "prepared" })
            const summary = `while it is suspended ${randomUUID().slice(0, 8)}`
            const { queued, runId, taskId } = yield* agent.tasks.delegate(summary, {
              sessionKey: `agent:main:${randomUUID()}`
            })
            assert.strictEqual(queued, "Suspended")
            // Also over a new link, whose hello tells it.
            yield* remote.drop
            yield* agent.online
            yield* Effect.repeat(Effect.delay(suspended, "10 millis"), { until: (phase) => phase === "prepared" })
            yield* Effect.sleep("3 seconds")
            assert.strictEqual(agent.sends(runId), 0)
            yield* resume(admin, lease)
            const outcome = yield* agent.outcome(taskId)
            assert.deepInclude(outcome, { _tag: "Completed", text: `echo: ${summary}` })
            assert.isUndefined(yield* suspended)
            assert.strictEqual(agent.sends(runId), 1)
            assert.lengthOf(gateway.model.prompts.filter((prompt) => prompt.includes(summary)), 1)
          }),
        120_000
      )
    })
  }
)
