/**
 * Calls of marked tools that wait for a person, oldest first. What the model gave is shown as text and as nothing else.
 */
import { h, setText } from "./Dom.ts"
import type { QuestionEvent } from "./EventReader.ts"
import type { PageMessages } from "./PageMessages.ts"

export type Decision = "allow" | "deny"
/** `ended`: the question was over already. `lost`: the agent could not be told. */
export type Told = "taken" | "ended" | "lost"

export interface QuestionList {
  readonly element: HTMLElement
  readonly receive: (event: QuestionEvent) => void
  /** Forgets all: the stream begins anew, and tells those that still wait. */
  readonly clear: () => void
  readonly count: () => number
}

/** A question that has just appeared cannot be allowed yet: a click may have been meant for what stood there before. */
const guardMs = 700

type Asked = Extract<QuestionEvent, { readonly event: "tool.asked" }>

interface Item {
  readonly element: HTMLElement
  readonly deny: HTMLButtonElement
  /** The person has answered here: browsers take the focus from a button that is disabled. */
  readonly hasAnswered: () => boolean
}

/** `decide` tells the agent. `rest` gets the focus when the last question that had it is gone. */
export const makeQuestionList = (
  messages: PageMessages,
  decide: (questionId: string, decision: Decision) => Promise<Told>,
  tell: (sentence: string) => void,
  rest: () => void
): QuestionList => {
  const list = h("ol")
  const element = h(
    "section",
    { class: "questions", "aria-labelledby": "questions" },
    h("h2", { id: "questions" }, messages.permission),
    list
  )
  element.hidden = true
  const known = new Map<string, Item>()

  const remove = (questionId: string) => {
    const item = known.get(questionId)
    if (item === undefined) return
    const { activeElement, body } = document
    const hadFocus = item.element.contains(activeElement) || (item.hasAnswered() && activeElement === body)
    item.element.remove()
    known.delete(questionId)
    element.hidden = known.size === 0
    const [next] = known.values()
    if (!hadFocus) return
    if (next === undefined) rest()
    else next.deny.focus()
  }

  return {
    element,
    receive: (event) => {
      if (event.event === "tool.settled") {
        if (known.has(event.questionId)) tell(messages.settled[event.outcome](event.tool))
        remove(event.questionId)
        return
      }
      if (event.questionId === "" || known.has(event.questionId)) return
      const item = makeItem(event, messages, decide)
      known.set(event.questionId, item)
      list.append(item.element)
      element.hidden = false
      tell(messages.asked(event.tool))
    },
    clear: () => {
      known.clear()
      list.replaceChildren()
      element.hidden = true
    },
    count: () => known.size
  }
}

const makeItem = (
  { answerBy, arguments: given, leftOut, questionId, session, title, tool }: Asked,
  messages: PageMessages,
  decide: (questionId: string, decision: Decision) => Promise<Told>
): Item => {
  const exact = { dir: "ltr", translate: "no" }
  const id = `question-${questionId}`
  const allow = h("button", { type: "button", class: "quiet", "aria-describedby": id }, messages.allow)
  const deny = h("button", { type: "button", class: "quiet", "aria-describedby": id }, messages.deny)
  const trouble = h("p", { class: "trouble" })
  const facts = [
    session === undefined ? "" : messages.inSession(session),
    answerBy === undefined ? "" : messages.until(new Date(answerBy).toLocaleTimeString())
  ].filter((sentence) => sentence !== "")
  const element = h(
    "li",
    { "data-question": questionId },
    h("h3", { id }, h("code", exact, tool), ...(title === undefined ? [] : [" ", h("bdi", {}, title)])),
    h("pre", { ...exact, tabindex: "0", "aria-label": messages.argumentsOf(tool) }, given),
    ...(leftOut === 0 ? [] : [h("p", { class: "trouble" }, messages.leftOut(leftOut))]),
    ...(facts.length === 0 ? [] : [h("p", { class: "detail" }, facts.join(" "))]),
    h("div", { class: "actions" }, deny, allow),
    trouble
  )
  let hasAnswered = false
  const answer = (decision: Decision) => async () => {
    hasAnswered = true
    allow.disabled = true
    deny.disabled = true
    const told = await decide(questionId, decision)
    if (told === "taken") return
    setText(trouble, told === "ended" ? messages.questionEnded : messages.notDecided)
    allow.disabled = told === "ended"
    deny.disabled = told === "ended"
    if (told === "lost") deny.focus()
  }
  allow.disabled = true
  setTimeout(() => void (allow.disabled = false), guardMs)
  allow.addEventListener("click", answer("allow"))
  deny.addEventListener("click", answer("deny"))
  return { element, deny, hasAnswered: () => hasAnswered }
}
