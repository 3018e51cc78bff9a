import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { Admission } from "../../src/connection/Admission.ts"
import { Supervisor } from "../../src/connection/Supervisor.ts"
import type { Agent as GatewayAgent } from "../../src/devgateway/Agent.ts"
import { echo } from "../../src/devgateway/Agent.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import { GatewayConfig } from "../../src/handshake/GatewayConfig.ts"
import { Handshake } from "../../src/handshake/Handshake.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { Signer } from "../../src/identity/Signer.ts"
import { TokenStore } from "../../src/identity/TokenStore.ts"
import type { DialError } from "../../src/link/LinkError.ts"
import { LinkError, ProxyRejected, UpgradeRejected } from "../../src/link/LinkError.ts"
import { TlsPinMismatch, TlsUntrusted } from "../../src/link/TlsError.ts"
import { Transport } from "../../src/link/Transport.ts"
import { AuthToken, ScopeName } from "../../src/protocol/Connect.ts"
import { FlightRecorder } from "../../src/recorder/FlightRecorder.ts"
import type { Options } from "../../src/recorder/FlightRecorder.ts"
import * as RecordedAgent from "../../src/recorder/RecordedAgent.ts"
import * as Recording from "../../src/recorder/Recording.ts"
import * as Replay from "../../src/recorder/Replay.ts"
import { RunId, TaskId } from "../../src/tasks/Task.ts"
import { TaskJournal, TaskJournalError } from "../../src/tasks/TaskJournal.ts"
import type { Options as TaskOptions } from "../../src/tasks/TaskRunner.ts"
import { TaskRunner } from "../../src/tasks/TaskRunner.ts"
import * as MemoryTransport from "../../src/testing/MemoryTransport.ts"
import * as MemoryFiles from "../storage/MemoryFiles.ts"
import * as Device from "../support/Device.ts"
import * as FailingDials from "../support/FailingDials.ts"
import * as LogLines from "../support/LogLines.ts"
import * as Wire from "../support/WireFrames.ts"

const around = Layer.mergeAll(
  Device.layer,
  TokenStore.layerMemory,
  TaskJournal.layerMemory,
  Layer.orDie(GatewayConfig.layer({ token: Redacted.make("shared-token") }))
)

/** A disk in memory with a directory for recordings. */
const disk = () => {
  const made = MemoryFiles.makeDisk()
  MemoryFiles.place(made, "/r/other", "")
  return made
}

const files = (made: MemoryFiles.Disk, behaviour: MemoryFiles.Behaviour = {}) =>
  Layer.effect(FileSystem.FileSystem, MemoryFiles.makeFileSystem(made, behaviour)).pipe(Layer.provide(Path.layer))

const path = "/r/agent.ndjson"

/** Runs with a recorder and gives the content of the file afterwards. */
const recording = <A, E>(
  body: (recorder: FlightRecorder["Service"]) => Effect.Effect<A, E>,
  made = disk(),
  options: Partial<Options> = {},
  behaviour: MemoryFiles.Behaviour = {}
) =>
  Effect.flatMap(FlightRecorder, body).pipe(
    Effect.provide(FlightRecorder.layer({ path, ...options }).pipe(Layer.provide([around, files(made, behaviour)]))),
    Effect.andThen(Effect.sync(() => MemoryFiles.snapshot(made)[path] ?? ""))
  )

/** The agent of these tests has no events and no notices. */
const agentWith = (options?: TaskOptions) =>
  TaskRunner.layer(options).pipe(Layer.provideMerge(Supervisor.layer), Layer.provide(Handshake.layer))
const agent = agentWith()

const draw = (value: number) => () => ({ kind: "draw" as const, value })

