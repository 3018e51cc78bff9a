import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { createServer, type Socket } from "node:net"
import type { TlsPinMismatch, TlsUntrusted } from "../../src/link/TlsError.ts"
import type { Transport } from "../../src/link/Transport.ts"
import * as TransportWs from "../../src/link/TransportWs.ts"
import * as UpgradeHeader from "../../src/link/UpgradeHeader.ts"
import { dialled, outcome, refused, trust } from "../support/Dialled.ts"
import { listening } from "../support/Listening.ts"
import * as Loopback from "../support/LoopbackServer.ts"
import * as Authority from "../support/TlsAuthority.ts"
import * as Front from "../support/TlsFront.ts"

const authority = Authority.authority("Test Authority")
const good = authority.issue()
const ownMade = Authority.selfSigned({ names: [] })
const ca = authority.certificate

const provided = <A, E>(effect: Effect.Effect<A, E, Transport | Scope.Scope>) =>
  Effect.provide(effect, TransportWs.layer)

/** A gateway that sends a greeting, behind TLS with the certificate of `identity`. */
const gateway = Effect.fnUntraced(function*(identity: Authority.Identity) {
  return yield* Front.serve(identity, yield* Loopback.links((link) => link.send("challenge")))
})

const target = (front: Front.Front, choice: Parameters<typeof trust>[0]) => ({
  url: front.url,
  origin: undefined,
  tls: trust(choice)
})

/** The failure of a dial to `identity`. Asserts that the server decrypted nothing, and that `tls` was the last phase. */
const stopped = Effect.fnUntraced(function*(identity: Authority.Identity, choice: Parameters<typeof trust>[0]) {
  const front = yield* gateway(identity)
  const { error, phases } = yield* refused(target(front, choice))
  assert.deepStrictEqual(phases, ["tls"])
  assert.strictEqual((yield* front.next).received, "")
  return { error, front }
})

const asMismatch = (error: { readonly _tag: string }): TlsPinMismatch => {
  assert.strictEqual(error._tag, "TlsPinMismatch")
  return error as TlsPinMismatch
}
const asUntrusted = (error: { readonly _tag: string }): TlsUntrusted => {
  assert.strictEqual(error._tag, "TlsUntrusted")
  return error as TlsUntrusted
}

describe("TLS by certificate authorities", () => {
  it.live("an extra authority makes its certificate valid", () =>
    provided(Effect.gen(function*() {
      const front = yield* gateway(good)
      const phases: Array<"tls" | "upgrade"> = []
      const { texts } = yield* dialled(target(front, { ca }), phases)
      assert.strictEqual(yield* Queue.take(texts), "challenge")
      assert.deepStrictEqual(phases, ["tls", "upgrade"])
    })))

  const cases: ReadonlyArray<readonly [string, Authority.Identity, string | undefined, string, RegExp]> = [
    ["expired", authority.issue({ fromDay: -9, toDay: -2 }), ca, "Expired", /valid until \d{4}-\d\d-\d\d/],
    ["not yet valid", authority.issue({ fromDay: 2 }), ca, "NotYetValid", /valid from \d{4}-\d\d-\d\d on/],
    ["for another host", authority.issue({ names: ["other.example"] }), ca, "HostMismatch", /DNS:other\.example/],
    ["of an unknown authority", good, undefined, "UnknownAuthority", /no authority that this program knows/],
    [
      "of another authority of the same name",
      good,
      Authority.authority("Test Authority").certificate,
      "Other",
      /refused|not accepted/
    ],
    ["of its own making", Authority.selfSigned(), ca, "SelfSigned", /vouches for itself/]
  ]
  it.live.each(cases)(
    "G13: a certificate %s is refused before the request exists",
    ([, identity, known, reason, why]) =>
      provided(Effect.gen(function*() {
        const { error, front } = yield* stopped(identity, known === undefined ? {} : { ca: known })
        const untrusted = asUntrusted(error)
        assert.strictEqual(untrusted.reason, reason, untrusted.code)
        assert.match(untrusted.message, why)
        assert.strictEqual(untrusted.host, `localhost:${front.port}`)
        assert.strictEqual(untrusted.seenCertificate, identity.fingerprint)
        assert.strictEqual(untrusted.seenKey, identity.keyPin)
      }))
  )

  it.live("a gateway dialled by address is checked against the addresses in its certificate", () =>
    provided(Effect.gen(function*() {
      const front = yield* gateway(authority.issue({ names: ["127.0.0.1"] }))
      const byAddress = { ...target(front, { ca }), url: new URL(`wss://127.0.0.1:${front.port}`) }
      assert.strictEqual(yield* outcome(byAddress), "open")
      assert.isFalse((yield* front.next).servername)
      assert.strictEqual(yield* outcome(target(front, { ca })), "TlsUntrusted/HostMismatch")
      assert.strictEqual((yield* front.next).servername, "localhost")
    })))

  it.live("G13: no environment variable turns the check off", () =>
    provided(Effect.gen(function*() {
      const { emitWarning } = process
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0"
          process.emitWarning = () => {} // Nodejs warns of the variable, once in a process
        }),
        () =>
          Effect.sync(() => {
            delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"]
            process.emitWarning = emitWarning
          })
      )
      assert.strictEqual(asUntrusted((yield* stopped(ownMade, {})).error).reason, "SelfSigned")
    })))
})

