/**
 * What of a frame may stand in a recording.
 *
 * Redaction is by construction: a property is kept only if `frameRule` names it, in the form that its rule gives it. What has
 * no rule is left out, whatever it is. So credentials, signatures and what people and agents write have no way into a file,
 * while everything that our code looks at keeps the value, or at least the shape, that makes the code go the same way.
 *
 * Redacting what was redacted changes nothing. A replay can therefore use the stand-ins as if they were the real values, and
 * compare what it sends with what was recorded.
 */
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Frame from "../protocol/Frame.ts"

export interface Redactor {
  /** A frame without what is not to be seen; `undefined` when the text is no frame. */
  readonly frame: (text: string) => Frame.Frame | undefined
  /** A credential's stand-in: the same one for the same credential. */
  readonly secret: (value: string) => string
  /** The stand-in of a task's text, which is known again when a gateway repeats the text. */
  readonly ownText: (text: string) => string
  /** What somebody wrote: its length in UTF-16 units. */
  readonly text: (text: string) => string
  /** A gateway's sentence: the words of the protocol stay, every other one becomes its length. */
  readonly words: (text: string) => string
  readonly id: (id: string) => string
  readonly sessionKey: (key: string) => string
  /** A gateway's stand-in, by its address. */
  readonly gateway: (gatewayScope: string) => string
  readonly names: (names: ReadonlyArray<string>) => ReadonlyArray<string>
  /** Text that is kept as it is, unless a credential is in it. */
  readonly clean: (text: string) => string
}

/** What a value becomes. `undefined` leaves it out. */
type Rule = (value: unknown, redactor: Redactor) => unknown

/** A value of another kind than the protocol's stays one, with nothing in it, so that it is refused for the same reason. */
const hollow = (value: unknown): unknown => {
  if (value === null || typeof value === "boolean") return value
  if (typeof value === "number") return 0
  if (typeof value === "string") return ""
  return Array.isArray(value) ? [] : {}
}

const string = (redact: (text: string, redactor: Redactor) => string): Rule => (value, redactor) =>
  Predicate.isString(value) ? redact(value, redactor) : hollow(value)
const each = (rule: Rule): Rule => (value, redactor) =>
  Array.isArray(value) ? value.map((element) => rule(element, redactor)) : hollow(value)
const number: Rule = (value) => typeof value === "number" ? value : hollow(value)
const flag: Rule = (value) => hollow(value)
const object = (rules: () => Readonly<Record<string, Rule>>): Rule => (value, redactor) => {
  if (!Predicate.isObject(value) || Array.isArray(value)) return hollow(value)
  const known = rules()
  const kept: Record<string, unknown> = {}
  for (const [key, inner] of Object.entries(value)) {
    const rule = Object.hasOwn(known, key) ? known[key] : undefined
    if (rule !== undefined) kept[key] = rule(inner, redactor)
  }
  return kept
}

/** Words of the protocol, such as `operator.read`, `AUTH_TOKEN_MISMATCH`, `not-paired`: letters, and no run of them is long. */
const protocolName = /^[A-Za-z]{1,24}(?:[._:/-][A-Za-z]{1,24}){0,7}$/
const kept = (form: RegExp, otherwise: string) =>
  string((text, { clean }) => text === "" ? text : form.test(text) ? clean(text) : otherwise)
const name = kept(protocolName, "masked")
const version = kept(/^[0-9]{1,4}(\.[0-9]{1,6}){1,3}(-[a-z]{1,8}(\.?[0-9]{1,4})?)?$/, "0.0.0")
const nonce = kept(/^[A-Za-z0-9|,._:-]{1,128}$/, "not|a|nonce")
const secret = string((value, { secret }) => secret(value))
const text = string((value, { text }) => text(value))
const words = string((value, { words }) => words(value))
const id = string((value, { id }) => id(value))
const sessionKey = string((value, { sessionKey }) => sessionKey(value))
const isoTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/
const time: Rule = (value, redactor) =>
  Predicate.isString(value) && isoTime.test(value) ? value : number(value, redactor)
/** The key of a message that began a run: the run's id, with `:user` behind it. */
const runMark = string((mark, { id }) =>
  mark.endsWith(":user") ? `${id(mark.slice(0, -":user".length))}:user` : id(mark)
)
/** Our own key and what it signed differ from device to device; that they are there is all that counts. */
const present: Rule = (value) => Predicate.isString(value) && value !== "" ? "present" : hollow(value)

