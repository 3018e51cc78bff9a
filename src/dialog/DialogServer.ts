/**
 * Serves the pairing page on this machine, and what it shows: the agent's events, and a way to delegate tasks.
 *
 * It listens on a port of 127.0.0.1. Its files hold no secret and need no token; everything else needs the token of this
 * run, which is in the fragment of the page's URL and so never part of a request line.
 *
 * | request | answer |
 * | --- | --- |
 * | `GET /` and the page's files | the file |
 * | `GET /events` | server-sent events: `agent` (an `AgentEvent`; what holds now comes first), `check` (`{checking, nextCheckAt}`) |
 * | `GET /attend` | a stream of comments; while it is open somebody is looking (`Supervisor.attend`) |
 * | `POST /check-now` | 204, and the gateway is asked again (`Supervisor.checkNow`) |
 * | `POST /tasks` `{"summary"}` | 202 `{"taskId","runId"}`; 422 when the task is refused |
 * | `DELETE /tasks/<task id>` | 202 when the task is being aborted; 404 when no such task is open |
 * | `POST /tool-questions/<id>/<allow or deny>` | 204; 404 when there never was such a question, 410 when it has ended |
 *
 * Every other answer is JSON with `error` and `message`, or a page for who accepts HTML: 401 without the token, 403 for another
 * host or origin.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as ByteSize from "effect/ByteSize"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Base64Url from "effect/encoding/Base64Url"
import type * as FileSystem from "effect/FileSystem"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import type * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { AgentEvents } from "../agent/AgentEvents.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import { listenReason } from "../link/ListenFailure.ts"
import { TaskId } from "../tasks/Task.ts"
import { TaskRunner } from "../tasks/TaskRunner.ts"
import type { Decision } from "../toolhost/QuestionStep.ts"
import type { ToolQuestions } from "../toolhost/ToolQuestions.ts"
import * as Access from "./Access.ts"
import * as Connections from "./Connections.ts"
import { DialogUnavailable } from "./DialogUnavailable.ts"
import { PageFeed } from "./PageFeed.ts"
import type { Refusal } from "./Refusal.ts"
import { toResponse } from "./Refusal.ts"
import * as Site from "./Site.ts"

/** Where the server listens, which files it serves, and the limits of its connections. */
export interface Options extends Connections.Options {
  /** The folder with the page's files; the one of this package's build unless set. */
  readonly site?: string
  /** The port to listen on; 0, and any that is free, unless set. */
  readonly port?: number
  /** Calls of marked tools, which a person at an open page may allow. The events of the agent show them. */
  readonly questions?: ToolQuestions["Service"]
}

/**
 * The pairing page of one agent, served to this machine. `DialogServer.layer` provides it and listens until its scope
 * closes.
 */
export class DialogServer extends Context.Service<DialogServer, {
  /**
   * `http://127.0.0.1:<port>/#token=<43 characters of base64url>`. It allows all that the page can do, so it is for the person
   * at this machine and never for a log.
   */
  readonly url: Redacted.Redacted
}>()("effect-openclaw/dialog/DialogServer") {
  static readonly layer = (
    options?: Options
  ): Layer.Layer<
    DialogServer,
    DialogUnavailable,
    AgentEvents | Supervisor | TaskRunner | SecureRandom.SecureRandom | FileSystem.FileSystem | Path.Path
  > => Layer.effect(this, make(options ?? {})).pipe(Layer.provide(PageFeed.layer))
}

/** A task has at most 64 KiB, and JSON may need six characters for a byte. */
const bodyLimit = ByteSize.kibibytes(512)

const headers = {
  "cache-control": "no-store",
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none';"
    + " form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff"
}

type Response = HttpServerResponse.HttpServerResponse

