/**
 * What a runner has in memory: the connection, its tasks, and indexes of them by run and by session. It decides nothing.
 */
import type * as Deferred from "effect/Deferred"
import type * as Semaphore from "effect/Semaphore"
import type { ConnectionStatus, GatewayStatus } from "../connection/ConnectionStatus.ts"
import type { Session } from "../connection/Session.ts"
import * as Lanes from "./Lanes.ts"
import type { LiveRun } from "./LiveRun.ts"
import { endEvent, lateEvent } from "./RunAfterEnd.ts"
import type { QueuedReason, TaskEvent, TaskId, TaskOutcome } from "./Task.ts"
import type { JournalRecord } from "./TaskJournal.ts"
import type { AbortError, TaskLife } from "./TaskLife.ts"
import { begin, isMerged, isOpen } from "./TaskLife.ts"

/** A session whose events are read. */
export interface Link {
  readonly session: Session
  readonly gatewayScope: string
  /** Ways to ask for the whole of a reply that its gateway refused. */
  readonly refusedWays: Set<"message" | "history">
  /** The sessions whose events were asked for, by their canonical keys, with whether they are told. */
  readonly heard: Map<string, Deferred.Deferred<boolean>>
}

/** A task, and what belongs to it. */
export interface Cell {
  life: TaskLife
  /** Only one write of its journal entry at a time, as each writes all of it. Made with the first. */
  writing: Semaphore.Semaphore | undefined
  /** Completed with the end; made for the first caller of `await`. */
  ended: Deferred.Deferred<TaskOutcome> | undefined
  /** Completed with the answer to an abort; made for its first caller. */
  aborted: Deferred.Deferred<boolean, AbortError> | undefined
  /** Made for the first who follows its run while it is at work. */
  live: LiveRun | undefined
  /** The run that answers it, if that is not its own. */
  answeredRunId: string | undefined
  /** The run whose reply it got. */
  claimedRunId: string | undefined
}

export interface RunnerState {
  connection: GatewayStatus
  link: Link | undefined
  /** Open tasks, and the last that ended, in the order of acceptance. */
  readonly cells: ReadonlyMap<TaskId, Cell>
  /** How many of them are open. */
  readonly openCount: () => number
  /** Tasks that are answered in the run of another one. */
  readonly merged: ReadonlySet<Cell>
  /** Runs whose replies were given to their own tasks. */
  readonly claimed: ReadonlySet<string>
  readonly add: (record: JournalRecord, inherited: boolean) => Cell
  readonly update: (cell: Cell, life: TaskLife) => void
  /** Drops the oldest of too many ended tasks, but none whose run keeps a session busy. */
  readonly trim: () => void
  readonly claim: (cell: Cell, runId: string) => void
  /** The task that gets the events of a run. */
  readonly ofRun: (runId: string) => Cell | undefined
  readonly listen: (cell: Cell, runId: string) => void
  readonly unlisten: (cell: Cell) => void
  /** Takes a task out of its lane and returns the task whose turn it is then. */
  readonly leaveLane: (cell: Cell) => Cell | undefined
  /** Whether a session key that the gateway told is that of the task. */
  readonly isSession: (cell: Cell, told: string | undefined) => boolean
  /** Notes what the gateway calls the task's session; true when that is not a spelling of its key. */
  readonly learnName: (cell: Cell, told: string | undefined) => boolean
}

/** How many ended tasks are listed. */
const listedAtMost = 200

/** How the connection is for tasks of one gateway. */
export const placeOf = ({ gatewayScope, status }: GatewayStatus, ownScope: string) => ({
  waitsFor: queuedReason(status),
  away: ownScope !== gatewayScope
})

