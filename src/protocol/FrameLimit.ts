/**
 * How large frames may be in either direction, and the refusal to send a larger one.
 *
 * A gateway that is sent too much closes the link with 1009 and answers nothing, so that the limit is checked before a frame
 * leaves (OpenClaw docs, gateway protocol, policy). What arrives is limited because the other side is not trusted: least
 * before it has said hello, when it need not be a gateway at all.
 */
import * as Schema from "effect/Schema"
import * as Bounds from "./Bounds.ts"

/** UTF-8 bytes of the one frame before hello-ok: `connect`. */
export const connectLimitBytes = 64 * 1024

/** UTF-8 bytes of a frame after it, where hello-ok does not say: `policy.maxPayload` of most releases. */
export const sessionLimitBytes = 25 * 1024 * 1024

/** Bytes of all that may arrive before our `connect` is sent. A gateway sends one challenge of some hundred bytes. */
export const greetingLimitBytes = 64 * 1024

/** Bytes of all that may arrive from then to hello-ok, which lists every client of the gateway. An empty one's has 15 kB. */
export const helloLimitBytes = 4 * 1024 * 1024

/** UTF-8 bytes of a message from a gateway. The floor is for old releases, which take 512 KiB and send more. */
const receivedBytes: Bounds.Range = { floor: 8 * 1024 * 1024, ceiling: Bounds.frameBytes.ceiling }

/** UTF-8 bytes of one message that may arrive after hello-ok: as many as the gateway takes itself, between 8 and 25 MiB. */
export const receiveLimitBytes = (maxPayload: number = receivedBytes.ceiling): number =>
  Bounds.clamp(maxPayload, receivedBytes)

/** The frame is larger than the gateway takes. Nothing was sent, and the link is as it was. */
export class FrameTooLarge extends Schema.TaggedError<FrameTooLarge>()("FrameTooLarge", {
  method: Schema.String,
  /** The whole frame in UTF-8, envelope included. */
  bytes: Schema.Int,
  limitBytes: Schema.Int
}) {
  override get message(): string {
    return `${this.method} was not sent: its frame has ${this.bytes} bytes, and the gateway takes at most ${this.limitBytes}`
  }
}

/** The refusal of a frame above the limit; `undefined` for one that may be sent. Bytes are counted only near the limit. */
export const check = (method: string, frame: string, limitBytes: number): FrameTooLarge | undefined => {
  // A code unit takes at most three bytes: the two of a pair take four together.
  if (frame.length * 3 <= limitBytes) return undefined
  const bytes = utf8Bytes(frame)
  return bytes <= limitBytes ? undefined : new FrameTooLarge({ method, bytes, limitBytes })
}

/** The length of a text in UTF-8, without encoding it. A lone surrogate counts as the three bytes of its replacement. */
export const utf8Bytes = (text: string): number => {
  let bytes = text.length
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit < 0x80) continue
    bytes += unit < 0x800 ? 1 : 2
    // The first half of a pair counts three, and the second half, which is skipped, one: four bytes together.
    if (unit >= 0xd800 && unit < 0xdc00 && isLow(text.charCodeAt(index + 1))) index++
  }
  return bytes
}

const isLow = (unit: number): boolean => unit >= 0xdc00 && unit < 0xe000
