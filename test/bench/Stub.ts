/**
 * A gateway for measurements, in a process of its own: it says the challenge, takes every `connect`, answers each request, and
 * sends events when asked. It costs the same whoever connects.
 *
 * `node Stub.ts` prints its URL as the first line.
 */
import { readFileSync } from "node:fs"
import { type RawData, type WebSocket, WebSocketServer } from "ws"

/** As a real gateway of 2026.9.6 sends it: 15.5 kB, most of it the names of its methods. */
const hello: unknown = JSON.parse(readFileSync(new URL("../vectors/hello-2026.9.6.json", import.meta.url), "utf8"))

interface Request {
  readonly id: string
  readonly method: string
  readonly params?: { readonly count?: number; readonly bytes?: number; readonly everyMs?: number }
}

const event = (seq: number, bytes: number) => {
  const frame = {
    type: "event",
    event: "agent",
    seq,
    payload: { runId: "r", stream: "assistant", sentAt: 0, text: "" }
  }
  frame.payload.sentAt = performance.timeOrigin + performance.now()
  frame.payload.text = "x".repeat(Math.max(0, bytes - 130))
  return JSON.stringify(frame)
}

const flood = (socket: WebSocket, count: number, bytes: number): void => {
  for (let seq = 1; seq <= count; seq++) socket.send(event(seq, bytes))
}

const pace = (socket: WebSocket, count: number, bytes: number, everyMs: number): void => {
  let sent = 0
  const startMs = performance.now()
  // Timers are late by a millisecond or so; what is due is sent, so that the rate holds.
  const timer = setInterval(() => {
    const due = Math.min(count, Math.floor((performance.now() - startMs) / everyMs))
    while (sent < due) socket.send(event(++sent, bytes))
    if (sent >= count) clearInterval(timer)
  }, 1)
}

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false, maxPayload: 1 << 22 })
server.on("connection", (socket) => {
  socket.send(
    JSON.stringify({ type: "event", event: "connect.challenge", payload: { nonce: "n".repeat(32), ts: Date.now() } })
  )
  socket.on("message", (data: RawData) => {
    const { id, method, params: { bytes = 200, count = 0, everyMs } = {} }: Request = JSON.parse(String(data))
    const answer = (payload: unknown) => socket.send(JSON.stringify({ type: "res", id, ok: true, payload }))
    if (method === "connect") return answer(hello)
    answer({ ok: true })
    if (method === "bench.events") {
      if (everyMs === undefined) flood(socket, count, bytes)
      else pace(socket, count, bytes, everyMs)
    }
  })
})
server.on("listening", () => {
  const address = server.address()
  if (typeof address === "object" && address !== null) console.log(`ws://127.0.0.1:${address.port}`)
})
