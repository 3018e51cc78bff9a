import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import { homedir, tmpdir } from "node:os"
import { freePort } from "../../support/FreePort.ts"
import { InteropError } from "./InteropError.ts"
import { type ModelStub, modelStub } from "./ModelStub.ts"
import * as ProcessGroup from "./ProcessGroup.ts"
import { connect } from "./RawClient.ts"
import { proxyAddress } from "./RemoteProxy.ts"

/** The releases under test, from `OPENCLAW_RELEASES`: npm versions, separated by spaces. */
export const releases: Config.Config<ReadonlyArray<string>> = Config.String("OPENCLAW_RELEASES").pipe(
  Config.withDefault("2026.9.6"),
  Config.map((text) => text.split(/\s+/).filter((release) => release !== ""))
)

export interface Installation {
  readonly release: string
  /** The script that is OpenClaw's command line. */
  readonly entry: string
  /** The folder in which npm put the command `openclaw`. */
  readonly commands: string
  /** Where OpenClaw and Node keep compiled code between boots; without it some releases take half a minute to boot. */
  readonly compiled: string
}

/** Where the operating system wants data that can be fetched again. */
const cacheHome = process.platform === "darwin" ? `${homedir()}/Library/Caches` : `${homedir()}/.cache`

const cacheDirectory = Config.String("OPENCLAW_INTEROP_CACHE").pipe(
  Config.orElse(() =>
    Config.map(
      Config.withDefault(Config.String("XDG_CACHE_HOME"), cacheHome),
      (directory) => `${directory}/effect-openclaw/interop`
    )
  )
)

/** This Node first, so that npm and OpenClaw run on it, whatever the machine has. */
const searchPath = Effect.gen(function*() {
  const path = yield* Path.Path
  return `${path.dirname(process.execPath)}:${yield* Config.withDefault(Config.String("PATH"), "/usr/bin:/bin")}`
})

/** What npm may need of the caller's settings (registry, proxy, certificates), without those of the test runner. */
const npmEnvironment = Effect.map(searchPath, (PATH) => {
  const inherited = Object.entries(process.env).flatMap(([name, value]) =>
    value === undefined || /^(OPENCLAW_|VITEST|NODE_OPTIONS$|npm_(package|lifecycle|config_local_prefix))/.test(name)
      ? []
      : [[name, value] as const]
  )
  return { ...Object.fromEntries(inherited), PATH }
})

/**
 * Older releases name versions of these two that the registry alone does not give; the newer ones do not use them.
 * The install scripts of none are needed here, and those of some refuse the Node of the machine.
 */
const manifest = (release: string) => ({
  private: true,
  dependencies: { openclaw: release },
  overrides: { libsignal: "6.0.0", linkedom: "0.18.12" }
})

/** Staging directories of installs that were killed; one in progress is younger. */
const removeStale = Effect.fnUntraced(function*(root: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  for (const name of yield* fs.readDirectory(root)) {
    if (!name.includes(".partial-")) continue
    const { mtime } = yield* fs.stat(path.join(root, name))
    const age = Option.match(mtime, { onNone: () => 0, onSome: (time) => Date.now() - time.getTime() })
    if (age > Duration.toMillis("1 hour")) yield* fs.remove(path.join(root, name), { recursive: true, force: true })
  }
})

/**
 * Installs a release from the npm registry (about 650 MB, half a minute) into `OPENCLAW_INTEROP_CACHE`, or into the
 * cache directory of the system, once: it is built beside its place and moved there whole.
 */
