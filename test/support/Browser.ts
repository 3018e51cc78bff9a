/**
 * A real Chromium for tests: one that is installed, else the one that npm brought, unpacked once.
 */
import { execFile } from "node:child_process"
import { constants } from "node:fs"
import { access, mkdtemp, rename, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { delimiter, dirname, join } from "node:path"
import { promisify } from "node:util"
import type { Browser } from "playwright-core"
import { chromium } from "playwright-core"
import manifest from "../../package.json" with { type: "json" }

const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge"]

/** Where browsers that speak Chromium's protocol are usually installed. */
export const candidates = (
  env: Readonly<Record<string, string | undefined>>,
  platform: NodeJS.Platform
): ReadonlyArray<string> => {
  const installed = platform === "darwin"
    ? ["Google Chrome", "Chromium", "Microsoft Edge"].flatMap((app) =>
      ["/Applications", `${env["HOME"] ?? ""}/Applications`].map((folder) =>
        `${folder}/${app}.app/Contents/MacOS/${app}`
      )
    )
    : platform === "win32"
    ? ["PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"].flatMap((root) =>
      ["Google\\Chrome\\Application\\chrome.exe", "Microsoft\\Edge\\Application\\msedge.exe"].flatMap((path) =>
        env[root] === undefined ? [] : [`${env[root]}\\${path}`]
      )
    )
    : ["/snap/bin/chromium", "/opt/google/chrome/chrome"]
  const onPath = platform === "win32"
    ? []
    : (env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "").flatMap((folder) =>
      names.map((name) => join(folder, name))
    )
  return [...(env["CHROME_PATH"] === undefined ? [] : [env["CHROME_PATH"]]), ...onPath, ...installed]
}

const executable = (path: string) => access(path, constants.X_OK).then(() => true, () => false)

const findInstalled = async (): Promise<string | undefined> => {
  const found = await Promise.all(
    candidates(process.env, process.platform).map(async (path) => (await executable(path)) ? path : undefined)
  )
  return found.find((path) => path !== undefined)
}

/**
 * The browser in `@sparticuz/chromium` (Linux, x64), unpacked into a folder of its release. The package unpacks in place, into
 * the temporary folder of its process. That is a new folder here, renamed when it is whole, so that no test sees half of it.
 */
const unpackBundled = async (): Promise<string> => {
  const version = manifest.devDependencies["@sparticuz/chromium"]
  const folder = join(tmpdir(), `effect-openclaw-chromium-${version}-${process.getuid?.() ?? 0}`)
  const binary = join(folder, "chromium")
  if (await executable(binary)) return binary
  const unpacking = await mkdtemp(join(tmpdir(), "effect-openclaw-chromium-"))
  const program = `import chromium from "@sparticuz/chromium"; await chromium.executablePath()`
  await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", program], {
    cwd: import.meta.dirname,
    env: { ...process.env, TMPDIR: unpacking }
  })
  await writeFile(join(unpacking, "fonts.conf"), fontsIn(folder))
  await rename(unpacking, folder).catch(() => rm(unpacking, { recursive: true, force: true })) // another process was first
  return binary
}

/** A machine without a desktop may have no fonts, so those of the package go first. */
const fontsIn = (folder: string) =>
  `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir>${folder}/fonts</dir>
  <cachedir>${folder}/fonts-cache</cachedir>
  <match target="pattern">
    <test name="family" qual="any"><string>sans-serif</string></test>
    <edit name="family" mode="prepend" binding="strong"><string>Open Sans</string></edit>
  </match>
  <match target="pattern">
    <test name="family" qual="any"><string>sans</string></test>
    <edit name="family" mode="prepend" binding="strong"><string>Open Sans</string></edit>
  </match>
</fontconfig>
`

const start = (executablePath: string, args: ReadonlyArray<string>, fonts?: string) =>
  chromium.launch({
    executablePath,
    env: { ...process.env, ...(fonts === undefined ? {} : { FONTCONFIG_FILE: fonts }) },
    args: [
      ...args,
      // There is no sandbox in containers or for the superuser, and the pages are our own.
      ...(process.platform === "linux" ? ["--no-sandbox"] : [])
    ]
  })

const advice = "No browser could be started for the tests. Install Chromium, Chrome or Edge, or set CHROME_PATH to the "
  + "executable of one. On Linux (x64) `npm ci` brings one in @sparticuz/chromium; it needs the libraries libnss3 and libnspr4."

const startBundled = async (args: ReadonlyArray<string>): Promise<Browser> => {
  const binary = await unpackBundled()
  return await start(binary, args, join(dirname(binary), "fonts.conf"))
}

/** Starts a browser; the caller closes it. Where there is none, it fails with what to install. */
export const launchBrowser = async (args: ReadonlyArray<string> = []): Promise<Browser> => {
  const installed = await findInstalled()
  const started = installed === undefined ? undefined : await start(installed, args).catch(() => undefined)
  if (started !== undefined) return started
  try {
    return await startBundled(args)
  } catch (cause) {
    throw new Error(advice, { cause })
  }
}
