/**
 * What a gateway tells while it is suspended: a script that is played over sockets, on a real gateway and on `DevGateway`. The
 * driver shares no code with `src`, so that a mistake there cannot hide in it.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Redacted from "effect/Redacted"
import { untilTrue } from "../interop/support/EventLog.ts"
import { InteropError } from "../interop/support/InteropError.ts"
import { connect, type Device } from "../interop/support/RawClient.ts"

/** Where the script is played. */
export interface Stage {
  readonly url: string
  readonly token: Redacted.Redacted
  readonly device: Device
  /** Closes the gateway to new work. A run is under way, so that it drains. */
  readonly suspend: Effect.Effect<unknown, InteropError>
  /** Looks whether the work is done, which a real gateway does not do by itself. */
  readonly look: Effect.Effect<unknown, InteropError>
  readonly resume: Effect.Effect<unknown, InteropError>
  /** Done when the agent has this message. */
  readonly asked: (message: string) => Effect.Effect<void, InteropError>
  /** Lets the answer to the text with this mark go on. */
  readonly release: (mark: string) => Effect.Effect<void>
}

const sessionKey = "agent:main:suspended"
const requests: Readonly<Record<string, unknown>> = {
  "chat.send": { sessionKey, message: "hello", deliver: false, idempotencyKey: "key-2" },
  "chat.history": { sessionKey, limit: 10 },
  "agent.wait": { runId: "key-1", timeoutMs: 0 },
  "sessions.messages.subscribe": { key: sessionKey },
  "chat.abort": { sessionKey, runId: "nobody" },
  "health": {}
}

/** The phases that were told, what was refused how, and what came of the work under way and of what was refused. */
export const play = Effect.fnUntraced(function*(stage: Stage) {
  const enter = connect({ url: stage.url, token: stage.token, device: stage.device })
  const phaseIn = (value: unknown) => Predicate.hasProperty(value, "phase") ? value.phase : undefined
  const phaseAtHello = (hello: unknown) => {
    const snapshot = Predicate.hasProperty(hello, "snapshot") ? hello.snapshot : undefined
    return phaseIn(Predicate.hasProperty(snapshot, "suspension") ? snapshot.suspension : undefined)
  }
  const client = yield* enter
  const send = (message: string, idempotencyKey: string) =>
    client.ask("chat.send", { sessionKey, message, deliver: false, idempotencyKey })
  yield* send("[hold one] a b c", "key-1")
  yield* stage.asked("[hold one] a b c")
  yield* stage.suspend
  for (const [method, params] of Object.entries(requests)) yield* client.ask(method, params)
  const refused = [...client.refusals]
  const during = phaseAtHello((yield* enter).hello)
  yield* stage.release("[hold one]")
  const final = (runId: string) => () =>
    client.events.some(({ event, payload }) =>
      event === "chat" && Predicate.hasProperty(payload, "runId") && payload.runId === runId
      && Predicate.hasProperty(payload, "state") && payload.state === "final"
    )
  const until = (what: string, is: () => boolean, meanwhile: Effect.Effect<unknown, InteropError> = Effect.void) =>
    Effect.raceFirst(
      untilTrue(is),
      Effect.forever(Effect.delay(meanwhile, "300 millis"))
    ).pipe(
      Effect.timeoutOrElse({
        duration: "60 seconds",
        orElse: () => Effect.fail(new InteropError({ step: "event", detail: what }))
      })
    )
  yield* until("the end of the run under way", final("key-1"))
  const phases = () =>
    client.events.flatMap(({ event, payload }) => event === "gateway.suspension" ? [phaseIn(payload)] : [])
  yield* until("prepared", () => phases().includes("prepared"), stage.look)
  const prepared = phaseAtHello((yield* enter).hello)
  yield* stage.resume
  yield* until("accepting", () => phases().at(-1) === "accepting")
  const again = yield* send("hello", "key-2")
  yield* until("the end of what was refused", final("key-2"))
  return {
    hello: { before: phaseAtHello(client.hello), draining: during, prepared },
    phases: phases(),
    refused,
    again: Predicate.hasProperty(again.payload, "status") ? again.payload.status : again
  }
}, Effect.scoped)
