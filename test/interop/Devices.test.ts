import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Redacted from "effect/Redacted"
import { spawnCli } from "./support/DeviceCli.ts"
import { boot, releases } from "./support/OpenClaw.ts"
import { connect, makeDevice } from "./support/RawClient.ts"
import { proxy } from "./support/RemoteProxy.ts"

const json = (lines: ReadonlyArray<string>) => JSON.parse(lines.join("\n"))

describe.each(Effect.runSync(releases))("devices on OpenClaw %s", (release) => {
  it.live(
    "B14: shows, approves, rejects, rotates, revokes and removes as the operator of a real gateway",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const gateway = yield* boot(release)
        const remote = yield* proxy(gateway)
        const stateDir = yield* fs.makeTempDirectoryScoped({ prefix: "effect-openclaw-operator-" })
        const output: Array<string> = []
        const devices = Effect.fnUntraced(function*(...args: ReadonlyArray<string>) {
          const cli = yield* spawnCli(["devices", ...args, "--state-dir", stateDir], {
            env: { OPENCLAW_GATEWAY_URL: gateway.url, OPENCLAW_GATEWAY_TOKEN: Redacted.value(gateway.token) },
            stdin: []
          })
          const { code } = yield* cli.exit
          output.push(...cli.stdout, ...cli.stderr)
          return { code, stdout: cli.stdout, stderr: cli.stderr.join("\n") }
        })
        const done = Effect.fnUntraced(function*(...args: ReadonlyArray<string>) {
          const result = yield* devices(...args)
          assert.strictEqual(result.code, 0, `${args.join(" ")}: ${result.stderr}`)
          return result.stdout
        })

        const device = yield* makeDevice
        const asks = (scopes: ReadonlyArray<string>, role = "operator") =>
          Effect.map(
            connect({
              url: remote.url,
              token: gateway.token,
              device,
              scopes,
              role,
              ...(role === "node"
                ? { clientId: "node-host", clientMode: "node", commands: ["mcp.tools.call.v1"], deviceFamily: "Linux" }
                : {})
            }),
            ({ answer }) => answer._tag
          )
        const word = device.deviceId.slice(0, 16)
        const show = Effect.map(done("show", word, "--json"), json)

        assert.strictEqual(yield* asks(["operator.read"]), "Refused")
        const asked = yield* show
        assert.strictEqual(asked.deviceId, device.deviceId)
        assert.deepStrictEqual(asked.requests.map((each: { more: unknown; kept: unknown }) => [each.more, each.kept]), [
          [["operator.read"], []]
        ])
        assert.match((yield* done("show", word)).join("\n"), /^scopes {4}\+ operator\.read$/m)

        // A wider ask keeps the request on some releases and replaces it on others. Neither is approved for more than was shown.
        const { requestId } = asked.requests[0]
        yield* asks(["operator.read", "operator.write"])
        const grown = yield* devices("approve", word, "--yes", "--at-most", "operator.read")
        assert.strictEqual(grown.code, 1)
        assert.match(grown.stderr, /asks for more than was agreed to: operator\.write\. Nothing was approved/)
        assert.match((yield* done("approve", word, "--yes")).join(), /^approved [0-9a-f-]{36}$/)
        assert.strictEqual(yield* asks(["operator.read", "operator.write"]), "Accepted")
        const late = yield* devices("approve", requestId, "--yes")
        assert.strictEqual(late.code, 1)
        assert.match(late.stderr, /the gateway has no request/)

        const paired = (yield* show).approved[0]
        assert.deepStrictEqual(
          paired.tokens.map((each: { role: string; revoked: boolean }) => [each.role, each.revoked]),
          [
            ["operator", false]
          ]
        )
        assert.deepStrictEqual(yield* done("rotate", word, "--yes"), [
          `rotated the operator token of ${device.deviceId}`
        ])
        yield* done("revoke", word, "--yes")
        assert.isTrue((yield* show).approved[0].tokens[0].revoked)

        const other = yield* makeDevice
        const { answer } = yield* connect({ url: remote.url, token: gateway.token, device: other })
        assert.strictEqual(answer._tag, "Refused")
        assert.match((yield* done("reject", other.deviceId, "--yes")).join(), /^rejected /)
        assert.strictEqual((yield* devices("reject", other.deviceId, "--yes")).code, 1)

        // The same words for tools, where the release has them.
        yield* asks([], "node")
        yield* done("approve", word, "--yes")
        yield* asks([], "node")
        const surface = (yield* show).requests.find(({ about }: { about: string }) => about === "tools")
        if (surface !== undefined) {
          assert.deepStrictEqual(surface.more, ["mcp.tools.call.v1"])
          yield* done("approve", surface.requestId, "--yes")
          assert.isUndefined((yield* show).requests.find(({ about }: { about: string }) => about === "tools"))
        }
        const tools = yield* devices("remove", word, "--tools", "--yes")
        if (release === "2026.9.6") {
          assert.isDefined(surface)
          assert.deepStrictEqual(
            [tools.code, tools.stdout],
            [0, [`removed the tools of ${device.deviceId}`]],
            tools.stderr
          )
        }
        if (release === "2026.3.2") {
          assert.strictEqual(tools.code, 76)
          assert.match(tools.stderr, /this gateway is too old for it: it does not know node\.pair\.remove\./)
        }

        yield* done("remove", word, "--yes")
        assert.strictEqual((yield* devices("show", word)).code, 1)
        const secret = Redacted.value(gateway.token)
        for (const line of output) assert.notInclude(line, secret)
        assert.notMatch(output.join("\n"), /"token":/)
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    300_000
  )
})
