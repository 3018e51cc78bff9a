/**
 * Parts of hello-ok that many connections have alike, kept once in a process and not once a connection: the limits of a gateway,
 * and its methods. A list of those has hundreds of names and is the same for every gateway of one build.
 */

/** How many different values are kept for others to share: about as many as builds that a process meets at a time. */
const mostValues = 8

/** Gives the value itself, or an equal one that was given before. `mayKeep`: whether a new one is kept for others; all unless given. */
export const by = <A>(
  isEqual: (one: A, other: A) => boolean,
  mayKeep: (value: A) => boolean = () => true
): (value: A) => A => {
  const recent: Array<A> = []
  return (value) => {
    const known = recent.find((each) => isEqual(each, value))
    if (known !== undefined) return known
    if (!mayKeep(value)) return value
    recent.unshift(value)
    recent.length = Math.min(recent.length, mostValues)
    return value
  }
}

/** A guard, as a schema of an array takes forty times as long, and hundreds of names come with every hello-ok. */
export const isMethodList = (value: unknown): value is ReadonlyArray<string> =>
  Array.isArray(value) && value.every((name) => typeof name === "string")

/** Larger lists than any gateway has are left to the connection that they came with. */
const mostNames = 2000
const mostUnits = 100_000

const isSmall = (methods: ReadonlyArray<string>): boolean =>
  methods.length <= mostNames && methods.reduce((units, name) => units + name.length, 0) <= mostUnits

/** The list itself, or an equal one that another connection has. */
export const methods = by<ReadonlyArray<string>>(
  (one, other) => one.length === other.length && one.every((name, index) => name === other[index]),
  isSmall
)
