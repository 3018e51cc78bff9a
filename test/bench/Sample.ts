/**
 * Measures one row with one client, in a process of its own: `node <program> <row> <url> <scale>` prints what it measured as
 * one JSON object. CPU is that of this process, user and system.
 */
import type { Client, Connection, Payload } from "./Client.ts"
import { nowMs } from "./Clock.ts"
import { cpuUs, type Sample, settledHeap } from "./Cost.ts"

/** Asks for events, and waits until all have come. */
type TakeEvents = (count: number, bytes: number, everyMs?: number) => Promise<ReadonlyArray<number>>

/** Gives what takes events of a connection, any number of times. */
const subscribed = async (connection: Connection, onEvent = connection.onEvent): Promise<TakeEvents> => {
  let take = (_latencyMs: number): void => {}
  onEvent(({ sentAtMs }: Payload) => take(nowMs() - sentAtMs))
  // The subscription of every client is there before the request is written.
  await new Promise((resolve) => setImmediate(resolve))
  return (count, bytes, everyMs) =>
    new Promise((resolve) => {
      const latenciesMs: Array<number> = []
      take = (latencyMs) => {
        latenciesMs.push(latencyMs)
        if (latenciesMs.length === count) resolve(latenciesMs)
      }
      void connection.request("bench.events", { count, bytes, ...(everyMs === undefined ? {} : { everyMs }) })
    })
}

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

  // What a program pays once, for its start and for the compiler, is in the rows of the start.
  const flood = (count: number, bytes: number, way: "onEvent" | "onStreamed" = "onEvent") =>
    onOne(async (connection) => {
      const take = await subscribed(connection, connection[way])
      await take(Math.ceil(count / 4), bytes)
      return { cpuUs: await cpuUs(async () => void await take(count, bytes)) / count }
    })

  const paced = (way: "onEvent" | "onStreamed") =>
    onOne(async (connection) => {
      const take = await subscribed(connection, connection[way])
      await take(times(2000), 200, 1)
      const count = times(3000)
      let latenciesMs: ReadonlyArray<number> = []
      const us = await cpuUs(async () => void (latenciesMs = await take(count, 200, 1)))
      const sorted = latenciesMs.toSorted((a, b) => a - b)
      return { cpuUs: us / count, p50Us: percentile(sorted, 0.5) * 1000, p99Us: percentile(sorted, 0.99) * 1000 }
    })

  const rows: Readonly<Record<string, () => Promise<Sample>>> = {
    start: async () => {
      const connection = await client.connect(url)
      const ms = nowMs() - Number(process.env["BENCH_STARTED_AT_MS"])
      await connection.close()
      return { ms }
    },
    connect: async () => {
      const once = async () => (await client.connect(url)).close()
      for (let warm = 0; warm < times(1000); warm++) await once()
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
        for (let warm = 0; warm < times(10_000); warm++) await request("bench.echo", {})
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
    paced: () => paced("onEvent"),
    pacedStream: () => paced("onStreamed"),
    small: () => flood(times(200_000), 200),
    smallStream: () => flood(times(200_000), 200, "onStreamed"),
    large: () => flood(times(40_000), 4096)
  }

  const sample = await (rows[row] ?? (() => Promise.reject(new Error(`no row ${row}`))))()
  console.log(JSON.stringify(sample))
  process.exit(0)
}
