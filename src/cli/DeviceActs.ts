/**
 * What the commands of `devices` do on a session: they read, ask, read again and carry out. `DeviceRequest` decides.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { AnswerInvalid, RequestError } from "../connection/RequestError.ts"
import type { Session } from "../connection/Session.ts"
import { covers, RequestId } from "../protocol/Connect.ts"
import * as Method from "../protocol/Method.ts"
import * as NodeMethod from "../protocol/NodeMethod.ts"
import { field, names } from "../protocol/OutsideText.ts"
import { as, CommandFailed } from "./CommandError.ts"
import { agreed } from "./Confirmation.ts"
import type { Approved, Listing, NotOne, Request } from "./DeviceRequest.ts"
import * as DeviceRequest from "./DeviceRequest.ts"
import * as DeviceText from "./DeviceText.ts"
import { plain } from "./EventText.ts"
import { Output } from "./Output.ts"

const failed = (error: string, problem: string) => new CommandFailed({ exit: "failed", error, problem })

/** The refusals of gateways that have a sentence of their own, by the gateway's words. */
const refusals: ReadonlyMap<string, readonly [error: string, problem: string]> = new Map([
  ["unknown requestId", [
    "UnknownRequest",
    "the gateway no longer has this request: it was answered, replaced or has expired; `devices list` shows what waits now"
  ]],
  ["unknown deviceId", ["UnknownDevice", "the gateway has no such device; `devices list` shows those that are paired"]],
  ["unknown nodeId", ["UnknownDevice", "no tools of this device are approved; `devices show` shows what it has"]],
  ["device token rotation denied", [
    "Denied",
    "the gateway does not rotate this token: the device has no valid token of this role, or you may not"
  ]],
  ["device token revocation denied", [
    "Denied",
    "the gateway does not revoke this token: the device has no valid token of this role, or you may not"
  ]]
])

const notSupported = (method: string) =>
  new CommandFailed({
    exit: "refused",
    error: "NotSupported",
    problem:
      `this gateway is too old for it: it does not know ${method}. Nothing was changed. Update the gateway, or do it`
      + " on its host."
  })

const told = (error: RequestError | AnswerInvalid): CommandFailed => {
  if (error._tag !== "RequestRejected") return as("failed")(error)
  const known = refusals.get(error.gatewayMessage)
  if (known !== undefined) return failed(...known)
  return error.gatewayMessage.startsWith("unknown method") ? notSupported(error.method) : as("failed")(error)
}

const call = <Params, Answer>(session: Session, method: Method.Method<Params, Answer>, params: Params) =>
  Effect.mapError(session.call(method, params), told)

/** Nodes and their requests; none where the gateway does not say. */
const nodesOf = (session: Session) =>
  Effect.orElseSucceed(
    session.call(NodeMethod.nodePairList, {}),
    (): typeof NodeMethod.nodePairList.answer.Type => ({ pending: [], paired: [] })
  )

const read = (session: Session): Effect.Effect<Listing, CommandFailed> =>
  Effect.zipWith(call(session, Method.devicePairList, {}), nodesOf(session), DeviceRequest.listing)

export const list = Effect.fnUntraced(function*(session: Session) {
  const output = yield* Output
  const { paired, pending } = yield* call(session, Method.devicePairList, {})
  const tools = (yield* nodesOf(session)).pending
  if (output.json) {
    const coded = (all: typeof pending) =>
      all.map((device) => {
        const compareCode = DeviceText.codeOf(device.deviceId)
        return compareCode === undefined ? device : { ...device, compareCode }
      })
    const listed = { pending: coded(pending), paired: coded(paired) }
    return yield* output.line(JSON.stringify(tools.length === 0 ? listed : { ...listed, pendingTools: tools }))
  }
  // Two blanks stand between fields, and a field has one at most, so that no field can be taken for two.
  const about = (device: Method.Device) =>
    [
      `device ${DeviceText.shortId(device.deviceId)}`,
      DeviceText.name(device.displayName ?? device.clientId ?? ""),
      DeviceText.name(device.platform ?? ""),
      names(device.scopes ?? [])
    ].filter((part) => part !== "").join("  ")
  const code = ({ deviceId }: Method.Device) => {
    const words = DeviceText.codeOf(deviceId)
    return words === undefined ? Effect.void : output.line(`    code: ${words}`)
  }
  yield* output.line(pending.length + tools.length === 0 ? "Nothing waits for approval." : "Waiting for approval:")
  for (const { displayName = "", nodeId, requestId } of tools) {
    const about = ["tools of", `device ${DeviceText.shortId(nodeId)}`, DeviceText.name(displayName)]
      .filter((part) => part !== "")
    yield* output.line(`  ${DeviceText.name(requestId)}  ${about.join("  ")}`)
  }
  for (const device of pending) {
    yield* output.line(`  ${DeviceText.name(device.requestId ?? "?")}  ${about(device)}`)
    yield* code(device)
    const has = paired.find(({ deviceId }) => deviceId === device.deviceId)?.scopes
    if (has === undefined) continue
    const more = (device.scopes ?? []).filter((scope) => !covers(has, scope))
    yield* output.line(`    paired with: ${names(has) || "no scopes"}; more: ${names(more) || "none"}`)
  }
  yield* output.line(paired.length === 0 ? "No device is paired." : "Paired:")
  for (const device of paired) {
    yield* output.line(`  ${about(device)}`)
    yield* code(device)
  }
})

