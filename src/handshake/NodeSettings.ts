/**
 * The settings with which a device connects as a node, made from those with which it connects as an operator.
 */
import { DeviceFamily } from "../protocol/Connect.ts"
import { toolCommand } from "../protocol/NodeMethod.ts"
import type { GatewaySettings } from "./GatewayConfig.ts"

/** The families by which a gateway knows what a node may offer. It takes a node of any other kind for one of unknown kind. */
const families: ReadonlyMap<string, DeviceFamily> = new Map([
  ["linux", DeviceFamily.make("Linux")],
  ["macos", DeviceFamily.make("Mac")],
  ["windows", DeviceFamily.make("Windows")]
])

/**
 * The same settings with the family of the device. A gateway pins the family of a node, and wants a new approval of an operator
 * of the same key that states none: so both state it. One that was approved without a family may state one later.
 */
export const withFamily = (settings: GatewaySettings, platform: string): GatewaySettings => ({
  ...settings,
  deviceFamily: settings.deviceFamily ?? families.get(platform)
})

/** The settings of the role *node*, which offers tools: same gateway, same credentials, the identity of the official node host. */
export const nodeSettings = (settings: GatewaySettings, platform: string): GatewaySettings => ({
  ...withFamily(settings, platform),
  role: "node",
  clientId: "node-host",
  clientMode: "node",
  scopes: [],
  caps: ["mcp"],
  commands: [toolCommand]
})
