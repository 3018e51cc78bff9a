import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import { type ChildProcess, spawn } from "node:child_process"
import { lstatSync, readdirSync } from "node:fs"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { Signer } from "../../src/identity/Signer.ts"
import { TokenStore } from "../../src/identity/TokenStore.ts"
import { DeviceId } from "../../src/protocol/Connect.ts"

// The full numbers are 50 processes, 20 rounds and 500 kills; the suite runs the same with fewer.
const processes = Number(process.env["OPENCLAW_TEST_PROCESSES"] ?? 6)
const rounds = Number(process.env["OPENCLAW_TEST_ROUNDS"] ?? 1)
const kills = Number(process.env["OPENCLAW_TEST_KILLS"] ?? 4)
const patienceMs = 60_000 + 2000 * (processes * rounds + kills)

const worker = new URL("processes/Worker.ts", import.meta.url).pathname
const machine = Layer.mergeAll(NodeServices.layer, SecureRandom.layerWebCrypto, Signer.layerNodejs, Logger.layer([]))

interface Child {
  readonly process: ChildProcess
  readonly lines: ReadonlyArray<string>
  /** Waits until the child said a line that begins so. */
  readonly said: (beginning: string) => Effect.Effect<void>
  readonly ended: Effect.Effect<void>
}

const run = (command: string, place: string, shell: string = "") =>
  Effect.acquireRelease(
    Effect.sync((): Child => {
      const child = spawn("/bin/sh", ["-c", `${shell} exec "$0" "$@"`, process.execPath, worker, command, place], {
        stdio: ["pipe", "pipe", "inherit"]
      })
      const lines: Array<string> = []
      const waiting = new Set<() => void>()
      let rest = ""
      let closed = false
      const wake = () => waiting.forEach((look) => look())
      child.stdin.on("error", () => {})
      child.stdout.on("data", (chunk: Buffer) => {
        const parts = `${rest}${chunk}`.split("\n")
        rest = parts.pop() ?? ""
        lines.push(...parts)
        wake()
      })
      child.on("close", () => {
        closed = true
        wake()
      })
      const until = (reached: () => boolean) =>
        Effect.callback<void>((resume) => {
          const look = () => {
            if (!reached() && !closed) return
            waiting.delete(look)
            resume(Effect.void)
          }
          waiting.add(look)
          look()
        })
      return {
        process: child,
        lines,
        said: (beginning) => until(() => lines.some((line) => line.startsWith(beginning))),
        ended: until(() => closed)
      }
    }),
    (child) => Effect.andThen(Effect.sync(() => child.process.kill("SIGKILL")), child.ended)
  )

const temporary = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped({ prefix: "identity-" }))

const filesUnder = (directory: string): ReadonlyArray<string> =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .flatMap((entry) => entry.isFile() ? [`${entry.parentPath}/${entry.name}`] : [])

