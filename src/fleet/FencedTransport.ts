/**
 * A transport for one activation of a device: it opens no link and sends no frame unless the activation may act, and its links end when
 * another activation has taken the device.
 *
 * What it does not reach: a frame that `ws` holds back because the socket is full leaves when the socket takes it, and one that is being sent
 * in the moment in which the process is stopped leaves when it goes on.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { LinkError } from "../link/LinkError.ts"
import { Transport } from "../link/Transport.ts"
import type { Activation } from "./Fence.ts"

/** A close code of the application's range, as the gateway sees it. */
const closeCode = 4000

/** How long a dial waits for a lease that is renewed late: as long as gateways are given for an answer. */
const patience = "10 seconds"

/** `under` for this activation. */
export const make = (under: Transport["Service"], activation: Activation): Transport["Service"] =>
  Transport.of({
    ...under,
    dial: Effect.fnUntraced(function*(target, handler) {
      // A refusal would be tried again after a pause that grows, long after the lease is renewed.
      const isReady = yield* Effect.timeoutOption(activation.ready, patience)
      if (!Option.getOrElse(isReady, () => false)) return yield* new LinkError({ reason: "Ended", phase: "dial" })
      const link = yield* under.dial({ ...target, sendsAtOnce: true }, handler)
      const end = () => link.closeUnsafe(closeCode, "superseded")
      const forget = activation.onLost(end)
      yield* Effect.addFinalizer(() => Effect.sync(forget))
      return {
        ...link,
        sendUnsafe: (text) => {
          if (activation.mayAct()) return link.sendUnsafe(text)
          end()
          return false
        }
      }
    })
  })