describe("FlightRecorder", () => {
  it.effect("writes a header, then every entry with its time, and an end", () =>
    Effect.gen(function*() {
      const text = yield* recording(({ note }) =>
        Effect.gen(function*() {
          note(draw(0.25))
          yield* TestClock.adjust("3 seconds")
          note(draw(0.5))
        })
      )
      const { entries, header } = yield* Recording.parse(text)
      assert.deepInclude(header, { version: 1, at: 0 })
      assert.strictEqual(header.settings.token, "secret-1")
      assert.deepStrictEqual(entries, [
        { at: 0, kind: "draw", value: 0.25 },
        { at: 3000, kind: "draw", value: 0.5 },
        { at: 3000, kind: "end" }
      ])
    }))

  it.effect("the file is private from the first byte", () =>
    Effect.gen(function*() {
      const made = disk()
      yield* recording(() => Effect.void, made)
      assert.strictEqual((made.entries.get(path)?.mode ?? 0) & 0o777, 0o600)
    }))

  it.live("the file is private on a real disk", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const real = `${yield* fs.makeTempDirectoryScoped()}/agent.ndjson`
      const recorder = FlightRecorder.layer({ path: real }).pipe(Layer.provide(around))
      yield* Effect.provide(Effect.flatMap(FlightRecorder, ({ note }) => Effect.sync(() => note(draw(0.5)))), recorder)
      assert.strictEqual((yield* fs.stat(real)).mode & 0o777, 0o600)
      assert.lengthOf((yield* Effect.flatMap(fs.readFileString(real), Recording.parse)).entries, 2)
      const again = yield* Effect.flip(Effect.provide(FlightRecorder, recorder))
      assert.deepInclude(again, { reason: "Exists", path: real })
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.effect("a file that exists stays as it is", () =>
    Effect.gen(function*() {
      const made = disk()
      yield* recording(() => Effect.void, made)
      const before = MemoryFiles.snapshot(made)
      const error = yield* Effect.flip(recording(() => Effect.die("must not run"), made))
      assert.deepInclude(error, { _tag: "RecordingRefused", reason: "Exists", path })
      assert.deepStrictEqual(MemoryFiles.snapshot(made), before)
    }))

  it.effect("a place without modes, or a missing directory, is refused and left empty", () =>
    Effect.gen(function*() {
      const made = disk()
      const exposed = yield* Effect.flip(recording(() => Effect.void, made, {}, { fixedMode: 0o777 }))
      assert.deepInclude(exposed, { reason: "Exposed" })
      assert.deepStrictEqual(MemoryFiles.snapshot(made), { "/r/other": "" })
      const missing = yield* Effect.flip(recording(() => Effect.void, made, { path: "/nowhere/agent.ndjson" }))
      assert.deepInclude(missing, { reason: "Unwritable", errno: "ENOENT" })
    }))

  it.effect("a file ends at its limit, and says so in its last line", () =>
    Effect.gen(function*() {
      const maxBytes = 4096
      const text = yield* recording(
        ({ note }) =>
          Effect.gen(function*() {
            for (let n = 0; n < 500; n++) note(draw(n / 100_000))
            yield* TestClock.adjust("1 second")
            for (let n = 0; n < 500; n++) note(draw(n / 100_000))
          }),
        disk(),
        { maxBytes }
      )
      assert.isAtMost(text.length, maxBytes)
      const { entries } = yield* Recording.parse(text)
      assert.deepInclude(entries.at(-1), { kind: "full", bytes: maxBytes })
      assert.lengthOf(entries.filter(({ kind }) => kind === "full"), 1)
      assert.isAbove(entries.length, 10)
    }))

  it.live("lost entries are counted, at the place where they are missing", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const real = `${yield* fs.makeTempDirectoryScoped()}/agent.ndjson`
      yield* Effect.flatMap(FlightRecorder, ({ note }) =>
        Effect.sync(() => {
          for (let n = 0; n < 16_384 + 7; n++) note(draw(n / 100_000))
        })).pipe(Effect.provide(FlightRecorder.layer({ path: real }).pipe(Layer.provide(around))))
      const { entries } = yield* Effect.flatMap(fs.readFileString(real), Recording.parse)
      assert.lengthOf(entries, 16_384 + 2)
      assert.deepStrictEqual(entries.slice(-2).map(({ at: _at, ...entry }) => entry), [
        { kind: "lost", count: 7 },
        { kind: "end" }
      ])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.effect("what waits to be written is bounded by its length too, and one long message is never lost for that", () =>
    Effect.gen(function*() {
      const mebi = 1024 * 1024
      const text = yield* recording(({ note }) =>
        Effect.gen(function*() {
          note(draw(0.1), 40 * mebi)
          note(draw(0.2), 1)
          note(draw(0.3), mebi)
          note(draw(0.4))
          yield* TestClock.adjust("1 second")
          note(draw(0.5), 20 * mebi)
          note(draw(0.6), 12 * mebi)
          note(draw(0.7), mebi)
        })
      )
      const { entries } = yield* Recording.parse(text)
      assert.deepStrictEqual(entries.map(({ at: _at, ...entry }) => entry), [
        { kind: "draw", value: 0.1 },
        { kind: "lost", count: 2 },
        { kind: "draw", value: 0.4 },
        { kind: "draw", value: 0.5 },
        { kind: "draw", value: 0.6 },
        { kind: "lost", count: 1 },
        { kind: "end" }
      ])
    }))

  it.effect("a disk that is full ends the recording, and nothing else", () =>
    LogLines.kept((lines) =>
      Effect.gen(function*() {
        let full = false
        const gate = (operation: string, where: string) =>
          full && operation.startsWith("write")
            ? Effect.fail(MemoryFiles.failure("Unknown", "ENOSPC", operation, where))
            : Effect.void
        const text = yield* recording(
          ({ note }) =>
            Effect.gen(function*() {
              note(draw(0.1))
              yield* TestClock.adjust("1 second")
              full = true
              note(draw(0.2))
              yield* TestClock.adjust("1 second")
              note(draw(0.3))
            }),
          disk(),
          {},
          { gate }
        )
        assert.lengthOf((yield* Recording.parse(text)).entries, 1)
        assert.deepStrictEqual(lines.map(({ annotations, message }) => [message, annotations["errno"]]), [
          ["the recording ends here, as it cannot be written", "ENOSPC"]
        ])
      })
    ))
})

describe("a recording that cannot begin", () => {
  const failing: ReadonlyArray<readonly [what: string, operation: string, errno: string]> = [
    ["a full disk", "write", "ENOSPC"],
    ["a mode that cannot be read", "fstat", "EIO"]
  ]
  it.effect.each(failing)(
    "because of %s leaves no file behind",
    ([, failingOperation, errno]) =>
      Effect.gen(function*() {
        const made = disk()
        const gate = (operation: string, where: string) =>
          operation.startsWith(failingOperation)
            ? Effect.fail(MemoryFiles.failure("Unknown", errno, operation, where))
            : Effect.void
        const error = yield* Effect.flip(recording(() => Effect.die("must not run"), made, {}, { gate }))
        assert.deepInclude(error, { _tag: "RecordingRefused", reason: "Unwritable", errno })
        assert.deepStrictEqual(MemoryFiles.snapshot(made), { "/r/other": "" })
      })
  )
})

describe("an entry that cannot be made", () => {
  const entriesOf = (text: string) =>
    Effect.map(Recording.parse(text), ({ entries }) => entries.map(({ at: _at, ...entry }) => entry))

  it.effect("is lost, and no other", () =>
    LogLines.kept((lines) =>
      Effect.gen(function*() {
        const text = yield* recording(({ note }) =>
          Effect.sync(() => {
            note(draw(0.1))
            note(() => {
              throw new RangeError("Maximum call stack size exceeded")
            })
            note(draw(0.2))
          })
        )
        assert.deepStrictEqual(yield* entriesOf(text), [
          { kind: "draw", value: 0.1 },
          { kind: "lost", count: 1 },
          { kind: "draw", value: 0.2 },
          { kind: "end" }
        ])
        assert.deepStrictEqual(lines.map(({ message }) => message), ["an entry was not recorded"])
      })
    ))

  const nested = (open: string, close: string, times: number) => `${open.repeat(times)}1${close.repeat(times)}`
  const deep: ReadonlyArray<readonly [what: string, payload: string]> = [
    ["messages", nested(`{"message":`, "}", 4600)],
    ["messages in history", `{"messages":[${nested(`{"message":`, "}", 4600)}]}`],
    ["arrays", nested("[", "]", 27_500)],
    ["contents", `{"message":${nested(`{"content":[`, "]}", 3900)}}`]
  ]
  it.effect.each(deep)("is not a frame of 55 kB of nested %s", ([, payload]) =>
    Effect.gen(function*() {
      const frame = `{"type":"event","event":"chat","payload":${payload}}`
      assert.isAbove(frame.length, 54_000)
      const text = yield* recording(({ note }) =>
        Effect.sync(() => {
          note((redactor) => ({ kind: "in", link: 1, frame: { ...redactor.frame(frame) } }))
          note(draw(0.2))
        })
      )
      assert.isBelow(text.length, 3000)
      const entries = yield* entriesOf(text)
      assert.deepStrictEqual(entries.map(({ kind }) => kind), ["in", "draw", "end"])
    }))
})

describe("tasks and aborts of other processes", () => {
  const earlier = {
    taskId: TaskId.make("0badcafe"),
    runId: RunId.make("4c0f5d3e-5f0b-4a0b-9b60-3f6f0d5a7a01"),
    gatewayScope: "ws://127.0.0.1:18789/",
    sessionKey: "agent:main:earlier",
    summary: "a text of an earlier process",
    position: 1,
    acceptedAtMs: 0,
    sentAtMs: 0
  }

  /** A recorded agent with this journal, on a gateway whose agent never answers. */
  const recordedWith = (
    journal: Layer.Layer<TaskJournal>,
    made: MemoryFiles.Disk,
    takeOverEvery?: Duration.Duration,
    answers: GatewayAgent = () => Stream.never
  ) =>
    RecordedAgent.layer({ path, takeOverEvery })(Layer.fresh(agentWith({ takeOverEvery }))).pipe(
      Layer.provide(Layer.mergeAll(
        MemoryTransport.layer.pipe(Layer.provide(DevGateway.layerTest({ agent: answers }))),
        Layer.orDie(GatewayConfig.layer({ token: Redacted.make("operator-token") })),
        Device.layer,
        Admission.layer,
        TokenStore.layerMemory,
        journal,
        files(made),
        SecureRandom.layerWebCrypto
      ))
    )

  it.effect("they are recorded and happen again in the replay", () =>
    Effect.gen(function*() {
      const made = disk()
      const wanted = yield* Ref.make<ReadonlyArray<RunId>>([])
      const journal = Layer.effect(
        TaskJournal,
        Effect.map(TaskJournal, (inner) =>
          TaskJournal.of({
            ...inner,
            // Tasks of other processes are listed, but are not ours.
            read: Effect.succeed([{ ...earlier, taskId: TaskId.make("0fab0fab"), ownerPid: 4711 }]),
            claim: () => Effect.succeed([{ ...earlier, abortRequested: true }]),
            abortRequests: Ref.get(wanted)
          }))
      ).pipe(Layer.provide(TaskJournal.layerMemory))
      yield* Effect.gen(function*() {
        const tasks = yield* TaskRunner
        yield* TestClock.adjust("1 second")
        const { runId, taskId } = yield* tasks.delegate("a text of this process")
        yield* TestClock.adjust("3 seconds")
        yield* Ref.set(wanted, [runId])
        yield* TestClock.adjust("3 seconds")
        assert.strictEqual((yield* tasks.await(taskId))._tag, "Aborted")
      }).pipe(Effect.provide(recordedWith(journal, made)))

      const recording = yield* Effect.flatMap(
        Effect.sync(() => MemoryFiles.snapshot(made)[path] ?? ""),
        Recording.parse
      )
      const of = (kind: Recording.Entry["kind"]) => recording.entries.filter((entry) => entry.kind === kind)
      assert.lengthOf(of("takenUp"), 1)
      assert.lengthOf(of("abort"), 1)
      // The gateway does not have the earlier task, whose abort was asked for: it ends and is not sent again.
      assert.deepStrictEqual(
        of("ended").map((entry) => entry.kind === "ended" ? entry.end.outcome : ""),
        ["Aborted", "Aborted"]
      )
      assert.notInclude(MemoryFiles.snapshot(made)[path], "0fab0fab")
      const outcome = yield* Replay.run(recording, { toleranceMs: 0 })
      assert.isUndefined(outcome.difference, JSON.stringify(outcome.difference))
      for (const kind of ["takenUp", "abort"] as const) {
        const entries = recording.entries.filter((entry) => entry.kind !== kind)
        assert.isDefined((yield* Replay.run({ ...recording, entries }, { toleranceMs: 0 })).difference, kind)
      }
    }))

  it.effect("G15 B07: the task of a program that ends meanwhile is taken over, and so it is in the replay", () =>
    Effect.gen(function*() {
      const made = disk()
      let asked = 0
      const journal = Layer.effect(
        TaskJournal,
        Effect.map(
          TaskJournal,
          (inner) => TaskJournal.of({ ...inner, claim: () => Effect.sync(() => ++asked === 4 ? [earlier] : []) })
        )
      ).pipe(Layer.provide(TaskJournal.layerMemory))
      yield* Effect.gen(function*() {
        const tasks = yield* TaskRunner
        for (let second = 0; second < 90; second++) yield* TestClock.adjust("1 second")
        assert.include(yield* tasks.await(earlier.taskId), { _tag: "Completed", text: `echo: ${earlier.summary}` })
      }).pipe(Effect.provide(recordedWith(journal, made, Duration.seconds(20), echo)))
      assert.isAtLeast(asked, 5)
      const recording = yield* Effect.flatMap(
        Effect.sync(() => MemoryFiles.snapshot(made)[path] ?? ""),
        Recording.parse
      )
      // Nothing is written of a question that nobody's task answers.
      const taken = recording.entries.filter((entry) => entry.kind === "takenUp")
      assert.deepStrictEqual(taken.map(({ again = false, tasks }) => [again, tasks.length]), [[false, 0], [true, 1]])
      const outcome = yield* Replay.run(recording, { toleranceMs: 0 })
      assert.isUndefined(outcome.difference, JSON.stringify(outcome.difference))
      const entries = recording.entries.filter((entry) => entry.kind !== "takenUp" || entry.again !== true)
      assert.isDefined((yield* Replay.run({ ...recording, entries }, { toleranceMs: 0 })).difference)
    }))

  it.effect("a task that the journal cannot keep is not sent, and not in the replay either", () =>
    Effect.gen(function*() {
      const made = disk()
      const full = Layer.effect(
        TaskJournal,
        Effect.map(TaskJournal, (inner) =>
          TaskJournal.of({
            ...inner,
            put: () => Effect.fail(new TaskJournalError({ path: "/full", reason: "Unwritable" }))
          }))
      ).pipe(Layer.provide(TaskJournal.layerMemory))
      yield* Effect.gen(function*() {
        const tasks = yield* TaskRunner
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* Effect.flip(tasks.delegate("lost"))).reason, "NotKept")
        yield* TestClock.adjust("1 second")
      }).pipe(Effect.provide(recordedWith(full, made)))
      const recording = yield* Recording.parse(MemoryFiles.snapshot(made)[path] ?? "")
      const { difference } = yield* Replay.run(recording, { toleranceMs: 0 })
      assert.isUndefined(difference, JSON.stringify(difference))
    }))
})

describe("a link that no longer takes messages, and has not yet reported its end", () => {
  const deaf = Layer.succeed(Transport, {
    dial: (_target, handler) =>
      Effect.sync(() => {
        handler.onText(Wire.challenge({ nonce: Wire.nonce, ts: 0 }))
        return { sendUnsafe: () => false, closeUnsafe: () => {}, pause: () => {}, resume: () => {} }
      })
  })

  it.effect("is recorded as that, and fails in the replay as it failed then", () =>
    Effect.gen(function*() {
      const made = disk()
      const host = Layer.mergeAll(around, deaf, Admission.layer, files(made), SecureRandom.layerWebCrypto)
      yield* TestClock.adjust("16 seconds").pipe(
        Effect.provide(RecordedAgent.layer({ path })(Layer.fresh(agent)).pipe(Layer.provide(host)))
      )
      const recording = yield* Recording.parse(MemoryFiles.snapshot(made)[path] ?? "")
      const outcome = yield* Replay.run(recording, { toleranceMs: 0 })
      assert.isUndefined(outcome.difference, JSON.stringify(outcome.difference))
      assert.strictEqual(outcome.recorded[1]?.state.cause, "LinkError/Closed")
      const taken = recording.entries.filter(({ kind }) => kind !== "untaken")
      const { difference } = yield* Replay.run({ ...recording, entries: taken }, { toleranceMs: 0 })
      assert.match(difference?.replayed ?? "", /HelloTimeout/)
    }))
})

const canary = {
  token: "canary-token-5f0e1d",
  password: "canary-password-0b7c",
  stored: "canary-stored-token-99",
  message: "canary message: the code of the safe is 4711",
  reply: "canary reply of the agent",
  session: "agent:main:canary-session",
  earlier: "canary text of an earlier task",
  displayName: "canary host name",
  header: "canary-header-value-3f",
  pin: "c0ffee".repeat(10) + "0123"
}
/** The facts of a certificate in an error, with canaries. */
const seenOnTheWay = {
  host: "canary-host.example:4711",
  seenCertificate: "sha256:CA:4A:11",
  seenKey: "sha256//canarykey"
}
const onTheWay: ReadonlyArray<DialError> = [
  new LinkError({ reason: "Unreachable", phase: "dial", errno: "ECONNREFUSED", proxy: "canary-proxy.example:3128" }),
  new ProxyRejected({ reason: "Unreachable", proxy: "canary-proxy.example:3128", status: 502 }),
  new UpgradeRejected({
    reason: "GatewayFull",
    status: 503,
    location: "https://canary-login.example/",
    body: `canary ${canary.header}`
  }),
  new TlsUntrusted({
    reason: "Expired",
    ...seenOnTheWay,
    code: "CERT_HAS_EXPIRED",
    validFromMs: 0,
    validToMs: 4711,
    names: "canary-host.example"
  }),
  new TlsPinMismatch({ reason: "Unknown", ...seenOnTheWay, expected: [`sha256:${canary.pin.match(/../g)?.join(":")}`] })
]
const seed = Uint8Array.from({ length: 32 }, (_, index) => (index * 37 + 11) % 256)

/** Every form that a secret could have in the file. */
const formsOf = (secret: string | Uint8Array): ReadonlyArray<string> => {
  const bytes = Buffer.from(secret)
  // Without the last letters, which depend on what follows.
  const base64 = (offset: number) => Buffer.concat([Buffer.alloc(offset), bytes]).toString("base64").slice(4, -4)
  const forms = [bytes.toString("hex"), ...[0, 1, 2].map(base64)]
  return [
    ...(typeof secret === "string" ? [secret, encodeURIComponent(secret)] : [[...bytes].join(",")]),
    ...forms.flatMap((form) => [form, form.toUpperCase(), form.replaceAll("+", "-").replaceAll("/", "_")])
  ]
}

describe("a recording holds no secret", () => {
  const modes = [
    ["a token", { token: Redacted.make(canary.token) }, { mode: "token", token: Redacted.make(canary.token) }],
    ["a password", { password: Redacted.make(canary.password) }, {
      mode: "password",
      password: Redacted.make(canary.password)
    }]
  ] as const
  it.effect.each(modes)(
    "B16: not with %s: no credential, key, signature, text, name or host",
    ([, client, auth]) =>
      Effect.gen(function*() {
        const made = disk()
        const scope = yield* Scope.make()
        const host = Layer.mergeAll(
          FailingDials.layer(onTheWay).pipe(
            Layer.provide(MemoryTransport.layer),
            Layer.provideMerge(DevGateway.layerTest({
              auth,
              recordFrames: true,
              allowedOrigins: ["https://canary-origin.example"]
            }))
          ),
          Layer.orDie(GatewayConfig.layer({
            ...client,
            url: "wss://canary-host.example:4711/canary-path",
            headers: Redacted.make(`X-Canary: ${canary.header}`),
            tlsPins: canary.pin,
            scopes: "operator.read",
            displayName: canary.displayName,
            origin: "https://canary-origin.example"
          })),
          Layer.orDie(DeviceIdentity.layerSeed({ seed: Redacted.make(seed) })).pipe(Layer.provide(Signer.layerNodejs)),
          Admission.layer,
          TokenStore.layerMemory,
          TaskJournal.layerMemory,
          files(made)
        ).pipe(Layer.provideMerge(SecureRandom.layerWebCrypto))
        const gatewayScope = "wss://canary-host.example:4711/canary-path"
        const context = yield* Layer.buildWithScope(host, scope)
        const { deviceId, publicKey } = Context.get(context, DeviceIdentity)
        const token = yield* Schema.decodeEffect(AuthToken)(canary.stored)
        yield* Context.get(context, TokenStore).put({ gatewayScope, deviceId, role: "operator" }, {
          token: Redacted.make(token),
          scopes: ["operator.read"],
          storedAtMs: 0
        })
        yield* Context.get(context, TaskJournal).put({
          taskId: TaskId.make("0badcafe"),
          runId: RunId.make("4c0f5d3e-5f0b-4a0b-9b60-3f6f0d5a7a01"),
          gatewayScope,
          sessionKey: canary.session,
          summary: canary.earlier,
          position: 1,
          acceptedAtMs: 0
        })
        const recorded = yield* Layer.buildWithScope(
          RecordedAgent.layer({ path })(Layer.fresh(agent)).pipe(Layer.provide(Layer.succeedContext(context))),
          scope
        )
        const gateway = Context.get(context, DevGateway)
        const supervisor = Context.get(recorded, Supervisor)
        const tasks = Context.get(recorded, TaskRunner)
        const approve = Effect.flatMap(gateway.pending, ([request]) => gateway.approve(request?.requestId ?? ""))
        // The back-off before each new try, up to the halt for the pin.
        yield* TestClock.adjust("1 minute")
        yield* supervisor.checkNow
        yield* TestClock.adjust("1 second")
        yield* approve
        yield* supervisor.checkNow
        yield* TestClock.adjust("1 second")
        yield* Effect.forkIn(supervisor.upgradeScopes([ScopeName.make("operator.write")]), scope)
        yield* TestClock.adjust("1 second")
        yield* approve
        yield* TestClock.adjust("1 second")
        const { taskId } = yield* tasks.delegate(canary.message, { sessionKey: canary.session })
        yield* TestClock.adjust("10 seconds")
        yield* tasks.await(taskId)
        // Its session rests, and that is said before the link is lost.
        yield* TestClock.adjust(0)
        yield* gateway.broadcast("chat", {
          runId: canary.reply,
          state: "final",
          message: { role: "assistant", content: [{ type: "text", text: canary.reply }] }
        })
        yield* gateway.broadcast("custom", { anything: canary.message })
        yield* gateway.dropAll(1011, canary.message)
        yield* TestClock.adjust("5 seconds")
        yield* Scope.close(scope, Exit.void)

        const text = MemoryFiles.snapshot(made)[path] ?? ""
        const frames = yield* gateway.frames
        const found = (pattern: RegExp) => frames.flatMap((frame) => pattern.exec(frame.text)?.slice(1) ?? [])
        const issued = found(/"deviceToken":"([^"]+)"/)
        const signatures = found(/"signature":"([^"]+)"/)
        assert.isNotEmpty(issued)
        assert.isNotEmpty(signatures)
        const secrets = [...Object.values(canary), ...issued, ...signatures, publicKey, deviceId, seed]
        for (const secret of secrets) {
          for (const form of formsOf(secret)) assert.notInclude(text, form, String(secret))
        }
        for (const word of ["canary", "ca:4a:11", "c0:ff:ee"]) assert.notInclude(text.toLowerCase(), word)
        // The token of an approval over the session is one of those that were searched for.
        assert.isTrue(frames.some(({ text }) => /"status":"approved"[^}]*"deviceToken"/.test(text)))
        for (const { _tag } of onTheWay) assert.include(text, `"error":"${_tag}"`)
        // It is still a complete recording.
        const outcome = yield* Effect.flatMap(Recording.parse(text), (all) => Replay.run(all, { toleranceMs: 0 }))
        assert.isUndefined(outcome.difference, JSON.stringify(outcome.difference))
        assert.isAbove(outcome.messages, 4)
      })
  )
})
