/**
 * A text of any length as nodes, just as it is.
 *
 * A browser lays out one long text in a time that grows faster than its length, so it gets pieces, and those that nobody sees
 * cost nothing (page.css). Each piece has a direction of its own: to find one for all of them the browser would read the whole
 * text again for each piece.
 */
import { h } from "./Dom.ts"

export const fromPlainText = (text: string): ReadonlyArray<HTMLElement> =>
  pieces(text).map((piece) => h("div", { class: "piece" }, piece))

/** At most 2000 characters each, cut behind a line if possible, else behind a word. Together they are the text. */
export const pieces = (text: string): ReadonlyArray<string> =>
  text.match(/[^]{1,2000}$|[^]{0,1999}\n|[^]{0,1999}[ \t]|[^]{1,2000}/gu) ?? []