export const install = Effect.fn("OpenClaw.install")(function*(release: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  if (!/^\d+(\.\d+){2}[\w.-]*$/.test(release)) {
    return yield* new InteropError({ step: "install", detail: `${JSON.stringify(release)} is no release` })
  }
  const root = yield* cacheDirectory
  const directory = path.join(root, release)
  const installation: Installation = {
    release,
    entry: path.join(directory, "node_modules", "openclaw", "openclaw.mjs"),
    commands: path.join(directory, "node_modules", ".bin"),
    compiled: path.join(root, "compiled", release)
  }
  if (yield* fs.exists(installation.entry)) return installation

  yield* fs.makeDirectory(root, { recursive: true })
  yield* removeStale(root)
  const staging = yield* Effect.acquireRelease(
    fs.makeTempDirectory({ directory: root, prefix: `${release}.partial-` }),
    (staging) => Effect.ignore(fs.remove(staging, { recursive: true, force: true }))
  )
  yield* fs.writeFileString(path.join(staging, "package.json"), JSON.stringify(manifest(release)))
  const log: Array<string> = []
  const npm = yield* ProcessGroup.spawn(
    "npm",
    ["install", "--prefix", staging, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"],
    {
      cwd: staging,
      env: yield* npmEnvironment,
      onStdout: (line) => void log.push(line),
      onStderr: (line) => void log.push(line)
    }
  )
  const { code } = yield* npm.drained
  if (code !== 0) return yield* new InteropError({ step: "install", detail: `npm ended with ${code}`, log })
  // Another process may have been faster; its copy is as good.
  yield* Effect.catch(
    fs.rename(staging, directory),
    (cause) => Effect.flatMap(fs.exists(installation.entry), (exists) => exists ? Effect.void : Effect.fail(cause))
  )
  return installation
}, Effect.scoped)

export interface CommandResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Gateway {
  readonly release: string
  /** Plain loopback: a client here is a local one, and most are approved silently. `RemoteProxy.proxy` for the other. */
  readonly url: string
  readonly port: number
  /** The shared token of `gateway.auth`. */
  readonly token: Redacted.Redacted
  readonly stateDirectory: string
  /** The model provider of this gateway. */
  readonly model: ModelStub
  /** OpenClaw's own command line, on this gateway's state (`["devices", "list", "--json"]`). Its output is not masked. */
  readonly cli: (args: ReadonlyArray<string>) => Effect.Effect<CommandResult, InteropError>
  /** A line as a person pastes it into a shell on the gateway's host, where `openclaw` is a command. */
  readonly shell: (line: string) => Effect.Effect<CommandResult, InteropError>
  /**
   * SIGTERM, and SIGKILL 5 s later: a gateway with a run in progress would wait minutes for it. Does nothing when it is
   * stopped.
   */
  readonly stop: Effect.Effect<void>
  /** Starts it again on the same port and state, ready when this is done. Does nothing while it runs. */
  readonly start: Effect.Effect<void, InteropError>
  readonly restart: Effect.Effect<void, InteropError>
  /** Ends it by SIGKILL: no `shutdown` event, no close frame. `start` brings it back. */
  readonly crash: Effect.Effect<void>
  /** The process group that runs, or ran last. */
  readonly group: Effect.Effect<{ readonly pid: number }>
  /** The last lines that the gateway printed, oldest first, with the token masked. */
  readonly log: ReadonlyArray<string>
}

export interface BootOptions {
  /** One model provider for several gateways; unless given, the gateway has one of its own. */
  readonly model?: ModelStub
  /** Merged over `gateway` of the configuration file, for instance `{ controlUi: { allowedOrigins: [...] } }`. */
  readonly gatewayConfig?: Readonly<Record<string, unknown>>
}

const configuration = (
  port: number,
  token: Redacted.Redacted,
  model: ModelStub,
  logFile: string,
  options: BootOptions
) => ({
  logging: { file: logFile },
  gateway: {
    mode: "local",
    port,
    bind: "loopback",
    trustedProxies: [proxyAddress],
    auth: { mode: "token", token: Redacted.value(token) },
    ...options.gatewayConfig
  },
  agents: { defaults: { model: { primary: "fake/echo" } } },
  models: {
    providers: {
      fake: {
        baseUrl: `http://127.0.0.1:${model.port}/v1`,
        apiKey: "sk-fake",
        api: "openai-completions",
        models: [{
          id: "echo",
          name: "Echo",
          reasoning: true,
          input: ["text", "image"],
          cost: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 },
          contextWindow: 200_000,
          maxTokens: 8192
        }]
      }
    }
  }
})

/** Asks without a device, which every release admits and none remembers. */
const answersConnect = Effect.fnUntraced(function*(url: string, token: Redacted.Redacted) {
  const { answer } = yield* connect({ url, token })
  if (answer._tag === "Accepted" || answer.error.code !== "UNAVAILABLE") return
  return yield* new InteropError({ step: "boot", detail: answer.error.message })
}, Effect.scoped)

const bootLimit = "120 seconds"
const logLines = 400

/**
 * Boots a real gateway of that release in a directory of its own, and is done when a client is answered (OpenClaw
 * answers `UNAVAILABLE` while it still loads). Nothing of the caller's home, state or environment is seen by it.
 * The scope ends all its processes and removes the directory. Time here is real: tests use `it.live`.
 */
