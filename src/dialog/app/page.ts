/**
 * The page that DialogServer serves: how the connection stands, which device this is, the pairing dialog, and tasks.
 *
 * Its token comes in the fragment of its address, which browsers do not send, and is taken out of the address bar at once.
 */
import { attend } from "./Attendance.ts"
import { h, icon, setText } from "./Dom.ts"
import { readQuestionEvent, readTaskEvent } from "./EventReader.ts"
import { bearer } from "./EventStream.ts"
import { pageMessagesFor } from "./PageMessages.ts"
import { pageView } from "./PageView.ts"
import type { OpenClawPairingDialog } from "./PairingDialog.ts"
import { makeQuestionList } from "./QuestionList.ts"
import { openSharedStream } from "./SharedStream.ts"
import { makeTaskList } from "./TaskList.ts"

const tokenKey = "openclaw-token"

/** From the address, else what this tab had before it was loaded anew. */
const takeToken = (): string | undefined => {
  const given = new URLSearchParams(location.hash.slice(1)).get("token") ?? undefined
  if (given !== undefined) history.replaceState(null, "", location.pathname + location.search)
  try {
    if (given !== undefined) sessionStorage.setItem(tokenKey, given)
    return given ?? sessionStorage.getItem(tokenKey) ?? undefined
  } catch {
    return given
  }
}

const { language, messages } = pageMessagesFor(navigator.languages)
document.documentElement.lang = language

/** What is known of the agent, and the token, are the element's. */
const dialog: OpenClawPairingDialog = h("openclaw-pairing-dialog")
dialog.openStream = openSharedStream
let stopAttending = () => {}

const line = h("p", { class: "connection" })
const lineText = h("span")
line.append(h("span", { class: "dot" }), lineText)
const advice = h("p", { class: "advice" })
const words = h("dd", { class: "words", lang: "en", dir: "ltr", translate: "no" })
const id = h("code", { dir: "ltr", translate: "no" })
const gateway = h("bdi", { dir: "ltr" })
const device = h(
  "dl",
  { class: "device" },
  h("div", {}, h("dt", {}, messages.code), words),
  h("div", {}, h("dt", {}, messages.id), h("dd", {}, id)),
  h("div", {}, h("dt", {}, messages.gateway), h("dd", {}, gateway))
)

const status = h("p", { role: "status", class: "offscreen" })
const say = (sentence: string) => setText(status, sentence)

const box = h("textarea", {
  id: "task",
  rows: "3",
  maxlength: "60000",
  dir: "auto",
  placeholder: messages.placeholder,
  "aria-describedby": "shortcut trouble"
})
const send = h("button", { type: "submit" }, messages.send)
const trouble = h("p", { id: "trouble", class: "trouble" })
const form = h(
  "form",
  { class: "delegate" },
  h("h2", {}, h("label", { for: "task" }, messages.delegate)),
  box,
  h("div", { class: "actions" }, h("p", { id: "shortcut", class: "help" }, messages.shortcut), send),
  trouble
)

const call = (method: string, path: string, body?: unknown): Promise<Response | undefined> =>
  fetch(path, {
    method,
    headers: { ...bearer(dialog.token), ...(body === undefined ? {} : { "content-type": "application/json" }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) })
  }).catch(() => undefined)

const textOf = (value: unknown, field: string): string | undefined => {
  const found: unknown = typeof value === "object" && value !== null ? Reflect.get(value, field) : undefined
  return typeof found === "string" ? found : undefined
}

const tasks = makeTaskList(
  messages,
  async (taskId) => {
    const response = await call("DELETE", `tasks/${encodeURIComponent(taskId)}`)
    return response?.ok === true
  },
  say
)

const questions = makeQuestionList(
  messages,
  async (questionId, decision) => {
    const response = await call("POST", `tool-questions/${encodeURIComponent(questionId)}/${decision}`)
    return response?.ok === true ? "taken" : response?.status === 410 || response?.status === 404 ? "ended" : "lost"
  },
  say,
  () => box.focus()
)

document.body.replaceChildren(
  h(
    "header",
    {},
    icon("M4 5h16v11H4z", "M9 20h6", "M12 16v4"),
    h("h1", {}, messages.title),
    line
  ),
  h("main", {}, advice, questions.element, device, form, tasks.element),
  dialog,
  status
)

const render = () => {
  const view = pageView(dialog.state, dialog.token !== undefined, messages)
  document.title = questions.count() > 0 ? `${messages.permissionTitle} – ${messages.title}` : view.title
  setText(lineText, view.line)
  line.dataset["mood"] = view.mood
  setText(advice, view.advice)
  advice.hidden = view.advice === ""
  device.hidden = view.device === undefined
  setText(words, view.device?.words ?? "")
  setText(id, view.device?.id ?? "")
  setText(gateway, view.device?.gateway ?? "")
}

dialog.addEventListener("openclaw-state", render)
dialog.addEventListener("openclaw-agent-event", ({ detail }) => {
  const event = readTaskEvent(detail)
  if (event !== undefined) tasks.receive(event)
  const question = readQuestionEvent(detail)
  if (question === undefined) return
  questions.receive(question)
  render()
})
dialog.addEventListener("openclaw-contact", ({ detail }) => {
  if (detail === "open") questions.clear()
  render()
})

form.addEventListener("submit", async (submit) => {
  submit.preventDefault()
  const summary = box.value.trim()
  if (summary === "") {
    box.focus()
    return
  }
  if (send.disabled) return
  send.disabled = true
  setText(send, messages.sending)
  setText(trouble, "")
  const response = await call("POST", "tasks", { summary })
  const answer: unknown = await response?.json().catch(() => undefined)
  const taskId = textOf(answer, "taskId")
  if (response?.ok === true && taskId !== undefined) {
    tasks.accepted(taskId, summary)
    box.value = ""
  } else {
    const sentence = textOf(answer, "message") ?? messages.notSent
    setText(trouble, sentence)
    say(sentence)
  }
  send.disabled = false
  setText(send, messages.send)
  box.focus()
})
box.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return
  event.preventDefault()
  form.requestSubmit()
})

const open = () => {
  const token = takeToken()
  dialog.token = token
  stopAttending()
  form.hidden = token === undefined
  tasks.element.hidden = token === undefined
  render()
  if (token === undefined) return
  dialog.src = "events"
  stopAttending = attend(new URL("attend", document.baseURI), token)
}
// The address of another run, pasted into the same tab.
addEventListener("hashchange", open)
open()
