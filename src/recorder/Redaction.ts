/**
 * Redacts frames for a recording.
 *
 * Redaction is by construction: a property is kept only if `frameRule` names it, in the form that its rule gives it. A
 * property without a rule is left out. So credentials, signatures and the texts of people and agents cannot reach a file,
 * while everything that our code reads keeps the value, or at least the shape, that leads the code the same way.
 *
 * Redacting a redacted frame changes nothing. A replay can therefore use the stand-ins as if they were the real values, and
 * compare the frames that it sends with the recorded ones.
 */
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Frame from "../protocol/Frame.ts"

export interface Redactor {
  /** A frame with everything redacted; `undefined` when the text is not a frame. */
  readonly frame: (text: string) => Frame.Frame | undefined
  /** The stand-in of a credential, the same for the same credential. */
  readonly secret: (value: string) => string
  /** A credential that no frame of ours holds, such as the value of a header. A gateway may repeat it. */
  readonly conceal: (value: Redacted.Redacted) => void
  /** The stand-in of a task's text. It is recognised when a gateway repeats the text. */
  readonly ownText: (text: string) => string
  /** A text that somebody wrote becomes its length in UTF-16 units. */
  readonly text: (text: string) => string
  /** In a gateway's sentence the words of the protocol stay, and every other word becomes its length. */
  readonly words: (text: string) => string
  readonly id: (id: string) => string
  readonly sessionKey: (key: string) => string
  /** The stand-in of a gateway, by its address. */
  readonly gateway: (gatewayScope: string) => string
  readonly names: (names: ReadonlyArray<string>) => ReadonlyArray<string>
  /** Keeps a text as it is, unless a credential is in it. */
  readonly clean: (text: string) => string
}

/** Gives what a value becomes. `undefined` leaves it out. */
type Rule = (value: unknown, redactor: Redactor) => unknown

/** A value of a wrong type keeps its type and loses its content, so that it is refused for the same reason. */
const emptied = (value: unknown): unknown => {
  if (value === null || typeof value === "boolean") return value
  if (typeof value === "number") return 0
  if (typeof value === "string") return ""
  return Array.isArray(value) ? [] : {}
}

const string = (redact: (text: string, redactor: Redactor) => string): Rule => (value, redactor) =>
  Predicate.isString(value) ? redact(value, redactor) : emptied(value)
const each = (rule: Rule): Rule => (value, redactor) =>
  Array.isArray(value) ? value.map((element) => rule(element, redactor)) : emptied(value)
const number: Rule = (value) => typeof value === "number" ? value : emptied(value)
const flag: Rule = (value) => emptied(value)
const object = (rules: () => Readonly<Record<string, Rule>>): Rule => (value, redactor) => {
  if (!Predicate.isObject(value) || Array.isArray(value)) return emptied(value)
  const known = rules()
  const kept: Record<string, unknown> = {}
  for (const [key, inner] of Object.entries(value)) {
    const rule = Object.hasOwn(known, key) ? known[key] : undefined
    if (rule !== undefined) kept[key] = rule(inner, redactor)
  }
  return kept
}

/** Words of the protocol, such as `operator.read`, `AUTH_TOKEN_MISMATCH`, `not-paired`: short runs of letters. */
const protocolName = /^[A-Za-z]{1,24}(?:[._:/-][A-Za-z]{1,24}){0,7}$/
const matching = (form: RegExp, otherwise: string) =>
  string((text, { clean }) => text === "" ? text : form.test(text) ? clean(text) : otherwise)
const name = matching(protocolName, "masked")
const version = matching(/^[0-9]{1,4}(\.[0-9]{1,6}){1,3}(-[a-z]{1,8}(\.?[0-9]{1,4})?)?$/, "0.0.0")
const nonce = matching(/^[A-Za-z0-9|,._:-]{1,128}$/, "not|a|nonce")
const secret = string((value, { secret }) => secret(value))
const text = string((value, { text }) => text(value))
const words = string((value, { words }) => words(value))
const id = string((value, { id }) => id(value))
const sessionKey = string((value, { sessionKey }) => sessionKey(value))
const isoTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/
const time: Rule = (value, redactor) =>
  Predicate.isString(value) && isoTime.test(value) ? value : number(value, redactor)
