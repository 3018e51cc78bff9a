/**
 * Advice on every failure that a command can tell a person: those of the library, and those of the rooms beside `cli`.
 *
 * `CommandFailed` has no entry: it holds what is told already.
 */
import type { ConfigError } from "effect/Config"
import type { Entry, Table } from "../advice/Entry.ts"
import { find } from "../advice/Entry.ts"
import type { AdvisedError } from "../advice/ErrorCatalogue.ts"
import * as ErrorCatalogue from "../advice/ErrorCatalogue.ts"
import * as NextStep from "../advice/NextStep.ts"
import type { ListenError } from "../devgateway/DevGatewayWs.ts"
import { dialogAdvice } from "../dialog/DialogAdvice.ts"
import type { DialogUnavailable } from "../dialog/DialogUnavailable.ts"
import type { RecordingRefused } from "../recorder/FlightRecorder.ts"
import type { RecordingInvalid } from "../recorder/Recording.ts"
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

export const commandAdvice = { ...ErrorCatalogue.catalogue, ...dialogAdvice, ...recordingAdvice, ...gatewayAdvice }

/** Every failure that a command can tell a person. A `ConfigError` says itself which setting cannot be read. */
export type Told =
  & (AdvisedError | ConfigError | ListenError | DialogUnavailable | RecordingInvalid | RecordingRefused)
  & { readonly message: string }

/** The entry for a failure, with what its fields make precise. */
export const adviceOn = (error: Told): Entry | undefined => {
  switch (error._tag) {
    case "ConfigError":
      return undefined
    case "ListenError":
    case "DialogUnavailable":
    case "RecordingInvalid":
    case "RecordingRefused":
      return find(commandAdvice, error._tag, "reason" in error ? error.reason : undefined)
    default:
      return ErrorCatalogue.adviceOn(error)
  }
}
