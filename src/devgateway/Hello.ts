/**
 * The payload of hello-ok and of `health`, with the keys and types of release 2026.9.6. Parts that a development gateway does
 * not have (plugins, channels, surfaces) are present and empty.
 */
import * as Redacted from "effect/Redacted"
import { createHash } from "node:crypto"
import type { IssuedToken } from "./PairingBook.ts"
import { methodParams, scopeUpgradeMethods } from "./ParamsCheck.ts"

/** Whether the gateway takes work, as it tells clients. */
export type SuspensionPhase = "accepting" | "preparing" | "draining" | "prepared"

/** How large a file, and an image, may be that goes with a message. */
export const fileLimits = { maxBytes: 19_464_192, maxImageBytes: 6_291_456 }

export const mainSessionKey = "agent:main:main"

const events = [
  "connect.challenge",
  "agent",
  "chat",
  "tick",
  "shutdown",
  "health",
  "device.pair.requested",
  "device.pair.resolved"
]

const sessions = { path: "memory", count: 0, recent: [] }

export const health = (nowMs: number) => ({
  ok: true,
  ts: nowMs,
  durationMs: 0,
  plugins: { loaded: [], errors: [], unavailable: [] },
  configReload: { hotReloadStatus: "active" },
  channels: {},
  channelOrder: [],
  channelLabels: {},
  heartbeatSeconds: 1800,
  defaultAgentId: "main",
  agents: [{
    agentId: "main",
    isDefault: true,
    heartbeat: { enabled: false, every: "30m", everyMs: 1_800_000, prompt: "", target: "owner", ackMaxChars: 300 },
    sessions
  }],
  sessions,
  eventLoop: {
    degraded: false,
    degradedSinceMs: null,
    reasons: [],
    intervalMs: 1000,
    delayP99Ms: 0,
    delayMaxMs: 0,
    utilization: 0,
    cpuCoreRatio: 0
  }
})

/** Changes with the device token, and reveals nothing about it. */
const recoveryScope = (token: IssuedToken | undefined) =>
  createHash("sha256").update(`recovery ${token === undefined ? "" : Redacted.value(token.value)}`).digest("base64url")

export const hello = (facts: {
  readonly protocol: number
  readonly version: string
  readonly bootId: string
  readonly connId: string
  readonly nowMs: number
  readonly startedAtMs: number
  readonly tickIntervalMs: number
  readonly scopeUpgrades: boolean
  readonly suspension: SuspensionPhase
  readonly method: "token" | "password" | "none" | "device-token" | "bootstrap-token"
  readonly role: string
  readonly scopes: ReadonlyArray<string>
  readonly token: IssuedToken | undefined
}) => ({
  type: "hello-ok",
  protocol: facts.protocol,
  server: {
    version: facts.version,
    buildId: `${facts.version}-devgateway`,
    bootId: facts.bootId,
    controlUiBuildSource: "bundled",
    connId: facts.connId
  },
  features: {
    methods: Object.keys(methodParams).filter((method) => facts.scopeUpgrades || !scopeUpgradeMethods.has(method)),
    events,
    capabilities: []
  },
  snapshot: {
    suspension: { phase: facts.suspension },
    presence: [{
      host: "devgateway",
      ip: "127.0.0.1",
      version: facts.version,
      platform: "node",
      deviceFamily: "Node",
      mode: "gateway",
      reason: "self",
      instanceId: facts.bootId,
      text: `Gateway: devgateway (127.0.0.1) · app ${facts.version} · mode gateway · reason self`,
      ts: facts.nowMs
    }],
    health: health(facts.nowMs),
    stateVersion: { presence: 1, health: 1 },
    uptimeMs: facts.nowMs - facts.startedAtMs,
    appliedConfigHash: `hmac-sha256:v1:${createHash("sha256").update(facts.version).digest("base64url")}`,
    sessionDefaults: {
      defaultAgentId: "main",
      modelConfigured: true,
      ownership: "sole",
      selectionRequired: false,
      mainKey: "main",
      mainSessionKey,
      scope: "per-sender"
    },
    ...(facts.scopes.length === 0 ? {} : { updateSchedule: { channel: "stable", autoEnabled: false } })
  },
  ...(facts.scopes.length === 0 ? {} : { controlUiWidgetKinds: [], controlUiLinkReaders: [] }),
  pluginSurfaceUrls: {},
  auth: {
    method: facts.method,
    role: facts.role,
    scopes: facts.scopes,
    ...(facts.role === "operator" ? { recoveryScope: recoveryScope(facts.token) } : {}),
    ...(facts.token === undefined ? {} : {
      ...(facts.role === "operator" ? { recoveryMigrationAllowed: true } : {}),
      deviceToken: Redacted.value(facts.token.value),
      issuedAtMs: facts.token.issuedAtMs
    })
  },
  policy: {
    maxPayload: 26_214_400,
    maxBufferedBytes: 52_428_800,
    tickIntervalMs: facts.tickIntervalMs,
    attachments: fileLimits,
    allowedSessionVisibilities: ["shared", "read-only", "suggest", "draft"],
    hasMultipleSessionSharingIdentities: false
  }
})
