import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as LibraryAgent from "./LibraryAgent.ts"
import { boot, type Gateway } from "./OpenClaw.ts"
import { administrator, type RawClient } from "./RawClient.ts"
import { proxy } from "./RemoteProxy.ts"

/** One gateway for all tests of a release, with its administrator. Each test has devices and an address of its own. */
export class Place extends Context.Service<Place, { readonly gateway: Gateway; readonly admin: RawClient }>()(
  "test/interop/support/Place"
) {
  static readonly layer = (release: string) =>
    Layer.effect(
      Place,
      Effect.gen(function*() {
        const gateway = yield* boot(release)
        return { gateway, admin: yield* administrator(gateway) }
      })
    ).pipe(Layer.provideMerge(NodeServices.layer))
}

let addresses = 10

/** A proxy that makes its clients come from an address that no other test has. */
export const ownAddress = Effect.gen(function*() {
  const { gateway } = yield* Place
  return yield* proxy(gateway, { clientAddress: `10.1.2.${++addresses}` })
})

/** Approves what the agent waits for, and lets it look; also when the gateway was started again meanwhile. */
export const approve = Effect.fnUntraced(function*(
  agent: LibraryAgent.LibraryAgent,
  { approval }: LibraryAgent.StatusOf<"AwaitingApproval">
) {
  const { gateway } = yield* Place
  const { requestId } = approval
  yield* Effect.scoped(
    Effect.flatMap(administrator(gateway), (admin) => admin.request("device.pair.approve", { requestId }))
  )
  yield* agent.supervisor.checkNow
  return (yield* agent.until("Connected")).session
})

/** The session of an agent that has just been started, approved if the gateway asks for it. */
export const admitted = Effect.fnUntraced(function*(agent: LibraryAgent.LibraryAgent) {
  const first = yield* agent.settled()
  return first._tag === "AwaitingApproval" ? yield* approve(agent, first) : (yield* agent.until("Connected")).session
})
