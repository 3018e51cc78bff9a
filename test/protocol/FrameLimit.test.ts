import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { check, receiveLimitBytes } from "../../src/protocol/FrameLimit.ts"

const bytesOf = (text: string) => new TextEncoder().encode(text).length

describe("FrameLimit", () => {
  it.effect.prop(
    "a frame is refused exactly when its UTF-8 bytes are more than the limit, and the refusal counts them",
    [Schema.String, Schema.Literals(["", "é", "€", "😀", "\ud83d", "\ude00", "😀\ude00", "\ud83d\ud83d\ude00"])],
    ([text, special]) =>
      Effect.sync(() => {
        const frame = `${text}${special}${text}`
        const bytes = bytesOf(frame)
        assert.isUndefined(check("chat.send", frame, bytes))
        if (bytes === 0) return
        const refused = check("chat.send", frame, bytes - 1)
        assert.deepInclude(refused, { _tag: "FrameTooLarge", method: "chat.send", bytes, limitBytes: bytes - 1 })
      }),
    { arbitrary: { seed: 1, runs: 500 } }
  )

  it("a message from the gateway may be as large as those that it takes, between 8 and 25 MiB", () => {
    const mib = 1024 * 1024
    for (
      const [maxPayload, limit] of [
        [undefined, 25 * mib],
        [25 * mib, 25 * mib],
        [25 * mib + 1, 25 * mib],
        [2 ** 53, 25 * mib],
        [16 * mib, 16 * mib],
        [524_288, 8 * mib],
        [0, 8 * mib]
      ] as const
    ) assert.strictEqual(receiveLimitBytes(maxPayload), limit)
  })

  it("says which method, how large and how much is taken", () => {
    assert.strictEqual(
      check("chat.send", "12345", 4)?.message,
      "chat.send was not sent: its frame has 5 bytes, and the gateway takes at most 4"
    )
  })
})
