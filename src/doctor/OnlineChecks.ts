/**
 * The checks that speak with the gateway, each a view of one attempt and of what its HTTP side answers.
 */
import * as Effect from "effect/Effect"
import { doctorAdvice } from "../advice/DoctorAdvice.ts"
import type { Entry } from "../advice/Entry.ts"
import { handshakeAdvice } from "../advice/HandshakeAdvice.ts"
import type { Answer } from "../link/GatewayProbe.ts"
import { field, names } from "../protocol/OutsideText.ts"
import { clockWords } from "../status/StatusText.ts"
import type { Observed } from "./Attempt.ts"
import type { Check, CheckId, Finding } from "./Check.ts"
import { ok, unknown, warn } from "./Check.ts"
import type { Outcome } from "./Outcome.ts"
import { standingOf, testedReleases } from "./TestedReleases.ts"

/** What is known of the gateway when its checks are made. */
export interface Online {
  readonly outcome: Outcome
  /** Absent where a running program was asked instead. */
  readonly observed: Observed | undefined
  /** The gateway's clock minus this machine's. */
  readonly clockDeltaMs: number | undefined
  /** The answers of the HTTP side; absent where it could not be asked. */
  readonly health: Answer | undefined
  readonly ready: Answer | undefined
  readonly nowMs: number
}

/** What is known before anything is dialled. */
export interface Way {
  readonly url: string
  /** `wss:` */
  readonly secure: boolean
  /** What the environment names, and the variable that does; absent where there is none for this gateway. */
  readonly proxy: { readonly variable: string; readonly name: string } | undefined
  readonly pinned: boolean
  readonly origin: string | undefined
  readonly clientId: string
  readonly role: string
  /** What the settings hold, and whether a device token is stored. */
  readonly credential: string
}

/** A difference of clocks that people notice. Gateways take a signed time that is 120 s off. */
const clockToleranceMs = 30_000
/** A certificate that ends sooner is worth a word. */
const certificateDays = 14
const dayMs = 86_400_000

/** Each check stands behind the one before it: it is made only if that one went well. */
export const onlineChecks = <R>(online: Effect.Effect<Online, never, R>, way: Way): ReadonlyArray<Check<R>> => {
  const seen = (
    id: CheckId,
    needs: ReadonlyArray<CheckId>,
    good: (online: Online) => Finding
  ): Check<R> => ({
    id,
    needs,
    make: Effect.map(online, (online) => {
      const { outcome } = online
      if (outcome._tag === "Failed" && outcome.at === id) return outcome.finding
      return outcome._tag === "Unknown" ? unknown(outcome.why) : good(online)
    })
  })
  const plainly = (what: string) => () => ok(what)
  return [
    seen(
      "proxy",
      ["settings", "identity"],
      plainly(
        way.proxy === undefined
          ? "no proxy is between this machine and the gateway"
          : `${way.proxy.variable} names the proxy ${way.proxy.name}`
      )
    ),
    seen("dns", ["proxy"], plainly("the gateway's host has an address")),
    seen("dial", ["dns"], (online) => ok(`${field(way.url)} takes connections${took(online, "dial")}`)),
    seen(
      "tls",
      ["dial"],
      (online) =>
        ok(
          way.secure
            ? `TLS is agreed${took(online, "tls")}`
            : "plaintext, which never leaves this machine or the one host of the settings"
        )
    ),
    seen("certificate", ["tls"], (online) => certificate(online, way)),
    seen("front-door", ["certificate"], plainly("the WebSocket is let through")),
    seen("challenge", ["front-door"], (online) => ok(`the gateway sent its challenge${took(online, "challenge")}`)),
    { id: "clock", needs: ["challenge"], make: Effect.map(online, clock) },
    seen("ready", ["challenge"], ({ ready }) => readiness(ready)),
    { id: "health", needs: ["dial"], make: Effect.map(online, ({ health }) => healthOf(health)) },
    seen(
      "protocol",
      ["ready"],
      ({ outcome }) => ok(outcome._tag === "Met" ? `protocol ${outcome.met.protocol}` : "a version in common")
    ),
    seen("client", ["protocol"], plainly(`the client id ${field(way.clientId)} is known there`)),
    seen(
      "origin",
      ["client"],
      plainly(way.origin === undefined ? "no Origin is sent" : `the origin ${field(way.origin)} is allowed`)
    ),
    seen(
      "credential",
      ["origin"],
      ({ observed }) =>
        ok(observed?.credential === undefined ? way.credential : `${way.credential}; offered: ${observed.credential}`)
    ),
    seen("proof", ["credential"], plainly("the device's signature is accepted")),
    seen("pairing", ["proof"], plainly(`the device is admitted as ${field(way.role)}`)),
    seen("session", ["pairing"], (online) => ok(`hello-ok${took(online, "hello")}`)),
    seen("scopes", ["session"], scopes),
    seen("release", ["session"], release)
  ]
}

