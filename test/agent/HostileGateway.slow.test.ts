/**
 * A hostile gateway from seeds: thousands of frames through the handshake, the session, the events and the texts.
 */
import { assert, describe, it } from "@effect/vitest"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Agent from "../../src/agent/Agent.ts"
import { AgentEvents } from "../../src/agent/AgentEvents.ts"
import * as EventText from "../../src/cli/EventText.ts"
import { Admission } from "../../src/connection/Admission.ts"
import type { ConnectionStatus } from "../../src/connection/ConnectionStatus.ts"
import type { Session } from "../../src/connection/Session.ts"
import { Supervisor } from "../../src/connection/Supervisor.ts"
import { GatewayConfig } from "../../src/handshake/GatewayConfig.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { TokenStore } from "../../src/identity/TokenStore.ts"
import { ApproveCommands } from "../../src/pairing/ApproveCommand.ts"
import type { AgentEvent } from "../../src/protocol/AgentEvent.ts"
import { encodeAgentEvent } from "../../src/protocol/AgentEvent.ts"
import { AuthToken, DeviceId } from "../../src/protocol/Connect.ts"
import * as Frame from "../../src/protocol/Frame.ts"
import { TaskJournal } from "../../src/tasks/TaskJournal.ts"
import { TaskRunner } from "../../src/tasks/TaskRunner.ts"
import * as MemoryFiles from "../storage/MemoryFiles.ts"
import * as Device from "../support/Device.ts"
import * as LogLines from "../support/LogLines.ts"
import type { ScriptedLink } from "../support/ScriptedTransport.ts"
import { ScriptedTransport } from "../support/ScriptedTransport.ts"
import * as Wire from "../support/WireFrames.ts"
import type { Hostile } from "./HostileValues.ts"
import * as HostileValues from "./HostileValues.ts"

const asked = ["operator.read", "operator.write"]
const limits = { scopes: 100, scope: 128, token: 8192 }

/** What acts on a terminal, reorders text or ends a line, somewhere. */
const unseen = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u

/** Every text in a value, but those of these names, must be one line in which all is seen. */
const assertFields = (value: unknown, what: string, except: ReadonlySet<string> = new Set()) => {
  if (Predicate.isString(value)) {
    if (unseen.test(value)) assert.fail(`${what} shows ${JSON.stringify(value).slice(0, 300)}`)
    assert.isAtMost(value.length, 4000, what)
  } else if (Array.isArray(value)) {
    for (const part of value) assertFields(part, what, except)
  } else if (Predicate.isObject(value)) {
    for (const [name, part] of Object.entries(value)) {
      if (!except.has(name)) assertFields(part, `${what}.${name}`, except)
    }
  }
}

/** A reply may have lines, each behind a bar; nothing else may begin a line that is not the program's own. */
const assertShown = (event: AgentEvent) => {
  // The wrapping of long replies would take most of the time.
  const isLong = event.event === "task.reply" && event.text.length > 1000
  for (const columns of isLong ? [0] : [0, 60]) {
    const lines = (EventText.render(event, EventText.plain, columns) ?? "").split("\n")
    for (const line of lines) {
      if (unseen.test(line)) assert.fail(`${event.event} shows ${JSON.stringify(line).slice(0, 300)}`)
      if (event.event === "task.reply") assert.match(line, /^(?:task .{1,8} \|| {6,14}\|)/u)
      else if (columns === 0 && line.startsWith(HostileValues.paste)) assert.isTrue(event.event.startsWith("pairing."))
    }
  }
}

const isScope = (value: unknown): boolean =>
  Predicate.isString(value) && value !== "" && value === value.trim() && !/[|,]/.test(value) && !unseen.test(value)
  && value.length <= limits.scope

/** What may have been granted by such an `auth`; undefined when it does not say. */
const offered = (auth: unknown): ReadonlyArray<string> | undefined => {
  if (auth === undefined) return undefined
  if (!Predicate.isObject(auth) || Array.isArray(auth)) return []
  if (!Object.hasOwn(auth, "scopes")) return undefined
  const scopes: unknown = Reflect.get(auth, "scopes")
  return Array.isArray(scopes) && scopes.length <= limits.scopes && scopes.every(isScope) ? scopes : []
}

const assertGranted = (granted: ReadonlyArray<string>, auth: unknown) =>
  assert.includeMembers([...(offered(auth) ?? asked)], [...granted], JSON.stringify(auth)?.slice(0, 500))

