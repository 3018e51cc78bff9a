/**
 * An agent on a development gateway, with the page that its own server serves.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Redacted from "effect/Redacted"
import * as Agent from "../../../../src/agent/Agent.ts"
import { DevGateway } from "../../../../src/devgateway/DevGateway.ts"
import { DialogServer } from "../../../../src/dialog/DialogServer.ts"
import * as MemoryGateway from "../../../../src/testing/MemoryGateway.ts"
import type { PairingHost } from "./PairingHost.ts"
import type { Site } from "./Site.ts"

export const realHost = async (site: Site): Promise<PairingHost> => {
  const runtime = ManagedRuntime.make(
    DialogServer.layer({ site: `${site.folder}/site` }).pipe(
      Layer.provideMerge(Agent.layer()),
      Layer.provideMerge(MemoryGateway.layer()),
      Layer.provide(Layer.mergeAll(NodeServices.layer, SecureRandom.layerWebCrypto)),
      Layer.provide(Logger.layer([]))
    )
  )
  const context = await runtime.context()
  return {
    url: Redacted.value(Context.get(context, DialogServer).url),
    run: async (command) => {
      const [, requestId] = /^openclaw devices approve (\S+)$/.exec(command) ?? []
      await runtime.runPromise(Effect.flatMap(DevGateway, (gateway) => gateway.approve(requestId ?? "")))
    },
    close: () => runtime.dispose()
  }
}
