/**
 * Writes a recording while the client runs.
 *
 * A recording costs the frame path one offer to a queue: one fiber redacts and writes the entries. The file says how many
 * entries were lost because writing did not keep up, and that it has reached its limit. A file that can no longer be written
 * ends the recording, never the client.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { GatewaySettings } from "../handshake/GatewayConfig.ts"
import { GatewayConfig } from "../handshake/GatewayConfig.ts"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import { TokenStore } from "../identity/TokenStore.ts"
import { line } from "../protocol/OutsideText.ts"
import { errnoOf } from "../storage/Errno.ts"
import type { Entry, Header, Settings } from "./Recording.ts"
import * as Recording from "./Recording.ts"
import { entryLine, headerLine } from "./Recording.ts"
import type { Redactor } from "./Redaction.ts"
import * as Redaction from "./Redaction.ts"

/** Where to record, and what the header says of the program. */
export interface Options {
  /** A new file in an existing directory. It is created with mode 0600. */
  readonly path: string
  /** The limit of the file, 64 MiB unless set. */
  readonly maxBytes?: number
  /** Release of the program, for the header. */
  readonly program?: string
  /** Settings of the agent's tasks, for the header. */
  readonly sessionKey?: string | undefined
  readonly taskTimeout?: Duration.Duration | undefined
  readonly takeOverEvery?: Duration.Duration | undefined
}

/** The recording could not begin. Nothing was started. */
export class RecordingRefused extends Schema.TaggedError<RecordingRefused>()("RecordingRefused", {
  path: Schema.String,
  reason: Schema.Literals(["Exists", "Exposed", "Unwritable"]),
  errno: Schema.optional(Schema.String),
  cause: Schema.optional(Schema.Defect())
}) {
  override get message(): string {
    switch (this.reason) {
      case "Exists":
        return `${this.path} exists, and a recording never replaces a file; name another one`
      case "Exposed":
        return `${this.path} would be readable by others, because its file system keeps no modes; record to another directory`
      case "Unwritable":
        return `the recording ${this.path} cannot be written (${
          this.errno ?? "unknown error"
        }); its directory has to exist`
    }
  }
}

type Timeless<E> = E extends unknown ? Omit<E, "at"> : never
/** Makes an entry without its time, with everything in it redacted. */
export type MakeEntry = (redactor: Redactor) => Timeless<Entry>

/** Records what a client does and what happens to it. `FlightRecorder.layer` provides it, and `RecordedAgent` feeds it. */
export class FlightRecorder extends Context.Service<FlightRecorder, {
  /**
   * Takes an entry with the present time. Synchronous and cheap: the writer's fiber makes the entry. `units` is the length of the
   * texts that the entry is made from, in UTF-16 units, as they wait in memory; 0 unless set.
   */
  readonly note: (make: MakeEntry, units?: number) => void
  /** Done when states are recorded. Nothing is dialled before that, so that no state is missed. */
  readonly ready: Deferred.Deferred<void>
}>()("effect-openclaw/recorder/FlightRecorder") {
  static readonly layer = (
    options: Options
  ): Layer.Layer<
    FlightRecorder,
    RecordingRefused,
    DeviceIdentity | FileSystem.FileSystem | GatewayConfig | TokenStore
  > => Layer.effect(this, make(options))
}

/** How many entries can wait for the writer. */
const capacity = 16_384
/** How many entries are redacted and written at a time. */
const batchSize = 1024
/** How many UTF-16 units of messages and texts can wait for the writer. One note alone may have more. */
const capacityUnits = 32 * 1024 * 1024
/** Room for the line that says that the file is full. */
const reserveBytes = 256

interface Note {
  readonly at: number
  readonly units: number
  readonly make: MakeEntry
}

/** The settings as a recording keeps them. */
export const settingsOf = (settings: GatewaySettings, redactor: Redactor): Settings => {
  for (const { value } of settings.headers) redactor.conceal(value)
  return {
    scheme: settings.endpoint.url.protocol === "wss:" ? "wss:" : "ws:",
    loopback: settings.endpoint.loopback,
    gateway: redactor.gateway(settings.endpoint.gatewayScope),
    pinned: settings.pinned,
    ...(settings.token === undefined ? {} : { token: redactor.secret(Redacted.value(settings.token)) }),
    ...(settings.password === undefined ? {} : { password: redactor.secret(Redacted.value(settings.password)) }),
    scopes: settings.scopes,
    clientId: settings.clientId,
    clientMode: settings.clientMode,
    clientVersion: settings.clientVersion,
    caps: settings.caps,
    narrowedScopes: settings.narrowedScopes,
    origin: settings.origin !== undefined,
    challengeTimeoutMs: Duration.toMillis(settings.challengeTimeout),
    helloTimeoutMs: Duration.toMillis(settings.helloTimeout),
    requestTimeoutMs: Duration.toMillis(settings.requestTimeout),
    legacyWithoutChallenge: settings.legacyWithoutChallenge
  }
}

const make = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<
  FlightRecorder["Service"],
  RecordingRefused,
  DeviceIdentity | FileSystem.FileSystem | GatewayConfig | Scope.Scope | TokenStore
