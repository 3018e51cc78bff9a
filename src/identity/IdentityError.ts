/**
 * What can go wrong with an identity, a private file or a stored token: one class for each thing that a caller treats
 * differently. No field and no message ever holds a key, a passphrase, a token or the content of a file.
 */
import * as Schema from "effect/Schema"
import { posixCommand } from "../protocol/ShellCommand.ts"

const octal = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, "0")

const errnoAdvice = (errno: string | undefined): string => {
  switch (errno) {
    case "EACCES":
    case "EPERM":
      return "Start the program as the owner, or give the file back to the user that runs it (chown)."
    case "EROFS":
      return "The place is mounted read-only: choose a state directory that may be written."
    case "ENOSPC":
    case "EDQUOT":
      return "There is no space left: free some and start again."
    case "EISDIR":
      return "The path names a directory: choose a file name inside it."
    case "ENOTDIR":
      return "A part of the path is a file where a directory is needed: choose another place."
    case "EFBIG":
      return "The file is far larger than what belongs here: move it away after looking at it."
    default:
      return "Check the disk and the mount, then start again."
  }
}

/** The place could not be read. The file may well be fine, so nothing was created or changed. `owner` is a numeric user id. */
export class IdentityUnreadable extends Schema.TaggedError<IdentityUnreadable>()("IdentityUnreadable", {
  path: Schema.String,
  errno: Schema.optionalKey(Schema.String),
  owner: Schema.optionalKey(Schema.Int),
  mode: Schema.optionalKey(Schema.Int),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    const facts = [
      this.errno ?? "unknown cause",
      ...(this.owner === undefined ? [] : [`owner ${this.owner}`]),
      ...(this.mode === undefined ? [] : [`mode ${octal(this.mode)}`])
    ]
    return `${this.path} could not be read (${facts.join(", ")}). Nothing was changed. ${errnoAdvice(this.errno)}`
  }
}

/** The place could not be written. What was there before is still there. */
export class IdentityUnwritable extends Schema.TaggedError<IdentityUnwritable>()("IdentityUnwritable", {
  path: Schema.String,
  errno: Schema.optionalKey(Schema.String),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `${this.path} could not be written (${this.errno ?? "unknown cause"}). ${errnoAdvice(this.errno)}`
  }
}

const invalidText = {
  Empty: "is empty",
  NotUtf8: "is not UTF-8 text",
  NotJson: "is not JSON",
  WrongShape: "does not have the fields of an identity",
  ForeignFormat: "belongs to another program",
  UnknownVersion: "was written in a newer format than this release reads",
  NotEd25519: "holds a private key that is not Ed25519",
  DamagedKey: "holds a private key that cannot be parsed"
} as const

const resetCommand = "identity reset --yes"
const restoreOr = (reset: string): string =>
  `Restore it from a backup, or give it up with \`${reset}\`, which keeps a backup and needs a new approval.`

/** There is a file, and it is no identity that this release can use. It is left exactly as it is. */
export class IdentityInvalid extends Schema.TaggedError<IdentityInvalid>()("IdentityInvalid", {
  path: Schema.String,
  reason: Schema.Literals([
    "Empty",
    "NotUtf8",
    "NotJson",
    "WrongShape",
    "ForeignFormat",
    "UnknownVersion",
    "NotEd25519",
    "DamagedKey"
  ]),
  /** Name of the field in question, never its value. */
  field: Schema.optionalKey(Schema.String)
}) {
  /** What is wrong with the file, without advice. */
  get problem(): string {
    return `${this.path} ${invalidText[this.reason]}${this.field === undefined ? "" : ` (field ${this.field})`}.`
  }
  /** Problem and advice, where `reset` is the command that gives this identity up. */
  told(reset: string): string {
    const next = this.reason === "UnknownVersion"
      ? "Update this program."
      : this.reason === "ForeignFormat"
      ? "Import it with `identity import`, which reads it without changing it."
      : restoreOr(reset)
    return `${this.problem} The file was not touched. ${next}`
  }
  override get message(): string {
    return this.told(resetCommand)
  }
}

