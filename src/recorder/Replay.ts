/**
 * Runs a recording again: the same client on a test clock, with a link that plays what was recorded, and a comparison of
 * what the client does with what it did.
 *
 * Entries are taken in their order. What happened to the client happens again at its time; what the client did is waited for,
 * and the first thing that it does otherwise, or not at all, is the difference. Nothing is opened, read or written, and an
 * identity of the replay's own signs, which a recording cannot tell from another.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
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
import type { Entry, Header, Recording, Settings, State, TaskEnd } from "./Recording.ts"
import * as Redaction from "./Redaction.ts"
import type { ReplayClock } from "./ReplayClock.ts"
import * as Clocks from "./ReplayClock.ts"
import type { ReplayTransport } from "./ReplayTransport.ts"
import * as Transports from "./ReplayTransport.ts"
import * as StateRecord from "./StateRecord.ts"

export interface Options {
  /** By how much two waits may differ that a real event loop measured; 250 ms unless set. */
  readonly toleranceMs?: number
}

/** A state of the replay and when it came, on the recorded clock. */
export interface Seen {
  readonly at: number
  readonly state: State
}

/** The first thing that was not as recorded. */
export interface Difference {
  /** Milliseconds since the recording began. */
  readonly afterMs: number
  readonly what: "state" | "dial" | "message" | "link" | "task"
  readonly recorded: string
  readonly replayed: string
}

export interface Outcome {
  readonly difference: Difference | undefined
  readonly recorded: ReadonlyArray<Seen>
  readonly replayed: ReadonlyArray<Seen>
  /** Links and messages of the client that were compared. */
  readonly links: number
  readonly messages: number
  /** The recording says itself that something is missing in it; what came after that was not replayed. */
  readonly incomplete: "lost" | "full" | undefined
}

/** Turns of the event loop that the client gets to do what follows from an entry. */
const turns = 200
/** How much later than recorded something may happen, in steps that the clock is moved on by. */
const slackMs = [1, 1, 3, 5, 10, 30, 50, 100]

export const run = (recording: Recording, options: Options = {}): Effect.Effect<Outcome, SettingsInvalid> =>
  Effect.gen(function*() {
    const clock = yield* Clocks.make(recording.header.at)
    return yield* Effect.provideService(Effect.scoped(play(recording, clock, options)), Clock.Clock, clock.clock)
  }).pipe(Effect.provide(TestClock.layer()))

