/**
 * The tasks that the page knows, newest first: those that it sent, and those that an event names.
 */
import { h, setText } from "./Dom.ts"
import type { TaskEvent } from "./EventReader.ts"
import { fromMarkdown } from "./Markdown.ts"
import type { PageMessages } from "./PageMessages.ts"
import { fromPlainText } from "./PlainText.ts"
import type { TaskState } from "./TaskState.ts"
import { hasEnded, stepTask, writtenOf } from "./TaskState.ts"

export interface TaskList {
  readonly element: HTMLElement
  readonly receive: (event: TaskEvent) => void
  /** The agent accepted a task that this page sent. Its first events may have come before. */
  readonly accepted: (taskId: string, summary: string) => void
}

interface Item {
  readonly element: HTMLElement
  readonly show: (state: TaskState, summary: string | undefined) => void
}

/** A reply that is being written is formatted up to this length, in UTF-16 code units: it is formatted anew with each piece. */
const writtenFormatted = 20_000

/** `stop` tells the agent to abort a task; false when the agent could not be told. */
export const makeTaskList = (
  messages: PageMessages,
  stop: (taskId: string) => Promise<boolean>,
  tell: (sentence: string) => void
): TaskList => {
  const empty = h("p", { class: "empty" }, messages.noTasks)
  const list = h("ol")
  const element = h(
    "section",
    { class: "tasks", "aria-labelledby": "tasks" },
    h("h2", { id: "tasks" }, messages.tasks),
    empty,
    list
  )
  const known = new Map<string, { readonly item: Item; state: TaskState; summary: string | undefined }>()
  list.hidden = true

  const entry = (taskId: string) => {
    const found = known.get(taskId)
    if (found !== undefined) return found
    const item = makeItem(taskId, messages, stop)
    const made = { item, state: { is: "accepted" } as TaskState, summary: undefined as string | undefined }
    known.set(taskId, made)
    list.prepend(item.element)
    list.hidden = false
    empty.hidden = true
    return made
  }

  return {
    element,
    receive: (event) => {
      if (event.taskId === "") return
      const task = entry(event.taskId)
      const before = task.state
      task.state = stepTask(before, event)
      if ("summary" in event) task.summary = event.summary ?? task.summary
      task.item.show(task.state, task.summary)
      if (hasEnded(task.state) && !hasEnded(before)) {
        tell(`${titleOf(messages, task.state)}: ${task.summary ?? messages.task(event.taskId.slice(0, 8))}`)
      }
    },
    accepted: (taskId, summary) => {
      const task = entry(taskId)
      task.summary = summary
      task.item.show(task.state, summary)
    }
  }
}

const titleOf = (messages: PageMessages, state: TaskState): string =>
  state.is === "replied" && state.late ? messages.late : messages[state.is]

const makeItem = (taskId: string, messages: PageMessages, stop: (taskId: string) => Promise<boolean>): Item => {
  const summary = h("h3", { dir: "auto" })
  const chip = h("span", { class: "chip" })
  const detail = h("p", { class: "detail" })
  const reply = h("div", { class: "reply", role: "group" })
  const all = h("button", { type: "button", class: "quiet", "aria-expanded": "false" }, messages.showAll)
  const stopButton = h("button", { type: "button", class: "quiet" }, messages.stop)
  const trouble = h("p", { class: "trouble" })
  const element = h(
    "li",
    {},
    h("div", { class: "head" }, summary, chip),
    detail,
    reply,
    h("div", { class: "actions" }, all, stopButton),
    trouble
  )
  reply.hidden = true
  all.hidden = true
  trouble.hidden = true
  let shownText: string | undefined
  let shownAs: TaskState["is"] | undefined
  let formatted = true

  /** Shows three lines, and the rest on request. The tab key does not reach what is cut off. */
  const fold = () => {
    const folded = all.getAttribute("aria-expanded") === "false"
    reply.classList.toggle("folded", folded)
    const cut = folded && reply.scrollHeight > reply.clientHeight + 1
    if (folded) all.hidden = !cut
    for (const link of reply.querySelectorAll("a")) {
      const hidden = cut && link.offsetTop + link.offsetHeight > reply.clientHeight
      if (hidden) link.tabIndex = -1
      else link.removeAttribute("tabindex")
    }
  }
  const showReply = (text: string, whole: boolean) => {
    const fragment = whole || text.length <= writtenFormatted ? fromMarkdown(text) : undefined
    formatted = fragment !== undefined || !whole
    reply.replaceChildren(...(fragment === undefined ? fromPlainText(text) : [fragment]))
    reply.hidden = false
    if (fragment !== undefined) reply.dir = "auto"
    else reply.removeAttribute("dir")
    fold()
  }
  new ResizeObserver(fold).observe(reply)
  all.addEventListener("click", () => {
    const expand = all.getAttribute("aria-expanded") === "false"
    all.setAttribute("aria-expanded", String(expand))
    setText(all, expand ? messages.showLess : messages.showAll)
    fold()
  })
  stopButton.addEventListener("click", async () => {
    stopButton.disabled = true
    const told = await stop(taskId)
    stopButton.disabled = false
    setText(trouble, told ? "" : messages.notStopped)
    trouble.hidden = told
  })

  return {
    element,
    show: (state, text) => {
      const title = text ?? messages.task(taskId.slice(0, 8))
      setText(summary, title)
      element.dataset["state"] = state.is
      setText(chip, titleOf(messages, state))
      const written = state.is === "replied" ? state.text : writtenOf(state)
      if (state.is === "replied" || written !== "") {
        if (written !== shownText || state.is !== shownAs) showReply(written, state.is === "replied")
        shownAs = state.is
        shownText = written
      } else if (shownText !== undefined) {
        // It failed: what was written of it is no reply.
        shownText = undefined
        reply.hidden = true
        all.hidden = true
      }
      reply.toggleAttribute("aria-busy", state.is !== "replied")
      const details = [detailOf(messages, state), formatted ? "" : messages.notFormatted]
      setText(detail, details.filter((sentence) => sentence !== "").join(" "))
      detail.hidden = detail.textContent === ""
      stopButton.hidden = hasEnded(state)
      reply.setAttribute("aria-label", messages.replyTo(title))
    }
  }
}

const detailOf = (messages: PageMessages, state: TaskState): string => {
  switch (state.is) {
    case "queued": {
      const reasons: Readonly<Record<string, string>> = messages.queuedReasons
      return Object.hasOwn(reasons, state.reason) ? reasons[state.reason] ?? "" : state.reason
    }
    case "running":
      return state.phase
    case "failed":
      return [state.error.message, state.error.advice ?? ""].filter((sentence) => sentence !== "").join(" ")
    case "replied":
      return state.truncated === true ? messages.truncated : ""
    case "accepted":
    case "sent":
      return ""
  }
}
