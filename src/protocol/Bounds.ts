/**
 * The ranges in which this program takes numbers that another side names.
 *
 * A number outside of its range is moved to the nearer end where it is decoded, so that no gateway, front door or file makes
 * this program spin, wait for ever or allocate without end.
 */
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"

/** Both ends belong to it. */
export interface Range {
  readonly floor: number
  readonly ceiling: number
}

/** Milliseconds for which a gateway asks to be left alone, in a refusal. */
export const retryAfterMs: Range = { floor: 500, ceiling: 86_400_000 }

/** Milliseconds for which an HTTP server asks to be left alone, in `Retry-After`: a front door or a proxy, not the gateway. */
export const httpRetryAfterMs: Range = { floor: 500, ceiling: 3_600_000 }

/** Milliseconds between the ticks of a gateway. Two of them without any frame end a session. */
export const tickIntervalMs: Range = { floor: 1000, ceiling: 600_000 }

/** For how long a gateway's process has run, in milliseconds: ten years. */
export const uptimeMs: Range = { floor: 0, ceiling: 315_360_000_000 }

/**
 * Bytes that a gateway takes in one frame or keeps for one client. No floor is needed: a frame above the limit is not sent,
 * and its request says so.
 */
export const frameBytes: Range = { floor: 0, ceiling: 25 * 1024 * 1024 }
export const bufferedBytes: Range = { floor: 0, ceiling: 1024 * 1024 * 1024 }

export const clamp = (value: number, { ceiling, floor }: Range): number => Math.min(Math.max(value, floor), ceiling)

const clamped = (range: Range) =>
  Schema.decodeTo<Schema.Natural, Schema.Natural>(
    Schema.Natural,
    SchemaTransformation.transform({ decode: (value) => clamp(value, range), encode: (value) => value })
  )

/** A whole number that is not negative, moved into the range when it is decoded. */
export const within = (range: Range) => Schema.Natural.pipe(clamped(range))

/** The same, where 0 is no number of the kind and fails. */
export const positiveWithin = (range: Range) => Schema.Natural.check(Schema.isGreaterThan(0)).pipe(clamped(range))
