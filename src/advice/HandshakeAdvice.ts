/**
 * Advice on errors of the room `handshake`, and on a frame that is too large to be sent.
 */
import type { SettingsInvalid } from "../handshake/GatewayConfig.ts"
import type { HandshakeError } from "../handshake/HandshakeError.ts"
import type { DialError } from "../link/LinkError.ts"
import type { ApprovalReason } from "../protocol/Refusal.ts"
import type { Entry, Table } from "./Entry.ts"
import * as NextStep from "./NextStep.ts"

const credentialRefused: Entry = {
  problem: "The gateway refused the credential that this program sent.",
  owner: "you",
  action: "Set OPENCLAW_GATEWAY_TOKEN (or _PASSWORD) to the gateway's present one; on the gateway host it can be read.",
  command: "openclaw config get gateway.auth.token",
  next: NextStep.stays
}

/** What the person who runs the gateway is asked for. */
export const newCode = {
  owner: "gateway host",
  action:
    "Ask the person who runs the gateway for a new setup code, and paste that. A code for tools alone: openclaw devices"
    + " join-code.",
  command: "openclaw qr --setup-code-only"
} as const

const proofRefused: Entry = {
  problem: "The gateway did not accept the proof of this device's identity.",
  owner: "this program",
  action: "Report it, with the releases of this program and of the gateway.",
  command: "openclaw-device --version",
  next: NextStep.stays
}

const helloRefused = (problem: string): Entry => ({
  problem,
  owner: "gateway host",
  action: "Make sure that the address is that of an OpenClaw gateway; update this program if the gateway is newer.",
  command: "openclaw --version",
  next: NextStep.stays
})

/** The second approval of a device, which offers tools. */
export const surfaceRequired: Entry = {
  problem: "The gateway's agent may not use the tools of this device yet.",
  owner: "gateway host",
  action: "Approve the tools on the gateway host.",
  command: "openclaw nodes approve <request id>",
  next: NextStep.polls
}

