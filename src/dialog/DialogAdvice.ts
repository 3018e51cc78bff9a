/**
 * Advice on errors of the room `dialog`.
 */
import type { Table } from "../advice/Entry.ts"
import * as NextStep from "../advice/NextStep.ts"
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
    PortTaken: {
      problem: "The page cannot be served, as another program listens on the port that was asked for.",
      owner: "you",
      action: "Choose another port with --page-port, or 0 for any that is free.",
      command: "openclaw-device run --page-port 0",
      next: NextStep.nothingStarted
    },
    PortForbidden: {
      problem: "The page cannot be served, as this program may not listen on the port that was asked for.",
      owner: "you",
      action: "Choose a port above 1023 with --page-port, or 0 for any that is free.",
      command: "openclaw-device run --page-port 0",
      next: NextStep.nothingStarted
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
