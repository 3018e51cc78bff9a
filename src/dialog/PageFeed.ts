/**
 * What a page receives, as server-sent events: every `AgentEvent`, and when the gateway is asked again.
 *
 * A page that is opened, loaded again or comes back first receives what holds now, with the tasks that ended last.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Sse from "effect/encoding/Sse"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { AgentEvents } from "../agent/AgentEvents.ts"
import * as Snapshot from "../agent/Snapshot.ts"
import type { ConnectionStatus } from "../connection/ConnectionStatus.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import type { AgentEvent } from "../protocol/AgentEvent.ts"
import { encodeAgentEvent, isoTime } from "../protocol/AgentEvent.ts"
import * as PageBroadcast from "./PageBroadcast.ts"

export class PageFeed extends Context.Service<PageFeed, {
  /** Events `agent` and `check`, and a comment every 15 seconds. `cut` is called when a page leaves too much unread. */
  readonly watch: (cut: () => void) => Stream.Stream<string>
  /** Comments only. While it is read, somebody is looking. */
  readonly attend: (cut: () => void) => Stream.Stream<string>
  /** Ends every stream. A later one has only what holds. */
  readonly end: Effect.Effect<void>
}>()("effect-openclaw/dialog/PageFeed") {
  static readonly layer: Layer.Layer<PageFeed, never, AgentEvents | Supervisor> = Layer.effect(
    this,
    Effect.suspend(() => make)
  )
}

const aliveEvery = "15 seconds"
const alive = ": alive\n\n"
const endedTasks = 20

const make = Effect.gen(function*() {
  const agent = yield* AgentEvents
  const supervisor = yield* Supervisor
  const snapshot = Snapshot.make({ endedTasks })
  /** An event is encoded once, for the pages that are there and for those that come. */
  const texts = new WeakMap<AgentEvent, string>()
  let count = 0
  let check = checkText(yield* supervisor.status)
  const watching = PageBroadcast.make(() => [
    ...snapshot.events().flatMap((event) => texts.get(event) ?? []),
    check
  ])
  const attending = PageBroadcast.make(() => [alive])
  const end = Effect.sync(() => {
    watching.end()
    attending.end()
  })
  yield* Effect.addFinalizer(() => end)

  const follow = <A>(stream: Stream.Stream<A>, what: string, f: (value: A) => void) =>
    stream.pipe(
      Stream.runForEach((value) => Effect.sync(() => f(value))),
      Effect.ignoreCause({ log: "Error", message: `the page no longer gets ${what}` }),
      Effect.forkScoped({ startImmediately: true })
    )
  yield* follow(agent.events, "events", (event) => {
    const text = message("agent", encodeAgentEvent(event), String(++count))
    texts.set(event, text)
    snapshot.note(event)
    watching.publish(text)
  })
  yield* follow(supervisor.changes, "checks", ({ status }) => {
    const next = checkText(status)
    if (next === check) return
    check = next
    watching.publish(next)
  })
  yield* follow(Stream.tick(aliveEvery), "comments", () => {
    watching.publish(alive)
    attending.publish(alive)
  })

  return PageFeed.of({
    watch: watching.subscribe,
    end,
    attend: (cut) => Stream.unwrap(Effect.as(supervisor.attend, attending.subscribe(cut)))
  })
})

const message = (event: string, data: string, id?: string): string =>
  Sse.encoder.write({ _tag: "Event", event, id, data })

const checkText = (status: ConnectionStatus): string =>
  message(
    "check",
    JSON.stringify(
      status._tag === "AwaitingApproval"
        ? { checking: status.checking, nextCheckAt: isoTime(status.nextCheckAtMs) }
        : { checking: false, nextCheckAt: null }
    )
  )
