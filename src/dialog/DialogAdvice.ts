/**
 * Advice on errors of the room `dialog`.
 */
import type { Table } from "../advice/Entry.ts"
import type { DialogUnavailable } from "./DialogUnavailable.ts"

const withoutPage = "Everything else goes on; the notices on the terminal say the same."

export const dialogAdvice = {
  DialogUnavailable: {
    NoPort: {
      problem: "The page on this machine cannot be served, as no port of 127.0.0.1 can be listened on.",
      owner: "you",
      action: "Nothing, if the page is not needed; otherwise see what limits this machine's sockets.",
      command: "openclaw-device run --no-page",
      next: withoutPage
    },
    SiteMissing: {
      problem: "The page on this machine cannot be served, as it was not built.",
      owner: "you",
      action: "Build it in the folder of this program, or do without it.",
      command: "npm run build",
      next: withoutPage
    }
  }
} satisfies Table<DialogUnavailable>
