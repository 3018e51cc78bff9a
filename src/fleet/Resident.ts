/**
 * One device in this process: an activation, the agent of that activation, and the next one when it was lost.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberHandle from "effect/FiberHandle"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Agent from "../agent/Agent.ts"
import { AgentEvents } from "../agent/AgentEvents.ts"
import * as Source from "../broadcast/Source.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import { GatewayConfig } from "../handshake/GatewayConfig.ts"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import { IdentityStore } from "../identity/IdentityStore.ts"
import { Transport } from "../link/Transport.ts"
import type { ScopeName } from "../protocol/Connect.ts"
import type { TaskRefused } from "../tasks/TaskError.ts"
import { TaskJournal } from "../tasks/TaskJournal.ts"
import { TaskRunner } from "../tasks/TaskRunner.ts"
import type { Report, UpgradeResult } from "./Device.ts"
import { runIdOf } from "./Device.ts"
import * as DeviceState from "./DeviceState.ts"
import { type Activation, Fence } from "./Fence.ts"
import * as FencedTransport from "./FencedTransport.ts"
import { DelegateRefused, DeviceUnknown } from "./FleetError.ts"
import { Runner, settingsOf } from "./Runner.ts"
import * as SqlIdentityStore from "./SqlIdentityStore.ts"
import * as SqlTaskJournal from "./SqlTaskJournal.ts"
import * as TaskResult from "./TaskResult.ts"

/** The agent of an activation. */
interface Life {
  readonly activation: Activation
  readonly supervisor: Supervisor["Service"]
  readonly tasks: TaskRunner["Service"]
  state: DeviceState.DeviceState
  /** Ends this activation, so that the next one begins. */
  readonly restart: () => void
}

/** A device of this process. */
export interface Resident {
  /** Starts the device unless it is started. Returns at once. */
  readonly ensure: Effect.Effect<void>
  readonly report: Effect.Effect<Report, DeviceUnknown>
  readonly delegate: (
    key: string,
    text: string
  ) => Effect.Effect<TaskResult.TaskResult, DelegateRefused | DeviceUnknown>
  readonly check: Effect.Effect<void, DeviceUnknown>
  readonly abort: (key: string) => Effect.Effect<boolean, DeviceUnknown>
  readonly upgrade: (scopes: ReadonlyArray<ScopeName>) => Effect.Effect<UpgradeResult, DeviceUnknown>
}

/** A failed start is tried again after 1 s, 2 s and so on, at most every 30 s. */
const retries = Schedule.min([Schedule.exponential("1 second"), Schedule.spaced("30 seconds")])

/** A refusal that passes is tried again. */
const passes = ({ reason }: TaskRefused): boolean =>
  reason === "NotKept" || reason === "TooMany" || reason === "Stopped"

/** The agent of an activation, until the scope closes. */
const begin = Effect.fnUntraced(function*(
  runner: Runner["Service"],
  name: string,
  activation: Activation,
  restart: () => void
) {
  const { sessionKeyOf } = runner.options
  const key = sessionKeyOf?.(name) ?? `agent:main:${name}`
  const identity = yield* DeviceIdentity.layerStore().pipe(
    Layer.provide(Layer.effect(IdentityStore, SqlIdentityStore.make(name))),
    Layer.fresh,
    Layer.build
  )
  const config = yield* settingsOf(runner.options, name)
  const transport = FencedTransport.make(yield* Transport, activation)
  const journal = yield* SqlTaskJournal.make(name, activation.epoch)
  const context = yield* Agent.make({ ...runner.options.agent, sessionKey: key }).pipe(
    Effect.provideService(GatewayConfig, config),
    Effect.provideService(Transport, transport),
    Effect.provideService(TaskJournal, journal),
    Effect.provide(identity)
  )
  const life: Life = {
    activation,
    supervisor: Context.get(context, Supervisor),
    tasks: Context.get(context, TaskRunner),
    state: DeviceState.initial,
    restart
  }
  yield* Source.forkRead(Context.get(context, AgentEvents).events, {
    read: (events) =>
      Effect.sync(() => {
        const before = life.state
        for (const event of events) {
          life.state = DeviceState.after(life.state, event)
          runner.publish({ device: name, epoch: activation.epoch, event })
        }
        if (life.state !== before) runner.note({ name, epoch: activation.epoch, state: life.state })
      }),
    failed: "events of a device no longer followed"
  })
  return life
})