const play = Effect.fnUntraced(function*(recording: Recording, clock: ReplayClock, { toleranceMs = 250 }: Options) {
  const { entries, header } = recording
  const redactor = Redaction.make([])
  const bytes = makeBytes()
  const transport = Transports.make(untakenIn(entries))
  const scope = yield* Effect.flatMap(Scope.Scope, (parent) => Scope.fork(parent))
  const settings = yield* settingsOf(header.settings)
  const context = yield* Layer.buildWithScope(client(recording, settings, transport, bytes.random), scope)
  const supervisor = Context.get(context, Supervisor)
  const tasks = Context.get(context, TaskRunner)

  const replayed: Array<Seen> = []
  yield* supervisor.changes.pipe(
    Stream.runForEach(({ status }) =>
      Effect.sync(() => {
        const at = clock.nowMs()
        const state = StateRecord.describe(status, at, redactor)
        if (!isBeginning(state)) replayed.push({ at, state })
      })
    ),
    Effect.forkIn(scope, { startImmediately: true })
  )

  const ends = new Map<string, TaskEnd>()
  const watched = (taskId: TaskId) =>
    Effect.tap(
      tasks.await(taskId),
      (outcome) => Effect.sync(() => void ends.set(taskId, StateRecord.describeEnd(outcome, redactor)))
    )
  for (const { taskId } of yield* tasks.list) {
    yield* Effect.forkIn(Effect.ignore(watched(taskId)), scope, { startImmediately: true })
  }

  const recorded: Array<Seen> = []
  const sent = new Map<number, number>()
  const cuts = new Map<number, number>()
  const attending: Array<Scope.Closeable> = []
  let links = 0
  let messages = 0
  let incomplete: Outcome["incomplete"]

  /** Lets the client run until it has done this, or has had every chance to. */
  const until = Effect.fnUntraced(function*(holds: () => boolean) {
    for (const laterMs of [undefined, 0, ...slackMs]) {
      // What happens at the time of an entry may be the reason for it, or come after it.
      if (laterMs !== undefined) yield* clock.arrive(clock.nowMs() + laterMs)
      for (let turn = 0; turn < turns; turn++) {
        if (holds()) return true
        yield* Effect.yieldNow
      }
    }
    return holds()
  })
  const settle = Effect.gen(function*() {
    for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
  })

  /** Takes one entry; answers what the client did otherwise. */
  const take = Effect.fnUntraced(function*(entry: Entry): Effect.fn.Return<Differs | undefined> {
    const link = "link" in entry ? transport.links[entry.link - 1] : undefined
    if ("link" in entry && link === undefined && entry.kind !== "dial") {
      return { what: "link", recorded: `${entry.kind} on link ${entry.link}`, replayed: "no such link" }
    }
    switch (entry.kind) {
      case "dial": {
        links = entry.link
        const dialled = yield* until(() => transport.links.length >= entry.link)
        return dialled ? undefined : { what: "dial", recorded: `dial ${entry.link}`, replayed: nothing }
      }
      case "out": {
        const index = sent.get(entry.link) ?? 0
        sent.set(entry.link, index + 1)
        messages++
        yield* until(() => (link?.sent.length ?? 0) > index)
        const text = link?.sent[index]
        const frame = text === undefined ? undefined : redactor.frame(text)
        const expected = StateRecord.canonical(entry.frame)
        return frame !== undefined && StateRecord.canonical(frame) === expected
          ? undefined
          : {
            what: "message",
            recorded: expected,
            replayed: frame === undefined ? nothing : StateRecord.canonical(frame)
          }
      }
      case "cut": {
        const index = cuts.get(entry.link) ?? 0
        cuts.set(entry.link, index + 1)
        yield* until(() => (link?.cuts.length ?? 0) > index)
        const code = link?.cuts[index]
        return code === entry.closeCode
          ? undefined
          : {
            what: "link",
            recorded: `closes with ${entry.closeCode}`,
            replayed: code === undefined ? nothing : `closes with ${code}`
          }
      }
      case "left": {
        const gone = yield* until(() => link?.left() === true)
        return gone ? undefined : { what: "link", recorded: `lets go of link ${entry.link}`, replayed: "keeps it" }
      }
      case "state": {
        if (isBeginning(entry.state)) return undefined
        recorded.push({ at: entry.at, state: entry.state })
        const index = recorded.length - 1
        yield* until(() => replayed.length > index)
        const seen = replayed[index]
        return seen !== undefined && StateRecord.same(entry.state, seen.state, toleranceMs)
          ? undefined
          : {
            what: "state",
            recorded: StateRecord.summary(entry.state),
            replayed: seen === undefined ? nothing : StateRecord.summary(seen.state)
          }
      }
      case "phase":
        link?.handler.onPhase?.(entry.phase)
        return undefined
      case "open":
        link?.open()
        return undefined
      case "failed":
        link?.failed(entry.end)
        return undefined
      case "in":
        link?.handler.onText(JSON.stringify(entry.frame))
        return undefined
      case "noise":
        link?.handler.onText(entry.length === 0 ? "" : "~")
        return undefined
      case "closed":
        link?.closed(entry.end)
        return undefined
      case "asked":
        yield* ask(entry.what)
        return undefined
      case "reconfigured": {
        const next = yield* Effect.option(settingsOf(entry.settings))
        if (Option.isSome(next)) yield* Effect.forkIn(supervisor.reconfigure(next.value), scope)
        return undefined
      }
      case "delegated": {
        const ids = idsOf(entries, entry.task)
        // It was refused, by a full disk perhaps, and nothing came of it.
        if (ids === undefined) return undefined
        bytes.next(ids)
        yield* Effect.forkIn(
          tasks.delegate(entry.text, entry.sessionKey === undefined ? undefined : { sessionKey: entry.sessionKey })
            .pipe(
              Effect.flatMap(({ taskId }) => watched(taskId)),
              Effect.ignore
            ),
          scope,
          { startImmediately: true }
        )
        return undefined
      }
      case "abort":
        yield* Effect.forkIn(Effect.ignore(tasks.abort(TaskId.make(entry.taskId))), scope)
        return undefined
      case "upgradeScopes":
        yield* Effect.forkIn(Effect.ignore(supervisor.upgradeScopes(entry.scopes)), scope, { startImmediately: true })
        return undefined
      case "ended": {
        yield* until(() => ends.has(entry.taskId))
        const end = ends.get(entry.taskId)
        const expected = StateRecord.canonical(entry.end)
        const actual = end === undefined ? nothing : StateRecord.canonical(end)
        return actual === expected
          ? undefined
          : { what: "task", recorded: `${entry.taskId} ${expected}`, replayed: `${entry.taskId} ${actual}` }
      }
      case "lost":
      case "full":
        incomplete = entry.kind
        return undefined
      case "untaken":
      case "takenUp":
      case "accepted":
      case "draw":
      case "end":
        return undefined
    }
  })

  const ask = Effect.fnUntraced(function*(what: Extract<Entry, { readonly kind: "asked" }>["what"]) {
    switch (what) {
      case "attend": {
        const own = yield* Scope.fork(scope)
        attending.push(own)
        return yield* Scope.provide(supervisor.attend, own)
      }
      case "leave": {
        const own = attending.shift()
        return own === undefined ? undefined : yield* Scope.close(own, Exit.void)
      }
      case "checkNow":
        return yield* supervisor.checkNow
      case "pause":
        return yield* Effect.asVoid(Effect.forkIn(supervisor.pause, scope))
      case "resume":
        return yield* Effect.asVoid(Effect.forkIn(supervisor.resume, scope))
      case "stop":
        return yield* Scope.close(scope, Exit.void)
    }
  })

  let difference: Difference | undefined
  for (const entry of entries) {
    if (entry.at > clock.nowMs()) {
      yield* settle
      yield* clock.approach(entry.at)
    }
    const differs = yield* take(entry)
    if (differs !== undefined) difference = { ...differs, afterMs: entry.at - header.at }
    if (differs !== undefined || incomplete !== undefined) break
  }
  if (difference === undefined && incomplete === undefined && entries.at(-1)?.kind === "end") {
    yield* settle
    difference = more(replayed, recorded, transport, sent, links, clock.nowMs() - header.at)
  }
  return { difference, recorded, replayed, links, messages, incomplete } satisfies Outcome
})

