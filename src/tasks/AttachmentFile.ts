/**
 * Reads a file as an attachment: all of it or an error, its type by its content where that tells, else by its name.
 *
 * The gateway looks at the content with the same library (`file-type`) and believes what it finds. A text tells no type, so that its
 * name does (`mime`). Both libraries are loaded with the first file.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Schema from "effect/Schema"
import * as Bounds from "../protocol/Bounds.ts"
import { line } from "../protocol/OutsideText.ts"
import * as RegularFile from "../storage/RegularFile.ts"
import type { StorageError } from "../storage/StorageError.ts"
import type { Attachment } from "./Attachment.ts"

/** A file cannot be attached to a task. Nothing was sent. */
export class AttachmentUnreadable extends Schema.TaggedError<AttachmentUnreadable>()("AttachmentUnreadable", {
  path: Schema.String,
  /**
   * `Missing`: there is no file, or none any more. `NotRegularFile`: a directory, a device or a pipe. `TooLarge`: more than any gateway
   * takes. `Changed`: somebody wrote to it while it was read. `Unreadable`: another failure, named by `errno`.
   */
  reason: Schema.Literals(["Missing", "NotRegularFile", "TooLarge", "Changed", "Unreadable"]),
  /** The name of the failed call's error, such as `EACCES`. */
  errno: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    const path = line(this.path)
    switch (this.reason) {
      case "Missing":
        return `${path} is not there`
      case "NotRegularFile":
        return `${path} is no regular file`
      case "TooLarge":
        return `${path} is larger than ${Bounds.frameBytes.ceiling} bytes`
      case "Changed":
        return `${path} was changed while it was read`
      case "Unreadable":
        return `${path} could not be read${this.errno === undefined ? "" : ` (${this.errno})`}`
    }
  }
}

/** Reads a file. Symbolic links are followed. Its name is the last part of the path. */
export const read = Effect.fn("AttachmentFile.read")(function*(path: string) {
  const paths = yield* Path.Path
  const found = yield* Effect.mapError(
    RegularFile.readUnchanged(path, Bounds.frameBytes.ceiling),
    (error) => unreadable(path, error)
  )
  if (found === undefined) return yield* new AttachmentUnreadable({ path, reason: "Changed" })
  const name = paths.basename(path)
  return { name, mimeType: yield* typeOf(name, found), content: found } satisfies Attachment
})

const unreadable = (path: string, { errno, reason }: StorageError): AttachmentUnreadable => {
  if (reason === "NotRegularFile" || errno === "EISDIR") {
    return new AttachmentUnreadable({ path, reason: "NotRegularFile" })
  }
  if (errno === "ENOENT" || errno === "ENOTDIR") return new AttachmentUnreadable({ path, reason: "Missing" })
  if (errno === "EFBIG") return new AttachmentUnreadable({ path, reason: "TooLarge" })
  return new AttachmentUnreadable({ path, reason: "Unreadable", ...(errno === undefined ? {} : { errno }) })
}

/** The MIME type of a content. */
export const typeOf = Effect.fnUntraced(function*(name: string, content: Uint8Array) {
  const { fileTypeFromBuffer } = yield* Effect.promise(() => import("file-type"))
  // A damaged file may have no type that the library can tell.
  const found = yield* Effect.option(Effect.tryPromise(() => fileTypeFromBuffer(content)))
  const byContent = Option.getOrUndefined(found)?.mime
  if (byContent !== undefined) return byContent.replace(/;.*$/, "").trim()
  const { default: mime } = yield* Effect.promise(() => import("mime"))
  const byName = mime.getType(name) ?? undefined
  if (isText(content)) return byName !== undefined && textType.test(byName) ? byName : "text/plain"
  // The content of an image or of a text would have told.
  return byName === undefined || /^(?:image|text)\//.test(byName) ? "application/octet-stream" : byName
})

/** Types of what is text, such as `text/markdown`, `application/json` and `image/svg+xml`. */
const textType =
  /^text\/|[/+](?:json5?|jsonld|ld\+json|xml|yaml|toml|sql|javascript|typescript|x-sh|x-httpd-php|x-tex|graphql)$/

const isText = (content: Uint8Array): boolean => {
  if (content.includes(0)) return false
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(content)
    return true
  } catch {
    return false
  }
}
