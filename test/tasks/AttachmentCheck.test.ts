import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Frame from "../../src/protocol/Frame.ts"
import * as FrameLimit from "../../src/protocol/FrameLimit.ts"
import { encode, paramsOf } from "../../src/tasks/Attachment.ts"
import * as AttachmentCheck from "../../src/tasks/AttachmentCheck.ts"
import { maxAttachments } from "../../src/tasks/JournalFile.ts"
import * as RecordedRuns from "./RecordedRuns.ts"

const message = { sessionKey: "agent:main:main", message: "see this", deliver: false, idempotencyKey: "a-run" }
const image = { name: "dot.png", mimeType: "image/png", bytes: 70 }
const note = { name: "note.txt", mimeType: "text/plain", bytes: 6 }
const mebibyte = 1024 * 1024

const told = { maxPayload: 25 * mebibyte, attachments: { maxBytes: 19_464_192, maxImageBytes: 6_291_456 } }
const reasonOf = (
  attachments: ReadonlyArray<typeof image>,
  serverVersion: string | undefined,
  policy: Parameters<typeof AttachmentCheck.limitsOf>[0]["policy"] = { maxPayload: told.maxPayload }
) => AttachmentCheck.check(attachments, message, AttachmentCheck.limitsOf({ serverVersion, policy }))?.reason

describe("AttachmentCheck", () => {
  it("a gateway that tells its limits is believed, to the byte", () => {
    const large = (bytes: number) => reasonOf([{ ...note, bytes }], "2026.9.6", told)
    const picture = (bytes: number) => reasonOf([{ ...image, bytes }], "2026.9.6", told)
    assert.deepStrictEqual([large(19_464_192), large(19_464_193)], [undefined, "TooLarge"])
    assert.deepStrictEqual([picture(6_291_456), picture(6_291_457)], [undefined, "ImageTooLarge"])
    const small = { ...told, attachments: { maxBytes: 10, maxImageBytes: 5 } }
    assert.strictEqual(reasonOf([{ ...note, bytes: 11 }], "2026.9.6", small), "TooLarge")
    assert.strictEqual(reasonOf([{ ...image, bytes: 6 }], "2026.9.6", small), "ImageTooLarge")
  })

  it("a release that tells none has those that it was read and recorded to have", () => {
    for (const release of ["2026.5.12", "2026.6.11"]) {
      assert.isUndefined(reasonOf([note, image], release), release)
      assert.strictEqual(reasonOf([{ ...image, bytes: 6 * mebibyte + 1 }], release), "ImageTooLarge", release)
      assert.strictEqual(reasonOf([{ ...note, bytes: 20 * mebibyte + 1 }], release), "TooLarge", release)
    }
    // It drops them without a word.
    for (const release of ["2026.3.2", "2026.1.29", "2026.4.15", "main", undefined]) {
      assert.strictEqual(reasonOf([note], release), "ImagesOnly", release)
      assert.isUndefined(reasonOf([image], release), release)
      assert.strictEqual(reasonOf([{ ...image, bytes: 5_000_001 }], release), "ImageTooLarge", release)
    }
  })

  it.effect("what is sent to a release is what it was recorded to take", () =>
    Effect.gen(function*() {
      for (const release of RecordedRuns.releases) {
        const { attachments } = yield* RecordedRuns.read(release)
        const asked = (mark: string) =>
          JSON.stringify(attachments?.later["chat.history"]).includes(mark)
          || JSON.stringify(attachments?.later["a text file, at the end"]).includes(mark)
        assert.strictEqual(reasonOf([note], release) === undefined, asked("note---"), release)
      }
    }))

  it("refuses what no gateway takes, before one is known", () => {
    const reason = (attachment: Partial<typeof image>) =>
      AttachmentCheck.check([{ ...image, ...attachment }], message, AttachmentCheck.anyGateway)?.reason
    for (const name of ["", " ", ".", "..", "a/b", "a\\b", "a\nb", "a\u0000", "\ud800", " a", "x".repeat(256)]) {
      assert.strictEqual(reason({ name }), "Name", JSON.stringify(name))
    }
    for (const name of ["a", "ä b.png", ".profile", "x".repeat(255), "報告.pdf"]) {
      assert.isUndefined(reason({ name }), name)
    }
    for (const mimeType of ["", "png", "image/", "/png", "image/png; q=1", "image/p\nng", `image/${"x".repeat(200)}`]) {
      assert.strictEqual(reason({ mimeType }), "Type", mimeType)
    }
    assert.strictEqual(reason({ bytes: 0 }), "Empty")
    assert.strictEqual(reason({ bytes: 25 * mebibyte + 1 }), "ImageTooLarge")
    const many = Array.from({ length: maxAttachments + 1 }, () => image)
    assert.strictEqual(AttachmentCheck.check(many, message, AttachmentCheck.anyGateway)?.reason, "TooMany")
    assert.isUndefined(AttachmentCheck.check(many.slice(1), message, AttachmentCheck.anyGateway))
    assert.isUndefined(AttachmentCheck.check([], message, { ...AttachmentCheck.anyGateway, frameBytes: 1 }))
  })

  it("says the name as a field, whatever is in it", () => {
    const refusal = AttachmentCheck.check(
      [{ ...image, name: "a\u001b[31m\u202eb/" }],
      message,
      AttachmentCheck.anyGateway
    )
    for (const hidden of ["\u001b", "\u202e"]) assert.notInclude(refusal?.message, hidden)
  })

  const Files = Arbitrary.array(
    Arbitrary.schema(Schema.Struct({
      name: Schema.String,
      mimeType: Schema.Literals(["image/png", "text/plain", "application/octet-stream"]),
      bytes: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 400 }))
    })),
    { maxLength: 6 }
  )

  it.effect.prop(
    "a frame that passes fits, and one that does not would not fit but for some bytes",
    [
      Files,
      Arbitrary.schema(Schema.String),
      Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 999 })))
    ],
    ([files, text, id]) =>
      Effect.sync(() => {
        const asked = { ...message, message: text }
        const attachments = files.map((file) => ({ ...paramsOf(file), content: encode(new Uint8Array(file.bytes)) }))
        const frame = Frame.encodeRequest(String(id), "chat.send", { ...asked, attachments })
        const real = new TextEncoder().encode(frame).length
        assert.strictEqual(FrameLimit.utf8Bytes(frame), real)
        const counted = AttachmentCheck.frameBytes(files, asked)
        assert.isAtLeast(counted, real)
        assert.isAtMost(counted - real, 100)
      }),
    { arbitrary: { seed: 15, runs: 300 } }
  )
})
