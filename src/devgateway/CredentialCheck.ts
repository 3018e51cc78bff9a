/**
 * Judges the credential that came with `connect`, and locks out an address that sends too many wrong ones.
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { createHash } from "node:crypto"
import type { Caller } from "./ConnectCheck.ts"
import { type PairingBook, satisfies } from "./PairingBook.ts"
import * as Refusals from "./Refusals.ts"
import type { SetupCodes } from "./SetupCodes.ts"
import { trim } from "./Trim.ts"

export type Auth =
  | { readonly mode: "token"; readonly token: Redacted.Redacted }
  | { readonly mode: "password"; readonly password: Redacted.Redacted }
  | { readonly mode: "none" }

export interface Admission {
  readonly by: "shared" | "operator" | "none" | "device-token" | "setup-code"
  /** As hello-ok names it. */
  readonly method: "token" | "password" | "none" | "device-token" | "bootstrap-token"
}

export interface CredentialCheck {
  /** A wrong credential counts towards the lock-out of this address; a missing one does not. */
  readonly admit: (caller: Caller, address: string, nowMs: number) => Result.Result<Admission, Refusals.Refusal>
}

/** Compares hashes, so that the time it takes reveals nothing about the secret. */
const isSecret = (sent: string | undefined, secret: Redacted.Redacted | undefined): boolean =>
  sent !== undefined && secret !== undefined
  && createHash("sha256").update(sent).digest().equals(createHash("sha256").update(Redacted.value(secret)).digest())

/** Wrong credentials of one address. */
interface Failures {
  readonly atMs: ReadonlyArray<number>
  readonly lockedUntilMs: number
}

/** Beyond this number, the address that failed longest ago is forgotten. */
const maxAddresses = 10_000

export const make = (options: {
  readonly auth: Auth
  readonly operatorToken: Redacted.Redacted | undefined
  readonly book: PairingBook
  readonly codes: SetupCodes
  readonly limit: number
  readonly windowMs: number
  readonly lockoutMs: number
}): CredentialCheck => {
  const { auth, book } = options
  const failures = new Map<string, Failures>()

  const judge = (
    { asker, credentials, role }: Caller,
    nowMs: number
  ): Admission | { readonly fault: Refusals.AuthFault } => {
    const { bootstrapToken, deviceToken, password, token } = credentials
    if (asker !== undefined && bootstrapToken !== undefined && token === undefined) {
      return options.codes.admits(bootstrapToken, asker, nowMs)
        ? { by: "setup-code", method: "bootstrap-token" }
        : { fault: "bootstrap_token_invalid" }
    }
    if (asker !== undefined && isSecret(token, options.operatorToken)) return { by: "operator", method: "token" }
    if (auth.mode === "none") return { by: "none", method: "none" }
    // token mode accepts the shared token in the password field too
    if (auth.mode === "token" && isSecret(token ?? password, auth.token)) return { by: "shared", method: "token" }
    if (auth.mode === "password" && isSecret(password, auth.password)) return { by: "shared", method: "password" }
    const asDevice = deviceToken ?? token
    if (asker !== undefined && asDevice !== undefined && book.tokenMatches(asker.deviceId, role, asDevice)) {
      const granted = book.token(asker.deviceId, role)?.scopes ?? []
      return asker.scopes.every((scope) => satisfies(granted, scope))
        ? { by: "device-token", method: "device-token" }
        : { fault: "scope_mismatch" }
    }
    if (deviceToken !== undefined) return { fault: "device_token_mismatch" }
    if (auth.mode === "password") return { fault: password === undefined ? "password_missing" : "password_mismatch" }
    return { fault: token === undefined && password === undefined ? "token_missing" : "token_mismatch" }
  }

  const count = (address: string, nowMs: number) => {
    const atMs = [...(failures.get(address)?.atMs ?? []).filter((at) => nowMs - at < options.windowMs), nowMs]
    const locked = atMs.length >= options.limit
    failures.delete(address)
    failures.set(address, { atMs: locked ? [] : atMs, lockedUntilMs: locked ? nowMs + options.lockoutMs : 0 })
    trim(failures, maxAddresses)
  }

  return {
    admit: (caller, address, nowMs) => {
      const lockedMs = (failures.get(address)?.lockedUntilMs ?? 0) - nowMs
      if (lockedMs > 0) return Result.fail(Refusals.lockedOut(lockedMs))
      const verdict = judge(caller, nowMs)
      if (!("fault" in verdict)) {
        failures.delete(address)
        return Result.succeed(verdict)
      }
      const { fault } = verdict
      if (fault.endsWith("_mismatch") && fault !== "scope_mismatch") count(address, nowMs)
      const canRetry = fault === "token_mismatch" && caller.credentials.token !== undefined
        && caller.asker !== undefined
      return Result.fail(Refusals.unauthorized(fault, canRetry))
    }
  }
}
