import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as CompileCache from "../../../src/cli/launch/CompileCache.ts"

const user = process.geteuid?.()

const home = Effect.flatMap(
  FileSystem.FileSystem,
  (fs) => Effect.flatMap(fs.makeTempDirectoryScoped({ prefix: "effect-openclaw-home-" }), fs.realPath)
)

describe("the directory of compiled code", () => {
  it("is where the platform keeps what can be made again", () => {
    const { placeOf } = CompileCache
    assert.strictEqual(placeOf({ HOME: "/home/a" }, "linux"), "/home/a/.cache/effect-openclaw/compiled")
    assert.strictEqual(placeOf({ HOME: "/home/a", XDG_CACHE_HOME: "/c" }, "linux"), "/c/effect-openclaw/compiled")
    // A relative one counts as unset (XDG Base Directory Specification).
    assert.strictEqual(
      placeOf({ HOME: "/home/a", XDG_CACHE_HOME: "c" }, "linux"),
      "/home/a/.cache/effect-openclaw/compiled"
    )
    assert.strictEqual(
      placeOf({ HOME: "/Users/a", XDG_CACHE_HOME: "/c" }, "darwin"),
      "/Users/a/Library/Caches/effect-openclaw/compiled"
    )
    assert.isUndefined(placeOf({ HOME: "/home/a" }, "win32"))
    for (const platform of ["linux", "darwin", "win32"]) assert.isUndefined(placeOf({}, platform))
  })

  it("is not used by a start that stores nothing", () => {
    const { mayStore } = CompileCache
    assert.isTrue(mayStore(["run"], {}))
    for (const value of ["", " ", "false", "FALSE"]) assert.isTrue(mayStore([], { OPENCLAW_DEVICE_NO_STATE: value }))
    for (const value of ["true", "1", "anything"]) assert.isFalse(mayStore([], { OPENCLAW_DEVICE_NO_STATE: value }))
    for (const word of ["--no-state", "--no-state=true"]) assert.isFalse(mayStore(["run", word], {}))
    assert.isFalse(mayStore(["run"], { NODE_DISABLE_COMPILE_CACHE: "1" }))
  })

  it.live("is made for this user alone, below directories that only this user writes", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const place = `${yield* home}/.cache/effect-openclaw/compiled/1`
      const top = place.replace(/\/\.cache.*/, "")
      assert.strictEqual(CompileCache.prepare(place, top, user), place)
      for (const each of [place, `${top}/.cache`]) assert.strictEqual((yield* fs.stat(each)).mode & 0o777, 0o700)
      assert.strictEqual(CompileCache.prepare(place, top, user), place)
    }).pipe(Effect.provide(NodeServices.layer)))

  for (const shared of ["", "/.cache", "/.cache/effect-openclaw", "/.cache/effect-openclaw/compiled"]) {
    // A sticky bit counts where root has set it.
    for (const mode of user === 0 ? [0o770, 0o702] : [0o770, 0o702, 0o1777]) {
      it.live(`is refused where ${shared === "" ? "the home directory" : `~${shared}`} has mode ${mode.toString(8)}`, () =>
        Effect.gen(function*() {
          const fs = yield* FileSystem.FileSystem
          const top = yield* home
          const place = `${top}/.cache/effect-openclaw/compiled/1`
          yield* fs.makeDirectory(`${top}${shared}`, { recursive: true, mode: 0o700 })
          yield* fs.chmod(`${top}${shared}`, mode)
          assert.isUndefined(CompileCache.prepare(place, top, user))
          assert.isFalse(yield* fs.exists(place))
          // Closed directories below it change nothing.
          yield* fs.makeDirectory(place, { recursive: true, mode: 0o700 })
          assert.isUndefined(CompileCache.prepare(place, top, user))
        }).pipe(Effect.provide(NodeServices.layer)))
    }
  }

  it.live("is refused where others may read what is there", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const top = yield* home
      yield* fs.makeDirectory(`${top}/compiled`, { mode: 0o755 })
      assert.isUndefined(CompileCache.prepare(`${top}/compiled`, top, user))
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("is not made in the home directory of another user", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const top = yield* home
      // Root, as `sudo` starts a program with the home directory of who called it, where the owner is not root.
      yield* Effect.ignore(fs.chown(top, 12_345, 12_345))
      const other = user === 0 ? 0 : (user ?? 0) + 1
      assert.isUndefined(CompileCache.prepare(`${top}/.cache/compiled`, top, other))
      assert.deepStrictEqual(yield* fs.readDirectory(top), [])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("is refused behind a link that leads out of the user's directories", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const [top, open] = [yield* home, yield* home]
      yield* fs.makeDirectory(`${open}/shared`)
      yield* fs.chmod(`${open}/shared`, 0o777)
      yield* fs.symlink(`${open}/shared`, `${top}/.cache`)
      assert.isUndefined(CompileCache.prepare(`${top}/.cache/compiled`, top, user))
      assert.deepStrictEqual(yield* fs.readDirectory(`${open}/shared`), [])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("keeps four: a new one removes those that were not used for longest", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const top = yield* home
      for (const name of ["a", "b", "c", "d", "e"]) {
        yield* fs.makeDirectory(`${top}/compiled/${name}`, { recursive: true, mode: 0o700 })
        yield* fs.utimes(`${top}/compiled/${name}`, 0, name.charCodeAt(0))
      }
      yield* fs.chmod(`${top}/compiled`, 0o700)
      CompileCache.prepare(`${top}/compiled/new`, top, user)
      assert.deepStrictEqual((yield* fs.readDirectory(`${top}/compiled`)).toSorted(), ["c", "d", "e", "new"])
    }).pipe(Effect.provide(NodeServices.layer)))
})
