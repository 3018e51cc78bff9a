/**
 * Runs every probe: each sample is a process of its own, the clients take turns within a round. A probe that fails is noted,
 * and the others go on.
 */
import { join } from "node:path"
import * as Cli from "./Cli.ts"
import type { Sample } from "./Cost.ts"
import { openFileLimit } from "./Prepare.ts"
import { sample, type Stub } from "./Process.ts"
import type { ClientName, Programs } from "./Programs.ts"
import { clientNames, clientProbes, clientTitles, type Probe } from "./Rows.ts"

export interface Plan {
  readonly rounds: number
  /** Share of the repetitions of a full run. */
  readonly scale: number
  readonly agents: ReadonlyArray<{ readonly count: number; readonly rounds: number; readonly idleMs: number }>
}

export interface Samples {
  /** One sample for each round; nothing where it failed. */
  readonly of: (client: ClientName, probe: Probe) => ReadonlyArray<Sample | undefined>
  readonly agents: ReadonlyArray<{ readonly count: number; readonly samples: ReadonlyArray<Sample | undefined> }>
  /** What could not be measured, and why. */
  readonly missing: ReadonlyArray<string>
  /** A probe of this library failed, and not for want of something on this machine. */
  readonly broken: boolean
}

/** This machine cannot run a probe. */
class NoRoom extends Error {}

/** Sockets of the agents, and what a process has open besides. */
const filesFor = (agents: number): number => agents + 200

/** So long after the agents' own limit that they can say how far they came. */
const agentsTimeoutMs = 300_000

export const measure = async (
  plan: Plan,
  programs: Programs,
  stub: Stub,
  tell: (line: string) => void
): Promise<Samples> => {
  const samples = new Map<string, Array<Sample | undefined>>()
  const agents = new Map<number, Array<Sample | undefined>>()
  const missing = new Set<string>()
  const scale = String(plan.scale)
  let broken = false

  const tried = async (what: string, work: () => Promise<Sample>, own = true): Promise<Sample | undefined> => {
    try {
      return await work()
    } catch (error) {
      if (own && !(error instanceof NoRoom)) broken = true
      const why = `${what}: ${error instanceof Error ? error.message : String(error)}`
      if (!missing.has(why)) tell(why)
      missing.add(why)
      return undefined
    }
  }
  const keep = (client: ClientName, probe: Probe, one: Sample | undefined): void => {
    const key = `${client} ${probe}`
    samples.set(key, [...(samples.get(key) ?? []), one])
  }
  const ofClient = (client: ClientName, probe: Probe) =>
    tried(
      `${clientTitles[client]}, ${probe}`,
      () =>
        sample([programs.path(client), probe, stub.url, scale], {
          flags: probe === "many" ? ["--expose-gc"] : [],
          env: { BENCH_FOLDER: programs.folder }
        }),
      client === "Ours"
    )
  const embedding = () =>
    sample([programs.path("Embedding"), "start", stub.url, scale], {
      env: { NODE_COMPILE_CACHE: join(programs.folder, "compile-cache") }
    })
  const deltas = () => sample([programs.path("Deltas"), "deltas", stub.url, scale])
  const cli = () => Cli.delegate(stub, programs.folder)
  const ofAgents = (count: number, idleMs: number) =>
    tried(`${count.toLocaleString("en")} agents`, async () => {
      const files = filesFor(count)
      if (files > openFileLimit()) {
        throw new NoRoom(
          `two processes need ${files} open files each, and this system allows ${openFileLimit()}; \`ulimit -n ${files}\``
            + " allows more, where the hard limit (`ulimit -Hn`) does"
        )
      }
      return sample([programs.path("Agents"), String(count), stub.url, String(idleMs)], {
        flags: ["--expose-gc"],
        timeoutMs: agentsTimeoutMs
      })
    })

  // The first starts fill the compile caches, and make the identity of the command line program.
  for (let warm = 0; warm < 2; warm++) {
    await tried("bundled, warm-up", embedding)
    await tried("`openclaw-device delegate`, warm-up", cli)
  }
  for (let round = 0; round < plan.rounds; round++) {
    for (const probe of clientProbes) {
      // Every client is once the first.
      for (let turn = 0; turn < clientNames.length; turn++) {
        const client = clientNames[(turn + round) % clientNames.length] ?? "Floor"
        keep(client, probe, await ofClient(client, probe))
      }
      if (probe === "start") {
        keep("Ours", "embedding", await tried("bundled", embedding))
        keep("Ours", "cli", await tried("`openclaw-device delegate`", cli))
      }
      if (probe === "paced") keep("Ours", "pacedStream", await ofClient("Ours", "pacedStream"))
      if (probe === "small") {
        keep("Ours", "smallStream", await ofClient("Ours", "smallStream"))
        keep("Ours", "deltas", await tried("pieces of a reply", deltas))
      }
    }
    for (const { count, idleMs, rounds } of plan.agents) {
      if (round < rounds) agents.set(count, [...(agents.get(count) ?? []), await ofAgents(count, idleMs)])
    }
    tell(`round ${round + 1} of ${plan.rounds} done`)
  }
  return {
    of: (client, probe) => samples.get(`${client} ${probe}`) ?? [],
    agents: [...agents].map(([count, samples]) => ({ count, samples })),
    missing: [...missing],
    broken
  }
}
