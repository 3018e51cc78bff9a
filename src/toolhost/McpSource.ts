/**
 * The tools of an MCP server that this program starts: a child process with an environment of its own, which ends with the scope.
 *
 * `effect/ai` has the client. It speaks one protocol revision a connection and passes no notification on, so the output of the server
 * is read on the way: for the revision that the server wants, and for changes of its tools.
 */
import * as McpClient from "effect/ai/McpClient"
import type { McpClientError } from "effect/ai/McpClientError"
import * as McpProtocol from "effect/ai/McpProtocol"
import * as McpSchema from "effect/ai/McpSchema"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as ChildProcess from "effect/process/ChildProcess"
import * as ChildProcessSpawner from "effect/process/ChildProcessSpawner"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Broadcast from "../broadcast/Broadcast.ts"
import * as Monotonic from "../handshake/Monotonic.ts"
import type { ToolOutput } from "../protocol/NodeMethod.ts"
import { field, lengths } from "../protocol/OutsideText.ts"
import * as McpOutput from "./McpOutput.ts"
import * as RestartStep from "./RestartStep.ts"
import type { SourceTool, ToolSource } from "./ToolSource.ts"
import { SourceFailed } from "./ToolSource.ts"

/** How a server is started. */
export interface Options {
  /** Stands before the names of its tools where they clash: letters, digits, `_` and `-`. */
  readonly name: string
  readonly command: string
  readonly args: ReadonlyArray<string>
  /** All that the process gets. Nothing of this program's own environment is added. */
  readonly environment: Readonly<Record<string, string>>
  readonly version: string
}

type Client = McpClient.McpClient

/** The newest first: a server that wants another says so. */
const protocols = [
  McpProtocol.v2025_11_25,
  McpProtocol.v2025_06_18,
  McpProtocol.v2025_03_26,
  McpProtocol.v2024_11_05,
  McpProtocol.v2026_07_28
] as const
type Protocol = (typeof protocols)[number]

/** The client takes every adapter; its type names those that its authors test. This project tests the others. */
const asClientProtocol = (protocol: Protocol) => protocol as typeof McpProtocol.v2025_11_25

const mostLine = 16_384

/** Connects, or fails with what went wrong. The scope ends the process. */
const connect = Effect.fnUntraced(function*(
  options: Options,
  spawner: ChildProcessSpawner.ChildProcessSpawner["Service"],
  protocol: Protocol,
  output: McpOutput.McpOutput
): Effect.fn.Return<Connected, McpClientError, Scope.Scope> {
  let exited: Effect.Effect<unknown> = Effect.never
  const watched = ChildProcessSpawner.make((command) =>
    Effect.map(spawner.spawn(command), (handle) => {
      exited = Effect.exit(handle.exitCode)
      return ChildProcessSpawner.makeHandle({
        ...handle,
        stdout: Stream.tap(handle.stdout, (bytes) => Effect.sync(() => output.answered(bytes))),
        stderr: Stream.tap(handle.stderr, (bytes) => Effect.sync(() => output.said(bytes)))
      })
    })
  )
  const command = ChildProcess.make(options.command, options.args, { env: options.environment, extendEnv: false })
  const transport = yield* Effect.provideService(
    McpClient.stdio({ command, protocol: asClientProtocol(protocol), maxMessageBytes: "16 MiB" }),
    ChildProcessSpawner.ChildProcessSpawner,
    watched
  )
  const client = yield* Effect.provideService(
    McpClient.make({ name: "effect-openclaw", version: options.version, timeout: "60 seconds" }),
    McpClient.Transport,
    transport
  )
  return { client, exited, broken: Deferred.makeUnsafe() }
})

interface Connected {
  readonly client: Client
  readonly exited: Effect.Effect<unknown>
  readonly broken: Deferred.Deferred<void>
}

/** The revision to try after one that the server did not take: its own where it named one, else the newest, which is asked otherwise. */
const nextProtocol = (tried: ReadonlyArray<Protocol>, wanted: string | undefined): Protocol | undefined => {
  const next = wanted === undefined
    ? McpProtocol.v2026_07_28
    : protocols.find(({ protocolVersion }) => protocolVersion === wanted)
  return next === undefined || tried.includes(next) ? undefined : next
}