export const boot = Effect.fn("OpenClaw.boot")(function*(release: string, options: BootOptions = {}) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const installation = yield* install(release)
  const model = options.model ?? (yield* modelStub())
  const port = yield* freePort
  const url = `ws://127.0.0.1:${port}`
  const secret = randomBytes(24).toString("hex")
  const token = Redacted.make(secret)
  const home = yield* fs.makeTempDirectoryScoped({ directory: tmpdir(), prefix: "effect-openclaw-" })
  const stateDirectory = path.join(home, "state")
  const configPath = path.join(stateDirectory, "openclaw.json")
  const temporary = path.join(home, "tmp")
  yield* fs.makeDirectory(stateDirectory, { mode: 0o700 })
  yield* fs.makeDirectory(temporary)
  for (const name of ["jiti", "node-compile-cache"]) {
    yield* fs.makeDirectory(path.join(installation.compiled, name), { recursive: true })
    yield* fs.symlink(path.join(installation.compiled, name), path.join(temporary, name))
  }
  const config = configuration(port, token, model, path.join(home, "gateway.log"), options)
  yield* fs.writeFileString(configPath, JSON.stringify(config), { mode: 0o600 })
  const env = {
    PATH: yield* searchPath,
    HOME: home,
    TMPDIR: temporary,
    NO_COLOR: "1",
    OPENCLAW_STATE_DIR: stateDirectory,
    OPENCLAW_CONFIG_PATH: configPath,
    OPENCLAW_NO_RESPAWN: "1",
    OPENCLAW_DISABLE_BONJOUR: "1"
  }

  const log: Array<string> = []
  const onLine = (line: string) => {
    log.push(line.replaceAll(secret, "***"))
    if (log.length > logLines) log.splice(0, log.length - logLines)
  }

  const boot = Effect.gen(function*() {
    const group = yield* ProcessGroup.spawn(
      process.execPath,
      [installation.entry, "gateway", "run", "--port", String(port)],
      { cwd: home, env, onStdout: onLine, onStderr: onLine }
    )
    const failure = (detail: string) =>
      Effect.suspend(() =>
        Effect.fail(new InteropError({ step: "boot", detail: `${release} ${detail}`, log: log.slice(-40) }))
      )
    const ready = answersConnect(url, token).pipe(
      Effect.retry(Schedule.spaced("100 millis")),
      Effect.timeoutOrElse({ duration: bootLimit, orElse: () => failure(`did not answer within ${bootLimit}`) })
    )
    const ended = Effect.flatMap(group.exit, ({ code, signal }) => failure(`ended with ${code ?? signal}`))
    yield* Effect.raceFirst(ready, ended)
    return group
  })

  // Each run of the gateway has a scope of its own within that of the caller.
  const outer = yield* Effect.scope
  const startOnce = Effect.gen(function*() {
    const scope = yield* Scope.fork(outer)
    const group = yield* Scope.provide(boot, scope).pipe(
      Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
    )
    return { group, scope, running: true }
  })
  const current = yield* Ref.make(yield* startOnce)
  const stop = Effect.flatMap(
    Ref.getAndUpdate(current, (run) => ({ ...run, running: false })),
    ({ running, scope }) => running ? Scope.close(scope, Exit.void) : Effect.void
  )
  const start = Effect.flatMap(
    Ref.get(current),
    ({ running }) => running ? Effect.void : Effect.flatMap(startOnce, (run) => Ref.set(current, run))
  )

  const run = Effect.fnUntraced(function*(program: string, args: ReadonlyArray<string>, told: string, path: string) {
    const stdout: Array<string> = []
    const stderr: Array<string> = []
    const command = yield* ProcessGroup.spawn(program, args, {
      cwd: home,
      env: { ...env, PATH: path },
      onStdout: (line) => void stdout.push(line),
      onStderr: (line) => void stderr.push(line)
    })
    yield* command.endInput
    const { code } = yield* command.drained.pipe(
      Effect.timeoutOrElse({
        duration: "60 seconds",
        orElse: () => Effect.fail(new InteropError({ step: "spawn", detail: `${told} did not end within 60 s` }))
      })
    )
    const result: CommandResult = { code, stdout: stdout.join("\n"), stderr: stderr.join("\n") }
    return result
  }, Effect.scoped)

  const gateway: Gateway = {
    release,
    url,
    port,
    token,
    stateDirectory,
    model,
    cli: Effect.fn("Gateway.cli")((args) =>
      run(process.execPath, [installation.entry, ...args], `openclaw ${args.join(" ")}`, env.PATH)
    ),
    shell: Effect.fn("Gateway.shell")((line) =>
      run("/bin/sh", ["-c", line], line, `${installation.commands}:${env.PATH}`)
    ),
    stop,
    start,
    restart: Effect.andThen(stop, start),
    crash: Effect.flatMap(
      Ref.get(current),
      ({ group, running }) => running ? Effect.andThen(group.kill, stop) : Effect.void
    ),
    group: Effect.map(Ref.get(current), ({ group }) => ({ pid: group.pid })),
    log
  }
  return gateway
})
