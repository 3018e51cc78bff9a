/**
 * Whether an address is one that only a private network has.
 */
import * as Effect from "effect/Effect"

const privateV4 = [
  /^127\./,
  /^10\./,
  /^192\.168\./,
  /^169\.254\./,
  /^172\.(1[6-9]|2\d|3[01])\./,
  /^100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./
]

/** Unknown for a name, which may have any address. Pure. */
export const isPrivate = (host: string): boolean | undefined => {
  const text = host.replace(/^\[|\]$/g, "").toLowerCase()
  const v4 = /^(?:::ffff:)?(\d{1,3}(?:\.\d{1,3}){3})$/.exec(text)?.[1]
  if (v4 !== undefined) return privateV4.some((range) => range.test(v4))
  if (text.includes(":")) return text === "::1" || /^f[cd]/.test(text) || /^fe[89ab]/.test(text)
  return text === "localhost" ? true : undefined
}

/** Gives the addresses of a name. */
export type Lookup = (name: string) => Effect.Effect<ReadonlyArray<string>, unknown>

const lookupWithin = "2 seconds"

/** The addresses of a host that are not private. None where its name has no address, or has none within 2 s. */
export const publicAddresses = (host: string, lookup: Lookup): Effect.Effect<ReadonlyArray<string>> => {
  const known = isPrivate(host)
  if (known !== undefined) return Effect.succeed(known ? [] : [host])
  return lookup(host).pipe(
    Effect.timeout(lookupWithin),
    Effect.map((addresses) => addresses.filter((address) => isPrivate(address) === false)),
    Effect.orElseSucceed(() => [])
  )
}

/** Warns where a runner can be reached at a public address. */
export const warn = (host: string, lookup: Lookup): Effect.Effect<void> =>
  Effect.flatMap(publicAddresses(host, lookup), (addresses) =>
    addresses.length === 0 ? Effect.void : Effect.logWarning(
      "the address of this runner is not private: runners talk to each other unauthenticated and in clear"
    ).pipe(Effect.annotateLogs({ host, addresses: addresses.join(" ") })))
