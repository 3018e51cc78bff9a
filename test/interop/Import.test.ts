import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Redacted from "effect/Redacted"
import { createHash, generateKeyPairSync, sign } from "node:crypto"
import { spawnCli } from "./support/DeviceCli.ts"
import { boot, releases } from "./support/OpenClaw.ts"
import { connect, type Device } from "./support/RawClient.ts"
import { proxy } from "./support/RemoteProxy.ts"

/** A key as TEN's extension keeps it, and the device that a gateway knows by it. */
const makeTen = () => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519")
  const raw = publicKey.export({ format: "jwk" }).x ?? ""
  const device: Device = {
    deviceId: createHash("sha256").update(Buffer.from(raw, "base64url")).digest("hex"),
    publicKey: raw,
    sign: (text) => sign(null, Buffer.from(text), privateKey).toString("base64url")
  }
  const file = {
    version: 1,
    device_id: device.deviceId,
    public_key_pem: publicKey.export({ format: "pem", type: "spki" }),
    private_key_pem: privateKey.export({ format: "pem", type: "pkcs8" }),
    created_at_ms: 1_760_000_000_000
  }
  return { device, text: `${JSON.stringify(file, undefined, 2)}\n` }
}

describe.each(Effect.runSync(releases))("an identity of TEN on OpenClaw %s", (release) => {
  it.live(
    "F40: imported, it connects where it was paired, without a new approval, and its file is only read",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const gateway = yield* boot(release)
        const { url } = yield* proxy(gateway)
        const { device, text } = makeTen()

        // TEN pairs, with its platform
        const asTen = Effect.map(
          connect({ url, token: gateway.token, device, platform: "ten" }),
          ({ answer }) => answer
        )
        const asked = yield* Effect.scoped(asTen)
        const paired = asked._tag === "Refused"
        if (asked._tag === "Refused") {
          const approved = yield* gateway.cli(["devices", "approve", asked.error.details?.requestId ?? ""])
          assert.strictEqual(approved.code, 0, approved.stderr)
          assert.strictEqual((yield* Effect.scoped(asTen))._tag, "Accepted")
        }

        const home = yield* fs.makeTempDirectoryScoped({ prefix: "effect-openclaw-home-" })
        const source = `${home}/.openclaw/identity/device.json`
        yield* fs.makeDirectory(`${home}/.openclaw/identity`, { recursive: true })
        yield* fs.writeFileString(source, text, { mode: 0o640 })
        const before = yield* fs.stat(source)
        const args = ["--json", "--state-dir", `${home}/state`]

        const importing = yield* spawnCli(["identity", "import", source, ...args], { env: { HOME: home }, stdin: [] })
        assert.deepStrictEqual(yield* importing.exit, { code: 0, signal: null }, importing.stderr.join("\n"))
        const imported: unknown = JSON.parse(importing.stdout.join("\n"))
        assert.deepInclude(imported, { imported: true, format: "Ten", deviceId: device.deviceId, platform: "ten" })

        const agent = yield* spawnCli(["run", ...args], {
          env: { HOME: home, OPENCLAW_GATEWAY_URL: url, OPENCLAW_GATEWAY_TOKEN: Redacted.value(gateway.token) }
        })
        const first = yield* agent.nextEvent(["connected", "pairing.required", "halted"], "60 seconds")
        assert.strictEqual(first["event"], "connected", JSON.stringify(first))
        yield* agent.stdinWrite("hello from where TEN was")
        assert.strictEqual((yield* agent.nextEvent("task.reply"))["text"], "echo: hello from where TEN was")
        yield* agent.signal("SIGTERM")
        assert.deepStrictEqual(yield* agent.exit, { code: 0, signal: null })
        assert.deepStrictEqual(agent.events.filter(({ event }) => String(event).startsWith("pairing.")), [])
        assert.include(agent.events[0], { event: "identity", deviceId: device.deviceId, created: false })

        assert.strictEqual(yield* fs.readFileString(source), text)
        const after = yield* fs.stat(source)
        assert.deepStrictEqual([after.mtime, after.mode, after.ino], [before.mtime, before.mode, before.ino])
        assert.deepStrictEqual(
          yield* fs.readDirectory(`${home}/.openclaw`, { recursive: true }).pipe(
            Effect.map((names) => names.toSorted())
          ),
          ["identity", "identity/device.json"]
        )

        // the platform is what it depends on: under another one the same key has to be approved again
        const other = yield* Effect.scoped(
          Effect.map(connect({ url, token: gateway.token, device, platform: "linux" }), ({ answer }) => answer)
        )
        if (paired && other._tag === "Refused") assert.strictEqual(other.error.details?.reason, "metadata-upgrade")
      }).pipe(Effect.provide(NodeServices.layer)),
    300_000
  )
})
