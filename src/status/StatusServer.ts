/**
 * Answers, over a private socket in the state directory, how this program stands.
 *
 * The socket is in a directory of mode 0700 before it exists, and has mode 0600 itself. A request is one line of at most 256 characters
 * that has to come within five seconds; at most sixteen conversations are open at once. Nothing that is answered is a secret.
 */
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import * as Clock from "effect/Clock"
import type * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { AgentEvents } from "../agent/AgentEvents.ts"
import type { ConnectionStatus } from "../connection/ConnectionStatus.ts"
import type { Session } from "../connection/Session.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import * as Monotonic from "../handshake/Monotonic.ts"
import * as PrivateDirectory from "../storage/PrivateDirectory.ts"
import { type StorageError, unwritable } from "../storage/StorageError.ts"
import * as ToolSearch from "../toolhost/ToolSearch.ts"
import * as LiveDirectory from "./LiveDirectory.ts"
import type { About } from "./ReportOf.ts"
import { differs, reportOf, stateOf } from "./ReportOf.ts"
import { isGone } from "./StatusClient.ts"
import type { Told } from "./StatusFold.ts"
import { nothingTold, step } from "./StatusFold.ts"
import { type Ask, cutLine, decodeRequest, encodeAnswer, maxRequest, type RefusedReason } from "./StatusProtocol.ts"
import type { StatusReport } from "./StatusReport.ts"

/** The socket could not be made, so nobody can ask this program how it stands. The program goes on. */
export class StatusNotServed extends Schema.TaggedError<StatusNotServed>()("StatusNotServed", {
  /** `PathTooLong`: systems take at most 103 bytes for the path of a socket. `NotListening`: the system refused it. */
  reason: Schema.Literals(["PathTooLong", "NotListening"]),
  path: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return this.reason === "PathTooLong"
      ? `the path ${this.path} is too long for a socket, which may have ${LiveDirectory.maxPathBytes} bytes: choose a shorter`
        + " state directory"
      : `nothing can listen at ${this.path}`
  }
}

/** What is served, and where. */
export interface Options {
  readonly stateDirectory: string
  readonly about: Omit<About, "startedAtMs">
  /** Whether a device token of the present gateway is stored. */
  readonly stored: Effect.Effect<boolean>
}

/** What the answers are made of, kept up to date. */
interface Standing {
  readonly told: Told
  readonly status: ConnectionStatus
  readonly sinceMs: number
}

/** What a conversation asks the program for. */
interface Source {
  readonly standing: SubscriptionRef.SubscriptionRef<Standing>
  readonly report: Effect.Effect<StatusReport>
  /** Whether the gateway's agent has tools by tool search alone; undefined where the gateway does not tell, or not in time. */
  readonly toolSearch: Effect.Effect<boolean | undefined>
}

type Machine = FileSystem.FileSystem | Path.Path | SecureRandom.SecureRandom

/** Serves until the scope closes, and removes the socket then. */
export const serve = (
  options: Options
): Effect.Effect<void, StatusNotServed | StorageError, AgentEvents | Supervisor | Machine | Scope.Scope> =>
  Effect.gen(function*() {
    const source = yield* sourceOf(options)
    const directory = yield* LiveDirectory.directoryOf(options.stateDirectory)
    const path = yield* LiveDirectory.newPath(directory, options.about.pid)
    if (new TextEncoder().encode(path).length > LiveDirectory.maxPathBytes) {
      return yield* new StatusNotServed({ reason: "PathTooLong", path })
    }
    const fs = yield* FileSystem.FileSystem
    yield* PrivateDirectory.prepare(directory, true)
    yield* sweep(directory)
    const server = yield* Effect.mapError(
      NodeSocketServer.make({ path }),
      (cause) => new StatusNotServed({ reason: "NotListening", path, cause })
    )
    yield* Effect.mapError(fs.chmod(path, 0o600), unwritable(path))
    let open = 0
    const handler = (socket: Socket.Socket) =>
      Effect.suspend(() => {
        open++
        return Effect.ensuring(
          Effect.ignore(Effect.scoped(converse(socket, source, open > mostConversations))),
          Effect.sync(() => void open--)
        )
      })
    yield* Effect.forkScoped(
      Effect.ignoreCause(server.run(handler), { log: "Error", message: "the status is no longer served" })
    )
  })

const mostConversations = 16

/** A socket that was just made refuses connections for an instant. */
const youngestLeftoverMs = 10_000

/** Removes the sockets of programs that were killed, and gives their paths. */
export const sweep: (directory: string) => Effect.Effect<ReadonlyArray<string>, StorageError, Machine> = Effect
  .fnUntraced(function*(directory: string) {
    const fs = yield* FileSystem.FileSystem
    const nowMs = yield* Clock.currentTimeMillis
    const removed: Array<string> = []
    for (const socket of yield* LiveDirectory.list(directory)) {
      const { madeAtMs = nowMs } = socket
      if (nowMs - madeAtMs < youngestLeftoverMs || !(yield* isGone(socket))) continue
      if (yield* Effect.isSuccess(fs.remove(socket.path))) removed.push(socket.path)
    }
    return removed
  })

