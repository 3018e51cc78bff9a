/**
 * What an agent needs from its host, as a server program has it: a WebSocket, an identity, device tokens and open tasks in
 * private files, keys held by the platform's own crypto.
 */
import * as SecureRandom from "effect/crypto/SecureRandom"
import type { FileSystem } from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type { Path } from "effect/Path"
import { Admission } from "../connection/Admission.ts"
import type { GatewayInput, SettingsInvalid } from "../handshake/GatewayConfig.ts"
import { GatewayConfig } from "../handshake/GatewayConfig.ts"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import type { IdentityError } from "../identity/IdentityError.ts"
import { Signer } from "../identity/Signer.ts"
import { TokenStore } from "../identity/TokenStore.ts"
import type { Transport } from "../link/Transport.ts"
import * as TransportWs from "../link/TransportWs.ts"
import type { Place, PlaceInvalid } from "../pairing/ApproveCommand.ts"
import { ApproveCommands } from "../pairing/ApproveCommand.ts"
import { TaskJournal } from "../tasks/TaskJournal.ts"
import { nodejsProcesses } from "./NodejsProcesses.ts"

/** Where the gateway is, and where the agent keeps its files. */
export interface Options {
  readonly gateway: GatewayInput
  /** A directory of this program's own, durable and writable by nobody else. It is created with mode 0700. */
  readonly stateDirectory: string
  /** Where the gateway lives, for the commands that a person is shown; a shell on its host unless set. */
  readonly place?: Place
}

/**
 * Everything that `Agent.layer` needs. Building it reads or creates the device identity; nothing is dialled yet. It asks for
 * `FileSystem` and `Path`, for example of `@effect/platform-node`.
 */
export const layer = ({ gateway, place, stateDirectory }: Options): Layer.Layer<
  | Admission
  | ApproveCommands
  | DeviceIdentity
  | GatewayConfig
  | SecureRandom.SecureRandom
  | TaskJournal
  | TokenStore
  | Transport,
  IdentityError | PlaceInvalid | SettingsInvalid,
  FileSystem | Path
> =>
  Layer.mergeAll(
    Admission.layer,
    TransportWs.layer,
    GatewayConfig.layerKnown.pipe(
      Layer.provide(GatewayConfig.layer(gateway)),
      Layer.provideMerge(TokenStore.layerFile({ directory: `${stateDirectory}/tokens` }))
    ),
    TaskJournal.layerDevice({ directory: `${stateDirectory}/tasks`, processes: nodejsProcesses }),
    place === undefined ? ApproveCommands.layerAnywhere : ApproveCommands.layer(place)
  ).pipe(
    Layer.provideMerge(
      DeviceIdentity.layerFile({ path: `${stateDirectory}/identity.json` }).pipe(Layer.provide(Signer.layerNodejs))
    ),
    Layer.provideMerge(SecureRandom.layerWebCrypto)
  )