export const make = (connection: GatewayStatus): RunnerState => {
  const cells = new Map<TaskId, Cell>()
  const ended: Array<Cell> = []
  const runs = new Map<string, Cell>()
  const merged = new Set<Cell>()
  const claimed = new Set<string>()
  let lanes = Lanes.empty
  let openCount = 0

  const unlisten = (cell: Cell) => {
    for (const runId of [cell.life.subject.runId, cell.answeredRunId]) {
      if (runId !== undefined && runs.get(runId) === cell) runs.delete(runId)
    }
  }
  const listen = (cell: Cell, runId: string) => {
    if (!runs.has(runId)) runs.set(runId, cell)
    if (runId !== cell.life.subject.runId) cell.answeredRunId = runId
  }

  const state: RunnerState = {
    connection,
    link: undefined,
    cells,
    openCount: () => openCount,
    merged,
    claimed,
    add: (record, inherited) => {
      const { answeredRunId, gatewayScope, runId, taskId } = record
      lanes = Lanes.enter(lanes, record, taskId)
      const life = begin(record, {
        ...placeOf(state.connection, gatewayScope),
        turn: Lanes.first(lanes, record) === taskId,
        inherited,
        shared: answeredRunId !== undefined && runs.has(answeredRunId)
      })
      const cell: Cell = {
        life,
        writing: undefined,
        ended: undefined,
        aborted: undefined,
        live: undefined,
        answeredRunId: undefined,
        claimedRunId: undefined
      }
      openCount++
      cells.set(taskId, cell)
      for (const own of [runId, answeredRunId]) if (own !== undefined) listen(cell, own)
      if (isMerged(life)) merged.add(cell)
      return cell
    },
    update: (cell, life) => {
      const before = cell.life
      cell.life = life
      if (isMerged(life)) merged.add(cell)
      else if (isMerged(before)) merged.delete(cell)
      if (!isOpen(before) || isOpen(life)) return
      openCount--
      ended.push(cell)
    },
    trim: () => {
      while (ended.length > listedAtMost) {
        const index = ended.findIndex(({ life }) => !holdsLane(life))
        const [oldest] = index === -1 ? [] : ended.splice(index, 1)
        if (oldest === undefined) return
        unlisten(oldest)
        cells.delete(oldest.life.subject.taskId)
        if (oldest.claimedRunId !== undefined) claimed.delete(oldest.claimedRunId)
      }
    },
    claim: (cell, runId) => {
      cell.claimedRunId = runId
      claimed.add(runId)
    },
    ofRun: (runId) => runs.get(runId),
    listen,
    unlisten,
    leaveLane: ({ life: { subject } }) => {
      lanes = Lanes.leave(lanes, subject, subject.taskId)
      const next = Lanes.first(lanes, subject)
      return next === undefined ? undefined : cells.get(next)
    },
    isSession: ({ life }, told) => Lanes.isSession(lanes, life.subject, told),
    learnName: ({ life }, told) => {
      const learned = Lanes.learn(lanes, life.subject, told)
      lanes = learned.lanes
      return learned.renamed
    }
  }
  return state
}

/** It keeps the next task of its session waiting. */
const holdsLane = ({ stage }: TaskLife): boolean => stage._tag !== "Ended" || stage.run._tag === "Holding"

const queuedReason = (status: ConnectionStatus): QueuedReason | undefined => {
  switch (status._tag) {
    case "Connected":
      return undefined
    case "AwaitingApproval":
      return "AwaitingApproval"
    case "Connecting":
    case "Stopped":
      return "Offline"
    case "Waiting":
      return status.approval === undefined ? "Offline" : "AwaitingApproval"
    case "Paused":
      return "Paused"
    case "Halted":
      return "Halted"
  }
}

/**
 * What a subscriber that comes now is told of a task. Of ended tasks only those of an earlier process: its subscribers are
 * gone, so that nobody may have seen the end.
 */
export const snapshotOf = ({ stage, subject }: TaskLife): ReadonlyArray<TaskEvent> => {
  const { inherited, runId, summary, taskId } = subject
  if (stage._tag === "Ended") {
    if (!inherited) return []
    const late = stage.lateReply === undefined ? [] : [lateEvent(subject, stage.lateReply)]
    return [endEvent(subject, stage.outcome), ...late]
  }
  const { shown } = stage
  switch (shown._tag) {
    case "Queued":
      // It is about to be sent, and `Sent` follows.
      return shown.reason === undefined ? [] : [{ _tag: "Queued", taskId, runId, summary, reason: shown.reason }]
    case "Sent":
      return [{ _tag: "Sent", taskId, runId, summary }]
    case "Running":
      return [{ _tag: "Phase", taskId, runId, phase: shown.phase }]
  }
}