const helloOf = (hostile: Hostile): Record<string, unknown> => {
  const { chance, json, pick, spoiled, text } = hostile
  const token = chance(0.9) ? `token-${pick([1, 2, 3])}` : "t".repeat(pick([limits.token, limits.token + 1, 70_000]))
  const scopes: Array<unknown> = [...asked]
  if (chance(0.15)) scopes.push(text())
  if (chance(0.08)) scopes.push(json())
  if (chance(0.03)) scopes.push(...Array.from({ length: limits.scopes }, (_, index) => `scope.${index}`))
  const auth = chance(0.05) ? json() : spoiled({
    deviceToken: token,
    role: chance(0.97) ? "operator" : "node",
    scopes: chance(0.06) ? json() : scopes,
    issuedAtMs: 1
  }, 0.05)
  return spoiled({
    server: spoiled({ version: chance(0.5) ? text() : "2026.9.6", connId: text() }, 0.1),
    features: { methods: chance(0.2) ? json() : ["device.scopes.requestUpgrade"] },
    snapshot: { uptimeMs: json() },
    policy: spoiled({ maxPayload: 1_000_000, tickIntervalMs: 30_000 }),
    ...(chance(0.1) ? {} : { auth }),
    ...(chance(0.08) ? { protocol: chance(0.7) ? pick([0, 2, 5, 99]) : json() } : {})
  }, 0.05)
}

const codes = [
  "PAIRING_REQUIRED",
  "AUTH_TOKEN_MISMATCH",
  "AUTH_RATE_LIMITED",
  "PROTOCOL_MISMATCH",
  "CONTROL_UI_ORIGIN_NOT_ALLOWED",
  "DEVICE_AUTH_INVALID",
  "MISSING_SCOPE"
]

const refusalOf = ({ chance, json, pick, spoiled, text }: Hostile): unknown =>
  chance(0.1) ? json() : spoiled({
    code: chance(0.5) ? pick(["NOT_PAIRED", "UNAVAILABLE", "INVALID_REQUEST"]) : text(),
    message: text(),
    retryable: chance(0.5),
    retryAfterMs: json(0),
    details: spoiled({
      code: chance(0.7) ? pick(codes) : text(),
      reason: chance(0.5) ? "not-paired" : text(),
      requestId: chance(0.6) ? "request-1" : text(),
      requestedScopes: [text(), ...asked, json(1)],
      approvedScopes: chance(0.5) ? [text()] : json(),
      missingScope: text(),
      recommendedNextStep: text(),
      expectedProtocol: json(0)
    }, 0.2)
  }, 0.1)

const eventOf = ({ chance, json, pick, spoiled, text }: Hostile, runId: string): string => {
  const payload = spoiled({
    runId,
    state: pick([...Array.from({ length: 10 }, () => "status"), "delta", "error", "aborted", "final", text()]),
    phase: text(),
    message: chance(0.5) ? text() : spoiled({ role: "assistant", content: [{ type: "text", text: text() }, json()] }),
    errorMessage: text(),
    timestamp: json(0),
    stream: pick(["lifecycle", "tool", text()]),
    data: spoiled({ phase: text(), name: text(), error: text() })
  }, 0.05)
  const name = chance(0.8) ? pick(["chat", "agent"]) : pick(["tick", "shutdown", "connect.challenge", text()])
  return JSON.stringify({ type: "event", event: name, payload: chance(0.9) ? payload : json(), seq: json(0) })
}

const noiseOf = ({ json, pick, spoiled, text }: Hostile): string =>
  pick([
    () => text(),
    () => JSON.stringify(json()),
    () => JSON.stringify(spoiled({ type: "res", id: "connect", ok: "yes", payload: {} }, 0.5)),
    () => "[".repeat(5000),
    () => `{"type":"event","event":"chat","payload":${"[".repeat(300)}${"]".repeat(300)}}`
  ])()

const settle = Effect.forEach(Array.from({ length: 12 }), () => Effect.yieldNow, { discard: true })

interface Counts {
  frames: number
  connected: number
  stored: number
  replies: number
}

