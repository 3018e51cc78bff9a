import { assert, describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { randomUUID } from "node:crypto"
import { untilTrue } from "./support/EventLog.ts"
import * as LibraryAgent from "./support/LibraryAgent.ts"
import { releases } from "./support/OpenClaw.ts"
import { Place } from "./support/Place.ts"
import { administrator } from "./support/RawClient.ts"
import * as TaskAgent from "./support/TaskAgent.ts"

const RunFrame = Schema.fromJsonString(Schema.Struct({ event: Schema.Literals(["chat", "agent", "session.message"]) }))
const decodeRun = Schema.decodeUnknownOption(RunFrame)
const heardOf = (agent: LibraryAgent.LibraryAgent) =>
  agent.frames.filter(({ from, text }) => from === "gateway" && Option.isSome(decodeRun(text))).length

const others = 49

describe.each(Effect.runSync(releases).filter((release) => release >= "2026.8"))(
  "devices of one OpenClaw %s",
  (release) => {
    layer(Place.layer(release), { excludeTestServices: true, timeout: "300 seconds" })((it) => {
      it.effect(
        `B19: of ${others + 1} devices one works, and the others receive none of its frames`,
        () =>
          Effect.gen(function*() {
            const { gateway } = yield* Place
            const options = { url: gateway.url, token: gateway.token }
            const start = Effect.flatMap(LibraryAgent.makeHome, (home) => LibraryAgent.start(home, options))
            const devices = yield* Effect.all(Array.from({ length: others }, () => start), { concurrency: 4 })
            yield* Effect.forEach(devices, (device) => device.until("Connected"), { concurrency: "unbounded" })
            const observer = yield* administrator(gateway)
            const working = yield* TaskAgent.start(yield* LibraryAgent.makeHome, options)
            const sessionKey = `agent:main:${randomUUID()}`
            for (const summary of ["[slow] one", "two", "three"]) {
              const { runId, taskId } = yield* working.tasks.delegate(summary, { sessionKey })
              assert.strictEqual((yield* working.outcome(taskId))._tag, "Completed")
              // Whoever hears of all sessions has heard its end.
              yield* untilTrue(() => observer.events.some(({ payload }) => JSON.stringify(payload).includes(runId)))
            }
            yield* Effect.sleep("1 second")
            assert.isAbove(heardOf(working), 20)
            assert.deepStrictEqual(devices.map(heardOf), devices.map(() => 0))
            assert.isAbove(observer.events.filter(({ event }) => event === "chat" || event === "agent").length, 20)
          }),
        240_000
      )
    })
  }
)
