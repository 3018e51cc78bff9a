/** What every measured client can do. */
export interface Connection {
  /** Asks the stub, and waits for its answer. */
  readonly request: (method: string, params: object) => Promise<unknown>
  /** From now on each event is handed over. */
  readonly onEvent: (take: (payload: Payload) => void) => void
  readonly close: () => Promise<void>
}

export interface Payload {
  /** Milliseconds since 1970, with fractions, on the clock of this machine. */
  readonly sentAt: number
}

export interface Client {
  /** Connects with a key of its own, and waits for hello-ok. */
  readonly connect: (url: string) => Promise<Connection>
}
