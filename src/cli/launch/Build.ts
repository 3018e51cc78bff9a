/**
 * Bundles the program that the package installs, so that it starts without hundreds of modules to find and read.
 *
 * `node Build.ts [folder]` writes into `folder` (default `dist/bin`): `openclaw-device.js`, which starts `Main.js` and its
 * parts; `answers.json`, which has help and version; and `THIRD-PARTY-LICENSES.txt`. The folder stands where `dist/bin` does,
 * two below the package, as the program finds its page by that.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as esbuild from "esbuild"
import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises"
import { builtinModules } from "node:module"
import { fileURLToPath, pathToFileURL } from "node:url"
import { packageVersion } from "../../handshake/PackageVersion.ts"
import { PrivateFile } from "../../storage/PrivateFile.ts"
import { Invocation } from "../Invocation.ts"
import { program } from "../Program.ts"
import type { Answers } from "./Answers.ts"

/** What the commands ask for before they have read their arguments. */
const host = Layer.mergeAll(
  PrivateFile.layer,
  Layer.succeed(Invocation, { program: ["openclaw-device"], platform: "linux", version: packageVersion })
).pipe(Layer.provideMerge(SecureRandom.layerWebCrypto), Layer.provideMerge(NodeServices.layer))

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/** Modules of Node.js that few starts use: loaded when something of them is used. */
const late = new Set(["child_process", "http", "https", "readline", "tls", "zlib"])

const builtin = (name: string): string => {
  const load = `process.getBuiltinModule(${JSON.stringify(`node:${name}`)})`
  if (!late.has(name)) return `module.exports = ${load}`
  const names = Object.keys(process.getBuiltinModule(name) ?? {})
  return `for (const name of ${JSON.stringify(names)}) {
  Object.defineProperty(exports, name, { enumerable: true, get: () => ${load}[name] })
}`
}

/**
 * Modules of Node.js as they are, not as ES modules: for those Node.js reads every export, and one of `node:http` loads all of
 * `fetch`, which takes 20 ms.
 */
const builtins: esbuild.Plugin = {
  name: "builtins",
  setup: (build) => {
    const known = new Set(builtinModules.flatMap((name) => [name, `node:${name}`]))
    build.onResolve({ filter: /^[a-z0-9_/:]+$/ }, ({ kind, path }) =>
      !known.has(path)
        ? undefined
        : kind === "dynamic-import"
        ? { path, external: true }
        : { path: path.replace(/^node:/, ""), namespace: "builtin" })
    build.onLoad({ filter: /.*/, namespace: "builtin" }, ({ path }) => ({ contents: builtin(path), loader: "js" }))
  }
}

/** The launcher is a file of its own, so that the listener that keeps the debugger shut comes before everything. */
const apart: esbuild.Plugin = {
  name: "apart",
  setup: (build) => build.onResolve({ filter: /\/Main\.ts$/ }, () => ({ path: "./Main.js", external: true }))
}

const options = {
  bundle: true,
  format: "esm",
  platform: "node",
  target: "node22.19",
  define: { "Intl.Segmenter": "LazySegmenter" },
  inject: [here("LazySegmenter.ts")],
  legalComments: "none",
  logLevel: "warning",
  metafile: true
} as const satisfies esbuild.BuildOptions

/** Arguments of every command, the program's own first. */
const pathsOf = (
  command: Command.Command.Any,
  above: ReadonlyArray<string> = []
): ReadonlyArray<ReadonlyArray<string>> => [
  above,
  ...command.subcommands.flatMap(({ commands }) => commands).flatMap((inner) => pathsOf(inner, [...above, inner.name]))
]

const withColors = CliOutput.defaultFormatter({ colors: true })

/** What the program prints for `--version`, and for the help of every command. */
export const answers: Effect.Effect<Answers, unknown> = Effect.gen(function*() {
  const texts: Array<readonly [string, string]> = []
  for (const words of [["--version"], ...pathsOf(program).map((path) => [...path, "--help"])]) {
    const present = (event: CliOutput.Presenter.Event) =>
      Effect.sync(() => {
        if (event._tag === "Help") texts.push([words.join(" "), withColors.formatHelpDoc(event.helpDoc)])
        if (event._tag === "Version") texts.push([words.join(" "), withColors.formatVersion(event.name, event.version)])
      })
    yield* Effect.provideService(Command.runWith(program, { version: packageVersion })(words), CliOutput.Presenter, {
      present
    })
  }
  return Object.fromEntries(texts)
}).pipe(Effect.provide(host))

/** The folder of the package that a bundled file belongs to, from the root of this one; `undefined` for a file of this one. */
const packageOf = (input: string): string | undefined =>
  /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input.replaceAll("\\", "/"))?.[0]

/** Name, version and licence of each bundled package. Fails where one has no text of its licence. */
const licensesOf = async (inputs: ReadonlyArray<string>): Promise<string> => {
  const folders = [...new Set(inputs.flatMap((input) => packageOf(input) ?? []))].toSorted()
  const texts = await Promise.all(folders.map(async (folder) => {
    const { license, name, version } = JSON.parse(await readFile(`${folder}/package.json`, "utf8"))
    const file = (await readdir(folder)).find((each) => /^licen[cs]e/i.test(each))
    if (file === undefined) throw new Error(`${folder} has no text of its licence`)
    return `${name} ${version} (${license})\n\n${(await readFile(`${folder}/${file}`, "utf8")).trim()}\n`
  }))
  return [
    "The files of this folder contain code of these packages.\n",
    ...texts
  ].join(`\n${"-".repeat(80)}\n\n`)
}

/** Writes everything into `folder`, and returns which files went into each bundle. */
export const build = async (folder: string): Promise<void> => {
  await mkdir(folder, { recursive: true })
  const [launcher, main] = await Promise.all([
    esbuild.build({
      ...options,
      entryPoints: { "openclaw-device": here("Launch.ts") },
      outdir: folder,
      plugins: [apart, builtins]
    }),
    esbuild.build({
      ...options,
      entryPoints: [here("../Main.ts")],
      outdir: folder,
      splitting: true,
      // Native parts of ws, which few have.
      external: ["bufferutil", "utf-8-validate"],
      plugins: [builtins]
    })
  ])
  const inputs = [launcher, main].flatMap(({ metafile }) => Object.keys(metafile.inputs))
  await Promise.all([
    chmod(`${folder}/openclaw-device.js`, 0o755),
    // Node.js looks for it at each file, and would read the long list of exports of the package.
    writeFile(`${folder}/package.json`, '{ "type": "module" }\n'),
    writeFile(`${folder}/THIRD-PARTY-LICENSES.txt`, await licensesOf(inputs)),
    writeFile(`${folder}/answers.json`, JSON.stringify(await Effect.runPromise(answers)))
  ])
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await build(process.argv[2] ?? here("../../../dist/bin"))
}
