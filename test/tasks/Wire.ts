/**
 * A gateway made of recorded frames, at the other end of a real session.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import type { Session } from "../../src/connection/Session.ts"
import { prepare } from "../../src/connection/Session.ts"
import { decodeHelloOk } from "../../src/protocol/Connect.ts"
import { plainFacts } from "./Fixture.ts"
import type * as Transcript from "./Transcript.ts"

const Request = Schema.fromJsonString(Schema.Struct({
  id: Schema.String,
  method: Schema.String,
  params: Schema.Struct({
    sessionKey: Schema.optionalKey(Schema.String),
    idempotencyKey: Schema.optionalKey(Schema.String)
  })
}))
type Request = typeof Request.Type
const decodeRequest = Schema.decodeSync(Request)

export interface Wire {
  readonly session: Session
  /** The next request, which must be this one. */
  readonly next: (method: string) => Effect.Effect<Request>
  /** Gives one recorded frame to the session, an answer as that to this request. */
  readonly play: (frame: Transcript.Recorded["frames"][number], request: Request) => void
}

export const make = Effect.gen(function*() {
  const prepared = yield* prepare
  const requests = yield* Queue.unbounded<Request>()
  const hello = yield* Effect.fromResult(
    decodeHelloOk({ type: "hello-ok", protocol: 4, server: { version: "2026.9.6", connId: "1" } })
  )
  const session = yield* prepared.open(
    {
      hello,
      link: {
        sendUnsafe: (text) => {
          const asked = decodeRequest(text)
          // It remembers no end, and shows nothing.
          const payload = { "agent.wait": { status: "timeout" }, "chat.history": { messages: [] } }[asked.method]
          if (payload === undefined) return Queue.offerUnsafe(requests, asked)
          prepared.handler.onText(JSON.stringify({ type: "res", id: asked.id, ok: true, payload }))
          return true
        },
        closeUnsafe: () => {},
        pause: () => {},
        resume: () => {}
      }
    },
    plainFacts,
    { requestTimeout: Duration.seconds(30) }
  )
  let seq = 0
  const wire: Wire = {
    session,
    next: (method) =>
      Effect.filterOrElse(
        Queue.take(requests),
        (request) => request.method === method,
        (request) => Effect.die(new Error(`expected ${method}, and ${request.method} was asked`))
      ),
    play: (frame, { id }) =>
      prepared.handler.onText(JSON.stringify(frame.type === "event" ? { ...frame, seq: ++seq } : { ...frame, id }))
  }
  return wire
})
