/**
 * What to tell a person about each failure of the rooms below `agent`: what happened, whose side it is, what to do and where,
 * and what happens next.
 *
 * This is the only place with advice, so that no two parts of the program can contradict each other. The rooms above have a
 * table of their own for their own errors. Nothing here asks anybody to restart this program.
 */
import type { HaltCause } from "../connection/ConnectionStatus.ts"
import type { AnswerInvalid, RequestError } from "../connection/RequestError.ts"
import type { ScopeUpgradeRefused } from "../connection/ScopeUpgrade.ts"
import type { SettingsInvalid } from "../handshake/GatewayConfig.ts"
import type { IdentityError, IdentityExists, IdentitySecretInvalid, SignerError } from "../identity/IdentityError.ts"
import type { TokenStoreError } from "../identity/TokenStore.ts"
import type { PlaceInvalid } from "../pairing/ApproveCommand.ts"
import type { JoinUrlRefused } from "../pairing/JoinUrl.ts"
import type { SurfaceRequired } from "../pairing/PairingStep.ts"
import type { SetupCodeInvalid } from "../pairing/SetupCode.ts"
import type { StateDirectoryUnknown } from "../storage/StateDirectory.ts"
import type { StorageError } from "../storage/StorageError.ts"
import type { AttachmentUnreadable } from "../tasks/AttachmentFile.ts"
import type { ArtifactError } from "../tasks/RunArtifacts.ts"
import type { TaskError, TaskNotFound, TaskRefused } from "../tasks/TaskError.ts"
import type { TaskJournalError } from "../tasks/TaskJournal.ts"
import type { NamedEnd } from "../tasks/TaskWords.ts"
import type { ToolsNotOffered, ToolsRefused } from "../toolhost/ToolError.ts"
import { connectionAdvice } from "./ConnectionAdvice.ts"
import type { Entry, Table } from "./Entry.ts"
import { find, sentences } from "./Entry.ts"
import { handshakeAdvice } from "./HandshakeAdvice.ts"
import { identityAdvice } from "./IdentityAdvice.ts"
import { linkAdvice } from "./LinkAdvice.ts"
import { pairingAdvice, toolAdvice } from "./PairingAdvice.ts"
import { precise } from "./PreciseAdvice.ts"
import { storageAdvice } from "./StorageAdvice.ts"
import { taskAdvice } from "./TaskAdvice.ts"

/** Every failure of those rooms that can come before a person. */
export type AdvisedError =
  | HaltCause
  | RequestError
  | AnswerInvalid
  | ScopeUpgradeRefused
  | SettingsInvalid
  | PlaceInvalid
  | IdentityError
  | IdentityExists
  | IdentitySecretInvalid
  | SignerError
  | StateDirectoryUnknown
  | StorageError
  | TokenStoreError
  | ArtifactError
  | AttachmentUnreadable
  | TaskError
  | TaskNotFound
  | TaskRefused
  | TaskJournalError
  | NamedEnd
  | SurfaceRequired
  | SetupCodeInvalid
  | JoinUrlRefused
  | ToolsNotOffered
  | ToolsRefused

/** The advice for each error, by tag. A tag without an entry is a compile error. */
export const catalogue: Table<AdvisedError> = {
  ...connectionAdvice,
  ...handshakeAdvice,
  ...identityAdvice,
  ...linkAdvice,
  ...pairingAdvice,
  ...storageAdvice,
  ...taskAdvice,
  ...toolAdvice
}

/** The entry for a failure by the names of its class and its reason; `undefined` where there is none. */
export const lookup = (error: string, reason?: string): Entry | undefined => find(catalogue, error, reason)

/** The entry for a failure, with what its fields make precise. */
export const adviceOn = (error: AdvisedError): Entry | undefined => {
  const entry = lookup(error._tag, "reason" in error ? error.reason : undefined)
  return entry === undefined ? undefined : { ...entry, ...precise(error) }
}

/** What happened and what to do, as sentences. What comes next is left out: it holds only where the program stays up. */
export const advice = sentences
