import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import manifest from "../../package.json" with { type: "json" }
import { projectOf, run } from "../support/Tool.ts"

/** Which rooms each room may import besides itself, written out pair by pair. */
const reach: Readonly<Record<string, string>> = {
  protocol: "",
  broadcast: "",
  settings: "protocol broadcast storage",
  storage: "protocol broadcast",
  identity: "protocol broadcast settings storage",
  link: "protocol broadcast settings",
  handshake: "protocol broadcast settings storage identity link",
  connection: "protocol broadcast settings storage identity link handshake",
  pairing: "protocol broadcast settings storage identity link handshake connection",
  tasks: "protocol broadcast settings storage identity link handshake connection",
  toolhost: "protocol broadcast settings storage identity link handshake connection",
  advice: "protocol broadcast settings storage identity link handshake connection pairing tasks toolhost",
  agent: "protocol broadcast settings storage identity link handshake connection pairing tasks toolhost advice",
  status: "protocol broadcast settings storage identity link handshake connection pairing tasks toolhost advice agent",
  recorder:
    "protocol broadcast settings storage identity link handshake connection pairing tasks toolhost advice agent status",
  dialog:
    "protocol broadcast settings storage identity link handshake connection pairing tasks toolhost advice agent status dialog/app",
  "dialog/app": "protocol",
  doctor:
    "protocol broadcast settings storage identity link handshake connection pairing tasks toolhost advice agent status",
  fleet:
    "protocol broadcast settings storage identity link handshake connection pairing tasks toolhost advice agent status",
  devgateway: "",
  testing:
    "protocol broadcast settings storage identity link handshake connection pairing tasks toolhost advice agent status recorder devgateway doctor",
  cli:
    "protocol broadcast settings storage identity link handshake connection pairing tasks toolhost advice agent status recorder devgateway doctor dialog dialog/app"
}
const roomNames = Object.keys(reach)

interface Rule {
  readonly title: string
  /** What the report says: the code of a rule of the linter, or the words of a law. */
  readonly says: string
  readonly broken: ReadonlyArray<string | readonly [file: string, source: string]>
  readonly kept?: ReadonlyArray<string | readonly [file: string, source: string]>
}

const lines = (count: number) => Array.from({ length: count }, () => "f()").join("\n")

