/**
 * What the tests of a fleet measure, and how much time they allow on a machine that others use too.
 */
import { availableParallelism, loadavg } from "node:os"

/** A number that `OPENCLAW_FLEET_TEST_<name>` may set. */
export const setting = (name: string, otherwise: number) =>
  Number(process.env[`OPENCLAW_FLEET_TEST_${name}`] ?? otherwise)

/** How many times slower this machine is than one that has nothing else to do: how many want each of its processors. */
export const crowding = () => Math.max(1, (loadavg()[0] ?? 1) / availableParallelism())

/** A limit that holds on a machine of one's own, for this one. */
export const allowed = (ms: number) => ms * crowding()

/** Prints a line of figures. */
export const tell = (what: string, facts: Record<string, unknown>) =>
  void process.stdout.write(`figure ${what} ${JSON.stringify({ ...facts, crowding: Number(crowding().toFixed(1)) })}\n`)
