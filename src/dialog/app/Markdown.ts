/**
 * A reply as nodes. It was written by a model, so it is read as Markdown and then reduced to plain structure: nothing that
 * runs, loads, submits or styles, and links leave in a window of their own.
 */
import DOMPurify from "dompurify"
import { marked } from "marked"

const tags = (
  "a b blockquote br code del em h1 h2 h3 h4 h5 h6 hr i li ol p pre s strong sub sup table tbody td th thead tr ul"
).split(" ")

export const fromMarkdown = (text: string): DocumentFragment => {
  const html = marked.parse(text, { async: false, gfm: true, breaks: true })
  const fragment = DOMPurify.sanitize(html, {
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
