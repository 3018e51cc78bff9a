import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import * as DevGatewayWs from "../../src/devgateway/DevGatewayWs.ts"
import { projectMain } from "../interop/support/DeviceCli.ts"
import * as Cli from "./Cli.ts"
import * as Shell from "./Shell.ts"

const limit = 90_000

const example = (name: string) => fileURLToPath(new URL(`../examples/supervision/${name}`, import.meta.url))
const unit = example("openclaw-device.service")
const containerfile = example("Containerfile")

const isRoot = process.platform === "linux" && process.getuid?.() === 0
const isBundled = process.env["OPENCLAW_TEST_CLI"] !== undefined

/** The steps of the container file in an empty root: Node.js, what it links to, the program, and a state directory. */
const emptyRoot = `
  set -e
  root=$PWD/root
  mkdir -p $root/app $root/var/lib/openclaw-device
  cp -r "$(dirname "$MAIN")/." $root/app/
  cp "$NODE" $root/node
  ldd "$NODE" | grep -o '/[^ ]*' | while read -r lib; do mkdir -p "$root$(dirname "$lib")"; cp -L "$lib" "$root$lib"; done
  install --directory --owner=10001 --group=10001 --mode=0700 $PWD/state
  mount --bind $root $root
  mount -o remount,bind,ro $root
  mount --bind $PWD/state $root/var/lib/openclaw-device
  inside() {
    env -i HOME=/nowhere OPENCLAW_DEVICE_STATE_DIR=/var/lib/openclaw-device NODE_DISABLE_COMPILE_CACHE=1 \\
      OPENCLAW_GATEWAY_URL="$URL" OPENCLAW_GATEWAY_TOKEN=operator-token \\
      "$(command -v chroot)" --userspec=10001:10001 $root /node /app/openclaw-device.js "$@"
  }
`

describe.concurrent("where it is deployed", () => {
  it.live.skipIf(!existsSync("/usr/bin/systemd-analyze"))(
    "B15: systemd takes the unit as it is",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const stateDir = yield* Cli.temporaryDirectory
        const text = yield* fs.readFileString(unit)
        yield* fs.writeFileString(
          `${stateDir}/openclaw-device.service`,
          text.replace("/usr/local/bin/openclaw-device", "/bin/true")
        )
        const verified = yield* Shell.finished("systemd-analyze verify $STATE/openclaw-device.service", { stateDir })
        assert.deepStrictEqual(verified, { code: 0, stdout: [], stderr: "" })
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live(
    "B15: the program takes the command line of the unit and that of the container file",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const stateDir = yield* Cli.temporaryDirectory
        const [, words = ""] = /^ExecStart=\S+ (.*)$/m.exec(yield* fs.readFileString(unit)) ?? []
        const [, list = "[]"] = /^CMD (\[.*\])$/m.exec(yield* fs.readFileString(containerfile)) ?? []
        const lines = [words.replaceAll("%t/openclaw-device", "$STATE"), JSON.parse(list).join(" ")]
        for (const line of lines) {
          assert.match(line, /^run --no-page --log-format (logfmt|json)/)
          const ended = yield* Shell.finished(`$CLI ${line} --no-retry --gateway-url ws://127.0.0.1:1`, { stateDir })
          assert.strictEqual(ended.code, 69, ended.stderr)
        }
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live.skipIf(!isRoot || !isBundled)(
    "B04 B15: the steps of the container file give a program that works as a user without a name, in a read-only root",
    () =>
      Effect.gen(function*() {
        const context = yield* Layer.build(DevGateway.layerTest())
        const url = yield* Effect.provideContext(DevGatewayWs.serve(), context)
        const script = `${emptyRoot}
          inside delegate "water the plants"
          inside identity show --json
          ls state
          ! chroot --userspec=10001:10001 $root /node -e 'fs.writeFileSync("/written", "")' 2> /dev/null`
        const ended = yield* Shell.finished(`unshare --mount bash -c '${script.replaceAll("'", `'\\''`)}'`, {
          stateDir: yield* Cli.temporaryDirectory,
          env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", MAIN: projectMain, NODE: process.execPath, URL: url.href }
        })
        assert.strictEqual(ended.code, 0, `${ended.stdout.join("\n")}\n${ended.stderr}`)
        assert.strictEqual(ended.stdout[0], "echo: water the plants")
        assert.include(ended.stdout[1], `"path":"/var/lib/openclaw-device/identity.json"`)
        assert.include(ended.stdout, "identity.json")
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )
})
