import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import * as Endpoint from "../../src/link/Endpoint.ts"
import { commandOn, posixAssignment, quotePosix, quotePowerShell } from "../../src/protocol/ShellCommand.ts"
import { argumentsOf, printedBy } from "../support/PosixShell.ts"

const shells: ReadonlyArray<readonly [shell: string, options: ReadonlyArray<string>]> = [
  ["sh", ["-c"]],
  ["bash", ["-c"]],
  ["bash", ["--posix", "-c"]]
]
const printer = ["node", "-e", "for (const a of process.argv.slice(1)) process.stdout.write(a + '\\0')", "--"]

const hostile = [
  "",
  " ",
  "'",
  "''",
  '"',
  'it\'s "quoted"',
  "$(touch /tmp/effect-openclaw-quoting)",
  "`touch /tmp/effect-openclaw-quoting`",
  "${HOME}",
  "$HOME",
  "~",
  "~root",
  "*",
  "[a-z]*",
  "{a,b}",
  "a b\tc",
  "line\nline\r\n",
  "\\",
  "\\n",
  "a\\'b",
  "!!",
  "!event",
  "#comment",
  "a;b&c|d>e<f",
  "&& true",
  "--option=value",
  "-n",
  "A=b",
  "%1",
  "=ls",
  "if",
  "\u202Edesrever",
  "\u2019curly\u2018",
  "ünïcödé ✓",
  "\u0001\u001b[31m"
]

/** Text of what shells give a meaning to. */
const awkward = Arbitrary.map(
  Arbitrary.array(Arbitrary.schema(Schema.Literals([..."a'\"$`\\!*?~#&|;<>(){}[]=%^ \n\t-é\u2019\u202E"]))),
  (characters) => characters.join("")
)

/**
 * A command that is put together in a template or by `+` where it takes a value. Words of the CLI alone, such as `tasks`, are
 * prose; with the name of a program before them they are a command.
 */
const program =
  /(?<![\w/.-])(?:openclaw(?:-device)?|ssh|docker|kubectl|wsl\.exe|chmod|chown|tailscale|openssl|npm|export|curl|sh -c)/
const assembled = [
  new RegExp(`\`[^\`]*?${program.source} [a-z-][^\`]*?\\$\\{[^\`]*?\``, "g"),
  new RegExp(`"[^"\\n]*?${program.source} [a-z-][^"\\n]*?"\\s*\\+\\s*[^"\`\\s]`, "g")
]
const assembledIn = (source: string): ReadonlyArray<string> => {
  const code = source.replace(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "").replaceAll("\\`", "'")
  return assembled.flatMap((pattern) => Array.from(code.matchAll(pattern), ([found]) => found))
}

const sources = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const root = fileURLToPath(new URL("../../src", import.meta.url))
  const names = (yield* fs.readDirectory(root, { recursive: true })).filter((name) => name.endsWith(".ts"))
  return yield* Effect.forEach(
    names,
    (name) => Effect.map(fs.readFileString(`${root}/${name}`), (text) => ({ name, text }))
  )
}).pipe(Effect.provide(NodeServices.layer))