const sourceOf = Effect.fnUntraced(function*({ about, stored }: Options) {
  const { events } = yield* AgentEvents
  const supervisor = yield* Supervisor
  const clock = yield* Clock.Clock
  const startedAtMs = clock.currentTimeMillisUnsafe()
  const startedMs = Monotonic.nowMs(clock)
  const standing = yield* SubscriptionRef.make<Standing>({
    told: nothingTold,
    status: yield* supervisor.status,
    sinceMs: startedAtMs
  })
  yield* Effect.forkScoped(
    Stream.runForEach(
      events,
      (event) => SubscriptionRef.update(standing, (before) => ({ ...before, told: step(before.told, event) }))
    ).pipe(Effect.ignoreCause({ log: "Error", message: "events no longer followed for the status" }))
  )
  yield* Effect.forkScoped(
    Stream.runForEach(supervisor.changes, ({ status }) =>
      SubscriptionRef.update(standing, (before) => ({
        ...before,
        status,
        sinceMs: stateOf(status) === stateOf(before.status) ? before.sinceMs : clock.currentTimeMillisUnsafe()
      }))).pipe(Effect.ignoreCause({ log: "Error", message: "the connection is no longer followed for the status" }))
  )
  const report = Effect.zipWith(
    SubscriptionRef.get(standing),
    stored,
    ({ sinceMs, status, told }, isStored) =>
      reportOf({ ...about, startedAtMs }, told, {
        nowMs: clock.currentTimeMillisUnsafe(),
        uptimeMs: Monotonic.nowMs(clock) - startedMs,
        status,
        sinceMs,
        stored: isStored
      })
  )
  const toolSearch = Effect.flatMap(
    SubscriptionRef.get(standing),
    ({ status }) => status._tag === "Connected" ? searched(status.session) : Effect.undefined
  )
  return { standing, report, toolSearch } satisfies Source
})

/** Sooner than a client of the socket gives up. */
const gatewayPatience = "2 seconds"

const searched = (session: Session): Effect.Effect<boolean | undefined> =>
  Effect.timeoutOrElse(ToolSearch.ask(session), { duration: gatewayPatience, orElse: () => Effect.undefined })

/** How long a client may take for its request. */
const patience = "5 seconds"

const converse = Effect.fnUntraced(function*(socket: Socket.Socket, source: Source, busy: boolean) {
  const pull = yield* Socket.readerString(socket)
  const { write } = yield* socket.writer
  const refuse = (refused: typeof RefusedReason.Type) => write(encodeAnswer({ refused }))
  if (busy) return yield* refuse("Busy")
  const asked = yield* Effect.timeoutOption(request(pull), patience)
  if (Option.isNone(asked)) return
  if (asked.value === "UnknownRequest" || asked.value === "TooLarge") return yield* refuse(asked.value)
  switch (asked.value) {
    case "report":
      return yield* write(encodeAnswer({ report: yield* source.report }))
    case "recent":
      return yield* write(encodeAnswer({ recent: (yield* SubscriptionRef.get(source.standing)).told.recent }))
    case "tool-search": {
      const toolSearch = yield* source.toolSearch
      return yield* write(encodeAnswer(toolSearch === undefined ? {} : { toolSearch }))
    }
    case "watch":
      // The client says nothing more. When it leaves, reading fails.
      return yield* Effect.raceFirst(Effect.forever(pull), watch(source, write))
  }
})

/** Reads the line of the request. */
const request = Effect.fnUntraced(function*(pull: Effect.Effect<ReadonlyArray<string>, Socket.SocketError>) {
  let text = ""
  while (true) {
    text += (yield* pull).join("")
    const cut = cutLine(text)
    if (cut === undefined && text.length <= maxRequest) continue
    if (cut === undefined || cut[0].length > maxRequest) return "TooLarge" as const
    return Option.match(decodeRequest(cut[0]), {
      onNone: () => "UnknownRequest" as const,
      onSome: ({ ask }): Ask => ask
    })
  }
})

/** How long changes are gathered into one report. */
const pace = "100 millis"

/** Writes the report, and again after each change. A client that reads slowly gets the latest only. */
const watch = (source: Source, write: Socket.Writer["write"]) => {
  let last: StatusReport | undefined
  const tell = Effect.flatMap(source.report, (report) => {
    if (last !== undefined && !differs(last, report)) return Effect.void
    last = report
    return write(encodeAnswer({ report }))
  })
  return SubscriptionRef.changes(source.standing).pipe(
    Stream.buffer({ capacity: 1, strategy: "sliding" }),
    Stream.runForEach(() => Effect.andThen(tell, Effect.sleep(pace)))
  )
}
