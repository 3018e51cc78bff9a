/**
 * The events of a process that wait for the database. Synchronous, and bounded: where there is no room, the oldest goes, and the gap in
 * the numbers tells readers how many.
 */

/** An event that waits. */
export interface Waiting {
  readonly seq: number
  readonly device: string
  readonly epoch: number
  /** The encoded event. */
  readonly event: string
}

/** What may wait, and what is written at a time. Sizes are UTF-16 code units of the encoded events. */
export interface Limits {
  readonly events: number
  readonly size: number
  readonly batchEvents: number
  readonly batchSize: number
}

/** The newest event is kept, and written, however large it is. */
export class EventQueue {
  readonly #limits: Limits
  #waiting: Array<Waiting> = []
  #size = 0
  #seq = 0

  constructor(limits: Limits) {
    this.#limits = limits
  }

  /** Gives how many events had to go for this one. */
  push(told: Omit<Waiting, "seq">): number {
    this.#waiting.push({ ...told, seq: ++this.#seq })
    this.#size += told.event.length
    const before = this.#waiting.length
    while (
      this.#waiting.length > 1 && (this.#waiting.length > this.#limits.events || this.#size > this.#limits.size)
    ) this.#dropFirst()
    return before - this.#waiting.length
  }

  /** Counts an event that cannot be written, so that readers are told of it. */
  skip(): void {
    this.#seq++
  }

  /** What is to be written next, in order; empty where nothing waits. It waits until it is `written`. */
  batch(): ReadonlyArray<Waiting> {
    const { batchEvents, batchSize } = this.#limits
    const taken: Array<Waiting> = []
    let size = 0
    for (const each of this.#waiting) {
      size += each.event.length
      if (taken.length > 0 && (taken.length >= batchEvents || size > batchSize)) break
      taken.push(each)
    }
    return taken
  }

  /** All up to this number are in the database. */
  written(seq: number): void {
    let first = this.#waiting[0]
    while (first !== undefined && first.seq <= seq) {
      this.#dropFirst()
      first = this.#waiting[0]
    }
  }

  #dropFirst(): void {
    this.#size -= this.#waiting.shift()?.event.length ?? 0
  }
}