const json = (status: number, body: unknown): Response => HttpServerResponse.jsonUnsafe(body, { status })
const failed = (error: { readonly _tag: string; readonly message: string; readonly reason?: unknown }): Refusal => ({
  status: 422,
  error: error._tag,
  ...(typeof error.reason === "string" ? { reason: error.reason } : {}),
  message: error.message
})
const notFound = (message: string): Refusal => ({ status: 404, error: "NotFound", message })
const notAllowed = (allowed: ReadonlyArray<string>): Refusal => ({
  status: 405,
  error: "MethodNotAllowed",
  message: `use ${allowed.join(" or ")} here`,
  allowed
})
const ended: Refusal = { status: 410, error: "QuestionEnded", message: "this question has ended" }
const notJson: Refusal = { status: 415, error: "MediaTypeRefused", message: "a task is sent as application/json" }
const tooLarge: Refusal = { status: 413, error: "BodyTooLarge", message: "a task is at most 512 KiB of JSON" }
const unreadable: Refusal = { status: 400, error: "BodyInvalid", message: 'a task is {"summary": "what to do"}' }
const broken: Refusal = {
  status: 500,
  error: "InternalError",
  message: "the program has failed at this request; its log has the details"
}

/** A browser that opens an address wants HTML, and so does nobody else. */
const acceptsHtml = ({ headers, method }: HttpServerRequest.HttpServerRequest): boolean =>
  (method === "GET" || method === "HEAD") && /\btext\/html\b/i.test(headers["accept"] ?? "")

type Handler = (request: HttpServerRequest.HttpServerRequest) => Effect.Effect<Response, Refusal>
type Methods = ReadonlyMap<string, Handler>

const decodeTask = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.Struct({ summary: Schema.String })))

const make = Effect.fnUntraced(function*(options: Options) {
  const random = yield* SecureRandom.SecureRandom
  const site = yield* Site.read(options.site)
  const wanted = options.port ?? 0
  const token = Redacted.make(Base64Url.encode(yield* random.randomBytes(32)))
  const feed = yield* PageFeed
  const methodsOf = routes(feed, yield* Supervisor, yield* TaskRunner, options.questions)
  const connections = Connections.make(options)
  const http = connections.server
  const server = yield* NodeHttpServer.make(() => http, {
    host: "127.0.0.1",
    port: wanted,
    gracefulShutdownTimeout: "100 millis"
  }).pipe(Effect.mapError(({ cause }) => unavailable(wanted, cause)))
  // Finalizers run in reverse: streams end and answers get their time, then all that is still open is closed.
  yield* Effect.addFinalizer(() => Effect.sync(() => http.closeAllConnections()))
  const port = NetAddress.isInetAddress(server.address) ? server.address.port : 0
  const access = Access.make(token)

  const answer = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<Response, Refusal> => {
    const path = request.url.split("?", 1)[0] ?? ""
    const file = site.get(path)
    const sourceRefusal = access.source(request.headers, file !== undefined)
    if (sourceRefusal !== undefined) return Effect.fail(sourceRefusal)
    if (file !== undefined) {
      return request.method === "GET" || request.method === "HEAD"
        ? Effect.succeed(HttpServerResponse.uint8Array(file.bytes, { contentType: file.contentType }))
        : Effect.fail(notAllowed(["GET", "HEAD"]))
    }
    const tokenRefusal = access.token(request.headers)
    if (tokenRefusal !== undefined) return Effect.fail(tokenRefusal)
    connections.tokenShown(NodeHttpServerRequest.toIncomingMessage(request).socket)
    const methods = methodsOf(path)
    if (methods === undefined) return Effect.fail(notFound("there is nothing here"))
    return methods.get(request.method)?.(request) ?? Effect.fail(notAllowed([...methods.keys()]))
  }
  yield* server.serve(
    HttpServerRequest.HttpServerRequest.use((request) =>
      answer(request).pipe(
        Effect.catchDefect((defect) =>
          Effect.andThen(Effect.logError("a request of the page failed", defect), Effect.fail(broken))
        ),
        Effect.catch((refusal) => Effect.succeed(toResponse(refusal, acceptsHtml(request)))),
        Effect.map(HttpServerResponse.setHeaders(headers))
      )
    )
  ).pipe(
    Effect.provideService(HttpIncomingMessage.MaxBodySize, bodyLimit),
    Effect.provideService(HttpMiddleware.TracerDisabledWhen, () => true)
  )
  // No other protocol is offered: a connection that was upgraded would be beyond the limits of this one.
  http.removeAllListeners("upgrade")
  yield* Effect.addFinalizer(() => feed.end)
  return DialogServer.of({
    url: Redacted.make(`http://127.0.0.1:${port}/#token=${Redacted.value(token)}`)
  })
})

