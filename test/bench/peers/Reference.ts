/** The reference client that OpenClaw publishes, used as its documentation says. */
import { GatewayClient } from "@openclaw/gateway-client"
import { createHash, createPublicKey, generateKeyPairSync, sign } from "node:crypto"
import { type Client, type Payload, scopes } from "../Client.ts"

const rawKey = (publicKeyPem: string) =>
  createPublicKey(publicKeyPem).export({ format: "der", type: "spki" }).subarray(-32)

export const client: Client = {
  connect: (url) =>
    new Promise((resolve, reject) => {
      const { privateKey, publicKey } = generateKeyPairSync("ed25519", {
        privateKeyEncoding: { format: "pem", type: "pkcs8" },
        publicKeyEncoding: { format: "pem", type: "spki" }
      })
      let take: ((payload: Payload) => void) | undefined
      const gateway = new GatewayClient({
        url,
        platform: "linux",
        clientVersion: "1",
        scopes: [...scopes],
        deviceIdentity: {
          deviceId: createHash("sha256").update(rawKey(publicKey)).digest("hex"),
          privateKeyPem: privateKey,
          publicKeyPem: publicKey
        },
        hostDeps: {
          signDevicePayload: (pem, payload) => sign(null, Buffer.from(payload, "utf8"), pem).toString("base64url"),
          publicKeyRawBase64UrlFromPem: (pem) => rawKey(pem).toString("base64url")
        },
        onConnectError: reject,
        onHelloOk: (hello) =>
          resolve({
            hello,
            request: (method, params) => gateway.request(method, params),
            onEvent: (taker) => void (take = taker),
            close: () => gateway.stopAndWait({ timeoutMs: 2000 })
          }),
        onEvent: ({ event, payload }) => {
          if (event === "agent") take?.(payload as Payload)
        }
      })
      gateway.start()
    })
}
