/**
 * The gateway's certificate was checked before anything of the request was sent, and it did not pass.
 */
import * as Schema from "effect/Schema"

/** What identifies a certificate. Nothing of it is secret. */
const seen = {
  /** Host and port that were dialled. */
  host: Schema.String,
  /** `sha256:AB:CD:...` of the certificate that the gateway showed. */
  seenCertificate: Schema.String,
  /** `sha256//<base64>` of the public key in it. */
  seenKey: Schema.String
}

/** Neither the certificate nor its key is pinned. */
export class TlsPinMismatch extends Schema.TaggedError<TlsPinMismatch>()("TlsPinMismatch", {
  /**
   * `Rotated`: a known authority vouches for this certificate and this host name, so it was most likely renewed.
   * `Unknown`: no authority does; this may be another machine, or an attacker in between.
   */
  reason: Schema.Literals(["Rotated", "Unknown"]),
  ...seen,
  /** The pins that are set, as the setting spells them. */
  expected: Schema.Array(Schema.String)
}) {
  /** Whether the certificate would pass without pins. */
  get caValid(): boolean {
    return this.reason === "Rotated"
  }
  override get message(): string {
    return `the certificate of ${this.host} is not the pinned one; ${
      this.caValid
        ? "a known authority vouches for it, so it was probably renewed"
        : "no known authority vouches for it, so this may be another machine"
    }. Nothing was sent. Expected ${
      this.expected.join(" or ")
    }; seen ${this.seenCertificate} with the key ${this.seenKey}`
      + " (setting OPENCLAW_GATEWAY_TLS_PINS)"
  }
}

/**
 * What is wrong with a certificate, as a person needs to know it. `UnknownAuthority`: issued by an authority that is not
 * known here.
 */
export const UntrustedReason = Schema.Literals([
  "Expired",
  "NotYetValid",
  "HostMismatch",
  "UnknownAuthority",
  "SelfSigned",
  "Revoked",
  "Other"
])
export type UntrustedReason = typeof UntrustedReason.Type

/** No authority that this program knows vouches for the certificate now and for this host. */
export class TlsUntrusted extends Schema.TaggedError<TlsUntrusted>()("TlsUntrusted", {
  reason: UntrustedReason,
  ...seen,
  /** The TLS library's name of the problem, such as `CERT_HAS_EXPIRED`. */
  code: Schema.String,
  /** The validity that the certificate states, in milliseconds since 1970. */
  validFromMs: Schema.Finite,
  validToMs: Schema.Finite,
  /** The names of its subjectAltName, printable. */
  names: Schema.String
}) {
  override get message(): string {
    return `the certificate of ${this.host} is not trusted: ${this.#why} (${this.code}). Nothing was sent. Seen`
      + ` ${this.seenCertificate} with the key ${this.seenKey}`
  }
  get #why(): string {
    switch (this.reason) {
      case "Expired":
        return `it was valid until ${day(this.validToMs)}`
      case "NotYetValid":
        return `it is valid from ${day(this.validFromMs)} on`
      case "HostMismatch":
        return this.names === "" ? "it names no host" : `it is for ${this.names}`
      case "UnknownAuthority":
        return "no authority that this program knows has issued it"
      case "SelfSigned":
        return "it vouches for itself alone"
      case "Revoked":
        return "its authority has revoked it"
      case "Other":
        return "it was not accepted"
    }
  }
}

const day = (ms: number): string => Number.isFinite(ms) ? new Date(ms).toISOString().slice(0, 10) : "an unknown day"

/** Names of failed checks in OpenSSL and Nodejs, and what each means for a person. */
const reasons = new Map<string, UntrustedReason>(Object.entries({
  CERT_HAS_EXPIRED: "Expired",
  CERT_NOT_YET_VALID: "NotYetValid",
  ERR_TLS_CERT_ALTNAME_INVALID: "HostMismatch",
  HOSTNAME_MISMATCH: "HostMismatch",
  DEPTH_ZERO_SELF_SIGNED_CERT: "SelfSigned",
  SELF_SIGNED_CERT_IN_CHAIN: "UnknownAuthority",
  UNABLE_TO_GET_ISSUER_CERT: "UnknownAuthority",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "UnknownAuthority",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "UnknownAuthority",
  CERT_UNTRUSTED: "UnknownAuthority",
  CERT_REVOKED: "Revoked"
}))

/**
 * The reason for a check's name in OpenSSL or Nodejs, such as `CERT_HAS_EXPIRED`; `Other` for a name that is not in the
 * table.
 */
export const reasonOf = (code: string): UntrustedReason => reasons.get(code) ?? "Other"
