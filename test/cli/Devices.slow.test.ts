import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { exitCodes } from "../../src/cli/ExitCode.ts"
import * as Cli from "./Cli.ts"
import * as Shell from "./Shell.ts"

const limit = 120_000

const Shown = Schema.fromJsonString(Schema.Struct({
  deviceId: Schema.String,
  requests: Schema.Array(Schema.Struct({
    requestId: Schema.String,
    more: Schema.Array(Schema.String),
    kept: Schema.Array(Schema.String)
  })),
  approved: Schema.Array(Schema.Struct({
    names: Schema.Array(Schema.String),
    tokens: Schema.Array(Schema.Struct({ role: Schema.String, revoked: Schema.Boolean }))
  }))
}))
const decodeShown = Schema.decodeUnknownEffect(Shown)

/** A gateway with an operator, and a device on another machine that asks for the given scopes. */
const place = Effect.gen(function*() {
  const stateDir = yield* Cli.temporaryDirectory
  const token = "a-shared-token"
  const gateway = yield* Cli.start(["gateway", "--port", "0", "--json"], {
    stateDir,
    env: { OPENCLAW_GATEWAY_TOKEN: token }
  })
  const { url } = yield* gateway.nextEvent("gateway")
  const remote = yield* Cli.temporaryDirectory
  const asks = (scopes: string) =>
    Cli.finished(["delegate", "one", "--json"], {
      stateDir: remote,
      env: {
        OPENCLAW_GATEWAY_URL: String(url),
        OPENCLAW_GATEWAY_TOKEN: token,
        OPENCLAW_GATEWAY_SCOPES: scopes
      }
    })
  const devices = (...args: ReadonlyArray<string>) => Cli.finished(["devices", ...args], { stateDir })
  const show = (word: string) =>
    Effect.flatMap(devices("show", word, "--json"), ({ stdout }) => decodeShown(stdout.join("")))
  const { deviceId } = yield* Effect.map(
    Cli.finished(["identity", "show", "--json"], { stateDir: remote }),
    ({ stdout }) => JSON.parse(stdout.join(""))
  )
  return { stateDir, asks, devices, show, deviceId: String(deviceId) }
})

