import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Listing, Request, Rights } from "../../src/cli/DeviceRequest.ts"
import * as DeviceRequest from "../../src/cli/DeviceRequest.ts"
import { allLines, requestLines } from "../../src/cli/DeviceText.ts"
import { plain } from "../../src/cli/EventText.ts"
import { covers, knownScopes } from "../../src/protocol/Connect.ts"

const deviceA = "a".repeat(63)
const first = `${deviceA}1`
const second = `${deviceA}2`

const request = (over: Partial<Request> = {}): Request => ({
  about: "pairing",
  deviceId: first,
  requestId: "one",
  name: "agent@host",
  platform: "linux",
  roles: ["operator"],
  names: ["operator.read"],
  remoteIp: "10.1.2.3",
  askedAtMs: 1_795_765_288_116,
  ...over
})

const listed = (...requests: ReadonlyArray<Request>): Listing => ({ requests, approved: [] })

const Asked = Schema.Struct({
  roles: Schema.Array(Schema.Literals(["operator", "node"])),
  names: Schema.Array(Schema.Literals(knownScopes))
})

describe("which request a word means", () => {
  const listing: Listing = {
    requests: [
      request(),
      request({ deviceId: second, requestId: "two" }),
      request({ about: "tools", requestId: "three" })
    ],
    approved: []
  }

  it("a request id, or the only request of a device", () => {
    const found = (word: string) => Result.map(DeviceRequest.requestOf(listing, word), ({ requestId }) => requestId)
    assert.deepStrictEqual(found("one"), Result.succeed("one"))
    assert.deepStrictEqual(found("three"), Result.succeed("three"))
    assert.deepStrictEqual(found(second), Result.succeed("two"))
    assert.deepStrictEqual(found("four"), Result.fail({ _tag: "Unknown" }))
  })

  it("a device with two requests, and the beginning of several ids, mean none", () => {
    for (const [word, count] of [[first, 2], [deviceA, 3], [deviceA.slice(0, 8), 3]] as const) {
      const found = DeviceRequest.requestOf(listing, word)
      assert.isTrue(Result.isFailure(found) && found.failure._tag === "Several" && found.failure.among.length === count)
    }
    assert.deepStrictEqual(DeviceRequest.requestOf(listing, deviceA.slice(0, 7)), Result.fail({ _tag: "Unknown" }))
  })

  it("a device is named by its id, by the beginning of it, or by a request of it", () => {
    for (const word of [first, "one", "three"]) {
      assert.deepStrictEqual(DeviceRequest.deviceOf(listing, word), Result.succeed(first))
    }
    assert.isTrue(Result.isFailure(DeviceRequest.deviceOf(listing, deviceA)))
  })
})

describe("what a request may be approved for", () => {
  it("B14: the same request, or a later one of the same device, for no more than was shown", () => {
    const shown = request()
    const verdict = (...now: ReadonlyArray<Request>) => DeviceRequest.verdict(shown, shown, listed(...now), false)
    assert.deepStrictEqual(verdict(shown), { _tag: "Approve", requestId: "one" })
    assert.deepStrictEqual(verdict(request({ requestId: "later" })), { _tag: "Approve", requestId: "later" })
    assert.deepStrictEqual(verdict(), { _tag: "Gone" })
    assert.deepStrictEqual(verdict(request({ deviceId: second })), { _tag: "Gone" })
    assert.deepStrictEqual(verdict(request({ about: "tools" })), { _tag: "Gone" })
    assert.deepStrictEqual(verdict(request({ names: ["operator.admin"], roles: ["operator", "node"] })), {
      _tag: "Grown",
      requestId: "one",
      more: ["the role node", "operator.admin"]
    })
  })

  it.prop(
    "B14: nothing beyond what was agreed to is ever approved, unless more is accepted",
    [Asked, Asked, Schema.Boolean, Schema.Literals(["one", "later"])],
    ([agreed, asked, acceptMore, requestId]) => {
      const now = request({ ...asked, requestId })
      const verdict = DeviceRequest.verdict(request(agreed), agreed, listed(now), acceptMore)
      const within = asked.names.every((name) => covers(agreed.names, name))
        && asked.roles.every((role) => agreed.roles.includes(role))
      assert.strictEqual(verdict._tag, within || acceptMore ? "Approve" : "Grown")
      if (verdict._tag === "Approve") assert.strictEqual(verdict.requestId, requestId)
      if (verdict._tag === "Grown") assert.isNotEmpty(verdict.more)
    },
    { arbitrary: { seed: 1, runs: 300 } }
  )

  it.prop(
    "G06: the difference has each name that is asked exactly once",
    [Asked, Schema.UndefinedOr(Asked)],
    ([asked, approved]: readonly [Rights, Rights | undefined]) => {
      const { kept, more } = DeviceRequest.difference(asked, approved)
      assert.deepStrictEqual([...kept, ...more].toSorted(), asked.names.toSorted())
      for (const name of more) assert.isFalse(approved !== undefined && covers(approved.names, name))
    },
    { arbitrary: { seed: 1, runs: 300 } }
  )
})

describe("how it is shown", () => {
  const listing: Listing = {
    requests: [request({ names: ["operator.read", "operator.admin"], roles: ["operator", "node"] })],
    approved: [{
      about: "pairing",
      deviceId: first,
      name: "agent@host",
      platform: "linux",
      roles: ["operator"],
      names: ["operator.write"],
      connected: true,
      tokens: [{ role: "operator", scopes: ["operator.write"], revoked: false }, {
        role: "node",
        scopes: [],
        revoked: true
      }]
    }]
  }

  it("G06 G26: who asks, what is approved, and each thing that is new behind a plus", () => {
    const lines = allLines(first, listing, plain)
    assert.strictEqual(lines[0], `device    ${first}`)
    assert.match(lines[1] ?? "", /^code {6}(\w+ ?){8}$/)
    assert.deepStrictEqual(lines.slice(2), [
      "name      agent@host",
      "platform  linux",
      "paired    and connected",
      "has roles operator",
      "has       operator.write",
      "tokens    operator: operator.write",
      "          node: revoked",
      "request   one  asks for more than it has",
      "from      10.1.2.3",
      "asked at  2026-11-27T07:41:28.116Z by the gateway's clock",
      "roles     + node",
      "            operator",
      "scopes    + operator.admin",
      "            operator.read"
    ])
  })

  it("F45: no text of another device acts on a terminal or makes a line of its own", () => {
    const hostile = "x\n\u001b[2J\u202ey"
    const shown = requestLines(request({ names: [hostile], roles: [hostile], remoteIp: hostile }), listed(), plain)
    for (const line of shown) assert.notMatch(line, /[\p{Cc}\u202e]/u)
  })
})
