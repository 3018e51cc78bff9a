/**
 * The lines of an MCP client, before the server reads them. What is no message is answered here, as the server would drop
 * everything that came with it. Each line goes on by itself.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { bounded } from "./InputLines.ts"

/** Code units of one line: more than any request of a client has. */
export const maxLineLength = 4 * 1024 * 1024

const parse = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))
const Message = Schema.Struct({
  jsonrpc: Schema.Literal("2.0"),
  id: Schema.optionalKey(Schema.NullOr(Schema.Union([Schema.String, Schema.Finite]))),
  method: Schema.optionalKey(Schema.String)
})
const isMessage = Schema.is(Message)
const hasId = (value: unknown): value is { readonly id: string | number } =>
  typeof value === "object" && value !== null && "id" in value
  && (typeof value.id === "string" || typeof value.id === "number")

const refusal = (code: number, message: string, id: string | number | null = null): string =>
  `${JSON.stringify({ jsonrpc: "2.0", id, error: { code, message } })}\n`

/** The answer to a line that is no message, or `undefined`. */
export const refusalOf = (line: string): string | undefined => {
  if (line.length > maxLineLength) return refusal(-32_600, "Invalid Request: the line is too long")
  const value = parse(line)
  if (Option.isNone(value)) return refusal(-32_700, "Parse error")
  const items = Array.isArray(value.value) ? value.value : [value.value]
  return items.length > 0 && items.every((item) => isMessage(item))
    ? undefined
    : refusal(-32_600, "Invalid Request", hasId(value.value) ? value.value.id : null)
}

/** Standard input and output for the server, with what is no message taken out and answered. */
export const checked = (stdio: Stdio.Stdio): Stdio.Stdio => ({
  ...stdio,
  stdin: stdio.stdin.pipe(
    Stream.decodeText,
    bounded(maxLineLength),
    Stream.filter((line) => line.trim() !== ""),
    Stream.mapEffect((line) => {
      const refused = refusalOf(line)
      return refused === undefined
        ? Effect.succeedSome(new TextEncoder().encode(`${line}\n`))
        : Effect.as(Stream.run(Stream.succeed(refused), stdio.stdout()), Option.none<Uint8Array>())
    }),
    Stream.filter(Option.isSome),
    Stream.map(({ value }) => value)
  )
})
