/**
 * The cluster's table of messages, where the database may be away for a while and no message is lost.
 *
 * A runner takes messages by marking them as read, and nobody takes them again within ten minutes. If the database goes away after it has
 * marked them and before its answer has come, nobody has them. So after a read that failed, the marks of all its shards are removed
 * first: the cluster skips what it already works on.
 *
 * A reply that cannot be written is given up after a second, and its message counts as worked on for as long as the device is here. So it
 * is tried for as long as the cluster keeps its shards without the database, and longer.
 */
import * as Message from "effect/cluster/Message"
import * as MessageStorage from "effect/cluster/MessageStorage"
import type { ShardingConfig } from "effect/cluster/ShardingConfig"
import * as SqlMessageStorage from "effect/cluster/SqlMessageStorage"
import type * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Rpc from "effect/rpc/Rpc"
import * as Schedule from "effect/Schedule"
import type * as SqlClient from "effect/sql/SqlClient"

/** How often a reply is tried: twice a second. */
const tries = 60

const persistently = (message: Message.Incoming<Rpc.Any>): Message.Incoming<Rpc.Any> =>
  message._tag === "IncomingEnvelope" ? message : new Message.IncomingRequest({
    ...message,
    respond: (reply) =>
      Effect.retry(message.respond(reply), {
        while: (error) => error._tag === "PersistenceError",
        schedule: Schedule.spaced("500 millis"),
        times: tries
      })
  })

/** The same storage, with that. */
export const patient = (
  storage: MessageStorage.MessageStorage["Service"]
): MessageStorage.MessageStorage["Service"] => {
  let failed = false
  return MessageStorage.MessageStorage.of({
    ...storage,
    unprocessedMessages: (shardIds, options) => {
      const shards = Array.from(shardIds)
      const read = Effect.suspend(() => storage.unprocessedMessages(shards, options))
      return Effect.suspend(() => failed ? Effect.andThen(storage.resetShards(shards), read) : read).pipe(
        Effect.map((messages) => messages.map(persistently)),
        Effect.onExit((exit) => Effect.sync(() => void (failed = Exit.isFailure(exit))))
      )
    }
  })
}

/** Over the tables of `SqlMessageStorage`. */
export const layer: Layer.Layer<
  MessageStorage.MessageStorage,
  never,
  SqlClient.SqlClient | ShardingConfig | Digest.Digest
> = Layer.effect(MessageStorage.MessageStorage, Effect.map(MessageStorage.MessageStorage, patient)).pipe(
  Layer.provide(Layer.orDie(SqlMessageStorage.layer))
)
