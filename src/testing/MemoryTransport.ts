/**
 * A transport that joins a client to a `DevGateway` of the same program, without a socket.
 *
 * Both sides then run on one `Clock`, so that under `TestClock` hours of outages pass in milliseconds. Delivery is
 * synchronous and in order, which is the strictest order that a client can meet.
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
  Effect.map(DevGateway, (gateway) =>
    Transport.of({
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
          Effect.sync(() => join(gateway, target, handler)),
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
    }))
)

const join = (
  gateway: DevGateway["Service"],
  target: Target,
  handler: LinkHandler
): Link & { readonly leave: () => void } => {
  let open = true
  let reading = true
  /** What came while reading was paused, as in a socket's buffer: messages, and behind them the end of the link. */
  const unread: Array<() => void> = []
  const deliver = (act: () => void) => {
    if (!open) return
    if (reading) act()
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
    peer.onClose()
  }
  return {
    sendUnsafe: (text) => {
      if (!open) return false
      // True even if the gateway refuses and closes before this returns: the text was handed over.
      peer.onText(text)
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
      for (let act = next(); act !== undefined; act = next()) act()
    },
    leave
  }
}
