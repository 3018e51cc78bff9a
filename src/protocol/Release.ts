/**
 * The versions of OpenClaw, which are named by year and month, for what no gateway says in another way. Pure.
 */

/** Whether a gateway is older than a release such as `2026.8`; nothing for a version that is not named so. */
export const isBefore = (version: string | undefined, release: string): boolean | undefined => {
  const [told, wanted] = [monthOf(version), monthOf(release)]
  return told === undefined || wanted === undefined ? undefined : told < wanted
}

const monthOf = (version = ""): number | undefined => {
  const [, year, month] = /^(\d{4})\.(\d{1,2})(?!\d)/.exec(version) ?? []
  return year === undefined || month === undefined ? undefined : Number(year) * 12 + Number(month)
}
