/**
 * The variants of each state: widths in pixels, colour schemes, directions.
 */
export const widths = [360, 1280] as const
export const schemes = ["light", "dark"] as const
export const directions = ["ltr", "rtl"] as const
