/**
 * Whole agents in one process: `node --expose-gc <program> <count> <url> <idle ms>` starts so many agents together, each
 * with an identity of its own (`DeviceIdentity.makeEphemeral`), stores in memory, notifier, tasks and events, and prints one
 * JSON object. They share what a process has once.
 *
 * A failure is a wait or a halt before the first connection, or an agent that is not connected at the end. Idle CPU is the
 * share of one core over one tick interval of the gateway: quiet time, and one tick for each agent.
 */
import * as Agent from "effect-openclaw/agent/Agent"
import { Admission } from "effect-openclaw/connection/Admission"
import { Supervisor } from "effect-openclaw/connection/Supervisor"
import { GatewayConfig } from "effect-openclaw/handshake/GatewayConfig"
import { DeviceIdentity } from "effect-openclaw/identity/DeviceIdentity"
import { Signer } from "effect-openclaw/identity/Signer"
import { TokenStore } from "effect-openclaw/identity/TokenStore"
import * as TransportWs from "effect-openclaw/link/TransportWs"
import { ApproveCommands } from "effect-openclaw/pairing/ApproveCommand"
import { TaskJournal } from "effect-openclaw/tasks/TaskJournal"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { nowMs } from "./Clock.ts"
import { cpuUs, settledHeap } from "./Cost.ts"

const [countText = "", url = "", idleText = ""] = process.argv.slice(2)
const count = Number(countText)
const idleMs = Number(idleText)
const upWithinMs = 240_000

/** What a process has once, however many agents it has. */
const shared = Layer.mergeAll(
  Admission.layer,
  TransportWs.layer,
  SecureRandom.layerWebCrypto,
  Signer.layerNodejs,
  ApproveCommands.layerAnywhere
)
const agent = Agent.make().pipe(
  Effect.provideServiceEffect(
    GatewayConfig,
    Effect.orDie(GatewayConfig.make({ url, token: Redacted.make("a-token") }))
  ),
  Effect.provideServiceEffect(DeviceIdentity, DeviceIdentity.makeEphemeral()),
  Effect.provideServiceEffect(TokenStore, TokenStore.makeMemory),
  Effect.provideServiceEffect(TaskJournal, TaskJournal.makeMemory)
)

const scope = Scope.makeUnsafe()
const context = await Effect.runPromise(Layer.buildWithScope(shared, scope))
let up = 0
let failures = 0

const start = Effect.gen(function*() {
  const supervisor = Context.get(yield* Scope.provide(agent, scope), Supervisor)
  yield* supervisor.changes.pipe(
    Stream.takeUntil(({ status }) => status._tag === "Connected"),
    Stream.runForEach(({ status }) =>
      Effect.sync(() => {
        if (status._tag === "Waiting" || status._tag === "Halted") failures++
      })
    )
  )
  up++
  return supervisor
})
const together = (agents: number) =>
  Effect.runPromise(
    Effect.replicateEffect(start, agents, { concurrency: "unbounded" }).pipe(
      Effect.timeoutOption(upWithinMs),
      Effect.provideContext(context)
    )
  )

// The first agent of a process pays for what all of them share.
await together(1)
const before = await settledHeap()
up = 0
const startMs = nowMs()
let supervisors: ReadonlyArray<Supervisor["Service"]> = []
const us = await cpuUs(async () => {
  const all = await together(count)
  if (Option.isSome(all)) supervisors = all.value
})
if (supervisors.length < count) {
  console.error(`${up} of ${count} agents were up after ${upWithinMs / 1000} s, with ${failures} failures`)
  process.exit(1)
}
const allUpMs = nowMs() - startMs
const heapKb = ((await settledHeap()) - before) / 1024 / count

const first = supervisors[0]
if (first === undefined) throw new Error("no agent was asked for")
const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))
await wait(500)
// The stub's next tick by itself is a whole interval after this one.
const withTickUs = await cpuUs(async () => {
  const status = await Effect.runPromise(first.status)
  if (status._tag === "Connected") await Effect.runPromise(status.session.request("bench.tick", {}))
  await wait(idleMs)
})
const quietUs = await cpuUs(() => wait(idleMs))
const tickIntervalMs = 30_000
const idlePercent = (quietUs / idleMs + Math.max(0, withTickUs - quietUs) / tickIntervalMs) / 10

for (const supervisor of supervisors) {
  if ((await Effect.runPromise(supervisor.status))._tag !== "Connected") failures++
}
console.log(JSON.stringify({ heapKb, cpuMs: us / 1000 / count, allUpS: allUpMs / 1000, failures, idlePercent }))
process.exit(0)
