/**
 * The client of a replay: the one that was recorded, from the handshake to the tasks, with stand-ins for everything around it,
 * and what it has done so far.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Admission } from "../connection/Admission.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import type { GatewaySettings, SettingsInvalid } from "../handshake/GatewayConfig.ts"
import * as Gateway from "../handshake/GatewayConfig.ts"
import { Handshake } from "../handshake/Handshake.ts"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import { Signer } from "../identity/Signer.ts"
import { TokenStore } from "../identity/TokenStore.ts"
import { Transport } from "../link/Transport.ts"
import { AuthToken } from "../protocol/Connect.ts"
import { RunId, TaskId } from "../tasks/Task.ts"
import { TaskJournal } from "../tasks/TaskJournal.ts"
import { TaskRunner } from "../tasks/TaskRunner.ts"
import type { Entry, Header, Recording, Settings, TaskEnd } from "./Recording.ts"
import type { Redactor } from "./Redaction.ts"
import * as Redaction from "./Redaction.ts"
import type { ReplayClock } from "./ReplayClock.ts"
import type { ReplayLink, ReplayTransport } from "./ReplayTransport.ts"
import * as Transports from "./ReplayTransport.ts"
import * as StateRecord from "./StateRecord.ts"

export interface ReplayClient {
  /** Closing it ends the client. */
  readonly scope: Scope.Closeable
  readonly supervisor: Supervisor["Service"]
  readonly tasks: TaskRunner["Service"]
  readonly redactor: Redactor
  /** In the order in which they were dialled. */
  readonly links: ReadonlyArray<ReplayLink>
  readonly states: ReadonlyArray<StateRecord.TimedState>
  /** By task id. */
  readonly ends: ReadonlyMap<string, TaskEnd>
  /** Waits for the end of a task and keeps it. */
  readonly watch: (taskId: TaskId) => Effect.Effect<void>
  /** The ids that the next task gets. */
  readonly nextIds: (ids: { readonly runId: string; readonly taskId: string }) => void
}

/** Starts the client. It ends with the caller's scope, or before that with its own. */
export const start = Effect.fnUntraced(function*(
  recording: Recording,
  clock: ReplayClock
): Effect.fn.Return<ReplayClient, SettingsInvalid, Scope.Scope> {
  const redactor = Redaction.make([])
  const bytes = makeBytes()
  const transport = Transports.make(untakenIn(recording.entries))
  const scope = yield* Effect.flatMap(Scope.Scope, (parent) => Scope.fork(parent))
  const settings = yield* settingsOf(recording.header.settings)
  const context = yield* Layer.buildWithScope(layer(recording, settings, transport, bytes.random), scope)
  const supervisor = Context.get(context, Supervisor)
  const tasks = Context.get(context, TaskRunner)

  const states: Array<StateRecord.TimedState> = []
  yield* supervisor.changes.pipe(
    Stream.runForEach(({ status }) =>
      Effect.sync(() => {
        const at = clock.nowMs()
        const state = StateRecord.describe(status, at, redactor)
        if (!StateRecord.isBeginning(state)) states.push({ at, state })
      })
    ),
    Effect.forkIn(scope, { startImmediately: true })
  )

  const ends = new Map<string, TaskEnd>()
  const watch = (taskId: TaskId) =>
    tasks.await(taskId).pipe(
      Effect.map((outcome) => void ends.set(taskId, StateRecord.describeEnd(outcome, redactor))),
      Effect.ignore
    )
  for (const { taskId } of yield* tasks.list) {
    yield* Effect.forkIn(watch(taskId), scope, { startImmediately: true })
  }
  return { scope, supervisor, tasks, redactor, links: transport.links, states, ends, watch, nextIds: bytes.next }
})

/** Says whether a link did not take a message when it was recorded. Both count from 1. */
const untakenIn = (entries: ReadonlyArray<Entry>) => {
  const sent = new Map<number, number>()
  const untaken = new Set<string>()
  for (const entry of entries) {
    if (entry.kind === "out") sent.set(entry.link, (sent.get(entry.link) ?? 0) + 1)
    if (entry.kind === "untaken") untaken.add(`${entry.link}/${sent.get(entry.link) ?? 0}`)
  }
  return (link: number, message: number) => untaken.has(`${link}/${message}`)
}

/** Makes settings of recorded ones. The gateway does not exist, and the credentials are stand-ins. */
export const settingsOf = (settings: Settings): Effect.Effect<GatewaySettings, SettingsInvalid> => {
  const host = settings.loopback ? "127.0.0.1" : "gateway.invalid"
  return Effect.fromResult(Gateway.check({
    url: `${settings.scheme}//${host}:18789/${settings.gateway}`,
    plaintextHost: host,
    tlsPins: settings.pinned ? `sha256:${"0".repeat(64)}` : undefined,
    token: redacted(settings.token),
    password: redacted(settings.password),
    scopes: settings.scopes,
    clientId: settings.clientId,
    clientMode: settings.clientMode,
    clientVersion: settings.clientVersion,
    caps: settings.caps,
    narrowedScopes: settings.narrowedScopes,
    origin: settings.origin ? "https://origin.invalid" : undefined,
    challengeTimeout: Duration.millis(settings.challengeTimeoutMs),
    helloTimeout: Duration.millis(settings.helloTimeoutMs),
    requestTimeout: Duration.millis(settings.requestTimeoutMs),
    legacyWithoutChallenge: settings.legacyWithoutChallenge
  }))
}