describe("ShellCommand", () => {
  it.each(shells)("F45: %s %j sees exactly the arguments that were quoted, however hostile", (shell, options) => {
    assert.deepStrictEqual(printedBy(shell, options, quotePosix([...printer, ...hostile])), hostile)
  })

  it("F45: a first word that a shell would take for an assignment or a keyword is run as a program", () => {
    for (const [shell, options] of shells) {
      for (const word of ["A=b", "if", "until", "!", "{", "[[", "~"]) {
        const { status, stderr } = spawnSync(shell, [...options, quotePosix([word, "x"])], { encoding: "utf8" })
        assert.strictEqual(status, 127, `${word}: ${stderr}`)
      }
    }
  })

  it.prop(
    "F45: sh and bash give back arbitrary arguments",
    [Arbitrary.array(awkward, { maxLength: 8 })],
    ([words]) => {
      for (const shell of ["sh", "bash"]) {
        assert.deepStrictEqual(argumentsOf(shell, quotePosix(["f", ...words])), words)
      }
    },
    { arbitrary: { seed: "quoting", runs: 60 } }
  )

  // Rules of PowerShell, "about_Quoting_Rules" and "about_Parsing": within single quotes everything is literal but the
  // quote, which is doubled; the curly quotes U+2018 to U+201B count as it; a quoted command is called with `&`.
  it.each<readonly [argv: ReadonlyArray<string>, text: string]>([
    [["openclaw", "devices", "list"], "openclaw devices list"],
    [["openclaw", "it's"], "openclaw 'it''s'"],
    [["openclaw", "'"], "openclaw ''''"],
    [["openclaw", ""], "openclaw ''"],
    [["openclaw", "$env:HOME $(1+1)"], "openclaw '$env:HOME $(1+1)'"],
    [["openclaw", "`n"], "openclaw '`n'"],
    [["openclaw", "a;b|c&d"], "openclaw 'a;b|c&d'"],
    [["openclaw", "@x", "%", "{a}", "#c", "a,b"], "openclaw '@x' '%' '{a}' '#c' 'a,b'"],
    [["openclaw", "10kb", "0x10", "1e3"], "openclaw '10kb' '0x10' '1e3'"],
    [["openclaw", "--%", "-a.b", "--url"], "openclaw '--%' '-a.b' --url"],
    [["openclaw", 'say "x"'], "openclaw 'say \"x\"'"],
    [
      ["openclaw", "\u2018a\u2019b\u201Ac\u201Bd"],
      "openclaw '\u2018\u2018a\u2019\u2019b\u201A\u201Ac\u201B\u201Bd'"
    ],
    [["openclaw", "a\nb"], "openclaw 'a\nb'"],
    [["C:\\Program Files\\nodejs\\node.exe", "x"], "& 'C:\\Program Files\\nodejs\\node.exe' x"],
    [["if", "x"], "& 'if' x"],
    [["wsl.exe", "--exec", "bash"], "wsl.exe --exec bash"]
  ])("F45: PowerShell text of %j", (argv, text) => assert.strictEqual(quotePowerShell(argv), text))

  it.prop("F45: a variable gets arbitrary values as they are", [awkward], ([value]) => {
    for (const shell of ["sh", "bash"]) {
      const script = `${posixAssignment("NAME", value)}; printf '%s\\0' "$NAME"`
      assert.deepStrictEqual(printedBy(shell, ["-c"], script), [value])
    }
  }, { arbitrary: { seed: "assignment", runs: 60 } })

  it("a command is written for the shell of its platform", () => {
    assert.strictEqual(commandOn("win32", ["a", "1"]).text, "a '1'")
    assert.strictEqual(commandOn("linux", ["a", "1"]).text, "a 1")
  })

  it.effect("F45: no command of the program is assembled in a template or by concatenation", () =>
    Effect.gen(function*() {
      const all = yield* sources
      assert.isAbove(all.length, 100)
      assert.deepStrictEqual(all.flatMap(({ name, text }) => assembledIn(text).map((found) => `${name}: ${found}`)), [])
      const broken = [
        "`ssh -N -L ${port}:127.0.0.1 ${host}`",
        '"on the gateway host run: openclaw devices approve "\n  + id',
        "`Run: chmod go-w ${this.path} - or`",
        "`a ${b} openclaw devices ${\n  name\n}`"
      ]
      for (const source of broken) assert.lengthOf(assembledIn(source), 1, source)
      const kept = [
        "// `ssh -x ${host}`",
        "`see openclaw`",
        '"ssh <host>"',
        "`the identity is in ${path}`",
        '"ssh -N" + " -L"'
      ]
      for (const source of kept) assert.deepStrictEqual(assembledIn(source), [], source)
    }))

  it("F45: a host in a refused URL cannot act as a command or an option in the advice on it", () => {
    for (const host of ["$(reboot)", "`reboot`", "a;reboot", "a&reboot", "it's", "-oproxycommand=reboot"]) {
      const parsed = Endpoint.parse(`ws://${host}:18789`)
      const told = Result.isFailure(parsed) ? parsed.failure.message : assert.fail(host)
      const [, tunnel = ""] = /a tunnel such as: (.*?) \(then ws:/.exec(told) ?? []
      const [, setting = ""] = /name this one host: (.*)$/.exec(told) ?? []
      for (const shell of ["sh", "bash"]) {
        const remote = host.startsWith("-") ? "<gateway host>" : host
        assert.deepStrictEqual(argumentsOf(shell, tunnel, "ssh"), ["-N", "-L", "18789:127.0.0.1:18789", remote])
        const script = `${setting}; printf '%s\\0' "$OPENCLAW_GATEWAY_PLAINTEXT_HOST"`
        assert.deepStrictEqual(printedBy(shell, ["-c"], script), [host])
      }
    }
  })
})
