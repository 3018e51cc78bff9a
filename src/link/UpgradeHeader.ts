/**
 * Additional headers of the WebSocket's HTTP request, which front doors such as Cloudflare Access require.
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"

export interface UpgradeHeader {
  readonly name: string
  /** Treated as a secret, whatever the header is. */
  readonly value: Redacted.Redacted
}

/** Headers that the WebSocket request sets itself, and hop-by-hop headers. */
const reserved =
  /^(?:host|connection|upgrade|origin|sec-websocket-.*|content-.*|transfer-encoding|te|trailer|keep-alive|expect|proxy-.*)$/i
/** RFC 9110: a name is a token. Values are printable ASCII, which every server reads alike. */
const headerLine = /^([!#$%&'*+.^`|~\w-]+):[ \t]*([\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)[ \t]*$/

/**
 * Reads lines of `Name: value`; blank lines do not count. A problem names the line, and the header only if its name is a
 * reserved one: a line that cannot be read may be a secret.
 */
export const parse = (
  text: string
): Result.Result<ReadonlyArray<UpgradeHeader>, { readonly message: string }> => {
  const headers: Array<UpgradeHeader> = []
  const fail = (line: number, problem: string) => Result.fail({ message: `line ${line + 1} ${problem}` })
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === "") continue
    const [, name, value] = headerLine.exec(line.trimStart()) ?? []
    if (name === undefined || value === undefined) {
      return fail(index, "is no header; write each on a line of its own, like Name: value, in printable ASCII")
    }
    if (reserved.test(name)) return fail(index, `sets ${name}, which the WebSocket request sets itself`)
    if (headers.some((header) => header.name.toLowerCase() === name.toLowerCase())) {
      return fail(index, "repeats the header of a line before")
    }
    headers.push({ name, value: Redacted.make(value, { label: "header value" }) })
  }
  return Result.succeed(headers)
}