/** The key of the message that began a run: the id of the run, followed by `:user`. */
const runMark = string((mark, { id }) =>
  mark.endsWith(":user") ? `${id(mark.slice(0, -":user".length))}:user` : id(mark)
)
/** Our own key and signature differ from device to device, so a recording says only that they are there. */
const present: Rule = (value) => Predicate.isString(value) && value !== "" ? "present" : emptied(value)

const part = object(() => ({ type: name, text }))
const content: Rule = (value, redactor) => Array.isArray(value) ? each(part)(value, redactor) : text(value, redactor)
/** Messages within messages are kept to this depth. The client reads less of them. */
const maxMessageDepth = 8
const chatMessageAt = (depth: number): Rule =>
  object(() => ({
    role: name,
    content,
    text,
    message: depth < maxMessageDepth ? messageAt(depth + 1) : emptied,
    timestamp: time,
    stopReason: name,
    errorMessage: words,
    idempotencyKey: runMark,
    openclawAbort: run,
    __openclaw: object(() => ({ runId: id, idempotencyKey: runMark }))
  }))
const run = object(() => ({ runId: id }))
const messageAt = (depth: number): Rule => {
  const inner = chatMessageAt(depth)
  return (value, redactor) => Predicate.isString(value) ? text(value, redactor) : inner(value, redactor)
}
const chatMessage = chatMessageAt(0)
const message = messageAt(0)

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
  // sessions.messages.*
  key: sessionKey,
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
  policy: object(() => ({
    maxPayload: number,
    maxBufferedBytes: number,
    tickIntervalMs: number,
    attachments: object(() => ({ maxBytes: number, maxImageBytes: number }))
  })),
  // chat, agent, and answers about them
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
  key: sessionKey,
  subscribed: flag,
  endedAt: time,
  terminalReply: object(() => ({ disposition: name, text })),
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
 * The words of refusals, run errors and closes. Releases that send no codes are understood by them (OpenClaw, errors of the
 * handshake; see `Refusal`). A credential is never one of them.
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
/** The text of an agent that has nothing to say. Reading history depends on it. */
const silence = "NO_REPLY"

const isRepeatableId = (id: string): boolean =>
  /^(?:connect|\d{1,9}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|id\d{1,6}|)$/.test(id)
/** Ids that are safe to show. One that is not gets a stand-in that is not either. */
const isSafeId = (id: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/.test(id)
/** Ids, session keys or texts beyond this number share one stand-in, to bound memory. */
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

const isIn = (text: string) => (secret: Redacted.Redacted): boolean => {
  const value = Redacted.value(secret)
  return value.length >= shortestCredential && text.includes(value)
}

/** The first stand-ins are those of `credentials`, in this order. */
export const make = (credentials: ReadonlyArray<Redacted.Redacted>): Redactor => {
  const secrets: Array<Redacted.Redacted> = [...credentials]
  const concealed: Array<Redacted.Redacted> = []
  const ids = numbered("id")
  const segments = numbered("s")
  const gateways = numbered("g")
  const own = new Map<string, string>()

  /** The stand-in of a text within another: old gateways put a time before a text that they repeat, and an id after it. */
  const standInWithin = (text: string) =>
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
    conceal: (value) => void concealed.push(value),
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
      return own.get(text) ?? standInWithin(text) ?? masked(text.length)
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
      secrets.some(isIn(text)) || concealed.some(isIn(text))
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

/** A redacted frame is still a frame, because the rules keep the envelope. */
const isFrame = (value: unknown): value is Frame.Frame => Frame.parse(JSON.stringify(value)) !== undefined
