import { assert, describe, it } from "@effect/vitest"
import * as Redacted from "effect/Redacted"
import type { Offer, Refused } from "../../src/connection/Credentials.ts"
import { choose, judge, nothingRefused } from "../../src/connection/Credentials.ts"
import type { GatewayInput } from "../../src/handshake/GatewayConfig.ts"
import { AuthRejected } from "../../src/handshake/HandshakeError.ts"
import type { StoredToken } from "../../src/identity/TokenStore.ts"
import type { AuthReason } from "../../src/protocol/Refusal.ts"
import * as Device from "../support/Device.ts"

const secret = (text: string) => Redacted.make(text)
const stored = (scopes: ReadonlyArray<string> = ["operator.read", "operator.write"]): StoredToken => ({
  token: Device.token("stored"),
  scopes,
  storedAtMs: 0
})
const local = (input: GatewayInput = {}) => Device.settings(input)
const remote = (input: GatewayInput = {}) => Device.settings({ url: "wss://gateway.example", ...input })

/** A credential as its kind and secret. */
const shown = ({ credential }: Offer): string => {
  switch (credential._tag) {
    case "SharedToken":
    case "DeviceToken":
    case "SetupCode":
      return `${credential._tag} ${Redacted.value(credential.token)}`
    case "Password":
      return `Password ${Redacted.value(credential.password)}`
    case "None":
      return "None"
  }
}

const refusal = (reason: AuthReason, offer: Offer) => new AuthRejected({ reason, sent: offer.credential._tag })
const both: Refused = { shared: true, stored: true }
const sharedRefused: Refused = { shared: true, stored: false }

