/**
 * What the devices of a process have in common besides the database: sockets, keys, the gateway's patience.
 */
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Layer from "effect/Layer"
import { Signer } from "../identity/Signer.ts"
import * as TransportWs from "../link/TransportWs.ts"
import { ApproveCommands } from "../pairing/ApproveCommand.ts"
import * as SharedAdmission from "./SharedAdmission.ts"
import * as SqlTokenStore from "./SqlTokenStore.ts"

/** One for a process. */
export const layer = Layer.mergeAll(
  SharedAdmission.layer,
  TransportWs.layer,
  ApproveCommands.layerAnywhere,
  SqlTokenStore.layer,
  Signer.layerNodejs,
  SecureRandom.layerWebCrypto
)
