/**
 * Records an agent on a test clock, once for each kind of trouble that a gateway can make.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Agent from "../../src/agent/Agent.ts"
import type { ConnectionStatus } from "../../src/connection/ConnectionStatus.ts"
import { Supervisor } from "../../src/connection/Supervisor.ts"
import type { Options } from "../../src/devgateway/DevGateway.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import type { Fault } from "../../src/devgateway/Fault.ts"
import type { GatewayInput } from "../../src/handshake/GatewayConfig.ts"
import type { DialError } from "../../src/link/LinkError.ts"
import { LinkError, ProxyRejected } from "../../src/link/LinkError.ts"
import { TlsPinMismatch, TlsUntrusted } from "../../src/link/TlsError.ts"
import { ScopeName } from "../../src/protocol/Connect.ts"
import * as RecordedAgent from "../../src/recorder/RecordedAgent.ts"
import { TaskRunner } from "../../src/tasks/TaskRunner.ts"
import * as MemoryGateway from "../../src/testing/MemoryGateway.ts"
import * as Device from "../support/Device.ts"
import * as FailingDials from "../support/FailingDials.ts"

export interface Scene {
  readonly gateway: DevGateway["Service"]
  readonly supervisor: Supervisor["Service"]
  readonly tasks: TaskRunner["Service"]
  readonly reached: (tag: ConnectionStatus["_tag"]) => Effect.Effect<void>
  /** Approves the request of this device and makes it ask again. */
  readonly approved: Effect.Effect<void>
  readonly rejected: Effect.Effect<void>
  /** Waits until wider scopes are asked for, or declined, beside the session. */
  readonly beside: (what: "upgrade" | "declined") => Effect.Effect<void>
  /** Runs a task to its end. */
  readonly task: (text: string) => Effect.Effect<void>
}

export interface Scenario {
  readonly name: string
  readonly faults?: ReadonlyArray<Fault>
  readonly gateway?: Partial<Options>
  readonly client?: GatewayInput
  /** Failures of the first dials, which do not reach the gateway. */
  readonly dials?: ReadonlyArray<DialError>
  readonly play: (scene: Scene) => Effect.Effect<unknown>
}

const operatorToken = Redacted.make("operator-token")
/** Moves the clock after everything that is due now has happened, so that recordings can be repeated. */
const wait = (duration: Duration.Input) =>
  Effect.andThen(Effect.repeat(Effect.yieldNow, { times: 100 }), TestClock.adjust(duration))
/** A faulty attempt, and then a connection that lasts. */
const recovers: Scenario["play"] = ({ reached }) => Effect.andThen(wait("2 minutes"), reached("Connected"))
const halts: Scenario["play"] = ({ reached }) => Effect.andThen(wait("1 second"), reached("Halted"))
const client: GatewayInput = { token: operatorToken }

/** A fault of the first connection only. */
const once = (name: string, fault: Fault, play: Scenario["play"] = recovers): Scenario => ({
  name,
  client,
  faults: [fault],
  play
})
/** A fault of every connection. */
const forGood = (name: string, fault: Fault): Scenario => ({
  name,
  client,
  play: () => wait("3 minutes"),
  faults: Array.from({ length: 40 }, () => fault)
})
/** Something that happens to a device that is paired and connected. */
const paired = (name: string, then: Scenario["play"], gateway: Partial<Options> = {}): Scenario => ({
  name,
  gateway,
  play: (scene) => Effect.andThen(scene.approved, then(scene))
})

/** How the first dial to a pinned gateway fails. */
const onTheWay = (name: string, error: DialError, play: Scenario["play"] = recovers): Scenario => ({
  name,
  client: { ...pinned, token: operatorToken },
  dials: [error],
  play
})
const pinned: GatewayInput = { url: "wss://gateway.example", tlsPins: "0a".repeat(32) }
const certificate = {
  host: "gateway.example:443",
  seenCertificate: `sha256:${Array.from({ length: 32 }, () => "0B").join(":")}`,
  seenKey: `sha256//${"c".repeat(43)}=`
}
const untrusted = (reason: TlsUntrusted["reason"], code: string) =>
  new TlsUntrusted({ reason, ...certificate, code, validFromMs: 0, validToMs: 1000, names: "gateway.example" })
const proxy = "proxy.example:3128"

