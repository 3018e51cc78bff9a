import { assert, describe, it } from "@effect/vitest"
import * as ClusterError from "effect/cluster/ClusterError"
import * as EntityAddress from "effect/cluster/EntityAddress"
import * as EntityId from "effect/cluster/EntityId"
import * as EntityType from "effect/cluster/EntityType"
import * as Envelope from "effect/cluster/Envelope"
import * as Message from "effect/cluster/Message"
import * as MessageStorage from "effect/cluster/MessageStorage"
import * as Reply from "effect/cluster/Reply"
import * as ShardId from "effect/cluster/ShardId"
import * as Snowflake from "effect/cluster/Snowflake"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Headers from "effect/http/Headers"
import * as Option from "effect/Option"
import type * as Rpc from "effect/rpc/Rpc"
import * as RpcSerialization from "effect/rpc/RpcSerialization"
import * as TestClock from "effect/testing/TestClock"
import type { Delegate } from "../../src/fleet/Device.ts"
import * as PatientMessageStorage from "../../src/fleet/PatientMessageStorage.ts"

const shards = [ShardId.make("default", 1), ShardId.make("default", 2)]

describe("the cluster's messages", () => {
  it.effect("B07: after a read that failed, and only then, the marks of its shards are removed before the next one", () =>
    Effect.gen(function*() {
      const calls: Array<string> = []
      let isAway = false
      const answer = <A>(call: string, value: A) =>
        Effect.suspend(() => {
          calls.push(call)
          return isAway
            ? Effect.fail(new ClusterError.PersistenceError({ cause: "away" }))
            : Effect.succeed(value)
        })
      const storage = PatientMessageStorage.patient(MessageStorage.MessageStorage.of({
        ...MessageStorage.noop,
        unprocessedMessages: (ids) => answer(`read ${Array.from(ids).length}`, []),
        resetShards: (ids) => answer(`reset ${Array.from(ids).length}`, undefined)
      }))
      const read = Effect.exit(storage.unprocessedMessages(new Set(shards)))
      yield* read
      assert.deepStrictEqual(calls, ["read 2"])
      isAway = true
      yield* read
      yield* read
      assert.deepStrictEqual(calls, ["read 2", "read 2", "reset 2"])
      isAway = false
      yield* read
      yield* read
      assert.deepStrictEqual(calls.slice(3), ["reset 2", "read 2", "read 2"])
    }))

  it.effect("B07: a reply is written once the database is back, and given up after half a minute", () =>
    Effect.gen(function*() {
      let isAway = true
      let written = 0
      const message = new Message.IncomingRequest<Rpc.Any>({
        envelope: Envelope.makeRequest<typeof Delegate>({
          requestId: Snowflake.Snowflake("1"),
          address: EntityAddress.make({
            shardId: ShardId.make("default", 1),
            entityType: EntityType.make("OpenClawDevice"),
            entityId: EntityId.make("lamp")
          }),
          tag: "Delegate",
          payload: { key: "k", text: "t" },
          headers: Headers.empty
        }),
        lastSentReply: Option.none(),
        codecFor: RpcSerialization.json.codecFor,
        respond: () =>
          Effect.suspend(() =>
            isAway
              ? Effect.fail(new ClusterError.PersistenceError({ cause: "away" }))
              : Effect.sync(() => void written++)
          )
      })
      const storage = PatientMessageStorage.patient(MessageStorage.MessageStorage.of({
        ...MessageStorage.noop,
        unprocessedMessages: () => Effect.succeed([message])
      }))
      const [read] = yield* storage.unprocessedMessages(shards)
      const respond = read?._tag === "IncomingRequest" ? read.respond : assert.fail("no request")
      const reply = Reply.ReplyWithContext.fromDefect({
        id: Snowflake.Snowflake("2"),
        requestId: Snowflake.Snowflake("1"),
        defect: "any"
      })
      const writing = yield* Effect.forkChild(respond(reply))
      yield* TestClock.adjust("20 seconds")
      assert.isUndefined(writing.pollUnsafe())
      isAway = false
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(writing)
      assert.strictEqual(written, 1)
      isAway = true
      const late = yield* Effect.forkChild(Effect.flip(respond(reply)))
      yield* TestClock.adjust("31 seconds")
      assert.strictEqual((yield* Fiber.join(late))._tag, "PersistenceError")
    }))
})
