/**
 * Posts each event of a session to the task of its run, in the callback of the socket: the events of every run of every client
 * arrive here.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Bell } from "../broadcast/Bell.ts"
import type { Session } from "../connection/Session.ts"
import type { EventFrame } from "../protocol/Frame.ts"
import { addressOf, decodeAgent, decodePart, readChat } from "./ChatEvent.ts"
import type { LiveRun } from "./LiveRun.ts"
import type { Link, RunnerState } from "./RunnerState.ts"
import { hear } from "./SessionSubscriptions.ts"
import { isOpen, mayHear } from "./TaskLife.ts"
import type { TaskMailbox } from "./TaskMailbox.ts"

/**
 * Listens until the session ends or the scope closes. Meanwhile it is the link of its gateway's tasks. Lost events count as a
 * lost link and a new one, once the rest of the packet is read: it may hold the end of a run, and then nothing has to be asked.
 */
export const follow = Effect.fnUntraced(function*(
  state: RunnerState,
  mailbox: TaskMailbox,
  session: Session,
  gatewayScope: string
) {
  const own: Link = { session, gatewayScope, refusedWays: new Set(), heard: new Map() }
  let link = attach(state, mailbox, own)
  let missing = 0
  const gap = new Bell()
  const reattach = () => {
    if (state.link === link) link = attach(state, mailbox, { ...own }, missing)
    missing = 0
    gap.listen(reattach)
  }
  gap.listen(reattach)
  yield* session.listen(["chat", "agent"], {
    onEvent: (frame) => route(state, mailbox, frame),
    onLost: (events) => {
      missing += events
      gap.ring()
    },
    onEnd: () => detach(state, mailbox, link)
  })
})

/** `missing`: how many events of the link before were lost, where that is known. */
const attach = (state: RunnerState, mailbox: TaskMailbox, link: Link, missing?: number): Link => {
  if (state.link !== undefined) detach(state, mailbox, state.link, missing)
  state.link = link
  mailbox.postAll(link.gatewayScope, { _tag: "LinkUp" })
  // What is not settled by questions may still be answered late.
  for (const cell of state.cells.values()) {
    if (!isOpen(cell.life) && mayHear(cell.life)) mailbox.run("hear", Effect.asVoid(hear(state, cell)))
  }
  return link
}

const detach = (state: RunnerState, mailbox: TaskMailbox, link: Link, missing?: number) => {
  if (state.link !== link) return
  for (const { life, live } of state.cells.values()) {
    if (life.stage._tag === "Answered") live?.tell({ _tag: "Gap", events: missing })
  }
  state.link = undefined
  mailbox.postAll(link.gatewayScope, { _tag: "LinkLost" })
}

const route = (state: RunnerState, { post }: TaskMailbox, frame: EventFrame) => {
  const address = addressOf(frame.payload)
  if (address === undefined) return
  const cell = state.ofRun(address.runId)
  if (cell === undefined) {
    if (frame.event === "chat" && state.merged.size > 0) routeOther(state, post, frame.payload, address.sessionKey)
  } else if (address.sessionKey !== undefined && !state.isSession(cell, address.sessionKey)) {
    // The gateway's settings may give our session another key. Otherwise the event is not ours.
    const event = frame.event === "chat" ? readChat(frame.payload) : undefined
    post(cell, { _tag: "Misaddressed", told: address.sessionKey, event })
  } else if (frame.event === "chat") {
    const event = readChat(frame.payload)
    if (event !== undefined) post(cell, { _tag: "ChatTold", event })
  } else {
    if (cell.live !== undefined) tellPart(cell.live, frame.payload)
    post(cell, { _tag: "AgentTold", phase: Option.getOrUndefined(decodeAgent(frame.payload)) })
  }
}

const tellPart = (live: LiveRun, payload: unknown) => {
  const part = decodePart(payload)
  if (part !== undefined) live.tell(part)
}

/** Another run that ended may be the one that answers a merged task. */
const routeOther = (
  state: RunnerState,
  post: TaskMailbox["post"],
  payload: unknown,
  sessionKey: string | undefined
) => {
  for (const cell of state.merged) {
    if (!state.isSession(cell, sessionKey)) continue
    if (readChat(payload)?._tag === "Final") post(cell, { _tag: "OtherRunEnded" })
  }
}