const inconsistentText = {
  PublicKey: "the public key does not belong to the private key",
  DeviceId: "the device id does not belong to the key",
  Checksum: "the checksum does not match the fields"
} as const

/** The parts of the file contradict each other: it was edited, mixed from two identities, or damaged. It is left as it is. */
export class IdentityInconsistent extends Schema.TaggedError<IdentityInconsistent>()("IdentityInconsistent", {
  path: Schema.String,
  reason: Schema.Literals(["PublicKey", "DeviceId", "Checksum"])
}) {
  /** What is wrong with the file, without advice. */
  get problem(): string {
    return `${this.path}: ${inconsistentText[this.reason]}.`
  }
  /** Problem and advice, where `reset` is the command that gives this identity up. */
  told(reset: string): string {
    return `${this.problem} The file was not touched. ${restoreOr(reset)}`
  }
  override get message(): string {
    return this.told(resetCommand)
  }
}

const lockedText = {
  PassphraseMissing:
    "is encrypted and no passphrase was configured. Set OPENCLAW_DEVICE_IDENTITY_PASSPHRASE, or the same"
    + " name with _FILE or _FD",
  PassphraseWrong: "is encrypted and the passphrase does not open it. Check the passphrase",
  AlreadyEncrypted: "is encrypted already. Use `identity change-passphrase` to encrypt it anew",
  NotEncrypted: "is not encrypted, so there is no passphrase to change. Use `identity encrypt`"
} as const

/** Passphrase and private key do not go together. The file is left as it is. */
export class IdentityLocked extends Schema.TaggedError<IdentityLocked>()("IdentityLocked", {
  path: Schema.String,
  reason: Schema.Literals(["PassphraseMissing", "PassphraseWrong", "AlreadyEncrypted", "NotEncrypted"])
}) {
  override get message(): string {
    return `${this.path} ${lockedText[this.reason]}. The file was not touched.`
  }
}

const exposedText = {
  DirectoryWritable: "the directory may be written by other users, who could put their own key there",
  FileAccessible: "the file may be read or written by other users",
  SymbolicLink: "the path is a symbolic link, which may lead anywhere",
  NotRegularFile: "the path is not a regular file"
} as const

/** Other users could read or replace what has to be private, so it was not used. */
export class IdentityExposed extends Schema.TaggedError<IdentityExposed>()("IdentityExposed", {
  path: Schema.String,
  reason: Schema.Literals(["DirectoryWritable", "FileAccessible", "SymbolicLink", "NotRegularFile"]),
  mode: Schema.optionalKey(Schema.Int)
}) {
  override get message(): string {
    const mode = this.mode === undefined ? "" : ` (mode ${octal(this.mode)})`
    const next = this.reason === "DirectoryWritable"
      ? `Run: ${
        posixCommand(["chmod", "go-w", this.path]).text
      } - or choose a directory of its own, which is then created with mode 0700.`
      : this.reason === "FileAccessible"
      ? `Run: ${
        posixCommand(["chmod", "600", this.path]).text
      } - and think of the key as known to others if they had time to read it.`
      : "Name the real file instead."
    return `${this.path}: ${exposedText[this.reason]}${mode}. ${next}`
  }
}

const reservedText = {
  RetiredIdentityFile:
    "OpenClaw keeps its identity in a database and refuses to start, gateway and clients alike, while this old file exists",
  RetiredTokenFile: "OpenClaw retired this file and refuses to start while it exists",
  OpenClawDirectory: "the directory belongs to OpenClaw itself",
  OpenClawStateDirectory: "the directory is OpenClaw's own (OPENCLAW_STATE_DIR)"
} as const

/** The path belongs to OpenClaw itself and is never written by this program. It can be read for an import. */
export class IdentityPathReserved extends Schema.TaggedError<IdentityPathReserved>()("IdentityPathReserved", {
  path: Schema.String,
  reason: Schema.Literals(["RetiredIdentityFile", "RetiredTokenFile", "OpenClawDirectory", "OpenClawStateDirectory"])
}) {
  override get message(): string {
    return `${this.path} cannot hold the identity of this program: ${reservedText[this.reason]}. `
      + "Choose another place. `identity import` reads a file there without changing it."
  }
}