type Differs = Omit<Difference, "afterMs">

const nothing = "nothing of the kind"

/** What a supervisor says before its first attempt; who comes a moment later does not see it. */
const isBeginning = ({ attempt, state }: State): boolean => state === "Connecting" && attempt === 0

/** What the client did beyond what was recorded. The end of a program tells no state, so `Stopped` may come in addition. */
const more = (
  replayed: ReadonlyArray<Seen>,
  recorded: ReadonlyArray<Seen>,
  { links }: ReplayTransport,
  sent: ReadonlyMap<number, number>,
  dials: number,
  afterMs: number
): Difference | undefined => {
  const state = replayed.slice(recorded.length).find((seen) => seen.state.state !== "Stopped")
  if (state !== undefined) {
    return { afterMs, what: "state", recorded: nothing, replayed: StateRecord.summary(state.state) }
  }
  if (links.length > dials) return { afterMs, what: "dial", recorded: nothing, replayed: `dial ${dials + 1}` }
  const talkative = links.findIndex((link, index) => link.sent.length > (sent.get(index + 1) ?? 0))
  return talkative === -1
    ? undefined
    : { afterMs, what: "message", recorded: nothing, replayed: `one more message on link ${talkative + 1}` }
}

/** Messages that a link did not take, by link and by their number on it. */
const untakenIn = (entries: ReadonlyArray<Entry>) => {
  const sent = new Map<number, number>()
  const untaken = new Set<string>()
  for (const entry of entries) {
    if (entry.kind === "out") sent.set(entry.link, (sent.get(entry.link) ?? 0) + 1)
    if (entry.kind === "untaken") untaken.add(`${entry.link}/${sent.get(entry.link) ?? 0}`)
  }
  return (link: number, message: number) => untaken.has(`${link}/${message}`)
}

