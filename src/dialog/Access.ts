/**
 * Who may ask the dialog server what. Pure.
 *
 * The server listens on loopback, where every page of every browser on the machine can reach it. A name that some site made
 * resolve to this address shows in `Host`, a page of another origin in `Origin` and `Sec-Fetch-Site`; other users and programs
 * of the machine lack the token. Nothing of a request is repeated in an answer.
 */
import * as Redacted from "effect/Redacted"

/** Header names in lower case. */
export type RequestHeaders = { readonly [name: string]: string | undefined }

/** An answer that is no success. */
export interface Refusal {
  readonly status: 400 | 401 | 403 | 404 | 405 | 413 | 415 | 422 | 500
  /** A name for programs. */
  readonly error: string
  readonly message: string
}

export interface Access {
  /** Whether the request comes from a page of ours, or from no page. `opens` is one that loads a page by its address. */
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
      // A link on any page may lead here: what it opens holds nothing without the token.
      if (site === undefined || site === "same-origin" || site === "none" || (opens && mode === "navigate")) {
        return undefined
      }
      return originRefused
    },
    token: ({ authorization }) => equal(authorization ?? "", expected) ? undefined : tokenRefused
  }
}

/** In a time that tells nothing of where two texts differ; the length of a token is no secret. */
const equal = (given: string, expected: string): boolean => {
  let difference = given.length ^ expected.length
  for (let at = 0; at < expected.length; at++) difference |= given.charCodeAt(at) ^ expected.charCodeAt(at)
  return difference === 0
}