const redacted = (text: string | undefined): Redacted.Redacted | undefined =>
  text === undefined ? undefined : Redacted.make(text)

/** Repeatable random bytes: the recorded ids of tasks, and otherwise bytes that count up. */
const makeBytes = () => {
  const ids: Array<Uint8Array> = []
  let drawn = 0
  const uuid = (text: string) => Result.getOrElse(Hex.decode(text.replaceAll("-", "")), () => new Uint8Array(16))
  return {
    next: ({ runId, taskId }: { readonly runId: string; readonly taskId: string }) => {
      ids.push(uuid(runId), uuid(`${taskId}000040008000000000000000`))
    },
    random: SecureRandom.make((size) => {
      const id = size === 16 ? ids.shift() : undefined
      drawn++
      return id ?? Uint8Array.from({ length: size }, (_, index) => (drawn * 31 + index) & 0xff)
    })
  }
}

/** The recorded numbers in their order, and after them always 0.5. */
const drawsOf = (entries: ReadonlyArray<Entry>): typeof Random.Random.Service => {
  const draws = entries.flatMap((entry) => entry.kind === "draw" ? [entry.value] : [])
  let next = 0
  return { nextDoubleUnsafe: () => draws[next++] ?? 0.5, nextIntUnsafe: () => 0 }
}

const layer = (
  { entries, header }: Recording,
  settings: GatewaySettings,
  { transport }: ReplayTransport,
  random: SecureRandom.SecureRandom["Service"]
): Layer.Layer<Supervisor | TaskRunner> =>
  TaskRunner.layer({
    ...(header.sessionKey === undefined ? {} : { sessionKey: header.sessionKey }),
    ...(header.taskTimeoutMs === undefined ? {} : { taskTimeout: Duration.millis(header.taskTimeoutMs) }),
    ...(header.takeOverEveryMs === undefined ? {} : { takeOverEvery: Duration.millis(header.takeOverEveryMs) })
  }).pipe(
    Layer.provideMerge(Supervisor.layer),
    Layer.provide(Handshake.layer),
    Layer.provide(Layer.mergeAll(stored(header, settings), journal(entries), Admission.layer)),
    Layer.provide(Layer.succeed(Transport, transport)),
    Layer.provide(Layer.succeed(Gateway.GatewayConfig, settings)),
    Layer.provide(DeviceIdentity.layerEphemeral({ platform: header.platform }).pipe(Layer.provide(Signer.layerNodejs))),
    Layer.provide(Layer.succeed(SecureRandom.SecureRandom, random)),
    Layer.provide(Layer.succeed(Random.Random, drawsOf(entries))),
    Layer.fresh
  )

/** The device token that was stored when the recording began. */
const stored = (header: Header, settings: GatewaySettings): Layer.Layer<TokenStore, never, DeviceIdentity> => {
  const { gatewayScope } = settings.endpoint
  return Layer.effect(
    TokenStore,
    Effect.gen(function*() {
      const store = yield* TokenStore
      const { deviceId } = yield* DeviceIdentity
      const { stored } = header
      const token = Schema.decodeUnknownOption(AuthToken)(stored?.token)
      if (stored !== undefined && Option.isSome(token)) {
        yield* Effect.orDie(
          store.put(
            { gatewayScope, deviceId, role: settings.role },
            { token: Redacted.make(token.value), scopes: stored.scopes, storedAtMs: header.at }
          )
        )
      }
      return store
    })
  ).pipe(Layer.provide(TokenStore.layerMemory))
}

/** How long after the question the journal's answer may have been recorded, in milliseconds. */
const answerMs = 1000

/** A journal in memory that gives the recorded tasks of earlier processes, each time that it is asked. */
const journal = (entries: ReadonlyArray<Entry>): Layer.Layer<TaskJournal> => {
  const taken = entries.flatMap((entry) => entry.kind === "takenUp" ? [entry] : [])
  const first = taken.filter(({ again }) => again !== true)
  const again = taken.filter((entry) => entry.again === true)
  return Layer.effect(
    TaskJournal,
    Effect.map(TaskJournal, (inner) => {
      let claimed: string | undefined
      const next = (gatewayScope: string, nowMs: number) => {
        if (gatewayScope === claimed) return (again[0]?.at ?? Infinity) <= nowMs + answerMs ? again.shift() : undefined
        claimed = gatewayScope
        return first.shift()
      }
      return TaskJournal.of({
        ...inner,
        claim: (gatewayScope) =>
          Effect.map(Clock.currentTimeMillis, (nowMs) =>
            (next(gatewayScope, nowMs)?.tasks ?? []).map((task) => ({
              ...task,
              taskId: TaskId.make(task.taskId),
              runId: RunId.make(task.runId),
              gatewayScope
            })))
      })
    })
  ).pipe(Layer.provide(TaskJournal.layerMemory))
}
