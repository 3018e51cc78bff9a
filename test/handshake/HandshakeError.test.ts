import { assert, describe, it } from "@effect/vitest"
import { lookup } from "../../src/advice/ErrorCatalogue.ts"
import { OriginNotAllowed } from "../../src/handshake/HandshakeError.ts"

describe("HandshakeError", () => {
  it("G10: a refused Origin is told to the letter, with the gateway's setting, ours, and the command", () => {
    const { message } = new OriginNotAllowed({ origin: "https://agent.example:8443" })
    for (
      const told of ['"https://agent.example:8443"', "gateway.controlUi.allowedOrigins", "OPENCLAW_GATEWAY_ORIGIN"]
    ) {
      assert.include(message, told)
    }
    // The setting is a list: a bare origin would replace it by a text.
    assert.include(
      lookup("OriginNotAllowed")?.command ?? "",
      'openclaw config set gateway.controlUi.allowedOrigins \'["<origin>"'
    )
  })

  it("G10: a gateway that misses an Origin is answered with the client id that needs none", () => {
    assert.include(new OriginNotAllowed({}).message, "gateway-client")
  })
})
