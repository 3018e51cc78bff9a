/**
 * A port for a server that opens later, in a process of its own, and may close and open again. Port 0 would give one of those that the
 * kernel also gives to outgoing connections, which may have taken it by then.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { randomInt } from "node:crypto"
import { createServer } from "node:net"

/** Below the ports of outgoing connections: Linux begins at 32768, others at 49152. */
const range = [12_000, 32_000] as const

class PortTaken extends Data.TaggedError("PortTaken")<{ readonly cause: unknown }> {}

const given = new Set<number>()

/** A port that nobody listens on, on any address of this machine, and that this process has not given before. */
export const freePort: Effect.Effect<number> = Effect.callback<number, PortTaken>((resume) => {
  const port = randomInt(...range)
  if (given.has(port)) return resume(Effect.fail(new PortTaken({ cause: "given" })))
  const server = createServer()
  server.once("error", (cause) => resume(Effect.fail(new PortTaken({ cause }))))
  server.listen(port, () => {
    given.add(port)
    server.close(() => resume(Effect.succeed(port)))
  })
}).pipe(Effect.retry({ times: 100 }), Effect.orDie)
