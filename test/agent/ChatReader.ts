/**
 * The TEN page and runtime as their documents describe them, written without our code: what they read of a message, and what
 * they do about it. A page decides by `pairing_required` alone.
 */

export interface Page {
  /** The lines of the conversation. */
  readonly lines: ReadonlyArray<string>
  /** What is shown as being done. */
  readonly phase: string | undefined
  readonly dialog: { readonly command: string | undefined; readonly hint: string | undefined } | undefined
}

export const empty: Page = { lines: [], phase: undefined, dialog: undefined }

type Json = { readonly [field: string]: unknown }
const text = (value: unknown): string | undefined => typeof value === "string" ? value : undefined

export const read = (page: Page, message: Json): Page => {
  if (typeof message["ts"] !== "number") return page
  switch (message["data_type"]) {
    case "openclaw_phase":
      return { ...page, phase: text(message["phase"]) || undefined }
    case "openclaw_result": {
      const lines = [...page.lines, text(message["text"]) ?? ""]
      const required = message["pairing_required"]
      if (required === true) {
        const command = text(message["pairing_approve_cmd"]) ?? text(message["pairing_list_cmd"])
        return { ...page, lines, dialog: { command, hint: text(message["pairing_hint"]) } }
      }
      return required === false ? { ...page, lines, dialog: undefined } : { ...page, lines }
    }
    default:
      return page
  }
}

/** What the runtime gives its language model of one event: an answer, or an error, to a task that it knows. */
export const heard = (reply: Json): string | undefined => {
  const said = text(reply["reply_text"]) || (text(reply["error"]) && `OpenClaw error: ${text(reply["error"])}`)
  return said === undefined || said === "" || reply["pairing_required"] === true
    ? undefined
    : `${text(reply["task_id"])} (${text(reply["summary"])}) at ${reply["reply_ts"]}: ${said}`
}
