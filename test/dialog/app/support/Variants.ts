/**
 * In how many ways each state is looked at.
 */
export const widths = [360, 1280] as const
export const schemes = ["light", "dark"] as const
export const directions = ["ltr", "rtl"] as const
