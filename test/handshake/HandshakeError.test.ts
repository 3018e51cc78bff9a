import { assert, describe, it } from "@effect/vitest"
import { adviceOn } from "../../src/advice/ErrorCatalogue.ts"
import { OriginNotAllowed } from "../../src/handshake/HandshakeError.ts"

describe("HandshakeError", () => {
  it("G10: a refused Origin is told to the letter, with the gateway's setting, ours, and the command", () => {
    const error = new OriginNotAllowed({ origin: "https://agent.example:8443" })
    assert.include(error.message, "https://agent.example:8443")
    const told = adviceOn(error)
    assert.include(told?.action, "OPENCLAW_GATEWAY_ORIGIN")
    // The setting is a list: a bare origin would replace it by a text.
    assert.strictEqual(
      told?.command,
      'openclaw config set gateway.controlUi.allowedOrigins \'["https://agent.example:8443","<those already there>"]\''
    )
  })

  it("G10: a gateway that misses an Origin is answered with the client id that needs none", () => {
    assert.include(adviceOn(new OriginNotAllowed({}))?.action, "gateway-client")
  })
})
