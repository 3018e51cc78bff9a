/**
 * What a client may ask after hello-ok. A request is judged in this order: is the method known, may the client call it, do
 * its parameters fit.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { ChatRuns, Respond } from "./ChatRuns.ts"
import { health } from "./Hello.ts"
import { type Asker, type PairedEntry, type PairingBook, type PendingEntry, satisfies } from "./PairingBook.ts"
import * as ParamsCheck from "./ParamsCheck.ts"
import * as Refusals from "./Refusals.ts"

/** Who calls: what was granted with hello-ok. */
export interface Session {
  readonly role: string
  readonly scopes: ReadonlyArray<string>
  readonly asker: Asker | undefined
  readonly toolEvents: boolean
}

export interface Methods {
  readonly call: (session: Session, method: string, params: unknown, respond: Respond) => void
  /** A pending request was decided or replaced: who waits for it may be answered. */
  readonly pairingChanged: () => void
  /** The gateway goes down and forgets whom it owes an answer; requests stay pending. */
  readonly stop: () => void
}

/** Parameters of all methods in one: `ParamsCheck` has seen to it that a method's own are there and no others. */
const MethodParams = Schema.Struct({
  sessionKey: Schema.optionalKey(Schema.String),
  message: Schema.optionalKey(Schema.String),
  idempotencyKey: Schema.optionalKey(Schema.String),
  limit: Schema.optionalKey(Schema.Int),
  timeoutMs: Schema.optionalKey(Schema.Int),
  runId: Schema.optionalKey(Schema.String),
  requestId: Schema.optionalKey(Schema.String),
  deviceId: Schema.optionalKey(Schema.String),
  role: Schema.optionalKey(Schema.String),
  scopes: Schema.optionalKey(Schema.Array(Schema.String))
})
type MethodParams = typeof MethodParams.Type
const decodeMethodParams = Schema.decodeUnknownOption(MethodParams)

/** The scope that a method needs. Asking for a wider scope needs none. */
const neededScopes: Record<ParamsCheck.MethodName, string | undefined> = {
  "health": "operator.read",
  "chat.send": "operator.write",
  "chat.history": "operator.read",
  "chat.abort": "operator.write",
  "agent.wait": "operator.write",
  "device.pair.list": "operator.pairing",
  "device.pair.approve": "operator.pairing",
  "device.pair.reject": "operator.pairing",
  "device.pair.remove": "operator.pairing",
  "device.token.rotate": "operator.pairing",
  "device.token.revoke": "operator.pairing",
  "device.scopes.requestUpgrade": undefined,
  "device.scopes.waitUpgrade": undefined
}

const admin = "operator.admin"

const knownScopes: ReadonlySet<string> = new Set(
  ["read", "write", "admin", "approvals", "questions", "pairing", "talk", "talk.secrets"].map((name) =>
    `operator.${name}`
  )
)

