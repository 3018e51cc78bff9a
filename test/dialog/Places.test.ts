import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Places from "../../src/dialog/Places.ts"

const Kind = Schema.Literals(["opened", "opened", "opened", "tokenShown", "tokenShown", "tokenShown", "closed"])
const inputs = Arbitrary.array(
  Arbitrary.all([
    Arbitrary.schema(Kind),
    Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 })))
  ]),
  { minLength: 200, maxLength: 300 }
)

/** Connections get new numbers; what shows the token or is closed is one of the latest, which may be gone. */
const course = (all: ReadonlyArray<readonly [Places.Input["is"], number]>): ReadonlyArray<Places.Input> => {
  let count = 0
  return all.map(([is, back]) => is === "opened" ? { is, connection: ++count } : { is, connection: count - back })
}

const held = ({ withToken, withoutToken }: Places.Places) => [...withToken, ...withoutToken]

/** Each has to hold for every step. */
const laws: Readonly<
  Record<
    string,
    (before: Places.Places, input: Places.Input, after: Places.Places, cut: ReadonlyArray<number>) => boolean
  >
> = {
  "each kind keeps within its places": (_before, _input, { withToken, withoutToken }) =>
    withToken.length <= Places.limits.withToken && withoutToken.length <= Places.limits.withoutToken,
  "a connection has one place": (_before, _input, after) => new Set(held(after)).size === held(after).length,
  "a new connection has a place": (_before, { connection, is }, { withoutToken }) =>
    is !== "opened" || withoutToken.at(-1) === connection,
  "one that shows the token has a place among those with it, unless it was cut off before": (before, input, after) =>
    input.is !== "tokenShown" || held(before).includes(input.connection) === after.withToken.includes(input.connection),
  "only the token leads to a place among those with it": (before, { connection, is }, after) =>
    after.withToken.every((one) => before.withToken.includes(one) || (is === "tokenShown" && one === connection)),
  "only the oldest of the same kind is cut off, and only when that kind is full": (before, { is }, _after, cut) => {
    const [all, most] = is === "tokenShown"
      ? [before.withToken, Places.limits.withToken]
      : [before.withoutToken, Places.limits.withoutToken]
    return cut.length === 0 || (cut.length === 1 && cut[0] === all[0] && all.length === most)
  },
  "who is neither closed nor cut off keeps its place, and nobody else does": (before, input, after, cut) =>
    held(before).every((one) =>
      held(after).includes(one) !== (cut.includes(one) || (input.is === "closed" && input.connection === one))
    )
}

describe("Places", () => {
  it.effect.prop("the laws of places hold, whatever connections do", [inputs], ([all]) =>
    Effect.sync(() => {
      let places = Places.none
      for (const input of course(all)) {
        const [after, cut] = Places.step(places, input)
        for (const [law, holds] of Object.entries(laws)) {
          if (!holds(places, input, after, cut)) assert.fail(`${law}: ${JSON.stringify([places, input, after, cut])}`)
        }
        places = after
      }
    }), { arbitrary: { seed: 17, runs: 40 } })

  it("clients without the token, however many, take no place from those with it, and the other way round", () => {
    const all: Array<Places.Input> = []
    for (let connection = 0; connection < 10; connection++) {
      all.push({ is: "opened", connection }, { is: "tokenShown", connection })
    }
    for (let connection = 10; connection < 1000; connection++) all.push({ is: "opened", connection })
    let places = Places.none
    for (const input of all) [places] = Places.step(places, input)
    assert.deepStrictEqual(places.withToken, Array.from({ length: 10 }, (_, connection) => connection))
    assert.deepStrictEqual(places.withoutToken, Array.from({ length: 16 }, (_, index) => 984 + index))
    for (let connection = 984; connection < 1000; connection++) {
      ;[places] = Places.step(places, { is: "tokenShown", connection })
    }
    assert.deepStrictEqual([places.withToken.length, places.withoutToken.length], [26, 0])
  })
})