/** The one thing that a word names, or why it names none. */
const theOne = <A>(found: Result.Result<A, NotOne<A>>, word: string, shown: (one: A) => string) =>
  Result.match(found, {
    onSuccess: (one) => Effect.succeed(one),
    onFailure: (why) =>
      Effect.fail(
        why._tag === "Unknown"
          ? failed(
            "UnknownRequest",
            `the gateway has no request ${word}: it was answered, replaced or has expired; \`devices list\` shows what waits now`
          )
          : failed("Ambiguous", `${word} names several: ${field(why.among.map(shown).join(", "))}. Name one of them.`)
      )
  })

const shownRequest = ({ about, requestId }: Request): string =>
  `${requestId} (${about === "tools" ? "its tools" : "its pairing"})`

const theDevice = (listing: Listing, word: string) => {
  const found = DeviceRequest.deviceOf(listing, word)
  return Result.isFailure(found) && found.failure._tag === "Unknown"
    ? Effect.fail(
      failed(
        "UnknownDevice",
        `the gateway has neither a device nor a request ${word}; \`devices list\` shows those it has`
      )
    )
    : theOne(found, word, (deviceId) => deviceId)
}

export const show = (word: string) =>
  Effect.fnUntraced(function*(session: Session) {
    const output = yield* Output
    const listing = yield* read(session)
    const deviceId = yield* theDevice(listing, word)
    if (!output.json) {
      return yield* Effect.forEach(DeviceText.allLines(deviceId, listing, output.style), output.line, { discard: true })
    }
    const of = (each: { readonly deviceId: string }) => each.deviceId === deviceId
    yield* output.line(JSON.stringify({
      deviceId,
      ...(DeviceText.codeOf(deviceId) === undefined ? {} : { compareCode: DeviceText.codeOf(deviceId) }),
      requests: listing.requests.filter(of).map((request) => ({
        ...request,
        ...DeviceRequest.difference(request, DeviceRequest.approvedOf(listing, deviceId, request.about))
      })),
      approved: listing.approved.filter(of)
    }))
  })

/** An id from the wire may not be one that a request can be answered by. */
const usable = (requestId: string) =>
  Option.match(Schema.decodeUnknownOption(RequestId)(requestId), {
    onNone: () =>
      Effect.fail(failed("UnknownRequest", `the gateway calls this request ${field(requestId)}, which is no id`)),
    onSome: Effect.succeed
  })

const methods = {
  pairing: { approve: Method.devicePairApprove, reject: Method.devicePairReject },
  tools: { approve: NodeMethod.nodePairApprove, reject: NodeMethod.nodePairReject }
}

export interface ApproveOptions {
  readonly yes: boolean
  /** Approve also what the device asks for beyond what was shown. */
  readonly acceptScopes: boolean
  /** The scopes that the person agrees to, instead of those that were shown. */
  readonly atMost: ReadonlyArray<string> | undefined
}

export const approve = (word: string, { acceptScopes, atMost, yes }: ApproveOptions) =>
  Effect.fnUntraced(function*(session: Session) {
    const output = yield* Output
    const first = yield* read(session)
    const request = yield* theOne(DeviceRequest.requestOf(first, word), word, shownRequest)
    const limit = atMost === undefined ? request : { roles: request.roles, names: atMost }
    yield* stillWithin(DeviceRequest.verdict(request, limit, first, acceptScopes), request)
    yield* agreed({
      yes,
      lines: [...DeviceText.deviceLines(request), ...DeviceText.requestLines(request, first, plain)],
      question: request.about === "tools" ? "Let the gateway's agent use its tools?" : "Approve this device?",
      deed: `This would approve the request ${request.requestId} of device ${
        DeviceText.shortId(request.deviceId)
      } for ${names(request.names) || "no scopes"}`
    })
    // It may have asked for more while the person read.
    const now = yield* read(session)
    const requestId = yield* usable(
      yield* stillWithin(DeviceRequest.verdict(request, limit, now, acceptScopes), request)
    )
    yield* call(session, methods[request.about].approve, { requestId })
    if (requestId !== request.requestId) {
      yield* output.warn(`The device has asked again: its request is now ${requestId}, for no more than before.`)
    }
    yield* output.line(output.json ? JSON.stringify({ requestId, decision: "approved" }) : `approved ${requestId}`)
  })

