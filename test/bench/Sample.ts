/**
 * Measures one row with one client, in a process of its own: `node --expose-gc Sample.ts <client> <row> <url> <scale>` prints
 * what it measured as one JSON object. CPU is that of this process, user and system.
 */
import type { Client, Connection, Payload } from "./Client.ts"

const startedMs = performance.now()
const [name = "", row = "", url = "", scale = "1"] = process.argv.slice(2)
const { client }: { readonly client: Client } = await import(`./${name}.ts`)

/** Names of values, each in its own unit: `us` and `ms` are times, `kB` is memory. */
type Sample = Readonly<Record<string, number>>

const times = (count: number): number => Math.max(1, Math.round(count * Number(scale)))

const cpuUs = async (work: () => Promise<void>): Promise<number> => {
  const before = process.cpuUsage()
  await work()
  const { system, user } = process.cpuUsage(before)
  return user + system
}

const settledHeap = async (): Promise<number> => {
  for (let round = 0; round < 5; round++) {
    await new Promise((resolve) => setImmediate(resolve))
    globalThis.gc?.()
  }
  return process.memoryUsage().heapUsed
}

const onOne = async (work: (connection: Connection) => Promise<Sample>): Promise<Sample> => {
  const connection = await client.connect(url)
  const sample = await work(connection)
  await connection.close()
  return sample
}

/** Asks for events, and waits until all have come. */
const events = (connection: Connection, count: number, bytes: number, everyMs?: number) =>
  new Promise<ReadonlyArray<number>>((resolve) => {
    const latencies: Array<number> = []
    connection.onEvent(({ sentAt }: Payload) => {
      latencies.push(performance.timeOrigin + performance.now() - sentAt)
      if (latencies.length === count) resolve(latencies)
    })
    // The subscription of every client is there before the request is written.
    setImmediate(() =>
      void connection.request("bench.events", { count, bytes, ...(everyMs === undefined ? {} : { everyMs }) })
    )
  })

const percentile = (sorted: ReadonlyArray<number>, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0

const rows: Readonly<Record<string, () => Promise<Sample>>> = {
  start: async () => {
    const connection = await client.connect(url)
    const ms = performance.timeOrigin + performance.now() - Number(process.env["STARTED_AT"])
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
    const startMs = performance.now()
    let connections: ReadonlyArray<Connection> = []
    const us = await cpuUs(async () => {
      connections = await Promise.all(Array.from({ length: count }, () => client.connect(url)))
    })
    const allUpMs = performance.now() - startMs
    const heapKb = ((await settledHeap()) - before) / 1024 / count
    await Promise.all(connections.map((connection) => connection.close()))
    return { cpuMs: us / 1000 / count, allUpMs, heapKb }
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
      let latencies: ReadonlyArray<number> = []
      const us = await cpuUs(async () => void (latencies = await events(connection, count, 200, 1)))
      const sorted = latencies.slice(Math.floor(count / 10)).toSorted((a, b) => a - b)
      return { cpuUs: us / count, p50Us: percentile(sorted, 0.5) * 1000, p99Us: percentile(sorted, 0.99) * 1000 }
    }),
  small: () =>
    onOne(async (connection) => {
      const count = times(200_000)
      return { cpuUs: await cpuUs(async () => void await events(connection, count, 200)) / count }
    }),
  large: () =>
    onOne(async (connection) => {
      const count = times(40_000)
      return { cpuUs: await cpuUs(async () => void await events(connection, count, 4096)) / count }
    })
}

const sample = await (rows[row] ?? (() => Promise.reject(new Error(`no row ${row}`))))()
console.log(JSON.stringify({ ...sample, processMs: performance.now() - startedMs }))
process.exit(0)