describe("TLS by pins", () => {
  it.live("G13 B13: a wrong pin stops the dial before a byte of the request, and shows the certificate's hashes", () =>
    provided(Effect.gen(function*() {
      const { error, front } = yield* stopped(ownMade, { pins: [good.fingerprint, good.keyPin] })
      const mismatch = asMismatch(error)
      assert.strictEqual(mismatch.reason, "Unknown")
      assert.isFalse(mismatch.caValid)
      assert.deepStrictEqual(mismatch.expected, [good.fingerprint, good.keyPin])
      assert.deepStrictEqual([mismatch.seenCertificate, mismatch.seenKey], [ownMade.fingerprint, ownMade.keyPin])
      for (
        const told of [
          `localhost:${front.port}`,
          good.fingerprint,
          good.keyPin,
          ownMade.fingerprint,
          ownMade.keyPin,
          "OPENCLAW_GATEWAY_TLS_PINS"
        ]
      ) assert.include(mismatch.message, told)
    })))

  it.live("G13: the right pin opens a link to a certificate without authority, and the request follows", () =>
    provided(Effect.gen(function*() {
      const front = yield* gateway(ownMade)
      for (const pin of [ownMade.fingerprint, ownMade.keyPin]) {
        assert.strictEqual(yield* outcome(target(front, { pins: [pin] })), "open")
        assert.match((yield* front.next).received, /^GET \/ HTTP\/1\.1\r\n/)
      }
    })))

  it.live("B13: one of several pins is enough", () =>
    provided(Effect.gen(function*() {
      const front = yield* gateway(ownMade)
      assert.strictEqual(yield* outcome(target(front, { pins: [good.fingerprint, ownMade.keyPin] })), "open")
    })))

  it.live("G13: a renewed certificate that an authority vouches for is distinguished from an unknown one", () =>
    provided(Effect.gen(function*() {
      const front = yield* gateway(good)
      const pinned = target(front, { pins: [good.fingerprint], ca })
      assert.strictEqual(yield* outcome(pinned), "open")
      yield* front.next
      front.show(authority.issue())
      const mismatch = asMismatch((yield* refused(pinned)).error)
      assert.strictEqual(mismatch.reason, "Rotated")
      assert.isTrue(mismatch.caValid)
      assert.strictEqual((yield* front.next).received, "")
    })))

  it.live("B13: a pinned key outlives the renewal of its certificate, a pinned certificate does not", () =>
    provided(Effect.gen(function*() {
      const front = yield* gateway(authority.issue({ keyOf: good, toDay: 90 }))
      assert.strictEqual(yield* outcome(target(front, { pins: [good.keyPin] })), "open")
      assert.strictEqual(yield* outcome(target(front, { pins: [good.fingerprint], ca })), "TlsPinMismatch/Rotated")
    })))

  it.live("B13: with ca-and-pin, a right pin on a certificate without authority is not enough", () =>
    provided(Effect.gen(function*() {
      const pins = [ownMade.keyPin]
      assert.strictEqual(
        asUntrusted((yield* stopped(ownMade, { pins, mode: "ca-and-pin" })).error).reason,
        "SelfSigned"
      )
      const front = yield* gateway(good)
      const both = { pins: [good.keyPin], mode: "ca-and-pin", ca } as const
      assert.strictEqual(yield* outcome(target(front, both)), "open")
      assert.strictEqual(yield* outcome(target(front, { ...both, pins })), "TlsPinMismatch/Rotated")
    })))

  it.live("a pin on an authority does not count, because anybody can send its certificate", () =>
    provided(Effect.gen(function*() {
      const chain = { ...good, certificate: `${good.certificate}${ca}` }
      for (const pin of [authority.fingerprint, authority.keyPin]) {
        assert.strictEqual(asMismatch((yield* stopped(chain, { pins: [pin] })).error).reason, "Unknown")
      }
    })))

  it.live("mode pin without pins accepts no certificate", () =>
    provided(Effect.gen(function*() {
      assert.strictEqual(asMismatch((yield* stopped(good, { mode: "pin", ca })).error).reason, "Rotated")
    })))
})

