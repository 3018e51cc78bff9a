/**
 * What every measured client can do. All of them connect as the same kind of device: role operator, `scopes`, a new Ed25519
 * key for each connection. Making that key is part of every measured connect.
 */
export interface Client {
  /** Connects with a key of its own, and waits for hello-ok. */
  readonly connect: (url: string) => Promise<Connection>
}

export interface Connection {
  /** The whole hello-ok, of a client that gives it to its user. The row of the heap drops it after the first measurement. */
  hello?: unknown
  /** Asks the stub, and waits for its answer. */
  readonly request: (method: string, params: object) => Promise<unknown>
  /** From now on each event is handed over. */
  readonly onEvent: (take: (payload: Payload) => void) => void
  /** The same as a stream of the client's own, where it has them. */
  readonly onStreamed?: Connection["onEvent"]
  /** Closes the socket, and waits until it is closed. */
  readonly close: () => Promise<void>
}

export interface Payload {
  /** By `Clock.nowMs`. */
  readonly sentAtMs: number
}

export const scopes: ReadonlyArray<string> = ["operator.read", "operator.write"]
