/** What work costs in this process. */

/** Names of values, each in its own unit: names in `Us`, `Ms` are times, in `Kb` memory. */
export type Sample = Readonly<Record<string, number>>

/** CPU time of this process, user and system, in microseconds. */
export const cpuUs = async (work: () => Promise<void>): Promise<number> => {
  const before = process.cpuUsage()
  await work()
  const { system, user } = process.cpuUsage(before)
  return user + system
}

/** Bytes of heap in use after garbage collection. The process runs with `--expose-gc`. */
export const settledHeap = async (): Promise<number> => {
  for (let round = 0; round < 5; round++) {
    await new Promise((resolve) => setImmediate(resolve))
    globalThis.gc?.()
  }
  return process.memoryUsage().heapUsed
}
