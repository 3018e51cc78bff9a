import { assert, describe, it } from "@effect/vitest"
import { pageMessagesFor } from "../../../src/dialog/app/PageMessages.ts"
import { pageView } from "../../../src/dialog/app/PageView.ts"
import type { Input } from "./support/Inputs.ts"
import { inputs, moments } from "./support/Inputs.ts"
import { connected, deviceId, gateway, identity, notice, resolved } from "./support/States.ts"

const english = pageMessagesFor(["en"]).messages
const german = pageMessagesFor(["de"]).messages
const after = (...all: ReadonlyArray<Input>) => {
  const { state } = moments([identity, gateway, ...all]).at(-1) ?? assert.fail()
  return pageView(state, true, english)
}

describe("PageView", () => {
  it("says how the connection stands", () => {
    const line = (...all: ReadonlyArray<Input>) => {
      const { advice, line, mood } = after(...all)
      return [line, mood, advice]
    }
    const unreachable = {
      event: "waiting",
      cause: { error: "LinkError", message: "nothing answers at ws://x" },
      retryAt: ""
    }
    assert.deepStrictEqual(line(), ["Waiting for the agent…", "busy", ""])
    assert.deepStrictEqual(line({ event: "connecting", attempt: 1 }), ["Connecting to the gateway…", "busy", ""])
    assert.deepStrictEqual(line(unreachable), [
      "Gateway out of reach, trying again",
      "busy",
      "nothing answers at ws://x"
    ])
    assert.deepStrictEqual(line(unreachable, notice("required")), ["Waiting for approval", "busy", ""])
    assert.deepStrictEqual(line(connected), ["Connected", "good", ""])
    assert.deepStrictEqual(line({ ...connected, missingScopes: ["operator.write", "operator.talk"] }), [
      "Connected, without: operator.write operator.talk",
      "busy",
      ""
    ])
    assert.deepStrictEqual(line({ ...connected, missingScopes: ["operator.write"] }, connected), [
      "Connected",
      "good",
      ""
    ])
    assert.deepStrictEqual(line({ ...connected, suspension: "draining" }), [
      "Connected; the gateway is suspended and takes no tasks now",
      "busy",
      ""
    ])
    assert.deepStrictEqual(line({ ...connected, suspension: "draining" }, connected), ["Connected", "good", ""])
    assert.deepStrictEqual(line({ event: "paused" }), ["Paused", "bad", ""])
    assert.deepStrictEqual(line({ event: "halted", error: { error: "X", message: "m" } }), ["Not connected", "bad", ""])
    assert.deepStrictEqual(line({ event: "stopped" }), ["The agent has stopped", "bad", ""])
    assert.deepStrictEqual(line(connected, { act: "lost" })[0], "No contact with the agent, trying again…")
    assert.deepStrictEqual(line(connected, { act: "refused" }), [english.refused, "bad", english.refusedHelp])
    assert.deepStrictEqual(line(connected, { act: "lost" }, { act: "open" })[0], "Connected")
  })

  it("its title asks for somebody while the device cannot work", () => {
    assert.strictEqual(after(notice("required")).title, "Approval needed – OpenClaw device")
    assert.strictEqual(after(notice("required"), { act: "dismiss" }).title, "Approval needed – OpenClaw device")
    assert.strictEqual(after(notice("required"), resolved).title, "OpenClaw device")
    const more = notice("required", undefined, { connected: true })
    assert.strictEqual(after(connected, more).title, "OpenClaw device")
    assert.strictEqual(after(connected, more).line, "Connected")
  })

  it("says which device this is once it is known", () => {
    assert.deepStrictEqual(after().device, {
      words: "fiddle barley boulder eraser dolphin cymbal ocean cupcake",
      id: `${deviceId.slice(0, 16)}…`,
      gateway: "wss://gateway.example:18789/"
    })
    const [unknown] = moments([gateway])
    assert.isUndefined(pageView(unknown?.state ?? assert.fail(), true, english).device)
  })

  it.prop(
    "only an agent in contact that lacks nothing is good, in both languages alike; without a token nothing else is said",
    [inputs],
    ([all]) => {
      for (const { state } of moments(all)) {
        const view = pageView(state, true, english)
        const { connection, contact } = state
        assert.strictEqual(
          view.mood === "good",
          connection.event === "connected" && connection.missingScopes.length === 0 && contact !== "lost"
            && contact !== "refused"
        )
        const other = pageView(state, true, german)
        assert.deepStrictEqual([other.mood, other.advice === "", other.device], [
          view.mood,
          view.advice === "",
          view.device
        ])
        const { advice, line, mood } = pageView(state, false, english)
        assert.deepStrictEqual([line, mood, advice], [english.noToken, "bad", english.noTokenHelp])
      }
    },
    { arbitrary: { seed: 13, runs: 200 } }
  )
})
