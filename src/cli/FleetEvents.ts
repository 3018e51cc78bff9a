/**
 * `fleet events`: what the devices of all runners tell, as lines. It asks the database alone.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as EventReader from "../fleet/EventReader.ts"
import { encodeFleetEvent, type FleetEvent } from "../fleet/FleetEvent.ts"
import * as Registry from "../fleet/Registry.ts"
import { field, lengths } from "../protocol/OutsideText.ts"
import { render, type Style } from "./EventText.ts"
import { asFailure, onDatabase } from "./FleetCommands.ts"
import { serving } from "./Signals.ts"

/** Lines for a person, each with its time and its device; nothing for what says nothing new. */
const textOf = (told: FleetEvent, style: Style): string | undefined => {
  if (told._tag === "EventsLost") {
    const runner = field(told.runner, { maxLength: lengths.name })
    const why = told.reason === "Missing"
      ? "are not kept any more, or were dropped while the database was away"
      : "were written by a newer release, which this one cannot read"
    return style.attention(`${told.count} events of runner ${runner} ${why}`)
  }
  const { device, event } = told
  const text = render(event, style)
  const name = style.strong(field(device, { maxLength: lengths.name }))
  const time = style.dim(field(event.at.slice(11, 19), { maxLength: 8 }))
  return text?.split("\n").map((line) => `${time} ${name}  ${line}`).join("\n")
}

/** Until a signal, or until the reader has left. With `names`, of these devices alone; what was lost is always told. */
export const events = (names: ReadonlyArray<string>, since: Option.Option<Duration.Duration>) =>
  onDatabase((_own, output) =>
    Effect.gen(function*() {
      const reader = yield* EventReader.make
      // A stream would wait for a database that is not there.
      yield* reader.position
      yield* serving
      const known = new Set(yield* Registry.names)
      for (const name of names) {
        if (known.has(name)) continue
        yield* output.warn(`no device ${field(name, { maxLength: lengths.name })} is registered yet`)
      }
      if (!output.json) yield* output.warn("Events of the fleet follow. Ctrl-C ends this.")
      const wanted = new Set(names)
      const all = Option.match(since, {
        onNone: () => reader.events,
        onSome: (since) => reader.eventsFrom({ since })
      })
      yield* Stream.runForEach(all, (told) => {
        if (told._tag === "DeviceEvent" && wanted.size > 0 && !wanted.has(told.device)) return Effect.void
        const text = output.json ? encodeFleetEvent(told) : textOf(told, output.style)
        return text === undefined ? Effect.void : output.line(text)
      }).pipe(Effect.raceFirst(output.readerLeft))
    }).pipe(Effect.scoped, Effect.mapError(asFailure))
  )
