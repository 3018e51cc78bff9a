/**
 * A check of `doctor` as a value: what it is about, which checks have to go well before it means anything, and how it is made.
 */
import type * as Effect from "effect/Effect"
import type { Entry } from "../advice/Entry.ts"

/**
 * The checks, in the order in which one trouble causes another: of two that fail, the earlier one is the more likely cause.
 */
export const checkIds = [
  "settings",
  "setting-names",
  "nodejs",
  "state-directory",
  "durable-place",
  "identity",
  "identity-file",
  "encryption",
  "programs",
  "proxy",
  "dns",
  "dial",
  "tls",
  "certificate",
  "front-door",
  "challenge",
  "clock",
  "ready",
  "health",
  "protocol",
  "client",
  "origin",
  "credential",
  "proof",
  "pairing",
  "session",
  "scopes",
  "release",
  "token-store",
  "journal",
  "orphaned-tasks",
  "tools",
  "tool-search"
] as const
export type CheckId = (typeof checkIds)[number]

/**
 * `skipped`: it was not made, as another check did not go well. `unknown`: nothing could be learned. Neither is a warning.
 */
export type CheckStatus = "ok" | "warn" | "fail" | "skipped" | "unknown"

/** A change that is safe to make and takes the trouble away. */
export type Mend =
  | { readonly _tag: "Chmod"; readonly path: string; readonly mode: number }
  | { readonly _tag: "RemoveSocket"; readonly path: string }

/** What a check found. No text in it holds a secret. */
export interface Finding {
  readonly status: CheckStatus
  /** What was found, as a sentence or a part of one: the facts. */
  readonly what: string
  /** Whose side it is, what to do and by which command; of every `warn` and `fail`. */
  readonly advice?: Entry | undefined
  /** The class of the error, and its reason: what failed. */
  readonly error?: { readonly error: string; readonly reason?: string | undefined } | undefined
  readonly mends?: ReadonlyArray<Mend>
}

export interface Check<out R = never> {
  readonly id: CheckId
  readonly needs: ReadonlyArray<CheckId>
  readonly make: Effect.Effect<Finding, never, R>
}

/** A check that was made or skipped. */
export interface Result {
  readonly id: CheckId
  readonly needs: ReadonlyArray<CheckId>
  readonly finding: Finding
  /** Of a skipped one: the check that did not go well. */
  readonly because?: CheckId | undefined
}

export const ok = (what: string): Finding => ({ status: "ok", what })
export const unknown = (what: string): Finding => ({ status: "unknown", what })
export const warn = (what: string, advice: Entry | undefined, mends: ReadonlyArray<Mend> = []): Finding => ({
  status: "warn",
  what,
  advice,
  mends
})
