/**
 * The command line program as one bundle, made from the sources at the start of a test run. The tests start it some two hundred
 * times, and from the sources each start takes longer than what is tested.
 */
import * as esbuild from "esbuild"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"

const main = fileURLToPath(new URL("../../src/cli/Main.ts", import.meta.url))

/** Every module keeps its own address, by which it finds files beside it. */
const ownAddress: esbuild.Plugin = {
  name: "own-address",
  setup: (build) =>
    build.onLoad({ filter: /[\\/]src[\\/].*\.ts$/ }, async ({ path }) => {
      const text = await readFile(path, "utf8")
      return text.includes("import.meta.url") && !path.includes("node_modules")
        ? { contents: text.replaceAll("import.meta.url", JSON.stringify(pathToFileURL(path).href)), loader: "ts" }
        : undefined
    })
}

/** Run by Vitest before the workers start, which inherit the variable. */
export const setup = async (): Promise<() => Promise<void>> => {
  const folder = await mkdtemp(join(tmpdir(), "effect-openclaw-bundle-"))
  await esbuild.build({
    entryPoints: [main],
    outdir: folder,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node22",
    keepNames: true,
    logLevel: "warning",
    external: ["bufferutil", "utf-8-validate"],
    plugins: [ownAddress],
    banner: {
      js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);"
    }
  })
  await writeFile(join(folder, "package.json"), '{ "type": "module" }\n')
  process.env["OPENCLAW_TEST_CLI"] = join(folder, "Main.js")
  return () => rm(folder, { recursive: true, force: true })
}
