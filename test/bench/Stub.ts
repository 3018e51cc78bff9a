/**
 * A gateway for measurements, in a process of its own: it says the challenge, takes every `connect`, answers each request,
 * sends ticks as often as a real one, and events when asked. It costs the same whoever connects.
 *
 * `node Stub.ts` prints its URL as the first line. To any message of the process that started it, it answers with the time of
 * the next hello-ok, by `Clock.nowMs`.
 */
import { readFileSync } from "node:fs"
import { type RawData, WebSocket, WebSocketServer } from "ws"
import { nowMs } from "./Clock.ts"

const recorded = new URL("../vectors/hello-2026.9.6.json", import.meta.url)
/** As a real gateway of 2026.9.6 sends it: 15.5 kB, most of it the names of its methods. */
const hello: { readonly policy: { readonly tickIntervalMs: number } } = JSON.parse(readFileSync(recorded, "utf8"))

interface Request {
  readonly id: string
  readonly method: string
  readonly params?: {
    readonly count?: number
    readonly bytes?: number
    readonly everyMs?: number
    readonly idempotencyKey?: string
    readonly sessionKey?: string
    readonly message?: string
  }
}

const agentEvent = (seq: number, bytes: number) =>
  JSON.stringify({
    type: "event",
    event: "agent",
    seq,
    payload: { runId: "r", stream: "assistant", sentAtMs: nowMs(), text: "x".repeat(Math.max(0, bytes - 130)) }
  })

const flood = (socket: WebSocket, count: number, bytes: number): void => {
  for (let seq = 1; seq <= count; seq++) socket.send(agentEvent(seq, bytes))
}

const pace = (socket: WebSocket, count: number, bytes: number, everyMs: number): void => {
  let sent = 0
  const startMs = nowMs()
  // Timers are late by a millisecond or so; what is due is sent, so that the rate holds.
  const timer = setInterval(() => {
    const due = Math.min(count, Math.floor((nowMs() - startMs) / everyMs))
    while (sent < due) socket.send(agentEvent(++sent, bytes))
    if (sent >= count || socket.readyState !== WebSocket.OPEN) clearInterval(timer)
  }, 1)
}

/** A part of a reply as `chat` events tell it, of some 200 bytes: the text so far, which begins anew before it is longer. */
const chatDelta = (runId: string, sessionKey: string, seq: number) =>
  JSON.stringify({
    type: "event",
    event: "chat",
    seq,
    payload: {
      runId,
      sessionKey,
      seq,
      state: "delta",
      message: { role: "assistant", content: [{ type: "text", text: "x".repeat(1 + seq % 20) }] }
    }
  })

/** The reply to a task, in the last of the events that a real run sends. */
const reply = (runId: string, sessionKey: string) =>
  JSON.stringify({
    type: "event",
    event: "chat",
    seq: 1,
    payload: {
      runId,
      sessionKey,
      agentId: "main",
      seq: 1,
      state: "final",
      stopReason: "stop",
      message: { role: "assistant", content: [{ type: "text", text: "done" }], timestamp: Date.now() }
    }
  })

const accepted = new Set<WebSocket>()
const tick = () => {
  const text = JSON.stringify({ type: "event", event: "tick", payload: { ts: Date.now() } })
  for (const socket of accepted) socket.send(text)
}
const ticks = setInterval(tick, hello.policy.tickIntervalMs)

let asked = false
process.on("message", () => void (asked = true))

// Node.js lets 511 connections wait unless told; the system may allow fewer than these.
const server = new WebSocketServer({
  host: "127.0.0.1",
  port: 0,
  backlog: 16_384,
  perMessageDeflate: false,
  maxPayload: 1 << 22
})
server.on("connection", (socket) => {
  socket.send(
    JSON.stringify({ type: "event", event: "connect.challenge", payload: { nonce: "n".repeat(32), ts: Date.now() } })
  )
  socket.on("error", () => {})
  socket.on("close", () => accepted.delete(socket))
  socket.on("message", (data: RawData) => {
    const { id, method, params = {} }: Request = JSON.parse(String(data))
    const answer = (payload: unknown) => socket.send(JSON.stringify({ type: "res", id, ok: true, payload }))
    switch (method) {
      case "connect":
        answer(hello)
        accepted.add(socket)
        if (asked) process.send?.({ helloAtMs: nowMs() })
        asked = false
        return
      case "bench.events": {
        const { bytes = 200, count = 0, everyMs } = params
        answer({ ok: true })
        return everyMs === undefined ? flood(socket, count, bytes) : pace(socket, count, bytes, everyMs)
      }
      case "bench.tick":
        answer({ ok: true })
        tick()
        return void ticks.refresh()
      case "chat.send": {
        const { idempotencyKey = "", message = "", sessionKey = "" } = params
        answer({ runId: idempotencyKey, status: "started" })
        const deltas = Number(/^deltas (\d+)$/.exec(message)?.[1] ?? 0)
        for (let seq = 1; seq <= deltas; seq++) socket.send(chatDelta(idempotencyKey, sessionKey, seq))
        return socket.send(reply(idempotencyKey, sessionKey))
      }
      default:
        return answer({ ok: true })
    }
  })
})
server.on("listening", () => {
  const address = server.address()
  if (typeof address === "object" && address !== null) console.log(`ws://127.0.0.1:${address.port}`)
})
