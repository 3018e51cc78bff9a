import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"

/** One source text in two forms of the same length and lines: without comments, and also without the insides of strings. */
interface Stripped {
  readonly text: string
  readonly code: string
}

/** Where a `/` begins a regular expression rather than a division: after these, or at the start. */
const beforeRegex = /(?:^|[(,=:[!&|?{};<>+\-*%~^]|\b(?:return|typeof|case|in|of|void|yield|throw|else|do))\s*$/

/** Blanks comments, and in `code` the insides of strings; the expressions inside a template stay code. */
const strip = (source: string): Stripped => {
  const text = [...source.replace(/[^\n]/g, " ")]
  const code = [...text]
  const units = source.split("")
  let at = 0
  const keep = (both: boolean) => {
    const unit = units[at] ?? ""
    text[at] = unit
    if (both) code[at] = unit
    at++
  }
  const quoted = (quote: string) => {
    keep(true)
    while (at < units.length && units[at] !== quote && units[at] !== "\n") {
      if (units[at] === "\\") keep(false)
      keep(false)
    }
    keep(true)
  }
  const regex = () => {
    let inClass = false
    keep(true)
    while (at < units.length && units[at] !== "\n" && (inClass || units[at] !== "/")) {
      if (units[at] === "[") inClass = true
      else if (units[at] === "]") inClass = false
      if (units[at] === "\\") keep(false)
      keep(false)
    }
    keep(true)
  }
  const template = () => {
    keep(true)
    while (at < units.length && units[at] !== "`") {
      if (units[at] === "$" && units[at + 1] === "{") {
        keep(true)
        keep(true)
        plain("}")
        keep(true)
        continue
      }
      if (units[at] === "\\") keep(false)
      keep(false)
    }
    keep(true)
  }
  const plain = (end: string | undefined) => {
    let depth = 0
    while (at < units.length) {
      const unit = units[at]
      const pair = `${unit}${units[at + 1]}`
      if (unit === end && depth === 0) return
      if (unit === "{") depth++
      if (unit === "}") depth--
      if (pair === "//") { while (at < units.length && units[at] !== "\n") at++ }
      else if (pair === "/*") {
        at = source.indexOf("*/", at + 2)
        at = at < 0 ? units.length : at + 2
      } else if (unit === '"' || unit === "'") quoted(unit)
      else if (unit === "`") template()
      else if (unit === "/" && beforeRegex.test(code.slice(Math.max(0, at - 60), at).join(""))) regex()
      else keep(true)
    }
  }
  plain(undefined)
  return { text: text.join(""), code: code.join("") }
}

interface Law {
  readonly name: string
  readonly in: keyof Stripped
  readonly forbidden: RegExp
  /** Files, below `src`, that may do it, each with its reason in that file. */
  readonly except?: RegExp
  readonly broken: ReadonlyArray<string>
  readonly kept: ReadonlyArray<string>
}

const laws: ReadonlyArray<Law> = [
  {
    name: "no async function",
    in: "code",
    forbidden: /\basync\b(?=\s*(?:function|\(|\*|[\w$]+\s*(?:=>|\()))|(?<!\.)\bawait\b(?!\s*:)/g,
    broken: ["const f = async () => 1", "async function f() {}", "const f = async x => x", "await x"],
    kept: [
      "const asyncTask = 1",
      '"async () => 1"',
      "// async function f() {}",
      "Deferred.await(x)",
      "{ readonly await: X }"
    ]
  },
  {
    name: "no Promise",
    in: "code",
    forbidden: /\bPromise\b/g,
    broken: ["let x: Promise<void>", "new Promise(f)", "Promise.all([])"],
    kept: ["Effect.promise(f)", "Effect.tryPromise(f)", "/* Promise<void> */", "`a Promise<x>`"]
  },
  {
    name: "no timer but the grace of a closing socket",
    in: "code",
    forbidden: /\bset(?:Timeout|Interval|Immediate)\b/g,
    except: /^link\/TransportWs\.ts$/,
    broken: ["setTimeout(f, 1)", "globalThis.setInterval(f)", "setImmediate(f)"],
    kept: ["resetTimeouts(f)", "// setTimeout(f, 1)", "clearTimeout(t)"]
  },
  {
    name: "no clock but Clock",
    in: "code",
    forbidden: /\bDate\.now\b|\bnew Date\(\s*\)|\bperformance\.now\b|\bprocess\.hrtime\b/g,
    broken: ["Date.now()", "new Date()", "new Date( )", "performance.now()"],
    kept: ["new Date(ms)", "// Date.now()", '"Date.now()"']
  },
  {
    name: "no chance but Random and SecureRandom",
    in: "code",
    forbidden: /\bMath\.random\b/g,
    broken: ["Math.random()"],
    kept: ["Random.next"]
  },
  {
    name: "no environment but Config",
    in: "code",
    forbidden: /\bprocess\.env\b|\bimport\.meta\.env\b/g,
    broken: ["process.env.HOME", "{ ...process.env }"],
    kept: ["process.environment", "// process.env.HOME"]
  },
  {
    name: "F08: no synchronous file or process call",
    in: "code",
    forbidden:
      /\b(?:access|appendFile|chmod|chown|close|copyFile|cp|exists|fchmod|fdatasync|fstat|fsync|ftruncate|link|lstat|mkdir|mkdtemp|open|opendir|readFile|readdir|readlink|readv?|realpath|rename|rm|rmdir|stat|statfs|symlink|truncate|unlink|utimes|writeFile|writev?|spawn|exec|execFile)Sync\b/g,
    broken: ["fs.readFileSync(p)", 'import { mkdirSync } from "node:fs"', 'spawnSync("x")', "chmodSync(p, 1)"],
    kept: ["Schema.encodeSync(X)", "Schema.decodeUnknownSync(X)", "// readFileSync"]
  },
  {
    name: "F08: no file system but FileSystem",
    in: "text",
    forbidden: /(?:\bfrom|\bimport\(?)\s*["'](?:node:)?fs(?:\/promises)?["']/g,
    broken: ['import fs from "node:fs"', "import * as fs from 'fs/promises'", 'import("node:fs")'],
    kept: ['import * as FileSystem from "effect/FileSystem"', '// from "node:fs"']
  },
  {
    name: "F01: no detached fiber",
    in: "code",
    forbidden: /\bforkDetach\b/g,
    broken: ["Effect.forkDetach(x)", "x.pipe(Effect.forkDetach())"],
    kept: ["Effect.forkScoped(x)", "// forkDetach"]
  },
  {
    name: "no any, and no assertion through unknown",
    in: "code",
    forbidden: /[:<,|&]\s*any\b(?!\s*[:(])|\bas any\b|\bas unknown as\b|\bas never\b/g,
    broken: ["let x: any", "x as any", "x as unknown as Y", "Array<any>", "Map<string, any>", "x as never"],
    kept: ["// : any", '"as any"', "const many: company", "{ any: 1 }", "x as const", "f(a, any(b))"]
  },
  {
    name: "no check is switched off",
    in: "text",
    forbidden: /@ts-|eslint-disable|oxlint-disable/g,
    broken: ['const x = "@ts-ignore"'],
    kept: ["const ts = 1"]
  },
  {
    name: "nothing is exported twice but by the index files",
    in: "code",
    forbidden: /\bexport\s+(?:type\s+)?(?:\*|\{)/g,
    except: /^(?:testing\/)?index\.ts$/,
    broken: [
      'export * from "./A.ts"',
      'export { a } from "./A.ts"',
      'export type { A } from "./A.ts"',
      "export {\n  a\n}"
    ],
    kept: ["export const a = 1", "export type A = { a: 1 }", '// export * from "./A.ts"', "export function* f() {}"]
  },
  {
    name: "ws is named by link/TransportWs and devgateway alone",
    in: "text",
    forbidden: /(?:\bfrom|\bimport\(?)\s*["']ws["']/g,
    except: /^(?:link\/TransportWs\.ts|devgateway\/.*)$/,
    broken: ['import { WebSocket } from "ws"', "import type { WebSocket } from 'ws'", 'import("ws")', 'import "ws"'],
    kept: ['import * as Ws from "./TransportWs.ts"', '// from "ws"']
  },
  {
    name: "G13: certificates are judged in one place, and nowhere is the judgement left out",
    in: "code",
    forbidden: /\brejectUnauthorized:\s*false\b|\bcheckServerIdentity\b/g,
    except: /^link\/LinkSocket\.ts$/,
    broken: ["connect({ rejectUnauthorized: false })", "connect({ checkServerIdentity: () => undefined })"],
    kept: ["request({ rejectUnauthorized: true })", "// rejectUnauthorized: false"]
  },
  {
    name: "F38: the preview of the newest request is part of no command",
    in: "text",
    // A sentence may still warn of it.
    forbidden: /["'`]--latest\b|\bapprove\b[^\n"'`]*--latest\b/g,
    broken: ['const argv = ["devices", "approve", "--latest"]', "`approve --latest`", '"approve ${id} --latest"'],
    kept: ["// approve --latest only previews", '"--later"', '"must not hold --latest"']
  }
]

/** `file:line` of each place in a source that breaks a law. */
const violations = (law: Law, file: string, source: Stripped): ReadonlyArray<string> =>
  law.except?.test(file) === true
    ? []
    : [...source[law.in].matchAll(law.forbidden)].map(({ 0: found, index }) =>
      `src/${file}:${source[law.in].slice(0, index).split("\n").length} ${found.trim()}`
    )

const strippedOnce = new Map<string, Stripped>()
const stripOnce = (source: string): Stripped => {
  const known = strippedOnce.get(source) ?? strip(source)
  strippedOnce.set(source, known)
  return known
}

const sources = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const root = `${import.meta.dirname}/../src`
  const names = (yield* fs.readDirectory(root, { recursive: true }))
    .map((name) => name.replaceAll("\\", "/"))
    .filter((name) => name.endsWith(".ts") && !name.startsWith("dialog/app/"))
    .toSorted()
  return yield* Effect.forEach(
    names,
    (name) => Effect.map(fs.readFileString(`${root}/${name}`), (text) => ({ name, stripped: stripOnce(text) }))
  )
}).pipe(Effect.provide(NodeServices.layer))

describe("laws of the source", () => {
  for (const law of laws) {
    it.effect(law.name, () =>
      Effect.gen(function*() {
        const all = yield* sources
        assert.isAbove(all.length, 20)
        assert.deepStrictEqual(all.flatMap(({ name, stripped }) => violations(law, name, stripped)), [])
      }))

    it(`finds what breaks it: ${law.name}`, () => {
      for (const source of law.broken) assert.lengthOf(violations(law, "a/B.ts", strip(source)), 1, source)
      for (const source of law.kept) assert.deepStrictEqual(violations(law, "a/B.ts", strip(source)), [], source)
    })
  }

  it("comments and strings are told from code, and lines stay in place", () => {
    const source = [
      'const a = "// no comment" // comment',
      "/* two",
      "lines */ const b = 'it\\'s' + `t ${c /* in */ + \"}\"} t`",
      'const d = /[/"]\\/\'/.test(x) ? a / b : c // "',
      "const e = `\\`${`${f}`}`"
    ]
    const { code, text } = strip(source.join("\n"))
    assert.deepStrictEqual(text.split("\n").map((line) => line.trimEnd()), [
      'const a = "// no comment"',
      "",
      "         const b = 'it\\'s' + `t ${c          + \"}\"} t`",
      "const d = /[/\"]\\/'/.test(x) ? a / b : c",
      "const e = `\\`${`${f}`}`"
    ])
    assert.deepStrictEqual(code.split("\n").map((line) => line.trimEnd()), [
      'const a = "             "',
      "",
      "         const b = '     ' + `  ${c          + \" \"}  `",
      "const d = /       /.test(x) ? a / b : c",
      "const e = `  ${`${f}`}`"
    ])
  })
})
