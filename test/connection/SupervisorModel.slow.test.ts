import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import type { ConnectionStatus } from "../../src/connection/ConnectionStatus.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import { GatewayConfig } from "../../src/handshake/GatewayConfig.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { ScopeName } from "../../src/protocol/Connect.ts"
import * as Device from "../support/Device.ts"
import * as MemoryAgent from "../support/MemoryAgent.ts"

/** What can happen to an agent, in any order. Each is one line of the timeline that a failure prints. */
const Step = Schema.Union([
  Schema.TaggedStruct("Approve", {}),
  Schema.TaggedStruct("Reject", {}),
  Schema.TaggedStruct("Drop", { code: Schema.Literals([1000, 1006, 1008, 1012, 1013, 4001]) }),
  Schema.TaggedStruct("GatewayDown", {}),
  Schema.TaggedStruct("GatewayUp", {}),
  Schema.TaggedStruct("Revoke", {}),
  Schema.TaggedStruct("Rotate", {}),
  Schema.TaggedStruct("Remove", {}),
  Schema.TaggedStruct("Pass", { seconds: Schema.Literals([0, 1, 3, 16, 61, 299, 301, 900]) }),
  Schema.TaggedStruct("CheckNow", {}),
  Schema.TaggedStruct("Attend", {}),
  Schema.TaggedStruct("LookAway", {}),
  Schema.TaggedStruct("Pause", {}),
  Schema.TaggedStruct("Resume", {}),
  /** Asks for more than the settings name. */
  Schema.TaggedStruct("AskForMore", {})
])
type Step = typeof Step.Type

const show = (step: Step): string =>
  step._tag === "Pass" ? `${step.seconds} s pass` : step._tag === "Drop" ? `Drop ${step.code}` : step._tag

/** The model: what of the world decides where the agent has to end up. */
interface World {
  readonly up: boolean
  readonly paired: boolean
  readonly paused: boolean
  readonly attended: boolean
}

/** Where the agent must stand once nothing has happened for long enough. A halt it reached before stays until it is asked. */
const expected = (world: World): ReadonlyArray<ConnectionStatus["_tag"]> => {
  if (world.paused) return ["Paused"]
  if (!world.up) return ["Waiting", "Connecting"]
  return world.paired ? ["Connected"] : ["AwaitingApproval"]
}

/** How many attempts an hour a gateway may see of an agent that stands there; the test watches it for a part of one. */
const watched = { time: "20 minutes", ofAnHour: 1 / 3 } as const
const bound = (status: ConnectionStatus, attended: boolean): number => {
  switch (status._tag) {
    case "Connected":
      // A request for more is asked for at the pace of any other, and never over more than one link at a time.
      return status.upgrade === undefined ? 0 : attended ? 1200 : 125
    case "Waiting":
    case "Connecting":
      return 250
    case "AwaitingApproval":
      return attended ? 1200 : 125
    default:
      return 0
  }
}

/** Approved for reading alone, before its settings name more. */
const pairedNarrow = Effect.gen(function*() {
  const gateway = yield* DevGateway
  const { endpoint } = yield* GatewayConfig
  const settings = { ...Device.settings({ token: MemoryAgent.sharedToken, scopes: ["operator.read"] }), endpoint }
  const running = yield* Effect.provideService(MemoryAgent.start, GatewayConfig, settings)
  yield* running.reached("AwaitingApproval")
  yield* Effect.forEach(yield* gateway.pending, ({ requestId }) => gateway.approve(requestId))
  yield* running.supervisor.checkNow
  yield* running.reached("Connected")
  yield* running.stop
})