/** A device, as long as the scope is open. It is started by `ensure`. */
export const make = Effect.fnUntraced(function*(
  name: string
): Effect.fn.Return<Resident, never, Runner | Scope.Scope> {
  const runner = yield* Runner
  const fence = Context.get(runner.needs, Fence)
  const handle = yield* FiberHandle.make<void>()
  let current = Deferred.makeUnsafe<Life, DeviceUnknown>()
  let isUp = false

  // The link is closed before the activation is given back: scopes close what came last first.
  const live = Effect.gen(function*() {
    const lost = yield* Deferred.make<void>()
    const start = Effect.gen(function*() {
      const activation = yield* fence.take(name)
      const end = () => void Deferred.doneUnsafe(lost, Effect.void)
      activation.onLost(end)
      return yield* Semaphore.withPermits(runner.starts, 1)(begin(runner, name, activation, end))
    })
    const life = yield* start
    Deferred.doneUnsafe(current, Effect.succeed(life))
    yield* Deferred.await(lost)
  }).pipe(
    Effect.scoped,
    Effect.ensuring(Effect.sync(() => {
      if (Deferred.isDoneUnsafe(current)) current = Deferred.makeUnsafe()
    }))
  )

  const run = live.pipe(
    Effect.tapError((error) =>
      error._tag === "DeviceUnknown" ? Effect.void : Effect.logWarning("a device could not be started", error.message)
        .pipe(Effect.annotateLogs({ device: name }))
    ),
    Effect.retry({ schedule: retries, while: (error) => error._tag !== "DeviceUnknown" }),
    Effect.catch(() =>
      Effect.sync(() => void Deferred.doneUnsafe(current, Effect.fail(new DeviceUnknown({ device: name }))))
    ),
    Effect.ignoreCause({ log: "Error", message: "a device died" }),
    Effect.ensuring(Effect.sync(() => void (isUp = false))),
    Effect.provide(runner.needs)
  )

  const ensure = Effect.suspend(() => {
    if (isUp) return Effect.void
    isUp = true
    if (Deferred.isDoneUnsafe(current)) current = Deferred.makeUnsafe()
    return Effect.asVoid(FiberHandle.run(handle, run))
  })
  const remove = Effect.suspend(() => {
    const waiting = current
    return Effect.andThen(
      FiberHandle.clear(handle),
      Effect.sync(() => {
        isUp = false
        const gone = Effect.fail(new DeviceUnknown({ device: name }))
        Deferred.doneUnsafe(waiting, gone)
        Deferred.doneUnsafe(current, gone)
      })
    )
  })
  const entry = { isUp: () => isUp, remove }
  runner.entries.set(name, entry)
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      if (runner.entries.get(name) === entry) runner.entries.delete(name)
    })
  )
  const life = Effect.andThen(ensure, Effect.suspend(() => Deferred.await(current)))

  const once = Effect.fnUntraced(function*(key: string, text: string) {
    const runId = yield* runIdOf(name, key)
    const { activation, restart, supervisor, tasks } = yield* life
    // A defect would be kept as the answer of the key. The database comes back.
    const found = yield* Effect.option(SqlTaskJournal.find(name, runId))
    if (Option.isNone(found)) return Option.none<TaskResult.TaskResult>()
    const known = found.value
    if (known._tag === "Ended") {
      if (known.ended === "Removed") return yield* new DeviceUnknown({ device: name })
      return Option.some(known.result ?? { _tag: "Lost" as const, ended: known.ended })
    }
    if (known._tag === "Open" && !(yield* tasks.list).some((task) => task.runId === runId)) {
      // It waits for its own gateway, or it could not be claimed at the start of this activation.
      if (known.gatewayScope === (yield* supervisor.gatewayScope)) restart()
      return Option.none<TaskResult.TaskResult>()
    }
    const taken = yield* Effect.result(tasks.delegate(text, { runId }))
    if (taken._tag === "Failure") {
      const { failure } = taken
      if (passes(failure)) return Option.none<TaskResult.TaskResult>()
      return yield* new DelegateRefused({ reason: failure.reason, problem: failure.message })
    }
    const ended = yield* Effect.exit(tasks.await(taken.success.taskId))
    if (ended._tag === "Success") return Option.some(TaskResult.fromOutcome(ended.value))
    // The activation is over; the next one goes on with the task.
    if (!activation.mayAct() || Cause.hasInterruptsOnly(ended.cause)) return Option.none<TaskResult.TaskResult>()
    return yield* Effect.die(Cause.squash(ended.cause))
  })

  const taskOf = Effect.fnUntraced(function*(key: string) {
    const runId = yield* runIdOf(name, key)
    const { tasks } = yield* life
    const task = (yield* tasks.list).find((each) => each.runId === runId)
    return { tasks, task }
  })

  return {
    ensure,
    report: Effect.map(life, ({ activation, state }) => ({
      name,
      runner: fence.runner,
      epoch: activation.epoch,
      deviceId: state.deviceId,
      state: state.state,
      ...(state.approval === undefined ? {} : { approval: state.approval })
    })),
    delegate: Effect.fn("Resident.delegate")(function*(key, text) {
      for (let round = 0;; round++) {
        const result = yield* once(key, text)
        if (Option.isSome(result)) return result.value
        yield* Effect.sleep(round < 10 ? "500 millis" : "5 seconds")
      }
    }, Effect.provide(runner.needs)),
    check: Effect.flatMap(life, ({ supervisor }) => supervisor.checkNow),
    abort: Effect.fn("Resident.abort")(function*(key) {
      const { task, tasks } = yield* taskOf(key)
      return task === undefined ? false : yield* Effect.orElseSucceed(tasks.abort(task.taskId), () => false)
    }),
    upgrade: (scopes) =>
      Effect.flatMap(life, ({ supervisor }) =>
        supervisor.upgradeScopes(scopes).pipe(
          Effect.catch((error) => Effect.succeed<UpgradeResult>({ _tag: "Refused", problem: error.message }))
        ))
  }
})
