/**
 * Certificates made in the test: an authority, what it issues, and what vouches for itself. ECDSA on P-256, DER by hand
 * (RFC 5280; ITU-T X.690), as Node reads certificates and makes none.
 */
import { createHash, generateKeyPairSync, type KeyObject, sign, X509Certificate } from "node:crypto"
import { isIP } from "node:net"

export interface Identity {
  /** PEM. */
  readonly certificate: string
  /** PEM, PKCS#8. */
  readonly privateKey: string
  /** The certificate's fingerprint as it is pinned: `sha256:AB:CD:...`. */
  readonly fingerprint: string
  /** The public key as it is pinned: `sha256//...`. */
  readonly keyPin: string
}

export interface Authority extends Identity {
  readonly issue: (options?: Options) => Identity
}

export interface Options {
  /** Host names and IPv4 addresses; `localhost` unless given. */
  readonly names?: ReadonlyArray<string>
  /** Days from now; negative is the past. */
  readonly fromDay?: number
  readonly toDay?: number
  /** The key of another one, as a renewal may keep it. */
  readonly keyOf?: Identity
}

export const authority = (name: string): Authority => {
  const keys = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const own = certify({ subject: name, issuer: name, signer: keys.privateKey, keys, isAuthority: true, options: {} })
  return {
    ...own,
    issue: (options = {}) => {
      const leaf = keysOf(options.keyOf)
      return certify({
        subject: "gateway",
        issuer: name,
        signer: keys.privateKey,
        keys: leaf,
        isAuthority: false,
        options
      })
    }
  }
}

/** A certificate that nobody but its own key vouches for, as OpenClaw's gateway makes one. */
export const selfSigned = (options: Options = {}): Identity => {
  const keys = keysOf(options.keyOf)
  return certify({
    subject: "openclaw-gateway",
    issuer: "openclaw-gateway",
    signer: keys.privateKey,
    keys,
    isAuthority: false,
    options
  })
}

interface Keys {
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

const known = new WeakMap<Identity, Keys>()
const keysOf = (identity: Identity | undefined): Keys =>
  (identity === undefined ? undefined : known.get(identity)) ?? generateKeyPairSync("ec", { namedCurve: "P-256" })

const certify = ({ isAuthority, issuer, keys, options, signer, subject }: {
  readonly subject: string
  readonly issuer: string
  readonly keys: Keys
  readonly signer: KeyObject
  readonly isAuthority: boolean
  readonly options: Options
}): Identity => {
  const { fromDay = -1, names = ["localhost"], toDay = 30 } = options
  const algorithm = sequence(oid("1.2.840.10045.4.3.2"))
  const spki = keys.publicKey.export({ type: "spki", format: "der" })
  const extensions = isAuthority
    ? [extension("2.5.29.19", sequence(der(0x01, Buffer.of(0xff))), true)]
    : [
      extension("2.5.29.19", sequence(), true),
      ...(names.length === 0 ? [] : [extension("2.5.29.17", sequence(...names.map(alternativeName)))])
    ]
  const serial = createHash("sha256").update(spki).update(`${fromDay} ${toDay} ${names.join()}`).digest().subarray(0, 8)
  const body = sequence(
    der(0xa0, integer(Buffer.of(2))),
    integer(Buffer.concat([Buffer.of(1), serial])),
    algorithm,
    nameOf(issuer),
    sequence(time(fromDay), time(toDay)),
    nameOf(subject),
    spki,
    der(0xa3, sequence(...extensions))
  )
  const certificate = pem(sequence(body, algorithm, bits(sign("sha256", body, signer))))
  const identity: Identity = {
    certificate,
    privateKey: keys.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    fingerprint: `sha256:${new X509Certificate(certificate).fingerprint256}`,
    keyPin: `sha256//${createHash("sha256").update(spki).digest("base64")}`
  }
  known.set(identity, keys)
  return identity
}

const der = (tag: number, ...parts: ReadonlyArray<Uint8Array>): Buffer => {
  const content = Buffer.concat(parts)
  const length = content.length < 0x80
    ? Buffer.of(content.length)
    : content.length < 0x100
    ? Buffer.of(0x81, content.length)
    : Buffer.of(0x82, content.length >> 8, content.length & 0xff)
  return Buffer.concat([Buffer.of(tag), length, content])
}

const sequence = (...parts: ReadonlyArray<Uint8Array>) => der(0x30, ...parts)
const integer = (bytes: Uint8Array) => der(0x02, bytes)
const bits = (bytes: Uint8Array) => der(0x03, Buffer.of(0), bytes)

const oid = (dotted: string) => {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number)
  const bytes = rest.flatMap((part) => {
    const groups = [part & 0x7f]
    for (let left = part >> 7; left > 0; left >>= 7) groups.unshift((left & 0x7f) | 0x80)
    return groups
  })
  return der(0x06, Buffer.of(first * 40 + second, ...bytes))
}

const extension = (id: string, value: Uint8Array, critical = false) =>
  sequence(oid(id), ...(critical ? [der(0x01, Buffer.of(0xff))] : []), der(0x04, value))

const nameOf = (common: string) => sequence(der(0x31, sequence(oid("2.5.4.3"), der(0x0c, Buffer.from(common)))))

const alternativeName = (name: string) =>
  isIP(name) === 4 ? der(0x87, Buffer.from(name.split(".").map(Number))) : der(0x82, Buffer.from(name))

const time = (day: number) => {
  const at = new Date(Date.now() + day * 86_400_000)
  return der(0x17, Buffer.from(`${at.toISOString().slice(2, 19).replaceAll(/[-:T]/g, "")}Z`))
}

const pem = (bytes: Buffer): string =>
  `-----BEGIN CERTIFICATE-----\n${
    (bytes.toString("base64").match(/.{1,64}/g) ?? []).join("\n")
  }\n-----END CERTIFICATE-----\n`