/** There is no identity, and the caller asked not to create one. */
export class IdentityAbsent extends Schema.TaggedError<IdentityAbsent>()("IdentityAbsent", { path: Schema.String }) {
  override get message(): string {
    return `There is no identity at ${this.path}. Create one with \`identity create\`, or check the path.`
  }
}

/** There is an identity already where another one should be written. It is left as it is. */
export class IdentityExists extends Schema.TaggedError<IdentityExists>()("IdentityExists", {
  path: Schema.String,
  deviceId: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    const device = this.deviceId === undefined ? "" : ` (device ${this.deviceId})`
    return `${this.path} already holds an identity${device}. It was not touched. `
      + "Use another path, or give the old one up with `identity reset --yes`, which keeps a backup."
  }
}

/** No place for the state directory could be derived from the environment. */
export class StateDirectoryUnknown extends Schema.TaggedError<StateDirectoryUnknown>()("StateDirectoryUnknown", {
  variable: Schema.String
}) {
  override get message(): string {
    return `The state directory cannot be derived: ${this.variable} is not set. Set it, or name a state directory.`
  }
}

/** Key material that is no Ed25519 seed: a seed is exactly 32 bytes. */
export class SignerError extends Schema.TaggedError<SignerError>()("SignerError", {
  reason: Schema.Literals(["SeedLength"]),
  length: Schema.Int
}) {
  override get message(): string {
    return `An Ed25519 seed has 32 bytes, but ${this.length} were given.`
  }
}

/**
 * A stored token could not be read or written. `Invalid` means that the newest file is not what its key says; `Contended`
 * that other processes kept winning. A caller may go on without the stored token: the gateway issues it again.
 */
export class TokenStoreError extends Schema.TaggedError<TokenStoreError>()("TokenStoreError", {
  path: Schema.String,
  reason: Schema.Literals(["Unreadable", "Unwritable", "Exposed", "Invalid", "Contended"]),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    switch (this.reason) {
      case "Unreadable":
        return `The stored token at ${this.path} could not be read. Check owner and mode of the directory.`
      case "Unwritable":
        return `The token could not be stored at ${this.path}. Check space, owner and mode of the directory.`
      case "Exposed":
        return `${this.path} may be read or replaced by other users, so the stored token was not used. Make it private.`
      case "Invalid":
        return `${this.path} is not a stored token of this gateway, device and role. Remove it; a new token will be issued.`
      case "Contended":
        return `Other processes kept changing the stored token at ${this.path}. Try again.`
    }
  }
}

const secretText = {
  Ambiguous: "is one of several sources that are set at once. Set only one of them",
  Unreadable: "names a file or descriptor that could not be read",
  Empty: "gives an empty value",
  NotUtf8: "gives bytes that are not UTF-8 text. Encode a random key file, for example with base64",
  NotADescriptor: "is not the number of a file descriptor",
  NotASeed: "is not a 32-byte Ed25519 seed in hex, base64 or base64url"
} as const

/** A passphrase or a key from the configuration cannot be used. `variable` is where it was configured. */
export class IdentitySecretInvalid extends Schema.TaggedError<IdentitySecretInvalid>()("IdentitySecretInvalid", {
  variable: Schema.String,
  reason: Schema.Literals(["Ambiguous", "Unreadable", "Empty", "NotUtf8", "NotADescriptor", "NotASeed"])
}) {
  override get message(): string {
    return `${this.variable} ${secretText[this.reason]}.`
  }
}

/** Everything that loading or creating an identity can fail with. */
export type IdentityError =
  | IdentityUnreadable
  | IdentityUnwritable
  | IdentityInvalid
  | IdentityInconsistent
  | IdentityLocked
  | IdentityExposed
  | IdentityPathReserved
  | IdentityAbsent
