/**
 * A command to be copied: its label, its text on a line of its own, and its button, which says what came of it.
 */
import { copyText } from "./Clipboard.ts"
import { h, icon, setText } from "./Dom.ts"
import type { Command } from "./PairingView.ts"

const copyIcon = ["M9 9h11v11H9z", "M5 15H4V4h11v1"]
const doneIcon = ["M4 12.5l5 5L20 6.5"]
/** How long the button says that it copied. */
const copiedForMs = 2000

export interface CommandBox {
  readonly element: HTMLElement
  readonly button: HTMLButtonElement
  /** An absent command hides the box; another one takes back what the button said. */
  readonly show: (command: Command | undefined) => void
}

let count = 0

/** `say` tells a screen reader what came of copying. */
export const makeCommandBox = (say: (sentence: string) => void): CommandBox => {
  const id = `command-${++count}`
  const label = h("h3", { id })
  const code = h("code", { dir: "ltr", translate: "no" })
  const buttonText = h("span")
  const button = h(
    "button",
    { type: "button", class: "copy", "aria-describedby": id },
    icon(...copyIcon),
    icon(...doneIcon),
    buttonText
  )
  const hint = h("p", { class: "hint" })
  const element = h(
    "section",
    { class: "command", "aria-labelledby": id },
    label,
    h("div", {}, h("pre", {}, code), button),
    hint
  )
  let shown: Command | undefined
  let timer: ReturnType<typeof setTimeout> | undefined

  const showResult = (command: Command, done: boolean, failed?: string) => {
    clearTimeout(timer)
    button.classList.toggle("done", done)
    setText(buttonText, done ? command.copy.copied : command.copy.copy)
    setText(hint, failed ?? command.hint)
    hint.classList.toggle("failed", failed !== undefined)
    hint.hidden = hint.textContent === ""
  }

  button.addEventListener("click", async () => {
    const command = shown
    if (command === undefined) return
    const { copied, notCopied, selected } = command.copy
    const result = await copyText(command.pieces.map(({ text }) => text).join(""), code)
    if (command !== shown) return
    const done = result === "copied"
    const sentence = done ? copied : result === "selected" ? selected : notCopied
    showResult(command, done, done ? undefined : sentence)
    if (done) timer = setTimeout(() => showResult(command, false), copiedForMs)
    say(sentence)
  })

  return {
    element,
    button,
    show: (command) => {
      element.hidden = command === undefined
      if (JSON.stringify(command) === JSON.stringify(shown)) return
      shown = command
      if (command === undefined) return
      setText(label, command.label)
      code.replaceChildren(...command.pieces.map(({ replace, text }) => replace ? h("mark", {}, text) : text))
      showResult(command, false)
    }
  }
}
