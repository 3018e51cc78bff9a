/**
 * A reply as nodes. It was written by a model, so it is read as Markdown in which markup is text, and then reduced to plain
 * structure: nothing that runs, loads, submits or styles. Links open a window of their own.
 */
import DOMPurify from "dompurify"
import { Marked } from "marked"
import { isWithinLimits } from "./MarkdownLimits.ts"

const asText: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" }
const escaped = (text: string): string => text.replace(/[&<>"]/g, (letter) => asText[letter] ?? letter)

const markdown = new Marked({
  async: false,
  gfm: true,
  breaks: true,
  // A definition of a link can stand for any number of long links, so it stays text.
  tokenizer: { def: () => undefined },
  renderer: {
    // The heading of the task has level 3.
    heading({ depth, tokens }) {
      const level = Math.min(depth + 3, 6)
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`
    },
    html: ({ text }) => escaped(text),
    // No reply makes the page load anything.
    image: ({ text }) => escaped(text)
  }
})

const tags = (
  "a b blockquote br code del em h4 h5 h6 hr i li ol p pre s strong sub sup table tbody td th thead tr ul"
).split(" ")

/** Markup that is not cleaned yet. Undefined for a text that is beyond the limits. */
export const toMarkup = (text: string): string | undefined =>
  isWithinLimits(text) ? markdown.parse(text, { async: false }) : undefined

/** Undefined for a text that is beyond the limits, or that a library stumbles over: it can be shown as it is. */
export const fromMarkdown = (text: string): DocumentFragment | undefined => {
  try {
    const markup = toMarkup(text)
    return markup === undefined ? undefined : clean(markup)
  } catch {
    return undefined
  }
}

const clean = (markup: string): DocumentFragment => {
  const fragment = DOMPurify.sanitize(markup, {
    ALLOWED_TAGS: tags,
    ALLOWED_ATTR: ["href", "title", "start"],
    ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
    RETURN_DOM_FRAGMENT: true
  })
  for (const link of fragment.querySelectorAll("a")) {
    link.target = "_blank"
    link.rel = "noopener noreferrer"
  }
  return fragment
}
