import { assert, describe, it } from "@effect/vitest"
import { RequestRejected } from "../../src/connection/RequestError.ts"
import { RequestId } from "../../src/protocol/Connect.ts"
import type { Input } from "../../src/toolhost/PublishStep.ts"
import { idle, step } from "../../src/toolhost/PublishStep.ts"

const after = (inputs: ReadonlyArray<Input>) =>
  inputs.reduce<ReturnType<typeof step>>(([memory], input) => step(memory, input), [idle, { _tag: "Rest" }])
const pending = (id: string, nowMs: number): Input => ({ _tag: "Pending", requestId: RequestId.make(id), nowMs })

describe("PublishStep", () => {
  it("nothing that was offered is published, and nothing that was taken of some is asked about", () => {
    assert.deepStrictEqual(after([{ _tag: "Taken", offered: 0, tools: [] }])[0].status, {
      _tag: "Published",
      tools: []
    })
    assert.deepStrictEqual(after([{ _tag: "Taken", offered: 2, tools: [] }])[1], { _tag: "Inquire" })
  })

  it("waits longer after each refusal that may pass, and never shorter than the gateway says", () => {
    const refused = (retryAfterMs?: number): Input => ({
      _tag: "Failed",
      error: new RequestRejected({
        method: "node.pluginTools.update",
        code: "UNAVAILABLE",
        gatewayMessage: "later",
        ...(retryAfterMs === undefined ? {} : { retryAfterMs })
      })
    })
    const waits = [1, 2, 3, 9].map((count) => after(Array.from({ length: count }, () => refused()))[1])
    assert.deepStrictEqual(waits, [250, 500, 1000, 5000].map((afterMs) => ({ _tag: "Publish", afterMs })))
    assert.deepStrictEqual(after([refused(7000)])[1], { _tag: "Publish", afterMs: 7000 })
  })

  it("a wait keeps its beginning, counts the requests that replaced another, and is asked about less and less", () => {
    const [{ status }, soon] = after([pending("a", 1000), pending("b", 2000), pending("b", 3000), pending("a", 4000)])
    assert.deepStrictEqual(status, {
      _tag: "AwaitingApproval",
      approval: { requestId: RequestId.make("a"), sinceMs: 1000, lastAskedAtMs: 4000, replaced: 2 }
    })
    const [, later] = after([pending("a", 1000), pending("a", 301_000)])
    assert.deepStrictEqual([soon, later], [{ _tag: "Publish", afterMs: 5000 }, { _tag: "Publish", afterMs: 30_000 }])
  })
})
