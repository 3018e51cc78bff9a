/**
 * The floor: `ws`, `JSON.parse` and `node:crypto`. It does what a connection needs and nothing else: it signs the challenge,
 * gives each answer to its request, fails a refused request, and gives hello-ok to its user. It checks no frame, has no
 * deadline, and does not reconnect.
 */
import { createHash, generateKeyPairSync, sign } from "node:crypto"
import { WebSocket } from "ws"
import { type Client, type Payload, scopes } from "./Client.ts"

interface Waiting {
  readonly resolve: (payload: unknown) => void
  readonly reject: (error: Error) => void
}

export const client: Client = {
  connect: (url) =>
    new Promise((resolve, reject) => {
      const { privateKey, publicKey } = generateKeyPairSync("ed25519")
      const rawKey = publicKey.export({ format: "der", type: "spki" }).subarray(-32)
      const deviceId = createHash("sha256").update(rawKey).digest("hex")
      const socket = new WebSocket(url, { perMessageDeflate: false })
      const waiting = new Map<string, Waiting>()
      let take: ((payload: Payload) => void) | undefined
      let nextId = 0
      const request = (method: string, params: object) =>
        new Promise<unknown>((resolve, reject) => {
          const id = String(++nextId)
          waiting.set(id, { resolve, reject })
          socket.send(JSON.stringify({ type: "req", id, method, params }))
        })
      const proof = (nonce: string) => {
        const signedAt = Date.now()
        const text = `v3|${deviceId}|gateway-client|backend|operator|${scopes.join(",")}|${signedAt}||${nonce}|linux|`
        const signature = sign(null, Buffer.from(text), privateKey).toString("base64url")
        return { id: deviceId, publicKey: rawKey.toString("base64url"), signature, signedAt, nonce }
      }
      const close = () =>
        new Promise<void>((closed) => {
          socket.on("close", () => closed())
          socket.close()
        })
      socket.on("error", reject)
      socket.on("message", (data) => {
        const frame = JSON.parse(String(data))
        if (frame.type === "res") {
          const own = waiting.get(frame.id)
          waiting.delete(frame.id)
          if (frame.ok) own?.resolve(frame.payload)
          else own?.reject(new Error(frame.error?.message))
        } else if (frame.event === "connect.challenge") {
          request("connect", {
            minProtocol: 3,
            maxProtocol: 4,
            client: { id: "gateway-client", version: "1", platform: "linux", mode: "backend" },
            role: "operator",
            scopes,
            device: proof(frame.payload.nonce)
          }).then((hello) => resolve({ hello, request, onEvent: (taker) => void (take = taker), close }), reject)
        } else if (frame.event === "agent") take?.(frame.payload)
      })
    })
}
