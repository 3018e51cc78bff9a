/**
 * Copies a text and returns what came of it. The asynchronous clipboard needs a secure context and a permission; the older
 * command needs neither, but may be switched off; the last resort is to select the text for the reader.
 */
export type CopyResult = "copied" | "selected" | "failed"

/** `shown` is the element whose text is `text`. The older command needs a node beside it, inside the modal dialog. */
export const copyText = async (text: string, shown: HTMLElement): Promise<CopyResult> => {
  if (text === "") return "failed"
  try {
    await navigator.clipboard.writeText(text)
    return "copied"
  } catch {
    // absent without a secure context, or not permitted: the older command may work
  }
  return copyBySelection(text, shown) ? "copied" : select(shown) ? "selected" : "failed"
}

const copyBySelection = (text: string, shown: HTMLElement): boolean => {
  const root = shown.getRootNode()
  const focused = root instanceof ShadowRoot || root instanceof Document ? root.activeElement : null
  const field = document.createElement("textarea")
  field.value = text
  field.readOnly = true
  field.className = "offscreen"
  field.setAttribute("aria-hidden", "true")
  shown.after(field)
  field.focus({ preventScroll: true })
  field.select()
  let done = false
  try {
    // Deprecated and without successor where there is no secure context.
    done = document.execCommand("copy")
  } catch {
    done = false
  }
  field.remove()
  if (focused instanceof HTMLElement) focused.focus({ preventScroll: true })
  return done
}

const select = (shown: HTMLElement): boolean => {
  const selection = getSelection()
  if (selection === null) return false
  selection.selectAllChildren(shown)
  return true
}
