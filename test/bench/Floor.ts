/** The floor: `ws`, `JSON.parse` and `node:crypto`, and nothing checked. */
import { createHash, generateKeyPairSync, sign } from "node:crypto"
import { WebSocket } from "ws"
import type { Client, Payload } from "./Client.ts"

const scopes = ["operator.read", "operator.write"]

export const client: Client = {
  connect: (url) =>
    new Promise((resolve, reject) => {
      const { privateKey, publicKey } = generateKeyPairSync("ed25519")
      const rawKey = publicKey.export({ format: "der", type: "spki" }).subarray(-32)
      const deviceId = createHash("sha256").update(rawKey).digest("hex")
      const socket = new WebSocket(url, { perMessageDeflate: false })
      const waiting = new Map<string, (payload: unknown) => void>()
      let take: ((payload: Payload) => void) | undefined
      let nextId = 0
      const request = (method: string, params: object) =>
        new Promise<unknown>((answered) => {
          const id = String(++nextId)
          waiting.set(id, answered)
          socket.send(JSON.stringify({ type: "req", id, method, params }))
        })
      socket.on("error", reject)
      socket.on("message", (data) => {
        const frame = JSON.parse(String(data))
        if (frame.type === "res") {
          waiting.get(frame.id)?.(frame.payload)
          waiting.delete(frame.id)
        } else if (frame.event === "connect.challenge") {
          const signedAt = Date.now()
          const { nonce } = frame.payload
          const text = [
            "v3",
            deviceId,
            "gateway-client",
            "backend",
            "operator",
            scopes.join(","),
            signedAt,
            "",
            nonce,
            "linux",
            ""
          ]
            .join("|")
          void request("connect", {
            minProtocol: 3,
            maxProtocol: 4,
            client: { id: "gateway-client", version: "1", platform: "linux", mode: "backend" },
            role: "operator",
            scopes,
            device: {
              id: deviceId,
              publicKey: rawKey.toString("base64url"),
              signature: sign(null, Buffer.from(text), privateKey).toString("base64url"),
              signedAt,
              nonce
            }
          }).then(() =>
            resolve({
              request,
              onEvent: (taker) => void (take = taker),
              close: () =>
                new Promise((closed) => {
                  socket.on("close", () => closed())
                  socket.close()
                })
            })
          )
        } else take?.(frame.payload)
      })
    })
}