const program = Effect.fnUntraced(function*(steps: ReadonlyArray<Step>, before: { readonly paired: boolean }) {
  if (before.paired) yield* pairedNarrow
  const gateway = yield* DevGateway
  const { deviceId } = yield* DeviceIdentity
  const scope = yield* Scope.fork(yield* Effect.scope)
  const { supervisor } = yield* Scope.provide(MemoryAgent.start, scope)
  const timeline: Array<string> = []
  let world: World = { up: true, paired: before.paired, paused: false, attended: false }
  let eyes: Scope.Closeable | undefined

  const ignoreUnknown = Effect.ignore
  const pendingIds = Effect.map(gateway.pending, (pending) => pending.map(({ requestId }) => requestId))
  const take = Effect.fnUntraced(function*(step: Step) {
    switch (step._tag) {
      case "Approve": {
        const ids = yield* pendingIds
        yield* Effect.forEach(ids, (id) => ignoreUnknown(gateway.approve(id)))
        if (ids.length > 0) world = { ...world, paired: true }
        return
      }
      case "Reject":
        return yield* Effect.forEach(yield* pendingIds, (id) => ignoreUnknown(gateway.reject(id)))
      case "Drop":
        return yield* gateway.dropAll(step.code)
      case "GatewayDown":
        world = { ...world, up: false }
        return yield* gateway.stop
      case "GatewayUp":
        world = { ...world, up: true }
        return yield* gateway.start
      case "Revoke":
        yield* ignoreUnknown(gateway.revoke(deviceId))
        world = { ...world, paired: false }
        return
      case "Rotate":
        return yield* ignoreUnknown(gateway.rotate(deviceId))
      case "Remove":
        yield* ignoreUnknown(gateway.remove(deviceId))
        world = { ...world, paired: false }
        return
      case "Pass":
        return yield* TestClock.adjust(`${step.seconds} seconds`)
      case "CheckNow":
        return yield* supervisor.checkNow
      case "Attend":
        if (eyes !== undefined) return
        eyes = yield* Scope.fork(scope)
        world = { ...world, attended: true }
        return yield* Scope.provide(supervisor.attend, eyes)
      case "LookAway":
        if (eyes === undefined) return
        yield* Scope.close(eyes, Exit.void)
        eyes = undefined
        world = { ...world, attended: false }
        return
      case "Pause":
        world = { ...world, paused: true }
        return yield* supervisor.pause
      case "Resume":
        world = { ...world, paused: false }
        return yield* supervisor.resume
      case "AskForMore":
        yield* Effect.forkIn(Effect.ignore(supervisor.upgradeScopes([ScopeName.make("operator.approvals")])), scope)
        return yield* TestClock.adjust(0)
    }
  })
  const stands = Effect.map(supervisor.status, ({ _tag }) => _tag)
  const attempts = Effect.map(gateway.stats, (stats) => stats.attempts)
  const explain = (what: string) => `${what}\n  ${timeline.join("\n  ")}`

  for (const step of steps) {
    yield* take(step)
    timeline.push(`${show(step)} -> ${yield* stands}`)
  }
  // The slowest poll is 240 s, so five quiet minutes are enough to learn of anything.
  yield* TestClock.adjust("5 minutes")
  let at = yield* stands
  if (at === "Halted") {
    const before = yield* attempts
    yield* TestClock.adjust(watched.time)
    assert.strictEqual((yield* attempts) - before, 0, explain("a halted agent knocks"))
    const status = yield* supervisor.status
    assert.isTrue(
      status._tag === "Halted" && status.cause._tag === "ApprovalTimedOut",
      explain(`halted for ${status._tag === "Halted" ? status.cause._tag : status._tag}`)
    )
    yield* supervisor.checkNow
    yield* TestClock.adjust("40 seconds")
    at = yield* stands
  }
  assert.include(expected(world), at, explain(`stands at ${at} in ${JSON.stringify(world)}`))

  const status = yield* supervisor.status
  if (status._tag === "Connected") {
    const works = yield* Effect.result(status.session.request("health", {}))
    assert.strictEqual(works._tag, "Success", explain("a session that does not work"))
  }
  const begun = yield* attempts
  yield* TestClock.adjust(watched.time)
  const after = yield* stands
  const seen = (yield* attempts) - begun
  assert.isAtMost(seen, bound(status, world.attended) * watched.ofAnHour, explain(`${seen} attempts at ${at}`))
  assert.include([...expected(world), "Halted"], after, explain(`later it stands at ${after}`))

  // Whatever happened: the end leaves nothing, and the gateway sees no open link.
  yield* Scope.close(scope, Exit.void)
  assert.strictEqual((yield* gateway.stats).openPeers, 0, explain("a link outlives its agent"))
  const ended = yield* attempts
  yield* TestClock.adjust("1 hour")
  assert.strictEqual(yield* attempts, ended, explain("an agent knocks after its end"))
})

const grown: ReadonlyArray<[string, boolean]> = [["over the session", true], ["by a second attempt", false]]

describe("Supervisor against its model", () => {
  for (const [way, scopeUpgrades] of grown) {
    it.effect.prop(
      `B03 G06: with settings that grew, asked for ${way}, no sequence of events costs a session that there may be`,
      [Arbitrary.array(Arbitrary.schema(Step), { maxLength: 24 })],
      ([steps]) =>
        program(steps, { paired: true }).pipe(
          Effect.scoped,
          Effect.provide(MemoryAgent.layer({ gateway: { scopeUpgrades } })),
          Random.withSeed(JSON.stringify(steps))
        ),
      { arbitrary: { seed: `grown ${way}`, runs: 30 }, timeout: 60_000 }
    )
  }

  it.effect.prop(
    "B01 G04 G18: after any sequence of events it stands where it has to, and knocks no more than allowed",
    [Arbitrary.array(Arbitrary.schema(Step), { maxLength: 24 })],
    ([steps]) =>
      program(steps, { paired: false }).pipe(
        Effect.scoped,
        Effect.provide(MemoryAgent.layer()),
        Random.withSeed(JSON.stringify(steps))
      ),
    { arbitrary: { seed: "supervisor model", runs: 60 }, timeout: 60_000 }
  )
})
