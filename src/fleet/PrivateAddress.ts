/**
 * Whether an address is one that only a private network has. Pure.
 */

const privateV4 = [
  /^127\./,
  /^10\./,
  /^192\.168\./,
  /^169\.254\./,
  /^172\.(1[6-9]|2\d|3[01])\./,
  /^100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./
]

/** Unknown for a name, which may have any address. */
export const isPrivate = (host: string): boolean | undefined => {
  const text = host.replace(/^\[|\]$/g, "").toLowerCase()
  const v4 = /^(?:::ffff:)?(\d{1,3}(?:\.\d{1,3}){3})$/.exec(text)?.[1]
  if (v4 !== undefined) return privateV4.some((range) => range.test(v4))
  if (text.includes(":")) return text === "::1" || /^f[cd]/.test(text) || /^fe[89ab]/.test(text)
  return text === "localhost" ? true : undefined
}
