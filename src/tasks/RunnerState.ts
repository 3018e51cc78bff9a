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

/** How many ended tasks are listed. */
const listedAtMost = 200

/** How the connection is for tasks of one gateway. */
export const placeOf = ({ gatewayScope, status }: GatewayStatus, ownScope: string) => ({
  waitsFor: queuedReason(status),
  away: ownScope !== gatewayScope
})

/** Made with the first task, as most agents have none. */
const noRuns: ReadonlyMap<string, Cell> = new Map()
const noCells: ReadonlySet<Cell> = new Set()
const noClaims: ReadonlySet<string> = new Set()

export class RunnerState {
  connection: GatewayStatus
  link: Link | undefined
  readonly #cells = new Map<TaskId, Cell>()
  #ended: Array<Cell> | undefined
  #runs: Map<string, Cell> | undefined
  #merged: Set<Cell> | undefined
  #claimed: Set<string> | undefined
  #lanes = Lanes.empty
  #openCount = 0

  constructor(connection: GatewayStatus) {
    this.connection = connection
  }

  /** Open tasks, and the last that ended, in the order of acceptance. */
  get cells(): ReadonlyMap<TaskId, Cell> {
    return this.#cells
  }

  /** How many of them are open. */
  openCount(): number {
    return this.#openCount
  }

  /** Tasks that are answered in the run of another one. */
  get merged(): ReadonlySet<Cell> {
    return this.#merged ?? noCells
  }

  /** Runs whose replies were given to their own tasks. */
  get claimed(): ReadonlySet<string> {
    return this.#claimed ?? noClaims
  }

  add(record: JournalRecord, inherited: boolean): Cell {
    const { answeredRunId, gatewayScope, runId, taskId } = record
    this.#lanes = Lanes.enter(this.#lanes, record, taskId)
    const life = begin(record, {
      ...placeOf(this.connection, gatewayScope),
      turn: Lanes.first(this.#lanes, record) === taskId,
      inherited,
      shared: answeredRunId !== undefined && this.ofRun(answeredRunId) !== undefined
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
    this.#openCount++
    this.#cells.set(taskId, cell)
    for (const own of [runId, answeredRunId]) if (own !== undefined) this.listen(cell, own)
    if (isMerged(life)) this.#merge(cell)
    return cell
  }

  update(cell: Cell, life: TaskLife): void {
    const before = cell.life
    cell.life = life
    if (isMerged(life)) this.#merge(cell)
    else if (isMerged(before)) this.#merged?.delete(cell)
    if (!isOpen(before) || isOpen(life)) return
    this.#openCount--
    this.#ended ??= []
    this.#ended.push(cell)
  }

  /** Drops the oldest of too many ended tasks, but none whose run keeps a session busy. */
  trim(): void {
    const ended = this.#ended ?? []
    while (ended.length > listedAtMost) {
      const index = ended.findIndex(({ life }) => !holdsLane(life))
      const [oldest] = index === -1 ? [] : ended.splice(index, 1)
      if (oldest === undefined) return
      this.unlisten(oldest)
      this.#cells.delete(oldest.life.subject.taskId)
      if (oldest.claimedRunId !== undefined) this.#claimed?.delete(oldest.claimedRunId)
    }
  }

  claim(cell: Cell, runId: string): void {
    cell.claimedRunId = runId
    this.#claimed ??= new Set()
    this.#claimed.add(runId)
  }

  /** The task that gets the events of a run. */
  ofRun(runId: string): Cell | undefined {
    return (this.#runs ?? noRuns).get(runId)
  }

  listen(cell: Cell, runId: string): void {
    this.#runs ??= new Map()
    if (!this.#runs.has(runId)) this.#runs.set(runId, cell)
    if (runId !== cell.life.subject.runId) cell.answeredRunId = runId
  }

  unlisten(cell: Cell): void {
    for (const runId of [cell.life.subject.runId, cell.answeredRunId]) {
      if (runId !== undefined && this.ofRun(runId) === cell) this.#runs?.delete(runId)
    }
  }

  /** Takes a task out of its lane and returns the task whose turn it is then. */
  leaveLane({ life: { subject } }: Cell): Cell | undefined {
    this.#lanes = Lanes.leave(this.#lanes, subject, subject.taskId)
    const next = Lanes.first(this.#lanes, subject)
    return next === undefined ? undefined : this.#cells.get(next)
  }

  /** Whether a session key that the gateway told is that of the task. */
  isSession({ life }: Cell, told: string | undefined): boolean {
    return Lanes.isSession(this.#lanes, life.subject, told)
  }

  /** Notes what the gateway calls the task's session; true when that is not a spelling of its key. */
  learnName({ life }: Cell, told: string | undefined): boolean {
    const { lanes, renamed } = Lanes.learn(this.#lanes, life.subject, told)
    this.#lanes = lanes
    return renamed
  }

  #merge(cell: Cell): void {
    this.#merged ??= new Set()
    this.#merged.add(cell)
  }
}

/** It keeps the next task of its session waiting. */
const holdsLane = ({ stage }: TaskLife): boolean => stage._tag !== "Ended" || stage.run._tag === "Holding"

const queuedReason = (status: ConnectionStatus): QueuedReason | undefined => {
  switch (status._tag) {
    case "Connected":
      return status.suspension === undefined ? undefined : "Suspended"
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
