/**
 * What a gateway does with setup codes and join URLs: who makes them, what they admit, and how they are refused. A script that is
 * played over sockets.
 *
 * Played on a real gateway it gives the vectors `setup-<release>.json`. Played on `DevGateway` it says whether that does the
 * same. The driver shares no code with `src`, so that a mistake there cannot hide in it.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import { InteropError } from "../interop/support/InteropError.ts"
import type { RawClient } from "../interop/support/RawClient.ts"
import { connect, makeDevice } from "../interop/support/RawClient.ts"
import { command, descriptor } from "./NodeScript.ts"

/** Where the script is played. */
export interface Stage {
  /** The URL for remote clients, which have to pair, and the shared token. */
  readonly url: string
  readonly token: Redacted.Redacted
  /** A client with the scopes of an administrator, read and write. */
  readonly administrator: RawClient
}

/** What was answered and told in each scene, by name. */
export type Recordings = Readonly<Record<string, Readonly<Record<string, unknown>>>>

const at = (value: unknown, ...path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>((inner, key) => Predicate.hasProperty(inner, key) ? inner[key] : undefined, value)

/** Gives late events the time to come, where nothing says that they have come. */
const linger = Effect.sleep("700 millis")

type Device = Effect.Success<typeof makeDevice>

const decoded = (code: unknown): unknown => {
  try {
    return JSON.parse(Buffer.from(String(code), "base64url").toString("utf8"))
  } catch {
    return "not decodable"
  }
}

const getOnce = (url: string, method = "GET") =>
  Effect.tryPromise({
    try: async () => {
      const response = await fetch(url, { method, redirect: "manual" })
      return {
        status: response.status,
        "content-type": response.headers.get("content-type"),
        "cache-control": response.headers.get("cache-control"),
        body: await response.text()
      }
    },
    catch: (cause) => new InteropError({ step: "request", detail: "join URL", cause })
  })

/** Everything that a gateway does with setup codes, by scene. */
export const play = Effect.fnUntraced(function*(
  { administrator, token, url }: Stage,
  scenes: Record<string, Record<string, unknown>> = {}
) {
  const as = (
    device: Device,
    role: "node" | "operator",
    bootstrapToken?: string,
    more: { readonly scopes?: ReadonlyArray<string>; readonly token?: Redacted.Redacted } = {}
  ) =>
    connect({
      url,
      token: more.token ?? token,
      device,
      ...(bootstrapToken === undefined ? {} : { bootstrapToken }),
      ...(role === "node"
        ? {
          clientId: "node-host",
          clientMode: "node",
          role: "node",
          scopes: [],
          caps: ["mcp"],
          commands: [command]
        }
        : { scopes: more.scopes ?? ["operator.read", "operator.write"] }),
      deviceFamily: "Linux",
      displayName: "Script"
    })
  const outcome = (client: RawClient) => client.raw ?? at(client.hello, "auth")
  const mint = (params: Readonly<Record<string, unknown>> = {}) =>
    administrator.askRaw("device.pair.setupCode", { publicUrl: url, includeQr: false, ...params })
  const tokenOf = (answer: unknown) => String(at(decoded(at(answer, "payload", "setupCode")), "bootstrapToken"))
  const minted = (params: Readonly<Record<string, unknown>> = {}) => Effect.map(mint(params), tokenOf)
  const status = (answer: unknown) =>
    administrator.askRaw("device.pair.setupStatus", { setupId: at(answer, "payload", "setupId") })
  const requestOf = (client: RawClient) => String(at(client.raw, "details", "requestId"))
  const approve = (client: RawClient) =>
    Effect.map(
      administrator.askRaw("device.pair.approve", { requestId: requestOf(client) }),
      ({ error }) => error ?? "yes"
    )
  const pendingOf = (device: Device) =>
    Effect.map(administrator.ask("device.pair.list", {}), (answer) => {
      const pending = at(answer, "payload", "pending")
      return (Array.isArray(pending) ? pending : []).filter((row) => at(row, "deviceId") === device.deviceId)
        .map((row) => ({ role: at(row, "role"), roles: at(row, "roles"), scopes: at(row, "scopes") }))
    })
  const pairedOf = (device: Device) =>
    Effect.map(administrator.ask("device.pair.list", {}), (answer) => {
      const paired = at(answer, "payload", "paired")
      return (Array.isArray(paired) ? paired : []).filter((row) => at(row, "deviceId") === device.deviceId)
        .map((row) => ({ roles: at(row, "roles"), scopes: at(row, "scopes"), approvedVia: at(row, "approvedVia") }))
    })
  /** What the administrator was told since then. */
  const since = (from: number) =>
    administrator.events.slice(from).filter(({ event }) => event.includes(".pair.")).map(({ event, payload }) => ({
      event,
      payload
    }))
  const count = () => administrator.events.length

  // Making codes
  const full = yield* mint()
  scenes["making a code"] = {
    "without an address": yield* administrator.askRaw("device.pair.setupCode", { includeQr: false }),
    full,
    "what is in it": decoded(at(full, "payload", "setupCode")),
    limited: yield* mint({ bootstrapProfile: "limited" }),
    node: yield* mint({ bootstrapProfile: "node" }),
    "another profile": yield* mint({ bootstrapProfile: "admin" }),
    "a join URL of another profile": yield* mint({ joinUrl: true, bootstrapProfile: "limited" }),
    "an address of another kind": yield* mint({ publicUrl: "ftp://gateway.example" }),
    "plaintext to another host": yield* mint({ publicUrl: "ws://10.0.0.7:18789" }),
    "plaintext to a public host": yield* mint({ publicUrl: "ws://gateway.example:18789" }),
    "an unknown property": yield* mint({ invented: true }),
    status: yield* status(full)
  }

  // Join URLs
  const joined = yield* mint({ joinUrl: true })
  const joinUrl = String(at(joined, "payload", "joinUrl"))
  const first = yield* getOnce(joinUrl)
  const given: unknown = (() => {
    try {
      return JSON.parse(first.body)
    } catch {
      return first.body
    }
  })()
  scenes["a join URL"] = {
    minted: joined,
    url: joinUrl.replace(/[A-Za-z0-9_-]{22}$/, "<22 characters>"),
    answer: { ...first, body: given },
    again: yield* getOnce(joinUrl),
    "another one": yield* getOnce(joinUrl.replace(/.{22}$/, "A".repeat(22))),
    "of another length": yield* getOnce(joinUrl.replace(/.{22}$/, "A".repeat(21)))
  }

  // A node's code
  const device = yield* makeDevice
  const from = count()
  const nodeCode = String(at(given, "bootstrapToken"))
  const node = yield* as(device, "node", nodeCode)
  yield* linger
  const accepted = yield* node.askRaw("node.pluginTools.update", { tools: [descriptor("effect_weather")] })
  scenes["a node with the code of a node"] = {
    hello: outcome(node),
    publish: at(accepted, "payload", "tools", "0", "name") ?? accepted,
    inventory: yield* node.askRaw("node.runnerInventory.update", { protocolFeatures: [] }),
    told: since(from),
    status: yield* status(joined),
    paired: yield* pairedOf(device)
  }
  const nodeToken = String(at(node.hello, "auth", "deviceToken"))
  yield* node.end
  scenes["a code that was used"] = {
    "the same device": outcome(yield* as(device, "node", nodeCode)),
    "the same device as operator": outcome(yield* as(device, "operator", nodeCode)),
    "another device": outcome(yield* as(yield* makeDevice, "node", nodeCode)),
    "a code of nobody": outcome(yield* as(yield* makeDevice, "node", "x".repeat(43)))
  }

  // The same as operator
  const both = yield* makeDevice
  const forNode = yield* minted({ bootstrapProfile: "node" })
  scenes["an operator with the code of a node"] = {
    operator: outcome(yield* as(both, "operator", forNode)),
    pending: yield* pendingOf(both),
    node: outcome(yield* as(both, "node", forNode)),
    "operator again": outcome(yield* as(both, "operator", forNode))
  }

  // A code for both roles, first as operator
  for (const [name, params] of [["full", {}], ["limited", { bootstrapProfile: "limited" }]] as const) {
    const device = yield* makeDevice
    const made = yield* mint(params)
    const code = tokenOf(made)
    const waiting = yield* as(device, "operator", code)
    const again = yield* as(device, "operator", code)
    const other = yield* as(yield* makeDevice, "operator", code)
    const early = yield* as(device, "node", code)
    const pending = yield* pendingOf(device)
    const approved = yield* approve(again)
    const from = count()
    const operator = yield* as(device, "operator", code)
    yield* linger
    const told = since(from)
    const operatorAgain = yield* as(device, "operator", code)
    const node = yield* as(device, "node", code)
    const nodeApproved = yield* approve(node)
    const nodeAfter = yield* as(device, "node", code)
    yield* linger
    scenes[`an operator with a ${name} code`] = {
      refusal: outcome(waiting),
      "the same request": requestOf(waiting) === requestOf(again),
      "another device": outcome(other),
      "a node beside it": outcome(early),
      pending,
      approved,
      hello: outcome(operator),
      told,
      "the code again": outcome(operatorAgain),
      node: outcome(node),
      "node approved": nodeApproved,
      "node after it": outcome(nodeAfter),
      inventory: yield* nodeAfter.askRaw("node.runnerInventory.update", { protocolFeatures: [] }),
      "the code of both roles again": outcome(yield* as(device, "operator", code)),
      status: yield* status(made),
      paired: yield* pairedOf(device)
    }
  }
  const wide = yield* makeDevice
  const limited = yield* minted({ bootstrapProfile: "limited" })
  scenes["an operator who asks for more"] = {
    admin: outcome(yield* as(wide, "operator", limited, { scopes: ["operator.admin"] })),
    "after it": outcome(yield* as(wide, "operator", limited, { scopes: ["operator.read"] })),
    "others than before": outcome(yield* as(wide, "operator", limited))
  }

  // A code for both roles, first as node
  const nodeFirst = yield* makeDevice
  const full2 = yield* minted()
  const nodeWaiting = yield* as(nodeFirst, "node", full2)
  const operatorEarly = yield* as(nodeFirst, "operator", full2)
  const pending = yield* pendingOf(nodeFirst)
  const nodeApproved = yield* approve(nodeWaiting)
  const nodeIn = yield* as(nodeFirst, "node", full2)
  yield* linger
  const inventory = yield* nodeIn.askRaw("node.runnerInventory.update", { protocolFeatures: [] })
  scenes["a node with a full code"] = {
    refusal: outcome(nodeWaiting),
    "an operator beside it": outcome(operatorEarly),
    pending,
    approved: nodeApproved,
    hello: outcome(nodeIn),
    inventory,
    operator: outcome(yield* as(nodeFirst, "operator", full2))
  }

  // A node that was paired by a code
  const back = yield* as(device, "node", undefined, { token: Redacted.make(nodeToken) })
  yield* linger
  const republished = yield* back.askRaw("node.pluginTools.update", { tools: [descriptor("effect_weather")] })
  scenes["a node that was paired by a code comes back"] = {
    hello: outcome(back),
    publish: at(republished, "payload", "tools", "0", "name") ?? republished
  }
  return scenes
})

/** The value without what is secret. */
const slim = (value: unknown, name = ""): unknown => {
  if (typeof value === "string") {
    if (/^(deviceToken|recoveryScope|bootstrapToken|setupCode)$/.test(name)) return "token"
    return name === "joinUrl" ? value.replace(/[A-Za-z0-9_-]{22}$/, "<22 characters>") : value
  }
  if (Array.isArray(value)) return value.map((item) => slim(item))
  if (!Predicate.isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, inner]) => inner === undefined ? [] : [[name, slim(inner, name)]])
  )
}

