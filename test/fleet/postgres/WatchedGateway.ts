/**
 * A development gateway on a socket that counts what a fleet does: which device has a link, for how long one was off line, what comes
 * from a link after a newer one of the same device has its session.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Agent from "../../../src/devgateway/Agent.ts"
import { DevGateway } from "../../../src/devgateway/DevGateway.ts"
import * as DevGatewayWs from "../../../src/devgateway/DevGatewayWs.ts"

interface LinkRecord {
  readonly number: number
  device: string | undefined
  hasSession: boolean
}

/** Of one device. */
interface DeviceRecord {
  /** The link that last got a session, while it is open. */
  open: LinkRecord | undefined
  newest: number
  /** When the newest link got its session. */
  newestSinceMs: number
  lostAtMs: number | undefined
}

export interface Counts {
  readonly drops: number
  readonly longestOffMs: number
  /** Frames on a link after a newer one of the same device had its session. */
  readonly superseded: number
}

/** A frame on a link after a newer one of the same device had its session. */
export interface Superseded {
  readonly method: string
  /** By `performance.now` of this process. */
  readonly atMs: number
  /** How long after the newer session it came. */
  readonly lateMs: number
}

/** A credential that the gateway refused. */
export interface Refusal {
  readonly atMs: number
  /** Not judged: too many were wrong before. */
  readonly isLockOut: boolean
}

export interface WatchedGateway {
  readonly port: number
  /** How many devices have a session. */
  readonly connected: () => number
  /** Whether this device has a session. */
  readonly has: (deviceId: string) => boolean
  readonly counts: () => Counts
  readonly superseded: ReadonlyArray<Superseded>
  /** Begins to count drops anew. */
  readonly reset: () => void
  /** Refused credentials so far, oldest first. */
  readonly refusals: () => ReadonlyArray<Refusal>
  /** Runs that began, by idempotency key. */
  readonly runs: Effect.Effect<ReadonlyMap<string, number>>
}

export const token = "fleet-operator-token"

/** Of a task whose text begins with this the run takes 0.5 to 3 s, of others 0.1 to 0.4 s. */
export const longTask = "long"

/** The run of a task whose text begins with this does not end by itself. */
export const endlessTask = "endless"

const runMs = (message: string) => {
  if (!message.startsWith(longTask)) return 100 + (message.length * 37) % 300
  return 500 + [...message].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 2501, 0)
}

/** Replies `done <message>` after some time. */
const agent = Agent.fromReply(({ message }) =>
  message.startsWith(endlessTask)
    ? Effect.never
    : Effect.delay(Effect.succeed(`done ${message}`), `${runMs(message)} millis`)
)

export const make = Effect.gen(function*() {
  const gateway = Context.get(
    yield* Layer.build(DevGateway.layer({
      auth: { mode: "token", token: Redacted.make("shared") },
      operatorToken: Redacted.make(token),
      agent
    })),
    DevGateway
  )
  const devices = new Map<string, DeviceRecord>()
  const refusals: Array<Refusal> = []
  let links = 0
  let drops = 0
  let longestOffMs = 0
  const superseded: Array<Superseded> = []
  const recordOf = (device: string) => {
    const known = devices.get(device)
    if (known !== undefined) return known
    const record: DeviceRecord = { open: undefined, newest: 0, newestSinceMs: 0, lostAtMs: undefined }
    devices.set(device, record)
    return record
  }
  const accept: typeof gateway.accept = (peer) => {
    const link: LinkRecord = { number: ++links, device: undefined, hasSession: false }
    const handler = gateway.accept({
      ...peer,
      sendUnsafe: (text) => {
        if (!link.hasSession && link.device !== undefined && text.includes('"hello-ok"')) {
          link.hasSession = true
          const record = recordOf(link.device)
          record.open = link
          record.newest = Math.max(record.newest, link.number)
          record.newestSinceMs = performance.now()
          if (record.lostAtMs !== undefined) longestOffMs = Math.max(longestOffMs, performance.now() - record.lostAtMs)
          record.lostAtMs = undefined
        }
        if (/"AUTH_(TOKEN_MISMATCH|RATE_LIMITED)"/.test(text)) {
          refusals.push({ atMs: performance.now(), isLockOut: text.includes('"AUTH_RATE_LIMITED"') })
        }
        peer.sendUnsafe(text)
      },
      close: (code, reason) => {
        gone()
        peer.close(code, reason)
      }
    })
    const gone = () => {
      const record = link.device === undefined ? undefined : devices.get(link.device)
      if (record?.open !== link) return
      record.open = undefined
      record.lostAtMs = performance.now()
      drops++
    }
    return {
      ...handler,
      onText: (text) => {
        if (link.device === undefined && text.includes('"connect"')) link.device = JSON.parse(text).params?.device?.id
        const newest = link.device === undefined ? 0 : devices.get(link.device)?.newest ?? 0
        if (link.device !== undefined && newest > link.number) {
          const { method = "?" } = JSON.parse(text)
          const atMs = Math.round(performance.now())
          superseded.push({ method, atMs, lateMs: atMs - Math.round(recordOf(link.device).newestSinceMs) })
        }
        handler.onText(text)
      },
      onClose: () => {
        gone()
        handler.onClose()
      }
    }
  }
  const url = yield* DevGatewayWs.serve().pipe(Effect.provideService(DevGateway, { ...gateway, accept }))
  return {
    port: Number(url.port),
    connected: () => [...devices.values()].filter(({ open }) => open !== undefined).length,
    has: (deviceId) => devices.get(deviceId)?.open !== undefined,
    counts: () => ({ drops, longestOffMs: Math.round(longestOffMs), superseded: superseded.length }),
    superseded,
    reset: () => {
      drops = 0
      longestOffMs = 0
    },
    refusals: () => refusals,
    runs: Effect.map(gateway.stats, ({ runs }) => runs)
  } satisfies WatchedGateway
})
