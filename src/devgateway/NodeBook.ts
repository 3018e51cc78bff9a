/**
 * Which commands of which nodes are approved, and which wait for approval: the surfaces. Survives a restart of the gateway.
 */

/** What a node says that it offers. */
export interface Claim {
  readonly caps: ReadonlyArray<string>
  readonly commands: ReadonlyArray<string>
}

/** A request to approve the commands of a node, as `node.pair.list` and `node.pair.requested` show it. It does not expire. */
export interface SurfaceRequest extends Claim {
  readonly requestId: string
  readonly nodeId: string
  readonly clientId: string
  readonly clientMode: string
  readonly displayName?: string
  readonly platform: string
  readonly version: string
  readonly deviceFamily?: string
  readonly requiredApproveScopes: ReadonlyArray<string>
  readonly remoteIp: string
  /** Milliseconds on the gateway's clock. */
  readonly ts: number
}

export interface Surface extends Claim {
  readonly createdAtMs: number
  readonly approvedAtMs: number
}

export type Asked = Omit<SurfaceRequest, "requestId" | "requiredApproveScopes" | "ts">

export interface NodeBook {
  readonly approved: (nodeId: string) => Surface | undefined
  readonly pending: () => ReadonlyArray<SurfaceRequest>
  /** Compares what a node offers with what is approved. Gives the request if it is new, and the one that it replaces. */
  readonly ask: (
    asked: Asked,
    nowMs: number
  ) => { readonly request: SurfaceRequest; readonly replaced: SurfaceRequest | undefined } | undefined
  readonly approve: (
    requestId: string,
    nowMs: number
  ) => { readonly request: SurfaceRequest; readonly surface: Surface } | undefined
  readonly reject: (requestId: string) => SurfaceRequest | undefined
  readonly remove: (nodeId: string) => void
}

/** Commands that an administrator has to approve. */
const guarded = /^(system\.|browser\.proxy|fs\.listDir$)/

const scopesFor = (commands: ReadonlyArray<string>): ReadonlyArray<string> => {
  if (commands.length === 0) return ["operator.pairing"]
  return ["operator.pairing", commands.some((command) => guarded.test(command)) ? "operator.admin" : "operator.write"]
}

const within = (inner: ReadonlyArray<string>, outer: ReadonlyArray<string>) =>
  inner.every((item) => outer.includes(item))

export const make = (newRequestId: () => string): NodeBook => {
  const surfaces = new Map<string, Surface>()
  const requests = new Map<string, SurfaceRequest>() // by node

  const take = (requestId: string) => {
    const request = [...requests.values()].find((request) => request.requestId === requestId)
    if (request !== undefined) requests.delete(request.nodeId)
    return request
  }

  return {
    approved: (nodeId) => surfaces.get(nodeId),
    pending: () => [...requests.values()],

    ask: (asked, nowMs) => {
      const known = surfaces.get(asked.nodeId) ?? { caps: [], commands: [] }
      if (within(asked.commands, known.commands) && within(asked.caps, known.caps)) return undefined
      const before = requests.get(asked.nodeId)
      if (before !== undefined && before.commands.join() === asked.commands.join()) return undefined
      const request = {
        requestId: newRequestId(),
        ...asked,
        requiredApproveScopes: scopesFor(asked.commands),
        ts: nowMs
      }
      requests.set(asked.nodeId, request)
      return { request, replaced: before }
    },

    approve: (requestId, nowMs) => {
      const request = take(requestId)
      if (request === undefined) return undefined
      const { caps, commands, nodeId } = request
      const createdAtMs = surfaces.get(nodeId)?.createdAtMs ?? nowMs
      const surface = { caps, commands, createdAtMs, approvedAtMs: nowMs }
      surfaces.set(nodeId, surface)
      return { request, surface }
    },

    reject: take,
    remove: (nodeId) => {
      surfaces.delete(nodeId)
      requests.delete(nodeId)
    }
  }
}
