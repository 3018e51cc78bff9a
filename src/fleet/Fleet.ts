/**
 * A fleet: thousands of devices over many machines, each connected by one of them at a time.
 *
 * The service is the same on a runner and in a program that runs no devices. What it asks of a device is answered by the runner that
 * has it; what it lists comes from the database, which runners tell once a second.
 */
import type * as Sharding from "effect/cluster/Sharding"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type * as Stream from "effect/Stream"
import type { ScopeName } from "../protocol/Connect.ts"
import type { Report, UpgradeResult } from "./Device.ts"
import { Device } from "./Device.ts"
import * as EventReader from "./EventReader.ts"
import type { DeviceNameInvalid } from "./FleetError.ts"
import { DelegateRefused, DeviceUnknown, FleetUnavailable } from "./FleetError.ts"
import type { FleetEvent, Position, Start } from "./FleetEvent.ts"
import type { DeviceRow, RunnerRow } from "./Registry.ts"
import * as Registry from "./Registry.ts"
import type { TaskResult } from "./TaskResult.ts"

/** The runners, and the devices by state. */
export interface Overview {
  readonly runners: ReadonlyArray<RunnerRow>
  readonly devices: ReadonlyArray<DeviceRow>
}

/** Registers devices, removes them, says where they stand, and delegates tasks to them. */
export class Fleet extends Context.Service<Fleet, {
  /** Adds a device. It is connected within seconds, without a further call. False where it is registered already. */
  readonly register: (name: string) => Effect.Effect<boolean, DeviceNameInvalid | FleetUnavailable>
  /**
   * Removes a device: its link is closed, and callers that wait for its tasks get `DeviceUnknown`. With `identity: "destroy"` its keys and
   * tokens are deleted. Gives how many tasks were open.
   */
  readonly remove: (
    name: string,
    options: { readonly identity: "keep" | "destroy" }
  ) => Effect.Effect<number, DeviceUnknown | FleetUnavailable>
  /** All devices, as the database has them. */
  readonly list: Effect.Effect<ReadonlyArray<DeviceRow>, FleetUnavailable>
  readonly overview: Effect.Effect<Overview, FleetUnavailable>
  /** Where a device stands now, asked of its runner. Waits while no runner has it. */
  readonly status: (name: string) => Effect.Effect<Report, DeviceUnknown | FleetUnavailable>
  /**
   * Delegates a task and waits for its end, on whichever machine that comes. `key` names the task: a call with the same key, after a
   * crash of the caller for example, is the same task and gets the same answer, as long as outcomes are kept.
   */
  readonly delegate: (
    name: string,
    text: string,
    options: { readonly key: string }
  ) => Effect.Effect<TaskResult, DelegateRefused | DeviceUnknown | FleetUnavailable>
  /** Ends the task of a key. False when nothing was to be ended. */
  readonly abort: (name: string, key: string) => Effect.Effect<boolean, DeviceUnknown | FleetUnavailable>
  /** Tries the connection of a device again now. */
  readonly check: (name: string) => Effect.Effect<void, DeviceUnknown | FleetUnavailable>
  /** Asks for wider scopes, and waits for a person's answer. */
  readonly upgrade: (
    name: string,
    scopes: ReadonlyArray<ScopeName>
  ) => Effect.Effect<UpgradeResult, DeviceUnknown | FleetUnavailable>
  /**
   * What the devices of all runners tell, from the first answer of the database on; within a second, and without pieces of replies. Each
   * subscriber reads at its own pace. While the database is away the stream waits, and then it goes on. What is lost is told as
   * `EventsLost`; a runner that is killed loses what it has not written, which is the last quarter of a second.
   */
  readonly events: Stream.Stream<FleetEvent>
  /**
   * The same from an earlier point on, as far as events are kept (`keepEvents`, an hour): since a time, or behind a position. A consumer
   * that keeps its position (`positionAfter`) misses nothing and gets nothing twice, also over restarts of its own.
   */
  readonly eventsFrom: (start: Start) => Stream.Stream<FleetEvent>
  /** The position of a consumer that begins now. */
  readonly position: Effect.Effect<Position, FleetUnavailable>
}>()("effect-openclaw/fleet/Fleet") {
  /** The service over a cluster. `FleetCluster` and `FleetSingle` provide it with all that it needs. */
  static readonly layer: Layer.Layer<Fleet, never, Sharding.Sharding | SqlClient.SqlClient> = Layer.suspend(() =>
    Layer.effect(Fleet, make)
  )
}

