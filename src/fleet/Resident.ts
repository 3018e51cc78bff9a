/**
 * One device in this process: an activation, the agent of that activation, and the next one when it was lost.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberHandle from "effect/FiberHandle"
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
  const identity = yield* Effect.provideServiceEffect(
    DeviceIdentity.makeStore(),
    IdentityStore,
    SqlIdentityStore.make(name)
  )
  const own = Context.make(DeviceIdentity, identity).pipe(
    Context.add(GatewayConfig, yield* settingsOf(runner.options, name)),
    Context.add(Transport, FencedTransport.make(yield* Transport, activation)),
    Context.add(TaskJournal, yield* SqlTaskJournal.make(name, activation.epoch, activation.mayAct))
  )
  const context = yield* Effect.provide(Agent.make({ ...runner.options.agent, sessionKey: key }), own)
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

/** What a device is while its scope is open. */
interface Self {
  readonly name: string
  readonly runner: Runner["Service"]
  readonly fence: Fence["Service"]
  readonly handle: FiberHandle.FiberHandle<void>
  /** The present life, or the next one while there is none. */
  current: Deferred.Deferred<Life, DeviceUnknown>
  isUp: boolean
}

/** One activation and its agent, until the device is lost. The link is closed before the activation is given back. */
const live = (self: Self) =>
  Effect.gen(function*() {
    const { fence, name, runner } = self
    const lost = yield* Deferred.make<void>()
    const activation = yield* fence.take(name)
    const end = () => void Deferred.doneUnsafe(lost, Effect.void)
    activation.onLost(end)
    const life = yield* Semaphore.withPermits(runner.starts, 1)(begin(runner, name, activation, end))
    Deferred.doneUnsafe(self.current, Effect.succeed(life))
    yield* Deferred.await(lost)
  }).pipe(
    // Scopes close what came last first.
    Effect.scoped,
    Effect.ensuring(Effect.sync(() => {
      if (Deferred.isDoneUnsafe(self.current)) self.current = Deferred.makeUnsafe()
    }))
  )

const run = (self: Self) =>
  Effect.suspend(() => live(self)).pipe(
    Effect.tapError((error) =>
      error._tag === "DeviceUnknown" ? Effect.void : Effect.logWarning("a device could not be started", error.message)
        .pipe(Effect.annotateLogs({ device: self.name }))
    ),
    Effect.retry({ schedule: retries, while: (error) => error._tag !== "DeviceUnknown" }),
    Effect.catch(() => Effect.sync(() => void Deferred.doneUnsafe(self.current, gone(self)))),
    Effect.ignoreCause({ log: "Error", message: "a device died" }),
    Effect.ensuring(Effect.sync(() => void (self.isUp = false))),
    Effect.provide(self.runner.needs)
  )

const gone = ({ name }: Self) => Effect.fail(new DeviceUnknown({ device: name }))

const ensure = (self: Self): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (self.isUp) return Effect.void
    self.isUp = true
    if (Deferred.isDoneUnsafe(self.current)) self.current = Deferred.makeUnsafe()
    return Effect.asVoid(FiberHandle.run(self.handle, run(self)))
  })

const remove = (self: Self): Effect.Effect<void> =>
  Effect.suspend(() => {
    const waiting = self.current
    return Effect.andThen(
      FiberHandle.clear(self.handle),
      Effect.sync(() => {
        self.isUp = false
        Deferred.doneUnsafe(waiting, gone(self))
        Deferred.doneUnsafe(self.current, gone(self))
      })
    )
  })

const lifeOf = (self: Self) => Effect.andThen(ensure(self), Effect.suspend(() => Deferred.await(self.current)))

/** Looks once for the answer of a key, and delegates its task where that has not been done. None: it is to be asked again. */
const once = Effect.fnUntraced(function*(self: Self, key: string, text: string) {
  const { name } = self
  const runId = yield* runIdOf(name, key)
  const { activation, restart, supervisor, tasks } = yield* lifeOf(self)
  // A defect would be kept as the answer of the key. The database comes back.
  const found = yield* Effect.option(SqlTaskJournal.find(name, runId))
  if (Option.isNone(found)) return Option.none<TaskResult.TaskResult>()
  const known = found.value
  if (known._tag === "Ended") {
    if (known.ended === "Removed") return yield* gone(self)
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

const delegate = Effect.fn("Resident.delegate")(function*(self: Self, key: string, text: string) {
  for (let round = 0;; round++) {
    const result = yield* Effect.provide(once(self, key, text), self.runner.needs)
    if (Option.isSome(result)) return result.value
    yield* Effect.sleep(round < 10 ? "500 millis" : "5 seconds")
  }
})

const abort = Effect.fn("Resident.abort")(function*(self: Self, key: string) {
  const runId = yield* runIdOf(self.name, key)
  const { tasks } = yield* lifeOf(self)
  const task = (yield* tasks.list).find((each) => each.runId === runId)
  return task === undefined ? false : yield* Effect.orElseSucceed(tasks.abort(task.taskId), () => false)
})

const report = (self: Self) =>
  Effect.map(lifeOf(self), ({ activation, state: { approval, deviceId, state } }): Report => ({
    name: self.name,
    runner: self.fence.runner,
    epoch: activation.epoch,
    deviceId,
    state,
    ...(approval === undefined ? {} : { approval })
  }))

const upgrade = (self: Self, scopes: ReadonlyArray<ScopeName>) =>
  Effect.flatMap(lifeOf(self), ({ supervisor }) =>
    supervisor.upgradeScopes(scopes).pipe(
      Effect.catch((error) => Effect.succeed<UpgradeResult>({ _tag: "Refused", problem: error.message }))
    ))

/** A device, as long as the scope is open. It is started by `ensure`. A fleet has many, so that what each has is small. */
export const make = Effect.fnUntraced(function*(
  name: string
): Effect.fn.Return<Resident, never, Runner | Scope.Scope> {
  const runner = yield* Runner
  const self: Self = {
    name,
    runner,
    fence: Context.get(runner.needs, Fence),
    handle: yield* FiberHandle.make<void>(),
    current: Deferred.makeUnsafe(),
    isUp: false
  }
  const entry = { isUp: () => self.isUp, remove: Effect.suspend(() => remove(self)) }
  runner.entries.set(name, entry)
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      if (runner.entries.get(name) === entry) runner.entries.delete(name)
    })
  )
  return {
    ensure: ensure(self),
    report: Effect.suspend(() => report(self)),
    delegate: (key, text) => delegate(self, key, text),
    check: Effect.suspend(() => Effect.flatMap(lifeOf(self), ({ supervisor }) => supervisor.checkNow)),
    abort: (key) => abort(self, key),
    upgrade: (scopes) => upgrade(self, scopes)
  }
})