export const handshakeAdvice = {
  PairingRequired: {
    "not-paired": {
      problem: "This device is new to the gateway.",
      owner: "gateway host",
      action: "Approve the device on the gateway host.",
      command: "openclaw devices approve <request id>",
      next: NextStep.polls
    },
    "scope-upgrade": {
      problem: "This device asks for more than it was allowed.",
      owner: "gateway host",
      action: "Compare the asked with the approved scopes, then approve on the gateway host.",
      command: "openclaw devices approve <request id>",
      next: NextStep.polls
    },
    "role-upgrade": {
      problem: "This device asks for a role that it does not have, for example because its token was revoked.",
      owner: "gateway host",
      action: "Make sure that the revocation was not meant to last, then approve on the gateway host.",
      command: "openclaw devices approve <request id>",
      next: NextStep.polls
    },
    "metadata-upgrade": {
      problem: "Something about this device, such as its platform, changed since it was approved.",
      owner: "gateway host",
      action: "Make sure that it is the same device, then approve on the gateway host.",
      command: "openclaw devices approve <request id>",
      next: NextStep.polls
    },
    unspecified: {
      problem: "The gateway wants this device approved.",
      owner: "gateway host",
      action: "List what waits on the gateway host, then approve this device.",
      command: "openclaw devices list",
      next: NextStep.polls
    }
  },
  ChallengeTimeout: {
    problem: "The gateway did not greet this client in time.",
    owner: "gateway host",
    action: "Make sure that the address is that of an OpenClaw gateway, and that the gateway is not overloaded.",
    command: "openclaw gateway status",
    next: NextStep.retries
  },
  ChallengeInvalid: {
    problem: "What greets this client is not an OpenClaw gateway, or not one that this client understands.",
    owner: "gateway host",
    action: "Check the address, and update the gateway.",
    command: "openclaw --version",
    next: NextStep.stays
  },
  HelloTimeout: {
    problem: "The gateway took the connection and then did not answer.",
    owner: "gateway host",
    action: "Nothing, if the gateway is starting or busy. Otherwise look into its log.",
    command: "openclaw logs",
    next: NextStep.retries
  },
  AuthRejected: {
    TokenMissing: {
      problem: "The gateway wants a token, and this program has none.",
      owner: "you",
      action: "Set OPENCLAW_GATEWAY_TOKEN to the gateway's token; on the gateway host it can be read with the command.",
      command: "openclaw config get gateway.auth.token",
      next: NextStep.stays
    },
    PasswordMissing: {
      problem: "The gateway wants a password, and this program has none.",
      owner: "you",
      action: "Set OPENCLAW_GATEWAY_PASSWORD to the gateway's password.",
      next: NextStep.stays
    },
    ScopeMismatch: {
      problem: "The stored device token does not cover what this program asks for.",
      owner: "you",
      action:
        "Ask for fewer scopes, or set OPENCLAW_GATEWAY_TOKEN so that the wider ones can be requested and approved.",
      next: NextStep.stays
    },
    Required: credentialRefused,
    Unauthorized: credentialRefused,
    TokenMismatch: credentialRefused,
    TokenNotConfigured: credentialRefused,
    PasswordMismatch: credentialRefused,
    PasswordNotConfigured: credentialRefused,
    BootstrapTokenInvalid: {
      problem:
        "The gateway refused the setup code: it was used, has expired, was revoked, is another gateway's, or does not let"
        + " a device ask for so much.",
      ...newCode,
      next: NextStep.stays
    },
    DeviceTokenMismatch: credentialRefused,
    TailscaleIdentityMissing: credentialRefused,
    TailscaleProxyMissing: credentialRefused,
    TailscaleWhoisFailed: credentialRefused,
    TailscaleIdentityMismatch: credentialRefused,
    IdentityHeaderRequired: credentialRefused,
    VerifiedUserRequired: credentialRefused,
    ProfileUnavailable: credentialRefused
  },
  RateLimited: {
    problem:
      "The gateway locked this address out after too many wrong credentials; for now it refuses even the right one.",
    owner: "you",
    action: "Correct the credential, and look for other programs on this machine that use a wrong one.",
    next: "This program tries again when the lock-out is over, and not before."
  },
  DeviceProofRejected: {
    SignatureExpired: {
      problem: "The gateway found the signed time too old or too new.",
      owner: "gateway host",
      action: "Check the clock of the gateway host, and for a proxy that holds connections back.",
      command: "timedatectl",
      next: NextStep.stays
    },
    SelfCheckFailed: {
      problem: "This device's signature does not verify with its own public key; nothing was sent.",
      owner: "this program",
      action: "Report it, with the program's version and the platform.",
      command: "openclaw-device --version",
      next: NextStep.stays
    },
    Invalid: proofRefused,
    IdentityRequired: proofRefused,
    DeviceIdMismatch: proofRefused,
    NonceRequired: proofRefused,
    NonceMismatch: proofRefused,
    SignatureInvalid: proofRefused,
    PublicKeyInvalid: proofRefused
  },
  ProtocolMismatch: {
    problem: "This program and the gateway speak different versions of the protocol.",
    owner: "gateway host",
    action: "Update the older side; the message says which it is.",
    command: "openclaw update",
    next: NextStep.stays
  },
  OriginNotAllowed: {
    problem: "The gateway does not accept connections from this Origin.",
    owner: "gateway host",
    action: "Unset OPENCLAW_GATEWAY_ORIGIN, or add exactly that origin to the list on the gateway host.",
    command: 'openclaw config set gateway.controlUi.allowedOrigins \'["<origin>", "<those already there>"]\'',
    next: NextStep.stays
  },
  ClientNotAllowed: {
    problem: "The gateway does not know this client id or mode.",
    owner: "you",
    action: "Unset OPENCLAW_GATEWAY_CLIENT_ID and OPENCLAW_GATEWAY_CLIENT_MODE.",
    next: NextStep.stays
  },
  GatewayUnavailable: {
    problem: "The gateway is there but not ready yet.",
    owner: "gateway host",
    action: "Nothing: it is usually starting.",
    next: "This program tries again when the gateway said that it may."
  },
  GatewayRejected: {
    Refused: {
      problem: "The gateway refused the connection for a reason that this program does not know.",
      owner: "gateway host",
      action: "Read the gateway's message and log; update this program if the gateway is newer.",
      command: "openclaw logs",
      next: NextStep.stays
    },
    HelloUnreadable: helloRefused("The gateway accepted the connection with an answer that this program cannot read."),
    RoleNotOffered: helloRefused("The gateway accepted the connection in a role that this program did not ask for.")
  },
  ScopesNarrowed: {
    problem: "The gateway let this device in without the scopes that it needs.",
    owner: "gateway host",
    action: "Approve the wider scopes on the gateway host, or ask for fewer with OPENCLAW_GATEWAY_SCOPES.",
    command: "openclaw devices list",
    next: NextStep.stays
  },
  FrameTooLarge: {
    problem: "What was to be sent is larger than the gateway takes; nothing was sent.",
    owner: "you",
    action: "Send less at once: a shorter task, or fewer and shorter settings if it was the connect itself.",
    next: NextStep.stays
  },
  SettingsInvalid: {
    problem: "Some settings cannot be used; the message names each of them.",
    owner: "you",
    action: "Correct them where they are set: by variable, by flag or in the code that starts the agent.",
    next: NextStep.nothingStarted
  }
} satisfies Table<Exclude<HandshakeError, DialError> | SettingsInvalid>

/** What waits for a person, and what to do about it. */
export const approvalAdvice = (reason: ApprovalReason): Entry =>
  reason === "surface" ? surfaceRequired : handshakeAdvice.PairingRequired[reason]
