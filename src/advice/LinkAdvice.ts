/**
 * Advice on errors of the room `link`: an address, a way to the gateway, or a certificate that cannot be used.
 */
import type { EndpointInvalid, InsecureUrl } from "../link/Endpoint.ts"
import type { DialError } from "../link/LinkError.ts"
import type { Entry, Table } from "./Entry.ts"
import * as NextStep from "./NextStep.ts"

const linkEnded: Entry = {
  problem: "The connection to the gateway ended.",
  owner: "network",
  action: "Nothing, if the gateway restarts or the network changes. Otherwise look into the gateway's log.",
  command: "openclaw logs",
  next: NextStep.retries
}

/** Shows until when a certificate is valid. */
export const certificateEnd = "openssl x509 -noout -enddate -in <certificate of the gateway>"

export const linkAdvice = {
  LinkError: {
    Unreachable: {
      problem: "Nothing answers at the gateway's address.",
      owner: "gateway host",
      action: "Start the gateway, or correct the address.",
      command: "openclaw gateway run",
      next: NextStep.retries
    },
    UnknownHost: {
      problem: "The name of the gateway's host has no address.",
      owner: "you",
      action:
        "Correct the host in OPENCLAW_GATEWAY_URL or --gateway-url. Names of a tailnet, of a container network or of the"
        + " local network are known only there.",
      command: "getent hosts <gateway host>",
      next: NextStep.retries
    },
    HungUp: {
      problem: "The other side took the connection and closed it without an answer.",
      owner: "gateway host",
      action:
        "Nothing, if the gateway restarts. If the gateway has TLS and the URL begins with ws://, write wss://. Behind a"
        + " tunnel or the published port of a container, make sure that the gateway runs there.",
      command: "openclaw gateway status",
      next: NextStep.retries
    },
    NotTls: {
      problem: "The port at the gateway's address does not speak TLS, and the URL begins with wss://.",
      owner: "you",
      action:
        "Correct the port. A gateway without TLS is reached by ws:// on its own machine, and from another one by a tunnel.",
      command: "ssh -N -L 18789:127.0.0.1:18789 <gateway host>",
      next: NextStep.retries
    },
    NeedsTls: {
      problem: "The port at the gateway's address speaks TLS, and the URL begins with ws://.",
      owner: "you",
      action: "Write wss:// in OPENCLAW_GATEWAY_URL or --gateway-url.",
      command: "openclaw-device run --gateway-url wss://<gateway host>:<port>",
      next: NextStep.retries
    },
    TlsFailed: {
      problem: "The other side speaks TLS, and the two could not agree on a connection.",
      owner: "gateway host",
      action:
        "Look at the name of the error in the message: the server may be too old (this program speaks TLS 1.2 and 1.3),"
        + " not know the host's name, or want a certificate of the client, which this program does not have.",
      command: "openssl s_client -connect <gateway host>:<port>",
      next: NextStep.retries
    },
    Ssh: {
      problem: "An SSH server answers at the gateway's address.",
      owner: "you",
      action:
        "Write the gateway's port into the URL: 18789, unless it was changed. To reach the gateway through that SSH server,"
        + " open a tunnel.",
      command: "ssh -N -L 18789:127.0.0.1:18789 <gateway host>",
      next: NextStep.retries
    },
    NotWebSocket: {
      problem: "What answers at the gateway's address does not speak the protocol of WebSockets.",
      owner: "you",
      action: "Correct the host and the port of the URL: the gateway's port is 18789, unless it was changed.",
      command: "openclaw gateway status",
      next: NextStep.retries
    },
    ProxyUnreachable: {
      problem: "The proxy of this machine's environment does not answer, or answers as no proxy does.",
      owner: "you",
      action: "Correct HTTPS_PROXY (for wss://), HTTP_PROXY (for ws://) or ALL_PROXY, or name the gateway in NO_PROXY.",
      command: "export NO_PROXY=<gateway host>",
      next: NextStep.retries
    },
    TooLarge: {
      problem: "What answers at the gateway's address sent more at once than a gateway does, so it was cut off.",
      owner: "gateway host",
      action:
        "Make sure that the address is that of an OpenClaw gateway. If it is, report it with the gateway's release.",
      command: "openclaw --version",
      next: NextStep.retries
    },
    Silent: {
      problem: "The gateway has said nothing for two tick intervals.",
      owner: "network",
      action: "Nothing, unless it happens often: then look for a proxy or sleep mode that cuts idle connections.",
      next: NextStep.retries
    },
    Closed: linkEnded,
    Ended: linkEnded
  },
  UpgradeRejected: {
    CloudflareAccess: {
      problem: "Cloudflare Access stands in front of the gateway and did not let this program through.",
      owner: "you",
      action: "Create a service token for this application in Cloudflare Zero Trust, and put its two headers,"
        + " CF-Access-Client-Id and CF-Access-Client-Secret, into the file that OPENCLAW_GATEWAY_HEADERS_FILE names.",
      command: "export OPENCLAW_GATEWAY_HEADERS_FILE=<file with the two lines>",
      next: NextStep.stays
    },
    SignIn: {
      problem: "A sign-in page stands in front of the gateway, and a program cannot sign in.",
      owner: "gateway host",
      action:
        "Let this program past it: by a header (OPENCLAW_GATEWAY_HEADERS_FILE), by an exception for its address, or"
        + " by a tunnel.",
      command: "ssh -N -L 18789:127.0.0.1:18789 <gateway host>",
      next: NextStep.stays
    },
    SecureOnly: {
      problem: "This address answers over TLS only.",
      owner: "you",
      action: "Write wss:// instead of ws:// in OPENCLAW_GATEWAY_URL or --gateway-url.",
      command: "openclaw-device run --gateway-url wss://<gateway host>",
      next: NextStep.stays
    },
    Tailscale: {
      problem: "Tailscale stands in front of the gateway and sent this program elsewhere.",
      owner: "you",
      action:
        "Use the wss://<name>.ts.net address that Tailscale Serve shows on the gateway host, from a machine that is"
        + " signed in to the same tailnet.",
      command: "tailscale serve status",
      next: NextStep.stays
    },
    ProxyAttribution: {
      problem: "The gateway does not trust the proxy that forwards to it, as it is not in gateway.trustedProxies.",
      owner: "gateway host",
      action: "Add the proxy's own address, and no wider range, to the list on the gateway host.",
      command: "openclaw config set gateway.trustedProxies '[\"<address of the proxy>\"]'",
      next: NextStep.stays
    },
    GatewayFull: {
      problem: "The gateway has too many open connections of programs that have not said who they are.",
      owner: "gateway host",
      action: "Nothing, if it passes. Otherwise look on this network for programs that connect and then say nothing.",
      command: "openclaw logs",
      next: NextStep.retries
    },
    Other: {
      problem: "Something in front of the gateway, or the gateway's HTTP side, refused the WebSocket.",
      owner: "gateway host",
      action:
        "Look at the status and the text in the message: 404 is a wrong path, 502 and 504 a gateway that is down behind its"
        + " proxy.",
      command: "openclaw gateway status",
      next:
        "This program tries again by itself when the status is 408, 425, 429 or above 499, or when this gateway has let it in"
        + " before. Otherwise it waits to be told."
    }
  },
  ProxyRejected: {
    Credentials: {
      problem: "The proxy of this machine's environment wants a user name and password, or other ones.",
      owner: "you",
      action:
        "Put them into the URL in HTTPS_PROXY (for wss://) or HTTP_PROXY (for ws://), or name the gateway in NO_PROXY.",
      command: "export NO_PROXY=<gateway host>",
      next: NextStep.stays
    },
    Refused: {
      problem: "The proxy of this machine's environment may not connect to the gateway.",
      owner: "network",
      action: "Have the gateway's host and port allowed on the proxy, or go past it by naming the gateway in NO_PROXY.",
      command: "export NO_PROXY=<gateway host>",
      next: NextStep.stays
    },
    Unreachable: {
      problem: "The proxy of this machine's environment found no way to the gateway.",
      owner: "network",
      action: "Make sure that the gateway runs and that the proxy can reach it, or name the gateway in NO_PROXY.",
      command: "export NO_PROXY=<gateway host>",
      next: NextStep.retries
    },
    Unusable: {
      problem: "The environment names a proxy that this program cannot use.",
      owner: "you",
      action: "Correct HTTPS_PROXY, HTTP_PROXY or ALL_PROXY: http:// and https:// proxies are known, SOCKS is not.",
      command: "export HTTPS_PROXY=http://<proxy host>:<port>",
      next: NextStep.stays
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
      next: NextStep.stays
    },
    Unknown: {
      problem: "The gateway shows another certificate than the pinned one, and no known authority vouches for it.",
      owner: "you",
      action: "Do not trust it yet: read the fingerprint on the gateway host itself. Only if it is the one seen, set"
        + " OPENCLAW_GATEWAY_TLS_PINS to it; otherwise somebody stands in between.",
      command: "openssl x509 -noout -fingerprint -sha256 -in ~/.openclaw/gateway/tls/gateway-cert.pem",
      next: NextStep.stays
    }
  },
  TlsUntrusted: {
    Expired: {
      problem: "The gateway's certificate has expired.",
      owner: "gateway host",
      action: "Renew the certificate on the gateway host; and look whether this machine's clock is right.",
      command: certificateEnd,
      next: NextStep.retries
    },
    NotYetValid: {
      problem: "The gateway's certificate is not valid yet, or this machine's clock is behind.",
      owner: "you",
      action: "Set this machine's clock; if it is right, look at the certificate on the gateway host.",
      command: "timedatectl",
      next: NextStep.retries
    },
    HostMismatch: {
      problem: "The gateway's certificate is for another host name than the one that was dialled.",
      owner: "you",
      action: "Use the name that stands in the certificate, or pin the certificate in OPENCLAW_GATEWAY_TLS_PINS after"
        + " comparing it on the gateway host.",
      command: "openssl x509 -noout -ext subjectAltName -in <certificate of the gateway>",
      next: NextStep.stays
    },
    UnknownAuthority: {
      problem: "The gateway's certificate comes from an authority that this machine does not know.",
      owner: "you",
      action:
        "Set OPENCLAW_GATEWAY_CA_FILE to the authority's certificate in PEM. If that authority is nobody's you know,"
        + " somebody stands in between.",
      command: "export OPENCLAW_GATEWAY_CA_FILE=<ca.pem>",
      next: NextStep.stays
    },
    SelfSigned: {
      problem: "The gateway made its certificate itself, so nobody vouches for it.",
      owner: "you",
      action:
        "Read the fingerprint on the gateway host and, if it is the one seen, set OPENCLAW_GATEWAY_TLS_PINS to it.",
      command: "openssl x509 -noout -fingerprint -sha256 -in ~/.openclaw/gateway/tls/gateway-cert.pem",
      next: NextStep.stays
    },
    Revoked: {
      problem: "The authority that issued the gateway's certificate has revoked it.",
      owner: "gateway host",
      action: "Do not trust it. Have a new certificate issued on the gateway host.",
      command: "openssl x509 -noout -text -in <certificate of the gateway>",
      next: NextStep.stays
    },
    Other: {
      problem: "The gateway's certificate was refused.",
      owner: "gateway host",
      action: "Look at the code in the message, and at the certificate on the gateway host.",
      command: "openssl x509 -noout -text -in <certificate of the gateway>",
      next: NextStep.stays
    }
  },
  EndpointInvalid: {
    problem: "The gateway address cannot be used.",
    owner: "you",
    action: "Correct OPENCLAW_GATEWAY_URL or --gateway-url.",
    command: "openclaw-device run --gateway-url ws://127.0.0.1:18789",
    next: NextStep.nothingStarted
  },
  InsecureUrl: {
    problem: "A plaintext connection to another machine would show tokens and tasks to the network.",
    owner: "you",
    action:
      "Use wss:// (Tailscale Serve on the gateway host gives one), or a tunnel to it. Where the network between is safe,"
      + " OPENCLAW_GATEWAY_PLAINTEXT_HOST may name the one host.",
    command: "ssh -N -L 18789:127.0.0.1:18789 <gateway host>",
    next: NextStep.nothingStarted
  }
} satisfies Table<DialError | EndpointInvalid | InsecureUrl>
