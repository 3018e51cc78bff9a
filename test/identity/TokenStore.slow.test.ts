import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as TestClock from "effect/testing/TestClock"
import { inspect } from "node:util"
import { TokenStore, type TokenStoreError } from "../../src/identity/TokenStore.ts"
import { copyDisk, failure, type Inode, makeDisk, snapshot } from "../storage/MemoryFiles.ts"
import { interleaved, killAt, type Machine, tokenStore } from "./Fixture.ts"
import { entry, key, shown, token, tokenStoreContract } from "./TokenStoreContract.ts"

const memory = Effect.map(Layer.build(TokenStore.layerMemory), Context.get(TokenStore))
describe("TokenStore", () => {
  tokenStoreContract("layerFile", Effect.suspend(() => tokenStore(makeDisk())))
  tokenStoreContract("layerMemory", memory)

  it.effect("a second process reads the token of the first one from private files", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      yield* Effect.flatMap(tokenStore(disk), (store) => store.put(key, entry("one")))
      assert.deepStrictEqual(shown(yield* Effect.flatMap(tokenStore(disk), (store) => store.get(key)))?.[0], "one")
      for (const [path, inode] of disk.entries) {
        if (path.startsWith("/state/tokens")) {
          assert.strictEqual(inode.mode, inode.type === "File" ? 0o600 : 0o700, path)
        }
      }
    }))

  it.effect("nothing is created before the first token, and each key has one file", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      const store = yield* tokenStore(disk)
      yield* store.get(key)
      yield* store.remove(key, token("one"))
      assert.deepStrictEqual([...disk.entries.keys()], ["/"])
      for (let index = 0; index < 20; index++) yield* store.put(key, entry(`token ${index}`))
      assert.strictEqual(Object.keys(snapshot(disk)).length, 1)
      yield* store.remove(key, token("token 19"))
      assert.strictEqual(Object.keys(snapshot(disk)).length, 1)
      assert.notInclude(JSON.stringify(snapshot(disk)), "token 19")
    }))

  it.effect("a damaged or foreign file is an error that names it; the next token replaces it", () =>
    Effect.gen(function*() {
      const other = makeDisk()
      yield* Effect.flatMap(tokenStore(other), (store) => store.put({ ...key, role: "node" }, entry("foreign")))
      const foreign = Object.values(snapshot(other))[0] ?? ""
      for (const content of ["", "{", "[]", `{"token":"x"}`, foreign]) {
        const disk = makeDisk()
        const store = yield* tokenStore(disk)
        yield* store.put(key, entry("one"))
        const file = [...disk.entries].find(([path]) => path.endsWith(".json"))
        if (file === undefined) return assert.fail("no file")
        file[1].bytes = new TextEncoder().encode(content)
        const error = yield* Effect.flip(store.get(key))
        assert.deepStrictEqual([error._tag, error.reason, error.path], ["TokenStoreError", "Invalid", file[0]])
        assert.isFalse(yield* store.remove(key, token("one")))
        assert.strictEqual(snapshot(disk)[file[0]], content)
        yield* store.put(key, entry("two"))
        assert.deepStrictEqual(shown(yield* store.get(key))?.[0], "two")
      }
    }))

  it.effect("a file that cannot be read is an error that names it; the next token replaces it", () =>
    Effect.gen(function*() {
      const large = `{"token":"${"x".repeat(2 * 1024 * 1024)}"}`
      const unreadable = (operation: string, path: string) =>
        operation === "open" && path.endsWith("1.json")
          ? Effect.fail(failure("PermissionDenied", "EACCES", operation, path))
          : Effect.void
      const cases: ReadonlyArray<
        readonly [name: string, reason: string, spoil: (inode: Inode) => Partial<Inode>, on?: Machine]
      > = [
        ["larger than what is read", "Invalid", () => ({ bytes: new TextEncoder().encode(large) })],
        ["readable by its owner alone", "Unreadable", () => ({}), { gate: unreadable }],
        ["another user's", "Exposed", () => ({ uid: 4711 })],
        ["a directory", "Exposed", () => ({ type: "Directory" })],
        ["a symbolic link", "Exposed", () => ({ type: "SymbolicLink" })]
      ]
      for (const [name, reason, spoil, on] of cases) {
        const disk = makeDisk()
        yield* Effect.flatMap(tokenStore(disk), (store) => store.put(key, entry("one")))
        const [path, inode] = [...disk.entries].find(([each]) => each.endsWith(".json")) ?? assert.fail("no file")
        disk.entries.set(path, { ...inode, ...spoil(inode) })
        const store = yield* tokenStore(disk, on)
        const error = yield* Effect.flip(store.get(key))
        assert.deepStrictEqual([error._tag, error.reason, error.path], ["TokenStoreError", reason, path], name)
        assert.isFalse(yield* store.remove(key, token("one")), name)
        yield* store.put(key, entry("two"))
        assert.deepStrictEqual(shown(yield* store.get(key))?.[0], "two", name)
        yield* store.put(key, entry("three"))
        assert.deepStrictEqual(shown(yield* store.get(key))?.[0], "three", name)
      }
    }))

  it.effect("a file with the last possible number is an error, and no file is written that would not be found", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      const store = yield* tokenStore(disk)
      yield* store.put(key, entry("one"))
      const [path, inode] = [...disk.entries].find(([each]) => each.endsWith(".json")) ?? assert.fail("no file")
      const last = path.replace("000000000001", "999999999999")
      disk.entries.delete(path)
      disk.entries.set(last, inode)
      const before = snapshot(disk)
      const error = yield* Effect.flip(store.put(key, entry("two")))
      assert.deepStrictEqual([error._tag, error.reason, error.path], ["TokenStoreError", "Invalid", last])
      assert.deepStrictEqual(snapshot(disk), before)
      assert.deepStrictEqual(shown(yield* store.get(key))?.[0], "one")
    }))

  it.effect("a disk that fails is a typed error", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      yield* Effect.flatMap(tokenStore(disk), (store) => store.put(key, entry("one")))
      const broken = yield* tokenStore(disk, {
        gate: (operation, path) => Effect.fail(failure("PermissionDenied", "EACCES", operation, path))
      })
      assert.strictEqual((yield* Effect.flip(broken.get(key))).reason, "Unreadable")
      assert.strictEqual((yield* Effect.flip(broken.put(key, entry("two")))).reason, "Unreadable")
      const full = yield* tokenStore(disk, {
        gate: (operation, path) =>
          operation === "write" ? Effect.fail(failure("Unknown", "ENOSPC", operation, path)) : Effect.void
      })
      assert.strictEqual((yield* Effect.flip(full.put(key, entry("two")))).reason, "Unwritable")
      assert.deepStrictEqual(shown(yield* full.get(key))?.[0], "one")
    }))

  it.effect("F18: after an update that is killed at any operation, the old token or the new one is stored", () =>
    Effect.gen(function*() {
      const start = makeDisk()
      yield* Effect.flatMap(tokenStore(start), (store) => store.put(key, entry("old")))
      const updates: Record<string, (store: TokenStore["Service"]) => Effect.Effect<unknown, TokenStoreError>> = {
        put: (store) => store.put(key, entry("new")),
        remove: (store) => store.remove(key, token("old"))
      }
      for (const [name, update] of Object.entries(updates)) {
        const whole = killAt(Number.POSITIVE_INFINITY)
        yield* Effect.flatMap(tokenStore(copyDisk(start), whole), update)
        const seen = new Set<unknown>()
        for (let operation = 0; operation <= whole.count(); operation++) {
          const disk = copyDisk(start)
          yield* Effect.exit(Effect.flatMap(tokenStore(disk, killAt(operation)), update))
          const next = yield* tokenStore(disk, { seed: "next" })
          seen.add(shown(yield* next.get(key))?.[0])
          yield* TestClock.adjust("61 seconds")
          yield* next.put(key, entry("last"))
          assert.deepStrictEqual(shown(yield* next.get(key))?.[0], "last")
          assert.strictEqual(Object.keys(snapshot(disk)).length, 1, `${name} killed at ${operation}`)
        }
        assert.deepStrictEqual(seen, new Set(name === "put" ? ["old", "new"] : ["old", undefined]))
      }
    }))

  it.effect("G03: processes that renew and remove at once never undo a change that they have not seen", () =>
    Effect.gen(function*() {
      for (let round = 0; round < 150; round++) {
        const disk = makeDisk()
        const store = (name: string) =>
          tokenStore(disk, { seed: `${round}:${name}`, ...interleaved(`${round}:${name}`) })
        yield* Effect.flatMap(store("first"), (first) => first.put(key, entry("stale")))
        const [removedA, removedB] = yield* Effect.all([
          Effect.flatMap(store("a"), (a) => a.remove(key, token("stale"))),
          Effect.flatMap(store("b"), (b) => b.remove(key, token("stale"))),
          Effect.flatMap(store("c"), (c) => c.put(key, entry("fresh"))),
          Effect.flatMap(store("d"), (d) => d.get(key))
        ], { concurrency: "unbounded" })
        // whatever the order: the fresh token is there, and the stale one was removed at most once
        assert.deepStrictEqual(
          shown(yield* Effect.flatMap(store("e"), (e) => e.get(key)))?.[0],
          "fresh",
          `round ${round}`
        )
        assert.isFalse(removedA && removedB)
      }
    }))

  it.effect("many writers at once leave one of their tokens, in one file", () =>
    Effect.gen(function*() {
      for (let round = 0; round < 20; round++) {
        const disk = makeDisk()
        const values = Array.from({ length: 8 }, (_, index) => `token ${index}`)
        yield* Effect.forEach(values, (value) =>
          Effect.flatMap(
            tokenStore(disk, { seed: `${round}:${value}`, ...interleaved(`${round}:${value}`) }),
            (store) => store.put(key, entry(value))
          ), { concurrency: "unbounded" })
        const last = yield* Effect.flatMap(tokenStore(disk), (store) => store.get(key))
        assert.include(values, String(shown(last)?.[0]))
        yield* Effect.flatMap(tokenStore(disk), (store) => store.put(key, entry("last")))
        assert.strictEqual(Object.keys(snapshot(disk)).length, 1)
      }
    }))

  it.effect("tokens are stored, renewed and removed where a hard link fails with EACCES", () =>
    Effect.gen(function*() {
      for (let round = 0; round < 20; round++) {
        const disk = makeDisk()
        const store = (name: string) =>
          tokenStore(disk, { linkErrno: "EACCES", seed: `${round}:${name}`, ...interleaved(`${round}:${name}`) })
        yield* Effect.flatMap(store("first"), (first) => first.put(key, entry("stale")))
        yield* Effect.all([
          Effect.flatMap(store("a"), (a) => a.remove(key, token("stale"))),
          Effect.flatMap(store("b"), (b) => b.put(key, entry("fresh"))),
          Effect.flatMap(store("c"), (c) => c.remove(key, token("stale")))
        ], { concurrency: "unbounded" })
        const last = yield* store("d")
        assert.deepStrictEqual(shown(yield* last.get(key))?.[0], "fresh", `round ${round}`)
        assert.isTrue(yield* last.remove(key, token("fresh")))
        assert.deepStrictEqual(yield* last.get(key), Option.none())
        assert.deepStrictEqual(Object.keys(snapshot(disk)).length, 1)
        assert.deepStrictEqual([...disk.entries.keys()].filter((path) => path.endsWith(".claim")), [])
      }
    }))

  it.effect("G25: printing an entry or the store does not show the token", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      const store = yield* tokenStore(disk)
      const stored = yield* store.put(key, entry("very-secret"))
      const found = yield* store.get(key)
      const everything = [stored, found, store].map((value) =>
        inspect(value, { depth: 10, showHidden: true }) + JSON.stringify(value)
      )
      assert.notInclude(everything.join(), "very-secret")
    }))
})
