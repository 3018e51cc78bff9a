import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { fileURLToPath } from "node:url"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import { serve } from "../../src/devgateway/DevGatewayWs.ts"
import type { Wish } from "../../src/devgateway/SetupCodes.ts"
import * as Authority from "../support/TlsAuthority.ts"
import * as Front from "../support/TlsFront.ts"
import * as Cli from "./Cli.ts"
import * as Shell from "./Shell.ts"

const example = fileURLToPath(new URL("../examples/Tools.ts", import.meta.url))

/** A gateway in this process, its URL, and codes for it. */
const serving = Effect.gen(function*() {
  const gateway = yield* DevGateway
  const url = (yield* serve()).origin
  const made = (wish: Wish = {}) => gateway.setupCode({ publicUrl: url, ...wish })
  return { gateway, url, made, code: (wish: Wish = {}) => Effect.map(made(wish), ({ setupCode }) => setupCode) }
})
const layer = DevGateway.layerTest({ seeded: false })
const held = <A, E>(effect: Effect.Effect<A, E, Cli.Platform | DevGateway>) =>
  effect.pipe(Effect.scoped, Effect.provide(Layer.merge(layer, Cli.platform)))

const contentOf = (code: string): Record<string, unknown> => JSON.parse(Buffer.from(code, "base64url").toString())
const codeOf = (content: Record<string, unknown>): string => Buffer.from(JSON.stringify(content)).toString("base64url")

/** Every text that would let somebody in. */
const secretsOf = (code: string) => [code, String(contentOf(code)["bootstrapToken"])]

/** No secret is in what was printed, nor in any file of these directories. */
const holdsNone = Effect.fnUntraced(function*(
  secrets: ReadonlyArray<string>,
  texts: ReadonlyArray<string>,
  ...directories: ReadonlyArray<string>
) {
  const fs = yield* FileSystem.FileSystem
  const files = yield* Effect.forEach(
    directories,
    (directory) =>
      Effect.flatMap(
        fs.readDirectory(directory, { recursive: true }),
        (names) => Effect.forEach(names, (name) => Effect.option(fs.readFileString(`${directory}/${name}`)))
      )
  )
  const all = [...texts, ...files.flat().flatMap(Option.toArray)]
  for (const secret of secrets) assert.isFalse(all.some((text) => text.includes(secret)), all.join("\n"))
})

const printed = ({ stderr, stdout }: { readonly stdout: ReadonlyArray<string>; readonly stderr: unknown }) => [
  ...stdout,
  Array.isArray(stderr) ? stderr.join("\n") : String(stderr)
]

