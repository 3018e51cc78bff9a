/**
 * The measured programs, as JavaScript: a user of the library does not pay for type stripping. Each is one file with the code
 * of this folder in it; packages are imported from where they are installed, and this library from `dist`, by the exports of
 * its package file. `Embedding` is a whole program in one file instead, packages and library included.
 */
import * as esbuild from "esbuild"
import { mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"

const here = import.meta.dirname

export interface Programs {
  /** A folder of this run, with mode 0700. */
  readonly folder: string
  readonly path: (program: Program) => string
  /** Removes all that this run wrote. */
  readonly remove: () => void
}

const clients = {
  Floor: "./Floor.ts",
  Reference: "./peers/Reference.ts",
  OpenclawNode: "./peers/OpenclawNode.ts",
  Ours: "./Ours.ts"
} as const
export type ClientName = keyof typeof clients
export type Program = ClientName | "Agents" | "Deltas" | "Embedding"

/** Below this folder, so that packages and the library itself are found. */
const runFolder = (parent: string) => mkdtempSync(join(parent, ".run-"))

export const build = async (): Promise<Programs> => {
  const folder = runFolder(here)
  const peersFolder = runFolder(join(here, "peers"))
  const path = (program: Program) =>
    join(program === "Reference" || program === "OpenclawNode" ? peersFolder : folder, `${program}.js`)
  const options = {
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node22",
    logLevel: "warning",
    // Not the paths of the project's own, which lead to the sources.
    tsconfigRaw: {}
  } as const satisfies esbuild.BuildOptions
  const program = (name: Program, source: esbuild.BuildOptions) =>
    esbuild.build({ ...options, ...source, packages: "external", outfile: path(name) })
  const sample = (client: ClientName): esbuild.BuildOptions => ({
    stdin: {
      contents: `import { measure } from "./Sample.ts"\nimport { client } from "${
        clients[client]
      }"\nawait measure(client)`,
      resolveDir: here,
      loader: "ts"
    }
  })
  const embedding = () =>
    esbuild.build({
      ...options,
      ...sample("Ours"),
      minify: true,
      external: ["bufferutil", "utf-8-validate"],
      outfile: path("Embedding"),
      banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" }
    })
  const names: ReadonlyArray<ClientName> = ["Floor", "Reference", "OpenclawNode", "Ours"]
  const remove = () => {
    for (const one of [folder, peersFolder]) rmSync(one, { recursive: true, force: true })
  }
  try {
    await Promise.all([
      ...names.map((name) => program(name, sample(name))),
      program("Agents", { entryPoints: [join(here, "Agents.ts")] }),
      program("Deltas", { entryPoints: [join(here, "Deltas.ts")] }),
      embedding()
    ])
  } catch (error) {
    remove()
    throw error
  } finally {
    // Its service would stay beside the measured processes.
    await esbuild.stop()
  }
  return { folder, path, remove }
}
