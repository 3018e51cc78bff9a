/**
 * Advice on every failure that a command can tell a person: those of the library, and those of the rooms beside `cli`.
 *
 * `CommandFailed` has no entry: it holds what is told already.
 */
import type { Entry, Table } from "../advice/Entry.ts"
import { find } from "../advice/Entry.ts"
import { catalogue } from "../advice/ErrorCatalogue.ts"
import * as NextStep from "../advice/NextStep.ts"
import type { ListenError } from "../devgateway/DevGatewayWs.ts"
import { dialogAdvice } from "../dialog/DialogAdvice.ts"
import { recordingAdvice } from "../recorder/RecordingAdvice.ts"

const gatewayAdvice: Table<ListenError> = {
  ListenError: {
    problem: "The development gateway cannot listen on its port, most often because another program does.",
    owner: "you",
    action: "Choose another port, or 0 for a free one.",
    command: "openclaw-device gateway --port 0",
    next: NextStep.nothingStarted
  }
}

export const commandAdvice = { ...catalogue, ...dialogAdvice, ...recordingAdvice, ...gatewayAdvice }

/** The entry for a failure by the names of its class and its reason; `undefined` where there is none. */
export const lookup = (error: string, reason?: string): Entry | undefined => find(commandAdvice, error, reason)
