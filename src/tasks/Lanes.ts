/**
 * The order of tasks in each session, and the names that gateways have for sessions. Pure.
 *
 * Tasks of one session key run one at a time, because releases treat a message to a busy session differently. A session has
 * many spellings: those of gateways with the usual settings are known, others are learned from history.
 */
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import { canonicalSessionKey, sameSession } from "./ChatEvent.ts"
import type { TaskId } from "./Task.ts"

/** A session as a task names it. */
export interface Address {
  readonly gatewayScope: string
  readonly sessionKey: string
}

interface Place {
  readonly taskId: TaskId
  readonly session: string
  /** Lower for earlier tasks, over all lanes. */
  readonly number: number
}

export interface Lanes {
  readonly count: number
  /** The tasks of each session in their order. The first one has its turn. */
  readonly places: HashMap.HashMap<string, ReadonlyArray<Place>>
  /** The gateway's own keys of sessions, by the canonical form of ours. */
  readonly aliases: HashMap.HashMap<string, string>
}

export const empty: Lanes = { count: 0, places: HashMap.empty(), aliases: HashMap.empty() }

/** Puts a task behind the others of its session. */
export const enter = (lanes: Lanes, address: Address, taskId: TaskId): Lanes => {
  const lane = laneOf(lanes, address)
  const place: Place = { taskId, session: sessionOf(address), number: lanes.count }
  return {
    ...lanes,
    count: lanes.count + 1,
    places: HashMap.set(lanes.places, lane, [...placesIn(lanes, lane), place])
  }
}

/** Takes a task out of its lane. */
export const leave = (lanes: Lanes, address: Address, taskId: TaskId): Lanes => {
  const lane = laneOf(lanes, address)
  return withPlaces(lanes, lane, placesIn(lanes, lane).filter((place) => place.taskId !== taskId))
}

const withPlaces = (lanes: Lanes, lane: string, places: ReadonlyArray<Place>): Lanes => ({
  ...lanes,
  places: places.length === 0 ? HashMap.remove(lanes.places, lane) : HashMap.set(lanes.places, lane, places)
})

/** The task of a session whose turn it is. */
export const first = (lanes: Lanes, address: Address): TaskId | undefined =>
  placesIn(lanes, laneOf(lanes, address))[0]?.taskId

/** Whether `told`, a session key from the gateway, names the session of `address`. */
export const isSession = (lanes: Lanes, address: Address, told: string | undefined): boolean =>
  told === undefined || told === address.sessionKey || sameSession(address.sessionKey, told)
  || Option.contains(HashMap.get(lanes.aliases, sessionOf(address)), spelled(told))

/**
 * Notes what the gateway calls a session. `renamed` when that is not a spelling of its key. The session's tasks move to the lane
 * of that name, in their order of arrival.
 */
export const learn = (
  lanes: Lanes,
  address: Address,
  told: string | undefined
): { readonly lanes: Lanes; readonly renamed: boolean } => {
  if (told === undefined || sameSession(address.sessionKey, told)) return { lanes, renamed: false }
  const session = sessionOf(address)
  const before = laneOf(lanes, address)
  const named: Lanes = { ...lanes, aliases: HashMap.set(lanes.aliases, session, spelled(told)) }
  const after = laneOf(named, address)
  if (after === before) return { lanes, renamed: true }
  const staying = placesIn(lanes, before).filter((place) => place.session !== session)
  const moving = placesIn(lanes, before).filter((place) => place.session === session)
  const together = [...placesIn(lanes, after), ...moving].toSorted((left, right) => left.number - right.number)
  return { lanes: withPlaces(withPlaces(named, before, staying), after, together), renamed: true }
}

const placesIn = ({ places }: Lanes, lane: string): ReadonlyArray<Place> =>
  Option.getOrElse(HashMap.get(places, lane), () => [])

/** One of a gateway's sessions, whatever it is called there. */
const sessionOf = ({ gatewayScope, sessionKey }: Address): string =>
  `${gatewayScope} ${canonicalSessionKey(sessionKey)}`

const spelled = (told: string): string => told.trim().toLowerCase()

const laneOf = ({ aliases }: Lanes, address: Address): string => {
  const session = sessionOf(address)
  return Option.match(HashMap.get(aliases, session), {
    onNone: () => session,
    onSome: (alias) => `${address.gatewayScope} ${alias}`
  })
}
