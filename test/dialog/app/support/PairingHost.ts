/**
 * An agent that needs an approval, with its page: what the test from request to reply needs of it, and no more.
 */
import { startFakeAgent } from "./FakeAgent.ts"
import type { Site } from "./Site.ts"
import { connected, gateway, identity, notice, requestId, resolved } from "./States.ts"

export interface PairingHost {
  /** The page's address, with its token. */
  readonly url: string
  /** Runs the copied command where the gateway is. */
  readonly run: (command: string) => Promise<void>
  readonly close: () => Promise<void>
}

/** A server that plays both the agent and its gateway; tasks are answered by an echo. */
export const fakeHost = async (site: Site): Promise<PairingHost> => {
  const agent = await startFakeAgent(site.files)
  let approved = false
  let open = ""
  const send = (summary: string) => {
    agent.emit({ event: "task.sent", taskId: "t1", runId: "r1", summary })
    agent.emit({ event: "task.phase", taskId: "t1", phase: "thinking" })
    agent.emit({ event: "task.reply", taskId: "t1", runId: "r1", text: `echo: ${summary}` })
  }
  agent.replay = [identity, gateway, notice("required")]
  agent.answerTask = (summary) => {
    if (approved) send(summary)
    else {
      open = summary
      agent.emit({ event: "task.queued", taskId: "t1", reason: "AwaitingApproval", summary })
    }
    return [202, { taskId: "t1", runId: "r1" }]
  }
  return {
    url: agent.url,
    run: async (command) => {
      if (command !== `openclaw devices approve ${requestId}`) throw new Error(`not the command: ${command}`)
      approved = true
      agent.emit(connected)
      agent.emitOnce(resolved)
      // A page that comes later gets nothing of a request that is over.
      agent.replay = agent.replay.filter(({ event }) => event !== "pairing.required")
      if (open !== "") send(open)
    },
    close: agent.close
  }
}