const rules: ReadonlyArray<Rule> = [
  {
    title: "no async function",
    says: "no async function",
    broken: [
      "export const f = async () => 1",
      "export async function f() {}",
      "export const f = async x => x",
      "export const x = await y",
      "export const o = { async f() {} }",
      "export const x = 1\nfor await (const y of z) f(y)"
    ],
    kept: [
      "export const asyncTask = 1",
      'export const x = "async () => 1"',
      "// async function f() {}",
      "export const x = Deferred.await(y)",
      "export interface X { readonly await: X }",
      ["dialog/app/Async.ts", "export const f = async () => 1"],
      ["cli/launch/Async.ts", "export const f = async () => 1"]
    ]
  },
  {
    title: "no Promise",
    says: "no Promise",
    broken: ["export let x: Promise<void>", "export const x = new Promise(f)", "export const x = Promise.all([])"],
    kept: [
      "export const x = Effect.promise(f)",
      "export const x = Effect.tryPromise(f)",
      "/* Promise<void> */",
      "export const x = `a Promise<x>`"
    ]
  },
  {
    title: "no timer but the grace of a closing socket",
    says: "no timer but Clock",
    broken: ["setTimeout(f, 1)", "globalThis.setInterval(f)", "setImmediate(f)"],
    kept: ["resetTimeouts(f)", "// setTimeout(f, 1)", "clearTimeout(t)", ["link/TransportWs.ts", "setTimeout(f, 1)"]]
  },
  {
    title: "no clock but Clock",
    says: "no clock but Clock",
    broken: [
      "export const x = Date.now()",
      "export const x = new Date()",
      "export const x = new Date( )",
      "export const x = Date()",
      "export const x = performance.now()",
      "export const x = process.hrtime()"
    ],
    kept: ["export const x = new Date(ms)", "// Date.now()", 'export const x = "Date.now()"', "Date.parse(x)"]
  },
  {
    title: "no chance but Random and SecureRandom",
    says: "no chance but Random",
    broken: ["export const x = Math.random()"],
    kept: ["export const x = Random.next"]
  },
  {
    title: "no environment but Config",
    says: "no environment but Config",
    broken: [
      "export const x = process.env.HOME",
      "export const x = { ...process.env }",
      'export const x = process["env"]',
      "export const x = import.meta.env",
      'import { env } from "node:process"\nexport const x = env'
    ],
    kept: [
      "export const x = process.environment",
      "// process.env.HOME",
      "export const env = 1",
      ["cli/launch/Env.ts", "export const x = process.env.HOME"]
    ]
  },
  {
    title: "F08: no synchronous file or process call",
    says: "F08: no synchronous file or process call",
    broken: [
      "fs.readFileSync(p)",
      'import { mkdirSync } from "node:fs"\nmkdirSync(p)',
      'spawnSync("x")',
      "chmodSync(p, 1)",
      "Effect.runSync(x)"
    ],
    kept: ["Schema.encodeSync(X)", "Schema.decodeUnknownSync(X)", "// readFileSync", "sheet.replaceSync(x)", [
      "cli/launch/Sync.ts",
      "readFileSync(x)"
    ]]
  },
  {
    title: "F08: no file system but FileSystem",
    says: "F08: ask for FileSystem",
    broken: [
      'import fs from "node:fs"\nfs.x()',
      "import * as fs from 'node:fs/promises'\nfs.x()",
      'export const x = import("node:fs")',
      ["cli/Files.ts", 'import fs from "node:fs"\nfs.x()']
    ],
    kept: ['import * as FileSystem from "effect/FileSystem"\nFileSystem.x()', '// from "node:fs"', [
      "cli/launch/Files.ts",
      'import "node:fs"'
    ]]
  },
  {
    title: "F01: no detached fiber",
    says: "F01: no detached fiber",
    broken: ["Effect.forkDetach(x)", "x.pipe(Effect.forkDetach())"],
    kept: ["Effect.forkScoped(x)", "// forkDetach"]
  },
  {
    title: "no any",
    says: "typescript(no-explicit-any)",
    broken: [
      "export let x: any",
      "export const y = x as any",
      "export let x: Array<any>",
      "export let x: Map<string, any>"
    ],
    kept: ["// : any", 'export const x = "as any"', "export const many: company = 1", "export const x = { any: 1 }"]
  },
  {
    title: "no assertion through unknown or to never",
    says: "no assertion ",
    broken: ["export const y = x as unknown as Y", "export const y = x as never"],
    kept: ["export const y = x as const", "export const y: unknown = x", "export const y = x as Y<never>"]
  },
  {
    title: "nothing is exported twice but by the index files",
    says: "only an index re-exports",
    broken: [
      'export * from "./A.ts"',
      'export { a } from "./A.ts"',
      'export type { A } from "./A.ts"',
      "const a = 1\nexport {\n  a\n}"
    ],
    kept: [
      "export const a = 1",
      "export type A = { a: 1 }",
      '// export * from "./A.ts"',
      "export function* f() {}",
      ["index.ts", 'export * from "./agent/Agent.ts"\nexport { AgentEvents } from "./agent/AgentEvents.ts"'],
      ["testing/index.ts", 'export * from "./A.ts"']
    ]
  },
  {
    title: "an import names its module",
    says: "an import names its module",
    broken: ["export const x = import(name)"],
    kept: ['export const x = import("./A.ts")']
  },
  {
    title: "G13: certificates are judged in one place, and nowhere is the judgement left out",
    says: "G13: LinkSocket judges certificates",
    broken: [
      "connect({ rejectUnauthorized: false })",
      "connect({ rejectUnauthorized: strict })",
      "connect({ checkServerIdentity: () => undefined })"
    ],
    kept: [
      "request({ rejectUnauthorized: true })",
      "// rejectUnauthorized: false",
      [
        "link/LinkSocket.ts",
        'import { createHash } from "node:crypto"\nconnect({ rejectUnauthorized: false, x: createHash("x") })'
      ]
    ]
  },
  {
    title: "F38: the preview of the newest request is part of no command",
    says: "F38: no command has --latest",
    broken: [
      'export const argv = ["devices", "approve", "--latest"]',
      "export const x = `approve --latest`",
      "export const x = `approve ${id} --latest`",
      'export const x = "approve ${id} --latest"'
    ],
    kept: [
      "// approve --latest only previews",
      'export const x = "--later"',
      'export const x = "must not hold --latest"'
    ]
  },
  {
    title: "devgateway uses the frames of protocol, and never the proof of the client",
    says: "may not import protocol/",
    broken: [["devgateway/Proof.ts", 'import * as DeviceProof from "../protocol/DeviceProof.ts"\nDeviceProof.x()']],
    kept: [["devgateway/Frames.ts", 'import * as Frame from "../protocol/Frame.ts"\nFrame.x()']]
  },
  {
    title: "dialog/app uses types of protocol",
    says: "dialog/app imports types",
    broken: [["dialog/app/Value.ts", 'import { isoTime } from "../../protocol/AgentEvent.ts"\nisoTime(1)']],
    kept: [[
      "dialog/app/Type.ts",
      'import type { AgentEvent } from "../../protocol/AgentEvent.ts"\nexport type A = AgentEvent'
    ]]
  },
  {
    title: "ws is named by link/TransportWs and devgateway alone",
    says: "may not import ws",
    broken: [
      'import { WebSocket } from "ws"\nWebSocket()',
      "import type { WebSocket } from 'ws'\nexport type X = WebSocket",
      'export const x = import("ws")',
      'export type X = import("ws").WebSocket',
      'import "ws"',
      ["link/Other.ts", 'import "ws"'],
      ["dialog/Ws.ts", 'import "ws"']
    ],
    kept: [
      'import * as Ws from "./TransportWs.ts"\nWs.x()',
      '// from "ws"',
      ["devgateway/Ws.ts", 'import "ws"']
    ]
  },
  {
    title: "only cli, devgateway and dialog know the platform",
    says: "may not import @effect/platform-node/",
    broken: ["agent", "testing", "recorder"].map((room) =>
      [
        `${room}/Platform.ts`,
        'import * as NodeServices from "@effect/platform-node/NodeServices"\nNodeServices.x()'
      ] as const
    ),
    kept: ["cli", "devgateway", "dialog"].map((room) =>
      [
        `${room}/Platform.ts`,
        'import * as NodeServices from "@effect/platform-node/NodeServices"\nNodeServices.x()'
      ] as const
    )
  },
  {
    title: "the command line, tests, keys and Node.js are for the rooms that need them",
    says: "may not import",
    broken: [
      ["agent/Cli.ts", 'import "effect/cli/CliError"'],
      ["agent/TestClock.ts", 'import "effect/testing/TestClock"'],
      ["recorder/TestConsole.ts", 'import "effect/testing/TestConsole"'],
      ["link/Noble.ts", 'import "@noble/curves/ed25519.js"'],
      ["link/Crypto.ts", 'import "node:crypto"'],
      ["testing/Crypto.ts", 'import "node:crypto"'],
      ["dialog/Crypto.ts", 'import "node:crypto"'],
      ["connection/Net.ts", 'import "node:net"'],
      ["identity/Http.ts", 'import "node:https"'],
      ["link/Process.ts", 'import "node:process"'],
      ["identity/Path.ts", 'import "node:path"'],
      ["testing/Url.ts", 'import "node:url"'],
      ["agent/Outside.ts", 'import "../../test/support/Tool.ts"'],
      ["cli/Manifest.ts", 'import "../../package.json"'],
      ["agent/Self.ts", 'import "effect-openclaw/agent/Agent"']
    ],
    kept: [
      ["cli/Cli.ts", 'import "effect/cli/CliError"'],
      ["testing/TestClock.ts", 'import "effect/testing/TestClock"'],
      ["recorder/TestClock.ts", 'import "effect/testing/TestClock"'],
      ["identity/Noble.ts", 'import "@noble/curves/ed25519.js"'],
      ["identity/Crypto.ts", 'import "node:crypto"'],
      ["devgateway/Crypto.ts", 'import "node:crypto"'],
      ["link/Net.ts", 'import "node:net"\nimport "node:tls"\nimport "node:http"'],
      ["cli/Process.ts", 'import "node:process"'],
      ["dialog/Http.ts", 'import "node:http"'],
      ["dialog/app/Build.ts", 'import "node:fs/promises"']
    ]
  },
  {
    title: "a room that is not in the list is no room",
    says: "no room attic is in the list",
    broken: [["attic/X.ts", "export const x = 1"]]
  },
  {
    title: "imports form no cycle",
    says: "import(no-cycle)",
    broken: [
      ["link/CycleA.ts", 'import { b } from "./CycleB.ts"\nexport const a = (): number => b()'],
      ["link/CycleB.ts", 'import { a } from "./CycleA.ts"\nexport const b = (): number => a()']
    ]
  },
  {
    title: "modules are imported by their own path",
    says: "eslint(no-restricted-imports)",
    broken: [
      "effect",
      "effect/http",
      "effect/cli",
      "effect/crypto",
      "effect/encoding",
      "effect/socket",
      "effect/testing",
      "effect/ai",
      "effect/process",
      "@effect/platform-node"
    ].flatMap((name, index) => [
      [`cli/Barrel${index}.ts`, `import * as X from "${name}"\nX.x()`] as const,
      [`../test/Barrel${index}.ts`, `import * as X from "${name}"\nX.x()`] as const
    ]),
    kept: ['import * as Effect from "effect/Effect"\nEffect.x()']
  },
  {
    title: "F15: what nothing uses is refused",
    says: "eslint(no-unused-vars)",
    broken: [
      'import * as Effect from "effect/Effect"',
      "const x = 1",
      "export const f = () => {\n  let x = 1\n  x = 2\n}",
      ["../test/Unused.ts", "const x = 1"]
    ],
    kept: ["export const x = 1"]
  },
  {
    title: "modules of Node.js are named as such",
    says: "unicorn(prefer-node-protocol)",
    broken: ['import "fs/promises"', ["../test/Path.ts", 'import "path"']]
  },
  {
    title: "no console",
    says: "eslint(no-console)",
    broken: ["console.log(1)", ["../test/Console.ts", "console.log(1)"]]
  },
  {
    title: "no await in a loop",
    says: "eslint(no-await-in-loop)",
    broken: [["../test/Loop.ts", "for (const x of y) await x"]],
    kept: [["dialog/app/Loop.ts", "for (const x of y) await x"]]
  },
  { title: "no empty block", says: "eslint(no-empty)", broken: ["if (x) {}"] },
  { title: "no loose equality", says: "eslint(eqeqeq)", broken: ["export const x = a == b"] },
  { title: "no var", says: "eslint(no-var)", broken: ["export var x = 1"] },
  { title: "const where nothing is assigned", says: "eslint(prefer-const)", broken: ["let x = 1\nexport const y = x"] },
  {
    title: "no assertion that a value is there",
    says: "typescript(no-non-null-assertion)",
    broken: ["export const x = y!"]
  },
  {
    title: "types are imported as types",
    says: "typescript(consistent-type-imports)",
    broken: ['import { A } from "./A.ts"\nexport type B = A']
  },
  {
    title: "a module is imported once",
    says: "import(no-duplicates)",
    broken: ['import { a } from "./A.ts"\nimport { b } from "./A.ts"\na(b)']
  },
  {
    title: "no file above 450 lines",
    says: "eslint(max-lines)",
    broken: [lines(451)],
    kept: [lines(450), ["../test/Long.ts", lines(451)]]
  },
  {
    title: "no function above 150 lines",
    says: "eslint(max-lines-per-function)",
    broken: [
      `export const f = () => {\n${lines(149)}\n}`,
      `export function f() {\n${lines(149)}\n}`,
      `export const x = Effect.gen(function*() {\n${lines(149)}\n})`
    ],
    kept: [`export const f = () => {\n${lines(148)}\n}`, ["../test/LongFunction.ts", `f(() => {\n${lines(149)}\n})`]]
  },
  { title: "what is wrong", says: "eslint(no-debugger)", broken: ["debugger"] },
  { title: "what is suspicious", says: "eslint(no-unneeded-ternary)", broken: ["export const x = y ? true : false"] }
]

