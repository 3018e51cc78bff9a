/** What all devices of a fleet tell, in a channel of the host's own; after a restart of the host it goes on where it was. */
import { Fleet } from "effect-openclaw/fleet/Fleet"
import { encodeFleetEvent, type Position, positionAfter } from "effect-openclaw/fleet/FleetEvent"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

/** The host's channel: a queue, a log, a socket. */
export interface Channel {
  /** What `send` kept last. */
  readonly position: Effect.Effect<Option.Option<Position>>
  readonly send: (line: string, position: Position) => Effect.Effect<void>
}

/** Until it is interrupted. */
export const feed = Effect.fnUntraced(function*(channel: Channel) {
  const fleet = yield* Fleet
  const kept = yield* channel.position
  let position = Option.isSome(kept) ? kept.value : yield* fleet.position
  yield* Stream.runForEach(fleet.eventsFrom({ after: position }), (told) => {
    position = positionAfter(position, told)
    return channel.send(encodeFleetEvent(told), position)
  })
})
