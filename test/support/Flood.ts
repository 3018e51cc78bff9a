/**
 * Writes without an end, as fast as the other side takes it.
 */
import type { Duplex } from "node:stream"

/** Writes `bytes` again and again until the socket is gone. */
export const flood = (socket: Duplex, bytes: string | Uint8Array): void => {
  const more = () => {
    while (!socket.destroyed && socket.write(bytes)) { /* until its buffer is full */ }
  }
  socket.on("drain", more)
  more()
}
