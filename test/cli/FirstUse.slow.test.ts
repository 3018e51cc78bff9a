/**
 * First use as a person at a terminal has it, with a gateway of another process: `init`, what doctor says then, `run` until a person
 * has approved the device, a task, and the end.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import * as DevGatewayWs from "../../src/devgateway/DevGatewayWs.ts"
import * as Cli from "./Cli.ts"
import * as Shell from "./Shell.ts"

const limit = 120_000
const down = "\u001b[B"
const interrupt = "\u0003"

const served = Effect.gen(function*() {
  const context = yield* Layer.build(DevGateway.layerTest())
  const url = yield* Effect.provideContext(DevGatewayWs.serve(), context)
  return { gateway: Context.get(context, DevGateway), url: url.href }
})

describe.concurrent("first use on a terminal", () => {
  it.live(
    "init asks for the place, doctor says the command for it, and run goes from the notice to a reply and its end",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const { gateway, url } = yield* served
        const stateDir = yield* Cli.temporaryDirectory
        const settings = `${stateDir}/settings.json`
        const options = { stateDir, env: { OPENCLAW_DEVICE_SETTINGS: settings } }

        const init = yield* Shell.onTerminal("env -u OPENCLAW_DEVICE_STATE_DIR $CLI init", options)
        for (
          const [question, answer] of [
            ["The gateway's address", url],
            ["token, if you have it", "shared-token"],
            ["Where is the gateway?", down],
            ["The name of the container", "--privileged"],
            ["It is not usable: container must be", `${"\u007f".repeat("--privileged".length)}openclaw`],
            ["A directory for identity", `${stateDir}/own`]
          ] as const
        ) {
          yield* init.until(question)
          yield* init.write(`${answer}\r`)
        }
        const found = yield* init.until("Next: approve this device by the command above, then openclaw-device run")
        const [pending, ...others] = yield* gateway.pending
        const approve = `docker exec openclaw openclaw devices approve ${pending?.requestId}`
        assert.lengthOf(others, 0)
        assert.match(found, /fail {2}pairing +a person has to approve this device/)
        assert.include(found, `Command: ${approve}`)
        assert.strictEqual((yield* init.exit).code, 0)
        assert.strictEqual(JSON.parse(yield* fs.readFileString(settings)).OPENCLAW_GATEWAY_PLACE, "docker:openclaw")

        const run = yield* Shell.onTerminal("exec env -u OPENCLAW_DEVICE_STATE_DIR $CLI run --no-page", options)
        const notice = yield* run.until("waiting for approval for ")
        assert.include(notice, "Approval needed, once.")
        assert.include(notice, `\r\n${approve}\r\n`)
        assert.notInclude(notice, "one of these instead")
        assert.match(notice, /(checking|next check in \d+ s) \(Enter checks now\); waiting for approval for \d+ s/)
        yield* gateway.approve(pending?.requestId ?? "")
        yield* run.until("approved")
        yield* run.until("connected")
        yield* run.write("water the plants\r")
        yield* run.until("echo: water the plants")
        yield* run.write(interrupt)
        // Of `run` this is the ordinary end.
        assert.deepStrictEqual(yield* Effect.timeout(run.exit, "20 seconds"), { code: 0, signal: null })
        assert.notInclude(yield* run.screen, "shared-token")
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )
})
