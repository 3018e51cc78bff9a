/**
 * One device for tests, with a fixed key, and the settings and plans that it connects with.
 */
import * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Credential } from "../../src/handshake/ConnectPlan.ts"
import * as Plan from "../../src/handshake/ConnectPlan.ts"
import type { GatewayInput, GatewaySettings } from "../../src/handshake/GatewayConfig.ts"
import * as GatewayConfig from "../../src/handshake/GatewayConfig.ts"
import type { HandshakeLimits } from "../../src/handshake/Handshake.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { Signer } from "../../src/identity/Signer.ts"
import { AuthToken, PlatformName } from "../../src/protocol/Connect.ts"

export const seed = Redacted.make(Uint8Array.from({ length: 32 }, (_, index) => index + 1), { label: "seed" })
export const platform = PlatformName.make("linux")

/** The same device in every test. */
export const layer: Layer.Layer<DeviceIdentity> = DeviceIdentity.layerSeed({ seed, platform }).pipe(
  Layer.provide(Signer.layerNodejs),
  Layer.orDie
)

export const token = (text: string): Redacted.Redacted<AuthToken> =>
  Redacted.make(Schema.decodeSync(AuthToken)(text), { label: "token" })

/** Checked settings; a mistake in a test throws at once. */
export const settings = (input: GatewayInput = {}): GatewaySettings => Result.getOrThrow(GatewayConfig.check(input))

export const sharedToken: Credential = { _tag: "SharedToken", token: token("shared-token") }

export const plan = (
  identity: DeviceIdentity["Service"],
  choice: { readonly credential?: Credential; readonly proof?: "v2" | "v3" } = {},
  input: GatewayInput = {}
): Plan.ConnectPlan => Plan.make(settings(input), identity, { credential: sharedToken, ...choice })

export const limits: HandshakeLimits = {
  challengeTimeout: Duration.seconds(15),
  helloTimeout: Duration.seconds(15),
  legacyWithoutChallenge: false
}
