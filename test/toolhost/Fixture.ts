/**
 * A host of tools and a gateway on one test clock, joined in memory.
 */
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { Admission } from "../../src/connection/Admission.ts"
import type { Options as GatewayOptions } from "../../src/devgateway/DevGateway.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import { GatewayConfig } from "../../src/handshake/GatewayConfig.ts"
import { TokenStore } from "../../src/identity/TokenStore.ts"
import * as MemoryTransport from "../../src/testing/MemoryTransport.ts"
import type { ToolHostStatus } from "../../src/toolhost/PublishStep.ts"
import type { Requirements } from "../../src/toolhost/ToolHost.ts"
import { ToolHost } from "../../src/toolhost/ToolHost.ts"
import * as Device from "../support/Device.ts"
import { sharedToken } from "../support/MemoryAgent.ts"

/** A gateway, and what a host of tools needs. */
export const layer = (gateway: Partial<GatewayOptions> = {}): Layer.Layer<DevGateway | Requirements> =>
  Layer.mergeAll(
    Admission.layer,
    MemoryTransport.layer.pipe(Layer.provideMerge(DevGateway.layerTest(gateway))),
    Layer.orDie(GatewayConfig.layer({ token: sharedToken })),
    Device.layer,
    TokenStore.layerMemory
  )

export class NoSuchCity extends Schema.TaggedError<NoSuchCity>()("NoSuchCity", { city: Schema.String }) {
  override get message(): string {
    return `there is no city ${this.city}`
  }
}

export const Weather = Tool.make("effect_weather", {
  description: "The temperature in a city.",
  parameters: Schema.Struct({ city: Schema.NonEmptyString }),
  success: Schema.Struct({ degrees: Schema.Finite }),
  failure: NoSuchCity
})

/** Runs until the test lets it go. */
export const Slow = Tool.make("effect_slow", {
  description: "Takes its time.",
  parameters: Schema.Struct({ name: Schema.String }),
  success: Schema.String
})

export const Tools = Toolkit.make(Weather, Slow)

/** What the slow tool did, by the names that it was given. */
export interface Slowness {
  readonly begun: Array<string>
  readonly stopped: Array<string>
  readonly release: Deferred.Deferred<void>
}

/** Lets the fibers of this program go on until something holds. */
export const until = (holds: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => holds() ? Effect.void : Effect.andThen(Effect.yieldNow, until(holds)))

/** Lets time pass until a fiber has ended. */
export const joined = <A, E>(fiber: Fiber.Fiber<A, E>): Effect.Effect<A, E> =>
  Effect.suspend(() =>
    fiber.pollUnsafe() === undefined
      ? Effect.andThen(TestClock.adjust("50 millis"), joined(fiber))
      : Fiber.join(fiber)
  )

export const slowness: Effect.Effect<Slowness> = Effect.map(
  Deferred.make<void>(),
  (release) => ({ begun: [], stopped: [], release })
)

export const handlers = ({ begun, release, stopped }: Slowness) =>
  Tools.toLayer({
    effect_weather: ({ city }) =>
      city === "Atlantis"
        ? Effect.fail(new NoSuchCity({ city }))
        : city === "Crash"
        ? Effect.die(new Error("a bug with the secret of Crash"))
        : Effect.succeed({ degrees: city.length }),
    effect_slow: ({ name }) =>
      Effect.sync(() => void begun.push(name)).pipe(
        Effect.andThen(Deferred.await(release)),
        Effect.as(`done ${name}`),
        Effect.onInterrupt(() => Effect.sync(() => void stopped.push(name)))
      )
  })

/** Waits for a status of this kind, the present one included. */
export const reached = <Tag extends ToolHostStatus["_tag"]>(
  host: ToolHost["Service"],
  tag: Tag
): Effect.Effect<Extract<ToolHostStatus, { readonly _tag: Tag }>> =>
  host.changes.pipe(
    Stream.filter((status): status is Extract<ToolHostStatus, { readonly _tag: Tag }> => status._tag === tag),
    Stream.runHead,
    Effect.flatMap((found) => Effect.fromOption(found)),
    Effect.orDie
  )

/** Approves the device when it has asked, and lets it ask again. Gives its request. */
export const approveDevice = Effect.gen(function*() {
  const gateway = yield* DevGateway
  const { pending: [device] } = yield* gateway.awaitState(({ pending }) => pending.length > 0)
  yield* Effect.orDie(gateway.approve(device?.requestId ?? ""))
  yield* TestClock.adjust("15 seconds")
  return device
})

/** Approves the device, and then its tools. */
export const approveBoth = Effect.gen(function*() {
  const gateway = yield* DevGateway
  yield* approveDevice
  const { surfaces: [surface] } = yield* gateway.awaitState(({ surfaces }) => surfaces.length > 0)
  yield* Effect.orDie(gateway.approveSurface(surface?.requestId ?? ""))
})

export interface Running {
  readonly host: ToolHost["Service"]
  readonly stop: Effect.Effect<void>
}

/** Builds a host in a scope of its own, which the test's scope closes at the latest. */
export const running = Effect.fnUntraced(function*<E, R>(host: Layer.Layer<ToolHost, E, R>) {
  const scope = yield* Effect.flatMap(Scope.Scope, (parent) => Scope.fork(parent))
  const context = yield* Layer.buildWithScope(Layer.fresh(host), scope)
  const made: Running = {
    host: Context.get(context, ToolHost),
    stop: Effect.uninterruptible(Scope.close(scope, Exit.void))
  }
  return made
})

/** A host of the two tools. */
export const serving = (slow: Slowness, options?: Parameters<typeof ToolHost.layer>[1]) =>
  running(ToolHost.layer(Tools, options).pipe(Layer.provide(handlers(slow))))

/** A host whose two tools are published. */
export const published = Effect.fnUntraced(
  function*(slow: Slowness, options?: Parameters<typeof ToolHost.layer>[1]) {
    const made = yield* serving(slow, options)
    yield* approveBoth
    yield* reached(made.host, "Published")
    return made
  }
)

export const texts = (output: { readonly content: ReadonlyArray<unknown> }): ReadonlyArray<string> =>
  output.content.flatMap((part) =>
    typeof part === "object" && part !== null && "text" in part && typeof part.text === "string" ? [part.text] : []
  )
