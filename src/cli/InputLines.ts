/**
 * Lines of standard input, each within a bound: whoever writes there may never end a line.
 */
import * as Stream from "effect/Stream"

/**
 * Splits text at line feeds, with or without a carriage return. Of a line that is longer than `maxLength` code units one more
 * than that is given, so that its reader sees that it is too long, and the rest is dropped as it comes. A last line without an
 * end counts.
 */
export const bounded =
  (maxLength: number) => <E, R>(text: Stream.Stream<string, E, R>): Stream.Stream<string, E, R> => {
    const keep = (kept: string, more: string): string => `${kept}${more}`.slice(0, maxLength + 1)
    return text.pipe(
      Stream.mapAccum(
        () => "",
        (begun: string, chunk) => {
          const [first = "", ...others] = chunk.split("\n")
          const pieces = [keep(begun, first), ...others.map((piece) => keep("", piece))]
          return [pieces.at(-1) ?? "", pieces.slice(0, -1)] as const
        },
        { onHalt: (last) => last === "" ? [] : [last] }
      ),
      Stream.map((line) => line.endsWith("\r") ? line.slice(0, -1) : line)
    )
  }
