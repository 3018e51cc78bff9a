/** Processes that are measured, one at a time, and the stub that all of them talk to. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { nowMs } from "./Clock.ts"
import type { Sample } from "./Cost.ts"

/** What would change a measurement, and settings of this library's own. */
const foreign = /^(?:NODE_COMPILE_CACHE|NODE_DISABLE_COMPILE_CACHE|OPENCLAW_.*)$/

const environment = (own: Readonly<Record<string, string>>): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name))),
  ...own
})

export interface Options {
  /** Flags of Node.js. */
  readonly flags?: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
  /** The process is ended after so long. */
  readonly timeoutMs?: number
}

/** Runs a program of Node.js to its end, and returns what it printed. Rejects where it fails or takes too long. */
export const output = async (
  args: ReadonlyArray<string>,
  { env = {}, flags = [], timeoutMs = 120_000 }: Options = {}
): Promise<string> => {
  const child = spawn(process.execPath, [...flags, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    cwd: join(import.meta.dirname, "../.."),
    env: environment({ ...env, BENCH_STARTED_AT_MS: String(nowMs()) })
  })
  let printed = ""
  let complaint = ""
  child.stdout.on("data", (data) => (printed += String(data)))
  child.stderr.on("data", (data) => (complaint += String(data)))
  const end = () => void child.kill("SIGKILL")
  process.once("exit", end)
  const timer = setTimeout(end, timeoutMs)
  const [code, signal] = await once(child, "close")
  clearTimeout(timer)
  process.off("exit", end)
  if (code === 0) return printed
  const how = signal === "SIGKILL" ? `took more than ${timeoutMs / 1000} s` : `ended with ${code ?? signal}`
  throw new Error([how, ...complaint.trim().split("\n").slice(-3)].filter((line) => line !== "").join(": "))
}

/** `output`, of a program that prints a sample as its last line. What it logs before that is not looked at. */
export const sample = async (args: ReadonlyArray<string>, options?: Options): Promise<Sample> =>
  JSON.parse((await output(args, options)).trim().split("\n").at(-1) ?? "")

export interface Stub {
  readonly url: string
  /** When the stub sends its next hello-ok, by `Clock.nowMs`. */
  readonly nextHello: () => Promise<number>
  readonly stop: () => void
}

const isTime = (message: unknown): message is { readonly helloAtMs: number } =>
  typeof message === "object" && message !== null && "helloAtMs" in message && typeof message.helloAtMs === "number"

const nextMessage = async (child: ChildProcess): Promise<unknown> => {
  child.send("next")
  const [message] = await once(child, "message")
  return message
}

export const startStub = async (): Promise<Stub> => {
  const child = spawn(process.execPath, [join(import.meta.dirname, "Stub.ts")], {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
    env: environment({})
  })
  if (child.stdout === null) throw new Error("the stub has no output")
  const [url]: ReadonlyArray<unknown> = await once(createInterface(child.stdout), "line")
  return {
    url: String(url),
    nextHello: async () => {
      const message = await nextMessage(child)
      if (!isTime(message)) throw new Error("the stub did not say the time")
      return message.helloAtMs
    },
    stop: () => void child.kill()
  }
}