const part = object(() => ({ type: name, text }))
const content: Rule = (value, redactor) => Array.isArray(value) ? each(part)(value, redactor) : text(value, redactor)
const message: Rule = (value, redactor) =>
  Predicate.isString(value) ? text(value, redactor) : chatMessage(value, redactor)
const chatMessage = object(() => ({
  role: name,
  content,
  text,
  message,
  timestamp: time,
  stopReason: name,
  errorMessage: words,
  idempotencyKey: runMark,
  __openclaw: object(() => ({ runId: id, idempotencyKey: runMark }))
}))
const run = object(() => ({ runId: id }))

const auth = object(() => ({
  token: secret,
  password: secret,
  deviceToken: secret,
  bootstrapToken: secret,
  method: name,
  role: name,
  scopes: each(name),
  issuedAtMs: number
}))

const params = object(() => ({
  // connect
  minProtocol: number,
  maxProtocol: number,
  client: object(() => ({ id: name, version, platform: name, mode: name })),
  role: name,
  scopes: each(name),
  caps: each(name),
  auth,
  device: object(() => ({ id: present, publicKey: present, signature: present, signedAt: number, nonce })),
  // chat.send, chat.abort, chat.history, agent.wait, device.scopes.*
  sessionKey,
  message: string((value, { ownText }) => ownText(value)),
  deliver: flag,
  idempotencyKey: id,
  runId: id,
  requestId: id,
  limit: number,
  timeoutMs: number
}))

const payload = object(() => ({
  // connect.challenge, tick, shutdown
  nonce,
  ts: number,
  restartExpectedMs: number,
  // hello-ok
  type: name,
  protocol: number,
  server: object(() => ({ version, connId: id })),
  features: object(() => ({ methods: each(name), events: each(name) })),
  auth,
  snapshot: object(() => ({ uptimeMs: number })),
  policy: object(() => ({ maxPayload: number, maxBufferedBytes: number, tickIntervalMs: number })),
  // chat, agent and what is asked about them
  runId: id,
  runIds: each(id),
  sessionKey,
  seq: number,
  status: name,
  state: name,
  phase: name,
  stream: name,
  data: object(() => ({ phase: name, name, error: words, startedAt: number, endedAt: number })),
  message,
  text,
  content,
  timestamp: time,
  errorMessage: words,
  error: words,
  stopReason: name,
  ok: flag,
  aborted: flag,
  messages: each(chatMessage),
  sessionId: id,
  inFlightRun: run,
  sessionInfo: object(() => ({ key: sessionKey, status: name, hasActiveRun: flag, activeRunIds: each(id) })),
  pendingInputs: object(() => ({ items: each(run) })),
  // device.scopes.*
  requestId: id,
  scopes: each(name),
  deviceToken: secret
}))

const error = object(() => ({
  code: name,
  message: words,
  retryable: flag,
  retryAfterMs: number,
  details: object(() => ({
    code: name,
    reason: words,
    requestId: id,
    requestedScopes: each(name),
    approvedScopes: each(name),
    requiredScopes: each(name),
    missingScope: name,
    recommendedNextStep: name,
    pauseReconnect: flag,
    retryAfterMs: number,
    expectedProtocol: number,
    reloadRequired: flag
  }))
}))

const frameRule = object(() => ({
  type: name,
  id,
  ok: flag,
  event: name,
  method: name,
  seq: number,
  params,
  payload,
  error
}))

/**
 * The words by which refusals, run errors and closes are told apart on releases that send no codes, and those around them
 * (OpenClaw, errors of the handshake; see `Refusal`). A credential is never one of them.
 */
const vocabulary = new Set(
  `a added after agent aborted approval approved allow allowed an and are as asking at attempts auth authentication be before bind body busy by cannot
  caps challenge client clients close closed code configure configured configuration conflicted connect connection control
  created currently data denied deny device disabled does entry equal error event exceeded exists expected expired expires fail failed
  failure first for forbidden found frame from gateway handshake has have header hello host https id identity in
  initialization instance internal invalid is it its json key known label large later legacy limit limited list localhost
  locked long lookup loopback many maximum message method minimum mismatch missing mode more must name narrowly nonce not object of
  on only open operator or origin package page pair paired pairing params parse password payload pending policy presented
  present profile property protocol provider proxy public read ready refused rejected reload remote removed reply request
  request-id requestid requested require required requires response restart retry revoked role root rotated run runs runtime
  satisfied schema scope scopes secure sequence server service session shared shortly should shutdown signature silent
  size slow socket stale starting startup started startup-sidecars still stopped stopping string than this tick timed timeout to
  token too try trusted ui unauthenticated unauthorized unavailable unexpected unknown unsupported until update upgrade used
  user valid value version was webchat websocket when with within without write wrong yet your context consumer
  device-id-mismatch device-signature device-signature-stale device-nonce-mismatch device-nonce-missing not-paired
  role-upgrade scope-upgrade metadata-upgrade unspecified /client/id /client/mode gateway.controlui.allowedorigins`
    .split(/\s+/)
)

