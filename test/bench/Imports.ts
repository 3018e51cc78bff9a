/** What each export of the package costs to import: CPU of a process that imports it alone, less that of an empty one. */
import manifest from "../../package.json" with { type: "json" }
import { median } from "./Median.ts"
import { sample } from "./Process.ts"
import { mainExports } from "./Rows.ts"

export interface ImportCost {
  /** As a program writes it. */
  readonly specifier: string
  readonly cpuMs: number
}

const code = (specifier: string) =>
  `${
    specifier === "" ? "" : `await import("${specifier}")\n`
  }const { user, system } = process.cpuUsage()\nconsole.log(JSON.stringify({ ms: (user + system) / 1000 }))`

const cpuMs = async (specifier: string): Promise<number> =>
  (await sample(["--input-type=module", "--eval", code(specifier)]))["ms"] ?? Number.NaN

export interface ImportCosts {
  readonly costs: ReadonlyArray<ImportCost>
  /** What could not be imported, and why. */
  readonly missing: ReadonlyArray<string>
}

/** Medians over `rounds`, each with an empty process of its own. */
export const importCosts = async (
  quick: boolean,
  rounds: number,
  tell: (line: string) => void
): Promise<ImportCosts> => {
  const specifiers = (quick ? mainExports : Object.keys(manifest.exports))
    .filter((path) => !path.endsWith(".json"))
    .map((path) => `${manifest.name}${path.slice(1)}`)
  const taken = new Map<string, Array<number>>()
  const missing = new Set<string>()
  for (let round = 0; round < rounds; round++) {
    const emptyMs = await cpuMs("")
    for (const specifier of specifiers) {
      try {
        taken.set(specifier, [...(taken.get(specifier) ?? []), (await cpuMs(specifier)) - emptyMs])
      } catch (error) {
        missing.add(`${specifier}: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
    tell(`round ${round + 1} of ${rounds} of the imports done`)
  }
  return { costs: [...taken].map(([specifier, all]) => ({ specifier, cpuMs: median(all) })), missing: [...missing] }
}
