import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, layer } from "@effect/vitest"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { Check, Finding } from "../../src/doctor/Check.ts"
import * as IdentityChecks from "../../src/doctor/IdentityChecks.ts"
import * as Mending from "../../src/doctor/Mending.ts"
import * as StateChecks from "../../src/doctor/StateChecks.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { Signer } from "../../src/identity/Signer.ts"
import { TokenStoreError } from "../../src/identity/TokenStore.ts"
import { NotAnswered } from "../../src/status/StatusClient.ts"
import type { Found } from "../../src/status/StatusClient.ts"
import type { StatusReport } from "../../src/status/StatusReport.ts"
import { PrivateFile } from "../../src/storage/PrivateFile.ts"
import { StorageError } from "../../src/storage/StorageError.ts"
import { TaskJournal } from "../../src/tasks/TaskJournal.ts"
import { report } from "./Report.ts"

const machine = Layer.provideMerge(PrivateFile.layer, Layer.mergeAll(NodeServices.layer, SecureRandom.layerWebCrypto))

const temporary = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped({ prefix: "oc-checks-" }))

/** What a broken set-up gives: a status, and advice where that is one. */
const found = (finding: Finding, status: Finding["status"], what: RegExp) => {
  assert.strictEqual(finding.status, status, finding.what)
  assert.match(finding.what, what)
  if (status === "fail" || status === "warn") assert.isNotEmpty(finding.advice?.action)
}

const answered = (change: Partial<StatusReport>): Found => ({
  _tag: "Answered",
  socket: { path: "/x", pid: change.pid ?? 42 },
  report: report(change)
})
const silent = (reason: NotAnswered["reason"]): Found => ({
  _tag: "NotAnswered",
  socket: { path: "/x/7.sock", pid: 7 },
  error: new NotAnswered({ reason, pid: 7 })
})