describe("setup codes of the command line", () => {
  it.live(
    "run --pair --tools: from the paste to a called tool with no other command, and later starts need no setting",
    () =>
      held(Effect.gen(function*() {
        const { code, gateway, url } = yield* serving
        const stateDir = yield* Cli.temporaryDirectory
        const pasted = yield* code({ bootstrapProfile: "node" })
        const startedAtMs = performance.now()
        const args = ["run", "--json", "--tools", example, "--log-level", "all", "--no-page"]
        const record = `${stateDir}/recording.ndjson`
        const cli = yield* Cli.start([...args, "--pair", "--record", record], { stateDir })
        yield* cli.stdinWrite(pasted)
        yield* cli.nextEvent("tools", "60 seconds", (event) => event["state"] === "published")
        const answer = yield* gateway.callTool("effect_weather", { city: "Oslo" })
        assert.include(JSON.stringify(answer), '"degrees": 4'.replaceAll('"', '\\"'))
        assert.isBelow(performance.now() - startedAtMs, 10_000)
        assert.deepStrictEqual((yield* gateway.paired).map(({ approvedVia }) => approvedVia), ["bootstrap"])
        assert.include(cli.stderr.join("\n"), "This device offers its tools and gives no tasks.")
        yield* cli.signal("SIGTERM")
        assert.strictEqual((yield* cli.exit).code, 0)
        yield* holdsNone(secretsOf(pasted), printed(cli), stateDir)

        const fs = yield* FileSystem.FileSystem
        const remembered = JSON.parse(yield* fs.readFileString(`${stateDir}/paired-gateway.json`))
        assert.deepStrictEqual({ ...remembered, pairedAtMs: 0 }, {
          version: 1,
          url: `${url}/`,
          roles: ["node"],
          pairedAtMs: 0
        })
        assert.strictEqual((yield* fs.stat(`${stateDir}/paired-gateway.json`)).mode & 0o777, 0o600)
        const again = yield* Cli.start(args, { stateDir, stdin: [] })
        yield* again.nextEvent("tools", "60 seconds", (event) => event["state"] === "published")
        assert.include(JSON.stringify(yield* gateway.callTool("effect_weather", { city: "Rome" })), "4")
        yield* again.signal("SIGTERM")
        yield* again.exit
        const without = yield* Cli.finished(["run", "--no-page"], { stateDir })
        assert.strictEqual(without.code, 64)
        assert.include(without.stderr, "no tools are given")
      })),
    90_000
  )

  it.live(
    "pair waits for a person's approval, tells how, and leaves a device that gives tasks without any setting",
    () =>
      held(Effect.gen(function*() {
        const { code, gateway, url } = yield* serving
        const stateDir = yield* Cli.temporaryDirectory
        const pasted = yield* code()
        const cli = yield* Cli.start(["pair", "--json"], { stateDir, stdin: [`  oc-pair://${pasted}  `] })
        const { requestId } = yield* cli.nextEvent("pairing.required")
        yield* gateway.approve(String(requestId))
        assert.deepStrictEqual(yield* Effect.timeout(cli.exit, "30 seconds"), { code: 0, signal: null })
        const { deviceId: _, ...said } = JSON.parse(cli.stdout.at(-1) ?? "")
        assert.deepStrictEqual(said, { gateway: url, roles: ["operator"] })
        yield* holdsNone(secretsOf(pasted), printed(cli), stateDir)
        const { code: exit, stdout } = yield* Cli.finished(["delegate", "hello", "--quiet"], { stateDir })
        assert.deepStrictEqual([exit, stdout], [0, ["echo: hello"]])
        // What is named by flag or variable is asked in place of it.
        const elsewhere = yield* Cli.finished(["delegate", "hello", "--gateway-url", "ws://127.0.0.1:1"], { stateDir })
        assert.strictEqual(elsewhere.code, 69)
      })),
    90_000
  )

  it.live(
    "run --pair goes on as the device that a person approves, with one code for tasks and tools",
    () =>
      held(Effect.gen(function*() {
        const { code, gateway } = yield* serving
        const stateDir = yield* Cli.temporaryDirectory
        const cli = yield* Cli.start(["run", "--pair", "--json", "--no-page", "--tools", example], { stateDir })
        yield* cli.stdinWrite(yield* code())
        for (const reason of ["not-paired", "role-upgrade"]) {
          const required = yield* cli.nextEvent("pairing.required")
          assert.strictEqual(required["reason"], reason)
          yield* gateway.approve(String(required["requestId"]))
        }
        const surface = yield* cli.nextEvent("pairing.required")
        yield* gateway.approveSurface(String(surface["requestId"]))
        yield* cli.nextEvent("tools", "60 seconds", (event) => event["state"] === "published")
        // The line after the code is a task.
        yield* cli.stdinWrite("hello")
        assert.strictEqual((yield* cli.nextEvent("task.reply"))["text"], "echo: hello")
        yield* cli.signal("SIGTERM")
        yield* cli.exit
        const { code: exit } = yield* Cli.finished(["delegate", "hello", "--quiet"], { stateDir })
        assert.strictEqual(exit, 0)
      })),
    90_000
  )

  it.live(
    "a join URL pairs once, from a file that is named or a descriptor, and says so the second time",
    () =>
      held(Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const { made, url } = yield* serving
        const stateDir = yield* Cli.temporaryDirectory
        const folder = yield* Cli.temporaryDirectory
        const { joinUrl = "", setupCode } = yield* made({ joinUrl: true })
        const file = `${folder}/code.txt`
        yield* fs.writeFileString(file, `${joinUrl}\n`)
        const first = yield* Cli.finished(["pair", "--code-file", file], { stateDir })
        assert.deepStrictEqual([first.code, first.stdout], [0, [
          `paired with ${url}`,
          "The gateway's agent may use tools of this device. Start them: openclaw-device run --tools FILE"
        ]], first.stderr)
        const doctor = yield* Cli.finished(["doctor", "--json"], { stateDir })
        const { allowed, checks, gateway: looked } = JSON.parse(doctor.stdout[0] ?? "")
        assert.deepStrictEqual([looked, allowed], [url, true], "doctor looks at the gateway of the code, in its role")
        assert.include(JSON.stringify(checks), "the device is admitted as node")
        const refused = yield* Cli.finished(["delegate", "hello"], { stateDir })
        assert.deepStrictEqual([refused.code, refused.stdout], [77, []])
        assert.match(
          refused.stderr,
          /knows this device for its tools alone, .* ask the person who runs the gateway for a setup code made by openclaw qr --setup-code-only/
        )
        assert.notMatch(refused.stderr, /OPENCLAW_GATEWAY_TOKEN/)
        const second = yield* Shell.finished('$CLI pair 7<<< "$CODE"', {
          stateDir,
          env: { CODE: joinUrl, OPENCLAW_SETUP_CODE_FD: "7" }
        })
        assert.strictEqual(second.code, 77)
        assert.match(second.stderr, /gives each code once .* Ask the person who runs the gateway for a new setup code/)
        const path = new URL(joinUrl).pathname
        yield* holdsNone([path, ...secretsOf(setupCode)], [...printed(first), ...printed(second)], stateDir)
      })),
    90_000
  )

  it.live(
    "refuses each kind of bad code with its own status and words, and repeats none of them",
    () =>
      held(Effect.gen(function*() {
        const { code, url } = yield* serving
        const used = yield* code({ bootstrapProfile: "node" })
        yield* Cli.finished(["pair"], { stateDir: yield* Cli.temporaryDirectory, stdin: [used] })
        const good = contentOf(yield* code({ bootstrapProfile: "node" }))
        const cases: ReadonlyArray<readonly [string, string, number, RegExp]> = [
          ["used", used, 77, /refused the setup code: it was used, has expired, was revoked, is another gateway's/],
          ["foreign", codeOf({ ...good, bootstrapToken: "x".repeat(43) }), 77, /is another gateway's/],
          ["expired", codeOf({ ...good, expiresAtMs: 1_700_000_000_000 }), 77, /expired at 2023-11-14T22:13:20\.000Z/],
          ["cut", (yield* code()).slice(0, -20), 77, /part of the setup code is missing.* Paste it again, whole/],
          ["nothing", "", 77, /no setup code was given/],
          [
            "a sentence",
            "please let me in, gateway",
            77,
            /this is no setup code, no oc-pair:\/\/ link and no join URL/
          ],
          [
            "plaintext",
            codeOf({ ...good, url: "ws://10.0.0.7:18789" }),
            78,
            /OPENCLAW_GATEWAY_PLAINTEXT_HOST=10\.0\.0\.7/
          ],
          [
            "nobody there",
            codeOf({ ...good, url: "ws://127.0.0.1:1" }),
            69,
            /Nothing answers at the gateway's address/
          ],
          [
            "http",
            `http://gateway.example/j/${"A".repeat(22)}`,
            77,
            /begins with http:\/\/ and leads to another machine/
          ]
        ]
        for (const [name, text, exit, words] of cases) {
          const stateDir = yield* Cli.temporaryDirectory
          const finished = yield* Cli.finished(["pair", "--log-level", "all"], { stateDir, stdin: [text] })
          assert.strictEqual(finished.code, exit, `${name}: ${finished.stderr}`)
          assert.match(finished.stderr, words, name)
          assert.deepStrictEqual(finished.stdout, [], name)
          if (text !== "") yield* holdsNone([text], printed(finished), stateDir)
          const fs = yield* FileSystem.FileSystem
          assert.isFalse(yield* fs.exists(`${stateDir}/paired-gateway.json`), name)
        }
        // The code is still good: nothing of this has used it.
        const last = yield* Cli.finished(["pair"], {
          stateDir: yield* Cli.temporaryDirectory,
          stdin: [codeOf({ ...good, urls: ["ws://127.0.0.1:1", url] })]
        })
        assert.deepStrictEqual([last.code, last.stdout[0]], [0, `paired with ${url}`], last.stderr)
      })),
    120_000
  )

  it.live(
    "refuses a code on the command line before anything is done, and does not repeat it",
    () =>
      held(Effect.gen(function*() {
        const { code, made } = yield* serving
        const pasted = yield* code()
        const { joinUrl = "" } = yield* made({ joinUrl: true })
        const stateDir = `${yield* Cli.temporaryDirectory}/none`
        const lines = [
          ["pair", pasted],
          ["run", "--pair", `oc-pair://${pasted}`],
          ["pair", joinUrl],
          ["pair", `--code-file=${pasted}`],
          ["delegate", pasted]
        ]
        for (const args of lines) {
          const { code: exit, stderr, stdout } = yield* Cli.finished(args, { stateDir })
          assert.deepStrictEqual([exit, stdout], [64, []], stderr)
          assert.match(
            stderr,
            /^A setup code stands on the command line, where other users of this machine can read it/
          )
          yield* holdsNone([pasted, new URL(joinUrl).pathname], [stderr])
        }
        const wrong = yield* Cli.finished(["pair", "--code-file", "not-a-file-but-a-secret"], { stateDir })
        assert.strictEqual(wrong.code, 78)
        assert.notInclude(wrong.stderr, "secret")
        assert.isFalse(yield* (yield* FileSystem.FileSystem).exists(stateDir))
      })),
    60_000
  )

  it.live("keeps the fingerprint of the code as a pin, which later starts hold to", () =>
    held(Effect.gen(function*() {
      const { code, gateway, url } = yield* serving
      const stateDir = yield* Cli.temporaryDirectory
      const identity = Authority.selfSigned()
      const front = yield* Front.serve(identity, new URL(url))
      const pasted = codeOf({
        ...contentOf(yield* code()),
        url: front.url.origin,
        tlsFingerprint: identity.fingerprint.replace("sha256:", "")
      })
      const cli = yield* Cli.start(["pair", "--json"], { stateDir, stdin: [pasted] })
      const { requestId } = yield* cli.nextEvent("pairing.required")
      yield* gateway.approve(String(requestId))
      yield* Effect.timeout(cli.exit, "30 seconds")
      const delegated = yield* Cli.finished(["delegate", "hello", "--quiet"], { stateDir })
      assert.deepStrictEqual([delegated.code, delegated.stdout], [0, ["echo: hello"]], delegated.stderr)
      front.show(Authority.selfSigned())
      const refused = yield* Cli.finished(["delegate", "hello"], { stateDir })
      assert.strictEqual(refused.code, 78)
      assert.match(refused.stderr, /pin/)
      // A code with the fingerprint of another certificate is not sent.
      const other = yield* Cli.finished(["pair"], { stateDir: yield* Cli.temporaryDirectory, stdin: [pasted] })
      assert.strictEqual(other.code, 78)
    })), 90_000)

  it.live("is not shown at a terminal, where a typing error can be mended", () =>
    held(Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { code } = yield* serving
      const stateDir = yield* Cli.temporaryDirectory
      const folder = yield* Cli.temporaryDirectory
      const pasted = yield* code({ bootstrapProfile: "node" })
      const shell = yield* Shell.start(`script -qec "$CLI pair 2> ${folder}/asked" /dev/null`, { stateDir })
      const asked = Effect.orElseSucceed(fs.readFileString(`${folder}/asked`), () => "")
      yield* Effect.repeat(Effect.andThen(Effect.yieldNow, asked), { until: (text) => text.includes("not shown") })
        .pipe(
          Effect.timeout("20 seconds")
        )
      yield* shell.write(`${pasted}xy\u007f\u007f\r`)
      const { code: exit } = yield* Effect.timeout(shell.drained, "40 seconds")
      assert.strictEqual(exit, 0, `${shell.stdout.join("\n")}\n${yield* asked}`)
      assert.include(shell.stdout.join("\n"), "paired with")
      yield* holdsNone(secretsOf(pasted), [...shell.stdout, yield* asked], stateDir)
    })), 60_000)
})
