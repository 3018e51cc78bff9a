/**
 * The proxy that the environment names for a gateway.
 *
 * `HTTPS_PROXY` is for `wss:`, `HTTP_PROXY` for `ws:`, and `ALL_PROXY` for both; a value without a scheme is an `http:` proxy.
 * `NO_PROXY` is `*`, or a list with commas or blanks between its entries: a host, which stands for the hosts below it too, an
 * address, or a network like `192.0.2.0/24`. Names in lower case win. Those are curl's rules (its manual, "Environment"). As
 * other programs do, this one also takes names in upper case for all of them, `host:port`, `*.host` and any network of IPv6.
 */
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { BlockList, isIP } from "node:net"
import { withoutBrackets } from "./Endpoint.ts"
import { portOf } from "./LinkSocket.ts"

/** The text of a variable by its name in lower case; empty when it is not set. */
export type Variables = Readonly<Record<"all_proxy" | "http_proxy" | "https_proxy" | "no_proxy", string>>

const textOf = (name: string) =>
  Effect.map(
    Effect.all([Config.option(Config.String(name)), Config.option(Config.String(name.toUpperCase()))]),
    ([lower, upper]) => Option.getOrElse(Option.orElse(lower, () => upper), () => "").trim()
  )

/** The variables of this process as they are now, whatever settings are read from. */
export const variables: Effect.Effect<Variables> = Effect.suspend(() =>
  Effect.all({
    all_proxy: textOf("all_proxy"),
    http_proxy: textOf("http_proxy"),
    https_proxy: textOf("https_proxy"),
    no_proxy: textOf("no_proxy")
  }).pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv()),
    Effect.orDie // an environment has no text that is not one
  )
)

/** The URL of the proxy for a gateway at this URL, `undefined` for none. */
export const proxyFor = ({ all_proxy, http_proxy, https_proxy, no_proxy }: Variables, url: URL): string | undefined => {
  const named = (url.protocol === "wss:" ? https_proxy : http_proxy) || all_proxy
  if (named === "" || isExcepted(no_proxy, url)) return undefined
  return named.includes("://") ? named : `http://${named}`
}

const isExcepted = (noProxy: string, url: URL): boolean => {
  const host = withoutBrackets(url.hostname).replace(/\.$/, "").toLowerCase()
  return noProxy.split(/[\s,]+/).some((entry) => entry !== "" && matches(entry.toLowerCase(), host, portOf(url)))
}

const matches = (entry: string, host: string, port: number): boolean => {
  const [, inner, entryPort] = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(entry) ?? []
  if (inner !== undefined) return Number(entryPort) === port && matches(inner, host, port)
  if (entry === "*") return true
  if (entry.startsWith("*")) return host.endsWith(entry.slice(1))
  if (isIP(host) !== 0 && matchesAddress(entry, host)) return true
  const name = entry.replace(/\.$/, "")
  return name.startsWith(".") ? `.${host}`.endsWith(name) : isIP(host) === 0 && `.${host}`.endsWith(`.${name}`)
}

/** Whether an address is the entry's, or in its network. A prefix of no bits is none, as in curl. */
const matchesAddress = (entry: string, host: string): boolean => {
  const [address = "", prefix, ...more] = entry.split("/")
  const bare = withoutBrackets(address)
  const version = isIP(bare)
  if (version === 0 || more.length > 0) return false
  const family = version === 4 ? "ipv4" : "ipv6"
  const most = version === 4 ? 32 : 128
  const bits = prefix === undefined ? most : /^\d{1,3}$/.test(prefix) ? Number(prefix) || most : -1
  if (bits < 0 || bits > most) return false
  const network = new BlockList()
  network.addSubnet(bare, bits, family)
  return network.check(host, isIP(host) === 4 ? "ipv4" : "ipv6")
}
