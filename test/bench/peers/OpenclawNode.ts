/**
 * `openclaw-node`, a client by others. It keeps its device identity in a file and offers no other place, so each of its
 * connections writes one; it signs the second version of the proof text. On Node.js 22 and newer it uses the built-in
 * WebSocket.
 */
import type { EventEmitter } from "node:events"
import { type Client, type Payload, scopes } from "../Client.ts"

/** The part of its interface that is used here: its types are there only once the peers are installed. */
interface OpenClawClient extends EventEmitter {
  readonly connect: () => Promise<unknown>
  readonly disconnect: () => Promise<void>
  readonly request: (method: string, params?: object) => Promise<unknown>
}
interface Options {
  readonly url: string
  readonly scopes: ReadonlyArray<string>
  readonly deviceIdentityPath: string
}

const name: string = "openclaw-node"
const { OpenClawClient }: { readonly OpenClawClient: new(options: Options) => OpenClawClient } = await import(name)

let connections = 0

export const client: Client = {
  connect: async (url) => {
    const deviceIdentityPath = `${process.env["BENCH_FOLDER"]}/${process.pid}-${++connections}.json`
    const gateway = new OpenClawClient({ url, scopes, deviceIdentityPath })
    // Node.js ends a process whose emitter has no listener for `error`; `connect` and `request` reject by themselves.
    gateway.on("error", () => {})
    const hello = await gateway.connect()
    return {
      hello,
      request: (method, params) => gateway.request(method, params),
      onEvent: (take) =>
        void gateway.on("event", ({ event, payload }: { readonly event: string; readonly payload: Payload }) => {
          if (event === "agent") take(payload)
        }),
      close: async () => {
        const closed = new Promise<void>((resolve) => gateway.once("disconnected", () => resolve()))
        await gateway.disconnect()
        await closed
      }
    }
  }
}
