/**
 * The page that DialogServer serves: how the connection stands, which device this is, the pairing dialog, and tasks.
 *
 * Its key comes in the fragment of its address, which browsers do not send, and is taken out of the address bar at once.
 */
import { attend } from "./Attendance.ts"
import type { DialogState } from "./DialogState.ts"
import { initial, step } from "./DialogState.ts"
import { h, icon, setText } from "./Dom.ts"
import { readEvent } from "./EventReader.ts"
import { bearer } from "./EventStream.ts"
import { pageMessagesFor } from "./PageMessages.ts"
import type { OpenClawPairingDialog } from "./PairingDialog.ts"
import { makeTaskList } from "./TaskList.ts"
import { isTaskEvent } from "./TaskState.ts"

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

let token = takeToken()
let state: DialogState = initial
let unattend = () => {}

const line = h("p", { class: "connection" })
const lineText = h("span")
line.append(h("span", { class: "dot" }), lineText)
const advice = h("p", { class: "advice" })
const words = h("dd", { class: "words", lang: "en", dir: "ltr", translate: "no" })
const id = h("dd", {})
const idCode = h("code", { dir: "ltr", translate: "no" })
id.append(idCode)
const gateway = h("dd", {})
const gatewayText = h("bdi", { dir: "ltr" })
gateway.append(gatewayText)
const device = h(
  "dl",
  { class: "device" },
  h("div", {}, h("dt", {}, messages.code), words),
  h("div", {}, h("dt", {}, messages.id), id),
  h("div", {}, h("dt", {}, messages.gateway), gateway)
)
device.hidden = true

const status = h("p", { role: "status", class: "offscreen" })
const tell = (sentence: string) => setText(status, sentence)

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
    headers: { ...bearer(token), ...(body === undefined ? {} : { "content-type": "application/json" }) },
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
  tell
)

const dialog: OpenClawPairingDialog = h("openclaw-pairing-dialog")

document.body.replaceChildren(
  h(
    "header",
    {},
    icon("M4 5h16v11H4z", "M9 20h6", "M12 16v4"),
    h("h1", {}, messages.title),
    line
  ),
  h("main", {}, advice, device, form, tasks.element),
  dialog,
  status
)

const sayState = (): readonly [string, "good" | "busy" | "bad", string] => {
  const { connection, contact, view } = state
  if (token === undefined) return [messages.noToken, "bad", messages.noTokenHelp]
  if (contact === "refused") return [messages.refused, "bad", messages.refusedHelp]
  if (contact === "lost") return [messages.lost, "bad", ""]
  if (view.is === "pending" && connection !== "connected") return [messages.pending, "busy", ""]
  switch (connection) {
    case "connected":
      return missing.length === 0
        ? [messages.connected, "good", ""]
        : [messages.missing(missing.join(" ")), "busy", ""]
    case "unknown":
    case "connecting":
    case "waiting":
      return [messages[connection], "busy", connection === "waiting" ? cause : ""]
    case "halted":
    case "paused":
    case "stopped":
      return [messages[connection], "bad", ""]
  }
}

let missing: ReadonlyArray<string> = []
let cause = ""

const render = () => {
  const [sentence, mood, help] = sayState()
  setText(lineText, sentence)
  line.dataset["mood"] = mood
  setText(advice, help)
  advice.hidden = help === ""
  const { identity } = state
  device.hidden = identity === undefined
  setText(words, identity?.words ?? "")
  setText(idCode, identity === undefined ? "" : `${identity.deviceId.slice(0, 16)}…`)
  setText(gatewayText, state.gateway)
  // What works needs nobody's attention from afar.
  document.title = state.view.is === "pending" && !state.view.request.connected
    ? `${messages.approvalTitle} – ${messages.title}`
    : messages.title
}

dialog.addEventListener("openclaw-agent-event", ({ detail }) => {
  const event = readEvent(detail)
  if (event === undefined) return
  if (isTaskEvent(event)) return tasks.happen(event)
  if (event.event === "connected") missing = event.missingScopes
  if (event.event === "waiting") cause = event.cause.message
  state = step(state, event)
  render()
})
dialog.addEventListener("openclaw-contact", ({ detail }) => {
  state = step(state, { event: "contact", contact: detail })
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
    tell(sentence)
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
  unattend()
  form.hidden = token === undefined
  tasks.element.hidden = token === undefined
  render()
  if (token === undefined) return
  dialog.token = token
  dialog.src = "events"
  unattend = attend(new URL("attend", document.baseURI), token)
}
// The address of another run, pasted into the same tab.
addEventListener("hashchange", () => {
  token = takeToken()
  open()
})
open()
