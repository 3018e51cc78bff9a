/**
 * Decides which requests the dialog server answers. Pure.
 *
 * The server listens on loopback, where every page of every browser on the machine can reach it. A foreign name that resolves
 * to this address shows in `Host`, a page of another origin in `Origin` and `Sec-Fetch-Site`; other users and programs of the
 * machine lack the token. No answer repeats anything of its request.
 */
import * as Redacted from "effect/Redacted"

/** Header names in lower case. */
export type RequestHeaders = { readonly [name: string]: string | undefined }

/** An answer other than success. */
export interface Refusal {
  readonly status: 400 | 401 | 403 | 404 | 405 | 413 | 415 | 422 | 500
  /** A name for programs. */
  readonly error: string
  readonly message: string
}

export interface Access {
  /** Lets requests of our own page pass, and those of no page. `opens`: the request loads a file of the page. */
  readonly source: (headers: RequestHeaders, opens: boolean) => Refusal | undefined
  readonly token: (headers: RequestHeaders) => Refusal | undefined
}

const hostRefused: Refusal = {
  status: 403,
  error: "HostRefused",
  message: "this server answers only to the address that it printed"
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

export const make = (port: number, token: Redacted.Redacted): Access => {
  const hosts = [`127.0.0.1:${port}`, `localhost:${port}`]
  const expected = `Bearer ${Redacted.value(token)}`
  return {
    source: ({ host, origin, "sec-fetch-mode": mode, "sec-fetch-site": site }, opens) => {
      if (host === undefined || !hosts.includes(host)) return hostRefused
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
