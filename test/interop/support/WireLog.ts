import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { createPublicKey, verify } from "node:crypto"
import type { LinkHandler, Target } from "../../../src/link/Transport.ts"
import { Transport } from "../../../src/link/Transport.ts"
import * as TransportWs from "../../../src/link/TransportWs.ts"
import { GatewayError } from "./RawClient.ts"

// What a client of this library said and was told on the wire, seen from between it and its WebSocket. Like the raw
// client it builds the signed text by itself, so that a mistake in `src` cannot hide here.

const ConnectFrame = Schema.fromJsonString(Schema.Struct({
  method: Schema.Literal("connect"),
  params: Schema.Struct({
    minProtocol: Schema.Int,
    maxProtocol: Schema.Int,
    client: Schema.Struct({ id: Schema.String, mode: Schema.String, platform: Schema.String }),
    role: Schema.String,
    scopes: Schema.Array(Schema.String),
    auth: Schema.optionalKey(Schema.Struct({ token: Schema.optionalKey(Schema.String) })),
    device: Schema.Struct({
      id: Schema.String,
      publicKey: Schema.String,
      signature: Schema.String,
      signedAt: Schema.Int,
      nonce: Schema.String
    })
  })
}))
type ConnectParams = (typeof ConnectFrame.Type)["params"]
const decodeConnect = Schema.decodeUnknownOption(ConnectFrame)
const decodeRefusal = Schema.decodeUnknownOption(Schema.fromJsonString(
  Schema.Struct({ type: Schema.Literal("res"), ok: Schema.Literal(false), error: GatewayError })
))

/** One dial, from its socket to its end. */
export interface Attempt {
  /** The proof in the `connect` that was sent, found by verifying its signature; absent when none was sent. */
  readonly proof: "v2" | "v3" | "other" | undefined
  readonly scopes: ReadonlyArray<string> | undefined
  /** The first refusal. */
  readonly refusal: GatewayError | undefined
}

/** A text frame, as it went over the link. */
export interface Frame {
  readonly from: "client" | "gateway"
  readonly text: string
}

export interface WireLog {
  /** In the order of dialling; the last may still be under way. */
  readonly attempts: ReadonlyArray<Attempt>
  /** What was handed to the links and what came from them. */
  readonly frames: ReadonlyArray<Frame>
  readonly layer: Layer.Layer<Transport>
}

const proofOf = ({ auth, client, device, role, scopes }: ConnectParams): Attempt["proof"] => {
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: device.publicKey }, format: "jwk" })
  const fields = [device.id, client.id, client.mode, role, scopes.join(","), device.signedAt, auth?.token ?? ""]
  const v2 = ["v2", ...fields, device.nonce].join("|")
  const v3 = ["v3", ...fields, device.nonce, client.platform.toLowerCase(), ""].join("|")
  const signature = Buffer.from(device.signature, "base64url")
  const signs = (text: string) => verify(null, Buffer.from(text), key, signature)
  return signs(v3) ? "v3" : signs(v2) ? "v2" : "other"
}

/**
 * A WebSocket transport that writes down each dial. `alter` changes the text of the `connect` that goes out, after it was
 * written down, to provoke refusals that no typed setting can.
 */
export const make = (alter: (connect: string) => string = (connect) => connect): WireLog => {
  const attempts: Array<{ -readonly [Field in keyof Attempt]: Attempt[Field] }> = []
  const frames: Array<Frame> = []
  const layer = Layer.effect(
    Transport,
    Effect.map(Transport, (transport) =>
      Transport.of({
        dial: Effect.fnUntraced(function*(target: Target, handler: LinkHandler) {
          const attempt: (typeof attempts)[number] = { proof: undefined, scopes: undefined, refusal: undefined }
          attempts.push(attempt)
          const link = yield* transport.dial(target, {
            onClose: handler.onClose,
            onText: (text) => {
              frames.push({ from: "gateway", text })
              attempt.refusal ??= Option.getOrUndefined(decodeRefusal(text))?.error
              handler.onText(text)
            }
          })
          return {
            ...link,
            sendUnsafe: (text: string) => {
              frames.push({ from: "client", text })
              const connect = Option.getOrUndefined(decodeConnect(text))
              if (connect === undefined) return link.sendUnsafe(text)
              attempt.proof = proofOf(connect.params)
              attempt.scopes = connect.params.scopes
              return link.sendUnsafe(alter(text))
            }
          }
        })
      }))
  ).pipe(Layer.provide(TransportWs.layer))
  return { attempts, frames, layer }
}
