import type { ErrorShape } from "../protocol/Frame.ts"

/** Answers a request, once. */
export type Respond = (answer: { readonly payload: unknown } | { readonly error: ErrorShape }) => void
