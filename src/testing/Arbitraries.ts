/**
 * Generated values of everything that is signed and sent, for property tests. Every value is valid by its type.
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { ConnectPlan, Credential } from "../handshake/ConnectPlan.ts"
import type { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import type { Challenge } from "../protocol/Connect.ts"
import {
  AuthToken,
  ClientId,
  ClientMode,
  DeviceFamily,
  DeviceId,
  DisplayName,
  Nonce,
  PlatformName,
  protocolRange,
  Role,
  ScopeName
} from "../protocol/Connect.ts"
import type { ProofFields } from "../protocol/DeviceProof.ts"

/**
 * Texts are built of letters that matter in the signed text; a filter would reject nearly all arbitrary texts. Only ASCII is
 * lower-cased there: `\u212a` and `\u0130` must stay as they are.
 */
const edge = [
  "a",
  "b",
  "Z",
  "0",
  "9",
  ".",
  ":",
  "_",
  "-",
  "=",
  "{",
  '"',
  "v3",
  "É",
  "ß",
  "\u212a",
  "\u0130",
  "日本",
  "😀"
]

const oneOf = (letters: ReadonlyArray<string>) => Arbitrary.schema(Schema.Literals(letters))

const text = <A>(inner: ReadonlyArray<string>, make: (text: string) => A): Arbitrary.Arbitrary<A> =>
  Arbitrary.map(
    Arbitrary.all([oneOf(edge), Arbitrary.array(oneOf([...edge, ...inner]), { maxLength: 6 }), oneOf(edge)]),
    ([first, middle, last]) => make(`${first}${middle.join("")}${last}`)
  )

const orAbsent = <A>(some: Arbitrary.Arbitrary<A>): Arbitrary.Arbitrary<A | undefined> =>
  Arbitrary.flatMap(
    Arbitrary.schema(Schema.Boolean),
    (present): Arbitrary.Arbitrary<A | undefined> => present ? some : Arbitrary.Constant(undefined)
  )

const secret = (label: string) =>
  Arbitrary.map(text([" ", ","], (value) => AuthToken.make(value)), (token) => Redacted.make(token, { label }))

const scopes = Arbitrary.array(text([" "], (value) => ScopeName.make(value)), { maxLength: 4 })
const platform = text([" "], (value) => PlatformName.make(value))
const deviceFamily = orAbsent(text([" "], (value) => DeviceFamily.make(value)))

/** A challenge that a gateway may send. */
export const arbitraryChallenge: Arbitrary.Arbitrary<Challenge> = Arbitrary.all({
  nonce: text([" "], (value) => Nonce.make(value)),
  ts: Arbitrary.schema(Schema.Natural)
})

/** A credential of every kind. */
export const arbitraryCredential: Arbitrary.Arbitrary<Credential> = Arbitrary.flatMap(
  Arbitrary.schema(Schema.Literals(["SharedToken", "Password", "DeviceToken", "SetupCode", "None"])),
  (_tag): Arbitrary.Arbitrary<Credential> => {
    switch (_tag) {
      case "SharedToken":
      case "SetupCode":
        return Arbitrary.map(secret("token"), (token) => ({ _tag, token }))
      case "DeviceToken":
        return Arbitrary.map(Arbitrary.all([secret("deviceToken"), scopes]), ([token, granted]) => ({
          _tag,
          token,
          scopes: granted
        }))
      case "Password":
        return Arbitrary.map(
          text([" ", ",", "|"], (value) => value),
          (password) => ({ _tag, password: Redacted.make(password, { label: "password" }) })
        )
      case "None":
        return Arbitrary.Constant({ _tag })
    }
  }
)

/** The fields that a device signs. */
export const arbitraryProofFields: Arbitrary.Arbitrary<ProofFields> = Arbitrary.all({
  deviceId: Arbitrary.schema(DeviceId),
  clientId: Arbitrary.schema(ClientId),
  clientMode: Arbitrary.schema(ClientMode),
  role: Arbitrary.schema(Role),
  scopes,
  signedAtMs: Arbitrary.schema(Schema.Natural),
  token: orAbsent(secret("token")),
  platform,
  deviceFamily
})

/** A plan of one attempt by a device. */
export const arbitraryPlan = (identity: DeviceIdentity["Service"]): Arbitrary.Arbitrary<ConnectPlan> =>
  Arbitrary.map(
    Arbitrary.all({
      proof: Arbitrary.schema(Schema.Literals(["v2", "v3"])),
      credential: arbitraryCredential,
      clientId: Arbitrary.schema(ClientId),
      clientMode: Arbitrary.schema(ClientMode),
      clientVersion: text([" "], (value) => value),
      displayName: orAbsent(text([" ", ",", "|"], (value) => DisplayName.make(value))),
      deviceFamily,
      role: Arbitrary.schema(Role),
      scopes,
      caps: Arbitrary.array(Arbitrary.schema(Schema.NonEmptyString), { maxLength: 2 }),
      platform
    }),
    ({ platform, ...fields }): ConnectPlan => ({
      ...fields,
      ...protocolRange,
      identity: { ...identity, platform },
      target: { url: new URL("ws://127.0.0.1:18789"), origin: undefined }
    })
  )
