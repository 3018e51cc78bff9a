import { createRoot } from "react-dom/client"
import type { AgentEvent } from "./Agent.tsx"
import { WithOwnChannel, WithStream } from "./Agent.tsx"

const listeners = new Set<(event: AgentEvent) => void>()
const subscribe = (listener: (event: AgentEvent) => void) => {
  listeners.add(listener)
  return () => void listeners.delete(listener)
}
let asked = 0
const checkNow = () => {
  document.title = `asked ${++asked}`
}

/** A channel of any kind ends here. */
Object.assign(globalThis, {
  receive: (event: AgentEvent) => {
    for (const listener of listeners) listener(event)
  }
})

const token = new URLSearchParams(location.hash.slice(1)).get("token")
const root = document.querySelector("#root")
if (root !== null) {
  createRoot(root).render(
    token === null
      ? <WithOwnChannel subscribe={subscribe} checkNow={checkNow} />
      : <WithStream src="events" token={token} />
  )
}
