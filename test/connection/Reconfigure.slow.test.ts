import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Scheduler from "effect/Scheduler"
import * as Stream from "effect/Stream"
import type { ConnectionStatus, GatewayStatus } from "../../src/connection/ConnectionStatus.ts"
import { DeviceIdentity } from "../../src/identity/DeviceIdentity.ts"
import { Transport } from "../../src/link/Transport.ts"
import * as Device from "../support/Device.ts"
import * as MemoryAgent from "../support/MemoryAgent.ts"
import * as Wire from "../support/WireFrames.ts"

/** What a gateway answers every `connect` with. All of it names the gateway, and so does the status that comes of it. */
const answers = {
  Connected: (name: string) => Wire.helloOk({ server: { version: name } }),
  AwaitingApproval: (name: string) => Wire.pairingRequired(name),
  Waiting: (name: string) =>
    Wire.refusal({ code: "UNAVAILABLE", message: "starting", retryAfterMs: 60_000, details: { reason: name } }),
  Halted: (name: string) => Wire.refusal({ code: "ODD", message: name })
} satisfies Partial<Record<ConnectionStatus["_tag"], (name: string) => string>>
type Kind = keyof typeof answers

/** The gateway's name in a status. Before a gateway's answer there is none. */
const nameIn = (status: ConnectionStatus): string | undefined => {
  switch (status._tag) {
    case "Connected":
      return status.session.facts.serverVersion
    case "AwaitingApproval":
      return status.approval.requestId
    case "Waiting":
      return status.cause._tag === "GatewayUnavailable" ? status.cause.detail : status.cause._tag
    case "Halted":
      return status.cause._tag === "GatewayRejected" ? status.cause.gatewayMessage : status.cause._tag
    default:
      return undefined
  }
}

const settings = (name: string) => Device.settings({ url: `ws://localhost:1/${name}`, token: MemoryAgent.sharedToken })
const [first, second] = [settings("first"), settings("second")]

/** Two gateways that answer in the very callback in which they are asked. */
const transport = (answersOf: { readonly first: Kind; readonly second: Kind }) =>
  Layer.succeed(
    Transport,
    Transport.of({
      dial: ({ url }, handler) =>
        Effect.sync(() => {
          const name = url.pathname === "/first" ? "first" : "second"
          handler.onText(Wire.challenge())
          return {
            sendUnsafe: () => {
              handler.onText(answers[answersOf[name]](name))
              return true
            },
            closeUnsafe: () => {},
            pause: () => {},
            resume: () => {}
          }
        })
    })
  )

/** The same device, which signs no text twice: every life meets the same challenge. */
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

/** Gives other settings at the k-th step of any fiber, at the latest when the first gateway has answered. */
const lived = Effect.fnUntraced(function*(k: number, giveWay: boolean) {
  const base = yield* Scheduler.Scheduler
  let steps = 0
  let counting = true
  let due: () => void = () => {}
  const stepping: Scheduler.Scheduler = {
    executionMode: base.executionMode,
    shouldYield: (fiber) => {
      if (!counting) return base.shouldYield(fiber)
      if (++steps === k) due()
      return (giveWay && fiber.currentOpCount > 2) || base.shouldYield(fiber)
    },
    makeDispatcher: () => base.makeDispatcher()
  }
  const told: Array<GatewayStatus> = []
  const settled = yield* Effect.gen(function*() {
    const { supervisor } = yield* MemoryAgent.start
    yield* Effect.forkScoped(Stream.runForEach(supervisor.changes, (now) => Effect.sync(() => void told.push(now))))
    const begun = Effect.callback<void>((resume) => {
      due = () => resume(Effect.void)
    })
    const commanded = yield* Effect.forkScoped(
      Effect.gen(function*() {
        yield* begun
        yield* supervisor.reconfigure(second)
        return { gatewayScope: yield* supervisor.gatewayScope, status: yield* supervisor.status }
      }),
      { startImmediately: true }
    )
    const until = (name: string) =>
      MemoryAgent.unstepped(Effect.gen(function*() {
        while (!told.some(({ status }) => nameIn(status) === name)) yield* Effect.yieldNow
      }))
    yield* Effect.raceFirst(until("first"), until("second"))
    due()
    yield* until("second")
    counting = false
    return yield* Fiber.join(commanded)
  }).pipe(Effect.provideService(Scheduler.Scheduler, stepping), Effect.scoped)

  const scopeOf = (name: string) => settings(name).endpoint.gatewayScope
  const where = `step ${k}${giveWay ? ", each giving way" : ""}`
  assert.strictEqual(settled.gatewayScope, scopeOf("second"), `${where}: right after the command`)
  assert.notStrictEqual(nameIn(settled.status), "first", `${where}: right after the command`)
  for (const { gatewayScope, status } of told) {
    const name = nameIn(status)
    if (name !== undefined) assert.strictEqual(gatewayScope, scopeOf(name), `${where}: ${status._tag}`)
  }
  const scopes = told.map(({ gatewayScope }) => gatewayScope)
  const changed = scopes.indexOf(scopeOf("second"))
  assert.isAbove(changed, -1, `${where}: nothing told of the second gateway`)
  assert.notInclude(scopes.slice(changed), scopeOf("first"), `${where}: the first gateway told after the second`)
  return steps
})

/** Every kind of status before, and every kind after. */
const changes: ReadonlyArray<readonly [Kind, Kind]> = [
  ["Connected", "AwaitingApproval"],
  ["AwaitingApproval", "Waiting"],
  ["Waiting", "Halted"],
  ["Halted", "Connected"]
]

describe("other settings", () => {
  it.effect.each(changes)(
    "given at any step on the way to %s: no status of the old gateway is told under the new scope or after it, until %s",
    ([before, after]) =>
      Effect.gen(function*() {
        const device = remembering(yield* Effect.provide(DeviceIdentity, Device.layer))
        yield* Effect.gen(function*() {
          for (const giveWay of [false, true]) {
            const total = yield* lived(Number.POSITIVE_INFINITY, giveWay)
            assert.isAbove(total, 100)
            for (let k = 1; k <= total; k += giveWay ? 5 : 1) yield* lived(k, giveWay)
          }
        }).pipe(Effect.provideService(DeviceIdentity, device))
      }).pipe(
        Effect.provide(
          MemoryAgent.host(transport({ first: before, second: after }), {
            url: first.endpoint.url.href,
            token: MemoryAgent.sharedToken
          })
        ),
        Random.withSeed("reconfigure")
      ),
    60_000
  )
})
