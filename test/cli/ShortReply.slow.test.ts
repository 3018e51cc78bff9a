import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import type { Agent } from "../../src/devgateway/Agent.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import * as DevGatewayWs from "../../src/devgateway/DevGatewayWs.ts"
import * as Cli from "./Cli.ts"

const limit = 90_000

/** As many characters as the task says. */
const essay: Agent = ({ message }) =>
  Stream.make({ _tag: "Text" as const, delta: `begin ${"x".repeat(Number(message) - 10)} end` })

const delegate = Effect.fnUntraced(function*(characters: number, ...flags: ReadonlyArray<string>) {
  const context = yield* Layer.build(DevGateway.layerTest({ agent: essay }))
  const url = yield* Effect.provideContext(DevGatewayWs.serve(), context)
  const stateDir = yield* Cli.temporaryDirectory
  const env = { OPENCLAW_GATEWAY_URL: url.href, OPENCLAW_GATEWAY_TOKEN: "operator-token" }
  return yield* Cli.finished(["delegate", String(characters), ...flags], { stateDir, env })
})

const sentence = "This reply is not whole: the gateway shortened it. The rest is in the session on the gateway."

describe("a reply that the gateway does not give whole", () => {
  it.live(
    "ends `delegate` with a status and a sentence of its own, and what was given is on standard output",
    () =>
      Effect.gen(function*() {
        const { code, stderr, stdout } = yield* delegate(1_100_000)
        assert.strictEqual(code, 65)
        const text = stdout.join("\n").trimEnd()
        assert.isTrue(text.startsWith("begin xxx") && text.endsWith("x\n...(truncated)..."), `${text.length}`)
        assert.lengthOf(stderr.split("\n").filter((line) => line.includes(sentence)), 1, stderr)
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "is marked with --json",
    () =>
      Effect.gen(function*() {
        const { code, stdout } = yield* delegate(1_100_000, "--json")
        assert.strictEqual(code, 65)
        const [reply] = stdout.filter((line) => line.includes(`"event":"task.reply"`))
        assert.include(reply?.slice(-100), `"truncated":true`)
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "is no other: one of 600,000 characters, of which events show the end, is whole and a success",
    () =>
      Effect.gen(function*() {
        const { code, stdout } = yield* delegate(600_000)
        const text = stdout.join("\n").trimEnd()
        assert.deepStrictEqual([code, text.length, text.slice(0, 7), text.slice(-4)], [0, 600_000, "begin x", " end"])
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )
})
