/**
 * What to tell a person about each failure: what happened, whose side it is, what to do and where, and what happens next.
 *
 * One entry for each error class, and one for each reason that needs another answer. This is the only place with advice, so
 * that no two parts of the program can contradict each other. Nothing here asks anybody to restart this program.
 */

/** Who can end the failure: whoever runs this program, who runs the gateway, the network between, or our authors. */
export type Owner = "you" | "gateway host" | "network" | "this program"

export interface Entry {
  readonly problem: string
  readonly owner: Owner
  readonly action: string
  /** A command to run, where one helps. Words in angle brackets are to be filled in. */
  readonly command?: string
  readonly next: string
}

const retries = "This program keeps trying by itself, less and less often, at most every 30 seconds."
const stays = "This program stays up and does not try again until its settings change or it is told to."
const notTaken = "The task was not taken, and nothing was sent."
const over = "The task is over; it is not sent by itself."
const polls = "This program asks again by itself and goes on as soon as the device is approved."

const withoutPage = "Everything else goes on; the notices on the terminal say the same."

/** Entries by class; a class with reasons names its own entry for any other reason `other`. */
export const catalogue: Readonly<Record<string, Entry | Readonly<Record<string, Entry>>>> = {
  PairingRequired: {
    "not-paired": {
      problem: "This device is new to the gateway.",
      owner: "gateway host",
      action: "Approve the device on the gateway host.",
      command: "openclaw devices approve <request id>",
      next: polls
    },
    "scope-upgrade": {
      problem: "This device asks for more than it was allowed.",
      owner: "gateway host",
      action: "Compare the asked with the approved scopes, then approve on the gateway host.",
      command: "openclaw devices approve <request id>",
      next: polls
    },
    "role-upgrade": {
      problem: "This device asks for a role that it does not have, for example because its token was revoked.",
      owner: "gateway host",
      action: "Make sure that the revocation was not meant to last, then approve on the gateway host.",
      command: "openclaw devices approve <request id>",
      next: polls
    },
    "metadata-upgrade": {
      problem: "Something about this device, such as its platform, changed since it was approved.",
      owner: "gateway host",
      action: "Make sure that it is the same device, then approve on the gateway host.",
      command: "openclaw devices approve <request id>",
      next: polls
    },
    other: {
      problem: "The gateway wants this device approved.",
      owner: "gateway host",
      action: "List what waits on the gateway host, then approve this device.",
      command: "openclaw devices list",
      next: polls
    }
  },
  ApprovalTimedOut: {
    problem: "Nobody approved this device, or its request was replaced too often.",
    owner: "gateway host",
    action: "Ask again when somebody can approve it; make sure that only one program uses this identity.",
    command: "openclaw devices list",
    next: stays
  },
  InternalError: {
    problem: "Something failed that must not fail; the log has the details.",
    owner: "this program",
    action: "Report it, with the log.",
    next: stays
  },
  LinkError: {
    Unreachable: {
      problem: "Nothing answers at the gateway's address.",
      owner: "gateway host",
      action: "Start the gateway, or correct the address.",
      command: "openclaw gateway run",
      next: retries
    },
    Silent: {
      problem: "The gateway has said nothing for two tick intervals.",
      owner: "network",
      action: "Nothing, unless it happens often: then look for a proxy or sleep mode that cuts idle connections.",
      next: retries
    },
    other: {
      problem: "The connection to the gateway ended.",
      owner: "network",
      action: "Nothing, if the gateway restarts or the network changes. Otherwise look into the gateway's log.",
      command: "openclaw logs",
      next: retries
    }
  },
  ChallengeTimeout: {
    problem: "The gateway did not greet this client in time.",
    owner: "gateway host",
    action: "Make sure that the address is that of an OpenClaw gateway, and that the gateway is not overloaded.",
    command: "openclaw gateway status",
    next: retries
  },
  ChallengeInvalid: {
    problem: "What greets this client is not an OpenClaw gateway, or not one that this client understands.",
    owner: "gateway host",
    action: "Check the address, and update the gateway.",
    command: "openclaw --version",
    next: stays
  },
  HelloTimeout: {
    problem: "The gateway took the connection and then did not answer.",
    owner: "gateway host",
    action: "Nothing, if the gateway is starting or busy. Otherwise look into its log.",
    command: "openclaw logs",
    next: retries
  },
  AuthRejected: {
    TokenMissing: {
      problem: "The gateway wants a token, and this program has none.",
      owner: "you",
      action: "Set OPENCLAW_GATEWAY_TOKEN to the gateway's token; on the gateway host it can be read with the command.",
      command: "openclaw config get gateway.auth.token",
      next: stays
    },
    PasswordMissing: {
      problem: "The gateway wants a password, and this program has none.",
      owner: "you",
      action: "Set OPENCLAW_GATEWAY_PASSWORD to the gateway's password.",
      next: stays
    },
    ScopeMismatch: {
      problem: "The stored device token does not cover what this program asks for.",
      owner: "you",
      action:
        "Ask for fewer scopes, or set OPENCLAW_GATEWAY_TOKEN so that the wider ones can be requested and approved.",
      next: stays
    },
    other: {
      problem: "The gateway refused the credential that this program sent.",
      owner: "you",
      action:
        "Set OPENCLAW_GATEWAY_TOKEN (or _PASSWORD) to the gateway's present one; on the gateway host it can be read.",
      command: "openclaw config get gateway.auth.token",
      next: stays
    }
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
      next: stays
    },
    SelfCheckFailed: {
      problem: "This device's signature does not verify with its own public key; nothing was sent.",
      owner: "this program",
      action: "Report it, with the program's version and the platform.",
      command: "openclaw-device --version",
      next: stays
    },
    other: {
      problem: "The gateway did not accept the proof of this device's identity.",
      owner: "this program",
      action: "Report it, with the releases of this program and of the gateway.",
      command: "openclaw-device --version",
      next: stays
    }
  },
  ProtocolMismatch: {
    problem: "This program and the gateway speak different versions of the protocol.",
    owner: "gateway host",
    action: "Update the older side; the message says which it is.",
    command: "openclaw update",
    next: stays
  },
  OriginNotAllowed: {
    problem: "The gateway does not accept connections from this Origin.",
    owner: "gateway host",
    action: "Unset OPENCLAW_GATEWAY_ORIGIN, or add exactly that origin to the list on the gateway host.",
    command: 'openclaw config set gateway.controlUi.allowedOrigins \'["<origin>", "<those already there>"]\'',
    next: stays
  },
  ClientNotAllowed: {
    problem: "The gateway does not know this client id or mode.",
    owner: "you",
    action: "Unset OPENCLAW_GATEWAY_CLIENT_ID and OPENCLAW_GATEWAY_CLIENT_MODE.",
    next: stays
  },
  GatewayUnavailable: {
    problem: "The gateway is there but not ready yet.",
    owner: "gateway host",
    action: "Nothing: it is usually starting.",
    next: "This program tries again when the gateway said that it may."
  },
  UpgradeRejected: {
    CloudflareAccess: {
      problem: "Cloudflare Access stands in front of the gateway and did not let this program through.",
      owner: "you",
      action: "Create a service token for this application in Cloudflare Zero Trust, and put its two headers,"
        + " CF-Access-Client-Id and CF-Access-Client-Secret, into the file that OPENCLAW_GATEWAY_HEADERS_FILE names.",
      command: "export OPENCLAW_GATEWAY_HEADERS_FILE=<file with the two lines>",
      next: stays
    },
    SignIn: {
      problem: "A sign-in page stands in front of the gateway, and a program cannot sign in.",
      owner: "gateway host",
      action:
        "Let this program past it: by a header (OPENCLAW_GATEWAY_HEADERS_FILE), by an exception for its address, or"
        + " by a tunnel.",
      command: "ssh -N -L 18789:127.0.0.1:18789 <gateway host>",
      next: stays
    },
    SecureOnly: {
      problem: "This address answers over TLS only.",
      owner: "you",
      action: "Write wss:// instead of ws:// in OPENCLAW_GATEWAY_URL or --gateway-url.",
      command: "openclaw-device run --gateway-url wss://<gateway host>",
      next: stays
    },
    Tailscale: {
      problem: "Tailscale stands in front of the gateway and sent this program elsewhere.",
      owner: "you",
      action:
        "Use the wss://<name>.ts.net address that Tailscale Serve shows on the gateway host, from a machine that is"
        + " signed in to the same tailnet.",
      command: "tailscale serve status",
      next: stays
    },
    ProxyAttribution: {
      problem: "The gateway does not trust the proxy that forwards to it, as it is not in gateway.trustedProxies.",
      owner: "gateway host",
      action: "Add the proxy's own address, and no wider range, to the list on the gateway host.",
      command: "openclaw config set gateway.trustedProxies '[\"<address of the proxy>\"]'",
      next: stays
    },
    GatewayFull: {
      problem: "The gateway has too many open connections of programs that have not said who they are.",
      owner: "gateway host",
      action: "Nothing, if it passes. Otherwise look on this network for programs that connect and then say nothing.",
      command: "openclaw logs",
      next: retries
    },
    other: {
      problem: "Something in front of the gateway, or the gateway's HTTP side, refused the WebSocket.",
      owner: "gateway host",
      action:
        "Look at the status and the text in the message: 404 is a wrong path, 502 and 504 a gateway that is down behind its"
        + " proxy.",
      command: "openclaw gateway status",
      next: "This program tries again by itself when the status is 500 or above; otherwise it waits to be told."
    }
  },
  ProxyRejected: {
    Credentials: {
      problem: "The proxy of this machine's environment wants a user name and password, or other ones.",
      owner: "you",
      action:
        "Put them into the URL in HTTPS_PROXY (for wss://) or HTTP_PROXY (for ws://), or name the gateway in NO_PROXY.",
      command: "export NO_PROXY=<gateway host>",
      next: stays
    },
    Refused: {
      problem: "The proxy of this machine's environment may not connect to the gateway.",
      owner: "network",
      action: "Have the gateway's host and port allowed on the proxy, or go past it by naming the gateway in NO_PROXY.",
      command: "export NO_PROXY=<gateway host>",
      next: stays
    },
    Unreachable: {
      problem: "The proxy of this machine's environment found no way to the gateway.",
      owner: "network",
      action: "Make sure that the gateway runs and that the proxy can reach it, or name the gateway in NO_PROXY.",
      command: "export NO_PROXY=<gateway host>",
      next: retries
    },
    other: {
      problem: "The environment names a proxy that this program cannot use.",
      owner: "you",
      action: "Correct HTTPS_PROXY, HTTP_PROXY or ALL_PROXY: http:// and https:// proxies are known, SOCKS is not.",
      command: "export HTTPS_PROXY=http://<proxy host>:<port>",
      next: stays
    }
  },
  TlsPinMismatch: {
    Rotated: {
      problem: "The gateway shows another certificate than the pinned one, and a known authority vouches for it.",
      owner: "you",
      action:
        "Ask whoever runs the gateway whether it was renewed, compare the fingerprint on the gateway host, and set"
        + " OPENCLAW_GATEWAY_TLS_PINS to it. A pin on the key (sha256//...) outlives renewals that keep the key.",
      command: "openssl x509 -noout -fingerprint -sha256 -in <certificate of the gateway>",
      next: stays
    },
    other: {
      problem: "The gateway shows another certificate than the pinned one, and no known authority vouches for it.",
      owner: "you",
      action: "Do not trust it yet: read the fingerprint on the gateway host itself. Only if it is the one seen, set"
        + " OPENCLAW_GATEWAY_TLS_PINS to it; otherwise somebody stands in between.",
      command: "openssl x509 -noout -fingerprint -sha256 -in ~/.openclaw/gateway/tls/gateway-cert.pem",
      next: stays
    }
  },
  TlsUntrusted: {
    Expired: {
      problem: "The gateway's certificate has expired.",
      owner: "gateway host",
      action: "Renew the certificate on the gateway host; and look whether this machine's clock is right.",
      command: "openssl x509 -noout -enddate -in <certificate of the gateway>",
      next: retries
    },
    NotYetValid: {
      problem: "The gateway's certificate is not valid yet, or this machine's clock is behind.",
      owner: "you",
      action: "Set this machine's clock; if it is right, look at the certificate on the gateway host.",
      command: "timedatectl",
      next: retries
    },
    HostMismatch: {
      problem: "The gateway's certificate is for another host name than the one that was dialled.",
      owner: "you",
      action: "Use the name that stands in the certificate, or pin the certificate in OPENCLAW_GATEWAY_TLS_PINS after"
        + " comparing it on the gateway host.",
      command: "openssl x509 -noout -ext subjectAltName -in <certificate of the gateway>",
      next: stays
    },
    UnknownAuthority: {
      problem: "The gateway's certificate comes from an authority that this machine does not know.",
      owner: "you",
      action:
        "Set OPENCLAW_GATEWAY_CA_FILE to the authority's certificate in PEM. If that authority is nobody's you know,"
        + " somebody stands in between.",
      command: "export OPENCLAW_GATEWAY_CA_FILE=<ca.pem>",
      next: stays
    },
    SelfSigned: {
      problem: "The gateway made its certificate itself, so nobody vouches for it.",
      owner: "you",
      action:
        "Read the fingerprint on the gateway host and, if it is the one seen, set OPENCLAW_GATEWAY_TLS_PINS to it.",
      command: "openssl x509 -noout -fingerprint -sha256 -in ~/.openclaw/gateway/tls/gateway-cert.pem",
      next: stays
    },
    other: {
      problem: "The gateway's certificate was refused.",
      owner: "gateway host",
      action: "Look at the code in the message, and at the certificate on the gateway host.",
      command: "openssl x509 -noout -text -in <certificate of the gateway>",
      next: stays
    }
  },
  ScopesNarrowed: {
    problem: "The gateway let this device in without the scopes that it needs.",
    owner: "gateway host",
    action: "Approve the wider scopes on the gateway host, or ask for fewer with OPENCLAW_GATEWAY_SCOPES.",
    command: "openclaw devices list",
    next: stays
  },
  ScopeUpgradeRefused: {
    NotConnected: {
      problem: "Wider scopes are asked for over a session, and there is none.",
      owner: "network",
      action: "Wait until this program is connected, then ask.",
      next: retries
    },
    UnderWay: {
      problem: "An earlier request for wider scopes still waits for a person.",
      owner: "gateway host",
      action: "Approve or reject that one first.",
      command: "openclaw devices list",
      next: "The session goes on with the scopes that it has."
    },
    NeedsSharedCredential: {
      problem: "This gateway lets a device ask for wider scopes with the gateway's own token or password only.",
      owner: "you",
      action: "Set OPENCLAW_GATEWAY_TOKEN (or _PASSWORD); on the gateway host it can be read with the command.",
      command: "openclaw config get gateway.auth.token",
      next: "The session goes on with the scopes that it has."
    }
  },
  FrameTooLarge: {
    problem: "What was to be sent is larger than the gateway takes; nothing was sent.",
    owner: "you",
    action: "Send less at once: a shorter task, or fewer and shorter settings if it was the connect itself.",
    next: stays
  },
  GatewayRejected: {
    problem: "The gateway refused the connection for a reason that this program does not know.",
    owner: "gateway host",
    action: "Read the gateway's message and log; update this program if the gateway is newer.",
    command: "openclaw logs",
    next: stays
  },
  DialogUnavailable: {
    NoPort: {
      problem: "The page on this machine cannot be served, as no port of 127.0.0.1 is to be had.",
      owner: "you",
      action: "Nothing, if the page is not needed; otherwise see what limits this machine's sockets.",
      command: "openclaw-device run --no-page",
      next: withoutPage
    },
    other: {
      problem: "The page on this machine cannot be served, as it was not built.",
      owner: "you",
      action: "Build it in the folder of this program, or do without it.",
      command: "npm run build",
      next: withoutPage
    }
  },
  EndpointInvalid: {
    problem: "The gateway address cannot be used.",
    owner: "you",
    action: "Correct OPENCLAW_GATEWAY_URL or --gateway-url.",
    command: "openclaw-device run --gateway-url ws://127.0.0.1:18789",
    next: "Nothing was started."
  },
  InsecureUrl: {
    problem: "A plaintext connection to another machine would show tokens and tasks to the network.",
    owner: "you",
    action:
      "Use wss:// (Tailscale Serve on the gateway host gives one), or a tunnel to it. Where the network between is safe,"
      + " OPENCLAW_GATEWAY_PLAINTEXT_HOST may name the one host.",
    command: "ssh -N -L 18789:127.0.0.1:18789 <gateway host>",
    next: "Nothing was started."
  },
  TaskRefused: {
    Empty: {
      problem: "The task has no words.",
      owner: "you",
      action: "Say what is to be done.",
      command: 'openclaw-device delegate "<what to do>"',
      next: notTaken
    },
    TooLarge: {
      problem: "The text of the task is too long.",
      owner: "you",
      action: "Shorten it, or put the material where OpenClaw can read it and name the place.",
      next: notTaken
    },
    TooMany: {
      problem: "As many tasks as may wait for a connection are waiting already.",
      owner: "gateway host",
      action: "See what keeps them: mostly an approval that nobody gave, or a gateway that is down.",
      command: "openclaw-device tasks list",
      next: notTaken
    },
    Stopped: {
      problem: "The connection to the gateway has been stopped for good.",
      owner: "this program",
      action: "Delegate the task to an agent that is connected.",
      next: notTaken
    },
    NotKept: {
      problem: "The task could not be written to the journal, so that a crash might have lost or doubled it.",
      owner: "you",
      action: "Check the space, the owner and the mode of the state directory.",
      next: notTaken
    }
  },
  TaskNotFound: {
    problem: "No task of this name is known here, or it ended long ago.",
    owner: "you",
    action: "Compare the name with those of the open tasks.",
    command: "openclaw-device tasks list",
    next: "Nothing was changed."
  },
  RunFailed: {
    problem: "OpenClaw's agent began the task and could not finish it, for example because its model provider failed.",
    owner: "gateway host",
    action: "Look into the gateway's log, then delegate the task anew.",
    command: "openclaw logs",
    next: over
  },
  TakenAsCommand: {
    problem: "The gateway read the task's text as its own stop command, and no agent got it.",
    owner: "you",
    action: "Delegate it in a whole sentence.",
    next: over
  },
  SessionConflicted: {
    problem: "The session was in use by other work at that very moment, and the gateway did not begin the task.",
    owner: "gateway host",
    action: "Delegate it anew, to a session of its own if this happens often; newer gateways try by themselves.",
    command: 'openclaw-device delegate --session agent:main:<name> "<what to do>"',
    next: "The task is over; nothing ran, and it is not sent by itself."
  },
  RequestRejected: {
    problem: "The gateway refused the request; the message has its words.",
    owner: "gateway host",
    action: "Correct what the message names, such as the session key.",
    command: "openclaw logs",
    next: over
  },
  MissingScope: {
    problem: "This device may not do that: a scope was not granted to it.",
    owner: "gateway host",
    action: "Approve the scope that the message names on the gateway host.",
    command: "openclaw devices list",
    next: over
  },
  Aborted: {
    problem: "The task was aborted, here or at the gateway. What it had done by then stays done.",
    owner: "you",
    action: "Nothing, if that was meant. Otherwise delegate it anew.",
    next: over
  },
  Expired: {
    sent: {
      problem: "OpenClaw did not answer in time, and may still be at work.",
      owner: "gateway host",
      action: "Give such tasks more time with --timeout or OPENCLAW_TASK_TIMEOUT, or look into the gateway's log.",
      command: "openclaw logs",
      next: "The task is over; an answer that comes later is told as late where the program stays up."
    },
    kept: {
      problem: "The task's turn did not come in time: earlier tasks of its session took too long. It was not sent.",
      owner: "gateway host",
      action: "Delegate it anew, to a session of its own if it need not wait for the others.",
      command: 'openclaw-device delegate --session agent:main:<name> "<what to do>"',
      next: over
    }
  },
  Unknown: {
    NoReply: {
      problem: "The link was lost, and the gateway has the task and no reply to it: it may have been done.",
      owner: "gateway host",
      action: "Look at the session on the gateway before the task is delegated anew.",
      command: "openclaw logs",
      next: "The task is over; a reply that comes after all is told as late."
    },
    Absent: {
      problem: "The link was lost, and the gateway took the task and does not have it in its history any more.",
      owner: "gateway host",
      action: "See whether the session was reset, and delegate the task anew if it was not done.",
      command: "openclaw logs",
      next: "The task is over; a reply that comes after all is told as late."
    },
    Unavailable: {
      problem: "The link was lost, and nothing was to be found out about the task: it may have been done.",
      owner: "network",
      action: "See that the gateway can be reached, and look at the session before the task is delegated anew.",
      command: "openclaw gateway status",
      next: "The task is over; a reply that comes after all is told as late."
    }
  }
}

const isEntry = (found: Entry | Readonly<Record<string, Entry>>): found is Entry => typeof found["problem"] === "string"

/** The entry for a failure, by its class and its reason. */
export const lookup = (error: string, reason?: string): Entry | undefined => {
  const found = catalogue[error]
  if (found === undefined || isEntry(found)) return found
  return (reason === undefined ? undefined : found[reason]) ?? found["other"]
}

/** What happened and what to do, as sentences. What comes next is told only where the program stays up. */
export const advice = ({ action, command, problem }: Entry): string =>
  `${problem} ${action}${command === undefined ? "" : ` Command: ${command}`}`
