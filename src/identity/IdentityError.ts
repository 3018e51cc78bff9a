/**
 * What can go wrong with an identity: one class for each thing that a caller treats differently. No field and no message
 * holds a key, a passphrase or the content of a file.
 */
import * as Schema from "effect/Schema"
import { ReservedReason } from "../storage/StateDirectory.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { exposedMessage, ExposedReason, unreadableMessage, unwritableMessage } from "../storage/StorageError.ts"

/** The file could not be read. It may be intact, so nothing was created or changed. `owner` is a numeric user id. */
export class IdentityUnreadable extends Schema.TaggedError<IdentityUnreadable>()("IdentityUnreadable", {
  path: Schema.String,
  errno: Schema.optionalKey(Schema.String),
  owner: Schema.optionalKey(Schema.Int),
  mode: Schema.optionalKey(Schema.Int),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return unreadableMessage(this)
  }
}

/** The file could not be written. The earlier content is still there. */
export class IdentityUnwritable extends Schema.TaggedError<IdentityUnwritable>()("IdentityUnwritable", {
  path: Schema.String,
  errno: Schema.optionalKey(Schema.String),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return unwritableMessage(this)
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

/** The file exists, but this release cannot use it as an identity. The file stays unchanged. */
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
  /** Name of the faulty field, never its value. */
  field: Schema.optionalKey(Schema.String)
}) {
  /** The fault alone, for a file that is only read. */
  get problem(): string {
    return `${this.path} ${invalidText[this.reason]}${this.field === undefined ? "" : ` (field ${this.field})`}.`
  }
  override get message(): string {
    return `${this.problem} The file was not touched.`
  }
}

const inconsistentText = {
  PublicKey: "the public key does not belong to the private key",
  DeviceId: "the device id does not belong to the key",
  Checksum: "the checksum does not match the fields"
} as const

/** The parts of the file contradict each other: it was edited, mixed from two identities, or damaged. It stays unchanged. */
export class IdentityInconsistent extends Schema.TaggedError<IdentityInconsistent>()("IdentityInconsistent", {
  path: Schema.String,
  reason: Schema.Literals(["PublicKey", "DeviceId", "Checksum"])
}) {
  /** The fault alone, for a file that is only read. */
  get problem(): string {
    return `${this.path}: ${inconsistentText[this.reason]}.`
  }
  override get message(): string {
    return `${this.problem} The file was not touched.`
  }
}

const lockedText = {
  PassphraseMissing: "is encrypted and no passphrase was configured",
  PassphraseWrong: "is encrypted and the passphrase does not open it",
  AlreadyEncrypted: "is encrypted already",
  NotEncrypted: "is not encrypted, so there is no passphrase to change"
} as const

/** The passphrase does not fit the private key, or one of the two is missing. The file stays unchanged. */
export class IdentityLocked extends Schema.TaggedError<IdentityLocked>()("IdentityLocked", {
  path: Schema.String,
  reason: Schema.Literals(["PassphraseMissing", "PassphraseWrong", "AlreadyEncrypted", "NotEncrypted"])
}) {
  override get message(): string {
    return `${this.path} ${lockedText[this.reason]}. The file was not touched.`
  }
}

/** Other users could read or replace the identity, so it was not used. */
export class IdentityExposed extends Schema.TaggedError<IdentityExposed>()("IdentityExposed", {
  path: Schema.String,
  reason: ExposedReason,
  /** Numeric user id, for `ForeignOwner`. */
  owner: Schema.optionalKey(Schema.Int),
  mode: Schema.optionalKey(Schema.Int)
}) {
  override get message(): string {
    return exposedMessage(this, this.reason, "key")
  }
}

/** Translates a fault of the private file into a fault of the identity in it. */
export const fromStorage = (
  { cause, errno, mode, owner, path, reason }: StorageError
): IdentityUnreadable | IdentityUnwritable | IdentityExposed => {
  const facts = { path, ...(cause === undefined ? {} : { cause }), ...(errno === undefined ? {} : { errno }) }
  switch (reason) {
    case "Unreadable":
      return new IdentityUnreadable({
        ...facts,
        ...(owner === undefined ? {} : { owner }),
        ...(mode === undefined ? {} : { mode })
      })
    case "Unwritable":
      return new IdentityUnwritable(facts)
    default:
      return new IdentityExposed({
        path,
        reason,
        ...(owner === undefined ? {} : { owner }),
        ...(mode === undefined ? {} : { mode })
      })
  }
}

const reservedText = {
  RetiredIdentityFile:
    "OpenClaw keeps its identity in a database and refuses to start, gateway and clients alike, while this old file exists",
  RetiredTokenFile: "OpenClaw retired this file and refuses to start while it exists",
  OpenClawDirectory: "the directory belongs to OpenClaw itself",
  OpenClawStateDirectory: "the directory is OpenClaw's own (OPENCLAW_STATE_DIR)"
} as const

/** The path belongs to OpenClaw, so this program never writes there. It can read the file for an import. */
export class IdentityPathReserved extends Schema.TaggedError<IdentityPathReserved>()("IdentityPathReserved", {
  path: Schema.String,
  reason: ReservedReason
}) {
  override get message(): string {
    return `${this.path} cannot hold the identity of this program: ${reservedText[this.reason]}.`
  }
}

/** There is no identity, and the caller does not want one created. */
export class IdentityAbsent extends Schema.TaggedError<IdentityAbsent>()("IdentityAbsent", { path: Schema.String }) {
  override get message(): string {
    return `There is no identity at ${this.path}.`
  }
}

/** Another identity is stored at this path already. It stays unchanged. */
export class IdentityExists extends Schema.TaggedError<IdentityExists>()("IdentityExists", {
  path: Schema.String,
  deviceId: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    const device = this.deviceId === undefined ? "" : ` (device ${this.deviceId})`
    return `${this.path} already holds an identity${device}. It was not touched.`
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

const secretText = {
  Ambiguous: "is one of several sources that are set at once",
  Unreadable: "names a file or descriptor that could not be read",
  Empty: "gives an empty value",
  NotUtf8: "gives bytes that are not UTF-8 text",
  NotADescriptor: "is not the number of a file descriptor",
  NotASeed: "is not a 32-byte Ed25519 seed in hex, base64 or base64url"
} as const

/** A passphrase or a key from the configuration cannot be used. `variable` names the setting. */
export class IdentitySecretInvalid extends Schema.TaggedError<IdentitySecretInvalid>()("IdentitySecretInvalid", {
  variable: Schema.String,
  reason: Schema.Literals(["Ambiguous", "Unreadable", "Empty", "NotUtf8", "NotADescriptor", "NotASeed"])
}) {
  override get message(): string {
    return `${this.variable} ${secretText[this.reason]}.`
  }
}

/** Every failure of loading or creating an identity. */
export type IdentityError =
  | IdentityUnreadable
  | IdentityUnwritable
  | IdentityInvalid
  | IdentityInconsistent
  | IdentityLocked
  | IdentityExposed
  | IdentityPathReserved
  | IdentityAbsent
