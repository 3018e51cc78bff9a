/**
 * A command to be copied: its label, its text on a line of its own, and its button. The button tells what came of it.
 */
import { copyText } from "./Clipboard.ts"
import { h, icon, setChildren, setText } from "./Dom.ts"
import type { Messages } from "./Messages.ts"

const copyIcon = ["M9 9h11v11H9z", "M5 15H4V4h11v1"]
const doneIcon = ["M4 12.5l5 5L20 6.5"]
const toldForMs = 2000

export interface CommandBox {
  readonly element: HTMLElement
  readonly button: HTMLButtonElement
  /** An absent command hides the box. `fill` are the words in it that the reader replaces. */
  readonly show: (messages: Messages, label: string, command: string | undefined, fill?: ReadonlyArray<string>) => void
}

let count = 0

/** `tell` announces a sentence to whoever cannot see the box. */
export const makeCommandBox = (tell: (sentence: string) => void): CommandBox => {
  const id = `command-${++count}`
  const label = h("h3", { id })
  const code = h("code", { dir: "ltr", translate: "no" })
  const copyText_ = h("span")
  const idleIcon = icon(...copyIcon)
  const checkIcon = icon(...doneIcon)
  const button = h("button", { type: "button", class: "copy", "aria-describedby": id }, idleIcon, checkIcon, copyText_)
  const result = h("p", { class: "hint" })
  const element = h(
    "section",
    { class: "command", "aria-labelledby": id },
    label,
    h("div", {}, h("pre", {}, code), button),
    result
  )
  let command = ""
  let messages: Messages | undefined
  let hint = ""
  let timer: ReturnType<typeof setTimeout> | undefined

  const reset = () => {
    clearTimeout(timer)
    button.classList.remove("done")
    if (messages !== undefined) setText(copyText_, messages.copy)
    setText(result, hint)
    result.classList.remove("failed")
    result.hidden = hint === ""
  }

  button.addEventListener("click", async () => {
    const asked = command
    const came = await copyText(asked, code)
    if (messages === undefined || asked !== command) return
    reset()
    if (came === "copied") {
      button.classList.add("done")
      setText(copyText_, messages.copied)
      tell(messages.copied)
      timer = setTimeout(reset, toldForMs)
    } else {
      const sentence = came === "selected" ? messages.selected : messages.notCopied
      setText(result, sentence)
      result.classList.add("failed")
      result.hidden = false
      tell(sentence)
    }
  })

  return {
    element,
    button,
    show: (now, title, text, fill = []) => {
      const words = fill.filter((word) => text?.includes(word))
      const nextHint = words.length === 0 ? "" : now.fill(words.join(", "))
      const changed = command !== (text ?? "") || messages !== now || hint !== nextHint
      command = text ?? ""
      messages = now
      hint = nextHint
      element.hidden = command === ""
      setText(label, title)
      setChildren(code, JSON.stringify([command, words]), () => marked(command, words))
      if (changed) reset()
    }
  }
}

/** The command with the words set off that are to be replaced. */
const marked = (command: string, words: ReadonlyArray<string>): ReadonlyArray<Node> => {
  const [word, ...others] = words
  if (word === undefined) return [document.createTextNode(command)]
  return command.split(word).flatMap((part, index) => [
    ...(index === 0 ? [] : [h("mark", {}, word)]),
    ...marked(part, others)
  ])
}