/** A device that was approved for reading asks for writing too, and a person decides. */
const widens = (name: string, decide: Scenario["play"], scopeUpgrades: boolean): Scenario => ({
  name,
  gateway: { scopeUpgrades },
  client: { scopes: "operator.read" },
  play: (scene) =>
    Effect.gen(function*() {
      yield* scene.approved
      yield* Effect.forkChild(scene.supervisor.upgradeScopes([ScopeName.make("operator.write")]))
      yield* scene.beside("upgrade")
      yield* wait("20 seconds")
      yield* decide(scene)
    })
})
const granted: Scenario["play"] = ({ approved, task }) => Effect.andThen(approved, task("now it may be asked"))
const declined: Scenario["play"] = ({ beside, gateway, reached, rejected }) =>
  Effect.gen(function*() {
    yield* rejected
    yield* wait("20 seconds")
    yield* beside("declined")
    yield* gateway.dropAll(1006)
    yield* wait("2 minutes")
    yield* reached("Connected")
  })

const deviceId = (gateway: DevGateway["Service"]) => Effect.map(gateway.paired, (all) => all[0]?.deviceId ?? "")

export const scenarios: ReadonlyArray<Scenario> = [
  once("hello", {}),
  once("no-challenge", { noChallenge: true }),
  once("late-challenge", { lateChallenge: "4 seconds" }),
  once("two-challenges", { twoChallenges: true }),
  once("malformed-missing-ts", { malformedChallenge: "missing-ts" }, halts),
  once("malformed-negative-ts", { malformedChallenge: "negative-ts" }, halts),
  once("malformed-missing-nonce", { malformedChallenge: "missing-nonce" }, halts),
  once("malformed-piped-nonce", { malformedChallenge: "piped-nonce" }, halts),
  once("drop-at-open", { dropAt: "open" }),
  once("drop-at-challenge", { dropAt: "challenge" }),
  once("drop-at-connect", { dropAt: "connect" }),
  once("drop-at-hello", { dropAt: "hello" }),
  once("stall-at-open", { stallAt: "open" }),
  once("stall-at-challenge", { stallAt: "challenge" }),
  once("stall-at-connect", { stallAt: "connect" }),
  once("stall-at-hello", { stallAt: "hello" }),
  forGood("drop-for-good", { dropAt: "challenge" }),
  once("unavailable", { unavailable: 1500 }),
  once("close-1012", { closeWith: { code: 1012, reason: "service restart" } }),
  once("close-1013", { closeWith: { code: 1013, reason: "gateway starting" } }),
  once("close-1009", { closeWith: { code: 1009 } }, halts),
  once("lock-out", { lockout: 20_000 }),
  once("refused-origin", {
    refuse: {
      code: "INVALID_REQUEST",
      message: "origin not allowed",
      details: { code: "CONTROL_UI_ORIGIN_NOT_ALLOWED", reason: "origin not allowed" }
    }
  }, halts),
  once("refused-protocol", {
    refuse: {
      code: "INVALID_REQUEST",
      message: "protocol mismatch",
      details: { code: "PROTOCOL_MISMATCH", expectedProtocol: 5 }
    }
  }, halts),
  once("refused-proof-v3", { refuseProofV3: true }),
  once("refused-unknown", { refuse: { code: "SOMETHING_NEW", message: "we do not like you" } }, halts),
  once("tick-loss", { tickLoss: true }, ({ reached }) => Effect.andThen(wait("3 minutes"), reached("Connected"))),
  once("sequence-gap", { sequenceGap: true }, ({ task }) => task("count to three")),
  once("noise", { noiseFrames: true }),
  once("event-with-hello", { eventInSamePacketAsHello: true }),
  once("upgrade-403", { upgradeRefusal: { status: 403, body: "Proxy client attribution is required." } }, halts),
  once("upgrade-503", { upgradeRefusal: { status: 503, body: "Too many unauthenticated sockets" } }),
  once("unreachable", { upgradeRefusal: { status: 0, body: "" } }),
  onTheWay(
    "tls-pin-mismatch",
    new TlsPinMismatch({ reason: "Unknown", ...certificate, expected: ["sha256:0A"] }),
    halts
  ),
  onTheWay("tls-untrusted", untrusted("HostMismatch", "ERR_TLS_CERT_ALTNAME_INVALID"), halts),
  onTheWay("tls-expired", untrusted("Expired", "CERT_HAS_EXPIRED")),
  onTheWay("proxy-credentials", new ProxyRejected({ reason: "Credentials", proxy, status: 407 }), halts),
  onTheWay("proxy-unreachable", new ProxyRejected({ reason: "Unreachable", proxy, status: 502 })),
  onTheWay("proxy-gone", new LinkError({ reason: "Unreachable", phase: "dial", errno: "ECONNREFUSED", proxy })),
  {
    // The device token goes to a pinned gateway when the shared one is refused, and to no other remote gateway.
    name: "pinned-own-token",
    client: pinned,
    play: ({ approved, reached, supervisor }) =>
      Effect.gen(function*() {
        yield* approved
        yield* supervisor.reconfigure(Device.settings({ ...pinned, token: Redacted.make("not-the-token") }))
        yield* wait("5 seconds")
        yield* reached("Connected")
      })
  },
  {
    // Token and tasks belong to one gateway: another one gets neither.
    name: "another-gateway",
    play: ({ approved, reached, supervisor, tasks }) =>
      Effect.gen(function*() {
        yield* approved
        yield* supervisor.reconfigure(Device.settings({ url: "ws://127.0.0.1:4711" }))
        yield* wait("1 second")
        yield* reached("Halted")
        yield* tasks.delegate("a task for the other gateway")
        yield* supervisor.reconfigure(Device.settings({}))
        yield* wait("5 seconds")
        yield* reached("Connected")
      }).pipe(Effect.orDie)
  },
  widens("upgrade-over-session", granted, true),
  widens("upgrade-beside-session", granted, false),
  widens("upgrade-rejected", declined, true),
  widens("upgrade-replaced", declined, false),
  {
    name: "wrong-token",
    client: { token: Redacted.make("not-the-token") },
    play: halts
  },
  {
    name: "approval",
    play: ({ approved, task }) => Effect.andThen(approved, task("say hello to everybody"))
  },
  {
    name: "approval-unattended",
    play: ({ approved }) => Effect.andThen(wait("20 minutes"), approved)
  },
  {
    name: "approval-attended",
    play: ({ approved, supervisor }) =>
      Effect.scoped(Effect.andThen(supervisor.attend, Effect.andThen(wait("30 seconds"), approved)))
  },
  {
    name: "approval-superseded",
    faults: [{}, { supersede: true }, { supersede: true }],
    play: ({ approved }) => Effect.andThen(wait("2 minutes"), approved)
  },
  {
    name: "approval-replaced-too-often",
    faults: Array.from({ length: 6 }, () => ({ supersede: true })),
    play: ({ reached, supervisor }) =>
      Effect.gen(function*() {
        yield* wait("10 minutes")
        yield* reached("Halted")
        yield* supervisor.checkNow
        yield* wait("1 minute")
      })
  },
  {
    name: "approval-link-lost",
    faults: [{}, { dropAt: "challenge" }, { upgradeRefusal: { status: 503, body: "" } }],
    play: ({ approved }) => Effect.andThen(wait("2 minutes"), approved)
  },
  paired("rotate", ({ gateway }) =>
    Effect.gen(function*() {
      yield* gateway.rotate(yield* deviceId(gateway))
      yield* wait("1 minute")
    }).pipe(Effect.orDie)),
  paired("revoke", ({ gateway }) =>
    Effect.gen(function*() {
      yield* gateway.revoke(yield* deviceId(gateway))
      yield* wait("1 minute")
    }).pipe(Effect.orDie)),
  paired("remove", ({ gateway }) =>
    Effect.gen(function*() {
      yield* gateway.remove(yield* deviceId(gateway))
      yield* wait("1 minute")
    }).pipe(Effect.orDie)),
  paired("restart", ({ gateway, task }) =>
    Effect.gen(function*() {
      yield* gateway.stop
      yield* wait("2 minutes")
      yield* gateway.start
      yield* wait("1 minute")
      yield* task("are you back?")
    })),
  paired("task-cut", ({ gateway, tasks }) =>
    Effect.gen(function*() {
      yield* tasks.delegate("a task whose link is cut")
      yield* gateway.dropAll(1006)
      yield* wait("1 minute")
    }).pipe(Effect.orDie)),
  {
    name: "reconfigure",
    client: { token: Redacted.make("not-the-token") },
    play: ({ reached, supervisor }) =>
      Effect.gen(function*() {
        yield* wait("1 second")
        yield* reached("Halted")
        yield* supervisor.reconfigure(Device.settings({ token: operatorToken, scopes: "operator.read" }))
        yield* wait("1 second")
        yield* reached("Connected")
      })
  },
  paired("abort", ({ tasks }) =>
    Effect.gen(function*() {
      const { taskId } = yield* tasks.delegate("a task that takes for ever")
      yield* wait("20 seconds")
      yield* Effect.forkChild(tasks.abort(taskId))
      yield* wait("20 seconds")
      yield* tasks.await(taskId)
    }).pipe(Effect.orDie), { agent: () => Stream.never }),
  paired("pause", ({ supervisor }) =>
    Effect.gen(function*() {
      yield* supervisor.pause
      yield* wait("1 minute")
      yield* supervisor.resume
      yield* wait("1 minute")
    }))
]

