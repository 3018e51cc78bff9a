import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Admission } from "../../../src/connection/Admission.ts"
import type { ConnectionStatus } from "../../../src/connection/ConnectionStatus.ts"
import type { Session } from "../../../src/connection/Session.ts"
import { Supervisor } from "../../../src/connection/Supervisor.ts"
import * as GatewaySettings from "../../../src/handshake/GatewayConfig.ts"
import { GatewayConfig } from "../../../src/handshake/GatewayConfig.ts"
import { Handshake } from "../../../src/handshake/Handshake.ts"
import { DeviceIdentity } from "../../../src/identity/DeviceIdentity.ts"
import { Signer } from "../../../src/identity/Signer.ts"
import { type StoredToken, TokenStore } from "../../../src/identity/TokenStore.ts"
import { InteropError } from "./InteropError.ts"
import * as WireLog from "./WireLog.ts"

/** Where a device keeps itself between starts. */
export interface Home {
  readonly identityPath: string
  readonly tokenDirectory: string
  readonly taskDirectory: string
}

export interface Settings {
  readonly token?: Redacted.Redacted
  readonly scopes?: ReadonlyArray<string>
  readonly narrowedScopes?: "accept" | "refuse"
}

export interface StartOptions extends Settings {
  readonly url: string
  /** See `WireLog.make`. */
  readonly alter?: (connect: string) => string
}

type Tag = ConnectionStatus["_tag"]
export type StatusOf<T extends Tag> = Extract<ConnectionStatus, { readonly _tag: T }>

/** The states that last until the gateway or a person does something. */
export type Settled = StatusOf<"Connected" | "AwaitingApproval" | "Halted">

export interface LibraryAgent {
  readonly supervisor: Supervisor["Service"]
  readonly deviceId: string
  readonly attempts: ReadonlyArray<WireLog.Attempt>
  /** Every frame of every link, in order. */
  readonly frames: ReadonlyArray<WireLog.Frame>
  /** The device token that is stored for this gateway now. */
  readonly stored: Effect.Effect<StoredToken | undefined>
  /** Stores a token for this gateway, as the supervisor does. */
  readonly store: (token: StoredToken) => Effect.Effect<void>
  /** The present status or the first one to come that has this tag and for which `where` holds; 30 s unless set. */
  readonly until: <T extends Tag>(
    tag: T,
    options?: { readonly where?: (status: StatusOf<T>) => boolean; readonly timeout?: Duration.Input }
  ) => Effect.Effect<StatusOf<T>, InteropError>
  /** The first lasting state, which is neither the connection of `before` nor this halt. */
  readonly settled: (before?: Session, halted?: StatusOf<"Halted">) => Effect.Effect<Settled, InteropError>
  /** Starts afresh with other settings for the same gateway. */
  readonly reconfigure: (settings: Settings) => Effect.Effect<void>
  /** Ends it, as the end of its program does. */
  readonly stop: Effect.Effect<void>
}

/** A directory of its own for a device, which the scope removes. */
export const makeHome = Effect.map(
  Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped({ prefix: "effect-openclaw-device-" })),
  (directory): Home => ({
    identityPath: `${directory}/identity.json`,
    tokenDirectory: `${directory}/tokens`,
    taskDirectory: `${directory}/tasks`
  })
)

const hasTag = <T extends Tag>(tag: T) => (status: ConnectionStatus): status is StatusOf<T> => status._tag === tag
const isSettled =
  (before: Session | undefined, halted: StatusOf<"Halted"> | undefined) =>
  (status: ConnectionStatus): status is Settled =>
    status._tag === "Connected"
      ? status.session !== before
      : status._tag === "Halted"
      ? status !== halted
      : status._tag === "AwaitingApproval" && !status.checking

const describe = (status: ConnectionStatus): string => {
  switch (status._tag) {
    case "Waiting":
    case "Halted":
      return `${status._tag}: ${"message" in status.cause ? status.cause.message : status.cause._tag}`
    case "AwaitingApproval":
      return `AwaitingApproval: ${status.approval.reason} ${status.approval.requestId}`
    default:
      return status._tag
  }
}

/**
 * This library's supervised connection over a real WebSocket, in this process and in real time: what a program has that
 * uses the layers itself. Nobody attends to it, so that an approval is asked for when a test says `checkNow`.
 */
export const start = Effect.fn("LibraryAgent.start")(function*(home: Home, options: StartOptions) {
  const wire = WireLog.make(options.alter)
  const layer = Supervisor.layer.pipe(
    Layer.provide(Handshake.layer),
    Layer.provide(Admission.layer),
    Layer.provide(wire.layer),
    Layer.provideMerge(Layer.mergeAll(
      GatewayConfig.layer({
        url: options.url,
        token: options.token,
        scopes: options.scopes,
        narrowedScopes: options.narrowedScopes
      }),
      DeviceIdentity.layerFile({ path: home.identityPath }).pipe(Layer.provide(Signer.layerNodejs)),
      TokenStore.layerFile({ directory: home.tokenDirectory })
    )),
    Layer.provide(SecureRandom.layerWebCrypto)
  )
  const scope = yield* Scope.fork(yield* Effect.scope)
  const services = yield* Layer.buildWithScope(layer, scope)
  const supervisor = Context.get(services, Supervisor)
  const settings = Context.get(services, GatewayConfig)
  const tokens = Context.get(services, TokenStore)
  const { deviceId } = Context.get(services, DeviceIdentity)
  const key = { gatewayScope: settings.endpoint.gatewayScope, deviceId, role: settings.role }

  const seen: Array<string> = []
  yield* Effect.forkIn(
    Stream.runForEach(supervisor.changes, ({ status }) => Effect.sync(() => void seen.push(describe(status)))),
    scope,
    { startImmediately: true }
  )
  const first = <A extends ConnectionStatus>(
    what: string,
    is: (status: ConnectionStatus) => status is A,
    timeout: Duration.Input
  ) => {
    const failure = Effect.suspend(() =>
      Effect.fail(new InteropError({ step: "event", detail: `no status ${what}`, log: seen.slice(-20) }))
    )
    return supervisor.changes.pipe(
      Stream.map(({ status }) => status),
      Stream.filter(is),
      Stream.runHead,
      Effect.flatMap(Option.match({ onNone: () => failure, onSome: Effect.succeed })),
      Effect.timeoutOrElse({ duration: timeout, orElse: () => failure })
    )
  }
  const agent: LibraryAgent = {
    supervisor,
    deviceId,
    attempts: wire.attempts,
    frames: wire.frames,
    stored: Effect.orDie(Effect.map(tokens.get(key), Option.getOrUndefined)),
    store: (token) => Effect.orDie(Effect.asVoid(tokens.put(key, token))),
    until: (tag, { timeout = "30 seconds", where = () => true } = {}) => {
      const is = hasTag(tag)
      return first(tag, (status): status is StatusOf<typeof tag> => is(status) && where(status), timeout)
    },
    settled: (before, halted) => first("that lasts", isSettled(before, halted), "30 seconds"),
    reconfigure: ({ narrowedScopes, scopes, token }) =>
      Effect.flatMap(
        Effect.orDie(Effect.fromResult(GatewaySettings.check({ url: options.url, token, scopes, narrowedScopes }))),
        supervisor.reconfigure
      ),
    stop: Scope.close(scope, Exit.void)
  }
  return agent
})
