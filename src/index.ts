export const packageName = "effect-openclaw"
