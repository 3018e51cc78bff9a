import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { Admission } from "../../src/connection/Admission.ts"
import type { ConnectionStatus } from "../../src/connection/ConnectionStatus.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import type { Fault } from "../../src/devgateway/Fault.ts"
import { GatewayConfig } from "../../src/handshake/GatewayConfig.ts"
import { Handshake } from "../../src/handshake/Handshake.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { TokenStore } from "../../src/identity/TokenStore.ts"
import { Transport } from "../../src/link/Transport.ts"
import { ScopeName } from "../../src/protocol/Connect.ts"
import * as MemoryTransport from "../../src/testing/MemoryTransport.ts"
import * as Census from "../support/Census.ts"
import * as Device from "../support/Device.ts"
import * as Interrupting from "../support/Interrupting.ts"
import * as MemoryAgent from "../support/MemoryAgent.ts"
import { ScriptedTransport } from "../support/ScriptedTransport.ts"
import * as Wire from "../support/WireFrames.ts"

const seeded = Random.withSeed("shutdown")

const approved = Effect.gen(function*() {
  const gateway = yield* DevGateway
  const running = yield* MemoryAgent.start
  yield* running.reached("AwaitingApproval")
  for (const { requestId } of yield* gateway.pending) yield* gateway.approve(requestId)
  yield* running.supervisor.checkNow
  yield* running.reached("Connected")
  return running
})

const upgrading = ({ supervisor }: MemoryAgent.Running) =>
  supervisor.changes.pipe(
    Stream.filter(({ status }) => status._tag === "Connected" && status.upgrade !== undefined),
    Stream.runHead,
    MemoryAgent.unstepped
  )

/** A way into each status, and what is under way there. */
const states: ReadonlyArray<
  readonly [
    string,
    ConnectionStatus["_tag"],
    Effect.Effect<MemoryAgent.Running, unknown, DevGateway | MemoryAgent.Host | Scope.Scope>
  ]
> = [
  [
    "no challenge yet",
    "Connecting",
    Effect.gen(function*() {
      yield* (yield* DevGateway).script({ stallAt: "open" })
      return yield* MemoryAgent.start
    })
  ],
  [
    "no hello yet",
    "Connecting",
    Effect.gen(function*() {
      yield* (yield* DevGateway).script({ stallAt: "challenge" })
      return yield* MemoryAgent.start
    })
  ],
  ["between polls", "AwaitingApproval", MemoryAgent.start],
  [
    "attended",
    "AwaitingApproval",
    Effect.gen(function*() {
      const running = yield* MemoryAgent.start
      yield* running.reached("AwaitingApproval")
      yield* running.supervisor.attend
      yield* TestClock.adjust("10 seconds")
      return running
    })
  ],
  [
    "a poll under way",
    "AwaitingApproval",
    Effect.gen(function*() {
      const running = yield* MemoryAgent.start
      yield* running.reached("AwaitingApproval")
      yield* (yield* DevGateway).script({ stallAt: "challenge" })
      yield* running.supervisor.checkNow
      yield* TestClock.adjust("1 second")
      return running
    })
  ],
  ["idle", "Connected", approved],
  [
    "requests and subscribers",
    "Connected",
    Effect.gen(function*() {
      const running = yield* approved
      const { session } = yield* running.reached("Connected")
      yield* session.subscribe(["chat"])
      for (const method of ["one", "two"]) yield* Effect.forkScoped(Effect.ignore(session.request(method, {})))
      return running
    })
  ],
  [
    "more scopes wait beside it",
    "Connected",
    Effect.gen(function*() {
      const running = yield* approved
      yield* Effect.forkScoped(running.supervisor.upgradeScopes([ScopeName.make("operator.approvals")]))
      yield* upgrading(running)
      return running
    })
  ],
  [
    "a second attempt for more scopes is under way",
    "Connected",
    Effect.gen(function*() {
      const running = yield* approved
      // A scope that the session's way does not take.
      yield* (yield* DevGateway).script({ stallAt: "challenge" })
      yield* Effect.forkScoped(running.supervisor.upgradeScopes([ScopeName.make("operator.nonsense")]))
      yield* TestClock.adjust("1 second")
      return running
    })
  ],
  [
    "on the ladder",
    "Waiting",
    Effect.gen(function*() {
      yield* (yield* DevGateway).stop
      return yield* MemoryAgent.start
    })
  ],
  [
    "locked out, and asked to check",
    "Waiting",
    Effect.gen(function*() {
      yield* (yield* DevGateway).script({ lockout: 300_000 })
      const running = yield* MemoryAgent.start
      yield* running.reached("Waiting")
      yield* running.supervisor.checkNow
      yield* TestClock.adjust("1 second")
      return running
    })
  ],
  [
    "by command",
    "Paused",
    Effect.gen(function*() {
      const running = yield* approved
      yield* running.supervisor.pause
      return running
    })
  ],
  [
    "wrong token",
    "Halted",
    Effect.provideService(
      MemoryAgent.start,
      GatewayConfig,
      Device.settings({ token: Redacted.make("wrong") })
    )
  ],
  ["already", "Stopped", Effect.tap(approved, (running) => running.stop)]
]