const masked = (length: number): string => `~${length}~`
const isMasked = (text: string): boolean => /^~\d+~\d*$/.test(text)
/** What an agent writes that has nothing to say; history is read by it. */
const silence = "NO_REPLY"

const isRepeatableId = (id: string): boolean =>
  /^(?:connect|\d{1,9}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|id\d{1,6}|)$/.test(id)
/** Ids that are safe to show; one that is not stays one. */
const isSafeId = (id: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/.test(id)
/** More different ids, session keys or texts than this share a stand-in, as memory has to end somewhere. */
const mostStandIns = 10_000

const newestTexts = 50
const stampLength = 200
const shortestCredential = 6

/** Stand-ins of one kind, numbered in the order in which their values were first seen. */
const numbered = (prefix: string) => {
  const known = new Map<string, string>()
  return (value: string): string => {
    const before = known.get(value)
    if (before !== undefined) return before
    if (known.size >= mostStandIns) return `${prefix}0`
    const made = `${prefix}${known.size + 1}`
    known.set(value, made)
    return made
  }
}

/** Credentials that are known from the start get the first stand-ins, in this order. */
export const make = (credentials: ReadonlyArray<Redacted.Redacted>): Redactor => {
  const secrets: Array<Redacted.Redacted> = [...credentials]
  const ids = numbered("id")
  const segments = numbered("s")
  const gateways = numbered("g")
  const own = new Map<string, string>()

  /** Old gateways put a time before a text that they repeat, and an id behind it. */
  const stamped = (text: string) =>
    Array.from(own).slice(-newestTexts).find(([ours]) =>
      text.length <= ours.length + stampLength && ours !== "" && text.includes(ours)
    )?.[1]

  const redactor: Redactor = {
    secret: (value) => {
      if (value === "" || /^secret-\d+$/.test(value)) return value
      const known = secrets.findIndex((secret) => Redacted.value(secret) === value)
      if (known === -1) secrets.push(Redacted.make(value))
      return `secret-${known === -1 ? secrets.length : known + 1}`
    },
    ownText: (text) => {
      if (isMasked(text)) return text
      const known = own.get(text)
      if (known !== undefined) return known
      const made = `${masked(text.length)}${own.size + 1}`
      if (own.size < mostStandIns) own.set(text, made)
      return made
    },
    text: (text) => {
      if (text === "" || text === silence || isMasked(text)) return text
      return own.get(text) ?? stamped(text) ?? masked(text.length)
    },
    words: (text) =>
      text.split(/(\s+)/).map((word) => {
        if (/^\s*$/.test(word)) return word === "" ? "" : " "
        const bare = word.replace(/^[("'`]+|[)"'`.,:;!?]+$/g, "")
        const known = isMasked(bare) || vocabulary.has(bare.toLowerCase()) || /^operator\.[a-z.]{1,32}$/.test(bare)
        return known ? word : masked(word.length)
      }).join(""),
    id: (id) => isRepeatableId(id) || id === "not|an|id" ? id : isSafeId(id) ? ids(id) : "not|an|id",
    sessionKey: (key) =>
      key.trim().toLowerCase().split(":").map((segment) =>
        ["agent", "main", "global", ""].includes(segment) || /^s\d{1,6}$/.test(segment) ? segment : segments(segment)
      ).join(":"),
    gateway: gateways,
    names: (names) => names.map((scope) => protocolName.test(scope) ? scope : "masked"),
    clean: (text) =>
      secrets.some((secret) => {
          const value = Redacted.value(secret)
          return value.length >= shortestCredential && text.includes(value)
        })
        ? "masked"
        : text,
    frame: (text) => {
      const frame = Frame.parse(text)
      if (frame === undefined) return undefined
      const kept = frameRule(frame, redactor)
      return isFrame(kept) ? kept : undefined
    }
  }
  return redactor
}

/** What is left of a frame is one: the rules keep the envelope. */
const isFrame = (value: unknown): value is Frame.Frame => Frame.parse(JSON.stringify(value)) !== undefined
