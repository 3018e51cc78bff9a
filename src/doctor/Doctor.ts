/**
 * Looks for every known trouble between this machine and its gateway, in the order in which one causes another.
 *
 * A program that runs on the state directory is asked over its private socket, and nothing is dialled with the device's key beside it.
 * Without one, a single attempt is made and observed. Nothing on disk changes but what a connection stores: the token that the
 * gateway issues.
 */
import * as Clock from "effect/Clock"
import type * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import type * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as EffectResult from "effect/Result"
import { doctorAdvice } from "../advice/DoctorAdvice.ts"
import type { AdvisedError } from "../advice/ErrorCatalogue.ts"
import { Admission } from "../connection/Admission.ts"
import type { Approval } from "../connection/ConnectionStatus.ts"
import type { GatewaySettings } from "../handshake/GatewayConfig.ts"
import { GatewayConfig, nodeSettings } from "../handshake/GatewayConfig.ts"
import * as Monotonic from "../handshake/Monotonic.ts"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import { TokenStore } from "../identity/TokenStore.ts"
import { isLoopback, shown } from "../link/Endpoint.ts"
import * as GatewayProbe from "../link/GatewayProbe.ts"
import * as ProxyEnvironment from "../link/ProxyEnvironment.ts"
import type { Target } from "../link/Transport.ts"
import * as TransportWs from "../link/TransportWs.ts"
import * as StatusClient from "../status/StatusClient.ts"
import type { StatusReport } from "../status/StatusReport.ts"
import type { PrivateFile } from "../storage/PrivateFile.ts"
import type { StateFiles } from "../storage/StateDirectory.ts"
import { TaskJournal } from "../tasks/TaskJournal.ts"
import type { Processes } from "../tasks/TaskOwner.ts"
import * as Attempt from "./Attempt.ts"
import type { Check, Result } from "./Check.ts"
import { checkIds, ok } from "./Check.ts"
import { examine } from "./Examine.ts"
import type { Opened } from "./IdentityChecks.ts"
import * as IdentityChecks from "./IdentityChecks.ts"
import type { Online, Way } from "./OnlineChecks.ts"
import { onlineChecks } from "./OnlineChecks.ts"
import type { Outcome } from "./Outcome.ts"
import { ofReport, ofStatus } from "./Outcome.ts"
import * as StateChecks from "./StateChecks.ts"
import { toolsCheck, toolSearchCheck } from "./ToolsCheck.ts"

/** What `doctor` looks at. */
export interface Subject {
  readonly files: StateFiles | undefined
  readonly identityPath: string | undefined
  /** The identity that the settings hold, if they do, or why they cannot be used. */
  readonly configured: Effect.Effect<
    Option.Option<DeviceIdentity["Service"]>,
    AdvisedError & { readonly message: string },
    FileSystem.FileSystem
  >
  readonly passphrase: Redacted.Redacted | undefined
  readonly gateway: GatewaySettings
  /** The settings name the gateway. Otherwise that of a running program counts. */
  readonly urlGiven: boolean
  readonly warnings: ReadonlyArray<string>
  /** The gateway knows this device for its tools alone, so that it is tried in the role *node*. */
  readonly toolsOnly: boolean
  /** The command that approves the request. */
  readonly approve: (approval: Approval) => string
}

export interface Host {
  readonly nodejs: string
  readonly processes: Processes
}

/** What was found. */
export interface Examination {
  readonly results: ReadonlyArray<Result>
  readonly online: Online | undefined
  readonly gateway: string | undefined
  readonly deviceId: string | undefined
  /** Who has tried the gateway. */
  readonly asked: "run" | "attempt" | undefined
  readonly elapsedMs: number
}

type Machine = FileSystem.FileSystem | Path.Path | PrivateFile | SecureRandom.SecureRandom

/** Settings that cannot be used: everything else stands behind them. */
export const withoutSettings = (
  error: AdvisedError & { readonly message: string },
  host: Host
): Effect.Effect<Examination> =>
  Effect.gen(function*() {
    const settings: Check = { id: "settings", needs: [], make: Effect.succeed(StateChecks.failed(error)) }
    const others = checkIds.filter((id) => id !== "settings" && id !== "nodejs").map((id): Check => ({
      id,
      needs: ["settings"],
      make: Effect.succeed(ok(""))
    }))
    const results = yield* examine([settings, StateChecks.nodejs(host.nodejs), ...others])
    return { results, online: undefined, gateway: undefined, deviceId: undefined, asked: undefined, elapsedMs: 0 }
  })

/** A second of difference is the time that passes between two readings. */
const stepToleranceMs = 2000