export const make = (options: {
  readonly book: PairingBook
  readonly chat: ChatRuns
  readonly nowMs: () => number
  readonly pendingLifeMs: number
  readonly scopeUpgrades: boolean
  readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  readonly isConnected: (deviceId: string) => boolean
  readonly ask: (asker: Asker) => PendingEntry
  readonly approve: (requestId: string) => PairedEntry | undefined
  readonly reject: (requestId: string) => PendingEntry | undefined
  readonly decisionOn: (requestId: string) => "approved" | "rejected" | undefined
  /** Closes the live links of a device. */
  readonly closeDevice: (deviceId: string) => void
}): Methods => {
  const { book, chat, nowMs } = options
  const waiters = new Set<(down?: boolean) => void>()

  const perform = (session: Session, method: ParamsCheck.MethodName, params: MethodParams, respond: Respond): void => {
    const { deviceId = "", idempotencyKey = "", message = "", requestId = "", role = "operator", sessionKey = "" } =
      params
    const isAdmin = satisfies(session.scopes, admin)
    const own = session.asker?.deviceId === deviceId
    const deny = (text: string) => respond({ error: Refusals.requestError(text) })
    switch (method) {
      case "health":
        return respond({ payload: health(nowMs()) })
      case "chat.send":
        return chat.send({ sessionKey, message, idempotencyKey }, respond)
      case "chat.history":
        return chat.history(params.limit === undefined ? { sessionKey } : { sessionKey, limit: params.limit }, respond)
      case "chat.abort":
        return chat.abort(params.runId === undefined ? { sessionKey } : { sessionKey, runId: params.runId }, respond)
      case "agent.wait": {
        const { runId = "", timeoutMs } = params
        return chat.wait(timeoutMs === undefined ? { runId } : { runId, timeoutMs }, respond)
      }
      case "device.pair.list": {
        const paired = book.paired().map((device) => ({ ...device, connected: options.isConnected(device.deviceId) }))
        return respond({ payload: { pending: book.pending(nowMs()), paired } })
      }
      case "device.pair.approve": {
        const entry = book.pending(nowMs()).find((pending) => pending.requestId === requestId)
        const missing = entry?.scopes.find((scope) => !satisfies(session.scopes, scope))
        if (missing !== undefined) return respond({ error: Refusals.missingScope(missing) })
        const device = options.approve(requestId)
        return device === undefined ? deny("unknown requestId") : respond({ payload: { requestId, device } })
      }
      case "device.pair.reject": {
        const entry = options.reject(requestId)
        return entry === undefined
          ? deny("unknown requestId")
          : respond({ payload: { requestId, deviceId: entry.deviceId } })
      }
      case "device.pair.remove":
        if (!own && !isAdmin) return deny("device pairing removal denied")
        if (!book.remove(deviceId)) return deny("unknown deviceId")
        respond({ payload: { deviceId } })
        return options.closeDevice(deviceId)
      case "device.token.rotate": {
        const token = own || isAdmin ? book.rotate(deviceId, role, nowMs()) : undefined
        if (token === undefined) return deny("device token rotation denied")
        const { issuedAtMs: rotatedAtMs, scopes, value } = token
        const delivery = own
          ? { token: Redacted.value(value), tokenDelivery: "in-band" }
          : { tokenDelivery: "withheld-cross-device" }
        respond({ payload: { deviceId, role, scopes, rotatedAtMs, ...delivery } })
        return options.closeDevice(deviceId)
      }
      case "device.token.revoke":
        if (!(own || isAdmin) || !book.revoke(deviceId, role, nowMs())) return deny("device token revocation denied")
        respond({ payload: { deviceId, role, revokedAtMs: nowMs() } })
        return options.closeDevice(deviceId)
      case "device.scopes.requestUpgrade": {
        const scopes = (params.scopes ?? []).toSorted()
        if (session.asker === undefined || book.token(session.asker.deviceId, session.asker.role) === undefined) {
          return deny("device identity required")
        }
        if (!scopes.every((scope) => knownScopes.has(scope))) {
          return deny("requested scopes contain an unknown operator scope")
        }
        return session.scopes.every((scope) => satisfies(scopes, scope))
          ? respond({ payload: { requestId: options.ask({ ...session.asker, scopes }).requestId } })
          : deny("requested scopes must include the connection's current scopes")
      }
      case "device.scopes.waitUpgrade":
        return session.asker === undefined
          ? deny("device identity required")
          : waitUpgrade(session.asker, requestId, respond)
    }
  }

  /** Answers when the request is decided, superseded or expired; there is no other deadline. */
  const waitUpgrade = (asker: Asker, requestId: string, respond: Respond) => {
    const pending = () =>
      book.pending(nowMs()).find((entry) => entry.requestId === requestId && entry.deviceId === asker.deviceId)
    const known = pending() !== undefined || options.decisionOn(requestId) !== undefined
    const answer = () => {
      const decision = options.decisionOn(requestId)
      const token = book.token(asker.deviceId, asker.role)
      if (decision !== "approved" || token === undefined) {
        return respond({ payload: { status: decision === "rejected" ? "rejected" : "expired", requestId } })
      }
      const { scopes, value } = token
      respond({ payload: { status: "approved", requestId, deviceToken: Redacted.value(value), scopes } })
    }
    if (!known) return respond({ error: Refusals.requestError("scope upgrade expired or not found") })
    if (pending() === undefined) return answer()
    const look = (down = false) => {
      if ((pending() !== undefined && !down) || !waiters.delete(look)) return
      timer.interruptUnsafe()
      if (down) respond({ error: Refusals.requestError("scope upgrade expired or not found") })
      else answer()
    }
    waiters.add(look)
    const untilExpiry = () => Math.max(1, (pending()?.ts ?? 0) + options.pendingLifeMs - nowMs())
    const timer = options.fork(
      Effect.suspend(() => Effect.delay(Effect.sync(() => look()), untilExpiry())).pipe(
        Effect.repeat({ while: () => waiters.has(look) }) // asked again meanwhile: it lives on
      )
    )
  }

  return {
    pairingChanged: () => {
      for (const look of Array.from(waiters)) look()
    },

    stop: () => {
      for (const look of Array.from(waiters)) look(true)
    },

    call: (session, method, sent, respond) => {
      const absent = !options.scopeUpgrades && ParamsCheck.scopeUpgradeMethods.has(method)
      if (absent || !ParamsCheck.isMethodName(method)) {
        const unknown = method === "connect"
          ? "connect is only valid as the first request"
          : `unknown method: ${method}`
        return respond({
          error: satisfies(session.scopes, admin) ? Refusals.requestError(unknown) : Refusals.missingScope(admin)
        })
      }
      const scope = neededScopes[method]
      if (scope !== undefined && !satisfies(session.scopes, scope)) {
        return respond({ error: Refusals.missingScope(scope) })
      }
      const complaint = ParamsCheck.complaint(ParamsCheck.methodParams[method], sent)
      const params = Option.getOrUndefined(decodeMethodParams(sent))
      if (complaint !== undefined || params === undefined) {
        return respond({ error: Refusals.requestError(`invalid ${method} params: ${complaint ?? "must be object"}`) })
      }
      perform(session, method, params, respond)
    }
  }
}
