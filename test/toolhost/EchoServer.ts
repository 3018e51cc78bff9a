/**
 * An MCP server over standard input and output for tests, by effect/ai. Its arguments are the protocol revisions that it speaks.
 *
 * `env` gives the names of its variables, `wait` waits until it is stopped, `stopped` tells which were, and `die` ends the process.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeStdio from "@effect/platform-node/NodeStdio"
import * as McpProtocol from "effect/ai/McpProtocol"
import * as McpServer from "effect/ai/McpServer"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import process from "node:process"

class Refused extends Schema.TaggedError<Refused>()("Refused", { why: Schema.String }) {
  override get message(): string {
    return `refused: ${this.why}`
  }
}

const text = Schema.Struct({ text: Schema.String })
const free = <T extends Tool.Any>(tool: T): T => tool.annotate(Tool.Destructive, false) as T

const Tools = Toolkit.make(
  free(Tool.make("echo", { description: "Gives the text back.", parameters: text, success: text, failure: Refused })),
  free(Tool.make("env", { success: Schema.Array(Schema.String) })),
  free(Tool.make("pid", { success: Schema.Int })),
  free(Tool.make("die")),
  free(Tool.make("stopped", { success: Schema.Array(Schema.String) })),
  free(Tool.make("wait", { parameters: text, success: Schema.String })),
  Tool.make("wipe", { parameters: text, success: Schema.String })
)

const stopped: Array<string> = []
const handlers = Tools.toLayer({
  echo: ({ text }) => text === "no" ? Effect.fail(new Refused({ why: text })) : Effect.succeed({ text }),
  env: () => Effect.succeed(Object.keys(process.env).toSorted()),
  pid: () => Effect.succeed(process.pid),
  stopped: () => Effect.succeed(stopped),
  die: () =>
    Effect.sync(() => {
      process.stderr.write("the disk is on fire\n")
      process.exit(3)
    }),
  wait: ({ text }) => Effect.onInterrupt(Effect.never, () => Effect.sync(() => void stopped.push(text))),
  wipe: ({ text }) => Effect.succeed(`wiped ${text}`)
})

const all = [
  McpProtocol.v2024_11_05,
  McpProtocol.v2025_03_26,
  McpProtocol.v2025_06_18,
  McpProtocol.v2025_11_25,
  McpProtocol.v2026_07_28
]
const wanted = process.argv.slice(2)
const [first = McpProtocol.v2025_11_25, ...others] = all.filter(({ protocolVersion }) =>
  wanted.length === 0 || wanted.includes(protocolVersion)
)

McpServer.layerStdio({
  name: "echo",
  version: "1.0.0",
  protocols: [first, ...others],
  registrations: McpServer.toolkit(Tools).pipe(Layer.provide(handlers))
}).pipe(Layer.provide(NodeStdio.layer), Layer.launch, NodeRuntime.runMain)
