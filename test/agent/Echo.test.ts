/**
 * A gateway that repeats each credential of ours wherever a text of its own is shown, logged or kept.
 */
import { assert, describe, it } from "@effect/vitest"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Agent from "../../src/agent/Agent.ts"
import { AgentEvents } from "../../src/agent/AgentEvents.ts"
import * as TaskTools from "../../src/agent/TaskTools.ts"
import * as EventText from "../../src/cli/EventText.ts"
import { Admission } from "../../src/connection/Admission.ts"
import type { ConnectionStatus } from "../../src/connection/ConnectionStatus.ts"
import type { Session } from "../../src/connection/Session.ts"
import { Supervisor } from "../../src/connection/Supervisor.ts"
import type { GatewayInput } from "../../src/handshake/GatewayConfig.ts"
import { GatewayConfig } from "../../src/handshake/GatewayConfig.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { TokenStore } from "../../src/identity/TokenStore.ts"
import { LinkError, UpgradeRejected } from "../../src/link/LinkError.ts"
import { ApproveCommands } from "../../src/pairing/ApproveCommand.ts"
import { encodeAgentEvent } from "../../src/protocol/AgentEvent.ts"
import * as Frame from "../../src/protocol/Frame.ts"
import * as RecordedAgent from "../../src/recorder/RecordedAgent.ts"
import { TaskJournal } from "../../src/tasks/TaskJournal.ts"
import { TaskRunner } from "../../src/tasks/TaskRunner.ts"
import * as MemoryFiles from "../storage/MemoryFiles.ts"
import * as Device from "../support/Device.ts"
import { observed, shown } from "../support/Observed.ts"
import type { ScriptedLink } from "../support/ScriptedTransport.ts"
import { ScriptedTransport } from "../support/ScriptedTransport.ts"
import * as Wire from "../support/WireFrames.ts"

const recordingPath = "/r/agent.ndjson"
const settings: GatewayInput = {
  url: "wss://gateway.test",
  token: Redacted.make("hush-shared-token"),
  password: Redacted.make('hush pass/word "ü"'),
  headers: Redacted.make("X-Door: hush-door-value")
}
const storedToken = Device.token("hush-stored-token")
const issuedToken = "hush-issued-token"

