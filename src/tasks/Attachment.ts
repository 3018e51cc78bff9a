/**
 * A file that goes with a task to OpenClaw's agent: as a caller gives it, and as `chat.send` has it. `JournalFile` has it as the
 * journal keeps it.
 */
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import { sha256Hex } from "../identity/Sha256.ts"
import type { AttachmentRecord } from "./JournalFile.ts"

/** A file as the caller of `delegate` gives it. `AttachmentFile.read` makes one from a file. */
export interface Attachment {
  /** The name that the agent sees, without a directory. */
  readonly name: string
  /** Such as `image/png`. The gateway looks at the content too, and believes what it finds there. */
  readonly mimeType: string
  readonly content: Uint8Array
}

/** The record of an attachment. */
export const recordOf = ({ content, mimeType, name }: Attachment): Effect.Effect<AttachmentRecord> =>
  Effect.map(sha256Hex(content), (sha256) => ({ name, mimeType, bytes: content.length, sha256 }))

/** Whether the content is what was recorded. */
export const isContentOf = ({ bytes, sha256 }: AttachmentRecord, content: Uint8Array): Effect.Effect<boolean> =>
  content.length === bytes ? Effect.map(sha256Hex(content), (hash) => hash === sha256) : Effect.succeed(false)

/** As the gateway judges it; it shows images to the model, and gives other files to the agent. */
export const isImage = ({ mimeType }: Pick<Attachment, "mimeType">): boolean => /^image\//i.test(mimeType)

/** An attachment as `chat.send` has it, but for its content. */
export const paramsOf = ({ mimeType, name }: Pick<Attachment, "mimeType" | "name">) => ({
  type: isImage({ mimeType }) ? "image" : "file",
  mimeType,
  fileName: name
})

/** The content as `chat.send` has it. */
export const encode = (content: Uint8Array): string => Base64.encode(content)

/** How long the content is then, in characters and in UTF-8 bytes. */
export const encodedBytes = (bytes: number): number => Math.ceil(bytes / 3) * 4