/** One agent, one link, from the greeting to its end. */
const meet = Effect.fnUntraced(function*(seed: number, counts: Counts) {
  const hostile = HostileValues.make(HostileValues.numbers(seed))
  const { chance, json, pick, text } = hostile
  const { nth } = yield* ScriptedTransport
  const { deviceId } = yield* DeviceIdentity
  const store = yield* TokenStore
  const { events } = yield* AgentEvents
  const supervisor = yield* Supervisor
  const tasks = yield* TaskRunner
  const seen: Array<AgentEvent> = []
  const statuses: Array<ConnectionStatus> = []
  yield* Effect.forkScoped(
    Stream.runForEach(events, (event) => Effect.sync(() => void seen.push(event))),
    { startImmediately: true }
  )
  yield* Effect.forkScoped(
    Stream.runForEach(supervisor.changes, ({ status }) => Effect.sync(() => void statuses.push(status))),
    { startImmediately: true }
  )
  const link = yield* nth(1)
  const send = (frame: string) => {
    counts.frames++
    link.send(frame)
  }
  for (let index = 0; index < 3; index++) if (chance(0.5)) send(noiseOf(hostile))
  send(chance(0.95) ? Wire.challenge() : Wire.challenge(json()))
  yield* settle
  let auth: unknown
  if (link.sent.length > 0) {
    for (let index = 0; index < 3; index++) if (chance(0.5)) send(noiseOf(hostile))
    if (chance(0.2)) send(JSON.stringify({ type: "res", id: "connect", ok: false, error: refusalOf(hostile) }))
    else {
      const hello = helloOf(hostile)
      auth = hello.auth
      send(Wire.helloOk(hello))
    }
    // A token is stored first, by a hash that comes when it comes. A refused proof is tried once more at once.
    yield* Effect.raceFirst(
      Stream.runHead(Stream.filter(supervisor.changes, ({ status }) => status._tag !== "Connecting")),
      nth(2)
    )
  }
  yield* settle
  const status = statuses.at(-1)
  if (status?._tag === "Halted" && status.cause._tag === "ScopesNarrowed") assertGranted(status.cause.granted, auth)
  if (status?._tag === "Connected") {
    counts.connected++
    const { session } = status
    assertGranted(session.facts.scopes, auth)
    assertFields(session.facts, "facts")
    assert.include([3, 4], session.facts.protocol)
    yield* storedAsSent(store, deviceId, auth, session, counts)
    yield* inSession(hostile, session, link, send)
  }
  link.close(pick([1000, 1006, 1008, 1012, 4001]), text())
  yield* settle
  yield* TestClock.adjust("1 second")
  for (const event of seen) {
    assertFields(event, event.event, new Set(["text"]))
    assert.notInclude(encodeAgentEvent(event), "\n")
    assertShown(event)
    if (event.event === "task.reply") counts.replies++
  }
  assert.deepStrictEqual(statuses.filter((one) => one._tag === "Halted" && one.cause._tag === "InternalError"), [])
  for (const { state } of yield* tasks.list) {
    assertFields(state, "task", new Set(["text", "gatewayMessage"]))
    if (state._tag === "Failed") assertFields(state.error.message, "a failed task")
  }
})

/** A token is read back as it was sent, with the scopes of the session; a hello without a usable one leaves the store alone. */
const storedAsSent = Effect.fnUntraced(
  function*(store: TokenStore["Service"], deviceId: DeviceId, auth: unknown, { facts }: Session, counts: Counts) {
    const found = yield* store.get({ gatewayScope: "ws://127.0.0.1:18789/", deviceId, role: "operator" })
    const sent = Predicate.isObject(auth) ? Reflect.get(auth, "deviceToken") : undefined
    const usable = Predicate.isString(sent) && sent.length <= limits.token && Option.isSome(AuthToken.makeOption(sent))
    assert.strictEqual(Option.isSome(found), usable)
    if (Option.isNone(found)) return
    counts.stored++
    assert.strictEqual(Redacted.value(found.value.token), sent)
    assert.deepStrictEqual(found.value.scopes, facts.scopes)
    assert.isAtMost(found.value.scopes.length, limits.scopes)
    for (const scope of found.value.scopes) assert.isAtMost(scope.length, limits.scope)
  }
)

const inSession = Effect.fnUntraced(
  function*(hostile: Hostile, session: Session, link: ScriptedLink, send: (frame: string) => void) {
    const { chance, json, pick, text } = hostile
    const tasks = yield* TaskRunner
    const requests = yield* Effect.forkChild(Effect.result(session.request("some.method", {})))
    const runIds: Array<string> = []
    for (const sessionKey of ["one", "two", "three"]) {
      runIds.push((yield* tasks.delegate("a task", { sessionKey })).runId)
    }
    yield* settle
    const answered = new Set<string>()
    const answer = () => {
      for (const sent of link.sent.slice(1)) {
        const { id } = JSON.parse(sent) as { readonly id: string }
        if (answered.has(id)) continue
        answered.add(id)
        if (chance(0.25)) send(JSON.stringify({ type: "res", id, ok: false, error: refusalOf(hostile) }))
        else {
          send(Frame.encodeResponse(id, chance(0.8) ? { runId: pick(runIds), status: "started" } : json()))
        }
      }
    }
    answer()
    yield* settle
    for (let index = 0; index < 40; index++) {
      send(chance(0.85) ? eventOf(hostile, pick(runIds)) : noiseOf(hostile))
      if (chance(0.15)) {
        yield* settle
        answer()
      }
    }
    send(Frame.encodeResponse(text(), json()))
    yield* settle
    const exit = requests.pollUnsafe()
    if (exit?._tag === "Success" && exit.value._tag === "Failure") {
      assertFields({ ...exit.value.failure, message: exit.value.failure.message }, "error")
    }
  }
)