export const run = Effect.fn("Doctor.run")(function*(subject: Subject, host: Host) {
  const { files, gateway, identityPath } = subject
  const clock = yield* Clock.Clock
  const [wallMs, startMs] = [clock.currentTimeMillisUnsafe(), Monotonic.nowMs(clock)]
  const found = yield* Effect.cached(
    files === undefined ? Effect.succeed([]) : StatusClient.find(files.directory)
  )
  const reports = Effect.map(
    Effect.orElseSucceed(found, () => []),
    (all) => all.flatMap((one) => one._tag === "Answered" ? [one.report] : [])
  )
  const opened = yield* Effect.cached(openIdentity(subject))
  const way = yield* wayOf(subject)
  const online = yield* Effect.cached(
    Effect.flatMap(Effect.all([opened, reports]), ([{ identity }, all]) => lookOnline(subject, identity, all))
  )
  const journal = yield* Effect.cached(StateChecks.readJournal(
    files === undefined ? Effect.succeed([]) : Effect.flatMap(TaskJournal, ({ read }) => read).pipe(
      Effect.provide(TaskJournal.layerFile({ directory: files.tasks, processes: host.processes }))
    )
  ))
  const stored = Effect.flatMap(
    opened,
    ({ identity }) =>
      EffectResult.isFailure(identity)
        ? Effect.succeed(false)
        : storedToken(subject, identity.success, subject.toolsOnly ? "node" : "operator")
  )
  const checks: ReadonlyArray<Check<Machine>> = [
    { id: "settings", needs: [], make: Effect.succeed(ok("the settings can be used")) },
    StateChecks.settingNames(subject.warnings),
    StateChecks.nodejs(host.nodejs),
    StateChecks.stateDirectory(files?.directory),
    StateChecks.durablePlace(identityPath),
    ...IdentityChecks.identityChecks(opened, subject.passphrase !== undefined),
    StateChecks.programs(found),
    StateChecks.tokenStore(files?.tokens, stored),
    StateChecks.journal(journal),
    StateChecks.orphanedTasks(journal, Effect.map(reports, (all) => all.length > 0)),
    ...onlineChecks(online, way),
    toolsCheck(
      Effect.flatMap(opened, ({ identity }) =>
        EffectResult.isFailure(identity)
          ? Effect.succeed(false)
          : Effect.orElseSucceed(storedToken(subject, identity.success, "node"), () => false)),
      reports
    ),
    toolSearchCheck(reports, Effect.flatMap(Effect.orElseSucceed(found, () => []), toolSearch))
  ]
  const results = yield* examine(checks)
  const identityResult = results.find(({ id }) => id === "identity")
  const seen = identityResult?.finding.status === "ok" ? yield* online : undefined
  const stepMs = clock.currentTimeMillisUnsafe() - wallMs - (Monotonic.nowMs(clock) - startMs)
  const { identity } = yield* opened
  return {
    results: Math.abs(stepMs) < stepToleranceMs ? results : results.map((result) => stepped(result, stepMs)),
    online: seen,
    gateway: shown(gateway.endpoint.gatewayScope),
    deviceId: EffectResult.isSuccess(identity) ? identity.success.deviceId : undefined,
    asked: seen === undefined ? undefined : seen.observed === undefined ? "run" : "attempt",
    elapsedMs: Monotonic.nowMs(clock) - startMs
  } satisfies Examination
})

/** What the program that has published tools learns from its gateway. A release that does not know the request refuses it. */
const toolSearch = (all: ReadonlyArray<StatusClient.Found>): Effect.Effect<boolean | undefined> => {
  const publisher = all.find((one) => one._tag === "Answered" && one.report.tools?.state === "published")
  return publisher === undefined ? Effect.undefined : Effect.match(
    StatusClient.askOnce(publisher.socket, "tool-search"),
    { onFailure: () => undefined, onSuccess: ({ toolSearch }) => toolSearch }
  )
}

/** A clock that was set meanwhile is a finding of its own. */
const stepped = (result: Result, stepMs: number): Result =>
  result.id !== "clock" || result.finding.status === "warn" ? result : {
    ...result,
    because: undefined,
    finding: {
      status: "warn",
      what: `the wall clock moved by ${Math.round(stepMs / 1000)} s against the monotonic clock while this ran`,
      advice: doctorAdvice.ClockStepped
    }
  }

const openIdentity = (
  { configured, identityPath, passphrase }: Subject
): Effect.Effect<Opened, never, Machine> =>
  Effect.matchEffect(configured, {
    onFailure: (error) =>
      Effect.succeed<Opened>({ identity: EffectResult.fail(error), exposed: undefined, encrypted: undefined }),
    onSuccess: (found) =>
      Option.isSome(found)
        ? Effect.succeed(IdentityChecks.ofSettings(found.value))
        : quietly(IdentityChecks.open(identityPath ?? "", passphrase))
  })

const tokensOf = ({ files }: Subject) =>
  files === undefined ? TokenStore.layerMemory : TokenStore.layerFile({ directory: files.tokens })