describe("phases and headers of a dial", () => {
  const header = (line: string) => Result.getOrThrow(UpgradeHeader.parse(line))

  it.live("G28: additional headers go to wss, and never to ws", () =>
    provided(Effect.gen(function*() {
      const headers = header("CF-Access-Client-Id: one\nCF-Access-Client-Secret: two")
      const front = yield* gateway(ownMade)
      assert.strictEqual(yield* outcome({ ...target(front, { pins: [ownMade.keyPin] }), headers }), "open")
      const { received } = yield* front.next
      assert.match(received, /\r\nCF-Access-Client-Id: one\r\n/)
      assert.match(received, /\r\nCF-Access-Client-Secret: two\r\n/)
      const seen = yield* Queue.unbounded<ReadonlyArray<string>>()
      const plain = yield* Loopback.links((_, request) => void Queue.offerUnsafe(seen, Object.keys(request.headers)))
      assert.strictEqual(yield* outcome({ url: plain, origin: undefined, headers }), "open")
      assert.notInclude(yield* Queue.take(seen), "cf-access-client-secret")
    })))

  it.live("G19: a server without TLS fails in phase tls, and one that drops the request in phase upgrade", () =>
    provided(Effect.gen(function*() {
      const plain = yield* Loopback.links(() => {})
      const spoken = yield* refused({ url: new URL(`wss://localhost:${plain.port}`), origin: undefined })
      assert.deepInclude({ ...spoken.error }, { reason: "NotTls", phase: "tls" })
      assert.deepStrictEqual(spoken.phases, ["tls"])
      const rude = yield* Front.serve(ownMade, yield* Loopback.upgrades((_, socket) => void socket.destroy()))
      const hungUp = yield* refused(target(rude, { pins: [ownMade.keyPin] }))
      assert.deepInclude({ ...hungUp.error }, { reason: "HungUp", phase: "upgrade" })
      assert.deepStrictEqual(hungUp.phases, ["tls", "upgrade"])
    })))

  it.live("a gateway that drops the request does no harm to later links", () =>
    provided(Effect.gen(function*() {
      const rude = yield* Front.serve(ownMade, yield* Loopback.upgrades((_, socket) => void socket.destroy()))
      const pinned = target(rude, { pins: [ownMade.keyPin] })
      assert.strictEqual(yield* outcome(pinned), "LinkError/HungUp")
      assert.strictEqual(yield* outcome(pinned), "LinkError/HungUp")
      const fine = yield* Loopback.links((link) => link.send("challenge"))
      const links = yield* Effect.forEach([1, 2, 3, 4], () => dialled({ url: fine, origin: undefined }), {
        concurrency: "unbounded"
      })
      for (const { texts } of links) assert.strictEqual(yield* Queue.take(texts), "challenge")
    })))

  it.live("G19: an address without a server fails in phase dial, before any other phase", () =>
    provided(Effect.gen(function*() {
      const url = yield* Effect.scoped(Effect.map(gateway(good), (front) => front.url))
      const { error, phases } = yield* refused({ url, origin: undefined })
      assert.deepInclude({ ...error }, { reason: "Unreachable", phase: "dial", errno: "ECONNREFUSED" })
      assert.deepStrictEqual(phases, [])
    })))

  it.live("a dial interrupted during the TLS handshake releases its socket", () =>
    provided(Effect.gen(function*() {
      const sockets = yield* Queue.unbounded<Socket>()
      const port = yield* listening(createServer((socket) => void Queue.offerUnsafe(sockets, socket)))
      const url = new URL(`wss://localhost:${port}`)
      const fiber = yield* Effect.forkScoped(Effect.scoped(dialled({ url, origin: undefined })))
      const socket = yield* Queue.take(sockets)
      yield* Effect.callback<void>((resume) => void socket.once("data", () => resume(Effect.void)))
      const gone = yield* Effect.forkScoped(
        Effect.callback<void>((resume) => void socket.once("close", () => resume(Effect.void))),
        { startImmediately: true }
      )
      yield* Fiber.interrupt(fiber)
      yield* Fiber.join(gone)
    })))

  it.live("a printed target shows no header values", () =>
    Effect.sync(() => {
      const headers = header("X-Secret: sekrit")
      assert.notInclude(JSON.stringify(headers) + String(headers.map(({ value }) => value)), "sekrit")
      assert.deepStrictEqual(headers.map(({ value }) => Redacted.value(value)), ["sekrit"])
    }))
})
