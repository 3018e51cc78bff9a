/**
 * `devices`: what waits for approval on a gateway, and the answer to it.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { failure } from "../agent/AgentEvents.ts"
import type { Session } from "../connection/Session.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import * as Endpoint from "../link/Endpoint.ts"
import { ApproveCommands, commandFor, type Commands } from "../pairing/ApproveCommand.ts"
import { RequestId } from "../protocol/Connect.ts"
import { posixCommand } from "../protocol/ShellCommand.ts"
import { type Chosen, chosenGateway, operator, settled, withSettings } from "./AgentLayer.ts"
import { CommandFailed, exitOf } from "./CommandError.ts"
import { failureText } from "./EventText.ts"
import { session } from "./Root.ts"

/** Loaded when it is called, as other commands start without it. */
const acts = Effect.promise(() => import("./DeviceActs.ts"))

const isId = Schema.is(RequestId)

const id = (what: string) =>
  Argument.String("id").pipe(
    Argument.withDescription(`${what}; of a device the first eight characters are enough`),
    Argument.filter(isId, () => "the id of a request or a device: letters, digits or any of . _ : -, at most 128")
  )

const requestId = id(
  "The id of a request, which the waiting program and `devices list` show, or of the device that asks"
)
const deviceId = id("The id of a device, or of a request of it")

const yes = Flag.Boolean("yes").pipe(
  Flag.withAlias("y"),
  Flag.withDescription("Do it without a question; needed where there is no terminal to ask on"),
  Flag.withDefault(false)
)

const example = (words: ReadonlyArray<string>, description: string) => ({
  command: posixCommand(["openclaw-device", "devices", ...words]).text,
  description
})

const aRequest = "0d1e7c9a-4f0b-4c53-9a52-0a8f6f1f6b0e"
const aDevice = "6a1b2863554dc14b"

const list = Command.make(
  "list",
  {},
  () => withOperator((session) => Effect.flatMap(acts, ({ list }) => list(session)))
).pipe(
  Command.withDescription("List devices that wait for approval, and paired ones"),
  Command.withExamples([example(["list"], "What waits on the local gateway")])
)

const show = Command.make(
  "show",
  { id: deviceId },
  ({ id }) => withOperator((session) => Effect.flatMap(acts, ({ show }) => show(id)(session)))
).pipe(
  Command.withDescription("Show one device: who it is, what is approved, and what it asks for beyond that"),
  Command.withExamples([example(["show", aDevice], "Before it is approved")])
)

const scopes = Flag.String("at-most").pipe(
  Flag.withDescription("Approve only if it asks for none but these scopes, with commas between them"),
  Flag.map((text) => text.split(/[\s,]+/).filter((scope) => scope !== "")),
  Flag.optional
)

const approve = Command.make(
  "approve",
  {
    id: requestId,
    yes,
    acceptScopes: Flag.Boolean("accept-scopes").pipe(
      Flag.withDescription("Approve also what the device asks for beyond what was shown"),
      Flag.withDefault(false)
    ),
    atMost: scopes
  },
  ({ acceptScopes, atMost, id, yes }) =>
    withOperator((session) =>
      Effect.flatMap(
        acts,
        ({ approve }) => approve(id, { yes, acceptScopes, atMost: Option.getOrUndefined(atMost) })(session)
      )
    )
).pipe(
  Command.withDescription("Approve a waiting device, or its tools, once you have seen what it asks for"),
  Command.withExamples([
    example(["approve", aRequest], "Shows what it asks for, then asks you"),
    example(["approve", aDevice, "--yes", "--at-most", "operator.read,operator.write"], "For scripts")
  ])
)

const reject = Command.make(
  "reject",
  { id: requestId, yes },
  ({ id, yes }) => withOperator((session) => Effect.flatMap(acts, ({ reject }) => reject(id, yes)(session)))
).pipe(
  Command.withDescription("Reject a waiting device, or its tools"),
  Command.withExamples([example(["reject", aRequest], "It may ask again")])
)

const remove = Command.make(
  "remove",
  {
    id: deviceId,
    yes,
    tools: Flag.Boolean("tools").pipe(
      Flag.withDescription("Take only its tools from the gateway's agent; the device stays paired"),
      Flag.withDefault(false)
    )
  },
  ({ id, tools, yes }) =>
    withOperator((session) => Effect.flatMap(acts, ({ remove }) => remove(id, { tools, yes })(session)))
).pipe(
  Command.withDescription("Remove a paired device, which has to be approved again to come back"),
  Command.withExamples([example(["remove", aDevice], "A device that is lost")])
)

const onToken = (act: "rotate" | "revoke", description: string, when: string) =>
  Command.make(act, {
    id: deviceId,
    yes,
    role: Flag.String("role").pipe(
      Flag.withDescription("The role whose token is meant; needed where the device has several"),
      Flag.optional
    )
  }, ({ id, role, yes }) =>
    withOperator((session) =>
      Effect.flatMap(acts, ({ onToken }) =>
        onToken(act, id, { role: Option.getOrUndefined(role), yes })(session))
    )).pipe(Command.withDescription(description), Command.withExamples([example([act, aDevice], when)]))

/** Where to run which command: the one that approves a request, or lists the requests when there is no id. */
const approveText = (commands: Commands, requestId: RequestId | undefined): string =>
  `${commands.places === undefined ? "run" : "on the gateway host run"}: ${commandFor(commands, requestId).text}`

/** Runs `body` on the session of the supervisor, or fails with why there is none. */
export const onSession = Effect.fnUntraced(function*<R>(
  { commands, gateway }: Chosen,
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
        problem: `this operator device is itself not approved yet; ${
          approveText(yield* Effect.provide(ApproveCommands, commands), status.approval.requestId)
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
    const chosen = yield* chosenGateway(checked, "operatorToken", {
      clientId: "cli",
      clientMode: "cli",
      scopes: ["operator.admin", "operator.pairing"],
      narrowedScopes: "refuse"
    })
    yield* Effect.provide(onSession(chosen, body), operator(checked, chosen.gateway))
  }))

export const devices = Command.make("devices").pipe(
  Command.withDescription("Approve, reject, list and remove devices of a gateway"),
  Command.withExamples([{ command: "openclaw-device devices list", description: "What waits for approval" }]),
  Command.withSubcommands([
    list,
    show,
    approve,
    reject,
    remove,
    onToken("rotate", "Replace the token of a paired device. The new one is not shown", "A token that may be known"),
    onToken("revoke", "End the token of a paired device", "A device that has to be approved again")
  ])
)

/** Loaded when it is asked for. */
export const tools = Command.make(
  "tools",
  { session },
  ({ session }) => Effect.flatMap(Effect.promise(() => import("./OwnTools.ts")), ({ show }) => show(session))
).pipe(
  Command.withDescription("Show which tools of this device the gateway's agent has, and whether they are approved"),
  Command.withExamples([{ command: "openclaw-device tools", description: "Of the device in the state directory" }])
)
