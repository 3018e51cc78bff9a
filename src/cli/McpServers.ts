/**
 * The MCP servers that `run` was given: started with a few variables of the environment and no others.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { field } from "../protocol/OutsideText.ts"
import * as McpSource from "../toolhost/McpSource.ts"
import type { ToolSource } from "../toolhost/ToolSource.ts"
import { CommandFailed } from "./CommandError.ts"
import * as CommandWords from "./CommandWords.ts"
import { Invocation } from "./Invocation.ts"

/** What a program needs to be found and to run, as the MCP project's own client passes it on. */
const passedOn = {
  posix: ["HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"],
  windows: [
    "APPDATA",
    "COMSPEC",
    "HOMEDRIVE",
    "HOMEPATH",
    "LOCALAPPDATA",
    "PATH",
    "PATHEXT",
    "PROCESSOR_ARCHITECTURE",
    "PROGRAMDATA",
    "PROGRAMFILES",
    "SYSTEMDRIVE",
    "SYSTEMROOT",
    "TEMP",
    "TMP",
    "USERNAME",
    "USERPROFILE"
  ]
} as const

const wrong = (flag: string, problem: string) =>
  new CommandFailed({ exit: "settings", error: "McpServerInvalid", problem: `--${flag}: ${problem}` })

/** `NAME=command args`, or without the name: then it is that of the program. */
const serverOf = (text: string): Result.Result<Pick<McpSource.Options, "name" | "command" | "args">, string> => {
  const [, given, rest] = /^([A-Za-z][A-Za-z0-9_-]{0,31})=(.*)$/s.exec(text.trim()) ?? []
  return Result.map(CommandWords.parse(rest ?? text), ([command = "", ...args]) => {
    const program = command.split(/[/\\]/).at(-1)?.replace(/\.[^.]*$/, "").replace(/[^A-Za-z0-9_-]/g, "_") ?? ""
    return { name: given ?? (/^[A-Za-z]/.test(program) ? program.slice(0, 32) : "mcp"), command, args }
  })
}

/** Each with a name of its own. */
const distinct = <A extends { readonly name: string }>(servers: ReadonlyArray<A>): ReadonlyArray<A> => {
  const names = new Set<string>()
  return servers.map((server) => {
    let { name } = server
    for (let number = 2; names.has(name); number++) name = `${server.name}_${number}`
    names.add(name)
    return { ...server, name }
  })
}

const environmentOf = Effect.fnUntraced(function*(more: ReadonlyArray<string>) {
  const { platform } = yield* Invocation
  const secret = more.find((name) => /^OPENCLAW_/i.test(name))
  if (secret !== undefined) {
    return yield* wrong("mcp-env", `${field(secret)} is a setting of this program, which may be a secret of its own`)
  }
  const environment: Record<string, string> = {}
  for (const name of [...passedOn[platform === "win32" ? "windows" : "posix"], ...more]) {
    const value = yield* Effect.orDie(Config.option(Config.String(name)))
    if (Option.isSome(value)) environment[name] = value.value
    else if (more.includes(name)) return yield* wrong("mcp-env", `there is no variable ${field(name)}`)
  }
  return environment
})

/** Starts them; the scope ends them. */
export const start = Effect.fnUntraced(
  function*(given: {
    readonly mcpServer: ReadonlyArray<string>
    readonly mcpEnv: ReadonlyArray<string>
  }): Effect.fn.Return<
    ReadonlyArray<ToolSource>,
    CommandFailed,
    ChildProcessSpawner | Invocation | Scope.Scope
  > {
    const { version } = yield* Invocation
    const environment = yield* environmentOf(given.mcpEnv)
    const servers = yield* Effect.forEach(
      given.mcpServer,
      (text) => Effect.mapError(Effect.fromResult(serverOf(text)), (problem) => wrong("mcp-server", problem))
    )
    return yield* Effect.forEach(distinct(servers), (server) => McpSource.make({ ...server, environment, version }))
  }
)
