/**
 * What holds now, kept from the events so far: what a subscriber that comes late is told first.
 *
 * Every event in it was told before, so a subscriber that hears one twice learns nothing wrong.
 */
import type { AgentEvent } from "../protocol/AgentEvent.ts"

export interface Snapshot {
  /** `keep` says whether a task that this event ends is told as long as the agent lives. */
  readonly note: (event: AgentEvent, keep?: boolean) => void
  /** Identity, gateway, the state of the connections, the open notices and questions, and the tasks in the order in which they were taken. */
  readonly events: () => ReadonlyArray<AgentEvent>
}

export interface Options {
  /** How many tasks that ended are told too, the last ones; none unless set. */
  readonly endedTasks?: number
}

type TextEvent = Extract<AgentEvent, { readonly event: "task.text" }>

interface TaskEvents {
  keep: boolean
  /** `task.queued` or `task.sent`. */
  taken: AgentEvent | undefined
  phase: AgentEvent | undefined
  /** What was told of the reply so far, as one event. */
  text: TextEvent | undefined
  end: AgentEvent | undefined
}

export const make = ({ endedTasks = 0 }: Options = {}): Snapshot => {
  let identity: AgentEvent | undefined
  let gateway: AgentEvent | undefined
  let connection: AgentEvent | undefined
  let tools: AgentEvent | undefined
  let notice: AgentEvent | undefined
  /** Of the connection of the tools. */
  let toolsNotice: AgentEvent | undefined
  const tasks = new Map<string, TaskEvents>()
  /** Those that wait for a person. */
  const questions = new Map<string, AgentEvent>()

  const taskOf = (taskId: string): TaskEvents => {
    const known = tasks.get(taskId)
    if (known !== undefined) return known
    const task: TaskEvents = { keep: false, taken: undefined, phase: undefined, text: undefined, end: undefined }
    tasks.set(taskId, task)
    return task
  }
  const end = (taskId: string, event: AgentEvent, keep: boolean) => {
    const task = taskOf(taskId)
    task.keep = keep
    task.phase = undefined
    task.text = undefined
    task.end = event
    let ended = [...tasks.values()].filter((other) => other.end !== undefined && !other.keep).length
    for (const [other, { end, keep }] of tasks) {
      if (ended <= endedTasks) return
      if (end === undefined || keep) continue
      tasks.delete(other)
      ended--
    }
  }

  return {
    note: (event, keep = false) => {
      switch (event.event) {
        case "identity":
          identity = event
          return
        case "gateway":
          gateway = event
          return
        case "connecting":
        case "connected":
        case "waiting":
        case "paused":
        case "halted":
          connection = event
          return
        case "pairing.required":
        case "pairing.reminder":
        case "pairing.superseded":
        case "pairing.expiring":
        case "pairing.expired":
        case "pairing.renewed":
          if (event.role === undefined) notice = event
          else toolsNotice = event
          return
        case "pairing.resolved":
        case "pairing.cancelled":
          if (event.role === undefined) notice = undefined
          else toolsNotice = undefined
          return
        case "tools":
          tools = event
          return
        case "tool.asked":
          questions.set(event.questionId, event)
          return
        case "tool.settled":
          questions.delete(event.questionId)
          return
        case "task.queued":
        case "task.sent":
          taskOf(event.taskId).taken = event
          return
        case "task.phase":
          if (tasks.get(event.taskId)?.end === undefined) taskOf(event.taskId).phase = event
          return
        case "task.text": {
          const task = taskOf(event.taskId)
          const before = task.text?.text ?? ""
          // What is missing between is not made up.
          if (task.end !== undefined || event.from > before.length) return
          task.text = { ...event, from: 0, text: before.slice(0, event.from) + event.text }
          return
        }
        case "task.reply":
        case "task.failed":
          return end(event.taskId, event, keep)
        case "page":
        case "answer.refused":
        case "task.tool":
        case "task.refused":
        case "task.saved":
        case "stopped":
          return
      }
    },
    events: () =>
      [
        identity,
        gateway,
        connection,
        tools,
        notice,
        toolsNotice,
        ...questions.values(),
        ...[...tasks.values()].flatMap((task) => [task.taken, task.phase, task.text, task.end])
      ]
        .filter((event) => event !== undefined)
  }
}
