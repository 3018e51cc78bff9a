/**
 * The command line program as the package installs it, built from the sources at the start of a test run. The tests start it
 * some two hundred times, and from the sources each start takes longer than what is tested.
 */
import { execFile } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** Run by Vitest before the workers start, which inherit the variable. */
export const setup = async (): Promise<() => Promise<void>> => {
  // Two below the root, as `dist/bin` is: the program finds its page by that.
  const folder = await mkdtemp(join(root, "node_modules", ".effect-openclaw-bin-"))
  await promisify(execFile)(process.execPath, [join(root, "src/cli/launch/Build.ts"), folder])
  process.env["OPENCLAW_TEST_CLI"] = join(folder, "openclaw-device.js")
  return () => rm(folder, { recursive: true, force: true })
}
