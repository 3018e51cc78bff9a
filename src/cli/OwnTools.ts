/**
 * `tools`: which tools of this device the agent of a gateway has, and what they wait for.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Session } from "../connection/Session.ts"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import { ApproveCommands, type Commands } from "../pairing/ApproveCommand.ts"
import * as NodeMethod from "../protocol/NodeMethod.ts"
import { field, lengths } from "../protocol/OutsideText.ts"
import * as ToolSearch from "../toolhost/ToolSearch.ts"
import { chosenGateway, connection, ownIdentity, withSettings } from "./AgentLayer.ts"
import { as } from "./CommandError.ts"
import { onSession } from "./Devices.ts"
import type { Output } from "./Output.ts"

const shown = (text: string, maxLength: number = lengths.name): string => field(text, { maxLength })

type Node = (typeof NodeMethod.nodeList.answer.Type)["nodes"][number]

/** The names that the agent has in a session, or `undefined` where the gateway does not tell them, as for a session without a task. */
const namesIn = Effect.fnUntraced(function*(session: Session, sessionKey: string) {
  const answered = yield* Effect.option(session.call(NodeMethod.effectiveTools, { sessionKey }))
  return Option.map(
    answered,
    ({ groups }) =>
      new Set(groups.flatMap(({ tools }) => tools).flatMap(({ id, pluginId }) => pluginId === "node-mcp" ? [id] : []))
  )
})

/** What the gateway says of the tools of one device. */
const standing = (
  node: Node | undefined,
  names: Option.Option<ReadonlySet<string>>,
  toolSearch: boolean | undefined
) => ({
  ...(toolSearch === undefined ? {} : { toolSearch }),
  connected: node?.connected ?? false,
  approval: node?.approvalState ?? "unknown",
  ...(node?.pendingRequestId === undefined ? {} : { requestId: node.pendingRequestId }),
  tools: (node?.nodePluginTools ?? []).map(({ description, name }) => ({
    name,
    description: description ?? "",
    // Null: it is published, and the agent does not have it in this session.
    ...(Option.isNone(names) || node === undefined
      ? {}
      : { agentName: NodeMethod.agentName(node.nodeId, name, names.value) ?? null })
  }))
})

type Standing = ReturnType<typeof standing>

const sentence = ({ approval, connected, requestId, tools }: Standing, commands: Commands): string => {
  if (requestId !== undefined) {
    const { approve, places } = commands.surface ?? commands
    return `The tools of this device wait for approval. ${places === undefined ? "Run" : "On the gateway host"}: ${
      approve(requestId).text
    }`
  }
  if (!connected) return "No program of this device offers tools now. Start one: openclaw-device run --tools FILE"
  if (approval !== "approved") return "The tools of this device are not approved."
  return tools.length === 0 ? "The gateway has taken no tool of this device." : "The gateway's agent has these tools:"
}

const rowOf = ({ agentName, description, name }: Standing["tools"][number]): string => {
  const seen = agentName === undefined || agentName === name
    ? ""
    : agentName === null
    ? " (the agent does not have it in this session)"
    : ` (the agent calls it ${shown(agentName, 2 * lengths.name)})`
  return `  ${shown(name)}${seen}  ${field(description)}`
}

export const show = (session: Option.Option<string>) =>
  withSettings((checked, output: Output["Service"]) =>
    Effect.gen(function*() {
      const chosen = yield* chosenGateway(checked, "sharedToken")
      const commands = yield* Effect.provide(ApproveCommands, chosen.commands)
      const { deviceId } = yield* DeviceIdentity
      const told = onSession(chosen, (session) =>
        Effect.gen(function*() {
          const { nodes } = yield* Effect.mapError(session.call(NodeMethod.nodeList, {}), as("failed"))
          const names = yield* namesIn(session, checked.sessionKey)
          const searched = yield* ToolSearch.ask(session)
          const found = standing(nodes.find(({ nodeId }) => nodeId === deviceId), names, searched)
          if (output.json) return yield* output.line(JSON.stringify(found))
          yield* output.line(sentence(found, commands))
          for (const tool of found.tools) yield* output.line(rowOf(tool))
          if (found.tools.length > 0 && found.toolSearch === true) {
            yield* output.line("Its model finds them by tool search: by the words of their names and descriptions.")
          }
        }))
      yield* Effect.provide(told, connection(checked, chosen.gateway))
    }).pipe(Effect.provide(ownIdentity(checked))), session)