const took = ({ observed }: Online, step: string): string => {
  const phase = observed?.phases.find((phase) => phase.step === step)
  return phase === undefined ? "" : ` (${phase.ms} ms)`
}

const certificate = ({ health, nowMs, ready }: Online, way: Way): Finding => {
  if (!way.secure) return ok("none, as the address is ws://")
  const shown = health?.certificate ?? ready?.certificate
  const how = way.pinned ? "it is the pinned one" : "a known authority vouches for it"
  if (shown === undefined || !Number.isFinite(shown.validToMs)) return ok(how)
  const days = Math.floor((shown.validToMs - nowMs) / dayMs)
  const facts = `${how}; ${days} days left, ${shown.protocol}, ${shown.chainLength} certificate${
    shown.chainLength === 1 ? "" : "s"
  } in the chain, issued by ${shown.issuer}`
  return days < certificateDays ? warn(facts, doctorAdvice.CertificateEnding) : ok(facts)
}

const clock = ({ clockDeltaMs }: Online): Finding => {
  if (clockDeltaMs === undefined) return unknown("the gateway has not said its time")
  const what = clockWords(clockDeltaMs)
  return Math.abs(clockDeltaMs) < clockToleranceMs ? ok(what) : warn(what, doctorAdvice.ClockOff)
}

const healthOf = (health: Answer | undefined): Finding =>
  health === undefined
    ? unknown("/healthz could not be asked")
    : health.status === 200
    ? ok(`/healthz answers 200 (${health.elapsedMs} ms)`)
    : unknown(`/healthz answers ${health.status}`)

const readiness = (ready: Answer | undefined): Finding => {
  if (ready === undefined) return unknown("/readyz could not be asked")
  if (ready.status === 200) return ok("/readyz answers 200")
  return ready.status === 503
    ? warn(`/readyz answers 503${ready.body === "" ? "" : `: ${ready.body}`}`, doctorAdvice.GatewayNotReady)
    : unknown(`/readyz answers ${ready.status}`)
}

const scopes = ({ outcome }: Online): Finding => {
  if (outcome._tag !== "Met") return unknown("no session")
  const { missingScopes, scopes } = outcome.met
  if (missingScopes.length === 0) return ok(`granted: ${names(scopes) || "none"}`)
  const advice: Entry = handshakeAdvice.ScopesNarrowed
  return warn(`not granted: ${names(missingScopes)}; granted: ${names(scopes) || "none"}`, {
    ...advice,
    problem: doctorScopes
  })
}

const doctorScopes = "The gateway let this device in without some of the scopes that the settings name."

const release = ({ outcome }: Online): Finding => {
  if (outcome._tag !== "Met" || outcome.met.release === undefined) {
    return unknown("the gateway does not say its release")
  }
  const { release } = outcome.met
  const name = `OpenClaw ${field(release, { maxLength: 64 })}`
  switch (standingOf(release)) {
    case "tested":
      return ok(`${name} is one of the tested releases`)
    case "between":
      return ok(`${name} stands between tested releases`)
    case "newer":
      return unknown(`${name} is newer than ${testedReleases.at(-1)}, the newest tested one`)
    case "older":
      return warn(`${name} is older than ${testedReleases[0]}`, doctorAdvice.ReleaseTooOld)
    case "unknown":
      return unknown(`${name} is no release that this program knows`)
  }
}

/** How long a phase took altogether, in words. */
export const phasesLine = ({ observed }: Online): string | undefined =>
  observed === undefined || observed.phases.length === 0
    ? undefined
    : `${observed.phases.map(({ ms, step }) => `${step} ${ms} ms`).join(", ")}${
      observed.handshakes > 1 ? `; ${observed.handshakes} handshakes` : ""
    }; together ${observed.phases.reduce((sum, { ms }) => sum + ms, 0)} ms`