/** Everything that the program shows, logs or keeps while a gateway repeats this text. */
const told = Effect.fnUntraced(function*(echo: string) {
  const disk = MemoryFiles.makeDisk()
  MemoryFiles.place(disk, "/r/other", "")
  const files = Layer.effect(FileSystem.FileSystem, MemoryFiles.makeFileSystem(disk)).pipe(Layer.provide(Path.layer))
  const kept: Array<string> = []
  const keep = (...values: ReadonlyArray<unknown>) => void kept.push(...values.map(shown))
  const journal = Layer.effect(
    TaskJournal,
    Effect.map(TaskJournal, (inner) => ({
      ...inner,
      put: (entry: Parameters<typeof inner.put>[0]) => Effect.andThen(Effect.sync(() => keep(entry)), inner.put(entry))
    }))
  ).pipe(Layer.provide(TaskJournal.layerMemory))
  const around = Layer.mergeAll(
    Admission.layer,
    ApproveCommands.layerAnywhere,
    Device.layer,
    Layer.orDie(GatewayConfig.layer(settings)),
    SecureRandom.layerWebCrypto,
    journal,
    TokenStore.layerMemory,
    files,
    ScriptedTransport.layer
  )
  const program = Effect.gen(function*() {
    const { dials, nth, script } = yield* ScriptedTransport
    const { deviceId } = yield* DeviceIdentity
    const store = yield* TokenStore
    const key = { gatewayScope: "wss://gateway.test:443/", deviceId, role: "operator" as const }
    yield* store.put(key, { token: storedToken, scopes: ["operator.read", "operator.write"], storedAtMs: 0 })
    // A transport that does not know what was sent.
    script(
      { fail: new UpgradeRejected({ status: 503, body: `no ${echo}`, location: `https://door.test/${echo}` }) },
      { fail: new LinkError({ reason: "HungUp", phase: "upgrade", closeReason: echo }) }
    )
    yield* Effect.gen(function*() {
      const supervisor = yield* Supervisor
      const tasks = yield* TaskRunner
      const { events } = yield* AgentEvents
      const statuses: Array<ConnectionStatus> = []
      yield* Effect.forkScoped(
        Stream.runForEach(supervisor.changes, ({ status }) => Effect.sync(() => void statuses.push(status))),
        { startImmediately: true }
      )
      yield* Effect.forkScoped(
        Stream.runForEach(
          events,
          (event) =>
            Effect.sync(() => keep(event, encodeAgentEvent(event), EventText.render(event, EventText.plain, 80) ?? ""))
        ),
        { startImmediately: true }
      )
      const reached = Effect.fnUntraced(function*<Tag extends ConnectionStatus["_tag"]>(tag: Tag) {
        const found = yield* supervisor.changes.pipe(
          Stream.map(({ status }) => status),
          Stream.filter((status): status is Extract<ConnectionStatus, { readonly _tag: Tag }> => status._tag === tag),
          Stream.runHead
        )
        return Option.getOrThrow(found)
      })
      /** Waits no longer than the client does, as the next attempt has deadlines of its own. */
      const dialled = Effect.fnUntraced(function*(generation: number) {
        while (dials() < generation) yield* TestClock.adjust("500 millis")
        return yield* nth(generation)
      })
      const refused = Effect.fnUntraced(function*(link: ScriptedLink, error: Frame.ErrorShape) {
        link.send(Wire.challenge())
        yield* link.nthSent(1)
        link.send(Wire.refusal(error))
      })
      const everywhere = (code: string | undefined): Frame.ErrorShape => ({
        code: echo,
        message: `you sent ${echo}`,
        details: {
          ...(code === undefined ? { code: echo } : { code }),
          reason: echo,
          requestId: echo,
          requestedScopes: [echo, "operator.read"],
          approvedScopes: [echo],
          missingScope: echo,
          recommendedNextStep: echo
        }
      })
      for (let dial = 1; dial <= 2; dial++) {
        yield* dialled(dial)
        yield* reached("Waiting")
      }
      yield* refused(yield* dialled(3), { ...everywhere(undefined), code: "UNAVAILABLE", details: { reason: echo } })
      yield* reached("Waiting")
      const closing = yield* dialled(4)
      closing.send(Wire.challenge())
      yield* closing.nthSent(1)
      closing.close(1008, echo)
      yield* reached("Waiting")
      yield* refused(yield* dialled(5), everywhere(undefined))
      yield* reached("Halted")
      yield* supervisor.checkNow
      yield* refused(yield* dialled(6), everywhere("PAIRING_REQUIRED"))
      yield* reached("AwaitingApproval")
      yield* supervisor.checkNow
      const link = yield* dialled(7)
      link.send(Wire.challenge())
      yield* link.nthSent(1)
      link.send(Wire.helloOk({
        server: { version: `1 ${echo}`, connId: echo },
        auth: {
          deviceToken: issuedToken,
          role: "operator",
          scopes: ["operator.read", "operator.write", ...(echo.includes('"') ? [] : [echo])]
        }
      }))
      const { session } = yield* reached("Connected")
      yield* inSession(session, link, tasks)
      keep(session.facts, Option.map(yield* store.get(key), ({ scopes }) => scopes))
      link.close(1012, `${echo} ${issuedToken}`)
      keep(yield* session.ended)
      yield* reached("Waiting")
      keep(statuses.map((status) => status._tag === "Connected" ? status.session.facts : status))
    }).pipe(
      Effect.provide(RecordedAgent.layer({ path: recordingPath })(Agent.layer())),
      Effect.scoped
    )
  })
  const inSession = Effect.fnUntraced(function*(session: Session, link: ScriptedLink, tasks: TaskRunner["Service"]) {
    const asking = yield* Effect.forkChild(Effect.flip(session.request("some.method", {})))
    const asked = yield* link.nthSent(2)
    link.send(Wire.refusal({ code: echo, message: `${echo} ${issuedToken}`, details: { code: echo } }, asked.id))
    const error = yield* Fiber.join(asking)
    keep(error, error.message)
    const receipt = yield* tasks.delegate("a task")
    const sent = yield* link.nthSent(3)
    const chat = (rest: object) =>
      link.send(Frame.encodeEvent("chat", { runId: receipt.runId, sessionKey: "agent:main:main", ...rest }))
    link.send(Frame.encodeResponse(sent.id, { runId: receipt.runId, status: "started" }))
    chat({ state: "status", phase: `doing ${echo} ${issuedToken}` })
    yield* Effect.yieldNow
    chat({
      state: "final",
      message: { role: "assistant", content: [{ type: "text", text: `so ${echo} ${issuedToken}` }] }
    })
    yield* tasks.await(receipt.taskId)
    const toolkit = yield* TaskTools.TaskTools.pipe(Effect.provide(TaskTools.layer))
    const telling = toolkit.handle("claw_task_status", { task_id: receipt.taskId })
    keep(yield* Effect.flatMap(telling, Stream.runCollect))
    yield* TestClock.adjust("1 second")
  })
  const { exit, told } = yield* observed(
    // A span of `TaskRunner.await` ends with the reply, as it came.
    program.pipe(Effect.provide(around), Effect.withTracerEnabled(false))
  )
  const recording = MemoryFiles.snapshot(disk)[recordingPath] ?? ""
  return { exit, text: [...kept, ...told, recording].join("\n"), recording }
})

describe("a gateway that repeats a credential", () => {
  const secrets: ReadonlyArray<readonly [what: string, secret: string]> = [
    ["shared token", "hush-shared-token"],
    ["password", 'hush pass/word "ü"'],
    ["stored device token", "hush-stored-token"],
    ["header of a front door", "hush-door-value"]
  ]
  it.effect.each(secrets)(
    "has it shown, logged, kept and recorded nowhere: %s",
    ([, secret]) =>
      Effect.gen(function*() {
        const { exit, recording, text } = yield* told(secret)
        assert.strictEqual(exit._tag, "Success", String(exit))
        const at = text.search(/hush|pass%20word|pass\/word/u)
        assert.strictEqual(at, -1, text.slice(Math.max(0, at - 300), at + 100))
        assert.isAbove(text.split("[redacted]").length, 20)
        assert.isAbove(recording.split("\n").length, 30)
      })
  )
})
