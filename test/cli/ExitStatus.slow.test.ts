import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { exitCodes } from "../../src/cli/ExitCode.ts"
import { markdown, rows } from "../../src/cli/ExitStatus.ts"
import { statusOf } from "../../src/cli/Signals.ts"
import { notRunning } from "../../src/cli/StatusShow.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import * as DevGatewayWs from "../../src/devgateway/DevGatewayWs.ts"
import * as Cli from "./Cli.ts"
import * as Shell from "./Shell.ts"

const limit = 120_000

const cells = (table: string) =>
  table.trim().split("\n").filter((line) => !/^[\s|:-]+$/.test(line)).map((line) => line.replace(/\s*\|\s*/g, "|"))

/** A command that is stopped while it waits for a gateway that is not there. */
const stoppedBy = (signal: string) =>
  `$CLI delegate x --wait --json --gateway-url ws://127.0.0.1:1 > out 2> /dev/null &
  until grep -q '"waiting"' out; do sleep 0.1; done; kill -${signal} $!; wait $!`

/** What ends with each status. `$URL` is a gateway on which no device is paired and whose agent answers with a long text. */
const scripts: Readonly<Record<string, { readonly script: string; readonly env?: Readonly<Record<string, string>> }>> =
  {
    0: { script: "$CLI tasks list" },
    3: { script: "$CLI status" },
    64: { script: "$CLI devices list --nonsense" },
    65: { script: "$CLI delegate x > /dev/null", env: { OPENCLAW_GATEWAY_TOKEN: "operator-token" } },
    69: { script: "OPENCLAW_GATEWAY_URL=ws://127.0.0.1:1 $CLI run --no-retry --no-page" },
    74: { script: "$CLI tasks list > /dev/full" },
    75: { script: "$CLI run --exit-on-pairing --no-page" },
    76: { script: "$CLI delegate x", env: { OPENCLAW_GATEWAY_ORIGIN: "https://other.example" } },
    77: { script: "$CLI delegate x", env: { OPENCLAW_GATEWAY_TOKEN: "wrong" } },
    78: { script: "$CLI tasks list", env: { OPENCLAW_TASK_TIMEOUT: "a while" } },
    129: { script: stoppedBy("HUP") },
    130: { script: stoppedBy("INT") },
    143: { script: stoppedBy("TERM") },
    1: { script: "$CLI tasks show none" }
  }

describe.concurrent("exit status", () => {
  it.effect("the README's table is the program's, and each status of it is tried below", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const page = yield* fs.readFileString("src/cli/README.md")
      const shown = /<!-- exit status -->([^]*?)<!-- \/exit status -->/.exec(page)?.[1] ?? ""
      assert.deepStrictEqual(cells(shown), cells(markdown()))
      const told = rows.flatMap(([status]) => status.split(", ")).toSorted()
      assert.deepStrictEqual(told, Object.keys(scripts).toSorted())
      const all = [0, notRunning, ...Object.values(exitCodes), ...Object.values(statusOf)].map(String)
      assert.deepStrictEqual(told, all.toSorted())
    }).pipe(Effect.provide(NodeServices.layer)))

  for (const [status, { env, script }] of Object.entries(scripts)) {
    it.live(`B15: a shell gets ${status}`, () =>
      Effect.gen(function*() {
        const agent = () => Stream.make({ _tag: "Text" as const, delta: "x".repeat(1_100_000) })
        const context = yield* Layer.build(DevGateway.layerTest({ agent }))
        assert.isDefined(Context.get(context, DevGateway))
        const url = yield* Effect.provideContext(DevGatewayWs.serve(), context)
        const stateDir = yield* Cli.temporaryDirectory
        const ended = yield* Shell.finished(`${script}\nexit $?`, {
          stateDir,
          env: { OPENCLAW_GATEWAY_URL: url.href, OPENCLAW_GATEWAY_TOKEN: "shared-token", ...env }
        })
        assert.strictEqual(String(ended.code), status, ended.stderr)
        assert.notMatch(ended.stderr, /\n\s+at /)
      }).pipe(Effect.provide(Cli.platform)), limit)
  }
})
