/**
 * Asks the programs that run on a state directory how they stand, over their private sockets.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import type * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type { StorageError } from "../storage/StorageError.ts"
import type { Socket as LiveSocket } from "./LiveDirectory.ts"
import * as LiveDirectory from "./LiveDirectory.ts"
import type { Answer, Ask } from "./StatusProtocol.ts"
import { cutLine, decodeAnswer, encodeRequest, maxAnswer } from "./StatusProtocol.ts"
import type { StatusReport } from "./StatusReport.ts"

/**
 * A program did not answer. `Gone`: nobody listens at its socket, as after a kill. `Silent`: it took the connection and did not
 * answer in time. `Unreadable`: its answer is none that this release knows. `Refused`: it answers too many others now. `Ended`: it
 * closed the connection.
 */
export class NotAnswered extends Schema.TaggedError<NotAnswered>()("NotAnswered", {
  reason: Schema.Literals(["Gone", "Silent", "Unreadable", "Refused", "Ended"]),
  pid: Schema.Int
}) {
  override get message(): string {
    return `process ${this.pid} ${sentences[this.reason]}`
  }
}

const sentences = {
  Gone: "has ended without removing its socket",
  Silent: "did not say in time how it stands",
  Unreadable: "gave an answer that this release does not know",
  Refused: "answers too many others now",
  Ended: "closed the connection"
} as const

/** How long a program may take for its first answer. */
const patience = "3 seconds"

/** One conversation: the answers of a program to one request, one after another. */
export type Conversation = Effect.Effect<Answer, NotAnswered>

/** Asks a program. The scope ends the conversation. */
export const ask = (
  { path, pid }: LiveSocket,
  what: Ask
): Effect.Effect<Conversation, NotAnswered, Scope.Scope> =>
  Effect.gen(function*() {
    const fail = (reason: NotAnswered["reason"]) => new NotAnswered({ reason, pid })
    const socket = yield* NodeSocket.makeNet({ path, openTimeout: patience })
    const pull = yield* Effect.mapError(
      Socket.readerString(socket),
      (error) => fail(isNobodyThere(error) ? "Gone" : "Silent")
    )
    const { write } = yield* socket.writer
    yield* Effect.mapError(write(encodeRequest(what)), () => fail("Ended"))
    let text = ""
    const next: Conversation = Effect.suspend(() => {
      const cut = cutLine(text)
      if (cut === undefined) {
        return text.length > maxAnswer ? Effect.fail(fail("Unreadable")) : Effect.matchEffect(pull, {
          onFailure: () => Effect.fail(fail("Ended")),
          onSuccess: (pieces) => {
            text += pieces.join("")
            return next
          }
        })
      }
      text = cut[1]
      const answer = Option.getOrUndefined(decodeAnswer(cut[0]))
      if (answer === undefined) return Effect.fail(fail("Unreadable"))
      return answer.refused === undefined ? Effect.succeed(answer) : Effect.fail(fail("Refused"))
    })
    return next
  })

/** The first answer of a program. */
export const askOnce = (socket: LiveSocket, what: Ask): Effect.Effect<Answer, NotAnswered> =>
  Effect.scoped(Effect.flatten(ask(socket, what))).pipe(
    Effect.timeoutOrElse({
      duration: patience,
      orElse: () => Effect.fail(new NotAnswered({ reason: "Silent", pid: socket.pid }))
    })
  )

const nobodyThere: ReadonlySet<unknown> = new Set(["ECONNREFUSED", "ENOENT"])

/** Whether nobody listens at the path. */
const isNobodyThere = ({ reason }: Socket.SocketError): boolean =>
  reason._tag === "SocketOpenError" && Predicate.hasProperty(reason.cause, "code")
  && nobodyThere.has(reason.cause.code)

/** A program, and how it stands or why it did not say so. */
export type Found =
  | { readonly _tag: "Answered"; readonly socket: LiveSocket; readonly report: StatusReport }
  | { readonly _tag: "NotAnswered"; readonly socket: LiveSocket; readonly error: NotAnswered }

/** All programs of a state directory. Fails when another user owns its sockets, or could put one there. */
export const find = (
  stateDirectory: string
): Effect.Effect<
  ReadonlyArray<Found>,
  StorageError,
  FileSystem.FileSystem | Path.Path | SecureRandom.SecureRandom
> =>
  Effect.gen(function*() {
    const sockets = yield* LiveDirectory.list(yield* LiveDirectory.directoryOf(stateDirectory))
    return yield* Effect.forEach(sockets, (socket) =>
      Effect.match(askOnce(socket, "report"), {
        onFailure: (error): Found => ({ _tag: "NotAnswered", socket, error }),
        onSuccess: ({ report }): Found =>
          report === undefined
            ? { _tag: "NotAnswered", socket, error: new NotAnswered({ reason: "Unreadable", pid: socket.pid }) }
            : { _tag: "Answered", socket, report }
      }), { concurrency: 8 })
  })

/** Whether nobody listens at a socket any more. */
export const isGone = (socket: LiveSocket): Effect.Effect<boolean> =>
  Effect.match(askOnce(socket, "report"), {
    onFailure: ({ reason }) => reason === "Gone",
    onSuccess: () => false
  })
