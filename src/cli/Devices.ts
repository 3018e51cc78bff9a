/**
 * `devices`: what waits for approval on a gateway, and the answer to it.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { failure } from "../agent/AgentEvents.ts"
import type { Session } from "../connection/Session.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import type { GatewaySettings } from "../handshake/GatewayConfig.ts"
import { compareCode } from "../identity/CompareCode.ts"
import * as Endpoint from "../link/Endpoint.ts"
import { commandsAnywhere } from "../pairing/ApproveCommand.ts"
import { covers, DeviceId, RequestId } from "../protocol/Connect.ts"
import * as Method from "../protocol/Method.ts"
import { field, lengths, names } from "../protocol/OutsideText.ts"
import { posixCommand } from "../protocol/ShellCommand.ts"
import { chosenGateway, operator, settled, withSettings } from "./AgentLayer.ts"
import { as, CommandFailed, exitOf } from "./CommandError.ts"
import { failureText } from "./EventText.ts"
import { Output } from "./Output.ts"

const isDeviceId = Schema.is(DeviceId)

/** The code that the person at the device can compare; empty for an invalid id. */
const codeOf = ({ deviceId }: Method.Device): { readonly compareCode?: string } =>
  isDeviceId(deviceId) ? { compareCode: compareCode(deviceId).words } : {}

/** A name that another device gave itself. */
const name = (text: string): string => field(text, { maxLength: lengths.name })

const requestId = Argument.String("request-id").pipe(
  Argument.withDescription("The id that the waiting program shows, or that `devices list` shows"),
  Argument.filterMap(
    Schema.decodeUnknownOption(RequestId),
    () => "a request id: a letter or digit, then at most 127 letters, digits or any of . _ : -"
  )
)

const list = Command.make("list", {}, () =>
  withOperator(Effect.fnUntraced(function*(session) {
    const output = yield* Output
    const { paired, pending } = yield* Effect.mapError(
      session.call(Method.devicePairList, {}),
      as("failed")
    )
    const tools = yield* pendingTools(session)
    if (output.json) {
      const coded = (all: typeof pending) => all.map((device) => ({ ...device, ...codeOf(device) }))
      return yield* output.line(
        JSON.stringify({
          pending: coded(pending),
          paired: coded(paired),
          ...(tools.length === 0 ? {} : { pendingTools: tools })
        })
      )
    }
    // Two blanks stand between fields, and a field has one at most, so that no field can be taken for two.
    const about = (device: Method.Device) =>
      [
        `device ${name(device.deviceId.slice(0, 16))}…`,
        name(device.displayName ?? device.clientId ?? ""),
        name(device.platform ?? ""),
        names(device.scopes ?? [])
      ].filter((part) => part !== "").join("  ")
    const code = (device: Method.Device) => {
      const { compareCode } = codeOf(device)
      return compareCode === undefined ? Effect.void : output.line(`    code: ${compareCode}`)
    }
    yield* output.line(pending.length + tools.length === 0 ? "Nothing waits for approval." : "Waiting for approval:")
    for (const { displayName = "", nodeId, requestId } of tools) {
      const about = ["tools of", `device ${name(nodeId.slice(0, 16))}…`, name(displayName)].filter((part) =>
        part !== ""
      )
      yield* output.line(`  ${name(requestId)}  ${about.join("  ")}`)
    }
    for (const device of pending) {
      yield* output.line(`  ${name(device.requestId ?? "?")}  ${about(device)}`)
      yield* code(device)
      const has = paired.find(({ deviceId }) => deviceId === device.deviceId)?.scopes
      if (has === undefined) continue
      const more = (device.scopes ?? []).filter((scope) => !covers(has, scope))
      yield* output.line(
        `    paired with: ${names(has) || "no scopes"}; more: ${names(more) || "none"}`
      )
    }
    yield* output.line(paired.length === 0 ? "No device is paired." : "Paired:")
    for (const device of paired) {
      yield* output.line(`  ${about(device)}`)
      yield* code(device)
    }
  }))).pipe(
    Command.withDescription("List devices that wait for approval, and paired ones"),
    Command.withExamples([{ command: "openclaw-device devices list", description: "What waits on the local gateway" }])
  )

/** Devices whose tools wait for approval; none where the gateway does not say. */
const pendingTools = (session: Session) =>
  Effect.flatMap(
    nodeMethods,
    ({ nodePairList }) =>
      Effect.orElseSucceed(Effect.map(session.call(nodePairList, {}), ({ pending }) => pending), () => [])
  )

