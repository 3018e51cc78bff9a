/**
 * Measures one row with one client, in a process of its own: `node <program> <row> <url> <scale>` prints what it measured as
 * one JSON object. CPU is that of this process, user and system.
 */
import type { Client, Connection, Payload } from "./Client.ts"
import { nowMs } from "./Clock.ts"
import { cpuUs, type Sample, settledHeap } from "./Cost.ts"

/** Asks for events, and waits until all have come. */
const events = (connection: Connection, count: number, bytes: number, everyMs?: number) =>
  new Promise<ReadonlyArray<number>>((resolve) => {
    const latenciesMs: Array<number> = []
    connection.onEvent(({ sentAtMs }: Payload) => {
      latenciesMs.push(nowMs() - sentAtMs)
      if (latenciesMs.length === count) resolve(latenciesMs)
    })
    // The subscription of every client is there before the request is written.
    setImmediate(() =>
      void connection.request("bench.events", { count, bytes, ...(everyMs === undefined ? {} : { everyMs }) })
    )
  })

const percentile = (sorted: ReadonlyArray<number>, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN

/** Measures the row that the arguments name, prints the sample, and ends the process. */
export const measure = async (client: Client): Promise<void> => {
  const [row = "", url = "", scale = "1"] = process.argv.slice(2)
  const times = (count: number): number => Math.max(1, Math.round(count * Number(scale)))

  const onOne = async (work: (connection: Connection) => Promise<Sample>): Promise<Sample> => {
    const connection = await client.connect(url)
    const sample = await work(connection)
    await connection.close()
    return sample
  }

  const flood = (count: number, bytes: number) =>
    onOne(async (connection) => ({
      cpuUs: await cpuUs(async () => void await events(connection, count, bytes)) / count
    }))

  const rows: Readonly<Record<string, () => Promise<Sample>>> = {
    start: async () => {
      const connection = await client.connect(url)
      const ms = nowMs() - Number(process.env["BENCH_STARTED_AT_MS"])
      await connection.close()
      return { ms }
    },
    connect: async () => {
      const once = async () => (await client.connect(url)).close()
      for (let warm = 0; warm < times(100); warm++) await once()
      const count = times(300)
      return {
        cpuMs: await cpuUs(async () => {
          for (let done = 0; done < count; done++) await once()
        }) / count / 1000
      }
    },
    many: async () => {
      await (await client.connect(url)).close()
      const count = times(1000)
      const before = await settledHeap()
      const startMs = nowMs()
      let connections: ReadonlyArray<Connection> = []
      const us = await cpuUs(async () => {
        connections = await Promise.all(Array.from({ length: count }, () => client.connect(url)))
      })
      const allUpMs = nowMs() - startMs
      const heapKb = async () => ((await settledHeap()) - before) / 1024 / count
      const heldKb = await heapKb()
      for (const connection of connections) delete connection.hello
      const droppedKb = await heapKb()
      await Promise.all(connections.map((connection) => connection.close()))
      return { cpuMs: us / 1000 / count, allUpMs, heldKb, droppedKb }
    },
    one: () =>
      onOne(async ({ request }) => {
        for (let warm = 0; warm < times(2000); warm++) await request("bench.echo", {})
        const count = times(10_000)
        return {
          cpuUs: await cpuUs(async () => {
            for (let done = 0; done < count; done++) await request("bench.echo", {})
          }) / count
        }
      }),
    inFlight: () =>
      onOne(async ({ request }) => {
        const worker = async (count: number) => {
          for (let done = 0; done < count; done++) await request("bench.echo", {})
        }
        const all = (each: number) => Promise.all(Array.from({ length: 64 }, () => worker(each)))
        await all(times(50))
        const each = times(400)
        return { cpuUs: await cpuUs(async () => void await all(each)) / each / 64 }
      }),
    paced: () =>
      onOne(async (connection) => {
        const count = times(3000)
        let latenciesMs: ReadonlyArray<number> = []
        const us = await cpuUs(async () => void (latenciesMs = await events(connection, count, 200, 1)))
        const sorted = latenciesMs.slice(Math.floor(count / 10)).toSorted((a, b) => a - b)
        return { cpuUs: us / count, p50Us: percentile(sorted, 0.5) * 1000, p99Us: percentile(sorted, 0.99) * 1000 }
      }),
    small: () => flood(times(200_000), 200),
    large: () => flood(times(40_000), 4096)
  }

  const sample = await (rows[row] ?? (() => Promise.reject(new Error(`no row ${row}`))))()
  console.log(JSON.stringify(sample))
  process.exit(0)
}
