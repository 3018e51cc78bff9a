/** What has to be there before anything is measured: the other clients, a fresh `dist`, and room for the sockets. */
import { spawnSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dirname, "../..")
const peers = join(import.meta.dirname, "peers")

/** Tells the user a line. */
type Tell = (line: string) => void

const npm = (...args: ReadonlyArray<string>): void => {
  const script = process.env["npm_execpath"]
  const [command, first] = script === undefined ? ["npm", []] : [process.execPath, [script]]
  const { status } = spawnSync(command, [...first, ...args], { cwd: root, stdio: ["ignore", "ignore", "inherit"] })
  if (status !== 0) throw new Error(`npm ${args.join(" ")} failed`)
}

/** What a lock file says of each package; npm leaves such a file in `node_modules` too. */
const versionsIn = (lock: string): string | undefined => {
  if (!existsSync(lock)) return undefined
  const { packages }: { readonly packages: Readonly<Record<string, { readonly version?: string }>> } = JSON.parse(
    readFileSync(lock, "utf8")
  )
  return Object.entries(packages)
    .filter(([where]) => where !== "")
    .map(([where, { version }]) => `${where} ${version}`)
    .toSorted()
    .join("\n")
}

const installPeers = (tell: Tell): void => {
  const wanted = versionsIn(join(peers, "package-lock.json"))
  if (wanted === versionsIn(join(peers, "node_modules/.package-lock.json"))) return
  tell("installing the other clients into test/bench/peers")
  npm("ci", "--prefix", "test/bench/peers", "--no-audit", "--no-fund", "--loglevel=error")
}

const newestMs = (folder: string): number => {
  if (!existsSync(folder)) return 0
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return entries.reduce((newest, { name, parentPath }) => Math.max(newest, statSync(join(parentPath, name)).mtimeMs), 0)
}

const buildLibrary = (tell: Tell): void => {
  const builtMs = newestMs(join(root, "dist"))
  if (builtMs > newestMs(join(root, "src"))) return
  tell(`building dist, which is ${builtMs === 0 ? "missing" : "older than src"}`)
  npm("run", "build")
}

/** Installs and builds what is missing or stale, with a line for each. */
export const prepare = (tell: Tell): void => {
  installPeers(tell)
  buildLibrary(tell)
}

const versionOf = (packageFile: string): string => {
  const { version }: { readonly version: string } = JSON.parse(readFileSync(packageFile, "utf8"))
  return version
}

/** The versions of what is measured. */
export const versions = (): Readonly<Record<string, string>> => ({
  "Node.js": process.versions.node,
  effect: versionOf(join(root, "node_modules/effect/package.json")),
  ws: versionOf(join(root, "node_modules/ws/package.json")),
  "@openclaw/gateway-client": versionOf(join(peers, "node_modules/@openclaw/gateway-client/package.json")),
  "openclaw-node": versionOf(join(peers, "node_modules/openclaw-node/package.json"))
})

/** Open files that a process may have; infinite where the system does not say. Node.js raises the soft limit to the hard one. */
export const openFileLimit = (): number => {
  if (process.report === undefined) return Number.POSITIVE_INFINITY
  Object.assign(process.report, { excludeNetwork: true })
  const report: { readonly userLimits?: { readonly open_files?: { readonly soft?: number | string } } } = process.report
    .getReport()
  const soft = Number(report.userLimits?.open_files?.soft)
  return Number.isFinite(soft) ? soft : Number.POSITIVE_INFINITY
}