/** Loaded when they are called, as other commands start without them. */
const nodeMethods = Effect.promise(() => import("../protocol/NodeMethod.ts"))

const decide = { approve: Method.devicePairApprove, reject: Method.devicePairReject } as const

const decideTools = (name: keyof typeof decide) =>
  Effect.map(
    nodeMethods,
    ({ nodePairApprove, nodePairReject }) => name === "approve" ? nodePairApprove : nodePairReject
  )

const answer = (name: keyof typeof decide, said: string, description: string) =>
  Command.make(name, { requestId }, ({ requestId }) =>
    withOperator(Effect.fnUntraced(function*(session) {
      const output = yield* Output
      const isOfTools = (yield* pendingTools(session)).some((pending) => pending.requestId === requestId)
      const method = isOfTools ? yield* decideTools(name) : decide[name]
      yield* session.call(method, { requestId }).pipe(
        Effect.mapError((error) =>
          error._tag === "RequestRejected" && error.gatewayMessage === "unknown requestId"
            ? new CommandFailed({
              exit: "failed",
              error: "UnknownRequest",
              problem: `the gateway has no request ${requestId}: it was answered, replaced or has expired;`
                + " `devices list` shows what waits now"
            })
            : as("failed")(error)
        )
      )
      yield* output.line(output.json ? JSON.stringify({ requestId, decision: said }) : `${said} ${requestId}`)
    }))).pipe(
      Command.withDescription(description),
      Command.withExamples([{
        command: posixCommand(["openclaw-device", "devices", name, "0d1e7c9a-4f0b-4c53-9a52-0a8f6f1f6b0e"]).text,
        description
      }])
    )

/** The command that approves a request on the gateway host, or lists the requests when there is no id. */
const approveText = (requestId: RequestId | undefined): string => {
  const { approve, list } = commandsAnywhere()
  return (requestId === undefined ? list : approve(requestId)).text
}

/** Runs `body` on the session of the supervisor, or fails with why there is none. */
export const onSession = Effect.fnUntraced(function*<R>(
  gateway: GatewaySettings,
  body: (session: Session) => Effect.Effect<void, CommandFailed, R>
) {
  const status = yield* Effect.flatMap(Supervisor, settled)
  switch (status._tag) {
    case "Connected":
      return yield* body(status.session)
    case "AwaitingApproval":
      return yield* new CommandFailed({
        exit: "pairing",
        error: "PairingRequired",
        problem: `this operator device is itself not approved yet; on the gateway host run: ${
          approveText(status.approval.requestId)
        }`
      })
    case "Waiting":
    case "Halted": {
      const why = failure(status.cause)
      const message = `${why.message} (gateway ${Endpoint.shown(gateway.endpoint.gatewayScope)})`
      return yield* new CommandFailed({
        exit: exitOf(status.cause._tag),
        error: why.error,
        problem: failureText({ ...why, message })
      })
    }
    default:
      return yield* new CommandFailed({ exit: "failed", error: "Stopped", problem: "stopped before it was done" })
  }
})

/** Runs `body` on a connection of its own, which ends with it. */
const withOperator = <R>(body: (session: Session) => Effect.Effect<void, CommandFailed, R>) =>
  withSettings(Effect.fnUntraced(function*(checked) {
    const { gateway } = yield* chosenGateway(checked, "operatorToken", {
      clientId: "cli",
      clientMode: "cli",
      scopes: ["operator.admin", "operator.pairing"],
      narrowedScopes: "refuse"
    })
    yield* Effect.provide(onSession(gateway, body), operator(checked, gateway))
  }))

export const devices = Command.make("devices").pipe(
  Command.withDescription("Approve, reject and list devices of a gateway"),
  Command.withExamples([{ command: "openclaw-device devices list", description: "What waits for approval" }]),
  Command.withSubcommands([
    list,
    answer("approve", "approved", "Approve a waiting device"),
    answer("reject", "rejected", "Reject a waiting device")
  ])
)

/** Loaded when it is asked for. */
export const tools = Command.make(
  "tools",
  {},
  () => Effect.flatMap(Effect.promise(() => import("./OwnTools.ts")), ({ show }) => show)
).pipe(
  Command.withDescription("Show which tools of this device the gateway's agent has, and whether they are approved"),
  Command.withExamples([{ command: "openclaw-device tools", description: "Of the device in the state directory" }])
)
