/**
 * What `run` tells those who supervise it: a file that exists while it is connected, and the messages of systemd (sd_notify(3)).
 *
 * Node.js has no datagram sockets of Unix, so messages to systemd go through its own `systemd-notify`, a process each; the unit
 * needs `NotifyAccess=all`.
 */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as ChildProcess from "effect/process/ChildProcess"
import { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import * as Queue from "effect/Queue"
import { type AgentEvent, asksForDevice } from "../protocol/AgentEvent.ts"
import { field } from "../protocol/OutsideText.ts"
import { CommandFailed } from "./CommandError.ts"
import { Processes } from "./Invocation.ts"

/** What an event says of the connection. */
export interface Readiness {
  /** The device is connected and takes tasks. */
  readonly ready: boolean
  /** One line for a person. */
  readonly status: string
  /** The first of these ends the start: an approval can take longer than any supervisor waits for one. */
  readonly started: boolean
}

/** What an event says of the connection; undefined where it says nothing new. Pure. */
export const readinessOf = (event: AgentEvent): Readiness | undefined => {
  switch (event.event) {
    case "connecting":
      return { ready: false, started: false, status: "connecting" }
    case "connected":
      return { ready: true, started: true, status: "connected" }
    case "pairing.required":
    case "pairing.superseded":
      return asksForDevice(event)
        ? {
          ready: false,
          started: true,
          status: event.requestId === undefined ? "waiting for approval" : `waiting for approval of ${event.requestId}`
        }
        : undefined
    case "waiting":
      return { ready: false, started: true, status: `not connected: ${field(event.cause.message)}` }
    case "halted":
      return { ready: false, started: true, status: `given up: ${field(event.error.message)}` }
    case "paused":
      return { ready: false, started: true, status: "paused" }
    default:
      return undefined
  }
}

/** Who is told about each event. */
export interface Supervision {
  readonly told: (event: AgentEvent) => Effect.Effect<void>
  /** A line for the person who looks at the service. */
  readonly say: (status: string) => Effect.Effect<void>
}

/** A file that exists while the device is connected, with the process id. Its directory has to be writable from the start. */
const readyFile = Effect.fnUntraced(function*(file: string) {
  const fs = yield* FileSystem.FileSystem
  const path = (yield* Path.Path).resolve(file)
  const { own } = yield* Processes
  // A reader sees the file whole or not at all.
  const unfinished = `${path}.${own}`
  const write = Effect.andThen(
    fs.writeFileString(unfinished, `${own}\n`, { mode: 0o644 }),
    fs.rename(unfinished, path)
  )
  const remove = Effect.andThen(fs.remove(unfinished, { force: true }), fs.remove(path, { force: true }))
  yield* Effect.mapError(Effect.andThen(write, remove), () =>
    new CommandFailed({
      exit: "settings",
      error: "ReadyFileUnusable",
      problem: `the readiness file ${field(path)} cannot be written: check its directory`
    }))
  yield* Effect.addFinalizer(() => Effect.ignore(remove))
  let there = false
  return (ready: boolean) =>
    Effect.suspend(() => {
      if (ready === there) return Effect.void
      there = ready
      return Effect.ignore(ready ? write : remove, { log: "Error", message: "readiness file" })
    })
})

const variable = (name: string) => Effect.orElseSucceed(Config.option(Config.NonEmptyString(name)), Option.none)

/** Half the time within which systemd wants to hear; none where it does not want to. */
const watchdogInterval = Effect.gen(function*() {
  const microseconds = Number(Option.getOrElse(yield* variable("WATCHDOG_USEC"), () => ""))
  const pid = Option.getOrElse(yield* variable("WATCHDOG_PID"), () => "")
  const { own } = yield* Processes
  const isMeant = pid === "" || pid === String(own)
  return isMeant && Number.isFinite(microseconds) && microseconds >= 2000
    ? Option.some(Duration.millis(microseconds / 2000))
    : Option.none()
})

const maxMessages = 100

/** Sends messages to systemd, one after the other. */
const notifier = Effect.gen(function*() {
  const spawner = yield* ChildProcessSpawner
  const messages = yield* Queue.sliding<ReadonlyArray<string>>(maxMessages)
  let warned = false
  const warn = (problem: string) =>
    Effect.suspend(() => {
      if (warned) return Effect.void
      warned = true
      return Effect.logWarning("systemd cannot be told", problem)
    })
  const send = (assignments: ReadonlyArray<string>) =>
    spawner.exitCode(
      ChildProcess.make("systemd-notify", assignments, { stdin: "ignore", stdout: "ignore", stderr: "ignore" })
    ).pipe(
      Effect.timeout("5 seconds"),
      Effect.flatMap((code) => Number(code) === 0 ? Effect.void : warn(`systemd-notify ended with status ${code}`)),
      // One that a signal ended, as when the whole service is stopped, is no problem.
      Effect.catch((error) =>
        error._tag === "PlatformError" && error.reason._tag === "NotFound"
          ? warn("there is no command systemd-notify")
          : Effect.void
      )
    )
  yield* Effect.addFinalizer(() => send(["STOPPING=1", "STATUS=stopping"]))
  yield* Effect.forkScoped(Effect.forever(Effect.flatMap(Queue.take(messages), send)))
  const offer = (...assignments: ReadonlyArray<string>) => Effect.asVoid(Queue.offer(messages, assignments))
  const interval = yield* watchdogInterval
  if (Option.isSome(interval)) {
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(offer("WATCHDOG=1"), Effect.sleep(interval.value))))
  }
  return offer
})

/** Begins to tell; what was told is taken back when the scope closes. */
export const start = Effect.fnUntraced(function*(options: {
  readonly readyFile: Option.Option<string>
  /** systemd wants to be told. */
  readonly notified: boolean
}) {
  const setReady = Option.isSome(options.readyFile) ? yield* readyFile(options.readyFile.value) : () => Effect.void
  const notify = options.notified ? yield* notifier : () => Effect.void
  let started = false
  const told = (event: AgentEvent) =>
    Effect.suspend(() => {
      const readiness = readinessOf(event)
      if (readiness === undefined) return Effect.void
      const first = readiness.started && !started
      started ||= readiness.started
      return Effect.andThen(
        setReady(readiness.ready),
        notify(...(first ? ["READY=1"] : []), `STATUS=${readiness.status}`)
      )
    })
  return { told, say: (status) => notify(`STATUS=${status}`) } satisfies Supervision
})
