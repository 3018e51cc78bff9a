/**
 * Advice on errors of the room `identity`: the identity of this device, its files, its passphrase and its stored tokens.
 */
import type { IdentityError, IdentityExists, IdentitySecretInvalid, SignerError } from "../identity/IdentityError.ts"
import type { TokenStoreError } from "../identity/TokenStore.ts"
import type { StateDirectoryUnknown } from "../storage/StateDirectory.ts"
import type { Entry, Table } from "./Entry.ts"
import * as NextStep from "./NextStep.ts"
import { storageAdvice } from "./StorageAdvice.ts"

/** What to do about a private file is the same, whatever it holds. */
const onFiles = storageAdvice.StorageError

const restore =
  "Restore the file from a backup, or give the identity up. The command keeps a backup, and the new identity"
  + " needs a new approval."
/** Gives the identity of the device up. */
export const resetCommand = "openclaw-device identity reset --yes"

const invalid = (problem: string): Entry => ({
  problem: `${problem} It was not touched.`,
  owner: "you",
  action: restore,
  command: resetCommand,
  next: NextStep.nothingStarted
})

const reserved = (problem: string): Entry => ({
  problem,
  owner: "you",
  action: "Choose another place for the identity of this program. An import reads the file without changing it.",
  command: "openclaw-device identity import <file>",
  next: NextStep.nothingChanged
})

const secret = (problem: string, action: string): Entry => ({
  problem,
  owner: "you",
  action,
  next: NextStep.nothingStarted
})

const withoutToken = "This program goes on without it; the gateway issues a new one."

