/**
 * Reads a text/event-stream as it arrives, in pieces cut anywhere (WHATWG HTML, "Server-sent events"). Total: it never throws.
 */

/** An event without a name is a `message`. Lines of its data are joined by a line feed. */
export type OnEvent = (name: string, data: string) => void

/** An event with more characters is dropped, up to the next empty line. */
const maxEventChars = 4 * 1024 * 1024

/** Returns the function that takes the pieces. */
export const makeSseParser = (onEvent: OnEvent): (piece: string) => void => {
  let rest = ""
  let afterReturn = false
  let first = true
  let name = ""
  let data: Array<string> = []
  let chars = 0

  const line = (text: string) => {
    if (text === "") {
      if (data.length > 0) onEvent(name === "" ? "message" : name, data.join("\n"))
      name = ""
      data = []
      chars = 0
      return
    }
    chars += text.length
    if (chars > maxEventChars) {
      data = []
      return
    }
    const colon = text.indexOf(":")
    const field = colon < 0 ? text : text.slice(0, colon)
    const value = colon < 0 ? "" : text.slice(colon + (text[colon + 1] === " " ? 2 : 1))
    if (field === "event") name = value
    else if (field === "data") data.push(value)
  }

  return (piece) => {
    let text = piece
    if (first && text !== "") {
      first = false
      if (text.startsWith("\ufeff")) text = text.slice(1)
    }
    // The line feed after a carriage return may come with the next piece.
    if (afterReturn && text.startsWith("\n")) text = text.slice(1)
    if (text === "") return
    afterReturn = text.endsWith("\r")
    rest += text
    // Only a piece that ends a line makes it worth to read what came before it.
    if (/[\r\n]/.test(text)) {
      const lines = rest.split(/\r\n|\r|\n/)
      rest = lines.pop() ?? ""
      for (const each of lines) line(each)
    }
    if (rest.length > maxEventChars) {
      chars = rest.length
      data = []
      rest = "-"
    }
  }
}
