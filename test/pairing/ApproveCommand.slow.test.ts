import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Commands, Place } from "../../src/pairing/ApproveCommand.ts"
import { ApproveCommands, commandsAnywhere, commandsFor, PlaceInvalid } from "../../src/pairing/ApproveCommand.ts"
import { RequestId } from "../../src/protocol/Connect.ts"
import { quotePosix } from "../../src/protocol/ShellCommand.ts"
import { argumentsOf } from "../support/PosixShell.ts"

const id = RequestId.make("3f2a7c1e-0000-4000-8000-00000000beef")

const places: ReadonlyArray<readonly [Place, approve: string]> = [
  [{ _tag: "host" }, `openclaw devices approve ${id}`],
  [
    { _tag: "host", program: ["node", "/opt/my claw/dist/index.js"] },
    `node '/opt/my claw/dist/index.js' devices approve ${id}`
  ],
  [
    { _tag: "host", url: "wss://gateway.example:8443/claw" },
    `openclaw devices approve ${id} --url wss://gateway.example:8443/claw`
  ],
  [{ _tag: "powershell" }, `openclaw devices approve '${id}'`],
  [{ _tag: "docker", container: "claw-1" }, `docker exec claw-1 openclaw devices approve ${id}`],
  [{ _tag: "compose" }, `docker compose exec openclaw-gateway openclaw devices approve ${id}`],
  [
    { _tag: "compose", service: "gw", project: "claw", program: ["node", "dist/index.js"] },
    `docker compose --project-name claw exec gw node dist/index.js devices approve ${id}`
  ],
  [
    { _tag: "kubectl", pod: "deploy/openclaw", namespace: "agents", container: "gateway", context: "admin@prod" },
    `kubectl --context 'admin@prod' --namespace agents exec deploy/openclaw --container gateway -- openclaw devices approve ${id}`
  ],
  [
    { _tag: "ssh", host: "gateway.example", user: "claw", port: 2222 },
    `ssh -p 2222 -l claw gateway.example 'openclaw devices approve ${id}'`
  ],
  [
    { _tag: "wsl", distribution: "Ubuntu-24.04" },
    `wsl.exe --distribution 'Ubuntu-24.04' --exec bash -lc 'openclaw devices approve ${id}'`
  ],
  [
    { _tag: "template", shell: "posix", template: `ssh jump "sudo -u claw sh -c '{command}'"` },
    `ssh jump "sudo -u claw sh -c 'openclaw devices approve ${id}'"`
  ]
]

const commandsOf = (place: Place): Commands => Result.getOrThrow(commandsFor(place))
const problemsOf = (place: Place): string => {
  const result = commandsFor(place)
  return Result.isFailure(result) ? result.failure.message : "accepted"
}

