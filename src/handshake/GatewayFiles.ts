/**
 * Settings that are kept in files: authorities to trust, and headers that hold secrets. Read once, before anything starts.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { parseAuthorities } from "../link/TlsTrust.ts"

export interface Named {
  readonly caFile: string | undefined
  readonly headersFile: string | undefined
  /** As it was set without a file; the two together are a mistake. */
  readonly headers: Redacted.Redacted | undefined
}

export interface Read {
  readonly tlsAuthorities: string | undefined
  readonly headers: Redacted.Redacted | undefined
  /** By the setting's name; a problem shows neither the name of a file nor what stands in it. */
  readonly problems: ReadonlyArray<{ readonly setting: "caFile" | "headersFile"; readonly problem: string }>
}

/** Reads what is named. It does not fail: all problems of the settings are told together. */
export const read = Effect.fn("GatewayFiles.read")(
  function*({ caFile, headers, headersFile }: Named): Effect.fn.Return<Read, never, FileSystem.FileSystem> {
    const ca = caFile === undefined ? undefined : yield* Effect.result(authorities(caFile))
    const lines = headersFile === undefined
      ? undefined
      : headers === undefined || Redacted.value(headers).trim() === ""
      ? yield* Effect.result(text(headersFile))
      : Result.fail("is set beside the variable without _FILE; set one of the two")
    return {
      tlsAuthorities: ca === undefined ? undefined : Result.getOrUndefined(ca),
      headers: lines === undefined || Result.isFailure(lines)
        ? headers
        : Redacted.make(lines.success, { label: "headers" }),
      problems: [
        ...(ca !== undefined && Result.isFailure(ca) ? [{ setting: "caFile" as const, problem: ca.failure }] : []),
        ...(lines !== undefined && Result.isFailure(lines)
          ? [{ setting: "headersFile" as const, problem: lines.failure }]
          : [])
      ]
    }
  }
)

const text = (path: string): Effect.Effect<string, string, FileSystem.FileSystem> =>
  Effect.flatMap(
    FileSystem.FileSystem,
    (fs) => Effect.mapError(fs.readFileString(path), () => "names a file that cannot be read")
  )

/** The PEM text of a file in which every certificate can be read: OpenSSL itself passes over a damaged one in silence. */
const authorities = Effect.fnUntraced(function*(path: string) {
  const pem = yield* text(path)
  const blocks = yield* Effect.mapError(Effect.fromResult(parseAuthorities(pem)), ({ message }) => message)
  const { X509Certificate } = yield* Effect.promise(() => import("node:crypto"))
  for (const [index, block] of blocks.entries()) {
    const parsed = Result.try(() => new X509Certificate(block))
    if (Result.isFailure(parsed)) return yield* Effect.fail(`certificate ${index + 1} of ${blocks.length} is damaged`)
  }
  return pem
})
