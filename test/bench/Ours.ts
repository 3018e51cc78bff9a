/**
 * A supervised connection of this library, as an agent has it: its own ephemeral identity (`DeviceIdentity.makeEphemeral`
 * makes the key), device tokens in memory, retries, deadlines and watchdog.
 */
import { Admission } from "effect-openclaw/connection/Admission"
import { Supervisor } from "effect-openclaw/connection/Supervisor"
import { GatewayConfig } from "effect-openclaw/handshake/GatewayConfig"
import { Handshake } from "effect-openclaw/handshake/Handshake"
import { DeviceIdentity } from "effect-openclaw/identity/DeviceIdentity"
import { Signer } from "effect-openclaw/identity/Signer"
import { TokenStore } from "effect-openclaw/identity/TokenStore"
import * as TransportWs from "effect-openclaw/link/TransportWs"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Client, Payload } from "./Client.ts"

/** What a process has once, however many connections it makes. */
const shared = Layer.mergeAll(Admission.layer, TransportWs.layer, SecureRandom.layerWebCrypto, Signer.layerNodejs)
const sharedScope = Scope.makeUnsafe()
const context = Effect.runPromise(Layer.buildWithScope(shared, sharedScope))

const device = Effect.fnUntraced(function*(url: string) {
  const supervisor = yield* Supervisor.make.pipe(
    Effect.provideServiceEffect(Handshake, Handshake.make),
    Effect.provideServiceEffect(
      GatewayConfig,
      Effect.orDie(GatewayConfig.make({ url, token: Redacted.make("a-token") }))
    ),
    Effect.provideServiceEffect(DeviceIdentity, DeviceIdentity.makeEphemeral()),
    Effect.provideServiceEffect(TokenStore, TokenStore.makeMemory)
  )
  return yield* supervisor.session
})

export const client: Client = {
  connect: async (url) => {
    const scope = Scope.makeUnsafe()
    const session = await Effect.runPromise(
      Effect.provideContext(Scope.provide(device(url), scope), await context)
    )
    return {
      request: (method, params) => Effect.runPromise(session.request(method, params)),
      onEvent: (take) => {
        const listening = session.listen(["agent"], { onEvent: ({ payload }) => take(payload as Payload) })
        Effect.runSync(Scope.provide(listening, scope))
      },
      onStreamed: (take) => {
        Effect.runFork(Effect.scoped(
          Effect.flatMap(
            session.subscribe(["agent"], { backpressure: true }),
            ({ events }) =>
              Stream.runForEachArray(events, (all) =>
                Effect.sync(() => {
                  for (const { payload } of all) take(payload as Payload)
                }))
          )
        ))
      },
      close: () => Effect.runPromise(Scope.close(scope, Exit.void))
    }
  }
}
