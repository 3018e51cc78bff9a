/**
 * Wakes readers from a synchronous callback, in the microtask after it: soon, and still once for a whole burst of values that
 * arrive in one packet. Effect's `Queue` wakes its reader a turn of the event loop later, which doubles the delay of a lone event
 * and costs more than the event.
 */

export class Bell {
  #rung = false
  #waiters: Array<() => void> | undefined

  /** Wakes those that wait, or the next one that would. Several rings before that are one. */
  ring(): void {
    if (this.#rung) return
    this.#rung = true
    if (this.#waiters !== undefined) queueMicrotask(() => this.#wake())
  }

  /**
   * Calls back once, after the next ring; at once if it rang and nobody was woken. What it means has to be looked up then:
   * another reader may have been first.
   */
  listen(waiter: () => void): void {
    if (this.#rung) {
      this.#rung = false
      return waiter()
    }
    this.#waiters ??= []
    this.#waiters.push(waiter)
  }

  forget(waiter: () => void): void {
    this.#waiters = this.#waiters?.filter((other) => other !== waiter)
  }

  #wake(): void {
    this.#rung = false
    const waiters = this.#waiters
    this.#waiters = undefined
    for (const wake of waiters ?? []) wake()
  }
}
