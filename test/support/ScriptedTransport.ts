/**
 * A transport whose far end is the test: every dial is a generation that the test answers, frame by frame.
 *
 * Delivery is synchronous, so what a frame causes in the client's callbacks has happened when `send` returns.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type DialError, LinkError } from "../../src/link/LinkError.ts"
import type { InboundLimit, LinkHandler, Target } from "../../src/link/Transport.ts"
import { Transport } from "../../src/link/Transport.ts"

/** What the client sent, parsed. */
export interface SentFrame {
  readonly type: string
  readonly id: string
  readonly method: string
  readonly params: unknown
}

export interface ScriptedLink {
  /** Counts dials from 1. */
  readonly generation: number
  readonly target: Target
  /** Delivers a message, also to a client that has already left: what a late callback of an old socket would do. */
  readonly send: (text: string) => void
  /** Ends the link as the peer does. */
  readonly close: (closeCode: number, closeReason?: string) => void
  /** From now on the link takes nothing more and has not reported its end yet. */
  readonly stopTaking: () => void
  readonly sent: ReadonlyArray<string>
  /** Waits for the n-th message of the client, counted from 1. */
  readonly nthSent: (n: number) => Effect.Effect<SentFrame>
  /** Codes and reasons with which the client closed by itself. */
  readonly closedByClient: ReadonlyArray<readonly [code: number, reason: string]>
  /** How much the client let arrive, in order. */
  readonly limits: ReadonlyArray<InboundLimit>
  /** The client's scope has let go of the link. */
  readonly released: () => boolean
}

/** How a dial goes. `onOpen` runs before the dialling fiber does, as a challenge in the same packet would. */
export interface DialScript {
  readonly fail?: DialError
  readonly hang?: boolean
  readonly opensAfter?: Effect.Effect<void>
  readonly onOpen?: (link: ScriptedLink) => void
  readonly releaseTakes?: Effect.Effect<void>
}

export class ScriptedTransport extends Context.Service<ScriptedTransport, {
  /** How the next dials go, in order. Those after them open and say nothing. */
  readonly script: (...dials: ReadonlyArray<DialScript>) => void
  /** Waits for the n-th dial, counted from 1. */
  readonly nth: (generation: number) => Effect.Effect<ScriptedLink>
  readonly dials: () => number
  readonly open: () => number
  /** What happened to links, in order: `open 1`, `release 1`. */
  readonly history: ReadonlyArray<string>
}>()("test/support/ScriptedTransport") {
  static readonly layer: Layer.Layer<ScriptedTransport | Transport> = Layer.effectContext(Effect.sync(() => {
    const { scripted, transport } = make()
    return Context.make(ScriptedTransport, scripted).pipe(Context.add(Transport, transport))
  }))
}

const make = () => {
  const links: Array<ScriptedLink> = []
  const scripts: Array<DialScript> = []
  const history: Array<string> = []
  const waiters = new Set<() => void>()
  let opened = 0
  const changed = () => {
    for (const look of waiters) look()
  }
  const until = <A>(find: () => A | undefined) =>
    Effect.callback<A>((resume) => {
      const look = () => {
        const found = find()
        if (found === undefined) return
        waiters.delete(look)
        resume(Effect.succeed(found))
      }
      waiters.add(look)
      look()
      return Effect.sync(() => waiters.delete(look))
    })

  const dial = Effect.fnUntraced(function*(target: Target, handler: LinkHandler) {
    const script = scripts.shift() ?? {}
    const generation = links.length + 1
    const sent: Array<string> = []
    const closedByClient: Array<readonly [number, string]> = []
    const limits: Array<InboundLimit> = []
    const state = { taking: true, ended: false, released: false }
    const link: ScriptedLink = {
      generation,
      target,
      send: handler.onText,
      close: (closeCode, closeReason = "") => {
        state.taking = false
        state.ended = true
        handler.onClose(new LinkError({ reason: "Closed", phase: "session", closeCode, closeReason }))
      },
      stopTaking: () => {
        state.taking = false
      },
      sent,
      nthSent: (n) =>
        until(() => {
          const text = sent[n - 1]
          return text === undefined ? undefined : parse(text)
        }),
      closedByClient,
      limits,
      released: () => state.released
    }
    const client = {
      sendUnsafe: (text: string) => {
        if (!state.taking || state.released) return false
        sent.push(text)
        changed()
        return true
      },
      closeUnsafe: (code: number, reason: string) => void closedByClient.push([code, reason]),
      pause: () => {},
      resume: () => {},
      limitUnsafe: (limit: InboundLimit) => void limits.push(limit)
    }
    links.push(link)
    changed()
    if (script.fail !== undefined) return yield* script.fail
    if (script.hang === true) return yield* Effect.never
    if (script.opensAfter !== undefined) yield* script.opensAfter
    return yield* Effect.acquireRelease(
      Effect.sync(() => {
        opened++
        history.push(`open ${generation}`)
        script.onOpen?.(link)
        return client
      }),
      () =>
        Effect.andThen(
          script.releaseTakes ?? Effect.void,
          Effect.sync(() => {
            opened--
            state.released = true
            history.push(`release ${generation}`)
          })
        )
    )
  })

  return {
    transport: Transport.of({ dial }),
    scripted: ScriptedTransport.of({
      script: (...dials) => void scripts.push(...dials),
      nth: (generation) => until(() => links[generation - 1]),
      dials: () => links.length,
      open: () => opened,
      history
    })
  }
}

const parse = (text: string): SentFrame => JSON.parse(text)
