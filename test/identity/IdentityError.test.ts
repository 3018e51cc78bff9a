import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { fromStorage } from "../../src/identity/IdentityError.ts"
import { AuthToken, DeviceId } from "../../src/protocol/Connect.ts"
import { StorageError } from "../../src/storage/StorageError.ts"
import { failure, makeDisk } from "../storage/MemoryFiles.ts"
import { load, path, tokenStore } from "./Fixture.ts"

describe("IdentityError", () => {
  it("each fault of a private file has its class, and keeps its facts", () => {
    const facts = { path: "/s/identity.json", errno: "EACCES", owner: 7, mode: 0o640 }
    const told = (reason: StorageError["reason"]) => {
      const error = fromStorage(new StorageError({ ...facts, reason }))
      return [error._tag, error.message]
    }
    assert.deepStrictEqual(told("Unreadable"), [
      "IdentityUnreadable",
      "/s/identity.json could not be read (EACCES, owner 7, mode 0640). Nothing was changed."
    ])
    assert.deepStrictEqual(told("Unwritable"), [
      "IdentityUnwritable",
      "/s/identity.json could not be written (EACCES)."
    ])
    assert.deepStrictEqual(told("DirectoryWritable"), [
      "IdentityExposed",
      "/s/identity.json: the directory may be written by other users, who could put their own key there (mode 0640)."
    ])
    assert.deepStrictEqual(told("FileAccessible"), [
      "IdentityExposed",
      "/s/identity.json: the file may be read or written by other users (mode 0640)."
    ])
    for (const reason of ["SymbolicLink", "NotRegularFile"] as const) {
      assert.strictEqual(told(reason)[0], "IdentityExposed")
    }
  })

  it.effect("a failing disk is an identity error for an identity, and a token store error for a token", () =>
    Effect.gen(function*() {
      const gate = (operation: string, at: string) =>
        operation === "write" ? Effect.fail(failure("Unknown", "ENOSPC", operation, at)) : Effect.void
      const identity = yield* Effect.flip(load(makeDisk(), {}, { gate }))
      assert.deepStrictEqual([identity._tag, "errno" in identity && identity.errno], ["IdentityUnwritable", "ENOSPC"])
      assert.include(identity.message, path)
      const store = yield* tokenStore(makeDisk(), { gate })
      const token = yield* Effect.flip(store.put(
        { gatewayScope: "wss://gateway.example:443/", deviceId: DeviceId.make("a".repeat(64)), role: "operator" },
        { token: Redacted.make(AuthToken.make("one")), scopes: [], storedAtMs: 1 }
      ))
      assert.deepStrictEqual([token._tag, token.reason], ["TokenStoreError", "Unwritable"])
      assert.instanceOf(token.cause, StorageError)
    }))
})
