/**
 * A dialog server on services that the test drives, and clients that may do what no browser does.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert } from "@effect/vitest"
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { IncomingHttpHeaders, IncomingMessage } from "node:http"
import { request as httpRequest } from "node:http"
import type { Socket } from "node:net"
import { connect } from "node:net"
import { AgentEvents } from "../../src/agent/AgentEvents.ts"
import type { ConnectionStatus } from "../../src/connection/ConnectionStatus.ts"
import { Supervisor } from "../../src/connection/Supervisor.ts"
import { DialogServer, type Options } from "../../src/dialog/DialogServer.ts"
import type { AgentEvent } from "../../src/protocol/AgentEvent.ts"
import { RunId, TaskId } from "../../src/tasks/Task.ts"
import { TaskRunner } from "../../src/tasks/TaskRunner.ts"

export const at = "2026-01-02T03:04:05.678Z"

/** A built page in a folder of its own. */
export const site = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "openclaw-site-" })
  const folder = `${directory}/site`
  yield* fs.makeDirectory(`${folder}/deeper`, { recursive: true })
  yield* Effect.forEach(
    Object.entries({
      [`${folder}/index.html`]: "<!doctype html><title>page</title>",
      [`${folder}/page.js`]: "export {}",
      [`${folder}/page.css`]: "body {}",
      [`${folder}/openclaw-pairing-dialog.js`]: "export {}",
      [`${folder}/.secret`]: "secret",
      [`${folder}/notes.txt`]: "secret",
      [`${folder}/deeper/page.js`]: "secret",
      [`${directory}/outside.js`]: "secret"
    }),
    ([path, text]) => fs.writeFileString(path, text)
  )
  return folder
}).pipe(Effect.provide(NodeServices.layer))

export interface Served {
  readonly port: number
  readonly token: string
  readonly url: string
  readonly publish: (event: AgentEvent) => void
  readonly setStatus: (status: ConnectionStatus) => Effect.Effect<void>
  /** Waits until so many hold `Supervisor.attend`. */
  readonly attended: (by: number) => Effect.Effect<number>
  readonly checks: () => number
  readonly summaries: ReadonlyArray<string>
  readonly stop: Effect.Effect<void>
}

/** Starts a dialog server; `tasks` replaces methods of the task runner. */
export const serve = Effect.fnUntraced(function*(
  options: Options & { readonly tasks?: Partial<TaskRunner["Service"]> } = {}
) {
  const { tasks, ...rest } = options
  const folder = options.site ?? (yield* site)
  const events = yield* Queue.unbounded<AgentEvent, Cause.Done>()
  const status = yield* SubscriptionRef.make<ConnectionStatus>({ _tag: "Connecting", attempt: 0 })
  const attending = yield* SubscriptionRef.make(0)
  let checks = 0
  const summaries: Array<string> = []
  const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
  const agent = Layer.mergeAll(
    Layer.succeed(AgentEvents, { events: Stream.fromQueue(events), include: () => Effect.void }),
    Layer.mock(Supervisor, {
      status: SubscriptionRef.get(status),
      changes: Stream.map(
        SubscriptionRef.changes(status),
        (now) => ({ gatewayScope: "ws://127.0.0.1:18789/", status: now })
      ),
      attend: Effect.asVoid(Effect.acquireRelease(
        SubscriptionRef.update(attending, (count) => count + 1),
        () => SubscriptionRef.update(attending, (count) => count - 1)
      )),
      checkNow: Effect.sync(() => void checks++)
    }),
    Layer.mock(TaskRunner, {
      delegate: (summary) =>
        Effect.sync(() => {
          summaries.push(summary)
          return { taskId: TaskId.make("0a1b2c3d"), runId: RunId.make("run-1"), queued: undefined }
        }),
      ...tasks
    })
  )
  const context = yield* Layer.buildWithScope(
    DialogServer.layer({ ...rest, site: folder }).pipe(
      Layer.provide(agent),
      Layer.provide(Layer.mergeAll(NodeServices.layer, SecureRandom.layerWebCrypto))
    ),
    scope
  )
  const url = Redacted.value(Context.get(context, DialogServer).url)
  const [, port = "", token = ""] = /^http:\/\/127\.0\.0\.1:(\d+)\/#token=([A-Za-z0-9_-]{43})$/.exec(url) ?? []
  assert.notStrictEqual(token, "", "the URL of the page")
  return {
    port: Number(port),
    token,
    url,
    publish: (event) => void Queue.offerUnsafe(events, event),
    setStatus: (next) => SubscriptionRef.set(status, next),
    attended: (by) =>
      SubscriptionRef.changes(attending).pipe(
        Stream.filter((count) => count === by),
        Stream.runHead,
        Effect.map(() => by)
      ),
    checks: () => checks,
    summaries,
    stop: Scope.close(scope, Exit.void)
  } satisfies Served
})

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface Ask {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** The token of the run unless set; false for none. */
  readonly token?: string | false
}