export const identityAdvice = {
  IdentityUnreadable: {
    ...onFiles.Unreadable,
    problem: "The file of the identity could not be read."
  },
  IdentityUnwritable: {
    ...onFiles.Unwritable,
    problem: "The file of the identity could not be written; an earlier one is still there."
  },
  IdentityInvalid: {
    Empty: invalid("The file of the identity is empty."),
    NotUtf8: invalid("The file of the identity is not UTF-8 text."),
    NotJson: invalid("The file of the identity is not JSON."),
    WrongShape: invalid("The file does not have the fields of an identity."),
    NotEd25519: invalid("The file of the identity holds a private key that is not Ed25519."),
    DamagedKey: invalid("The file of the identity holds a private key that cannot be parsed."),
    ForeignFormat: {
      problem: "The file belongs to another program. It was not touched.",
      owner: "you",
      action: "Import it. The import reads the file and does not change it, and the device stays approved.",
      command: "openclaw-device identity import <file>",
      next: NextStep.nothingStarted
    },
    UnknownVersion: {
      problem: "The file of the identity was written in a newer format than this release reads. It was not touched.",
      owner: "you",
      action: "Update this program.",
      command: "openclaw-device --version",
      next: NextStep.nothingStarted
    }
  },
  IdentityInconsistent: {
    PublicKey: invalid("The public key in the file of the identity does not belong to its private key."),
    DeviceId: invalid("The device id in the file of the identity does not belong to its key."),
    Checksum: invalid("The checksum in the file of the identity does not match its fields.")
  },
  IdentityLocked: {
    PassphraseMissing: {
      problem: "The identity is encrypted, and no passphrase is configured.",
      owner: "you",
      action: "Set OPENCLAW_DEVICE_IDENTITY_PASSPHRASE, or the same name with _FILE or _FD.",
      command: "export OPENCLAW_DEVICE_IDENTITY_PASSPHRASE_FILE=<file with the passphrase>",
      next: NextStep.nothingStarted
    },
    PassphraseWrong: {
      problem: "The identity is encrypted, and the passphrase does not open it.",
      owner: "you",
      action: "Correct the passphrase where OPENCLAW_DEVICE_IDENTITY_PASSPHRASE sets it.",
      next: NextStep.nothingStarted
    },
    AlreadyEncrypted: {
      problem: "The identity is encrypted already.",
      owner: "you",
      action: "Nothing, unless it is to have another passphrase.",
      command: "openclaw-device identity change-passphrase",
      next: NextStep.nothingChanged
    },
    NotEncrypted: {
      problem: "The identity is not encrypted, so there is no passphrase to change.",
      owner: "you",
      action: "Encrypt it first.",
      command: "openclaw-device identity encrypt",
      next: NextStep.nothingChanged
    }
  },
  IdentityExposed: {
    DirectoryWritable: {
      ...onFiles.DirectoryWritable,
      problem: "Other users may write to the directory of the identity, and could put their own key there."
    },
    FileAccessible: {
      problem: "Other users may read or write the file of the identity.",
      owner: "you",
      action: "Make it private. If they had time to read it, take the key for known and give the identity up.",
      command: "chmod 600 <file>",
      next: NextStep.nothingChanged
    },
    ForeignOwner: {
      ...onFiles.ForeignOwner,
      problem: "The file of the identity, or its directory, belongs to another user, who could put their own key there."
    },
    SymbolicLink: {
      ...onFiles.SymbolicLink,
      problem: "The path of the identity is a symbolic link, which may lead anywhere."
    },
    NotRegularFile: {
      ...onFiles.NotRegularFile,
      problem: "The path of the identity is no regular file."
    }
  },
  IdentityPathReserved: {
    RetiredIdentityFile: reserved(
      "OpenClaw keeps its identity in a database, and neither its gateway nor its clients start while this old file exists."
    ),
    RetiredTokenFile: reserved("OpenClaw retired this file and does not start while it exists."),
    OpenClawDirectory: reserved("The directory belongs to OpenClaw itself."),
    OpenClawStateDirectory: reserved("The directory is the state directory of OpenClaw (OPENCLAW_STATE_DIR).")
  },
  IdentityAbsent: {
    problem: "There is no identity at this place.",
    owner: "you",
    action: "Create one, or correct the path.",
    command: "openclaw-device identity create",
    next: NextStep.nothingChanged
  },
  IdentityExists: {
    problem: "There is an identity at this place already. It was not touched.",
    owner: "you",
    action: "Use another path, or give the old identity up. The command keeps a backup.",
    command: resetCommand,
    next: NextStep.nothingChanged
  },
  StateDirectoryUnknown: {
    problem: "The environment does not say where the state directory is.",
    owner: "you",
    action: "Set the variable that the message names, or name a state directory.",
    command: "openclaw-device run --state-dir <directory>",
    next: NextStep.nothingStarted
  },
  SignerError: {
    problem: "The seed of the identity does not have 32 bytes.",
    owner: "you",
    action: "Configure a whole Ed25519 seed.",
    next: NextStep.nothingStarted
  },
  TokenStoreError: {
    Unreadable: {
      problem: "The stored device token could not be read.",
      owner: "you",
      action: "Check the owner and the mode of the directory with the tokens.",
      next: withoutToken
    },
    Unwritable: {
      problem: "The device token could not be stored.",
      owner: "you",
      action: "Check the space, the owner and the mode of the directory with the tokens.",
      next: "This program goes on; the next start needs another credential."
    },
    Exposed: {
      problem: "Other users may read or replace the stored device token, so it was not used.",
      owner: "you",
      action: "Make the directory with the tokens private.",
      next: withoutToken
    },
    Invalid: {
      problem: "The file is not a stored token of this gateway, device and role.",
      owner: "you",
      action: "Remove it.",
      next: withoutToken
    },
    TooLarge: {
      problem: "The gateway issued a device token, or scopes with it, larger than this program stores.",
      owner: "gateway host",
      action: "Find out why the gateway issues such a token.",
      next: "This program goes on; the next start needs another credential."
    },
    Contended: {
      problem: "Other processes kept changing the stored device token.",
      owner: "you",
      action: "Make sure that only one program uses this identity.",
      next: withoutToken
    }
  },
  IdentitySecretInvalid: {
    Ambiguous: secret("A secret is set in several ways at once.", "Set one of them only."),
    Unreadable: secret(
      "The file or descriptor with a secret could not be read.",
      "Check the path or the number, and who may read it."
    ),
    Empty: secret("A secret is set to an empty value.", "Set a value, or unset the variable."),
    NotUtf8: secret(
      "A secret is not UTF-8 text.",
      "Encode a random key file, for example with base64."
    ),
    NotADescriptor: secret("The number of a file descriptor is expected.", "Set the number of an open descriptor."),
    NotASeed: secret(
      "The seed of the identity is not 32 bytes in hex, base64 or base64url.",
      "Write the seed in one of these forms."
    )
  }
} satisfies Table<
  IdentityError | IdentityExists | IdentitySecretInvalid | SignerError | StateDirectoryUnknown | TokenStoreError
>
