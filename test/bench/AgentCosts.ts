/**
 * What connections and agents cost, without a socket: `node --expose-gc AgentCosts.ts` prints one JSON object.
 *
 * The gateway is a callback in the same process that says the challenge and the recorded hello-ok of 2026.9.6. So everything that
 * is counted is this library's own, and counts and bytes are the same in each run, but for a few per cent.
 */
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import { readFileSync } from "node:fs"
import * as Agent from "../../src/agent/Agent.ts"
import { Admission } from "../../src/connection/Admission.ts"
import { Supervisor } from "../../src/connection/Supervisor.ts"
import { GatewayConfig } from "../../src/handshake/GatewayConfig.ts"
import { Handshake } from "../../src/handshake/Handshake.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { Signer } from "../../src/identity/Signer.ts"
import { TokenStore } from "../../src/identity/TokenStore.ts"
import { Transport } from "../../src/link/Transport.ts"
import { ApproveCommands } from "../../src/pairing/ApproveCommand.ts"
import { TaskJournal } from "../../src/tasks/TaskJournal.ts"
import { settledHeap } from "./Cost.ts"

const recorded: unknown = JSON.parse(
  readFileSync(new URL("../vectors/hello-2026.9.6.json", import.meta.url), "utf8")
)
const event = (name: string, payload: unknown) => JSON.stringify({ type: "event", event: name, payload })

const gateway = Layer.succeed(Transport, {
  dial: (_target, { onText }) =>
    Effect.sync(() => {
      queueMicrotask(() => onText(event("connect.challenge", { nonce: "a-nonce-of-this-test", ts: 1 })))
      return {
        sendUnsafe: (text: string) => {
          const { id }: { readonly id: string } = JSON.parse(text)
          // A string of its own for each link, as a socket gives it.
          queueMicrotask(() => onText(JSON.stringify({ type: "res", id, ok: true, payload: recorded })))
          return true
        },
        closeUnsafe: () => {},
        pause: () => {},
        resume: () => {}
      }
    })
})

const shared = Layer.mergeAll(
  Admission.layer,
  gateway,
  SecureRandom.layerWebCrypto,
  Signer.layerNodejs,
  ApproveCommands.layerAnywhere
)
const device = Effect.gen(function*() {
  return Context.make(GatewayConfig, yield* Effect.orDie(GatewayConfig.make({ token: Redacted.make("a-token") }))).pipe(
    Context.add(DeviceIdentity, yield* DeviceIdentity.makeEphemeral()),
    Context.add(TokenStore, yield* TokenStore.makeMemory),
    Context.add(TaskJournal, yield* TaskJournal.makeMemory)
  )
})
const session = ({ session }: Supervisor["Service"]) => session
const connection = Effect.flatMap(device, (own) =>
  Supervisor.make.pipe(
    Effect.provideServiceEffect(Handshake, Handshake.make),
    Effect.tap(session),
    Effect.provideContext(own)
  ))
const agent = Effect.flatMap(device, (own) =>
  Agent.make().pipe(
    Effect.tap((made) => session(Context.get(made, Supervisor))),
    Effect.provideContext(own)
  ))

const context = await Effect.runPromise(Layer.buildWithScope(shared, Scope.makeUnsafe()))
type Host = typeof context extends Context.Context<infer Services> ? Services : never
type Made = Effect.Effect<unknown, never, Host | Scope.Scope>

const heap = async (made: Made): Promise<number> => {
  const count = 400
  const scope = Scope.makeUnsafe()
  const make = (times: number) =>
    Effect.runPromise(
      Effect.replicateEffect(made, times).pipe(Effect.provideContext(context), Scope.provide(scope))
    )
  await make(20)
  const before = await settledHeap()
  const kept = await make(count)
  const each = ((await settledHeap()) - before) / kept.length
  await Effect.runPromise(Scope.close(scope, Exit.void))
  return Math.round(each)
}

/** Operations and fibers from the first to the connected one and to the closed one, with the timers and fibers of an idle one. */
const counts = async (made: Made) => {
  let operations = 0
  let begun = 0
  let alive = 0
  // Not a type of ours: only what the runtime calls.
  const counting = Tracer.make({
    span: (options) => new Tracer.NativeSpan(options),
    context: (primitive, fiber) => {
      operations++
      return primitive["~effect/Effect/evaluate"](fiber)
    }
  })
  const fibers = {
    recordFiberStart: () => {
      begun++
      alive++
    },
    recordFiberEnd: () => {
      alive--
    }
  }
  const run = <A>(effect: Effect.Effect<A, never, Host | Scope.Scope>, scope: Scope.Closeable) =>
    Effect.runPromise(
      effect.pipe(
        Scope.provide(scope),
        Effect.provideContext(context),
        Effect.provideService(Metric.FiberRuntimeMetrics, fibers),
        Effect.provideService(Tracer.Tracer, counting)
      )
    )
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length
  const scope = Scope.makeUnsafe()
  const timersBefore = timers()
  await run(made, scope)
  await new Promise((resolve) => setImmediate(resolve))
  const connected = { operations, begun, alive, timers: timers() - timersBefore }
  await run(Scope.close(scope, Exit.void), Scope.makeUnsafe())
  return { connected, closed: { operations, begun, alive, timers: timers() - timersBefore } }
}

// The first of a process pays for what all of them share.
await heap(connection)
console.log(JSON.stringify({
  connection: { heap: await heap(connection), ...(await counts(connection)) },
  agent: { heap: await heap(agent), ...(await counts(agent)) }
}))
process.exit(0)
