/**
 * A supervised device and a gateway on one test clock, joined in memory.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Admission } from "../../src/connection/Admission.ts"
import type { ConnectionStatus } from "../../src/connection/ConnectionStatus.ts"
import { Supervisor } from "../../src/connection/Supervisor.ts"
import type { Options } from "../../src/devgateway/DevGateway.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import type { GatewayInput } from "../../src/handshake/GatewayConfig.ts"
import { GatewayConfig } from "../../src/handshake/GatewayConfig.ts"
import { Handshake } from "../../src/handshake/Handshake.ts"
import type { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { TokenStore } from "../../src/identity/TokenStore.ts"
import type { Transport } from "../../src/link/Transport.ts"
import * as MemoryTransport from "../../src/testing/MemoryTransport.ts"
import * as Device from "./Device.ts"

/** What a supervisor needs, whatever the transport. */
export type Host = Admission | Handshake | GatewayConfig | DeviceIdentity | TokenStore

/** The gateway's shared token: with it a device has to pair. */
export const sharedToken = Redacted.make("shared-token")
/** Lets a device in without pairing. */
export const operatorToken = Redacted.make("operator-token")

/** The device on a transport of the test's choice, with the gateway's shared token unless said otherwise. */
export const host = <A, E, R>(
  transport: Layer.Layer<A, E, R>,
  client: GatewayInput = { token: sharedToken }
): Layer.Layer<A | Host, E, Exclude<R, never> | Exclude<Transport, A>> =>
  Layer.mergeAll(
    Admission.layer,
    Handshake.layer.pipe(Layer.provideMerge(transport)),
    Layer.orDie(GatewayConfig.layer(client)),
    Device.layer,
    TokenStore.layerMemory
  )

/** The device and a `DevGateway`. */
export const layer = (options: {
  readonly gateway?: Partial<Options>
  readonly client?: GatewayInput
} = {}): Layer.Layer<DevGateway | Transport | Host> =>
  host(MemoryTransport.layer.pipe(Layer.provideMerge(DevGateway.layerTest(options.gateway))), options.client)

export interface Running {
  readonly supervisor: Supervisor["Service"]
  /** Every status since the start. */
  readonly seen: ReadonlyArray<ConnectionStatus>
  /** Waits for a status of this kind, the present one included. */
  readonly reached: <Tag extends ConnectionStatus["_tag"]>(
    tag: Tag
  ) => Effect.Effect<Extract<ConnectionStatus, { readonly _tag: Tag }>>
  /** Closes the supervisor's scope. */
  readonly stop: Effect.Effect<void>
}

/** The test's own steps, which a scheduler that counts the steps of a supervisor does not see. */
export const unstepped = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(effect, Scheduler.PreventSchedulerYield, true)

const isTag =
  <Tag extends ConnectionStatus["_tag"]>(tag: Tag) =>
  (status: ConnectionStatus): status is Extract<ConnectionStatus, { readonly _tag: Tag }> => status._tag === tag

/** Starts a supervisor in a scope of its own, which the test's scope closes at the latest. */
export const start: Effect.Effect<Running, never, Host | Scope.Scope> = Effect.gen(function*() {
  const scope = yield* Effect.flatMap(Scope.Scope, (parent) => Scope.fork(parent))
  const context = yield* Layer.buildWithScope(Layer.fresh(Supervisor.layer), scope)
  const supervisor = Context.get(context, Supervisor)
  const seen: Array<ConnectionStatus> = []
  yield* Effect.forkScoped(
    Stream.runForEach(supervisor.changes, ({ status }) => Effect.sync(() => void seen.push(status))),
    {
      startImmediately: true
    }
  )
  return {
    supervisor,
    seen,
    reached: (tag) =>
      supervisor.changes.pipe(
        Stream.map(({ status }) => status),
        Stream.filter(isTag(tag)),
        Stream.runHead,
        Effect.flatMap((found) => Effect.fromOption(found)),
        Effect.orDie,
        unstepped
      ),
    // As a scope that `Effect.scoped` closes: whoever is interrupted while closing still closes all of it.
    stop: Effect.uninterruptible(Scope.close(scope, Exit.void))
  }
})