> {
  const clock = yield* Clock.Clock
  const redactor = Redaction.make([])
  const header = headerLine(yield* makeHeader(options, redactor))
  const file = yield* create(options.path, header)

  const queue = yield* Queue.dropping<Note, Cause.Done>(capacity)
  const maxBytes = options.maxBytes ?? Recording.maxBytes
  let bytes = header.length
  let ended = false
  let lost = 0
  let waitingUnits = 0
  let failure: unknown

  /** The line of an entry. An entry that cannot be made is lost, and no other. */
  const lineOf = (at: number, make: MakeEntry): string => {
    try {
      return entryLine({ at, ...make(redactor) })
    } catch (cause) {
      failure = cause
      return entryLine({ at, kind: "lost", count: 1 })
    }
  }
  const reportFailure = Effect.suspend(() => {
    if (failure === undefined) return Effect.void
    const cause = Cause.die(failure)
    failure = undefined
    return Effect.logError("an entry was not recorded", cause)
  })

  /** Lines of these notes, up to the limit of the file. */
  const linesOf = (notes: ReadonlyArray<Note>): string => {
    let lines = ""
    for (const { at, make } of notes) {
      const line = lineOf(at, make)
      // Redacted text is ASCII.
      const size = line.length
      if (bytes + size > maxBytes - reserveBytes) {
        ended = true
        return lines + entryLine({ at, kind: "full", bytes: maxBytes })
      }
      bytes += size
      lines += line
    }
    return lines
  }
  const write = (notes: ReadonlyArray<Note>) =>
    Effect.suspend(() => {
      const lines = ended ? "" : linesOf(notes)
      for (const { units } of notes) waitingUnits -= units
      return lines === "" ? Effect.void : file.writeAll(new TextEncoder().encode(lines))
    }).pipe(
      Effect.andThen(reportFailure),
      Effect.catch((error) => {
        ended = true
        return Effect.annotateLogs(Effect.logWarning("the recording ends here, as it cannot be written"), {
          path: line(options.path),
          errno: errnoOf(error)
        })
      })
    )

  // In batches, so that other fibers get their turn during a flood.
  const writer = yield* Effect.flatMap(Queue.takeBetween(queue, 1, batchSize), write).pipe(
    Effect.forever,
    Pull.catchDone(() => Effect.void),
    Effect.onError(() =>
      Effect.sync(() => {
        ended = true
      })
    ),
    Effect.ignoreCause({ log: "Error", message: "the recording ended" }),
    Effect.forkScoped
  )
  const now = (make: MakeEntry, units = 0): Note => ({ at: clock.currentTimeMillisUnsafe(), make, units })
  /** Comes where the lost entries would have been. */
  const losses = (count: number): ReadonlyArray<Note> => count === 0 ? [] : [now(() => ({ kind: "lost", count }))]
  const note = (make: MakeEntry, units = 0) => {
    if (ended) return
    const fits = units === 0 || waitingUnits === 0 || waitingUnits + units <= capacityUnits
    if (!fits || ![...losses(lost), now(make, units)].every((one) => Queue.offerUnsafe(queue, one))) {
      lost++
      return
    }
    lost = 0
    waitingUnits += units
  }
  // Finalizers run in reverse, so this runs before the writer is interrupted and the file is closed.
  yield* Effect.addFinalizer(() =>
    Effect.gen(function*() {
      Queue.endUnsafe(queue)
      yield* Fiber.await(writer)
      yield* write([...losses(lost), now(() => ({ kind: "end" }))])
      yield* Effect.ignore(file.sync)
    })
  )
  return FlightRecorder.of({ note, ready: Deferred.makeUnsafe() })
})

const refused = (path: string) => (cause: Parameters<typeof errnoOf>[0]) => {
  const errno = errnoOf(cause)
  return new RecordingRefused({ path, reason: errno === "EEXIST" ? "Exists" : "Unwritable", errno, cause })
}

/** Creates the file with its header. A file that others can read, or that cannot be written, is removed again. */
const create = Effect.fnUntraced(function*(path: string, header: string) {
  const fs = yield* FileSystem.FileSystem
  const file = yield* Effect.mapError(fs.open(path, { flag: "wx", mode: 0o600 }), refused(path))
  const begin = Effect.gen(function*() {
    const { mode } = yield* Effect.mapError(file.stat, refused(path))
    if ((mode & 0o077) !== 0) return yield* new RecordingRefused({ path, reason: "Exposed" })
    yield* Effect.mapError(file.writeAll(new TextEncoder().encode(header)), refused(path))
  })
  yield* Effect.onError(begin, () => Effect.ignore(fs.remove(path)))
  return file
})

const makeHeader = Effect.fnUntraced(function*(options: Options, redactor: Redactor) {
  const settings = yield* GatewayConfig
  const { deviceId, platform } = yield* DeviceIdentity
  const { gatewayScope } = settings.endpoint
  const recorded = settingsOf(settings, redactor)
  const key = { gatewayScope, deviceId, role: settings.role }
  // The handshake reports a store that cannot be read.
  const stored = Option.getOrUndefined(
    Option.flatten(yield* Effect.option(Effect.flatMap(TokenStore, ({ get }) => get(key))))
  )
  return {
    format: "effect-openclaw/recording",
    version: 1,
    at: yield* Clock.currentTimeMillis,
    program: options.program ?? "unknown",
    platform,
    settings: recorded,
    ...(stored === undefined
      ? {}
      : { stored: { token: redactor.secret(Redacted.value(stored.token)), scopes: redactor.names(stored.scopes) } }),
    ...(options.sessionKey === undefined ? {} : { sessionKey: redactor.sessionKey(options.sessionKey) }),
    ...(options.taskTimeout === undefined ? {} : { taskTimeoutMs: Duration.toMillis(options.taskTimeout) }),
    ...(options.takeOverEvery === undefined ? {} : { takeOverEveryMs: Duration.toMillis(options.takeOverEvery) })
  } satisfies Header
})