const isOwn = (error: unknown): error is DelegateRefused | DeviceUnknown | FleetUnavailable =>
  error instanceof DeviceUnknown || error instanceof DelegateRefused || error instanceof FleetUnavailable

/** A key is part of a row's key in the database and of messages. */
const isKey = (text: string): boolean => /^\P{Cc}{1,200}$/u.test(text)

const make = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const client = yield* Device.client
  const reader = yield* EventReader.make
  const unavailable = (doing: string) => (cause: unknown) => new FleetUnavailable({ doing, cause })
  const withSql = <A, E>(doing: string, effect: Effect.Effect<A, E | SqlError, SqlClient.SqlClient>) =>
    effect.pipe(
      Effect.provideService(SqlClient.SqlClient, sql),
      Effect.catchTag("SqlError", (cause) => Effect.fail(unavailable(doing)(cause)))
    )
  /** Asks a registered device. An unregistered one would be started by the question. */
  const ask = <A, E>(
    name: string,
    doing: string,
    question: (device: ReturnType<typeof client>) => Effect.Effect<A, E>
  ): Effect.Effect<A, DelegateRefused | DeviceUnknown | FleetUnavailable> =>
    Effect.flatMap(
      withSql(doing, Registry.find(name)),
      (found): Effect.Effect<A, E | DeviceUnknown> =>
        Option.isNone(found) ? Effect.fail(new DeviceUnknown({ device: name })) : question(client(name))
    ).pipe(Effect.mapError((error) => isOwn(error) ? error : unavailable(doing)(error)))
  /** The same for a question that is no task. */
  const look = <A, E>(...args: Parameters<typeof ask<A, E>>) =>
    Effect.catchTag(ask(...args), "DelegateRefused", Effect.die)

  return Fleet.of({
    register: Effect.fn("Fleet.register")((name) => withSql("register a device", Registry.register(name))),
    remove: Effect.fn("Fleet.remove")(function*(name, { identity }) {
      const open = yield* withSql("remove a device", Registry.remove(name, identity))
      return yield* Effect.mapError(Effect.fromOption(open), () => new DeviceUnknown({ device: name }))
    }),
    list: withSql("list its devices", Registry.list),
    overview: withSql("list its runners", Effect.all({ runners: Registry.runners, devices: Registry.list })),
    status: Effect.fn("Fleet.status")((name) => look(name, "ask for a status", (device) => device.Status())),
    delegate: Effect.fn("Fleet.delegate")(function*(name, text, { key }) {
      if (!isKey(key)) {
        const problem = "the key of a task has 1 to 200 characters, none of them a control character"
        return yield* new DelegateRefused({ reason: "KeyInvalid", problem })
      }
      return yield* ask(name, "delegate a task", (device) => device.Delegate({ key, text }))
    }),
    abort: Effect.fn("Fleet.abort")((name, key) => look(name, "abort a task", (device) => device.Abort({ key }))),
    check: Effect.fn("Fleet.check")((name) => look(name, "check a connection", (device) => device.Check())),
    upgrade: Effect.fn("Fleet.upgrade")((name, scopes) =>
      look(name, "ask for scopes", (device) => device.Upgrade({ scopes }))
    ),
    events: reader.events,
    eventsFrom: reader.eventsFrom,
    position: withSql("read the position of its events", reader.position)
  })
})
