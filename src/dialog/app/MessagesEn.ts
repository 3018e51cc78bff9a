import type { Messages } from "./Messages.ts"

const stays = "This program stays up and does not try again until its settings change or it is told to."
const works = "The device keeps working with what was approved."
const polls = "This program asks again by itself and goes on as soon as the device is approved."

export const english: Messages = {
  titles: {
    required: "Approve this device",
    more: "More scopes wait for approval",
    expired: "The request has expired",
    halted: "Not connected"
  },
  superseded: "The gateway replaced the request. The earlier command no longer works; use the one below.",
  expiring: (left) => `The gateway is not being asked at the moment and drops this request in ${left}.`,
  expired:
    "The gateway dropped the request, so its command no longer works. A new one appears here when the gateway is asked again.",
  meanwhile: "Meanwhile it works with what was approved. It uses the rest as soon as that is approved too.",
  ends: {
    resolved: "Device approved. Nothing has to be restarted.",
    widened: "More scopes approved. Nothing has to be restarted.",
    rejected: `More scopes were rejected. ${works}`,
    expired: `The request for more scopes expired unanswered. ${works}`,
    replaced: `The request for more scopes was rejected, or it expired. ${works}`,
    unseen: `Nobody answered the request for more scopes. ${works}`,
    refused: `The gateway does not accept a request for more scopes. ${works}`,
    ended: `This program no longer asks for more scopes. ${works}`
  },
  cancelled: "No longer waiting for approval.",
  lost: "This page has lost contact with the agent and keeps trying. What it shows may be out of date.",
  refused: "The agent does not accept this page's key. Open the address that the agent printed last.",
  place: "Where does the gateway run?",
  places: {
    host: "On a host",
    docker: "Docker",
    compose: "Docker Compose",
    kubectl: "Kubernetes",
    ssh: "Over SSH",
    wsl: "WSL",
    powershell: "PowerShell"
  },
  run: "Run this where the gateway runs",
  runList: "See what waits for approval",
  runFirst: "List what waits for approval",
  command: "Command",
  noRequestId:
    "The gateway named no request. List what waits, find this device by its code, and approve it by its request id.",
  noCommand: "There is no command to show. Approve this device with the gateway's own tools.",
  fill: (words) => `Replace ${words} before you run it.`,
  copy: "Copy",
  copied: "Copied",
  selected: "The browser does not allow copying. The command is selected: press Ctrl+C or ⌘C.",
  notCopied: "The browser does not allow copying. Select the command by hand.",
  compare: "Compare the device",
  compareHelp: "Approve only if the gateway shows a device whose id begins with these digits.",
  requested: "Asks for",
  approved: "Allowed so far",
  none: "nothing",
  added: "new",
  gateway: "Gateway",
  asked: "Asked",
  said: "Message",
  responsible: "Where to act",
  owners: {
    you: "where this program runs",
    "gateway host": "the gateway host",
    network: "the network between",
    "this program": "the authors of this program"
  },
  waiting: "Waiting for approval",
  checking: "Asking the gateway…",
  nextCheck: (left) => `Asks again in ${left}`,
  unreachable: (left) => `Gateway out of reach, next attempt in ${left}`,
  checkNow: "Check now",
  tryAgain: "Try again",
  notAsked: "The agent could not be told to check.",
  dismiss: "Dismiss",
  reopen: { pending: "Approval needed", halted: "Not connected" },
  failures: {
    PairingRequired: {
      "not-paired": {
        problem: "This device is new to the gateway.",
        action: "Approve the device on the gateway host.",
        next: polls
      },
      "scope-upgrade": {
        problem: "This device asks for more than it was allowed.",
        action: "Compare the asked with the approved scopes, then approve on the gateway host.",
        next: polls
      },
      "role-upgrade": {
        problem: "This device asks for a role that it does not have, for example because its token was revoked.",
        action: "Make sure that the revocation was not meant to last, then approve on the gateway host.",
        next: polls
      },
      "metadata-upgrade": {
        problem: "Something about this device, such as its platform, changed since it was approved.",
        action: "Make sure that it is the same device, then approve on the gateway host.",
        next: polls
      },
      other: {
        problem: "The gateway wants this device approved.",
        action: "List what waits on the gateway host, then approve this device.",
        next: polls
      }
    },
    ApprovalTimedOut: {
      problem: "Nobody approved this device, or its request was replaced too often.",
      action: "Ask again when somebody can approve it; make sure that only one program uses this identity.",
      next: stays
    },
    AuthRejected: {
      TokenMissing: {
        problem: "The gateway wants a token, and this program has none.",
        action:
          "Set OPENCLAW_GATEWAY_TOKEN to the gateway's token; on the gateway host it can be read with the command.",
        next: stays
      },
      PasswordMissing: {
        problem: "The gateway wants a password, and this program has none.",
        action: "Set OPENCLAW_GATEWAY_PASSWORD to the gateway's password.",
        next: stays
      },
      BootstrapTokenInvalid: {
        problem:
          "The gateway refused the setup code: it was used, has expired, was revoked, is another gateway's, or does not let"
          + " a device ask for so much.",
        action:
          "Ask the person who runs the gateway for a new setup code, and paste that. A code for tools alone: openclaw devices"
          + " join-code.",
        next: stays
      },
      ScopeMismatch: {
        problem: "The stored device token does not cover what this program asks for.",
        action:
          "Ask for fewer scopes, or set OPENCLAW_GATEWAY_TOKEN so that the wider ones can be requested and approved.",
        next: stays
      },
      other: {
        problem: "The gateway refused the credential that this program sent.",
        action:
          "Set OPENCLAW_GATEWAY_TOKEN (or _PASSWORD) to the gateway's present one; on the gateway host it can be read.",
        next: stays
      }
    }
  }
}
