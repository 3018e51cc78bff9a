/**
 * Headers of one's own for the WebSocket's HTTP request, which front doors such as Cloudflare Access ask for.
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"

export interface UpgradeHeader {
  readonly name: string
  /** As good as a password, whatever the header is. */
  readonly value: Redacted.Redacted
}

/** Those that make the request what it is, and those that only stretch one connection. */
const taken =
  /^(?:host|connection|upgrade|origin|sec-websocket-.*|content-.*|transfer-encoding|te|trailer|keep-alive|expect|proxy-.*)$/i
/** RFC 9110: a name is a token; of values only what every server reads alike, printable ASCII. */
const named = /^([!#$%&'*+.^`|~\w-]+):[ \t]*([\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)[ \t]*$/

/**
 * Reads lines of `Name: value`; blank lines do not count. A problem names the line, and the header only where its name is
 * one of ours: what cannot be read may be a secret.
 */
export const parse = (
  text: string
): Result.Result<ReadonlyArray<UpgradeHeader>, { readonly message: string }> => {
  const headers: Array<UpgradeHeader> = []
  const fail = (line: number, problem: string) => Result.fail({ message: `line ${line + 1} ${problem}` })
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === "") continue
    const [, name, value] = named.exec(line.trimStart()) ?? []
    if (name === undefined || value === undefined) {
      return fail(index, "is no header; write each on a line of its own, like Name: value, in printable ASCII")
    }
    if (taken.test(name)) return fail(index, `sets ${name}, which the WebSocket request sets itself`)
    if (headers.some((header) => header.name.toLowerCase() === name.toLowerCase())) {
      return fail(index, "repeats the header of a line before")
    }
    headers.push({ name, value: Redacted.make(value, { label: "header value" }) })
  }
  return Result.succeed(headers)
}

/** A text of the other side without the values that we sent: some pages show the request that they refuse. */
export const withoutValues = (text: string, headers: ReadonlyArray<UpgradeHeader>): string =>
  headers.reduce((rest, { value }) => rest.replaceAll(Redacted.value(value), "<redacted>"), text)
