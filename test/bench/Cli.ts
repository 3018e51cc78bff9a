/**
 * The built command line program: from the start of `openclaw-device delegate` to the hello-ok that the stub sends, by the
 * stub. It is run as it is installed: the file of the package's `bin`, with an identity that it made earlier.
 */
import { join } from "node:path"
import manifest from "../../package.json" with { type: "json" }
import { nowMs } from "./Clock.ts"
import type { Sample } from "./Cost.ts"
import { output, type Stub } from "./Process.ts"

const program = join(import.meta.dirname, "../..", manifest.bin["openclaw-device"])

/** Delegates a task, and waits for its end. `folder` is where the program keeps its state. */
export const delegate = async (stub: Stub, folder: string): Promise<Sample> => {
  const startedAtMs = nowMs()
  const helloAtMs = stub.nextHello()
  const ended = output(
    [program, "delegate", "say done", "--gateway-url", stub.url, "--state-dir", join(folder, "state")],
    { env: { OPENCLAW_GATEWAY_TOKEN: "a-token" }, timeoutMs: 30_000 }
  )
  const reply = await ended
  if (reply.trim() !== "done") throw new Error(`the reply to the task was ${JSON.stringify(reply)}`)
  return { ms: (await helloAtMs) - startedAtMs }
}
