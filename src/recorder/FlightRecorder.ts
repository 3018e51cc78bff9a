/**
 * Writes a recording while the client runs.
 *
 * Whoever has something to record hands it over in a callback, with the time, and goes on: one fiber redacts and writes. On
 * the frame path that is one offer to a queue. What the writer cannot keep up with is counted, and a file ends at its limit;
 * both are said in the file. A file that can no longer be written ends the recording, never the client.
 */
import type * as Cause from "effect/Cause"
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
import { errnoOf } from "../storage/Errno.ts"
import type { Entry, Header, Settings } from "./Recording.ts"
import { entryLine, headerLine } from "./Recording.ts"
import type { Redactor } from "./Redaction.ts"
import * as Redaction from "./Redaction.ts"

export interface Options {
  /** A file that is not there yet, in a directory that is. It is created with mode 0600. */
  readonly path: string
  /** Where the file ends, 64 MiB unless set. */
  readonly maxBytes?: number
  /** Release of the program, for the header. */
  readonly program?: string
  /** What the agent's tasks are told, for the header. */
  readonly sessionKey?: string | undefined
  readonly taskTimeout?: Duration.Duration | undefined
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
        return `${this.path} would be readable to others, as this place keeps no modes; record to another directory`
      case "Unwritable":
        return `the recording ${this.path} cannot be written (${
          this.errno ?? "unknown error"
        }); its directory has to exist`
    }
  }
}

type Timeless<E> = E extends unknown ? Omit<E, "at"> : never
/** An entry without its time, made by the writer, with everything in it redacted. */
export type Late = (redactor: Redactor) => Timeless<Entry>

export class FlightRecorder extends Context.Service<FlightRecorder, {
  /** Takes an entry with the present time. Synchronous, and cheap: `late` runs in the writer's fiber. */
  readonly note: (late: Late) => void
  /** Done when states are followed. Nothing is dialled before, so that none of them is missed. */
  readonly following: Deferred.Deferred<void>
}>()("effect-openclaw/recorder/FlightRecorder") {
  static readonly layer = (
    options: Options
  ): Layer.Layer<
    FlightRecorder,
    RecordingRefused,
    DeviceIdentity | FileSystem.FileSystem | GatewayConfig | TokenStore
  > => Layer.effect(this, make(options))
}

/** Entries that may wait for the writer. */
const capacity = 16_384
/** Entries that are redacted and written at a time. */
const pieceLength = 1024
const defaultMaxBytes = 64 * 1024 * 1024
/** Room for the line that says that the file is full. */
const reserveBytes = 256

interface Noted {
  readonly at: number
  readonly late: Late
}

/** The settings as they stand in a recording. The redactor has to know their credentials already. */
export const settingsOf = (settings: GatewaySettings, redactor: Redactor): Settings => ({
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
})

const make = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<
  FlightRecorder["Service"],
  RecordingRefused,
  DeviceIdentity | FileSystem.FileSystem | GatewayConfig | Scope.Scope | TokenStore
> {
  const clock = yield* Clock.Clock
  const redactor = Redaction.make([])
  const file = yield* create(options.path)
  const header = headerLine(yield* describe(options, redactor))
  yield* Effect.mapError(file.writeAll(new TextEncoder().encode(header)), refused(options.path))

  const queue = yield* Queue.dropping<Noted, Cause.Done>(capacity)
  const maxBytes = options.maxBytes ?? defaultMaxBytes
  let bytes = header.length
  let over = false
  let lost = 0

  /** Lines for what was noted, up to the limit of the file. */
  const linesOf = (noted: ReadonlyArray<Noted>): string => {
    let lines = ""
    for (const { at, late } of noted) {
      const line = entryLine({ at, ...late(redactor) })
      // What is redacted is ASCII.
      const size = line.length
      if (bytes + size > maxBytes - reserveBytes) {
        over = true
        return lines + entryLine({ at, kind: "full", bytes: maxBytes })
      }
      bytes += size
      lines += line
    }
    return lines
  }
  const write = (noted: ReadonlyArray<Noted>) =>
    Effect.suspend(() => over ? Effect.void : file.writeAll(new TextEncoder().encode(linesOf(noted)))).pipe(
      Effect.catch((error) => {
        over = true
        return Effect.annotateLogs(Effect.logWarning("the recording ends here, as it cannot be written"), {
          path: options.path,
          errno: errnoOf(error)
        })
      })
    )

  // A piece at a time: others get their turn between two pieces of a flood.
  const writer = yield* Effect.flatMap(Queue.takeBetween(queue, 1, pieceLength), write).pipe(
    Effect.forever,
    Pull.catchDone(() => Effect.void),
    Effect.onError(() =>
      Effect.sync(() => {
        over = true
      })
    ),
    Effect.ignoreCause({ log: "Error", message: "the recording ended" }),
    Effect.forkScoped
  )
  const now = (late: Late): Noted => ({ at: clock.currentTimeMillisUnsafe(), late })
  /** What was lost stands where it would have stood. */
  const missing = (count: number): ReadonlyArray<Noted> => count === 0 ? [] : [now(() => ({ kind: "lost", count }))]
  const note = (late: Late) => {
    if (over) return
    const all = [...missing(lost), now(late)]
    if (all.every((noted) => Queue.offerUnsafe(queue, noted))) lost = 0
    else lost++
  }
  // Runs before the writer is interrupted, as finalizers run in reverse: what was noted is in the file before it is closed.
  yield* Effect.addFinalizer(() =>
    Effect.gen(function*() {
      Queue.endUnsafe(queue)
      yield* Fiber.await(writer)
      yield* write([...missing(lost), now(() => ({ kind: "end" }))])
      yield* Effect.ignore(file.sync)
    })
  )
  return FlightRecorder.of({ note, following: Deferred.makeUnsafe() })
})

const refused = (path: string) => (cause: Parameters<typeof errnoOf>[0]) => {
  const errno = errnoOf(cause)
  return new RecordingRefused({ path, reason: errno === "EEXIST" ? "Exists" : "Unwritable", errno, cause })
}

/** The mode is looked at while the file is still empty. One that others can read is removed again. */
const create = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  const file = yield* Effect.mapError(fs.open(path, { flag: "wx", mode: 0o600 }), refused(path))
  const { mode } = yield* Effect.mapError(file.stat, refused(path))
  if ((mode & 0o077) === 0) return file
  yield* Effect.ignore(fs.remove(path))
  return yield* new RecordingRefused({ path, reason: "Exposed" })
})

const describe = Effect.fnUntraced(function*(options: Options, redactor: Redactor) {
  const settings = yield* GatewayConfig
  const { deviceId, platform } = yield* DeviceIdentity
  const { gatewayScope } = settings.endpoint
  const recorded = settingsOf(settings, redactor)
  const key = { gatewayScope, deviceId, role: settings.role }
  // A store that cannot be read is told by whoever works with it.
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
    ...(options.taskTimeout === undefined ? {} : { taskTimeoutMs: Duration.toMillis(options.taskTimeout) })
  } satisfies Header
})
