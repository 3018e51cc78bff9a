/**
 * What has to hold of every sequence of notices, whatever brought it about. Knows nothing of how notices are decided.
 */
import { assert } from "@effect/vitest"
import type { PairingNotice } from "../../src/protocol/PairingNotice.ts"

export interface Reader {
  readonly read: (notice: PairingNotice) => void
  /** The key of the notice that stands. */
  readonly live: () => string | undefined
}

export const reader = (): Reader => {
  let live: PairingNotice | undefined
  let phase: "open" | "expiring" | "expired" = "open"
  const resolved = new Set<string>()

  const open = (notice: PairingNotice) => {
    assert.isFalse(resolved.has(notice.key), "nothing comes after Resolved for a key")
    live = notice
    phase = "open"
  }
  const continues = (notice: PairingNotice) => {
    assert.strictEqual(notice.key, live?.key, `${notice._tag} belongs to the live notice`)
    assert.strictEqual(notice.requestId, live?.requestId)
  }
  return {
    live: () => live?.key,
    read: (notice) => {
      switch (notice._tag) {
        case "Required":
          assert.isUndefined(live, "one notice lives at a time")
          return open(notice)
        case "Superseded":
          assert.isDefined(live)
          assert.notStrictEqual(notice.key, live?.key)
          assert.strictEqual(notice.gateway, live?.gateway)
          assert.strictEqual(notice.previousRequestId, live?.requestId)
          return open(notice)
        case "Reminder":
          continues(notice)
          assert.notStrictEqual(phase, "expired", "nobody is reminded of a dead command")
          return
        case "Expiring":
          continues(notice)
          assert.strictEqual(phase, "open")
          phase = "expiring"
          return
        case "Expired":
          continues(notice)
          assert.notStrictEqual(phase, "expired")
          phase = "expired"
          return
        case "Renewed":
          continues(notice)
          assert.notStrictEqual(phase, "open")
          phase = "open"
          return
        case "Resolved":
          continues(notice)
          resolved.add(notice.key)
          live = undefined
          return
        case "Cancelled":
          continues(notice)
          live = undefined
          return
      }
    }
  }
}
