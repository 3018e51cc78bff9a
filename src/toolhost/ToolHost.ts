/**
 * Serves the tools of this program to the agent of a gateway, as the role *node* of the same device.
 *
 * The connection is a `Supervisor` of its own with the settings of the node. One fiber runs each call; closing the scope
 * interrupts all of them and waits for their finalizers.
 */
import type * as Tool from "effect/ai/Tool"
import type * as Toolkit from "effect/ai/Toolkit"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Admission } from "../connection/Admission.ts"
import type { GatewayStatus } from "../connection/ConnectionStatus.ts"
import type { GatewayConfig } from "../handshake/GatewayConfig.ts"
import type { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import type { TokenStore } from "../identity/TokenStore.ts"
import type { Transport } from "../link/Transport.ts"
import type { ToolDescriptor } from "../protocol/NodeMethod.ts"
import type { Options as HostOptions } from "./Host.ts"
import * as Host from "./Host.ts"
import type { ToolHostStatus } from "./PublishStep.ts"
import type { Handlers } from "./ToolCall.ts"
import * as ToolCatalogue from "./ToolCatalogue.ts"
import type { ToolsRefused } from "./ToolError.ts"

/** How a host serves its tools: bounds, who decides on marked tools, and when the node connects. */
export type Options = HostOptions

/** What a host needs, besides the handlers of its tools. `GatewayConfig` is that of the operator. */
export type Requirements = Admission | DeviceIdentity | GatewayConfig | TokenStore | Transport

/** What the handlers of a toolkit need, and what its schemas need. */
export type HandlersOf<Tools extends Record<string, Tool.Any>> =
  | Tool.HandlersFor<Tools>
  | Tool.HandlerServices<Tools[keyof Tools]>

/** The tools of this program, served to the agent of a gateway. Needs OpenClaw 2026.8 or newer. */
export class ToolHost extends Context.Service<ToolHost, {
  /** How the tools stand with the gateway. */
  readonly status: Effect.Effect<ToolHostStatus>
  /** The present status, then every change. */
  readonly changes: Stream.Stream<ToolHostStatus>
  /**
   * The connection of the role *node*, once it has begun. While a person has to approve the tools, a connected one has a request
   * beside it, with the reason `surface`.
   */
  readonly connection: Stream.Stream<GatewayStatus>
  /** The tools as they are published now. Those of sources change. */
  readonly tools: () => ReadonlyArray<ToolDescriptor>
  /** Calls that run, that wait, and results that are kept for a gateway that asks again. */
  readonly counts: () => { readonly running: number; readonly queued: number; readonly remembered: number }
  /** While the scope is open, somebody is watching: the gateway is asked more often about a pending approval. */
  readonly attend: Effect.Effect<void, never, Scope.Scope>
  /** Tries again now, also where another connection took the place of this one. */
  readonly checkNow: Effect.Effect<void>
}>()("effect-openclaw/toolhost/ToolHost") {
  /** Serves a toolkit whose handlers are up. */
  static readonly make = <Tools extends Record<string, Tool.Any>>(
    toolkit: Toolkit.Toolkit<Tools>,
    options: Options = {}
  ): Effect.Effect<
    ToolHost["Service"],
    ToolsRefused,
    Requirements | HandlersOf<Tools> | Scope.Scope
  > =>
    Effect.gen(function*() {
      const descriptors = yield* Effect.fromResult(ToolCatalogue.describe(toolkit.tools))
      return serviceOf(yield* Host.start(descriptors, options, yield* handlersOf(toolkit)))
    })

  static readonly layer = <Tools extends Record<string, Tool.Any>>(
    toolkit: Toolkit.Toolkit<Tools>,
    options: Options = {}
  ): Layer.Layer<ToolHost, ToolsRefused, Requirements | HandlersOf<Tools>> =>
    Layer.effect(ToolHost, ToolHost.make(toolkit, options))

  /**
   * Serves a toolkit and starts its handlers meanwhile. Until they are up the gateway is told that the tools are not ready, and
   * asks again for two seconds.
   */
  static readonly layerStarting = <Tools extends Record<string, Tool.Any>, E, R>(
    toolkit: Toolkit.Toolkit<Tools>,
    handlers: Layer.Layer<HandlersOf<Tools>, E, R>,
    options: Options = {}
  ): Layer.Layer<ToolHost, ToolsRefused, Requirements | R> =>
    Layer.effect(
      ToolHost,
      Effect.gen(function*() {
        const descriptors = yield* Effect.fromResult(ToolCatalogue.describe(toolkit.tools))
        const host = yield* Host.start(descriptors, options, undefined)
        const scope = yield* Scope.Scope
        yield* Layer.buildWithScope(handlers, scope).pipe(
          Effect.flatMap((context) => Effect.provide(handlersOf(toolkit), context)),
          Effect.catchCause((cause) => Effect.as(Effect.logError("the tools could not start", cause), Host.broken)),
          Effect.flatMap((up) => Host.started(host, up)),
          Effect.forkScoped
        )
        return serviceOf(host)
      })
    )
}

/** The handlers of a toolkit with everything that they need. */
const handlersOf = <Tools extends Record<string, Tool.Any>>(
  toolkit: Toolkit.Toolkit<Tools>
): Effect.Effect<Handlers, never, HandlersOf<Tools>> =>
  Effect.contextWith((context: Context.Context<HandlersOf<Tools>>) =>
    Effect.map(toolkit, (built): Handlers => ({
      tools: built.tools,
      context,
      handle: (name, params, toolCallId) =>
        Effect.map(
          built.handle(name, params as Tool.ParametersEncoded<Tools[keyof Tools]>, toolCallId, { errors: "all" }),
          Stream.provideContext(context)
        ).pipe(Effect.provideContext(context))
    }))
  )

const serviceOf = (self: Host.Host): ToolHost["Service"] => ({
  status: Effect.sync(() => self.memory.status),
  changes: self.changes.subscribe(),
  connection: self.connection.subscribe(),
  tools: () => self.catalogue.descriptors,
  counts: () => {
    const queued = [...self.calls.entries.values()].filter(({ stage }) => stage === "Queued").length
    return { running: self.calls.entries.size - queued, queued, remembered: self.calls.remembered.size }
  },
  attend: Effect.asVoid(
    Effect.forkScoped(
      Effect.flatMap(Deferred.await(self.connecting), ({ attend }) => Effect.andThen(attend, Effect.never))
    )
  ),
  checkNow: Effect.suspend(() => {
    self.link?.news.openUnsafe()
    return self.supervisor?.checkNow ?? Effect.void
  })
})