describe("ApproveCommand", () => {
  it.each(places)("G17, B05: each place has its own command to approve: %j", (place, text) => {
    const commands = commandsOf(place)
    const approve = commands.approve(id)
    assert.strictEqual(approve.text, text)
    assert.strictEqual(commands.list.text.includes("devices list"), true)
    assert.isTrue(approve.argv.every((word) => word !== ""))
  })

  it.each(places)("F38: no command approves whatever came last: %j", (place) => {
    const { approve, list } = commandsOf(place)
    assert.notInclude(JSON.stringify([approve(id), list]), "latest")
  })

  it("B05: a credential is reminded of where the command will need one, and never part of it", () => {
    const { approve, list, note } = commandsOf({ _tag: "host", url: "wss://gateway.example" })
    assert.include(note ?? "", "--token")
    assert.notMatch(JSON.stringify([approve(id), list]), /token|password/)
    assert.isUndefined(commandsOf({ _tag: "host" }).note)
  })

  it("G16: the text is a line of the shell that runs the arguments", () => {
    const { argv, text } = commandsOf({ _tag: "ssh", host: "gw" }).approve(id)
    assert.deepStrictEqual(argv, ["ssh", "gw", `openclaw devices approve ${id}`])
    assert.strictEqual(quotePosix(argv), text)
  })

  it("F38, G17, B05: where nobody has said where the gateway lives, every place is offered, with the words to be filled in", () => {
    const { approve, list, places } = commandsAnywhere()
    const offered = places?.(id) ?? []
    assert.deepStrictEqual(offered.map(({ place, approve }) => [place, approve?.text]), [
      ["host", `openclaw devices approve ${id}`],
      ["docker", `docker exec '<container>' openclaw devices approve ${id}`],
      ["compose", `docker compose exec openclaw-gateway openclaw devices approve ${id}`],
      ["kubectl", `kubectl exec '<pod>' -- openclaw devices approve ${id}`],
      ["ssh", `ssh '<host>' 'openclaw devices approve ${id}'`],
      ["wsl", `wsl.exe --exec bash -lc 'openclaw devices approve ${id}'`],
      ["powershell", `openclaw devices approve '${id}'`]
    ])
    assert.deepStrictEqual([offered[0]?.list, offered[0]?.approve], [list, approve(id)])
    assert.deepStrictEqual(offered.flatMap(({ fill }) => fill), ["<container>", "<pod>", "<host>"])
    assert.isTrue((places?.(undefined) ?? []).every((one) => one.approve === undefined && one.list.text !== ""))
  })

  it("B05: a command that was pasted before it was filled in redirects nothing: it is one call with the words as they are", () => {
    for (const { approve, place } of commandsAnywhere().places?.(id) ?? []) {
      const [program, ...args] = approve?.argv ?? []
      if (program === undefined || place === "wsl" || place === "powershell") continue
      for (const shell of ["sh", "bash"]) {
        assert.deepStrictEqual(argumentsOf(shell, approve?.text ?? "", program), args)
      }
    }
  })

  it.effect("B05: a host program supplies commands of its own, and a place that is not usable fails the layer", () =>
    Effect.gen(function*() {
      const own: Commands = { list: { argv: ["own"], text: "own" }, approve: () => ({ argv: ["own"], text: "own" }) }
      const supplied = yield* Effect.provide(ApproveCommands, ApproveCommands.layerOf(own))
      assert.strictEqual(supplied, own)
      const failed = yield* Effect.flip(Layer.build(ApproveCommands.layer({ _tag: "docker", container: "-it" })))
      assert.instanceOf(failed, PlaceInvalid)
    }))

  it.each<readonly [Place, problem: string]>([
    [{ _tag: "docker", container: "-v/:/host" }, "container"],
    [{ _tag: "docker", container: "a b" }, "container"],
    [{ _tag: "docker", container: "$(reboot)" }, "container"],
    [{ _tag: "compose", service: "--index" }, "service"],
    [{ _tag: "compose", project: "a\u202Eb" }, "project"],
    [{ _tag: "kubectl", pod: "--kubeconfig=x" }, "pod"],
    [{ _tag: "kubectl", pod: "p", namespace: "Upper" }, "namespace"],
    [{ _tag: "kubectl", pod: "p", context: "-x" }, "context"],
    [{ _tag: "ssh", host: "-oProxyCommand=reboot" }, "host"],
    [{ _tag: "ssh", host: "h", user: "-x" }, "user"],
    [{ _tag: "ssh", host: "h", port: 0 }, "port"],
    [{ _tag: "wsl", distribution: "a'b" }, "distribution"],
    [{ _tag: "host", program: ["-c"] }, "program"],
    [{ _tag: "host", program: ["openclaw", "a\nb"] }, "program"],
    [{ _tag: "host", program: ["openclaw", "--token", "x"] }, "credential"],
    [{ _tag: "host", url: "wss://user:pass@gateway.example" }, "url"],
    [{ _tag: "host", url: "wss://gateway.example/?token=x" }, "url"],
    [{ _tag: "template", shell: "posix", template: "docker exec claw" }, "{command}"],
    [{ _tag: "template", shell: "posix", template: "{command} {command}" }, "{command}"],
    [{ _tag: "template", shell: "posix", template: "{command}\nreboot" }, "one line"],
    [{ _tag: "template", shell: "posix", template: "{command} --latest" }, "--latest"],
    [{ _tag: "template", shell: "posix", template: "{command} --token x" }, "credential"],
    [{ _tag: "template", shell: "posix", template: "OPENCLAW_GATEWAY_TOKEN=x {command}" }, "credential"],
    [{ _tag: "template", shell: "posix", template: "sh -c '{command}'", program: ["it's"] }, "quoting"]
  ])("F45: a setting that could act as something else is refused by name, without its value (%#)", (place, problem) => {
    const message = problemsOf(place)
    assert.include(message, problem)
    for (const value of Object.values(place)) {
      if (typeof value === "string" && value !== place._tag && value.length > 4) assert.notInclude(message, value)
    }
  })

  it.each(["$(reboot)", "`id`", "a\nb", "it's", '"q"', "a b", "abc\u202Edef", "--latest", "-x", "", "a".repeat(129)])(
    "F45: what is not safe on a command line is no request id (%#)",
    (text) => assert.isTrue(Option.isNone(Schema.decodeOption(RequestId)(text)))
  )

  it("F45: the commands of every place survive the shell they are written for", () => {
    for (const [place] of places) {
      const { argv, text } = commandsOf(place).approve(id)
      if (place._tag === "powershell" || place._tag === "wsl" || place._tag === "template") continue
      for (const shell of ["sh", "bash"]) assert.deepStrictEqual(argumentsOf(shell, text, argv[0]), argv.slice(1))
    }
  })

  it("F45: what ssh gives to the remote shell survives that shell too", () => {
    const word = `it's "$(reboot)"; x`
    const { text } = commandsOf({ _tag: "ssh", host: "gw", program: ["openclaw", word] }).approve(id)
    for (const shell of ["sh", "bash"]) {
      const [host, remote = "", ...others] = argumentsOf(shell, text, "ssh")
      assert.deepStrictEqual([host, others], ["gw", []])
      assert.deepStrictEqual(argumentsOf(shell, remote, "openclaw"), [word, "devices", "approve", id])
    }
  })
})
