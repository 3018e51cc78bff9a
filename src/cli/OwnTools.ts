/**
 * `tools`: which tools of this device the agent of a gateway has, and what they wait for.
 */
import * as Effect from "effect/Effect"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import { commandsAnywhere } from "../pairing/ApproveCommand.ts"
import * as NodeMethod from "../protocol/NodeMethod.ts"
import { field, lengths } from "../protocol/OutsideText.ts"
import { chosenGateway, connection, ownIdentity, withSettings } from "./AgentLayer.ts"
import { as } from "./CommandError.ts"
import { onSession } from "./Devices.ts"
import type { Output } from "./Output.ts"

const name = (text: string): string => field(text, { maxLength: lengths.name })

type Node = (typeof NodeMethod.nodeList.answer.Type)["nodes"][number]

/** What the gateway says of the tools of one device. */
const standing = (node: Node | undefined) => ({
  connected: node?.connected ?? false,
  approval: node?.approvalState ?? "unknown",
  ...(node?.pendingRequestId === undefined ? {} : { requestId: node.pendingRequestId }),
  tools: (node?.nodePluginTools ?? []).map(({ description, name }) => ({ name, description: description ?? "" }))
})

const sentence = ({ approval, connected, requestId, tools }: ReturnType<typeof standing>): string => {
  if (requestId !== undefined) {
    const { surface } = commandsAnywhere()
    return `The tools of this device wait for approval. On the gateway host: ${surface?.approve(requestId).text ?? ""}`
  }
  if (!connected) return "No program of this device offers tools now. Start one: openclaw-device run --tools FILE"
  if (approval !== "approved") return "The tools of this device are not approved."
  return tools.length === 0 ? "The gateway has taken no tool of this device." : "The gateway's agent has these tools:"
}

export const show = withSettings((checked, output: Output["Service"]) =>
  Effect.gen(function*() {
    const { gateway } = yield* chosenGateway(checked, "sharedToken")
    const { deviceId } = yield* DeviceIdentity
    const told = onSession(gateway, (session) =>
      Effect.gen(function*() {
        const { nodes } = yield* Effect.mapError(session.call(NodeMethod.nodeList, {}), as("failed"))
        const found = standing(nodes.find(({ nodeId }) => nodeId === deviceId))
        if (output.json) return yield* output.line(JSON.stringify(found))
        yield* output.line(sentence(found))
        for (const tool of found.tools) yield* output.line(`  ${name(tool.name)}  ${field(tool.description)}`)
      }))
    yield* Effect.provide(told, connection(checked, gateway))
  }).pipe(Effect.provide(ownIdentity(checked)))
)