layer(machine)("checks of this machine", (it) => {
  describe("settings and Node.js", () => {
    it.effect("an old Node.js fails, and a setting that is not known is a warning", () =>
      Effect.gen(function*() {
        found(yield* StateChecks.nodejs("v20.9.0").make, "fail", /older than 22\.19/)
        found(yield* StateChecks.nodejs("v22.19.0").make, "ok", /v22\.19\.0/)
        found(yield* StateChecks.settingNames(["OPENCLAW_GATEWAY_TOKN is not a setting"]).make, "warn", /TOKN/)
        found(yield* StateChecks.settingNames([]).make, "ok", /every setting/)
      }))
  })

  describe("the state directory", () => {
    const check = (path: string) => StateChecks.stateDirectory(path).make
    it.effect("that others may write fails, and its mend closes it and nothing else", () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const path = yield* temporary
        yield* fs.chmod(path, 0o777)
        const finding = yield* check(path)
        found(finding, "fail", /may be written by other users/)
        assert.strictEqual((yield* fs.stat(path)).mode & 0o777, 0o777)
        assert.deepStrictEqual(yield* Mending.apply(finding.mends ?? []), [`chmod 755 ${path}`])
        found(yield* check(path), "ok", /is yours/)
      }))
    it.effect("that is a file fails, one that does not exist yet can be created, and none is none", () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const path = yield* temporary
        yield* fs.writeFileString(`${path}/file`, "")
        found(yield* check(`${path}/file`), "fail", /ENOTDIR/)
        found(yield* check(`${path}/a/b`), "ok", /can be created/)
        assert.isFalse(yield* fs.exists(`${path}/a`))
        found(yield* StateChecks.stateDirectory(undefined).make, "ok", /nothing is stored/)
      }))
    it.effect("among temporary files is a place that does not last", () =>
      Effect.gen(function*() {
        const path = yield* temporary
        found(yield* StateChecks.durablePlace(`${path}/identity.json`).make, "warn", /is kept/)
        found(yield* StateChecks.durablePlace(undefined).make, "ok", /settings/)
      }))
  })

  describe("programs", () => {
    const check = (all: ReadonlyArray<Found>) => StateChecks.programs(Effect.succeed(all)).make
    it.effect("a second run is a warning, and an mcp beside a run is none", () =>
      Effect.gen(function*() {
        found(yield* check([answered({ pid: 1 }), answered({ pid: 2 })]), "warn", /2 runs .* process 1 and process 2/)
        found(yield* check([answered({ pid: 1 }), answered({ pid: 2, command: "mcp" })]), "ok", /mcp/)
        found(yield* check([]), "ok", /no program runs/)
      }))
    it.effect("one that is silent is a warning; of one that was killed the socket can be removed", () =>
      Effect.gen(function*() {
        found(yield* check([silent("Silent")]), "warn", /did not say in time/)
        const finding = yield* check([silent("Gone")])
        found(finding, "ok", /left a socket behind/)
        assert.deepStrictEqual(finding.mends, [{ _tag: "RemoveSocket", path: "/x/7.sock" }])
      }))
    it.effect("a socket of another user fails", () =>
      Effect.gen(function*() {
        const error = new StorageError({ path: "/x", reason: "ForeignOwner", owner: 7 })
        found(yield* StateChecks.programs(Effect.fail(error)).make, "fail", /belongs to another user/)
      }))
  })

  describe("tokens and tasks", () => {
    it.effect("a token that others may read fails, and one that cannot be read is a warning", () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const path = yield* temporary
        const check = (stored: Parameters<typeof StateChecks.tokenStore>[1]): Check<Layer.Success<typeof machine>> =>
          StateChecks.tokenStore(path, stored)
        found(yield* check(Effect.succeed(false)).make, "ok", /no device token/)
        const error = new TokenStoreError({ path, reason: "Invalid" })
        found(yield* check(Effect.fail(error)).make, "warn", /is not a stored token/)
        yield* fs.writeFileString(`${path}/1.json`, "{}")
        yield* fs.chmod(`${path}/1.json`, 0o640)
        const finding = yield* check(Effect.succeed(true)).make
        found(finding, "fail", /may be read or written by other users/)
        yield* Mending.apply(finding.mends ?? [])
        found(yield* check(Effect.succeed(true)).make, "ok", /is stored/)
      }))

    it.effect("a file that is no entry of the journal is a warning that names it", () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const directory = `${yield* temporary}/tasks`
        const read = StateChecks.readJournal(
          Effect.provide(Effect.flatMap(TaskJournal, ({ read }) => read), TaskJournal.layerFile({ directory }))
        )
        found(yield* StateChecks.journal(read).make, "ok", /no task is open/)
        yield* fs.makeDirectory(directory, { mode: 0o700 })
        const name = "0e21d31b-70c7-48c6-950d-b61c5362a98f.0123456789abcdef.json"
        yield* fs.writeFileString(`${directory}/${name}`, "no journal", { mode: 0o600 })
        found(yield* StateChecks.journal(read).make, "warn", /0e21d31b/)
      }))

    it.effect("open tasks are orphans only while no program runs", () =>
      Effect.gen(function*() {
        const task = { taskId: "b2a7daa9" }
        const read = Effect.succeed({ tasks: [task as never], damaged: [] })
        const check = (isAlive: boolean) => StateChecks.orphanedTasks(read, Effect.succeed(isAlive)).make
        found(yield* check(false), "warn", /no program works on: 1 \(b2a7daa9\)/)
        found(yield* check(true), "ok", /takes over/)
      }))
  })

  describe("the identity", () => {
    const create = (path: string, passphrase?: string) =>
      Effect.provide(
        DeviceIdentity,
        DeviceIdentity.layerFile({ path, passphrase: passphrase === undefined ? undefined : Redacted.make(passphrase) })
          .pipe(Layer.provide(Signer.layerNodejs))
      )
    const findings = (path: string, passphrase?: string) =>
      Effect.gen(function*() {
        const secret = passphrase === undefined ? undefined : Redacted.make(passphrase)
        const opened = yield* IdentityChecks.open(path, secret)
        const checks = IdentityChecks.identityChecks(Effect.succeed(opened), secret !== undefined)
        const [identity, file, encryption] = yield* Effect.forEach(checks, ({ make }) => make)
        if (identity === undefined || file === undefined || encryption === undefined) return assert.fail("three checks")
        return { identity, file, encryption, opened }
      })

    it.effect("that is absent, damaged or locked fails, and nothing is created", () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const path = `${yield* temporary}/identity.json`
        found((yield* findings(path)).identity, "fail", /There is no identity/)
        assert.isFalse(yield* fs.exists(path))
        yield* fs.writeFileString(path, "no identity", { mode: 0o600 })
        found((yield* findings(path)).identity, "fail", /is not JSON/)
        yield* fs.remove(path)
        yield* create(path, "right")
        found((yield* findings(path)).identity, "fail", /no passphrase was configured/)
        found((yield* findings(path, "wrong")).identity, "fail", /does not open it/)
        const open = yield* findings(path, "right")
        found(open.identity, "ok", /^device /)
        found(open.encryption, "ok", /is encrypted/)
      }), 30_000)

    it.effect("that others may read is opened all the same, and keeps its mode", () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const path = `${yield* temporary}/identity.json`
        yield* create(path)
        yield* fs.chmod(path, 0o644)
        const { encryption, file, identity, opened } = yield* findings(path, "unused")
        found(identity, "ok", /^device /)
        found(file, "fail", /may be read or written by other users/)
        found(encryption, "warn", /the private key is plain/)
        assert.isTrue(Result.isSuccess(opened.identity))
        assert.strictEqual((yield* fs.stat(path)).mode & 0o777, 0o644)
        yield* Mending.apply(file.mends ?? [])
        found((yield* findings(path)).file, "ok", /nobody else/)
      }))

    it.effect("behind a symbolic link is not used", () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const directory = yield* temporary
        yield* create(`${directory}/real.json`)
        yield* fs.symlink(`${directory}/real.json`, `${directory}/identity.json`)
        found((yield* findings(`${directory}/identity.json`)).identity, "fail", /symbolic link/)
      }))
  })
})