const idsOf = (entries: ReadonlyArray<Entry>, task: number) =>
  entries.find((entry): entry is Extract<Entry, { readonly kind: "accepted" }> =>
    entry.kind === "accepted" && entry.task === task
  )

/** Recorded settings as ones to connect with: the gateway is nowhere, and stand-ins are the credentials. */
const settingsOf = (settings: Settings): Effect.Effect<GatewaySettings, SettingsInvalid> => {
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

/** Repeatable bytes: the ids that a task was given when it was recorded, otherwise bytes that count. */
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

/** The numbers that were drawn, in their order; after them always the middle. */
const drawsOf = (entries: ReadonlyArray<Entry>): typeof Random.Random.Service => {
  const draws = entries.flatMap((entry) => entry.kind === "draw" ? [entry.value] : [])
  let next = 0
  return { nextDoubleUnsafe: () => draws[next++] ?? 0.5, nextIntUnsafe: () => 0 }
}

/** The client that was recorded, from the handshake to the tasks, on stand-ins for everything around it. */
const client = (
  { entries, header }: Recording,
  settings: GatewaySettings,
  { transport }: ReplayTransport,
  random: SecureRandom.SecureRandom["Service"]
): Layer.Layer<Supervisor | TaskRunner> =>
  TaskRunner.layer({
    ...(header.sessionKey === undefined ? {} : { sessionKey: header.sessionKey }),
    ...(header.taskTimeoutMs === undefined ? {} : { timeout: Duration.millis(header.taskTimeoutMs) })
  }).pipe(
    Layer.provideMerge(Supervisor.layer),
    Layer.provide(Handshake.layer),
    Layer.provide(Layer.mergeAll(stored(header, settings), journal(entries), Admission.layer)),
    Layer.provide(Layer.succeed(Transport, transport)),
    Layer.provide(Layer.succeed(Gateway.GatewayConfig, settings)),
    Layer.provide(DeviceIdentity.layerEphemeral({ platform: header.platform }).pipe(Layer.provide(Signer.layerNode))),
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

/** A journal in memory that gives what was taken up, each time that it is asked. */
const journal = (entries: ReadonlyArray<Entry>): Layer.Layer<TaskJournal> => {
  const taken = entries.flatMap((entry) => entry.kind === "takenUp" ? [entry.tasks] : [])
  return Layer.effect(
    TaskJournal,
    Effect.map(TaskJournal, (inner) => {
      let times = 0
      return TaskJournal.of({
        ...inner,
        claim: (gatewayScope) =>
          Effect.sync(() =>
            (taken[times++] ?? []).map(({ elsewhere: merged, ...task }) => ({
              ...task,
              merged,
              taskId: TaskId.make(task.taskId),
              runId: RunId.make(task.runId),
              gatewayScope
            }))
          )
      })
    })
  ).pipe(Layer.provide(TaskJournal.layerMemory))
}
