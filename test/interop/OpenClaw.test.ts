import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { randomUUID } from "node:crypto"
import { boot, releases } from "./support/OpenClaw.ts"
import { isAlive } from "./support/ProcessGroup.ts"
import { administrator, connect, makeDevice } from "./support/RawClient.ts"
import { proxy, remoteAddress } from "./support/RemoteProxy.ts"

const ChatFinal = Schema.Struct({
  runId: Schema.String,
  state: Schema.Literal("final"),
  message: Schema.Struct({ content: Schema.Array(Schema.Struct({ text: Schema.String })) })
})
const decodeFinal = Schema.decodeUnknownOption(ChatFinal)

describe.each(Effect.runSync(releases))("OpenClaw %s", (release) => {
  it.live("boots, pairs a remote device, answers a chat and leaves nothing behind", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const scope = yield* Scope.fork(yield* Effect.scope)
      const gateway = yield* Scope.provide(boot(release), scope)
      const group = yield* gateway.group
      assert.isTrue(isAlive(group))

      const remote = yield* proxy(gateway)
      const device = yield* makeDevice
      // As `cli` a local client would get a device token, so that an accidental local connect shows.
      const options = { url: remote.url, token: gateway.token, device, clientId: "cli", clientMode: "cli" }
      let client = yield* connect(options)
      const first = client.answer
      if (first._tag === "Refused") {
        const { code, details } = first.error
        assert.strictEqual(code, "NOT_PAIRED")
        assert.isDefined(details?.requestId)
        const admin = yield* administrator(gateway)
        assert.include(JSON.stringify(yield* admin.request("device.pair.list", {})), remoteAddress)
        const approved = yield* gateway.cli(["devices", "approve", details?.requestId ?? ""])
        assert.strictEqual(approved.code, 0, approved.stderr)
        client = yield* connect(options)
        assert.strictEqual(client.answer._tag, "Accepted")
        assert.isDefined(client.answer._tag === "Accepted" ? client.answer.hello.auth?.deviceToken : undefined)
      } else {
        // A few early releases admit every operator with the shared token, and then give no device token.
        assert.isUndefined(first.hello.auth?.deviceToken)
      }

      const text = `hello ${randomUUID()}`
      const runId = randomUUID()
      yield* client.request("chat.send", { sessionKey: "main", message: text, deliver: false, idempotencyKey: runId })
      yield* gateway.model.nextPrompt(text)
      const final = yield* client.nextEvent("chat", (payload) =>
        Option.exists(decodeFinal(payload), (chat) => chat.runId === runId))
      assert.deepStrictEqual(
        Option.map(decodeFinal(final.payload), ({ message }) =>
          message.content.map((part) => part.text)),
        Option.some([`echo: ${text}`])
      )

      yield* gateway.restart
      const admin = yield* administrator(gateway)
      const paired = JSON.stringify(yield* admin.request("device.pair.list", {}))
      assert.strictEqual(paired.includes(device.deviceId), first._tag === "Refused")

      yield* Scope.close(scope, Exit.void)
      assert.isFalse(isAlive(yield* gateway.group))
      assert.isFalse(isAlive(group))
      assert.isFalse(yield* fs.exists(gateway.stateDirectory))
    }).pipe(Effect.provide(NodeServices.layer)), 600_000)
})
