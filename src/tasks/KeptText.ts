/**
 * Texts as gateways keep them, so that a text that was sent is found again in history. Pure.
 *
 * What gateways change (read in OpenClaw 2026.3.2, 2026.6.11 and 2026.9.6): Unicode NFC; control characters go, but for tab and
 * line breaks; up to 2026.3 line breaks become LF, `[System]` becomes `(System)`, a `System:` at the beginning of a line becomes
 * `System (untrusted):`, and tags such as `[[reply_to_current]]` and lines `[message_id: …]` go. What is long is cut in `chat.history`.
 */

/** Stands in `chat.history` behind what was cut: 8,000 UTF-16 code units on 2026.9.6, 12,000 on 2026.3.2. */
export const cutMark = "\n...(truncated)..."

/** A form in which a text that was sent, and what a gateway keeps of it, are equal. White space counts as one space. */
export const comparable = (text: string): string =>
  text
    .replace(controls, "")
    .normalize("NFC")
    .replace(halves, "\ufffd")
    .replace(tags, "")
    .replace(messageIds, "")
    .replace(systemTags, "($1)")
    .replace(systemPrefixes, "$1System (untrusted):")
    .replace(/\s+/gu, " ")
    .trim()

/** Whether nothing is left of a text: no gateway takes it. */
export const isEmpty = (text: string): boolean => text.replace(controls, "").trim() === ""

/** Whether gateways take all characters of a text: they refuse NUL, and drop half of a surrogate pair. */
export const isText = (text: string): boolean => !text.includes("\u0000") && text.search(halves) === -1

const controls = /(?![\t\n\r\u0080-\u009f])\p{Cc}/gu
const halves = /\p{Surrogate}/gu
const tags = /\[\[\s*(?:audio_as_voice\s*|reply_to_current\s*|reply_to\s*:[^\]\n]{1,256})\]\]/giu
const messageIds = /^[ \t]*\[message_id:[^\]\n]*\][ \t]*$/gimu
const systemTags = /\[\s*(System\s*Message|System|Assistant|Internal)\s*\]/giu
const systemPrefixes = /^([^\S\n]*)System:(?=\s|$)/gimu

/** What a shorter rest proves nothing of. No release cuts below it unless its settings say so. */
const cutAtLeast = 1000

/** The end of a cut text may be part of a tag, of a letter with its accents, or of a surrogate pair. */
const unsure = 100

/** Whether `kept`, from history, is the text `sent`, or the beginning of it where history cuts. */
export const matcher = (sent: string): (kept: string) => boolean => {
  const wanted = comparable(sent)
  return (kept) => {
    const found = comparable(kept)
    if (found === wanted) return true
    const beginning = withoutCutMark(kept)
    return beginning !== undefined && beginning.length >= cutAtLeast
      && wanted.startsWith(comparable(beginning.slice(0, -unsure)))
  }
}

/** What stands before the mark of a cut text; nothing where there is no mark. */
export const withoutCutMark = (text: string): string | undefined =>
  text.endsWith(cutMark) ? text.slice(0, -cutMark.length) : undefined
