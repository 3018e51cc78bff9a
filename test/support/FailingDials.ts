/**
 * A transport whose first dials fail on their way, as they do at a proxy or at a certificate; those after them go on.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import type { DialError } from "../../src/link/LinkError.ts"
import { Transport } from "../../src/link/Transport.ts"

export const layer = (dials: ReadonlyArray<DialError>): Layer.Layer<Transport, never, Transport> =>
  Layer.effect(
    Transport,
    Effect.gen(function*() {
      const inner = yield* Transport
      const left = yield* Ref.make(dials)
      return Transport.of({
        dial: (target, handler) =>
          Effect.flatMap(Ref.getAndUpdate(left, (errors) => errors.slice(1)), ([error]) => {
            if (error === undefined) return inner.dial(target, handler)
            if (error._tag.startsWith("Tls")) handler.onPhase?.("tls")
            return Effect.delay(Effect.fail(error), "40 millis")
          })
      })
    })
  )
