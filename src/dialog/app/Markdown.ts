/**
 * A reply as nodes. It was written by a model, so it is read as Markdown in which markup is text, and then reduced to plain
 * structure: nothing that runs, loads, submits or styles. Links open a window of their own.
 */
import DOMPurify from "dompurify"
import { Marked } from "marked"

const asText: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" }
const escaped = (text: string): string => text.replace(/[&<>"]/g, (letter) => asText[letter] ?? letter)

const markdown = new Marked({
  async: false,
  gfm: true,
  breaks: true,
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

export const fromMarkdown = (text: string): DocumentFragment => {
  const fragment = DOMPurify.sanitize(markdown.parse(text, { async: false }), {
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
