/**
 * The methods that gateways offer. A list has hundreds of names and is the same for every gateway of one build, so that equal
 * lists are kept once in a process, and not once a connection.
 */

/** How many different lists are kept for others to share: about as many as builds that a process meets at a time. */
const mostLists = 8
/** Larger lists than any gateway has are left to the connection that they came with. */
const mostNames = 2000
const mostUnits = 100_000

/** A guard, as a schema of an array takes forty times as long, and hundreds of names come with every hello-ok. */
export const isMethodList = (value: unknown): value is ReadonlyArray<string> =>
  Array.isArray(value) && value.every((name) => typeof name === "string")

const recent: Array<ReadonlyArray<string>> = []

const equal = (one: ReadonlyArray<string>, other: ReadonlyArray<string>): boolean =>
  one.length === other.length && one.every((name, index) => name === other[index])

const isSmall = (methods: ReadonlyArray<string>): boolean =>
  methods.length <= mostNames && methods.reduce((units, name) => units + name.length, 0) <= mostUnits

/** The list itself, or an equal one that another connection has. */
export const shared = (methods: ReadonlyArray<string>): ReadonlyArray<string> => {
  const known = recent.find((list) => equal(list, methods))
  if (known !== undefined) return known
  if (!isSmall(methods)) return methods
  recent.unshift(methods)
  recent.length = Math.min(recent.length, mostLists)
  return methods
}
