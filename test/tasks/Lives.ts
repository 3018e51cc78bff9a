/**
 * An agent process with everything around it that it can be cut off from: its link, frame by frame, and its journal, write
 * by write. A killed life does nothing more, to the gateway or to the disk; the next one finds what is there.
 */
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { Supervisor } from "../../src/connection/Supervisor.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import type { LinkHandler } from "../../src/link/Transport.ts"
import { Transport } from "../../src/link/Transport.ts"
import type { RunId, TaskEvent } from "../../src/tasks/Task.ts"
import type { JournalEntry } from "../../src/tasks/TaskJournal.ts"
import { TaskJournal, TaskJournalError } from "../../src/tasks/TaskJournal.ts"
import type { Options } from "../../src/tasks/TaskRunner.ts"
import { TaskRunner } from "../../src/tasks/TaskRunner.ts"
import * as MemoryTransport from "../../src/testing/MemoryTransport.ts"
import * as MemoryAgent from "../support/MemoryAgent.ts"

/** What survives a process. */
export interface Disk {
  readonly entries: Map<RunId, JournalEntry>
}

export type Moment = "sending" | "sent" | "receiving" | "received" | "putting" | "put" | "removing" | "removed"

/** Told of every moment, in order. `Die` ends the life there; `Cut` ends the link there. */
export type Fate = (moment: Moment) => "Die" | "Cut" | undefined

export interface Life {
  readonly runner: TaskRunner["Service"]
  /** The moment at which it was killed. */
  readonly diedAt: () => Moment | undefined
  /** Ends of tasks that were told while it lived. */
  readonly told: ReadonlyArray<TaskEvent>
  /** Takes it away, killed or not. */
  readonly bury: Effect.Effect<void>
}

const isEnd = ({ _tag }: TaskEvent) => _tag !== "Queued" && _tag !== "Sent" && _tag !== "Phase"

export const begin = Effect.fnUntraced(function*(disk: Disk, fate: Fate, options?: Options) {
  const gateway = yield* DevGateway
  let diedAt: Moment | undefined
  const links = new Set<() => void>()
  /** Whether what this moment is the beginning of, still happens. */
  const pass = (moment: Moment): boolean => {
    if (diedAt !== undefined) return false
    const verdict = fate(moment)
    if (verdict === "Die") diedAt = moment
    if (verdict === undefined) return true
    for (const cut of links) cut()
    return false
  }

  const transport = Layer.effect(
    Transport,
    Effect.map(Transport, (under) =>
      Transport.of({
        dial: Effect.fnUntraced(function*(target, handler: LinkHandler) {
          if (diedAt !== undefined) return yield* Effect.never
          const link = yield* under.dial(target, {
            onText: (text) => {
              if (!pass("receiving")) return
              handler.onText(text)
              pass("received")
            },
            onClose: (error) => {
              links.delete(cut)
              if (diedAt === undefined) handler.onClose(error)
            }
          })
          const cut = () => {
            links.delete(cut)
            link.closeUnsafe(1006, "")
          }
          links.add(cut)
          return {
            ...link,
            sendUnsafe: (text: string) => {
              // A frame that is lost on the way was handed over all the same.
              if (!pass("sending")) return true
              const sent = link.sendUnsafe(text)
              pass("sent")
              return sent
            }
          }
        })
      }))
  ).pipe(Layer.provide(MemoryTransport.layer), Layer.provide(Layer.succeed(DevGateway, gateway)))

  const gone = new TaskJournalError({ path: "disk", reason: "Unwritable" })
  /** A disk takes longer than it takes to hand an event to whoever listens. */
  const working = Effect.repeat(Effect.yieldNow, { times: 5 })
  const write = (before: Moment, after: Moment, commit: () => void) =>
    Effect.andThen(working, () => {
      if (!pass(before)) {
        // A link may be cut here too; the disk does not mind.
        if (diedAt !== undefined) return Effect.fail(gone)
      }
      commit()
      pass(after)
      return diedAt === undefined ? Effect.void : Effect.fail(gone)
    })
  const journal = Layer.mock(TaskJournal, {
    claim: () =>
      Effect.sync(() => [...disk.entries.values()].toSorted((left, right) => left.position - right.position)),
    put: (entry) => write("putting", "put", () => disk.entries.set(entry.runId, entry)),
    remove: (runId) => write("removing", "removed", () => disk.entries.delete(runId)),
    abortRequests: Effect.never
  })

  const scope = yield* Effect.flatMap(Scope.Scope, (parent) => Scope.fork(parent))
  const context = yield* Layer.buildWithScope(
    TaskRunner.layer(options).pipe(
      Layer.provide(Layer.fresh(Supervisor.layer)),
      Layer.provide(Layer.fresh(MemoryAgent.host(transport, { token: MemoryAgent.operatorToken }))),
      Layer.provide([journal, SecureRandom.layerWebCrypto])
    ),
    scope
  )
  const runner = Context.get(context, TaskRunner)
  const told: Array<TaskEvent> = []
  const events = yield* Queue.unbounded<TaskEvent>()
  const tell = (event: TaskEvent) => {
    if (diedAt === undefined && isEnd(event)) told.push(event)
  }
  yield* Effect.forkIn(
    Stream.runForEach(
      runner.events,
      (event) => Effect.andThen(Effect.sync(() => tell(event)), Queue.offer(events, event))
    ),
    scope,
    { startImmediately: true }
  )
  const life: Life = { runner, diedAt: () => diedAt, told, bury: Scope.close(scope, Exit.void) }
  return life
})

/** Lets time pass until something holds, at most an hour of it. */
export const until = Effect.fnUntraced(function*(holds: () => boolean) {
  yield* TestClock.adjust(0)
  for (let second = 0; second < 3600 && !holds(); second++) yield* TestClock.adjust("1 second")
  if (!holds()) return yield* Effect.die(new Error("it did not come to that within an hour"))
})
