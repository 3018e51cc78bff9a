/**
 * The files of the page, read once when the server starts.
 *
 * Nothing else is served: a request names one of these files exactly, so that no path of a request is ever resolved.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import { DialogUnavailable } from "./DialogUnavailable.ts"

export interface SiteFile {
  readonly contentType: string
  readonly bytes: Uint8Array
}
/** By path: `/` and `/<name>`. */
export type Site = ReadonlyMap<string, SiteFile>

const contentTypes: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".woff2": "font/woff2"
}

/** Where the build puts the page, seen from the compiled module and from its source. */
const builtAt = ["./site/", "../../dist/dialog/site/"]

const builtDirectory = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  for (const place of builtAt) {
    const directory = yield* Effect.orDie(path.fromFileUrl(new URL(place, import.meta.url)))
    if (yield* fs.exists(path.join(directory, "index.html"))) return Option.some(directory)
  }
  return Option.none<string>()
})

/** Reads the files of `directory`, or of the build. Fails when there is no page, as it was not built. */
export const read = Effect.fn("Site.read")(function*(directory: string | undefined) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const from = directory === undefined ? yield* builtDirectory : Option.some(directory)
  const site = new Map<string, SiteFile>()
  if (Option.isNone(from)) return yield* new DialogUnavailable({ reason: "SiteMissing" })
  for (const name of yield* fs.readDirectory(from.value)) {
    const contentType = contentTypes[path.extname(name)]
    if (contentType === undefined) continue
    site.set(name === "index.html" ? "/" : `/${name}`, {
      contentType,
      bytes: yield* fs.readFile(path.join(from.value, name))
    })
  }
  if (!site.has("/")) return yield* new DialogUnavailable({ reason: "SiteMissing" })
  return site as Site
}, Effect.catchTag("PlatformError", (cause) => Effect.fail(new DialogUnavailable({ reason: "SiteMissing", cause }))))
