import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Access from "../../src/dialog/Access.ts"
import { TaskNotFound, TaskRefused } from "../../src/tasks/TaskError.ts"
import * as LogLines from "../support/LogLines.ts"
import { ask, decodeRecord, open, raw, serve } from "./DialogServerClient.ts"

const errorOf = (body: string): unknown => decodeRecord(body)["error"]

describe("who may ask the dialog server what", () => {
  it.live("the page's files need no token, and carry the headers that keep others out", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      for (
        const [path, type] of [
          ["/", "text/html; charset=utf-8"],
          ["/?from=terminal", "text/html; charset=utf-8"],
          ["/page.js", "text/javascript; charset=utf-8"],
          ["/page.css", "text/css; charset=utf-8"],
          ["/openclaw-pairing-dialog.js", "text/javascript; charset=utf-8"]
        ] as const
      ) {
        const { headers, status } = yield* ask(served, path, { token: false })
        assert.deepStrictEqual([status, headers["content-type"]], [200, type], path)
        assert.strictEqual(
          headers["content-security-policy"],
          "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;"
            + " base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
        )
        assert.include(headers, {
          "cache-control": "no-store",
          "x-content-type-options": "nosniff",
          "referrer-policy": "no-referrer",
          "cross-origin-opener-policy": "same-origin",
          "cross-origin-resource-policy": "same-origin"
        })
        assert.isUndefined(headers["access-control-allow-origin"])
      }
      const head = yield* ask(served, "/page.js", { method: "HEAD", token: false })
      assert.deepStrictEqual([head.status, head.body, head.headers["content-length"]], [200, "", "9"])
    }))

  it.live("nothing but the files that were there at the start is served, however the path is written", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      for (
        const path of [
          "/../outside.js",
          "/%2e%2e/outside.js",
          "/..%2foutside.js",
          "/..%5coutside.js",
          "/deeper/../page.js",
          "/deeper/page.js",
          "/deeper",
          "/deeper/",
          "//page.js",
          "/./page.js",
          "/page.js/",
          "/page.js%00",
          "/page.js\\..\\..\\outside.js",
          "/%70age.js",
          "/index.html",
          "/.secret",
          "/notes.txt",
          "/PAGE.JS",
          "*"
        ]
      ) {
        const { body, headers, status } = yield* ask(served, path)
        assert.strictEqual(status, 404, path)
        assert.strictEqual(errorOf(body), "NotFound")
        assert.notInclude(body, "secret")
        assert.isUndefined(headers.location)
        assert.strictEqual((yield* ask(served, path, { token: false })).status, 401, path)
      }
    }))

  it.live("without the token of this run every request is refused, and unknown paths look like known ones", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const other = yield* serve()
      assert.notStrictEqual(served.token, other.token)
      const wrong = [
        {},
        { authorization: "" },
        { authorization: "Bearer " },
        { authorization: served.token },
        { authorization: `Basic ${served.token}` },
        { authorization: `bearer ${served.token}` },
        { authorization: `Bearer ${served.token}x` },
        { authorization: `Bearer ${served.token.slice(0, -1)}` },
        { authorization: `Bearer ${other.token}` },
        { authorization: `Bearer ${"A".repeat(43)}` }
      ]
      for (const headers of wrong) {
        for (
          const [method, path] of [
            ["GET", "/events"],
            ["GET", "/attend"],
            ["POST", "/check-now"],
            ["POST", "/tasks"],
            ["DELETE", "/tasks/0a1b2c3d"],
            ["GET", "/nothing"]
          ] as const
        ) {
          const answer = yield* ask(served, path, { method, headers, token: false, body: '{"summary":"x"}' })
          assert.strictEqual(answer.status, 401, `${method} ${path}`)
          assert.strictEqual(errorOf(answer.body), "TokenRefused")
          assert.strictEqual(answer.headers["www-authenticate"], "Bearer")
        }
      }
      // A token in the address does not count: addresses are logged and kept in histories.
      assert.strictEqual((yield* ask(served, `/events?token=${served.token}`, { token: false })).status, 401)
      assert.deepStrictEqual([served.checks(), served.summaries], [0, []])
    }))

  it.live("a foreign name that resolves to this address gets nothing, with or without the token", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const { port } = served
      for (
        const host of [
          "evil.example",
          `evil.example:${port}`,
          `127.0.0.1.evil.example:${port}`,
          `localhost.evil.example:${port}`,
          `evil.example#localhost:${port}`,
          `localhost:${port}@evil.example`,
          `evil-localhost:${port}`,
          `127.0.0.1:${port}:${port}`,
          `127.0.0.1:${port}x`,
          "localhost:",
          `[::1:${port}`,
          `0.0.0.0:${port}`,
          `127.0.0.2:${port}`,
          `LOCALHOST.evil:${port}`
        ]
      ) {
        for (const path of ["/", "/page.js", "/events", "/nothing"]) {
          const { body, status } = yield* ask(served, path, { headers: { host } })
          assert.strictEqual(status, 403, `${host} ${path}`)
          assert.strictEqual(errorOf(body), "HostRefused")
        }
      }
      // A host in the target of a request counts too.
      const nameless = yield* raw(port, "GET / HTTP/1.0\r\n\r\n")
      assert.match(yield* nameless.closed, /^HTTP\/1\.1 403 /)
      const { closed } = yield* raw(
        port,
        `GET http://evil.example/ HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`
      )
      assert.match(yield* closed, /^HTTP\/1\.1 403 /)
    }))

  it.live("over a forwarded port, whatever its number, the page and all that it asks for are answered at names of loopback", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      for (const name of ["127.0.0.1", "localhost", "[::1]"]) {
        for (const host of [name, `${name}:${served.port}`, `${name}:80`, `${name}:9000`, `${name}:65535`]) {
          assert.strictEqual((yield* ask(served, "/", { token: false, headers: { host } })).status, 200, host)
          const headers = { host, origin: `http://${host}`, "sec-fetch-site": "same-origin" }
          assert.strictEqual((yield* ask(served, "/check-now", { method: "POST", headers })).status, 204, host)
          assert.strictEqual((yield* ask(served, "/check-now", { method: "POST", headers, token: false })).status, 401)
          // Another program on this machine has another port.
          for (const origin of [`http://${name}:1`, "http://127.0.0.1:9001", "http://localhost", `https://${host}`]) {
            if (origin === `http://${host}`) continue
            const from = yield* ask(served, "/check-now", { method: "POST", headers: { ...headers, origin } })
            assert.strictEqual(from.status, 403, `${host} ${origin}`)
          }
        }
      }
    }))

  it.live("a browser that opens an address gets a refusal that a person reads; a program gets JSON", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
      for (
        const [path, host, status, says] of [
          ["/", "device.example:9000", 403, /answers only at localhost.*forward a port/],
          ["/nothing", `127.0.0.1:${served.port}`, 401, /open the URL that the running program printed/],
          ["/events", "localhost:9000", 401, /open the URL that the running program printed/]
        ] as const
      ) {
        const opened = yield* ask(served, path, { token: false, headers: { host, accept } })
        assert.deepStrictEqual([opened.status, opened.headers["content-type"]], [status, "text/html; charset=utf-8"])
        assert.match(opened.body, /^<!doctype html>\n<html lang="en">/)
        assert.match(opened.body, says)
        assert.match(opened.body, /<p>[A-Z][^<>]*\.<\/p>/)
        assert.notInclude(opened.body, host)
        assert.include(opened.headers["content-security-policy"], "default-src 'none'")
        for (const other of [{ accept: "*/*" }, { accept: "application/json" }, {}]) {
          const asked = yield* ask(served, path, { token: false, headers: { host, ...other } })
          assert.deepStrictEqual([asked.status, asked.headers["content-type"]], [status, "application/json"])
          assert.isString(errorOf(asked.body))
        }
      }
      const posted = yield* ask(served, "/tasks", { method: "POST", headers: { accept }, token: false })
      assert.strictEqual(posted.headers["content-type"], "application/json")
    }))

  it.live("a page of another origin can neither ask nor act, even if it knew the token; a link may open the page", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const own = `http://127.0.0.1:${served.port}`
      const foreign: ReadonlyArray<Readonly<Record<string, string>>> = [
        { origin: "https://evil.example" },
        { origin: "null" },
        { origin: `https://127.0.0.1:${served.port}` },
        { origin: `http://localhost:${served.port}` },
        { origin: `http://127.0.0.1:${served.port + 1}` },
        { "sec-fetch-site": "cross-site" },
        { "sec-fetch-site": "same-site" },
        { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" },
        { origin: own, "sec-fetch-site": "cross-site" }
      ]
      for (const headers of foreign) {
        const task = yield* ask(served, "/tasks", { method: "POST", headers, body: '{"summary":"x"}' })
        assert.strictEqual(task.status, 403)
        assert.strictEqual(errorOf(task.body), "OriginRefused")
        assert.strictEqual((yield* ask(served, "/check-now", { method: "POST", headers })).status, 403)
        assert.strictEqual((yield* ask(served, "/events", { headers })).status, 403)
        const preflight = yield* ask(served, "/tasks", { method: "OPTIONS", headers })
        assert.strictEqual(preflight.status, 403)
        assert.notMatch(Object.keys(preflight.headers).join(" "), /access-control/)
      }
      for (
        const headers of [
          { origin: own, "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors" },
          { "sec-fetch-site": "none" }
        ]
      ) {
        assert.strictEqual((yield* ask(served, "/check-now", { method: "POST", headers })).status, 204)
      }
      const link = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" }
      assert.strictEqual((yield* ask(served, "/", { headers: link, token: false })).status, 200)
      const script = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" }
      assert.strictEqual((yield* ask(served, "/page.js", { headers: script, token: false })).status, 403)
      assert.deepStrictEqual(served.summaries, [])
    }))

  it.live("each path has its methods, and says which", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      for (
        const [path, methods, allowed] of [
          ["/", ["POST", "PUT", "DELETE", "OPTIONS"], "GET, HEAD"],
          ["/events", ["HEAD", "POST", "OPTIONS"], "GET"],
          ["/attend", ["HEAD", "POST"], "GET"],
          ["/check-now", ["GET", "HEAD", "PUT"], "POST"],
          ["/tasks", ["GET", "OPTIONS", "DELETE"], "POST"],
          ["/tasks/0a1b2c3d", ["GET", "POST"], "DELETE"]
        ] as const
      ) {
        for (const method of methods) {
          const { headers, status } = yield* ask(served, path, { method })
          assert.deepStrictEqual([status, headers.allow], [405, allowed], `${method} ${path}`)
        }
      }
      assert.strictEqual(served.checks(), 0)
    }))

  it.live("an invalid or oversized task is refused before anything is done", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const post = (body: string, headers: Readonly<Record<string, string>> = {}) =>
        ask(served, "/tasks", { method: "POST", body, headers })
      for (const body of ["", "{", "[]", "null", '"text"', "{}", '{"summary":1}', '{"summary":null}']) {
        const { body: answer, status } = yield* post(body)
        assert.deepStrictEqual([status, errorOf(answer)], [400, "BodyInvalid"], body)
      }
      for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]) {
        assert.strictEqual((yield* post('{"summary":"x"}', { "content-type": type })).status, 415)
      }
      const huge = JSON.stringify({ summary: "x".repeat(600 * 1024) })
      for (const headers of [{}, { "transfer-encoding": "chunked" }]) {
        const { body, status } = yield* post(huge, headers)
        assert.deepStrictEqual([status, errorOf(body)], [413, "BodyTooLarge"])
      }
      assert.deepStrictEqual(served.summaries, [])
      const taken = yield* post('{"summary":"water the plants"}', { "content-type": "Application/JSON; charset=utf-8" })
      assert.strictEqual(taken.status, 202)
      assert.deepStrictEqual(decodeRecord(taken.body), { taskId: "0a1b2c3d", runId: "run-1" })
      assert.deepStrictEqual(served.summaries, ["water the plants"])
    }))

  it.live("a refused task is answered with its failure, and a task that is not open cannot be aborted", () =>
    Effect.gen(function*() {
      const aborted: Array<string> = []
      const served = yield* serve({
        tasks: {
          delegate: () => Effect.fail(new TaskRefused({ reason: "TooLarge", limit: 65_536 })),
          abort: (taskId) =>
            Effect.suspend(() => {
              aborted.push(taskId)
              return taskId === "gone" ? Effect.fail(new TaskNotFound({ taskId })) : Effect.succeed(taskId === "open")
            })
        }
      })
      const refused = yield* ask(served, "/tasks", { method: "POST", body: '{"summary":"x"}' })
      assert.strictEqual(refused.status, 422)
      assert.deepStrictEqual(decodeRecord(refused.body), {
        error: "TaskRefused",
        reason: "TooLarge",
        message: "task refused: its text is longer than 65536 bytes"
      })
      const end = (taskId: string) => ask(served, `/tasks/${taskId}`, { method: "DELETE" })
      assert.strictEqual((yield* end("open")).status, 202)
      assert.strictEqual((yield* end("over")).status, 404)
      assert.strictEqual((yield* end("gone")).status, 404)
      assert.strictEqual((yield* end("a%2Fb")).status, 404)
      assert.strictEqual((yield* end("x".repeat(65))).status, 404)
      assert.deepStrictEqual(aborted, ["open", "over", "gone"])
    }))

  it.live("G25: the token stands in no header, answer or log line, whatever goes wrong", () =>
    LogLines.kept((lines) =>
      Effect.gen(function*() {
        const served = yield* serve({ tasks: { delegate: () => Effect.die(new Error("broken")) } })
        const { token } = served
        const answers = [
          yield* ask(served, "/"),
          yield* ask(served, "/nothing"),
          yield* ask(served, `/nothing?token=${token}`),
          yield* ask(served, "/tasks", { method: "POST", body: '{"summary":"x"}' }),
          yield* ask(served, "/tasks", { method: "POST", body: `{"summary":${token}}` }),
          yield* ask(served, "/events", { token: `${token}x` }),
          yield* ask(served, "/events", { headers: { host: token } }),
          yield* ask(served, "/events", { headers: { origin: `http://${token}` } })
        ]
        assert.deepStrictEqual(answers.map(({ status }) => status), [200, 404, 404, 500, 400, 401, 403, 403])
        const stream = yield* open(served, "/events")
        yield* stream.next
        yield* stream.leave
        const bad = yield* raw(served.port, `BROKEN ${token}\r\n\r\n`)
        const said = yield* bad.closed
        yield* served.stop
        assert.isAbove(lines.length, 0, "the defect is logged")
        const shown = [
          ...answers.flatMap(({ body, headers }) => [body, JSON.stringify(headers)]),
          JSON.stringify(stream.headers),
          said,
          JSON.stringify(lines.map(({ annotations, message }) => [String(message), annotations]))
        ]
        for (const text of shown) assert.notInclude(text, token)
      }).pipe(Effect.provideService(References.MinimumLogLevel, "All"))
    ))

  it("the comparison looks at the whole token, whichever part of it is wrong", () => {
    const token = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
    const access = Access.make(Redacted.make(token))
    assert.isUndefined(access.token({ authorization: `Bearer ${token}` }))
    for (let at = 0; at < token.length; at++) {
      const wrong = `${token.slice(0, at)}-${token.slice(at + 1)}`
      assert.strictEqual(access.token({ authorization: `Bearer ${wrong}` })?.status, 401, wrong)
    }
  })
})