/** Counts links at the outermost place: what is opened here is released after everything that uses it. */
const countingTransport = (links: { opened: number; released: number }) =>
  Layer.effect(
    Transport,
    Effect.map(Transport, ({ dial }) =>
      Transport.of({
        dial: (target, handler) =>
          Effect.andThen(
            Effect.acquireRelease(
              Effect.sync(() => void links.opened++),
              () => Effect.sync(() => void links.released++)
            ),
            dial(target, handler)
          )
      }))
  ).pipe(Layer.provide(MemoryTransport.layer))

/** The same device, which signs no text twice: under one seed every life meets the same challenges. */
const remembering = (identity: DeviceIdentity["Service"]): DeviceIdentity["Service"] => {
  const signatures = new Map<string, string>()
  return {
    ...identity,
    sign: (text) => {
      const signature = signatures.get(text) ?? identity.sign(text)
      signatures.set(text, signature)
      return signature
    },
    verify: (text, signature) => signatures.get(text) === signature || identity.verify(text, signature)
  }
}

describe("Shutdown", () => {
  it.effect.each(states)(
    "F01: closing the scope while %s (%s) leaves no fiber, timer or link",
    ([, tag, reach]) =>
      Effect.gen(function*() {
        const gateway = yield* DevGateway
        const before = yield* gateway.stats
        yield* Census.taken((census) =>
          Effect.gen(function*() {
            yield* Effect.scoped(Effect.gen(function*() {
              const running = yield* reach
              yield* running.reached(tag)
              yield* TestClock.adjust(0)
              assert.strictEqual((yield* running.supervisor.status)._tag, tag)
              if (tag !== "Stopped" && tag !== "Paused") assert.isAbove(census.fibers(), 0)
              const nowMs = yield* Clock.currentTimeMillis
              yield* running.stop
              assert.strictEqual((yield* running.supervisor.status)._tag, "Stopped")
              assert.strictEqual(yield* Clock.currentTimeMillis, nowMs)
              yield* running.stop
            }))
            assert.deepStrictEqual([census.fibers(), census.sleeps()], [0, 0])
          })
        )
        assert.strictEqual((yield* gateway.stats).openPeers, before.openPeers)
        const { attempts } = yield* gateway.stats
        yield* TestClock.adjust("1 hour")
        assert.strictEqual((yield* gateway.stats).attempts, attempts, "nothing dials any more")
      }).pipe(Effect.provide(MemoryAgent.layer()), seeded)
  )

  describe("F35: stop waits for finalizers, and the socket is closed last", () => {
    const connected = Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      transport.script({ releaseTakes: Effect.sleep("1 second") })
      const running = yield* MemoryAgent.start
      const link = yield* transport.nth(1)
      link.send(Wire.challenge())
      yield* link.nthSent(1)
      link.send(Wire.helloOk())
      const { session } = yield* running.reached("Connected")
      return { link, running, session, transport }
    })

    it.effect("F35: a finalizer that takes a second has ended before stop returns", () =>
      Effect.gen(function*() {
        const { link, running } = yield* connected
        const stopping = yield* Effect.forkChild(running.stop)
        yield* TestClock.adjust("999 millis")
        assert.isUndefined(stopping.pollUnsafe())
        assert.notStrictEqual((yield* running.supervisor.status)._tag, "Stopped")
        yield* TestClock.adjust("1 millis")
        yield* Fiber.join(stopping)
        assert.isTrue(link.released())
        assert.strictEqual((yield* running.supervisor.status)._tag, "Stopped")
      }).pipe(Effect.provide(MemoryAgent.host(ScriptedTransport.layer))))

    it.effect("F35: pending requests fail first, the socket closes last, and a second stop does nothing", () =>
      Effect.gen(function*() {
        const { link, running, session, transport } = yield* connected
        const order: Array<string> = []
        yield* Effect.forkChild(
          Effect.flip(session.request("slow", {})).pipe(
            Effect.map((error) => order.push(`${error._tag} released=${link.released()}`))
          ),
          { startImmediately: true }
        )
        const stopping = yield* Effect.forkChild(running.stop)
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(stopping)
        order.push(...transport.history)
        yield* running.stop
        order.push(`${transport.history.length} events`)
        assert.deepStrictEqual(order, ["LinkError released=false", "open 1", "release 1", "2 events"])
      }).pipe(Effect.provide(MemoryAgent.host(ScriptedTransport.layer))))

    it.effect("F35: pause waits for the link to be gone, even when whoever asked for it loses interest", () =>
      Effect.gen(function*() {
        const { link, running } = yield* connected
        const pausing = yield* Effect.forkChild(running.supervisor.pause)
        yield* TestClock.adjust("500 millis")
        const interrupting = yield* Effect.forkChild(Fiber.interrupt(pausing))
        yield* TestClock.adjust("499 millis")
        const { _tag } = yield* running.supervisor.status
        const before = [_tag, link.released(), pausing.pollUnsafe(), interrupting.pollUnsafe()]
        yield* TestClock.adjust("1 millis")
        yield* Fiber.join(interrupting)
        assert.deepStrictEqual(before, ["Connected", false, undefined, undefined])
        assert.isTrue(link.released())
        assert.strictEqual((yield* running.supervisor.status)._tag, "Paused")
      }).pipe(Effect.provide(MemoryAgent.host(ScriptedTransport.layer))))
  })

  const wrong = Device.settings({ token: Redacted.make("wrong") })
  /** Lives that lead through every status together, short ones, as each is lived once for each of its steps. */
  const lives: ReadonlyArray<
    readonly [
      string,
      {
        readonly token: Redacted.Redacted
        readonly faults: ReadonlyArray<Fault>
        readonly scopes?: ReadonlyArray<string>
      },
      (running: MemoryAgent.Running) => Effect.Effect<void, unknown, DevGateway | Scope.Scope>
    ]
  > = [
    [
      "from a starting gateway through approval to the session",
      { token: MemoryAgent.sharedToken, faults: [{ unavailable: 500 }] },
      ({ reached, supervisor }) =>
        Effect.gen(function*() {
          const gateway = yield* DevGateway
          yield* reached("Waiting")
          yield* MemoryAgent.unstepped(TestClock.adjust("1 second"))
          yield* reached("AwaitingApproval")
          for (const { requestId } of yield* gateway.pending) yield* gateway.approve(requestId)
          yield* supervisor.attend
          yield* MemoryAgent.unstepped(TestClock.adjust("3 seconds"))
          yield* reached("Connected")
        })
    ],
    [
      "a session, its loss and the next one",
      { token: MemoryAgent.operatorToken, faults: [] },
      ({ reached, supervisor }) =>
        Effect.gen(function*() {
          const gateway = yield* DevGateway
          const { session } = yield* reached("Connected")
          yield* session.subscribe(["chat"])
          yield* session.request("health", {})
          yield* gateway.dropAll(1012, "service restart")
          yield* reached("Waiting")
          yield* supervisor.checkNow
          yield* reached("Connected")
        })
    ],
    [
      "a session, and the next one with more scopes",
      { token: MemoryAgent.sharedToken, faults: [], scopes: ["operator.read"] },
      ({ reached, supervisor }) =>
        Effect.gen(function*() {
          const gateway = yield* DevGateway
          yield* reached("AwaitingApproval")
          for (const { requestId } of yield* gateway.pending) yield* gateway.approve(requestId)
          yield* supervisor.checkNow
          const { session } = yield* reached("Connected")
          const outcome = yield* Effect.forkChild(supervisor.upgradeScopes([ScopeName.make("operator.write")]))
          yield* Effect.raceFirst(Fiber.await(outcome), gateway.awaitState(({ pending }) => pending.length > 0))
          for (const { requestId } of yield* gateway.pending) yield* gateway.approve(requestId)
          yield* Fiber.await(outcome)
          yield* session.ended
        })
    ],
    [
      "commands and a halt",
      { token: MemoryAgent.operatorToken, faults: [] },
      ({ reached, supervisor }) =>
        Effect.gen(function*() {
          yield* reached("Connected")
          yield* supervisor.pause
          yield* supervisor.resume
          yield* reached("Connected")
          yield* supervisor.reconfigure(wrong)
          yield* reached("Halted")
        })
    ]
  ]

  it.effect.each(lives)(
    "F01: interrupted at every step of its life it leaves nothing, and releases each link once: %s",
    ([, { faults, scopes, token }, live]) =>
      Effect.gen(function*() {
        const device = remembering(yield* Effect.provide(DeviceIdentity, Device.layer))
        const settings = Device.settings({ token, scopes })
        const life = Effect.scoped(Effect.gen(function*() {
          const running = yield* MemoryAgent.start
          yield* live(running)
          yield* running.stop
        }))

        /** Lives, interrupted at the k-th step of any of its fibers; answers how many steps there were. */
        const livedUntil = Effect.fnUntraced(
          function*(k: number) {
            const links = { opened: 0, released: 0 }
            const interrupting = yield* Interrupting.at(k)
            const context = yield* Layer.build(Layer.fresh(Layer.mergeAll(
              Admission.layer,
              Handshake.layer.pipe(
                Layer.provide(countingTransport(links)),
                Layer.provideMerge(DevGateway.layerTest({ faults }))
              ),
              TokenStore.layerMemory,
              Layer.succeed(GatewayConfig, settings),
              Layer.succeed(DeviceIdentity, device)
            )))
            yield* Census.taken((census) =>
              Effect.gen(function*() {
                const exit = yield* Fiber.await(yield* interrupting.fork(Effect.provide(life, context)))
                if (k === Number.POSITIVE_INFINITY) assert.strictEqual(exit._tag, "Success")
                assert.deepStrictEqual([census.fibers(), census.sleeps()], [0, 0], `step ${k}`)
              })
            )
            // A link that ends within a delivery ends for the gateway in the microtask after it.
            yield* Effect.yieldNow
            assert.strictEqual((yield* Context.get(context, DevGateway).stats).openPeers, 0, `step ${k}`)
            assert.strictEqual(links.released, links.opened, `step ${k}`)
            return interrupting.steps()
          },
          Effect.scoped,
          seeded
        )

        const total = yield* livedUntil(Number.POSITIVE_INFINITY)
        assert.isAbove(total, 200)
        for (let k = 1; k <= total; k++) yield* livedUntil(k)
      }),
    60_000
  )
})