describe("Credentials", () => {
  describe("which is offered", () => {
    const cases: ReadonlyArray<readonly [string, GatewayInput, StoredToken | undefined, Refused, string]> = [
      ["nothing configured, nothing stored", {}, undefined, nothingRefused, "None"],
      ["a token", { token: secret("t") }, undefined, nothingRefused, "SharedToken t"],
      ["a password", { password: secret("p") }, undefined, nothingRefused, "Password p"],
      [
        "a token wins over a password",
        { token: secret("t"), password: secret("p") },
        undefined,
        nothingRefused,
        "SharedToken t"
      ],
      [
        "G03: a configured token wins over the stored one",
        { token: secret("t") },
        stored(),
        nothingRefused,
        "SharedToken t"
      ],
      ["F44: the stored one where nothing is configured", {}, stored(), nothingRefused, "DeviceToken stored"],
      [
        "the stored one after the shared was refused",
        { token: secret("t") },
        stored(),
        sharedRefused,
        "DeviceToken stored"
      ],
      ["a setup code", { bootstrapToken: secret("c") }, undefined, nothingRefused, "SetupCode c"],
      [
        "a setup code in place of a token and a password",
        { bootstrapToken: secret("c"), token: secret("t"), password: secret("p") },
        undefined,
        nothingRefused,
        "SetupCode c"
      ],
      [
        "the stored one wins over a setup code",
        { bootstrapToken: secret("c") },
        stored(),
        nothingRefused,
        "DeviceToken stored"
      ],
      [
        "a setup code after the stored one was refused",
        { bootstrapToken: secret("c") },
        stored(),
        { shared: false, stored: true },
        "SetupCode c"
      ],
      ["the shared again where nothing is stored", { token: secret("t") }, undefined, sharedRefused, "SharedToken t"],
      ["the shared again when both were refused", { password: secret("p") }, stored(), both, "Password p"]
    ]
    it.each(cases)("%s", (_, input, token, refused, expected) => {
      assert.strictEqual(shown(choose(local(input), token, refused)), expected)
    })

    it("a shared credential asks for all configured scopes", () => {
      const settings = local({ token: secret("t"), scopes: ["operator.read", "operator.admin"] })
      assert.deepStrictEqual<ReadonlyArray<string>>(
        choose(settings, stored(["operator.read"]), nothingRefused).scopes,
        [
          "operator.read",
          "operator.admin"
        ]
      )
    })

    const scopes: ReadonlyArray<readonly [ReadonlyArray<string>, ReadonlyArray<string>, ReadonlyArray<string>]> = [
      [["operator.read", "operator.write"], ["operator.read"], ["operator.read"]],
      [["operator.read", "operator.write"], ["operator.write"], ["operator.read", "operator.write"]],
      [["operator.read", "operator.pairing"], ["operator.admin"], ["operator.read", "operator.pairing"]],
      [["operator.admin"], ["operator.write"], []],
      [["operator.talk", "operator.talk.secrets"], ["operator.write"], ["operator.talk"]],
      [["custom.scope"], ["operator.admin"], []],
      [["custom.scope"], ["custom.scope"], ["custom.scope"]]
    ]
    it.each(scopes)("asked %j with a token for %j: asks %j", (wanted, granted, asked) => {
      const offer = choose(local({ scopes: wanted }), stored(granted), nothingRefused)
      assert.deepStrictEqual<ReadonlyArray<string>>(offer.scopes, asked)
    })
  })

  describe("what a refusal says, judged by what was sent", () => {
    it("a wrong shared token, with a stored one, to loopback: the stored one is worth one try", () => {
      const settings = local({ token: secret("t") })
      const offer = choose(settings, stored(), nothingRefused)
      assert.deepStrictEqual(judge(refusal("TokenMismatch", offer), offer, settings, stored(), nothingRefused), {
        refused: sharedRefused,
        forgetStored: false,
        tryOther: true
      })
    })

    it("not to another machine, where somebody in between could keep it", () => {
      const settings = remote({ token: secret("t") })
      const offer = choose(settings, stored(), nothingRefused)
      assert.isFalse(judge(refusal("TokenMismatch", offer), offer, settings, stored(), nothingRefused).tryOther)
    })

    it("B13: to a gateway whose certificate or key is pinned, as to this machine", () => {
      for (const tlsTrust of ["pin", "ca-and-pin"]) {
        const settings = remote({ token: secret("t"), tlsPins: "ab".repeat(32), tlsTrust })
        const offer = choose(settings, stored(), nothingRefused)
        assert.isTrue(judge(refusal("TokenMismatch", offer), offer, settings, stored(), nothingRefused).tryOther)
      }
    })

    it("not without a stored one, and not a second time", () => {
      const settings = local({ token: secret("t") })
      const offer = choose(settings, undefined, nothingRefused)
      assert.isFalse(judge(refusal("TokenMismatch", offer), offer, settings, undefined, nothingRefused).tryOther)
      const second = { shared: false, stored: true }
      assert.isFalse(judge(refusal("TokenMismatch", offer), offer, settings, stored(), second).tryOther)
    })

    it("G03: a code that blames the device token forgets nothing when the shared one was sent", () => {
      const settings = local({ token: secret("t") })
      const offer = choose(settings, stored(), nothingRefused)
      for (const reason of ["DeviceTokenMismatch", "TokenMismatch", "ScopeMismatch"] as const) {
        assert.isFalse(judge(refusal(reason, offer), offer, settings, stored(), nothingRefused).forgetStored)
      }
    })

    const dead: ReadonlyArray<readonly [AuthReason, boolean]> = [
      ["TokenMismatch", true],
      ["DeviceTokenMismatch", true],
      ["Unauthorized", true],
      ["PasswordMismatch", true],
      ["ScopeMismatch", false],
      ["TokenMissing", false],
      ["TokenNotConfigured", false],
      ["PasswordMissing", false],
      ["ProfileUnavailable", false]
    ]
    it.each(dead)("a stored token that was sent and met %s is forgotten: %s", (reason, forgotten) => {
      const settings = local()
      const offer = choose(settings, stored(), nothingRefused)
      assert.deepStrictEqual(judge(refusal(reason, offer), offer, settings, stored(), nothingRefused), {
        refused: { shared: false, stored: true },
        forgetStored: forgotten,
        tryOther: false
      })
    })

    it("a stored token that was asked for more than it is good for is not judged dead", () => {
      const settings = local({ scopes: ["operator.admin"] })
      const token = stored(["operator.read"])
      const offer = { ...choose(settings, token, nothingRefused), scopes: settings.scopes }
      assert.isFalse(judge(refusal("TokenMismatch", offer), offer, settings, token, nothingRefused).forgetStored)
    })

    it("after both were refused nothing is left to try", () => {
      const settings = local({ token: secret("t") })
      const offer = choose(settings, stored(), sharedRefused)
      assert.strictEqual(offer.credential._tag, "DeviceToken")
      const judgement = judge(refusal("TokenMismatch", offer), offer, settings, stored(), sharedRefused)
      assert.deepStrictEqual(judgement, { refused: both, forgetStored: true, tryOther: false })
    })

    it("no credential at all was refused: a person has to act", () => {
      const settings = local()
      const offer = choose(settings, undefined, nothingRefused)
      assert.isFalse(judge(refusal("TokenMissing", offer), offer, settings, undefined, nothingRefused).tryOther)
    })
  })
})
