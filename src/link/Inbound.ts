/**
 * What arrives on a link, held to a limit. Bytes are counted as the socket reads them, so that neither a single message nor a
 * flood of small ones, of pings or of HTTP answers gets past a limit on all of them.
 */
import type { Socket } from "node:net"
import * as FrameLimit from "../protocol/FrameLimit.ts"
import type { InboundLimit } from "./Transport.ts"

/** State of one link. */
export class Inbound {
  readonly #onExcess: () => void
  #left: number = FrameLimit.greetingLimitBytes
  #messageBytes = Number.POSITIVE_INFINITY
  #watched: Socket | undefined
  #count: ((chunk: Uint8Array) => void) | undefined
  #refused = false

  /** `onExcess` is called once, from within the socket's callback. */
  constructor(onExcess: () => void) {
    this.#onExcess = onExcess
  }

  /** Counts what is read from a socket for as long as the limit is one on all of it. Call it once. */
  watch(socket: Socket): void {
    this.#watched = socket
    this.#startCounting()
  }

  limit(limit: InboundLimit): void {
    this.#stopCounting()
    if ("messageBytes" in limit) {
      this.#messageBytes = limit.messageBytes // and no byte is counted: a session's frames come by the ten thousands
      return
    }
    this.#left = limit.totalBytes
    this.#messageBytes = Number.POSITIVE_INFINITY
    this.#startCounting()
  }

  /** How many bytes a message may have. */
  messageBytes(): number {
    return this.#messageBytes
  }

  /** Stops the reading. Called by itself when more arrives than the limit says. */
  refuse(): void {
    if (this.#refused) return
    this.#refused = true
    this.#stopCounting()
    this.#watched?.pause()
    this.#onExcess()
  }

  #startCounting(): void {
    this.#count = (chunk) => {
      this.#left -= chunk.length
      if (this.#left < 0) this.refuse()
    }
    this.#watched?.prependListener("data", this.#count)
  }

  #stopCounting(): void {
    if (this.#count !== undefined) this.#watched?.off("data", this.#count)
    this.#count = undefined
  }
}
