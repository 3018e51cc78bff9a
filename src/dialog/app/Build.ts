/**
 * Bundles what a browser loads: the element as one file of its own, and the page that shows it.
 *
 * `node Build.ts [folder]` writes below `folder` (default `dist/dialog`):
 * `openclaw-pairing-dialog.js`, and `site/` with `index.html`, `page.js`, `page.css` and the element once more.
 */
import * as esbuild from "esbuild"
import { copyFile, mkdir, readFile } from "node:fs/promises"
import { fileURLToPath, pathToFileURL } from "node:url"

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/** Style sheets inside a script are its text, minified. */
const styleText: esbuild.Plugin = {
  name: "style-text",
  setup: (build) =>
    build.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await esbuild.transform(await readFile(path, "utf8"), {
        loader: "css",
        minify: true,
        charset: "utf8"
      })
      return { contents: code.trim(), loader: "text" }
    })
}

const options = {
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "eof",
  logLevel: "warning",
  metafile: true
} as const satisfies esbuild.BuildOptions

/** The licence of a package whose code does not carry it. */
const licence = async (name: string) =>
  `/*! ${name}\n${
    (await readFile(new URL("../LICENSE", import.meta.resolve(name)), "utf8")).replaceAll("*/", "* /")
  }\n*/`

/** Writes everything below `folder`, and returns which source files went into the element. */
export const build = async (folder: string): Promise<{ readonly elementInputs: ReadonlyArray<string> }> => {
  const site = `${folder}/site`
  const element = "openclaw-pairing-dialog.js"
  await mkdir(site, { recursive: true })
  const [{ metafile }] = await Promise.all([
    esbuild.build({
      ...options,
      entryPoints: [here("PairingDialog.ts")],
      outfile: `${folder}/${element}`,
      plugins: [styleText]
    }),
    esbuild.build({
      ...options,
      entryPoints: [here("page.ts")],
      outfile: `${site}/page.js`,
      footer: { js: await licence("marked") }
    }),
    esbuild.build({ ...options, entryPoints: [here("page.css")], outfile: `${site}/page.css` }),
    copyFile(here("index.html"), `${site}/index.html`)
  ])
  await copyFile(`${folder}/${element}`, `${site}/${element}`)
  return { elementInputs: Object.keys(metafile.inputs) }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await build(process.argv[2] ?? here("../../../dist/dialog"))
}
