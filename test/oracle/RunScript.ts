/**
 * What a gateway tells of runs to those who listen, wait, and ask later: a script that is played over sockets.
 *
 * Played on a real gateway it gives the vectors `runs-<release>.json`. Played on `DevGateway` it says whether that tells the
 * same. The driver shares no code with `src`, so that a mistake there cannot hide in it.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Redacted from "effect/Redacted"
import { untilTrue } from "../interop/support/EventLog.ts"
import { InteropError } from "../interop/support/InteropError.ts"
import { connect, type Device, type RawClient } from "../interop/support/RawClient.ts"

/** Where the script is played. */
export interface Stage {
  readonly url: string
  readonly token: Redacted.Redacted
  readonly device: Device
  /** Lets the answer to the text with this mark go on. */
  readonly release: (mark: string) => Effect.Effect<void>
  /** Stops the gateway and starts it again. */
  readonly restart: Effect.Effect<void, InteropError>
}

/** What one scene showed. Events are in order, and only those of the scene's session. */
export interface Recording {
  readonly asked?: unknown
  readonly answer?: unknown
  readonly events?: ReadonlyArray<{ readonly event: string; readonly payload: unknown }>
  /** Answers of `agent.wait`, of `chat.history` and the like, by what they show. */
  readonly later?: Readonly<Record<string, unknown>>
}
export type Recordings = Readonly<Record<string, Recording>>

