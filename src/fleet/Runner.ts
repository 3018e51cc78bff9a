/**
 * The devices that this process runs: each a `Resident`, from the moment at which the cluster gives it to this process until it takes
 * it away.
 */
import * as Context from "effect/Context"
import type * as SecureRandom from "effect/crypto/SecureRandom"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Semaphore from "effect/Semaphore"
import type * as SqlClient from "effect/sql/SqlClient"
import type * as Stream from "effect/Stream"
import type * as Agent from "../agent/Agent.ts"
import * as Broadcast from "../broadcast/Broadcast.ts"
import type { Admission } from "../connection/Admission.ts"
import type { GatewayInput, GatewaySettings, SettingsInvalid } from "../handshake/GatewayConfig.ts"
import { GatewayConfig } from "../handshake/GatewayConfig.ts"
import type { Signer } from "../identity/Signer.ts"
import type { TokenStore } from "../identity/TokenStore.ts"
import type { Transport } from "../link/Transport.ts"
import type { ApproveCommands } from "../pairing/ApproveCommand.ts"
import type { AgentEvent } from "../protocol/AgentEvent.ts"
import * as EventWriter from "./EventWriter.ts"
import { Fence } from "./Fence.ts"
import type { FleetKey } from "./FleetKey.ts"
import * as Registry from "./Registry.ts"

/** What the devices of a fleet have in common. */
export interface Options {
  /** The gateway of all devices, with `displayName` the device's own name unless set; or the settings of each. */
  readonly gateway: GatewayInput | ((name: string) => Effect.Effect<GatewaySettings, SettingsInvalid>)
  /** The session that a device's tasks go to; `agent:main:<name>` unless set. */
  readonly sessionKeyOf?: ((name: string) => string) | undefined
  /** Of each device: how long a task may take, how many may wait, and so on. */
  readonly agent?: Omit<Agent.Options, "sessionKey"> | undefined
  /**
   * How many devices start at the same time, 24 unless set: they ask the database together. More hold the event loop, and with it the
   * renewal of the lease.
   */
  readonly startsAtOnce?: number | undefined
  /** How long the outcome of a task is kept for callers that ask again under the same key; a day unless set. */
  readonly keepOutcomes?: Duration.Input | undefined
  /** How long the events of devices are kept for those that read them later; an hour unless set. */
  readonly keepEvents?: Duration.Input | undefined
}

/** An event of a device of this process. */
export interface RunnerEvent {
  readonly device: string
  /** Of the activation that told it. */
  readonly epoch: number
  readonly event: AgentEvent
}

/** What the reconciler sees of a device that this process runs. */
export interface Entry {
  /** The device is started, or about to be. */
  readonly isUp: () => boolean
  /** Ends the device for good, unless it is ensured again: it is not registered any more. */
  readonly remove: Effect.Effect<void>
}

/** What a device needs of its process. */
export type Needs =
  | Admission
  | ApproveCommands
  | Fence
  | FleetKey
  | SecureRandom.SecureRandom
  | Signer
  | SqlClient.SqlClient
  | TokenStore
  | Transport

/** The devices of this process, and what they tell. */
export class Runner extends Context.Service<Runner, {
  readonly options: Options
  readonly entries: Map<string, Entry>
  /** Limits how many devices start at the same time: a lease must not wait behind a thousand starts. */
  readonly starts: Semaphore.Semaphore
  /** Notes a state, to be written with the others of this second. */
  readonly note: (note: Registry.Note) => void
  readonly publish: (event: RunnerEvent) => void
  /** What the devices of this process tell, from now on, before it is in the database. `Fleet.events` has those of all runners. */
  readonly events: Stream.Stream<RunnerEvent>
  /** What a device needs, taken once. */
  readonly needs: Context.Context<Needs>
}>()("effect-openclaw/fleet/Runner") {
  static readonly layer = (options: Options): Layer.Layer<Runner, SettingsInvalid, Needs> =>
    Layer.effect(Runner, make(options))
}

/** The gateway's settings of a device. */
export const settingsOf = ({ gateway }: Options, name: string): Effect.Effect<GatewaySettings, SettingsInvalid> =>
  typeof gateway === "function"
    ? gateway(name)
    : GatewayConfig.make({ ...gateway, displayName: gateway.displayName ?? name })

const make = Effect.fnUntraced(function*(options: Options) {
  const needs = yield* Effect.context<Needs>()
  // Fails at the start of the process instead of at that of each device.
  yield* settingsOf(options, "device")
  const waiting = new Map<string, Registry.Note>()
  const told = Broadcast.make<RunnerEvent>({ snapshot: () => [] })
  yield* Effect.addFinalizer(() => Effect.sync(() => told.end()))
  const fence = Context.get(needs, Fence)
  const writeEvent = yield* Effect.provide(
    EventWriter.make({ process: fence.processId, runner: fence.runner }),
    needs
  )

  const write = Effect.suspend(() => {
    const notes = Array.from(waiting.values())
    if (notes.length === 0) return Effect.void
    waiting.clear()
    return Effect.tapError(Registry.note(notes), () =>
      Effect.sync(() => {
        // A later one of the same device counts.
        for (const note of notes) if (!waiting.has(note.name)) waiting.set(note.name, note)
      }))
  }).pipe(Effect.ignore({ log: "Debug", message: "states of devices are not written yet" }), Effect.provide(needs))
  yield* Effect.forkScoped(Effect.forever(Effect.delay(write, "1 second"), { disableYield: true }))

  return Runner.of({
    options,
    entries: new Map(),
    starts: Semaphore.makeUnsafe(options.startsAtOnce ?? 24),
    note: (note) => void waiting.set(note.name, note),
    publish: (event) => {
      told.publish(event)
      writeEvent(event)
    },
    events: told.subscribe(),
    needs
  })
})
