/**
 * Whether a gateway takes the attachments of a task, before anything is sent. Pure.
 *
 * From 2026.8 on a gateway tells its limits (`policy.attachments`). Those before have some that they do not tell: 2026.5 and 2026.6 the
 * same as later ones, 20 MiB for a file and 6 MiB for an image (read in 2026.5.12 and 2026.6.11). 2026.3 takes images of up to
 * 5,000,000 bytes, and drops any other file without a word. What is too large for the frame closes the link and is answered by
 * nothing (see `FrameLimit`).
 */
import * as Bounds from "../protocol/Bounds.ts"
import { isBefore } from "../protocol/Connect.ts"
import * as Frame from "../protocol/Frame.ts"
import * as FrameLimit from "../protocol/FrameLimit.ts"
import * as Method from "../protocol/Method.ts"
import * as Attachment from "./Attachment.ts"
import type { AttachmentRecord } from "./JournalFile.ts"
import { maxAttachments } from "./JournalFile.ts"
import { AttachmentRefused } from "./TaskError.ts"

/** What one gateway takes. Bytes are those of the content; those of a frame are UTF-8. */
export interface Limits {
  readonly fileBytes: number
  readonly imageBytes: number
  /** Files that are no images reach the agent. */
  readonly takesFiles: boolean
  readonly frameBytes: number
}

/** What any gateway may take. What is more than this is never sent, whatever a gateway says. */
export const anyGateway: Limits = {
  fileBytes: Bounds.frameBytes.ceiling,
  imageBytes: Bounds.frameBytes.ceiling,
  takesFiles: true,
  frameBytes: Bounds.frameBytes.ceiling
}

const untold = { fileBytes: 20 * 1024 * 1024, imageBytes: 6 * 1024 * 1024, takesFiles: true }
const early = { fileBytes: 0, imageBytes: 5_000_000, takesFiles: false }

/** What a gateway takes, by what it said of itself. One that does not even tell its version counts as an early one. */
export const limitsOf = ({ policy, serverVersion }: {
  readonly serverVersion: string | undefined
  readonly policy?: {
    readonly maxPayload?: number
    readonly attachments?: { readonly maxBytes: number; readonly maxImageBytes: number }
  } | undefined
}): Limits => {
  const frameBytes = policy?.maxPayload ?? FrameLimit.sessionLimitBytes
  const told = policy?.attachments
  if (told !== undefined) {
    return { fileBytes: told.maxBytes, imageBytes: told.maxImageBytes, takesFiles: true, frameBytes }
  }
  return { ...(isBefore(serverVersion, "2026.5") === false ? untold : early), frameBytes }
}

/** The text that goes with the attachments. */
type Message = Omit<typeof Method.chatSend.params.Type, "attachments">

type Candidate = Pick<AttachmentRecord, "name" | "mimeType" | "bytes">

/** Why the gateway would not take them; `undefined` where it does. */
export const check = (
  attachments: ReadonlyArray<Candidate>,
  message: Message,
  limits: Limits
): AttachmentRefused | undefined => {
  if (attachments.length > maxAttachments) {
    return new AttachmentRefused({ reason: "TooMany", limit: maxAttachments })
  }
  for (const attachment of attachments) {
    const refusal = checkOne(attachment, limits)
    if (refusal !== undefined) return refusal
  }
  const bytes = frameBytes(attachments, message)
  return bytes <= limits.frameBytes || attachments.length === 0
    ? undefined
    : new AttachmentRefused({ reason: "TogetherTooLarge", bytes, limit: limits.frameBytes })
}

const checkOne = (attachment: Candidate, limits: Limits): AttachmentRefused | undefined => {
  const { bytes, mimeType, name } = attachment
  if (!isName(name)) return new AttachmentRefused({ reason: "Name", name })
  if (!mimeTypeForm.test(mimeType)) return new AttachmentRefused({ reason: "Type", name })
  if (bytes === 0) return new AttachmentRefused({ reason: "Empty", name })
  const image = Attachment.isImage(attachment)
  if (!image && !limits.takesFiles) return new AttachmentRefused({ reason: "ImagesOnly", name })
  const limit = image ? limits.imageBytes : limits.fileBytes
  return bytes <= limit
    ? undefined
    : new AttachmentRefused({ reason: image ? "ImageTooLarge" : "TooLarge", name, bytes, limit })
}

/** A name of a file, and no path. Gateways keep the file under it, and show it to the agent. */
const isName = (name: string): boolean =>
  /^[^/\\\p{Cc}\p{Cs}]{1,255}$/u.test(name) && name.trim() === name && name !== "." && name !== ".."

/** RFC 6838, section 4.2. */
const mimeTypeForm = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/i

/** The frame's length in UTF-8, at most some bytes too long: the id of a request and a trace differ from frame to frame. */
export const frameBytes = (attachments: ReadonlyArray<Candidate>, message: Message): number => {
  const empty = attachments.map((attachment) => ({ ...Attachment.paramsOf(attachment), content: "" }))
  const frame = Frame.encodeRequest(longestId, Method.chatSend.name, { ...message, attachments: empty }, longestTrace)
  return attachments.reduce((sum, { bytes }) => sum + Attachment.encodedBytes(bytes), FrameLimit.utf8Bytes(frame))
}

const longestId = String(Number.MAX_SAFE_INTEGER)
const longestTrace = `00-${"0".repeat(32)}-${"0".repeat(16)}-00`
