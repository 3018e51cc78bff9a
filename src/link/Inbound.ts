/**
 * What arrives on a link, held to a limit. Bytes are counted as the socket reads them, so that neither a single message nor a
 * flood of small ones, of pings or of HTTP answers gets past a limit on all of them.
 */
import type { Socket } from "node:net"
import * as FrameLimit from "../protocol/FrameLimit.ts"
import type { InboundLimit } from "./Transport.ts"

export interface Inbound {
  /** Counts what is read from a socket for as long as the limit is one on all of it. Call it once. */
  readonly watch: (socket: Socket) => void
  readonly limit: (limit: InboundLimit) => void
  /** How many bytes a message may have. */
  readonly messageBytes: () => number
  /** Stops the reading. Called by itself when more arrives than the limit says. */
  readonly refuse: () => void
}

/** `onExcess` is called once, from within the socket's callback. */
export const make = (onExcess: () => void): Inbound => {
  let left: number = FrameLimit.greetingLimitBytes
  let messageBytes = Number.POSITIVE_INFINITY
  let watched: Socket | undefined
  let refused = false
  const refuse = () => {
    if (refused) return
    refused = true
    watched?.off("data", count)
    watched?.pause()
    onExcess()
  }
  const count = (chunk: Uint8Array) => {
    left -= chunk.length
    if (left < 0) refuse()
  }
  return {
    watch: (socket) => {
      watched = socket
      socket.prependListener("data", count)
    },
    limit: (limit) => {
      watched?.off("data", count)
      if ("messageBytes" in limit) {
        messageBytes = limit.messageBytes // and no byte is counted: a session's frames come by the ten thousands
        return
      }
      left = limit.totalBytes
      messageBytes = Number.POSITIVE_INFINITY
      watched?.prependListener("data", count)
    },
    messageBytes: () => messageBytes,
    refuse
  }
}