/** The recordings as they are kept: a line for each answer. */
export const toJson = (release: string, scenes: Recordings): string => {
  const source = `OpenClaw ${release}, played by test/interop/SetupCode.test.ts with OPENCLAW_RECORD=true`
  const lines = Object.entries(scenes).map(([name, scene]) =>
    ` ${JSON.stringify(name)}: {\n${
      Object.entries(scene).map(([what, value]) => `  ${JSON.stringify(what)}: ${JSON.stringify(slim(value ?? null))}`)
        .join(",\n")
    }\n }`
  )
  return `{\n"source": ${JSON.stringify(source)},\n"scenes": {\n${lines.join(",\n")}\n}}\n`
}

/** Recordings without what differs each time: ids, times, ports. */
export const facts = (recordings: unknown): unknown => masked(at(recordings, "scenes"))

const masked = (value: unknown, name = ""): unknown => {
  if (typeof value === "number") return /^(ts|.*AtMs)$/.test(name) ? "<number>" : value
  if (typeof value === "string") {
    if (name === "remoteIp") return "<address>"
    return value
      .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "<id>")
      .replaceAll(/[0-9a-f]{64}/g, "<hash>")
      .replaceAll(/127\.0\.0\.1:\d+/g, "127.0.0.1:<port>")
  }
  if (Array.isArray(value)) return value.map((item) => masked(item, name))
  if (!Predicate.isObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, masked(inner, name)]))
}
