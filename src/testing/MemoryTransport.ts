/**
 * A transport that joins a client to a `DevGateway` of the same program, without a socket.
 *
 * Both sides then run on one `Clock`, so that under `TestClock` hours of outages pass in milliseconds. Delivery is
 * synchronous and in order, which is the strictest order that a client can meet. What clients send while the gateway delivers
 * reaches it in the microtask after that: no socket interrupts its server.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { DevGateway } from "../devgateway/DevGateway.ts"
import { recognise } from "../link/FrontDoor.ts"
import { FileNotGiven, LinkError, UpgradeRejected } from "../link/LinkError.ts"
import type { Link, LinkHandler, Target } from "../link/Transport.ts"
import { Transport } from "../link/Transport.ts"

/** Joins every dial to the `DevGateway` of the context, whatever the URL says. TLS and headers are ignored. */
export const layer: Layer.Layer<Transport, never, DevGateway> = Layer.effect(
  Transport,
  Effect.map(DevGateway, (gateway) => {
    const turn = makeTurn()
    return Transport.of({
      dial: Effect.fnUntraced(function*(target: Target, handler: LinkHandler) {
        const refusal = gateway.upgrade({})
        if (refusal?.status === 0) {
          return yield* new LinkError({ reason: "Unreachable", phase: "dial", errno: "ECONNREFUSED" })
        }
        if (refusal !== undefined) {
          const reason = recognise({ ...refusal, headers: {}, location: undefined }, target.url)
          return yield* new UpgradeRejected({ ...refusal, reason })
        }
        return yield* Effect.acquireRelease(
          Effect.sync(() => join(gateway, turn, target, handler)),
          (joined) => Effect.sync(joined.leave)
        )
      }),
      fetch: (_, path, maxBytes) =>
        Effect.suspend(() => {
          const { content, status } = gateway.file(path)
          if (status !== 200) return Effect.fail(new FileNotGiven({ reason: "Refused", status }))
          return content.length > maxBytes
            ? Effect.fail(new FileNotGiven({ reason: "TooLarge" }))
            : Effect.succeed(content)
        })
    })
  })
)

/** Whose turn it is: what clients send during a delivery waits for its end, and what they send after that waits behind it. */
interface Turn {
  readonly deliver: (act: () => void) => void
  readonly send: (act: () => void) => void
  /** The end of a link goes behind what was sent, and interrupts nothing: it asks for no answer. */
  readonly leave: (act: () => void) => void
}

const makeTurn = (): Turn => {
  let delivering = false
  let waiting: Array<() => void> = []
  const flush = () => {
    const acts = waiting
    waiting = []
    for (const act of acts) act()
  }
  return {
    deliver: (act) => {
      const outermost = !delivering
      delivering = true
      try {
        act()
      } finally {
        if (outermost) delivering = false
      }
    },
    send: (act) => {
      if (!delivering && waiting.length === 0) return act()
      if (waiting.length === 0) queueMicrotask(flush)
      waiting.push(act)
    },
    leave: (act) => {
      if (waiting.length === 0) act()
      else waiting.push(act)
    }
  }
}

const join = (
  gateway: DevGateway["Service"],
  turn: Turn,
  target: Target,
  handler: LinkHandler
): Link & { readonly leave: () => void } => {
  let open = true
  let reading = true
  /** What came while reading was paused, as in a socket's buffer: messages, and behind them the end of the link. */
  const unread: Array<() => void> = []
  const deliver = (act: () => void) => {
    if (!open) return
    if (reading) turn.deliver(act)
    else unread.push(act)
  }
  const peer = gateway.accept({
    remote: true,
    ...(target.origin === undefined ? {} : { headers: { origin: target.origin } }),
    sendUnsafe: (text) => deliver(() => handler.onText(text)),
    sendBinaryUnsafe: () => deliver(() => handler.onText("")),
    close: (closeCode, closeReason) =>
      deliver(() => {
        open = false
        handler.onClose(new LinkError({ reason: "Closed", phase: "session", closeCode, closeReason }))
      })
  })
  const leave = () => {
    if (!open) return
    open = false
    turn.leave(() => peer.onClose())
  }
  return {
    sendUnsafe: (text) => {
      if (!open) return false
      // True even if the gateway refuses and closes before this returns: the text was handed over.
      turn.send(() => peer.onText(text))
      return true
    },
    closeUnsafe: (closeCode, closeReason) => {
      if (!open) return
      leave()
      handler.onClose(new LinkError({ reason: "Closed", phase: "session", closeCode, closeReason }))
    },
    pause: () => {
      reading = false
    },
    resume: () => {
      reading = true
      // A delivered message may pause the reading again, or end the link.
      const next = () => open && reading ? unread.shift() : undefined
      for (let act = next(); act !== undefined; act = next()) turn.deliver(act)
    },
    leave
  }
}