const storedToken = (subject: Subject, { deviceId }: DeviceIdentity["Service"], role: "operator" | "node") =>
  Effect.flatMap(TokenStore, ({ get }) => get({ gatewayScope: subject.gateway.endpoint.gatewayScope, deviceId, role }))
    .pipe(Effect.map(Option.isSome), Effect.provide(tokensOf(subject)), quietly)

/** What is found is told once, as a finding. */
const quietly = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(effect, References.MinimumLogLevel, "None")

/** The running program that is connected, or tries, to the gateway of the settings; a `run` before all others. */
const runningFor = ({ gateway, urlGiven }: Subject, reports: ReadonlyArray<StatusReport>): StatusReport | undefined => {
  const own = shown(gateway.endpoint.gatewayScope)
  const same = reports.filter((report) => !urlGiven || report.gateway.url === own)
  return same.find(({ command }) => command === "run") ?? same[0]
}

const lookOnline = (
  subject: Subject,
  identity: Opened["identity"],
  reports: ReadonlyArray<StatusReport>
): Effect.Effect<Online, never, Machine> =>
  Effect.gen(function*() {
    const running = runningFor(subject, reports)
    const tried = running !== undefined
      ? { outcome: ofReport(running), observed: undefined, clockDeltaMs: running.session?.clockDeltaMs }
      : EffectResult.isFailure(identity)
      ? { outcome: noIdentity, observed: undefined, clockDeltaMs: undefined }
      : yield* attempt(subject, identity.success)
    const target = targetOf(subject, running)
    const probe = (path: string) =>
      answersHttp(tried.outcome)
        ? Effect.map(
          Effect.option(Effect.timeout(GatewayProbe.get(target, path), "5 seconds")),
          Option.getOrUndefined
        )
        : Effect.succeed(undefined)
    const [health, ready] = yield* Effect.all([probe("/healthz"), probe("/readyz")], { concurrency: 2 })
    return { ...tried, health, ready, nowMs: yield* Clock.currentTimeMillis }
  })

const noIdentity: Outcome = { _tag: "Unknown", why: "without an identity nothing can be tried" }

const attempt = Effect.fnUntraced(function*(subject: Subject, identity: DeviceIdentity["Service"]) {
  const { observed, status } = yield* Effect.scoped(Attempt.attempt).pipe(
    Effect.provide(
      GatewayConfig.layerKnown.pipe(
        Layer.provide(
          Layer.succeed(
            GatewayConfig,
            subject.toolsOnly ? nodeSettings(subject.gateway, identity.platform) : subject.gateway
          )
        ),
        Layer.provideMerge(
          Layer.mergeAll(
            Admission.layer,
            TransportWs.layer,
            tokensOf(subject),
            Layer.succeed(DeviceIdentity, identity)
          )
        )
      )
    ),
    quietly
  )
  return { outcome: ofStatus(status, subject.approve), observed, clockDeltaMs: observed.clockDeltaMs }
})

/** The HTTP side is asked where the attempt came so far that something answers there, and it is the gateway. */
const answersHttp = (outcome: Outcome): boolean =>
  outcome._tag === "Met"
  || (outcome._tag === "Failed" && checkIds.indexOf(outcome.at) > checkIds.indexOf("certificate"))

const targetOf = ({ gateway }: Subject, running: StatusReport | undefined): Target => {
  const url = running !== undefined && URL.canParse(running.gateway.url)
    ? new URL(running.gateway.url)
    : gateway.endpoint.url
  return {
    url,
    origin: undefined,
    tls: gateway.tls,
    headers: gateway.headers,
    secrets: [gateway.token, gateway.password].filter((secret) => secret !== undefined)
  }
}

const wayOf = Effect.fnUntraced(function*({ gateway, toolsOnly }: Subject) {
  const { url } = gateway.endpoint
  // The family of the device, which depends on the platform, is not looked at here.
  const { clientId, role } = toolsOnly ? nodeSettings(gateway, "") : gateway
  const variables = yield* ProxyEnvironment.variables
  const proxy = isLoopback(url.hostname) ? undefined : ProxyEnvironment.proxyFor(variables, url)
  const own = url.protocol === "wss:" ? "https_proxy" : "http_proxy"
  return {
    url: shown(gateway.endpoint.gatewayScope),
    secure: url.protocol === "wss:",
    proxy: proxy === undefined
      ? undefined
      : {
        variable: (variables[own] === "" ? "all_proxy" : own).toUpperCase(),
        name: URL.canParse(proxy) ? new URL(proxy).host : "of an unreadable URL"
      },
    pinned: gateway.pinned,
    origin: gateway.origin,
    clientId,
    role,
    credential: gateway.token !== undefined
      ? "the gateway's token is set"
      : gateway.password !== undefined
      ? "the gateway's password is set"
      : "no shared credential is set"
  } satisfies Way
})