const Report = Schema.fromJsonString(Schema.Struct({
  diagnostics: Schema.Array(Schema.Struct({
    code: Schema.optionalKey(Schema.String),
    message: Schema.String,
    filename: Schema.String,
    labels: Schema.Array(Schema.Struct({ span: Schema.Struct({ line: Schema.Int }) }))
  }))
}))

/** Snippets with their files. A file is named from `src`; what has no name gets one in the room `agent`. */
const filesOf = (at: number, kind: "Broken" | "Kept", snippets: Rule["kept"] = []) =>
  snippets.map((snippet, index): readonly [string, string] =>
    typeof snippet === "string" ? [`agent/${kind}${at}x${index}.ts`, snippet] : snippet
  )
const cases = rules.map((rule, at) => ({
  ...rule,
  broken: filesOf(at, "Broken", rule.broken),
  kept: filesOf(at, "Kept", rule.kept)
}))

/** Each room imports a file of every room, one a line. */
const everyImport = roomNames.map((room): readonly [string, string] => [
  `${room}/Every.ts`,
  roomNames.map((other) => `import "${room.replace(/[^/]+/g, "..")}/${other}/Every.ts"`).join("\n")
])

/** What the check of this project says of all snippets, by file. */
class Reports extends Context.Service<Reports, {
  readonly of: (file: string) => ReadonlyArray<{ readonly line: number; readonly text: string }>
}>()("test/lint/Reports") {
  static readonly layer = Layer.effect(
    this,
    Effect.gen(function*() {
      const folder = yield* projectOf(Object.fromEntries(
        [...everyImport, ...cases.flatMap(({ broken, kept }) => [...broken, ...kept])]
          .map(([file, source]) => [`src/${file}`, `${source}\n`])
      ))
      const { code, stdout } = yield* run(folder, `${manifest.scripts["check:lint"]} --format json`)
      assert.strictEqual(code, 1)
      const { diagnostics } = yield* Schema.decodeEffect(Report)(stdout)
      const reports = diagnostics.map(({ code, filename, labels, message }) => ({
        file: filename,
        line: labels[0]?.span.line ?? 0,
        text: `${code ?? "syntax"}: ${message}`
      }))
      return { of: (file: string) => reports.filter((report) => report.file === `src/${file}`.replace("src/../", "")) }
    })
  ).pipe(Layer.provide(NodeServices.layer))
}

