/**
 * A development gateway of our own, on loopback, found by the other commands through a private file.
 */
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { DevGateway } from "../devgateway/DevGateway.ts"
import * as DevGatewayWs from "../devgateway/DevGatewayWs.ts"
import * as Endpoint from "../link/Endpoint.ts"
import { as } from "./CommandError.ts"
import * as GatewayFile from "./GatewayFile.ts"
import { Processes } from "./Invocation.ts"

/** Starts a gateway that lives as long as the scope. Port 0 takes a free one. */
export const start = Effect.fn("EmbeddedGateway.start")(function*(
  file: string,
  options: { readonly port: number; readonly sharedToken?: Redacted.Redacted | undefined }
) {
  const random = yield* SecureRandom.SecureRandom
  const secret = Effect.map(random.randomBytes(32), (bytes) => Redacted.make(Base64Url.encode(bytes)))
  const sharedToken = options.sharedToken ?? (yield* secret)
  const operatorToken = yield* secret
  const context = yield* Layer.build(
    DevGateway.layer({ auth: { mode: "token", token: sharedToken }, operatorToken })
  )
  const url = yield* DevGatewayWs.serve({ port: options.port }).pipe(
    Effect.provideContext(context),
    Effect.mapError(as("unreachable"))
  )
  const running: GatewayFile.RunningGateway = {
    version: 1,
    pid: (yield* Processes).own,
    url: Endpoint.shown(url.href),
    sharedToken,
    operatorToken
  }
  yield* Effect.mapError(GatewayFile.publish(file, running), as("settings"))
  return running
})