/** Starts the server and keeps it running. Its tools are told as soon as they are known, and again when they change. */
export const make = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<ToolSource, never, ChildProcessSpawner.ChildProcessSpawner | Scope.Scope> {
  const { name } = options
  const clock = yield* Clock.Clock
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  let latest: ReadonlyArray<SourceTool> | undefined
  let present: Connected | undefined
  /** What the last connection settled on. */
  let protocol: Protocol = protocols[0]
  const changes = Broadcast.make<ReadonlyArray<SourceTool>>({ snapshot: () => latest === undefined ? [] : [latest] })
  yield* Effect.addFinalizer(() => Effect.sync(() => changes.end()))
  const tell = (tools: ReadonlyArray<SourceTool>) => {
    latest = tools
    changes.publish(tools)
  }

  const refused = (problem: string) => new SourceFailed({ source: name, problem })
  /** A connection that broke is of no use, although the process may live. */
  const onFailure = (error: McpClientError | Schema.SchemaError, { broken }: Connected): SourceFailed => {
    if (!Schema.isSchemaError(error) && ["LimitError", "TransportError"].includes(error.reason._tag)) {
      Deferred.doneUnsafe(broken, Effect.void)
    }
    return refused(sentence(error))
  }
  const callOf = (tool: McpSchema.Tool) => (given: unknown): Effect.Effect<ToolOutput, SourceFailed> =>
    Effect.suspend(() => {
      const connected = present
      if (connected === undefined) return Effect.fail(refused("the MCP server does not run now; call it again later"))
      if (!Predicate.isObject(given) || Array.isArray(given)) return Effect.fail(refused("the arguments are no object"))
      return connected.client.callTool({ tool, arguments: { ...given } }).pipe(
        Effect.flatMap(outputOf),
        Effect.mapError((error) => onFailure(error, connected))
      )
    })
  const listed = (from: Client) =>
    Effect.map(from.listTools(), (tools) => tools.map((tool): SourceTool => toolOf(tool, callOf(tool))))

  const talk = Effect.fnUntraced(function*(tried: ReadonlyArray<Protocol>, output: McpOutput.McpOutput) {
    const connected = yield* connect(options, spawner, protocol, output)
    present = connected
    tell(yield* listed(connected.client))
    yield* Effect.raceFirst(
      Effect.raceFirst(connected.exited, Deferred.await(connected.broken)),
      Effect.forever(Effect.andThen(output.changed, Effect.map(listed(connected.client), tell)))
    )
    return tried
  }, Effect.scoped)

  const life = (tried: ReadonlyArray<Protocol>): Effect.Effect<Ended> =>
    Effect.suspend(() => {
      const startedAtMs = Monotonic.nowMs(clock)
      const output = McpOutput.make(mostLine)
      return talk(tried, output).pipe(
        Effect.exit,
        Effect.flatMap((exit) => {
          const wasUp = present !== undefined
          present = undefined
          const next = wasUp || isUnstartable(exit) ? undefined : nextProtocol([...tried, protocol], output.version())
          if (next !== undefined) {
            const before = [...tried, protocol]
            protocol = next
            return life(before)
          }
          if (!wasUp) protocol = protocols[0]
          return Effect.succeed({
            livedMs: wasUp ? Monotonic.nowMs(clock) - startedAtMs : 0,
            isStartable: !isUnstartable(exit),
            because: [
              Exit.isFailure(exit)
                ? Option.match(Exit.findErrorOption(exit), { onNone: () => "", onSome: sentence })
                : "",
              output.lastWords()
            ].filter((words) => words !== "").join("; ")
          })
        })
      )
    })

  yield* Effect.forkScoped(Effect.gen(function*() {
    let failures = 0
    while (true) {
      const { because, isStartable, livedMs } = yield* life([])
      const next = isStartable ? RestartStep.step(failures, livedMs) : undefined
      const notes = { server: name, because: field(because, { maxLength: lengths.message }) }
      if (next === undefined) {
        tell([])
        return yield* Effect.annotateLogs(Effect.logError("an MCP server was given up; its tools are withdrawn"), notes)
      }
      failures = next.failures
      yield* Effect.annotateLogs(Effect.logWarning("an MCP server has ended and is started again"), notes)
      yield* Effect.sleep(Duration.millis(next.afterMs))
    }
  }))
  return { name, tools: changes.subscribe() }
})

interface Ended {
  readonly livedMs: number
  /** False when the program is not there, or may not be run. */
  readonly isStartable: boolean
  readonly because: string
}

const isUnstartable = (exit: Exit.Exit<unknown, McpClientError>): boolean =>
  Option.match(Exit.findErrorOption(exit), {
    onNone: () => false,
    onSome: ({ reason }) => reason._tag === "TransportError" && reason.description === "Cannot spawn MCP server"
  })

/** Words of the server, as one line. */
const sentence = (error: McpClientError | Schema.SchemaError): string =>
  field(error.message, { maxLength: lengths.message })

const toolOf = (tool: McpSchema.Tool, call: SourceTool["call"]): SourceTool => ({
  name: tool.name,
  title: tool.title ?? tool.annotations?.title,
  description: tool.description,
  parameters: { ...tool.inputSchema },
  // As MCP has it, a tool without a word about it may be destructive.
  isMarked: tool.annotations?.readOnlyHint !== true && tool.annotations?.destructiveHint !== false,
  call
})

const encode = Schema.encodeEffect(McpSchema.CallToolResult)

const outputOf = (result: McpSchema.CallToolResult) =>
  Effect.map(encode(result), ({ content, isError, structuredContent }): ToolOutput => ({
    content: content.map((part) => ({ ...part })),
    ...(structuredContent === undefined ? {} : { structuredContent }),
    ...(isError === true ? { isError } : {})
  }))