describe("Processes", () => {
  it.live(
    `G02: ${processes} processes at once on an empty directory, ${rounds} times: one identity`,
    () =>
      Effect.gen(function*() {
        const once = Effect.fnUntraced(function*(round: number) {
          const directory = yield* temporary
          const path = `${directory}/state/identity.json`
          const children = yield* Effect.all(Array.from({ length: processes }, () => run("start", path)))
          yield* Effect.forEach(children, (child) => child.said("ready"), { concurrency: "unbounded" })
          for (const child of children) child.process.stdin?.end("go\n")
          yield* Effect.forEach(children, (child) => child.ended, { concurrency: "unbounded" })
          const facts = children.flatMap(({ lines }) => lines.map((line) => line.split(" "))).filter(([said]) =>
            said === "identity"
          )
          assert.strictEqual(facts.length, processes)
          assert.strictEqual(new Set(facts.map(([, id]) => id)).size, 1, `round ${round}`)
          assert.strictEqual(facts.filter(([, , created]) => created === "true").length, 1)
          assert.deepStrictEqual(filesUnder(directory), [path])
        }, Effect.scoped)
        for (let round = 0; round < rounds; round++) yield* once(round)
      }).pipe(Effect.provide(machine)),
    patienceMs
  )

  it.live(
    `F18: ${kills} kills over creating, storing tokens and sealing: never a torn, empty or second identity`,
    () =>
      Effect.gen(function*() {
        const passphrase = Redacted.make("passphrase")
        const once = Effect.gen(function*() {
          const directory = yield* temporary
          const child = yield* run("churn", directory)
          yield* child.said("ready")
          // real time on purpose: the moment of the kill must not depend on what the process does
          yield* Effect.sleep(yield* Random.nextIntBetween(0, 400))
          child.process.kill("SIGKILL")
          yield* child.ended
          const facts = child.lines.map((line) => line.split(" "))
          for (const name of readdirSync(directory)) {
            const about = (fact: string) => facts.filter(([said, round]) => said === fact && round === name).at(-1)
            const path = `${directory}/${name}/identity.json`
            const open = (create: boolean) =>
              Effect.map(
                Layer.build(DeviceIdentity.layerFile({ path, passphrase, create })),
                Context.get(DeviceIdentity)
              )
            const found = yield* Effect.catchTag(
              Effect.asSome(open(false)),
              "IdentityAbsent",
              () => Effect.succeedNone
            )
            const announced = about("identity")?.[2]
            if (announced !== undefined) assert.strictEqual(Option.getOrUndefined(found)?.deviceId, announced)
            const again = yield* open(true)
            if (Option.isSome(found)) assert.strictEqual(again.deviceId, found.value.deviceId)
            if (about("sealed") !== undefined) {
              assert.isFalse(again.warnings.some(({ _tag }) => _tag === "NotEncrypted"))
            }
            const tokens = Context.get(
              yield* Layer.build(TokenStore.layerFile({ directory: `${directory}/${name}/tokens` })),
              TokenStore
            )
            const stored = yield* tokens.get({
              gatewayScope: "wss://gateway:443/",
              deviceId: DeviceId.make(announced ?? "0".repeat(64)),
              role: "operator"
            })
            const acknowledged = Number(about("token")?.[2] ?? 0)
            const number = Option.match(stored, { onNone: () => 0, onSome: ({ storedAtMs }) => storedAtMs })
            assert.isTrue(number === acknowledged || number === acknowledged + 1, `${number} of ${acknowledged}`)
          }
          for (const file of filesUnder(directory)) assert.strictEqual(lstatSync(file).mode & 0o777, 0o600, file)
        }).pipe(Effect.scoped)
        for (let kill = 0; kill < kills; kill++) yield* once
      }).pipe(Effect.provide(machine), Random.withSeed("kills")),
    patienceMs
  )

  it.live("F18: under umask 000 a watcher never sees anything but 0600 and 0700", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const child = yield* run("churn", `${directory}/state`, "umask 000;")
      yield* child.said("ready")
      const seen = new Map<string, string>()
      const look = () => {
        let entries: ReadonlyArray<{ readonly name: string; readonly parentPath: string }> = []
        try {
          entries = readdirSync(directory, { recursive: true, withFileTypes: true })
        } catch {
          // a directory that went away while it was listed
        }
        for (const { name, parentPath } of entries) {
          try {
            const info = lstatSync(`${parentPath}/${name}`)
            seen.set(`${info.isDirectory() ? "directory" : "file"} ${(info.mode & 0o7777).toString(8)}`, name)
          } catch {
            // a temporary file that is gone already
          }
        }
      }
      while (!child.lines.some((line) => line.startsWith("sealed 1"))) {
        look()
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        if (child.process.exitCode !== null) assert.fail("the process ended by itself")
      }
      child.process.kill("SIGKILL")
      yield* child.ended
      assert.deepStrictEqual([...seen.keys()].toSorted(), ["directory 700", "file 600"])
    }).pipe(Effect.scoped, Effect.provide(machine)), patienceMs)
})
