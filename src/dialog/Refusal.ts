/**
 * Answers other than success: JSON for programs, a sentence on a page for a person whose browser opens an address.
 *
 * Nothing of the request is repeated.
 */
import * as HttpServerResponse from "effect/http/HttpServerResponse"

export interface Refusal {
  readonly status: 400 | 401 | 403 | 404 | 405 | 410 | 413 | 415 | 422 | 500
  /** A name for programs. */
  readonly error: string
  readonly reason?: string
  /** A sentence for people, without its capital letter and its full stop. */
  readonly message: string
  /** The methods that are allowed here. */
  readonly allowed?: ReadonlyArray<string>
}

export const toResponse = (refusal: Refusal, asPage: boolean): HttpServerResponse.HttpServerResponse => {
  const { allowed, error, message, reason, status } = refusal
  return HttpServerResponse.setHeaders(
    asPage
      ? HttpServerResponse.text(page(message), { status, contentType: "text/html; charset=utf-8" })
      : HttpServerResponse.jsonUnsafe({ error, ...(reason === undefined ? {} : { reason }), message }, { status }),
    {
      ...(status === 401 ? { "www-authenticate": "Bearer" } : {}),
      ...(allowed === undefined ? {} : { allow: allowed.join(", ") })
    }
  )
}

const page = (message: string): string =>
  `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>OpenClaw device</title>
<h1>OpenClaw device</h1>
<p>${escaped(message.charAt(0).toUpperCase() + message.slice(1))}.</p>
`

const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")
