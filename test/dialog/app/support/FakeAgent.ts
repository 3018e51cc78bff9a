/**
 * A server that speaks to the page as DialogServer does, and that a test drives: it emits, keeps silent, breaks off.
 */
import { readFile } from "node:fs/promises"
import type { IncomingMessage, ServerResponse } from "node:http"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

/** An event as it goes over the wire. Anything is allowed, as the page has to cope with anything. */
export type Wire = Readonly<Record<string, unknown>>

const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'"
].join("; ")

const contentTypes: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8"
}

export interface FakeAgent {
  /** The page's address, with its token. */
  readonly url: string
  readonly origin: string
  readonly token: string
  /** Sends to every page, and to each that comes later. */
  readonly emit: (...events: ReadonlyArray<Wire>) => void
  /** Sends to the pages that read now, and to none that comes later. */
  readonly emitOnce: (...events: ReadonlyArray<Wire>) => void
  readonly check: (check: { readonly checking: boolean; readonly nextCheckAt: string | null }) => void
  /** What each new page gets first, from now on. */
  replay: ReadonlyArray<Wire>
  /** Breaks every stream off, and answers new ones with this status until it is undefined again. */
  readonly breakOff: (status: number | undefined) => void
  readonly readers: () => number
  readonly attending: () => number
  readonly requests: ReadonlyArray<string>
  answerTask: (summary: string) => readonly [number, unknown]
  /** The status of the answer to a decision on a call of a tool. */
  answerQuestion: (questionId: string, decision: string) => number
  readonly close: () => Promise<void>
}

/** Serves `files` (path without slash to file) and the endpoints of an agent on loopback. */
export const startFakeAgent = async (
  files: Readonly<Record<string, string>>,
  csp: string = policy
): Promise<FakeAgent> => {
  const token = "fake-token-of-forty-three-characters-000000"
  const streams = new Set<ServerResponse>()
  const attending = new Set<ServerResponse>()
  const requests: Array<string> = []
  let broken: number | undefined
  let count = 0
  const said = (name: string, value: unknown) => `event: ${name}\nid: ${++count}\ndata: ${JSON.stringify(value)}\n\n`

  const answer = (response: ServerResponse, status: number, body?: unknown) => {
    response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" })
    response.end(body === undefined ? undefined : JSON.stringify(body))
  }
  const hold = (response: ServerResponse, among: Set<ServerResponse>, first: string) => {
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" })
    response.write(first)
    among.add(response)
    response.on("close", () => among.delete(response))
  }
  const bodyOf = async (request: IncomingMessage): Promise<string> => {
    const pieces: Array<Buffer> = []
    for await (const piece of request) pieces.push(piece)
    return Buffer.concat(pieces).toString()
  }

  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const path = (request.url ?? "/").slice(1).split("?")[0] ?? ""
    const file = files[path]
    if (request.method === "GET" && file !== undefined) {
      response.writeHead(200, {
        "content-type": contentTypes[file.split(".").at(-1) ?? ""] ?? "text/plain",
        "content-security-policy": csp
      })
      response.end(await readFile(file))
      return
    }
    requests.push(`${request.method} ${path}`)
    if (request.headers.authorization !== `Bearer ${token}`) return answer(response, 401, { error: "Unauthorized" })
    switch (`${request.method} ${path.split("/")[0]}`) {
      case "GET events":
        if (broken !== undefined) return answer(response, broken)
        return hold(response, streams, agent.replay.map((event) => said("agent", event)).join("") + ": alive\n\n")
      case "GET attend":
        return hold(response, attending, ": alive\n\n")
      case "POST check-now":
        return answer(response, 204)
      case "POST tasks":
        return answer(response, ...agent.answerTask(JSON.parse(await bodyOf(request)).summary))
      case "POST tool-questions": {
        const [, questionId = "", decision = ""] = path.split("/")
        return answer(response, agent.answerQuestion(questionId, decision))
      }
      case "DELETE tasks":
        return answer(response, 202)
      default:
        return answer(response, 404, { error: "NotFound" })
    }
  }

  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  const origin = `http://127.0.0.1:${port}`
  const tell = (text: string) => {
    for (const stream of streams) stream.write(text)
  }

  const agent: FakeAgent = {
    url: `${origin}/#token=${token}`,
    origin,
    token,
    replay: [],
    requests,
    emit: (...events) => {
      agent.replay = [...agent.replay, ...events]
      agent.emitOnce(...events)
    },
    emitOnce: (...events) => {
      for (const event of events) tell(said("agent", event))
    },
    check: (check) => tell(said("check", check)),
    breakOff: (status) => {
      broken = status
      if (status === undefined) return
      for (const stream of streams) stream.destroy()
    },
    readers: () => streams.size,
    attending: () => attending.size,
    answerQuestion: () => 204,
    answerTask: (summary) => [202, { taskId: `task-${summary.length}`, runId: "run-1" }],
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
  return agent
}
