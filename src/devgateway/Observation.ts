/**
 * What a test sees of the gateway: counts, recorded frames, and waits for a state.
 */
import * as Effect from "effect/Effect"
import type { Link } from "./Link.ts"
import type { SurfaceRequest } from "./NodeBook.ts"
import type { NodeTool } from "./NodeTools.ts"
import type { PairedEntry, PendingEntry } from "./PairingBook.ts"

export interface Stats {
  /** Links that were offered, admitted or not. */
  readonly attempts: number
  readonly hellos: number
  /** By `details.code`, else by message without text of the client. */
  readonly refusals: ReadonlyMap<string, number>
  readonly openPeers: number
  /** Runs started, by idempotency key. */
  readonly runs: ReadonlyMap<string, number>
}

export interface GatewayState {
  readonly stats: Stats
  readonly pending: ReadonlyArray<PendingEntry>
  readonly paired: ReadonlyArray<PairedEntry>
  /** Requests to approve the commands of nodes. */
  readonly surfaces: ReadonlyArray<SurfaceRequest>
  /** The tools that nodes have published, as the agent has them. */
  readonly tools: ReadonlyArray<NodeTool>
}

export interface FrameRecord {
  /** Number of the link. */
  readonly connection: number
  readonly atMs: number
  /** As the gateway sees it. */
  readonly direction: "in" | "out"
  readonly text: string
}

export interface Observation {
  /** Counts a link that is offered, and gives its number. */
  readonly attempt: () => number
  readonly attempts: () => number
  readonly hello: () => void
  readonly refusal: (name: string) => void
  readonly recordFrame: (link: Link, direction: "in" | "out", text: string) => void
  /** Something that `awaitState` may wait for has changed. */
  readonly changed: () => void
  readonly stats: Effect.Effect<Stats>
  readonly frames: Effect.Effect<ReadonlyArray<FrameRecord>>
  readonly awaitState: (holds: (state: GatewayState) => boolean) => Effect.Effect<GatewayState>
}

const maxFrames = 10_000

export const make = (options: {
  readonly recordFrames: boolean
  readonly nowMs: () => number
  /** Read at every change, after the gateway is made. */
  readonly present: () => Pick<Stats, "openPeers" | "runs"> & Omit<GatewayState, "stats">
}): Observation => {
  const refusals = new Map<string, number>()
  const frames: Array<FrameRecord> = []
  const waiters = new Set<() => void>()
  let attempts = 0
  let hellos = 0

  const state = (): GatewayState => {
    const { openPeers, runs, ...present } = options.present()
    return { stats: { attempts, hellos, refusals: new Map(refusals), openPeers, runs: new Map(runs) }, ...present }
  }

  return {
    attempt: () => ++attempts,
    attempts: () => attempts,
    hello: () => {
      hellos++
    },
    refusal: (name) => void refusals.set(name, (refusals.get(name) ?? 0) + 1),
    recordFrame: (link, direction, text) => {
      if (!options.recordFrames) return
      if (frames.length === maxFrames) frames.shift()
      frames.push({ connection: link.number, atMs: options.nowMs(), direction, text })
    },
    changed: () => {
      for (const check of Array.from(waiters)) check()
    },
    stats: Effect.sync(() => state().stats),
    frames: Effect.sync(() => [...frames]),
    awaitState: (holds) =>
      Effect.callback<GatewayState>((resume) => {
        const check = () => {
          const present = state()
          if (!holds(present)) return
          waiters.delete(check)
          resume(Effect.as(Effect.yieldNow, present)) // never inside the callback of a link
        }
        waiters.add(check)
        check()
        return Effect.sync(() => waiters.delete(check))
      })
  }
}
