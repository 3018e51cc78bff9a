/**
 * The settings with which a device connects as a node, made from those with which it connects as an operator.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { DeviceIdentity } from "../identity/DeviceIdentity.ts"
import { TokenStore } from "../identity/TokenStore.ts"
import { DeviceFamily } from "../protocol/Connect.ts"
import { toolCommand } from "../protocol/NodeMethod.ts"
import type { GatewaySettings } from "./GatewayConfig.ts"
import { GatewayConfig } from "./GatewayConfig.ts"

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

/**
 * The settings of a program that offers no tools, on a device that may have done so: with the family if this device is known to be
 * a node of the gateway.
 */
export const layerKnown: Layer.Layer<GatewayConfig, never, DeviceIdentity | GatewayConfig | TokenStore> = Layer.effect(
  GatewayConfig,
  Effect.gen(function*() {
    const settings = yield* GatewayConfig
    const { deviceId, platform } = yield* DeviceIdentity
    const key = { gatewayScope: settings.endpoint.gatewayScope, deviceId, role: "node" as const }
    const token = yield* Effect.orElseSucceed((yield* TokenStore).get(key), () => Option.none())
    return Option.isSome(token) ? withFamily(settings, platform) : settings
  })
)

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