const unavailable = (port: number, cause: unknown): DialogUnavailable => {
  const reason = port === 0 ? "NoPort" : listenReason(cause)
  return reason === "PortTaken" || reason === "PortForbidden"
    ? new DialogUnavailable({ reason, port, cause })
    : new DialogUnavailable({ reason: "NoPort", cause })
}

const routes = (
  feed: PageFeed["Service"],
  supervisor: Supervisor["Service"],
  tasks: TaskRunner["Service"],
  questions: ToolQuestions["Service"] | undefined
) => {
  const streamed = (texts: (cut: () => void) => Stream.Stream<string>): Handler => (request) => {
    const response = NodeHttpServerRequest.toServerResponse(request)
    return Effect.succeed(HttpServerResponse.stream(Stream.encodeText(texts(() => void response.destroy())), {
      contentType: "text/event-stream",
      // The connection ends with the stream, so that none is idle when the server stops.
      headers: { connection: "close" }
    }))
  }
  const delegate: Handler = Effect.fnUntraced(function*(request) {
    if (request.headers["content-type"]?.split(";")[0]?.trim().toLowerCase() !== "application/json") {
      return yield* Effect.fail(notJson)
    }
    const body = yield* Effect.mapError(
      request.text,
      ({ reason }) => reason._tag === "RequestParseError" && reason.reason === "BodyTooLarge" ? tooLarge : unreadable
    )
    const { summary } = yield* Effect.mapError(decodeTask(body), () => unreadable)
    const { runId, taskId } = yield* Effect.mapError(tasks.delegate(summary), failed)
    return json(202, { taskId, runId })
  })
  const abort = (taskId: string): Handler => () => {
    const notOpen = notFound("no task with this id is open")
    return tasks.abort(TaskId.make(taskId)).pipe(
      Effect.mapError((error) => error._tag === "TaskNotFound" ? notOpen : failed(error)),
      Effect.flatMap((aborting) => aborting ? Effect.succeed(json(202, { taskId })) : Effect.fail(notOpen))
    )
  }

  /** An open page, visible or not, is a place where a person could answer. */
  const watch: typeof feed.watch = (cut) =>
    questions === undefined ? feed.watch(cut) : Stream.unwrap(Effect.as(questions.attend, feed.watch(cut)))
  const decide = (id: string, decision: Decision): Handler => () =>
    Effect.flatMap(
      questions?.answer(id, decision) ?? Effect.succeed("unknown" as const),
      (answered) =>
        answered === "taken"
          ? Effect.succeed(HttpServerResponse.empty({ status: 204 }))
          : Effect.fail(answered === "late" ? ended : notFound("there is no such question"))
    )

  const fixed: ReadonlyMap<string, Methods> = new Map([
    ["/events", new Map([["GET", streamed(watch)]])],
    ["/attend", new Map([["GET", streamed(feed.attend)]])],
    [
      "/check-now",
      new Map<string, Handler>([[
        "POST",
        () => Effect.as(supervisor.checkNow, HttpServerResponse.empty({ status: 204 }))
      ]])
    ],
    ["/tasks", new Map([["POST", delegate]])]
  ])
  return (path: string): Methods | undefined => {
    const taskId = /^\/tasks\/([A-Za-z0-9-]{1,64})$/.exec(path)?.[1]
    if (taskId !== undefined) return new Map([["DELETE", abort(taskId)]])
    const [, id, decision] = /^\/tool-questions\/(t\d{1,9})\/(allow|deny)$/.exec(path) ?? []
    return id === undefined
      ? fixed.get(path)
      : new Map([["POST", decide(id, decision === "allow" ? "allow" : "deny")]])
  }
}