const at = (value: unknown, ...path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>((inner, key) => Predicate.hasProperty(inner, key) ? inner[key] : undefined, value)

const scopes = ["operator.read", "operator.write"]

const enter = Effect.fnUntraced(function*({ device, token, url }: Stage, caps: ReadonlyArray<string>) {
  const client = yield* connect({ url, token, device, scopes, caps })
  if (client.answer._tag === "Accepted") return client
  return yield* new InteropError({ step: "connect", detail: client.answer.error.message })
})

const sessionOf = (name: string) => `agent:main:${name}`

const ofSession = (client: RawClient, session: string) =>
  client.events.filter(({ payload }) =>
    String(at(payload, "sessionKey") ?? at(payload, "key")).toLowerCase() === session
  )

/** Waits for an event of a run. */
const until = (client: RawClient, runId: string, is: (payload: unknown) => boolean, seconds = 60) =>
  untilTrue(() => client.events.some(({ payload }) => at(payload, "runId") === runId && is(payload))).pipe(
    Effect.timeoutOrElse({
      duration: `${seconds} seconds`,
      orElse: () => Effect.fail(new InteropError({ step: "event", detail: `nothing more came of ${runId}` }))
    })
  )
const isDelta = (payload: unknown) => at(payload, "state") === "delta"
const isEnd = (payload: unknown) => ["final", "error", "aborted"].includes(String(at(payload, "state")))

/** Gives late events the time to come, where nothing says that they have come. */
const linger = Effect.sleep("700 millis")

const send = (client: RawClient, name: string, message: string, more: Readonly<Record<string, unknown>> = {}) =>
  client.ask("chat.send", {
    sessionKey: sessionOf(name),
    message,
    deliver: false,
    idempotencyKey: `run-${name}`,
    ...more
  })
const wait = (client: RawClient, name: string, timeoutMs = 0) =>
  client.ask("agent.wait", { runId: `run-${name}`, timeoutMs })
const history = (client: RawClient, name: string) =>
  client.ask("chat.history", { sessionKey: sessionOf(name), limit: 200 })

/** What nothing depends on, and what is large. */
const dropped = new Set([
  "session",
  "sessionInfo",
  "usage",
  "cost",
  "terminalReceipt",
  "transport",
  "transcriptPosition",
  "defaults",
  "deltaCursor",
  "errorObservation",
  "participants",
  "expandedParticipants"
])
const keptOfSession = ["key", "hasActiveRun", "activeRunIds", "status"]

/** The value without what is large, and without the paths of this machine. */
const slim = (value: unknown): unknown => {
  if (typeof value === "string") {
    return value.replaceAll(/\/tmp\/effect-openclaw-[^/"\s]*/g, "/home").replaceAll("x".repeat(4000), "X{4000}")
      .replaceAll(/mediaTicket=[^"&\s]+/g, "mediaTicket=<ticket>")
  }
  if (Array.isArray(value)) return value.map(slim)
  if (!Predicate.isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, inner]) =>
      name === "sessionInfo" && Predicate.isObject(inner)
        ? [[name, Object.fromEntries(Object.entries(inner).filter(([key]) => keptOfSession.includes(key)))]]
        : dropped.has(name) || inner === undefined
        ? []
        : [[name, slim(inner)]]
    )
  )
}

/** One run from its message to its end, with what is answered about it then. */
const wholeRun = Effect.fnUntraced(function*(
  client: RawClient,
  name: string,
  message: string,
  middle: (later: Record<string, unknown>) => Effect.Effect<void, InteropError> = () => Effect.void,
  { more = {}, patience = 60 }: { readonly more?: Readonly<Record<string, unknown>>; readonly patience?: number } = {}
) {
  const later: Record<string, unknown> = {}
  const answer = yield* send(client, name, message, more)
  yield* middle(later)
  yield* Effect.ignore(until(client, `run-${name}`, isEnd, patience))
  later["agent.wait at the end"] = yield* wait(client, name)
  yield* linger
  later["agent.wait"] = yield* wait(client, name)
  later["chat.history"] = yield* history(client, name)
  const recording: Recording = { asked: message, answer, events: ofSession(client, sessionOf(name)), later }
  return recording
})

/**
 * What clients depend on, of recordings as they are kept: the kinds of events of each scene, how the run is remembered, who
 * heard what, and what was refused. Times, ids, counts of deltas and words for people differ each time.
 */
export const facts = (recordings: unknown): unknown => {
  const scenes = at(recordings, "scenes")
  if (!Predicate.isObject(scenes)) return recordings
  return Object.fromEntries(
    Object.entries(scenes).map(([name, scene]) => {
      const events = at(scene, "events")
      const kinds = Array.isArray(events) ? [...new Set(events.map(kindOf))].toSorted() : []
      const later = Object.entries(Object(at(scene, "later"))).flatMap(([what, answer]) =>
        (what.includes("history") && at(answer, "payload") !== undefined) || what.includes("at the end")
          ? []
          : [[what, factsOf(answer)]]
      )
      return [name, { kinds, later: Object.fromEntries(later) }]
    })
  )
}

const kindOf = (told: unknown): string => {
  const stream = at(told, "payload", "stream")
  const phase = stream === "lifecycle" || stream === "tool" ? at(told, "payload", "data", "phase") : undefined
  return [at(told, "event"), at(told, "payload", "state"), stream, phase].filter(Predicate.isString).join(" ")
}

const factsOf = (answer: unknown): unknown => {
  // Names of events, which streams that are told side by side put in any order.
  if (Array.isArray(answer) && answer.every(Predicate.isString)) return answer.toSorted()
  const payload = at(answer, "payload")
  if (!Predicate.isObject(payload)) return slim(answer)
  return Object.fromEntries(
    ["status", "stopReason", "timeoutPhase", "terminalReply", "aborted", "subscribed", "key"].flatMap((name) =>
      name in payload ? [[name, at(payload, name)]] : []
    )
  )
}

/** The recordings as they are kept: a line for each answer and event. */
export const toJson = (release: string, scenes: Recordings): string => {
  const lines = (value: unknown, depth: number): string => {
    const indent = " ".repeat(depth)
    if (depth > 3 || (!Predicate.isObject(value) && !Array.isArray(value))) return JSON.stringify(value)
    return Array.isArray(value)
      ? `[\n${value.map((item) => `${indent} ${JSON.stringify(item)}`).join(",\n")}\n${indent}]`
      : `{\n${
        Object.entries(value).map(([name, inner]) => `${indent} ${JSON.stringify(name)}: ${lines(inner, depth + 1)}`)
          .join(",\n")
      }\n${indent}}`
  }
  const source = `OpenClaw ${release}, played by test/interop/Runs.test.ts with OPENCLAW_RECORD=true`
  return `${lines(slim({ source, scenes }), 0)}\n`
}

/** Everything that is told of runs, by scene. */
export const play = Effect.fnUntraced(function*(stage: Stage, scenes: Record<string, Recording> = {}) {
  const { release, restart } = stage
  const client = yield* enter(stage, ["tool-events"])
  const asks = (later: Record<string, unknown>, name: string, mark: string, runId: string) =>
    Effect.gen(function*() {
      yield* until(client, runId, isDelta)
      later["agent.wait while it runs"] = yield* wait(client, name)
      later["agent.wait while it runs, 200 ms"] = yield* wait(client, name, 200)
      later["chat.history while it runs"] = yield* history(client, name)
      yield* release(mark)
    })

  const { hello } = client
  scenes["hello"] = {
    later: {
      capabilities: at(hello, "features", "capabilities"),
      suspension: at(hello, "snapshot", "suspension"),
      policy: at(hello, "policy")
    }
  }
  scenes["unknown run"] = { later: { "agent.wait": yield* wait(client, "never") } }
  scenes["answered"] = yield* wholeRun(client, "answered", "hello there")
  scenes["held"] = yield* wholeRun(
    client,
    "held",
    "[hold one] a b c",
    (later) => asks(later, "held", "[hold one]", "run-held")
  )
  scenes["failed"] = yield* wholeRun(client, "failed", "[fail]", undefined, { patience: 20 })
  scenes["aborted"] = yield* wholeRun(client, "aborted", "[hold two] a b c", (later) =>
    Effect.gen(function*() {
      yield* until(client, "run-aborted", isDelta)
      later["chat.abort"] = yield* client.ask("chat.abort", {
        sessionKey: sessionOf("aborted"),
        runId: "run-aborted"
      })
    }))
  yield* release("[hold two]")
  scenes["silent"] = yield* wholeRun(client, "silent", "[silent]")
  scenes["tool"] = yield* wholeRun(client, "tool", "[tool] what is there")
  scenes["thought"] = yield* wholeRun(client, "thought", "[think] twice", undefined, {
    more: { thinking: "high" }
  })
  scenes["long"] = yield* wholeRun(client, "long", "[long 9000]")
  scenes["busy"] = yield* wholeRun(client, "busy", "[hold three] first", (later) =>
    Effect.gen(function*() {
      yield* until(client, "run-busy", isDelta)
      later["chat.send to the busy session"] = yield* send(client, "busy", "second", { idempotencyKey: "run-second" })
      yield* linger
      later["agent.wait for the second"] = yield* wait(client, "second")
      yield* release("[hold three]")
      yield* until(client, "run-busy", isEnd)
      yield* linger
      yield* linger
      later["agent.wait for the second, later"] = yield* wait(client, "second")
    }))

  scenes["scoped"] = yield* scoped(stage, client)
  scenes["traceparent"] = {
    later: {
      "chat.history": summary(
        yield* client.ask("chat.history", { sessionKey: sessionOf("answered"), limit: 1 }, {
          traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        })
      ),
      "a traceparent that is too long": summary(
        yield* client.ask("chat.history", { sessionKey: sessionOf("answered"), limit: 1 }, {
          traceparent: "0".repeat(129)
        })
      )
    }
  }
  scenes["attachments"] = yield* attached(client)
  scenes["artifacts"] = yield* artifacts(stage, client)

  yield* restart
  const after = yield* Effect.retry(Effect.suspend(() => enter(stage, [])), { times: 20 })
  scenes["after a restart"] = {
    later: {
      "agent.wait": yield* wait(after, "answered"),
      "agent.wait for the failed": yield* wait(after, "failed"),
      "chat.history": yield* history(after, "answered"),
      "the same key again": yield* send(after, "answered", "hello there")
    }
  }
  return scenes
})

/** Whether a request was answered, and with which error if not. */
const summary = (answer: { readonly error?: unknown }) => ({ ok: answer.error === undefined, error: answer.error })

/** Who hears what of whose runs. */
const scoped = Effect.fnUntraced(function*(stage: Stage, plain: RawClient) {
  const later: Record<string, unknown> = {}
  const narrow = yield* enter(stage, ["tool-events", "session-scoped-events"])
  const deaf = yield* enter(stage, ["session-scoped-events"])
  const key = sessionOf("scoped")
  const heard = (
    client: RawClient,
    runId: string
  ) => [...new Set(client.events.filter(({ payload }) => at(payload, "runId") === runId).map(({ event }) => event))]
  const run = Effect.fnUntraced(function*(name: string, message = "hello") {
    yield* send(narrow, "scoped", message, { idempotencyKey: `run-${name}` })
    yield* until(plain, `run-${name}`, isEnd)
    yield* linger
    later[`heard: ${name}`] = {
      plain: heard(plain, `run-${name}`),
      own: heard(narrow, `run-${name}`),
      other: heard(deaf, `run-${name}`)
    }
  })
  yield* run("not subscribed")
  later["subscribe"] = yield* narrow.ask("sessions.messages.subscribe", { key })
  later["subscribe again"] = yield* narrow.ask("sessions.messages.subscribe", { key })
  later["subscribe by a short key"] = yield* deaf.ask("sessions.messages.subscribe", { key: "main" })
  later["subscribe to what is not there yet"] = yield* narrow.ask("sessions.messages.subscribe", {
    key: sessionOf("not-there-yet")
  })
  yield* run("subscribed")
  yield* run("tool when subscribed", "[tool] again")
  later["unsubscribe"] = yield* narrow.ask("sessions.messages.unsubscribe", { key })
  later["unsubscribe again"] = yield* narrow.ask("sessions.messages.unsubscribe", { key })
  yield* run("not subscribed any more")
  yield* narrow.ask("sessions.messages.subscribe", { key: key.toUpperCase() })
  yield* run("subscribed in capitals")
  const names = new Set(
    ofSession(narrow, key).map(({ event, payload }) =>
      `${event} ${at(payload, "stream") ?? at(payload, "state") ?? ""}`.trim()
    )
  )
  later["names of events"] = [...names]
  const recording: Recording = { later }
  return recording
})

const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

const attached = Effect.fnUntraced(function*(client: RawClient) {
  const image = { type: "image", mimeType: "image/png", fileName: "dot.png", content: png }
  const scene = yield* wholeRun(
    client,
    "attached",
    "see this",
    undefined
  )
  const later: Record<string, unknown> = {}
  const sendWith = Effect.fnUntraced(function*(name: string, message: string, attachments: ReadonlyArray<unknown>) {
    const answer = yield* send(client, "attached", message, { idempotencyKey: `run-${name}`, attachments })
    later[name] = answer
    if (answer.error === undefined) yield* Effect.ignore(until(client, `run-${name}`, isEnd, 20))
    later[`${name}, at the end`] = client.events.findLast(({ event, payload }) =>
      event === "chat" && at(payload, "runId") === `run-${name}`
    )?.payload ?? null
  })
  yield* sendWith("an image", "see this", [image])
  yield* sendWith("an image alone", "", [image])
  yield* sendWith("no base64", "see this", [{ ...image, content: "***" }])
  yield* sendWith("a text file", "read this", [{
    type: "file",
    mimeType: "text/plain",
    fileName: "note.txt",
    content: Buffer.from("a note").toString("base64")
  }])
  yield* sendWith("bytes", "keep this", [{
    type: "file",
    mimeType: "application/octet-stream",
    fileName: "b.bin",
    content: Buffer.from([0, 1, 2, 255]).toString("base64")
  }])
  later["chat.history"] = yield* history(client, "attached")
  const recording: Recording = { ...(scene.asked === undefined ? {} : {}), later }
  return recording
})

/** The images that a run made: how they are listed, and how one is given. */
const artifacts = Effect.fnUntraced(function*({ url: gatewayUrl }: Stage, client: RawClient) {
  const scene = yield* wholeRun(client, "artifacts", "[draw] a point")
  const later: Record<string, unknown> = {}
  // The end of the run is told before its files are kept.
  yield* wait(client, "artifacts", 20_000)
  const own = { sessionKey: sessionOf("artifacts"), runId: "run-artifacts" }
  const list = Effect.fnUntraced(function*(name: string, params: Readonly<Record<string, unknown>>) {
    const answer = yield* client.ask("artifacts.list", params)
    later[name] = { ...summary(answer), artifacts: listed(at(answer, "payload", "artifacts")) }
    return at(answer, "payload", "artifacts", "0", "id")
  })
  const id = yield* list("artifacts.list of the run", own)
  yield* list("artifacts.list of the run, by the agent", { ...own, messageRole: "assistant" })
  yield* list("artifacts.list of a run without one", { ...own, runId: "run-answered" })
  const unknown = yield* client.ask("artifacts.download", { ...own, artifactId: "artifact_managed_image_none" })
  later["artifacts.download of what is not there"] = summary(unknown)
  const download = id === undefined ? {} : yield* client.ask("artifacts.download", { ...own, artifactId: id })
  const path = at(download, "payload", "url")
  const given = typeof path === "string" ? yield* fetched(gatewayUrl, path) : undefined
  later["artifacts.download"] = {
    ...summary(download),
    artifact: listed([at(download, "payload", "artifact")]),
    url: typeof path === "string" ? path.replace(/[0-9a-f-]{36}/g, "<id>") : undefined,
    expires: typeof at(download, "payload", "expiresAt"),
    encoding: at(download, "payload", "encoding"),
    fetched: given
  }
  const recording: Recording = { ...scene, later }
  return recording
})

/** What is told of artifacts, without the ids, which differ each time. */
const listed = (all: unknown): unknown =>
  Array.isArray(all)
    ? all.map((artifact: unknown) => ({
      ...Object.fromEntries(
        ["type", "title", "mimeType", "sizeBytes", "sessionKey", "runId", "source", "download"].map((
          name
        ) => [name, at(artifact, name)])
      ),
      managed: String(at(artifact, "id")).startsWith("artifact_managed_image_")
    }))
    : undefined

/** What the gateway gives at a path of its HTTP side. */
const fetched = (gatewayUrl: string, path: string) =>
  Effect.promise(async () => {
    const response = await fetch(new URL(path, gatewayUrl.replace(/^ws/, "http")))
    const bytes = Buffer.from(await response.arrayBuffer())
    return { status: response.status, type: response.headers.get("content-type"), bytes: bytes.toString("base64") }
  })
