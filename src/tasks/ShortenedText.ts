/**
 * What gateways leave out of texts, and how a reply shows that. Pure.
 *
 * `chat.history` cuts every part of a text, and replaces messages of more than 128 KiB. `chat` events are whole, but for replies
 * without an agent, which are cut like history, and for what is longer than 500,000 UTF-16 code units, which loses its beginning.
 * 2026.9.6 marks what it shortened; earlier releases only put words behind it. (Read in OpenClaw 2026.3.2, 2026.6.11, 2026.9.6.)
 */
import * as Predicate from "effect/Predicate"
import { withoutCutMark } from "./KeptText.ts"
import { partsOf, textOf } from "./MessageText.ts"

/**
 * Whether a message is not whole. No part of fewer than `wholeBelow` UTF-16 code units was cut: the length that the gateway was
 * asked for.
 */
export const isShortened = (message: unknown, wholeBelow = 0): boolean =>
  isMarked(message) || isOmission(textOf(message)) || partsOf(message).some((part) => isCut(part, wholeBelow))

const isCut = (part: string, wholeBelow: number): boolean => (withoutCutMark(part)?.length ?? -1) >= wholeBelow

const isMarked = (message: unknown): boolean =>
  Predicate.hasProperty(message, "__openclaw") && Predicate.hasProperty(message.__openclaw, "truncated")
  && message.__openclaw.truncated === true

const omissions: ReadonlySet<string> = new Set([
  "[chat.history omitted: message too large]",
  "[chat.history unavailable: transcript too large to display; the full history is preserved on disk]"
])

/** Whether a text stands in the place of one that the gateway left out. */
export const isOmission = (text: string): boolean => omissions.has(text)

/** The longer of two texts that are not whole. */
export const longer = <Reply extends { readonly text: string }>(one: Reply | undefined, other: Reply): Reply =>
  one !== undefined && one.text.length > other.text.length ? one : other

/** Live texts of this many UTF-16 code units, give or take trimmed white space, may have lost their beginning. */
const liveCap = { floor: 490_000, ceiling: 500_000 }

/** Whether the message of a `chat` event is not, or may not be, whole. */
export const isShortenedLive = (payload: { readonly message?: unknown }): boolean => {
  const { length } = textOf(payload)
  return isMarked(payload.message) || isShortened(payload) || (length >= liveCap.floor && length <= liveCap.ceiling)
}
