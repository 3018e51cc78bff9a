/**
 * The cost of a reply that is followed while it is written: `node <program> deltas <url> <scale>` prints as one JSON object the
 * CPU of one delta for a subscriber of the session, who is given it as an event, and for one who follows the parts of a task.
 */
import { Admission } from "effect-openclaw/connection/Admission"
import { Supervisor } from "effect-openclaw/connection/Supervisor"
import { GatewayConfig } from "effect-openclaw/handshake/GatewayConfig"
import { Handshake } from "effect-openclaw/handshake/Handshake"
import { DeviceIdentity } from "effect-openclaw/identity/DeviceIdentity"
import { Signer } from "effect-openclaw/identity/Signer"
import { TokenStore } from "effect-openclaw/identity/TokenStore"
import * as TransportWs from "effect-openclaw/link/TransportWs"
import { TaskJournal } from "effect-openclaw/tasks/TaskJournal"
import { TaskRunner } from "effect-openclaw/tasks/TaskRunner"
import type * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { cpuUs } from "./Cost.ts"

const [, url = "", scale = "1"] = process.argv.slice(2)
const deltas = 10_000
const replies = Math.max(1, Math.round(20 * Number(scale)))

const device = Supervisor.layer.pipe(
  Layer.provide(Handshake.layer),
  Layer.provide(Layer.orDie(GatewayConfig.layer({ url, token: Redacted.make("a-token") }))),
  Layer.provide(Layer.mergeAll(DeviceIdentity.layerEphemeral(), TokenStore.layerMemory)),
  Layer.provide(
    Layer.mergeAll(Admission.layer, TransportWs.layer, Signer.layerNodejs)
  ),
  Layer.provideMerge(SecureRandom.layerWebCrypto)
)
const runner = TaskRunner.layer().pipe(Layer.provide(TaskJournal.layerMemory), Layer.provideMerge(device))

/** A reply whose events a subscriber is given. */
const subscribed = Effect.gen(function*() {
  const session = yield* (yield* Supervisor).session
  const { events } = yield* session.subscribe(["chat"], { backpressure: true })
  yield* session.request("chat.send", {
    sessionKey: "agent:main:main",
    message: `deltas ${deltas}`,
    idempotencyKey: crypto.randomUUID()
  })
  const all = Deferred.makeUnsafe<void>()
  let told = 0
  const read = Stream.runForEachArray(events, (some) =>
    Effect.sync(() => {
      told += some.length
      if (told > deltas) Deferred.doneUnsafe(all, Effect.void)
    }))
  yield* Effect.raceFirst(Deferred.await(all), read)
}).pipe(Effect.scoped)

/** A reply of a task, followed to its end. */
const followed = Effect.gen(function*() {
  const { delegate, parts } = yield* TaskRunner
  const { taskId } = yield* delegate(`deltas ${deltas}`)
  yield* Stream.runForEachArray(parts(taskId), () => Effect.void)
})

const cost = <E, R>(reply: Effect.Effect<void, E, R>) =>
  Effect.contextWith((context: Context.Context<R>) =>
    Effect.promise(() =>
      cpuUs(() => Effect.runPromiseWith(context)(Effect.repeat(reply, { times: replies - 1 })).then(() => undefined))
    )
  ).pipe(Effect.map((us) => us / deltas / replies))

const sample = await Effect.runPromise(Effect.all({
  plainUs: Effect.provide(cost(subscribed), device),
  cpuUs: Effect.provide(cost(followed), runner)
}))
console.log(JSON.stringify(sample))
process.exit(0)