describe.concurrent("devices", () => {
  it.live(
    "B14: a device is shown, approved by its id for no more than was agreed to, and its token is replaced, ended, removed",
    () =>
      Effect.gen(function*() {
        const { asks, deviceId, devices, show } = yield* place
        const word = deviceId.slice(0, 12)
        assert.strictEqual((yield* asks("operator.read,operator.write")).code, exitCodes.pairing)
        const before = yield* show(word)
        assert.deepStrictEqual(
          [before.deviceId, before.requests.map(({ more }) => more), before.approved],
          [deviceId, [["operator.read", "operator.write"]], []]
        )
        const { requestId } = before.requests[0] ?? { requestId: "" }

        for (const act of ["approve", "reject"]) {
          const unasked = yield* devices(act, word)
          assert.deepStrictEqual([unasked.code, unasked.stdout], [exitCodes.usage, []])
          assert.match(unasked.stderr, /Nothing was changed, as there is no terminal to ask on\. Add --yes to do it\./)
        }
        const narrow = yield* devices("approve", word, "--yes", "--at-most", "operator.read")
        assert.deepStrictEqual([narrow.code, narrow.stdout], [exitCodes.failed, []])
        assert.match(narrow.stderr, /asks for more than was agreed to: operator\.write\. Nothing was approved\./)
        assert.deepStrictEqual((yield* show(word)).requests.map(({ requestId }) => requestId), [requestId])

        const approved = yield* devices("approve", word, "--yes", "--at-most", "operator.read,operator.write")
        assert.deepStrictEqual(approved, { code: 0, stdout: [`approved ${requestId}`], stderr: "" })
        assert.strictEqual((yield* asks("operator.read,operator.write")).code, 0)

        const wider = yield* asks("operator.read,operator.write,operator.approvals")
        assert.strictEqual(wider.code, 0, "works with what is approved")
        const upgrade = (yield* show(word)).requests
        assert.deepStrictEqual(upgrade.map(({ kept, more }) => [kept, more]), [
          [["operator.read", "operator.write"], ["operator.approvals"]]
        ])
        const text = (yield* devices("show", word)).stdout.join("\n")
        assert.match(text, /^scopes {4}\+ operator\.approvals\n {12}operator\.read\n {12}operator\.write$/m)
        const accepted = yield* devices("approve", word, "--yes", "--at-most", "operator.read", "--accept-scopes")
        assert.strictEqual(accepted.code, 0)

        const rotated = yield* devices("rotate", word, "--yes", "--json")
        assert.deepStrictEqual(rotated, {
          code: 0,
          stdout: [JSON.stringify({ deviceId, role: "operator", decision: "rotated" })],
          stderr: ""
        })
        assert.strictEqual((yield* asks("operator.read,operator.write")).code, 0)
        const revoked = yield* devices("revoke", word, "--yes")
        assert.deepStrictEqual(revoked.stdout, [`revoked the operator token of ${deviceId}`])
        assert.deepStrictEqual((yield* show(word)).approved.flatMap(({ tokens }) => tokens), [
          { role: "operator", revoked: true }
        ])
        const again = yield* devices("revoke", word, "--yes")
        assert.strictEqual(again.code, exitCodes.failed)
        assert.match(again.stderr, /has no valid token/)
        const removed = yield* devices("remove", word, "--yes")
        assert.deepStrictEqual(removed, { code: 0, stdout: [`removed ${deviceId}`], stderr: "" })
        const gone = yield* devices("show", word)
        assert.strictEqual(gone.code, exitCodes.failed)
        assert.match(gone.stderr, /the gateway has neither a device nor a request/)
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "B14: on a terminal the difference and a question; a device that asks for more meanwhile is not approved; n changes nothing",
    () =>
      Effect.gen(function*() {
        const { asks, deviceId, devices, show, stateDir } = yield* place
        yield* asks("operator.read")
        const asked = yield* Shell.start(`script -qec '$CLI devices approve ${deviceId}' /dev/null`, { stateDir })
        const until = (text: string) =>
          Effect.repeat(
            Effect.andThen(Effect.yieldNow, Effect.sync(() => asked.stdout.some((line) => line.includes(text)))),
            {
              until: (yes) => yes
            }
          ).pipe(Effect.timeout("20 seconds"))
        yield* until("+ operator.read")
        yield* asks("operator.read,operator.write")
        yield* asked.write("y\n")
        yield* asked.endInput
        assert.strictEqual((yield* asked.drained).code, exitCodes.failed)
        const text = asked.stdout.join("\n")
        assert.match(text, /device {4}[0-9a-f]{64}/)
        assert.include(text, "Approve this device? [y/N] y")
        assert.match(text, /asks for more than was agreed to: operator\.write\. Nothing was approved\./)
        assert.lengthOf((yield* show(deviceId)).requests, 1)

        const answer = (act: string, said: string) =>
          Shell.finished(`script -qec '$CLI devices ${act} ${deviceId}' /dev/null`, { stateDir, stdin: [said] })
        const no = yield* answer("reject", "n")
        assert.strictEqual(no.code, exitCodes.failed)
        assert.include(no.stdout.join("\n"), "Nothing was changed.")
        assert.lengthOf((yield* show(deviceId)).requests, 1)
        const yes = yield* answer("approve", "y")
        assert.strictEqual(yes.code, 0, yes.stdout.join("\n"))
        assert.match(yes.stdout.join("\n"), /approved [0-9a-f-]{36}/)
        assert.lengthOf((yield* show(deviceId)).requests, 0)
        assert.strictEqual((yield* devices("list")).code, 0)
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )
})