const stillWithin = (verdict: DeviceRequest.Verdict, { deviceId, requestId }: Request) => {
  switch (verdict._tag) {
    case "Approve":
      return Effect.succeed(verdict.requestId)
    case "Gone":
      return Effect.fail(failed(...(refusals.get("unknown requestId") ?? ["UnknownRequest", requestId])))
    case "Grown":
      return Effect.fail(failed(
        "ScopesGrew",
        `the device asks for more than was agreed to: ${
          names(verdict.more)
        }. Nothing was approved. Look at it with \`devices`
          + ` show ${DeviceText.name(deviceId.slice(0, 16))}\`, then approve it again; or add --accept-scopes`
      ))
  }
}

export const reject = (word: string, yes: boolean) =>
  Effect.fnUntraced(function*(session: Session) {
    const output = yield* Output
    const listing = yield* read(session)
    const request = yield* theOne(DeviceRequest.requestOf(listing, word), word, shownRequest)
    yield* agreed({
      yes,
      lines: [...DeviceText.deviceLines(request), ...DeviceText.requestLines(request, listing, plain)],
      question: "Reject this request?",
      deed: `This would reject the request ${request.requestId} of device ${DeviceText.shortId(request.deviceId)}`
    })
    const requestId = yield* usable(request.requestId)
    yield* call(session, methods[request.about].reject, { requestId })
    yield* output.line(output.json ? JSON.stringify({ requestId, decision: "rejected" }) : `rejected ${requestId}`)
  })

/** What is approved of the device that a word names. */
const theApproved = Effect.fnUntraced(function*(session: Session, word: string, about: DeviceRequest.About) {
  const listing = yield* read(session)
  const deviceId = yield* theDevice(listing, word)
  const approved = DeviceRequest.approvedOf(listing, deviceId, about)
  if (approved === undefined && about === "tools") {
    // A node that is not connected now is not listed; the gateway knows.
    return {
      about,
      deviceId,
      name: "",
      platform: "",
      roles: [],
      names: [],
      connected: false,
      tokens: []
    } satisfies Approved
  }
  return approved
    ?? (yield* failed("UnknownDevice", `the device ${DeviceText.shortId(deviceId)} is not paired; it only asks to be`))
})

export const remove = (word: string, { tools, yes }: { readonly tools: boolean; readonly yes: boolean }) =>
  Effect.fnUntraced(function*(session: Session) {
    const output = yield* Output
    const device = yield* theApproved(session, word, tools ? "tools" : "pairing")
    const { deviceId } = device
    yield* agreed({
      yes,
      lines: DeviceText.deviceLines(device),
      question: tools ? "Take its tools away?" : "Remove this device? It has to be approved again to come back.",
      deed: `This would ${tools ? "take from" : "remove"} device ${DeviceText.shortId(deviceId)}${
        tools ? " the right to offer tools" : ", which has to be approved again to come back"
      }`
    })
    if (tools) yield* call(session, NodeMethod.nodePairRemove, { nodeId: deviceId })
    else yield* call(session, Method.devicePairRemove, { deviceId })
    const about = tools ? { tools } : {}
    yield* output.line(
      output.json
        ? JSON.stringify({ deviceId, ...about, decision: "removed" })
        : `removed ${tools ? "the tools of " : ""}${DeviceText.name(deviceId)}`
    )
  })

const tokenActs = {
  rotate: {
    done: "rotated",
    after:
      "It gets the new one when it connects with the gateway's shared token; without that it has to be approved again",
    method: Method.deviceTokenRotate
  },
  revoke: {
    done: "revoked",
    after:
      "It has to be approved again, or on gateways before 2026.3.31 gets a new one with the gateway's shared token",
    method: Method.deviceTokenRevoke
  }
} as const

export const onToken = (
  act: keyof typeof tokenActs,
  word: string,
  { role: given, yes }: { readonly role: string | undefined; readonly yes: boolean }
) =>
  Effect.fnUntraced(function*(session: Session) {
    const output = yield* Output
    const device = yield* theApproved(session, word, "pairing")
    const { deviceId } = device
    const found = DeviceRequest.roleOf(device, given)
    const role = yield* (Result.isFailure(found) && found.failure._tag === "Unknown"
      ? Effect.fail(failed("NoToken", `device ${DeviceText.shortId(deviceId)} has no valid token`))
      : theOne(found, `device ${DeviceText.shortId(deviceId)} has tokens of more than one role, and --role`, (one) =>
        one))
    const { after, done, method } = tokenActs[act]
    yield* agreed({
      yes,
      lines: [...DeviceText.deviceLines(device), `${after}.`],
      question: `${act === "rotate" ? "Replace" : "End"} its ${DeviceText.name(role)} token?`,
      deed: `This would ${act} the ${DeviceText.name(role)} token of device ${DeviceText.shortId(deviceId)}. ${after}`
    })
    yield* call(session, method, { deviceId, role })
    yield* output.line(
      output.json
        ? JSON.stringify({ deviceId, role, decision: done })
        : `${done} the ${DeviceText.name(role)} token of ${DeviceText.name(deviceId)}`
    )
  })
