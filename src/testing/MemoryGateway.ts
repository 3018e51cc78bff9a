/**
 * A host for an agent under test: a gateway in memory, an identity and device tokens that live as long as the test.
 */
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { Admission } from "../connection/Admission.ts"
import type { Options } from "../devgateway/DevGateway.ts"
import { DevGateway } from "../devgateway/DevGateway.ts"
import type { GatewayInput, SettingsInvalid } from "../handshake/GatewayConfig.ts"
import { GatewayConfig } from "../handshake/GatewayConfig.ts"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import { Signer } from "../identity/Signer.ts"
import { TokenStore } from "../identity/TokenStore.ts"
import type { Transport } from "../link/Transport.ts"
import { ApproveCommands } from "../pairing/ApproveCommand.ts"
import { TaskJournal } from "../tasks/TaskJournal.ts"
import * as MemoryTransport from "./MemoryTransport.ts"

/** The shared token of `DevGateway.layerTest`. */
export const sharedToken = Redacted.make("shared-token")

/** Everything that `Agent.layer` needs of its host, and the gateway itself. It writes and opens nothing. */
export const layer = (options?: {
  readonly gateway?: Partial<Options>
  readonly client?: GatewayInput
}): Layer.Layer<
  | Admission
  | DevGateway
  | Transport
  | GatewayConfig
  | DeviceIdentity
  | TokenStore
  | ApproveCommands
  | TaskJournal
  | SecureRandom.SecureRandom,
  SettingsInvalid
> =>
  Layer.mergeAll(
    MemoryTransport.layer.pipe(Layer.provideMerge(DevGateway.layerTest(options?.gateway))),
    GatewayConfig.layer({ token: sharedToken, ...options?.client }),
    Layer.orDie(DeviceIdentity.layerEphemeral()).pipe(Layer.provide(Signer.layer)),
    Admission.layer,
    TokenStore.layerMemory,
    TaskJournal.layerMemory,
    Layer.orDie(ApproveCommands.layer({ _tag: "host" }))
  ).pipe(Layer.provideMerge(SecureRandom.layerWebCrypto))
