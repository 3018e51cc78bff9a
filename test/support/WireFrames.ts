/**
 * Frames of a gateway as text, as small as a client accepts them. Shapes: test/vectors.
 */
import * as Frame from "../../src/protocol/Frame.ts"

export const nonce = "4c0f5d3e-5f0b-4a0b-9b60-3f6f0d5a7a01"

export const challenge = (payload: unknown = { nonce, ts: 1_000 }): string =>
  Frame.encodeEvent("connect.challenge", payload)

export const helloOk = (more: Readonly<Record<string, unknown>> = {}, id = "connect"): string =>
  Frame.encodeResponse(id, { type: "hello-ok", protocol: 4, server: { version: "2026.9.6", connId: "c1" }, ...more })

export const refusal = (error: Frame.ErrorShape, id = "connect"): string => Frame.encodeRefusal(id, error)

export const pairingRequired = (
  requestId: string,
  details: Readonly<Record<string, unknown>> = {}
): string =>
  refusal({
    code: "NOT_PAIRED",
    message: "pairing required",
    details: { code: "PAIRING_REQUIRED", requestId, reason: "not-paired", ...details }
  })

export const protocolMismatch = (expectedProtocol: number): string =>
  refusal({
    code: "INVALID_REQUEST",
    message: "protocol mismatch",
    details: { code: "PROTOCOL_MISMATCH", expectedProtocol }
  })

export const unavailable = (retryAfterMs: number): string =>
  refusal({
    code: "UNAVAILABLE",
    message: "gateway starting; retry shortly",
    retryable: true,
    retryAfterMs,
    details: { reason: "startup-sidecars" }
  })
