import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as GatewayPlace from "../../src/cli/GatewayPlace.ts"
import { commandsFor, type Place } from "../../src/pairing/ApproveCommand.ts"

const listAt = (text: string) =>
  GatewayPlace.parse(text).pipe(
    Result.flatMap(commandsFor),
    Result.match({ onFailure: ({ message }) => message, onSuccess: ({ list }) => list.text })
  )

const places: ReadonlyArray<readonly [text: string, place: Place]> = [
  ["host", { _tag: "host" }],
  ["powershell", { _tag: "powershell" }],
  ["docker:openclaw", { _tag: "docker", container: "openclaw" }],
  ["docker:openclaw, program=node dist/index.js", {
    _tag: "docker",
    container: "openclaw",
    program: ["node", "dist/index.js"]
  }],
  ["compose", { _tag: "compose" }],
  ["compose:gateway,project=home", { _tag: "compose", service: "gateway", project: "home" }],
  ["kubectl:deploy/openclaw,namespace=agents,context=arn:aws:eks:x/y", {
    _tag: "kubectl",
    pod: "deploy/openclaw",
    namespace: "agents",
    context: "arn:aws:eks:x/y"
  }],
  ["ssh:gateway.example", { _tag: "ssh", host: "gateway.example" }],
  ["ssh: ada@gateway.example,port=2222", { _tag: "ssh", host: "gateway.example", user: "ada", port: 2222 }],
  ["ssh:fd00::1", { _tag: "ssh", host: "fd00::1" }],
  ["wsl:Ubuntu", { _tag: "wsl", distribution: "Ubuntu" }]
]

describe("the place of the gateway as a setting", () => {
  it.each(places)("%s", (text, place) => {
    assert.deepStrictEqual(Result.getOrThrow(GatewayPlace.parse(text)), place)
  })

  it.each([
    ["docker:openclaw", "docker exec openclaw openclaw devices list"],
    ["ssh:ada@gateway.example", "ssh -l ada gateway.example 'openclaw devices list'"],
    ["kubectl:deploy/openclaw", "kubectl exec deploy/openclaw -- openclaw devices list"],
    ["cloud", "must begin with host, powershell, docker, compose, kubectl, ssh or wsl"],
    ["docker", "must name the container, as docker:<container>"],
    ["host:x", "must be host alone, with nothing behind a colon"],
    ["docker:x,namespace=y", "may have program behind docker, and no other detail"],
    ["ssh:a@b,user=c", "must have user once"],
    ["template:x", "must begin with host, powershell, docker, compose, kubectl, ssh or wsl"],
    ["toString", "must begin with host, powershell, docker, compose, kubectl, ssh or wsl"]
  ])("%s: %s", (text, told) => {
    assert.strictEqual(listAt(text), told)
  })

  it.each([
    "docker:--privileged",
    "docker:a b",
    "ssh:-oProxyCommand=x",
    "ssh:host,port=x",
    "ssh:host,port=99999",
    "ssh:@host",
    "kubectl:x;y",
    "docker:x,program=openclaw --token abc"
  ])("%s cannot act as an option or as a command", (text) => {
    assert.match(listAt(text), /^is not usable: [a-z.0-9]+ must /)
  })

  it("every choice of init gives a place, with the name that its question asks for", () => {
    for (const platform of ["linux", "win32"]) {
      for (const choice of GatewayPlace.choicesOn(platform)) {
        const text = GatewayPlace.textOf(choice, choice.question === undefined ? "" : " name ")
        assert.isTrue(Result.isSuccess(GatewayPlace.parse(text)), text)
      }
    }
    assert.strictEqual(GatewayPlace.choicesOn("win32")[0]?.tag, "powershell")
  })
})