describe("the lint rules", () => {
  layer(Reports.layer, { excludeTestServices: true })((it) => {
    for (const { broken, kept, says, title } of cases) {
      it.effect(title, () =>
        Effect.gen(function*() {
          const reports = yield* Reports
          const breaks = (file: string) => reports.of(file).filter(({ text }) => text.includes(says))
          const isParsed = (file: string) => reports.of(file).every(({ text }) => !text.startsWith("syntax"))
          for (const [file, source] of broken) {
            assert.isNotEmpty(breaks(file), `${file}: ${source}\n${JSON.stringify(reports.of(file))}`)
          }
          for (const [file, source] of kept) assert.deepStrictEqual(breaks(file), [], `${file}: ${source}`)
          for (const [file, source] of [...broken, ...kept]) assert.isTrue(isParsed(file), `${file}: ${source}`)
        }))
    }

    it.effect("each room imports the rooms below it and no other", () =>
      Effect.gen(function*() {
        const reports = yield* Reports
        for (const room of roomNames) {
          const refused = new Set(
            reports.of(`${room}/Every.ts`).filter(({ text }) => text.includes("may not import")).map(({ line }) => line)
          )
          assert.deepStrictEqual(
            roomNames.filter((other, index) => other !== room && !refused.has(index + 1)),
            roomNames.filter((other) => reach[room]?.split(" ").includes(other)),
            room
          )
        }
      }))
  })
})
