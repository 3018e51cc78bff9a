/**
 * Decides which requests the dialog server answers. Pure.
 *
 * The server listens on loopback, where every page of every browser on the machine can reach it. A foreign name that resolves
 * to this address shows in `Host`, a page of another origin in `Origin` and `Sec-Fetch-Site`; other users and programs of the
 * machine lack the token. No answer repeats anything of its request.
 *
 * A forwarded port has another number on the side of the browser, so the names of loopback are accepted with any port. No
 * browser resolves them by DNS.
 */
import * as Redacted from "effect/Redacted"
import type { Refusal } from "./Refusal.ts"

/** Header names in lower case. */
export type RequestHeaders = { readonly [name: string]: string | undefined }

export interface Access {
  /** Lets requests of our own page pass, and those of no page. `opens`: the request loads a file of the page. */
  readonly source: (headers: RequestHeaders, opens: boolean) => Refusal | undefined
  readonly token: (headers: RequestHeaders) => Refusal | undefined
}

const hostRefused: Refusal = {
  status: 403,
  error: "HostRefused",
  message:
    "this page answers only at localhost, 127.0.0.1 or [::1]; from another machine, forward a port to this one, for example"
    + " with ssh -L, and open the printed address there"
}
const originRefused: Refusal = {
  status: 403,
  error: "OriginRefused",
  message: "pages of other origins have no access"
}
const tokenRefused: Refusal = {
  status: 401,
  error: "TokenRefused",
  message: "the token is missing or not that of this run; open the URL that the running program printed"
}

const loopback = /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/i

export const make = (token: Redacted.Redacted): Access => {
  const expected = `Bearer ${Redacted.value(token)}`
  return {
    source: ({ host, origin, "sec-fetch-mode": mode, "sec-fetch-site": site }, opens) => {
      if (host === undefined || !loopback.test(host)) return hostRefused
      if (origin !== undefined && origin !== `http://${host}`) return originRefused
      // Any page may link here: the file that a link opens shows nothing without the token.
      if (site === undefined || site === "same-origin" || site === "none" || (opens && mode === "navigate")) {
        return undefined
      }
      return originRefused
    },
    token: ({ authorization }) => equal(authorization ?? "", expected) ? undefined : tokenRefused
  }
}

/** Takes the same time wherever two texts differ. The length of a token is no secret. */
const equal = (given: string, expected: string): boolean => {
  let difference = given.length ^ expected.length
  for (let at = 0; at < expected.length; at++) difference |= given.charCodeAt(at) ^ expected.charCodeAt(at)
  return difference === 0
}
