import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { fileURLToPath } from "node:url"
import * as Cli from "./Cli.ts"
import { staged } from "./ToolGateway.ts"

const example = fileURLToPath(new URL("../examples/Tools.ts", import.meta.url))

const textOf = (command: unknown): string => String(Object(command).text)

describe("tools of the command line", () => {
  it.live(
    "run --tools asks three times, each by a command that can be pasted, and tools tells what the agent has",
    () =>
      Effect.gen(function*() {
        const stateDir = yield* Cli.temporaryDirectory
        const cli = yield* Cli.start(["run", "--json", "--tools", example], { stateDir })
        for (
          const [reason, role] of [["not-paired", undefined], ["role-upgrade", "node"], ["surface", "node"]] as const
        ) {
          const required = yield* cli.nextEvent("pairing.required")
          assert.deepStrictEqual([required["reason"], required["role"]], [reason, role])
          if (reason === "surface") {
            const { stdout } = yield* Cli.finished(["tools"], { stateDir })
            assert.match(stdout.join(), /^The tools of this device wait for approval\./)
            const list = yield* Cli.finished(["devices", "list"], { stateDir })
            assert.match(list.stdout.join("\n"), new RegExp(`${String(required["requestId"])}  tools of  device `))
          }
          const answer = yield* Cli.paste(`${textOf(required["approve"])} --yes`)
          assert.deepStrictEqual(answer, {
            code: 0,
            stdout: [`approved ${String(required["requestId"])}`],
            stderr: ""
          })
        }
        const published = yield* cli.nextEvent("tools", "60 seconds", (event) => event["state"] === "published")
        assert.deepStrictEqual(published["tools"], ["effect_weather"])
        const { code, stderr, stdout } = yield* Cli.finished(["tools", "--json"], { stateDir })
        assert.deepStrictEqual([code, stderr], [0, ""])
        assert.deepStrictEqual(JSON.parse(stdout.join("")), {
          toolSearch: false,
          connected: true,
          approval: "approved",
          tools: [{ name: "effect_weather", description: "The temperature in a city, in degrees Celsius." }]
        })
        // A command without tools states the same kind of device, which the gateway has pinned.
        const delegated = yield* Cli.finished(["delegate", "hello"], { stateDir })
        assert.deepStrictEqual([delegated.code, delegated.stdout], [0, ["echo: hello"]])

        const shown = yield* Cli.finished(["identity", "show", "--json"], { stateDir })
        const { deviceId } = JSON.parse(shown.stdout.join(""))
        const removed = yield* Cli.finished(["devices", "remove", deviceId, "--tools", "--yes"], { stateDir })
        assert.deepStrictEqual(removed, { code: 0, stdout: [`removed the tools of ${deviceId}`], stderr: "" })
        const again = yield* cli.nextEvent("pairing.required", "60 seconds")
        assert.deepStrictEqual([again["reason"], again["role"]], ["role-upgrade", "node"])
        yield* Cli.endsAt(cli, "SIGTERM", stateDir)
      }).pipe(Effect.provide(Cli.platform)),
    60_000
  )

  it.live(
    "tools tells under which names the agent has them, which the gateway changes where two devices clash",
    () =>
      Effect.gen(function*() {
        const { approved, env, gateway, stateDir } = yield* staged
        const other = yield* Cli.temporaryDirectory
        const run = (stateDir: string) =>
          Cli.start(["run", "--json", "--no-page", "--tools", example], { stateDir, env })
        const told = Effect.map(
          Cli.finished(["tools", "--json"], { stateDir, env }),
          ({ stdout }) => JSON.parse(stdout.join("")).tools
        )
        const description = "The temperature in a city, in degrees Celsius."
        yield* run(stateDir)
        yield* approved
        assert.deepStrictEqual(
          yield* told,
          [{ name: "effect_weather", description }],
          "nobody has asked in this session"
        )
        const doctor = yield* Cli.finished(["doctor", "--json"], { stateDir, env })
        assert.deepInclude(
          JSON.parse(doctor.stdout[0] ?? "").checks.slice(-2),
          {
            id: "tool-search",
            status: "ok",
            what: "the gateway's agent has the tools at hand, without tool search"
          }
        )
        yield* Cli.finished(["delegate", "hello"], { stateDir, env })
        assert.deepStrictEqual(yield* told, [{ name: "effect_weather", description, agentName: "effect_weather" }])
        yield* run(other)
        yield* approved
        yield* gateway.awaitState(({ tools }) => tools.length === 2)
        const [{ agentName }] = yield* told
        assert.match(agentName, /^(node_)?[0-9a-f]{32}_effect_weather$/)
        assert.isTrue((yield* gateway.tools).some(({ name }) => name === agentName))
        const { stdout } = yield* Cli.finished(["tools"], { stateDir, env })
        assert.deepStrictEqual(stdout, [
          "The gateway's agent has these tools:",
          `  effect_weather (the agent calls it ${agentName})  ${description}`
        ])
      }).pipe(Effect.scoped, Effect.provide(Cli.platform)),
    90_000
  )

  it.live(
    "a module without tools, or with ones that no gateway takes, ends the command before anything is started",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const stateDir = yield* Cli.temporaryDirectory
        const run = (file: string) =>
          Cli.finished(["run", "--tools", file, "--gateway-url", "ws://127.0.0.1:1"], { stateDir })
        const nothing = `${stateDir}/nothing.ts`
        yield* fs.writeFileString(nothing, "export const other = 1\n")
        for (const file of [nothing, `${stateDir}/absent.ts`]) {
          const { code, stderr, stdout } = yield* run(file)
          assert.deepStrictEqual([code, stdout.filter((line) => line !== "stopped")], [78, []], stderr)
          assert.match(stderr, /It has to export toolkit, made by Toolkit\.make/)
        }
      }).pipe(Effect.provide(Cli.platform)),
    60_000
  )
})
