/**
 * What holds now, kept from the events so far: what somebody who comes late is told first.
 *
 * Telling it twice does no harm, as it only says again what stands. Pure but for what it keeps.
 */
import type { AgentEvent } from "../protocol/AgentEvent.ts"

export interface Standing {
  readonly note: (event: AgentEvent) => void
  /** Who and where, how the connection stands, the notice that is open, and the tasks in the order they were taken. */
  readonly replay: () => ReadonlyArray<AgentEvent>
}

export interface Options {
  /** How many tasks that ended are told too, the last ones; none unless set. */
  readonly endedTasks?: number
}

interface TaskStanding {
  /** That it was taken or sent, and last how it ended. */
  taken: AgentEvent | undefined
  phase: AgentEvent | undefined
  end: AgentEvent | undefined
}

export const make = ({ endedTasks = 0 }: Options = {}): Standing => {
  let who: AgentEvent | undefined
  let where: AgentEvent | undefined
  let connection: AgentEvent | undefined
  let notice: AgentEvent | undefined
  const tasks = new Map<string, TaskStanding>()

  const taskOf = (taskId: string): TaskStanding => {
    const known = tasks.get(taskId)
    if (known !== undefined) return known
    const task: TaskStanding = { taken: undefined, phase: undefined, end: undefined }
    tasks.set(taskId, task)
    return task
  }
  const end = (taskId: string, event: AgentEvent) => {
    const task = taskOf(taskId)
    task.phase = undefined
    task.end = event
    let ended = [...tasks.values()].filter((other) => other.end !== undefined).length
    for (const [other, { end }] of tasks) {
      if (ended <= endedTasks) return
      if (end === undefined) continue
      tasks.delete(other)
      ended--
    }
  }

  return {
    note: (event) => {
      switch (event.event) {
        case "identity":
          who = event
          return
        case "gateway":
          where = event
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
          notice = event
          return
        case "pairing.resolved":
        case "pairing.cancelled":
          notice = undefined
          return
        case "task.queued":
        case "task.sent":
          taskOf(event.taskId).taken = event
          return
        case "task.phase":
          if (tasks.get(event.taskId)?.end === undefined) taskOf(event.taskId).phase = event
          return
        case "task.reply":
        case "task.failed":
          return end(event.taskId, event)
        case "page":
        case "stopped":
          return
      }
    },
    replay: () =>
      [who, where, connection, notice, ...[...tasks.values()].flatMap((task) => [task.taken, task.phase, task.end])]
        .filter((event) => event !== undefined)
  }
}