const send = ({ port, token }: Pick<Served, "port" | "token">, path: string, ask: Ask) =>
  httpRequest({
    host: "127.0.0.1",
    port,
    path,
    method: ask.method ?? "GET",
    agent: false,
    headers: {
      ...(ask.token === false ? {} : { authorization: `Bearer ${ask.token ?? token}` }),
      ...(ask.body === undefined ? {} : { "content-type": "application/json" }),
      ...ask.headers
    }
  })

/** One request and its whole answer. */
export const ask = (served: Pick<Served, "port" | "token">, path: string, options: Ask = {}): Effect.Effect<Answer> =>
  Effect.callback((resume) => {
    const request = send(served, path, options)
    request.on("error", (error) => resume(Effect.die(error)))
    request.on("response", (response) => {
      let body = ""
      response.setEncoding("utf8")
      response.on("data", (text: string) => body += text)
      response.on(
        "end",
        () => resume(Effect.succeed({ status: response.statusCode ?? 0, headers: response.headers, body }))
      )
    })
    request.end(options.body)
    return Effect.sync(() => void request.destroy())
  })

export interface SseMessage {
  readonly event: string
  readonly id: string | undefined
  readonly data: string
}

export interface Opened {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** The next message, comments left out. */
  readonly next: Effect.Effect<SseMessage, Cause.Done>
  /** The next comment. */
  readonly comment: Effect.Effect<string, Cause.Done>
  /** How the stream ended: by itself, or cut off. */
  readonly ended: Effect.Effect<"complete" | "cut off">
  readonly leave: Effect.Effect<void>
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
  readonly received: () => number
}

/** Opens a stream, as a page does with fetch. The scope closes it. */
export const open = Effect.fnUntraced(function*(served: Pick<Served, "port" | "token">, path: string) {
  const messages = yield* Queue.unbounded<SseMessage, Cause.Done>()
  const comments = yield* Queue.unbounded<string, Cause.Done>()
  const ended = yield* Deferred.make<"complete" | "cut off">()
  let rest = ""
  let received = 0
  const onText = (text: string) => {
    received += text.length
    const blocks = `${rest}${text}`.split("\n\n")
    rest = blocks.pop() ?? ""
    for (const block of blocks) {
      const fields = new Map(
        block.split("\n").map((line) => {
          const at = line.indexOf(":")
          return [line.slice(0, at), line.slice(at + 1).trim()] as const
        })
      )
      const comment = fields.get("")
      if (comment !== undefined) Queue.offerUnsafe(comments, comment)
      const data = fields.get("data")
      if (data !== undefined) {
        Queue.offerUnsafe(messages, { event: fields.get("event") ?? "", id: fields.get("id"), data })
      }
    }
  }
  const response = yield* Effect.acquireRelease(
    Effect.callback<IncomingMessage>((resume) => {
      const request = send(served, path, {})
      request.on("error", () => {})
      request.on("response", (response) => {
        response.setEncoding("utf8")
        response.on("data", onText)
        response.on("error", () => {})
        response.on("close", () => {
          Queue.endUnsafe(messages)
          Queue.endUnsafe(comments)
          Deferred.doneUnsafe(ended, Effect.succeed(response.complete ? "complete" : "cut off"))
        })
        resume(Effect.succeed(response))
      })
      request.end()
    }),
    (response) => Effect.sync(() => void response.destroy())
  )
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    next: Queue.take(messages),
    comment: Queue.take(comments),
    ended: Deferred.await(ended),
    leave: Effect.sync(() => void response.destroy()),
    pause: Effect.sync(() => void response.pause()),
    resume: Effect.sync(() => void response.resume()),
    received: () => received
  } satisfies Opened
})

/** The next `AgentEvent` of a stream with this name; other messages before it are ignored. */
export const nextEvent = (
  opened: Opened,
  name: AgentEvent["event"]
): Effect.Effect<Readonly<Record<string, unknown>>, Cause.Done> =>
  Effect.flatMap(opened.next, (message) => {
    const event = message.event === "agent" ? decodeRecord(message.data) : {}
    return event["event"] === name ? Effect.succeed(event) : nextEvent(opened, name)
  })
export const decodeRecord = Schema.decodeUnknownSync(
  Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown))
)

/** A bare socket that sends `text` and listens until it is closed. One that does not read notices that only while it sends. */
export const raw = Effect.fnUntraced(function*(port: number, text: string, reads = true) {
  const closed = yield* Deferred.make<string>()
  yield* Effect.acquireRelease(
    Effect.callback<Socket>((resume) => {
      let heard = ""
      const socket = connect({ host: "127.0.0.1", port })
      socket.on("error", () => {})
      if (reads) socket.on("data", (chunk) => heard += chunk.toString("utf8"))
      socket.on("close", () => Deferred.doneUnsafe(closed, Effect.succeed(heard)))
      socket.on("connect", () => {
        socket.write(text)
        resume(Effect.succeed(socket))
      })
    }),
    (socket) => Effect.sync(() => void socket.destroy())
  )
  return { closed: Deferred.await(closed) }
})
