/**
 * Equal questions of many devices as one statement. A hundred devices that start at the same time would otherwise ask the database a
 * hundred times for an epoch, an identity, a token.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Request from "effect/Request"
import * as RequestResolver from "effect/RequestResolver"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

/** What one device asks. */
interface Question<Key, Answer> extends Request.Request<Answer, SqlError, SqlClient.SqlClient> {
  readonly key: Key
}

/** At most so many devices in one statement. */
export const most = 500

/**
 * A question that is asked alone, or with those which are asked in the same moment of the same database. `ask` gets each key once and
 * answers for each. Where a key is asked twice, the second is asked after the first: an answer is never shared. A statement that fails
 * does so for those who asked in it.
 */
export const together = <Key, Answer>(
  idOf: (key: Key) => string,
  ask: (
    keys: NonEmptyReadonlyArray<Key>
  ) => Effect.Effect<(key: Key) => Answer, SqlError, SqlClient.SqlClient>
): (key: Key) => Effect.Effect<Answer, SqlError, SqlClient.SqlClient> => {
  const make = Request.of<Question<Key, Answer>>()
  const answer = Effect.fnUntraced(function*(round: NonEmptyReadonlyArray<Request.Entry<Question<Key, Answer>>>) {
    const [first, ...others] = round
    const asked = yield* Effect.exit(ask([first.request.key, ...others.map(({ request }) => request.key)]))
    for (const entry of round) {
      entry.completeUnsafe(Exit.map(asked, (answerOf) => answerOf(entry.request.key)))
    }
  })
  const resolver = RequestResolver.makeGrouped<Question<Key, Answer>, SqlClient.SqlClient>({
    key: ({ context }) => Context.get(context, SqlClient.SqlClient),
    resolver: (entries, sql) =>
      Effect.forEach(rounds(entries, ({ request }) => idOf(request.key)), answer, { discard: true }).pipe(
        Effect.provideService(SqlClient.SqlClient, sql)
      )
  })
  return (key) => Effect.request(make({ key }), resolver)
}

/** Each id at most once in a round, and at most `most` in one; of equal ids the one that came first is in an earlier round. Pure. */
export const rounds = <A>(
  all: ReadonlyArray<A>,
  idOf: (each: A) => string
): ReadonlyArray<NonEmptyReadonlyArray<A>> => {
  const made: Array<[A, ...Array<A>]> = []
  const nextOf = new Map<string, number>()
  for (const each of all) {
    const id = idOf(each)
    let index = nextOf.get(id) ?? 0
    while ((made[index]?.length ?? 0) >= most) index++
    nextOf.set(id, index + 1)
    const round = made[index]
    if (round === undefined) made.push([each])
    else round.push(each)
  }
  return made
}
