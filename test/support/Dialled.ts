/**
 * One dial of the transport, with what its handler was told.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import type { DialError, LinkError } from "../../src/link/LinkError.ts"
import * as TlsTrust from "../../src/link/TlsTrust.ts"
import type { Target } from "../../src/link/Transport.ts"
import { Transport } from "../../src/link/Transport.ts"

/** Dials and keeps what arrives. */
export const dialled = Effect.fnUntraced(function*(target: Target, phases: Array<"tls" | "upgrade"> = []) {
  const transport = yield* Transport
  const texts = yield* Queue.unbounded<string>()
  const ended = yield* Deferred.make<LinkError>()
  const closes: Array<LinkError> = []
  const link = yield* transport.dial(target, {
    onText: (text) => void Queue.offerUnsafe(texts, text),
    onClose: (error) => {
      closes.push(error)
      Deferred.doneUnsafe(ended, Effect.succeed(error))
    },
    onPhase: (phase) => void phases.push(phase)
  })
  return { link, texts, closes, ended: Deferred.await(ended) }
})

/** The reason why a dial does not succeed, and how far it came. */
export const refused = Effect.fnUntraced(function*(target: Target) {
  const phases: Array<"tls" | "upgrade"> = []
  const error: DialError = yield* Effect.flip(Effect.scoped(dialled(target, phases)))
  return { error, phases }
})

/** What a dial fails with, as `class/reason`, or `open`. */
export const outcome = (target: Target) =>
  Effect.map(
    Effect.result(Effect.scoped(dialled(target))),
    (result) => Result.isSuccess(result) ? "open" : `${result.failure._tag}/${result.failure.reason}`
  )

/** Trust as the settings make it. */
export const trust = (
  choice: { readonly pins?: ReadonlyArray<string>; readonly mode?: TlsTrust.TlsTrust["mode"]; readonly ca?: string }
): TlsTrust.TlsTrust => ({
  mode: choice.mode ?? (choice.pins === undefined ? "ca" : "pin"),
  pins: choice.pins === undefined ? [] : Result.getOrThrow(TlsTrust.parsePins(choice.pins.join())),
  authorities: choice.ca === undefined ? [] : Result.getOrThrow(TlsTrust.parseAuthorities(choice.ca))
})