const hasTag = (tag: ConnectionStatus["_tag"]) => (status: ConnectionStatus) => status._tag === tag

const seeded = Layer.effect(
  SecureRandom.SecureRandom,
  Effect.map(
    Random.Random,
    (random) =>
      SecureRandom.make((size) => Uint8Array.from({ length: size }, () => Math.floor(random.nextDoubleUnsafe() * 256)))
  )
)

/** 22 November 2026. */
const startMs = 1_795_305_600_000

/** Plays a scenario with the recorder on and gives the file. Repeatable: nothing in it depends on the machine. */
export const recorded = Effect.fnUntraced(
  function*(scenario: Scenario) {
    yield* TestClock.setTime(startMs)
    const fs = yield* FileSystem.FileSystem
    const path = `${yield* fs.makeTempDirectoryScoped({ prefix: "recording-" })}/recording.ndjson`
    const host = MemoryGateway.layer({
      gateway: { ...scenario.gateway, faults: scenario.faults ?? [] },
      ...(scenario.client === undefined ? {} : { client: scenario.client })
    })
    const agent = RecordedAgent.layer({ path, program: "0.1.0", sessionKey: "agent:main:main" })(
      Agent.layer({ sessionKey: "agent:main:main" })
    ).pipe(
      Layer.provide(Layer.merge(seeded, Layer.provide(FailingDials.layer(scenario.dials ?? []), host))),
      Layer.provideMerge(host)
    )
    yield* Effect.scoped(Effect.gen(function*() {
      const context = yield* Layer.build(agent)
      const gateway = Context.get(context, DevGateway)
      const supervisor = Context.get(context, Supervisor)
      const tasks = Context.get(context, TaskRunner)
      const reached = (tag: ConnectionStatus["_tag"]) =>
        supervisor.changes.pipe(
          Stream.filter(({ status }) => hasTag(tag)(status)),
          Stream.runHead,
          Effect.asVoid
        )
      const request = Effect.map(
        gateway.awaitState(({ pending }) => pending.length > 0),
        ({ pending }) => pending[0]?.requestId ?? ""
      )
      yield* wait("1 millis")
      yield* scenario.play({
        gateway,
        supervisor,
        tasks,
        reached,
        approved: Effect.gen(function*() {
          yield* gateway.approve(yield* request)
          yield* supervisor.checkNow
          yield* wait("10 seconds")
          yield* reached("Connected")
        }).pipe(Effect.orDie),
        rejected: Effect.orDie(Effect.flatMap(request, gateway.reject)),
        beside: (what) =>
          supervisor.changes.pipe(
            Stream.filter(({ status }) => status._tag === "Connected" && status[what] !== undefined),
            Stream.runHead,
            Effect.asVoid
          ),
        task: (text) =>
          Effect.gen(function*() {
            const { taskId } = yield* tasks.delegate(text)
            yield* wait("30 seconds")
            yield* tasks.await(taskId)
          }).pipe(Effect.orDie)
      })
      // Lets the effects of the last step happen before the agent ends.
      yield* wait("1 second")
    })).pipe(Random.withSeed(scenario.name))
    return yield* fs.readFileString(path)
  },
  Effect.scoped,
  Effect.provide(NodeServices.layer)
)