const world = () => {
  const files = Layer.effect(FileSystem.FileSystem, MemoryFiles.makeFileSystem(MemoryFiles.makeDisk()))
  return Agent.layer().pipe(
    Layer.provideMerge(Layer.mergeAll(
      Admission.layer,
      ApproveCommands.layerAnywhere,
      Device.layer,
      Layer.orDie(GatewayConfig.layer({ token: Redacted.make("shared-token"), requestTimeout: "5 minutes" })),
      TaskJournal.layerMemory,
      TokenStore.layerFile({ directory: "/state/tokens" }).pipe(Layer.provide(files)),
      ScriptedTransport.layer
    )),
    Layer.provideMerge(SecureRandom.layerWebCrypto),
    Layer.provideMerge(Path.layer)
  )
}

describe("a hostile gateway, from seeds", () => {
  const seeds = 120
  it.effect("breaks nothing, shows one line at a time, stores what it reads back, and grants what it offered", () =>
    LogLines.kept((lines) =>
      Effect.gen(function*() {
        const counts: Counts = { frames: 0, connected: 0, stored: 0, replies: 0 }
        for (let seed = 1; seed <= seeds; seed++) {
          yield* meet(seed, counts).pipe(
            Effect.provide(Layer.fresh(world())),
            Effect.scoped,
            Effect.catchCause((cause) => Effect.die(new Error(`seed ${seed}`, { cause })))
          )
        }
        for (const { annotations, level, message } of lines) {
          assert.notInclude(["Error", "Fatal"], level, JSON.stringify(message))
          assertFields([message, annotations], "a log line")
        }
        assert.isAbove(counts.frames, 3000)
        assert.isAbove(counts.connected, seeds / 3)
        assert.isAbove(counts.stored, seeds / 5)
        assert.isAbove(counts.replies, 20)
      })
    ))

  it("an event in whatever words has as many lines as in plain ones", () => {
    const deviceId = DeviceId.make("ab".repeat(32))
    const at = "2026-11-22T00:00:00.000Z"
    const failureOf = (word: string) => ({ error: word, message: word, advice: word, next: word, owner: word })
    const request = (word: string) => ({
      deviceId,
      reason: "not-paired" as const,
      list: { argv: [word], text: word },
      since: at,
      expiresAt: at,
      note: word,
      requestedScopes: ["operator.admin", word],
      approvedScopes: ["operator.read", word]
    })
    const events = (word: string): ReadonlyArray<AgentEvent> => [
      { at, event: "identity", deviceId, compareCode: word, created: true, path: word },
      { at, event: "gateway", url: word, embedded: false },
      { at, event: "page", url: word },
      { at, event: "pairing.required", ...request(word) },
      { at, event: "pairing.superseded", ...request(word) },
      {
        at,
        event: "connected",
        protocol: 4,
        serverVersion: word,
        scopes: [word, word],
        missingScopes: [word],
        deviceTokenIssued: false
      },
      { at, event: "waiting", cause: failureOf(word), retryAt: word },
      { at, event: "halted", error: failureOf(word) },
      { at, event: "task.queued", taskId: word, reason: word },
      { at, event: "task.phase", taskId: word, phase: word },
      { at, event: "task.failed", taskId: word, error: failureOf(word) },
      { at, event: "task.refused", line: 1, summary: word, error: failureOf(word) }
    ]
    const linesOf = (word: string) =>
      events(word).map((event) => {
        assertShown(event)
        return (EventText.render(event, EventText.plain) ?? "").split("\n").length
      })
    const plain = linesOf("word")
    const hostile = HostileValues.make(HostileValues.numbers(5))
    for (let index = 0; index < 150; index++) assert.deepStrictEqual(linesOf(`a${hostile.text()}`), plain)
  })
})
