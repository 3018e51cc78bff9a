/**
 * The addresses of a name, as this machine finds them: its hosts file, its name servers.
 */
import * as Effect from "effect/Effect"
import * as Dns from "node:dns/promises"
import type { Lookup } from "./PrivateAddress.ts"

/** Of both families. */
export const lookup: Lookup = (name) =>
  Effect.map(
    Effect.tryPromise(() => Dns.lookup(name, { all: true })),
    (found) => found.map(({ address }) => address)
  )
