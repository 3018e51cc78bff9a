/**
 * What a gateway does with a node: approvals, published tools, invocations and how they end. A script that is played over sockets.
 *
 * Played on a real gateway it gives the vectors `node-<release>.json`. Played on `DevGateway` it says whether that does the
 * same. The driver shares no code with `src`, so that a mistake there cannot hide in it.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Redacted from "effect/Redacted"
import { untilTrue } from "../interop/support/EventLog.ts"
import { InteropError } from "../interop/support/InteropError.ts"
import type { RawClient } from "../interop/support/RawClient.ts"
import { connect, makeDevice } from "../interop/support/RawClient.ts"

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

export const command = "mcp.tools.call.v1"

const at = (value: unknown, ...path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>((inner, key) => Predicate.hasProperty(inner, key) ? inner[key] : undefined, value)

/** A tool as a node publishes it. */
export const descriptor = (name: string, description = `the tool ${name}`): Readonly<Record<string, unknown>> => ({
  pluginId: "node-mcp",
  name,
  description,
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  command,
  mcp: { server: "effect", tool: name }
})

const patience = <A>(what: string, effect: Effect.Effect<A>): Effect.Effect<A, InteropError> =>
  Effect.timeoutOrElse(effect, {
    duration: "30 seconds",
    orElse: () => Effect.fail(new InteropError({ step: "event", detail: `waits in vain for ${what}` }))
  })

/** Gives late events the time to come, where nothing says that they have come. */
const linger = Effect.sleep("700 millis")

type Device = Effect.Success<typeof makeDevice>

/** Everything that a gateway does with nodes, by scene. */
export const play = Effect.fnUntraced(function*(
  { administrator, token, url }: Stage,
  scenes: Record<string, Record<string, unknown>> = {}
) {
  const device = yield* makeDevice
  const enter = (
    device: Device,
    more: { readonly commands?: ReadonlyArray<string>; readonly deviceFamily?: string | undefined } = {}
  ) =>
    connect({
      url,
      token,
      device,
      clientId: "node-host",
      clientMode: "node",
      role: "node",
      scopes: [],
      caps: ["mcp"],
      commands: [command],
      deviceFamily: "Linux",
      displayName: "Script",
      ...more
    })
  const requestOf = (client: RawClient) => String(at(client.raw, "details", "requestId"))
  const approveDevice = (client: RawClient) =>
    administrator.ask("device.pair.approve", { requestId: requestOf(client) })
  /** Events of this name since the client connected. */
  const events = (client: RawClient, ...names: ReadonlyArray<string>) =>
    client.events.filter(({ event }) => names.includes(event)).map(({ event, payload }) => ({ event, payload }))
  const told = (client: RawClient, event: string, where: (payload: unknown) => boolean = () => true) =>
    patience(
      event,
      Effect.suspend(() => {
        const find = () => client.events.findLast((told) => told.event === event && where(told.payload))
        return Effect.map(untilTrue(() => find() !== undefined), find)
      })
    ).pipe(Effect.map((found) => found?.payload))
  const asRaw = (client: RawClient, method: string, params: unknown) => client.askRaw(method, params)
  const publish = (client: RawClient, ...tools: ReadonlyArray<unknown>) =>
    asRaw(client, "node.pluginTools.update", { tools })
  const invoke = (nodeId: string, key: string, more: Readonly<Record<string, unknown>> = {}) =>
    asRaw(administrator, "node.invoke", {
      nodeId,
      command,
      params: { server: "effect", tool: "effect_weather", arguments: { city: "Oslo" } },
      idempotencyKey: key,
      ...more
    })
  const requested = (client: RawClient, count: number) =>
    patience(
      `invocation ${count}`,
      Effect.map(
        untilTrue(() => events(client, "node.invoke.request").length >= count),
        () => events(client, "node.invoke.request")[count - 1]?.payload
      )
    )
  const answer = (client: RawClient, request: unknown, result: Readonly<Record<string, unknown>>) =>
    asRaw(client, "node.invoke.result", { id: at(request, "id"), nodeId: at(request, "nodeId"), ...result })
  const { deviceId } = device
  const ofNode = (rows: unknown) => Array.isArray(rows) ? rows.find((row) => at(row, "nodeId") === deviceId) : undefined

  // The two approvals
  const refused = yield* enter(device)
  scenes["a node that nobody knows"] = { refusal: refused.raw }
  yield* linger
  scenes["the device is approved"] = {
    answer: yield* approveDevice(refused).pipe(Effect.map(({ error }) => ({ error })))
  }
  const node = yield* enter(device)
  yield* linger
  scenes["a node of an approved device"] = {
    auth: at(node.hello, "auth"),
    told: events(administrator, "node.pair.requested")
  }
  const surface = String(at(events(administrator, "node.pair.requested").at(-1)?.payload, "requestId"))
  scenes["before the surface is approved"] = {
    publish: yield* publish(node, descriptor("effect_weather")),
    inventory: yield* asRaw(node, "node.runnerInventory.update", { protocolFeatures: [] }),
    "node.pair.list": ofNode(at(yield* administrator.ask("node.pair.list", {}), "payload", "pending")),
    invoke: yield* invoke(deviceId, "before")
  }
  scenes["the surface is approved"] = {
    unknown: yield* asRaw(administrator, "node.pair.approve", { requestId: "11111111-2222-4333-8444-555555555555" }),
    answer: yield* asRaw(administrator, "node.pair.approve", { requestId: surface }),
    node: yield* Effect.andThen(linger, Effect.sync(() => events(node, "node.pair.resolved"))),
    administrator: yield* told(administrator, "node.pair.resolved", (payload) => at(payload, "nodeId") === deviceId),
    inventory: yield* asRaw(node, "node.runnerInventory.update", { protocolFeatures: [] })
  }

  // What is published
  scenes["publishing"] = {
    one: yield* publish(node, descriptor("effect_weather")),
    none: yield* publish(node),
    "a long description": at(
      yield* publish(node, descriptor("effect_long", "x".repeat(2000))),
      "payload",
      "tools",
      "0"
    ),
    "twice the same": at(yield* publish(node, descriptor("effect_weather"), descriptor("effect_weather")), "payload"),
    "a name of another form": yield* publish(node, descriptor("9lives")),
    "a name of 65 characters": yield* publish(node, descriptor("x".repeat(65))),
    "no description": yield* publish(node, descriptor("effect_weather", "")),
    "another command": yield* publish(node, { ...descriptor("effect_weather"), command: "effect.call" }),
    "without mcp": yield* publish(node, { ...descriptor("effect_weather"), mcp: undefined }),
    "an unknown property": yield* publish(node, { ...descriptor("effect_weather"), invented: true }),
    "no parameters": yield* publish(node, { ...descriptor("effect_weather"), parameters: undefined }),
    "130 tools": countOf(
      yield* publish(
        node,
        ...Array.from({ length: 130 }, (_, index) => descriptor(`t${String(index).padStart(3, "0")}`))
      )
    ),
    again: yield* publish(node, descriptor("effect_weather"), descriptor("effect_slow"))
  }
  scenes["what a node may not do"] = {
    "chat.send": yield* asRaw(node, "chat.send", {
      sessionKey: "agent:main:main",
      message: "x",
      idempotencyKey: "x"
    }),
    "node.list": yield* asRaw(node, "node.list", {}),
    "operator publishes": yield* publish(administrator, descriptor("effect_weather"))
  }

  // Invocations
  let count = 0
  const next = () => requested(node, ++count)
  const running = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkScoped(effect, { startImmediately: true })
  const invoking = (key: string, more?: Readonly<Record<string, unknown>>) => running(invoke(deviceId, key, more))
  const payload = { content: [{ type: "text", text: "12 degrees" }], structuredContent: { degrees: 12 } }

  const first = yield* invoking("one")
  const request = yield* next()
  scenes["an invocation"] = {
    request,
    result: yield* answer(node, request, { ok: true, payload }),
    answer: yield* Fiber.join(first),
    "the result again": yield* answer(node, request, { ok: true, payload }),
    "a result of nothing": yield* answer(node, { id: "nothing", nodeId: deviceId }, { ok: true, payload }),
    "another node's result": yield* answer(node, { id: "nothing", nodeId: "0".repeat(64) }, { ok: true, payload })
  }
  const failing = yield* invoking("two")
  const failed = { error: { code: "INTERNAL", message: "the tool failed" } }
  scenes["an invocation that fails"] = {
    result: yield* answer(node, yield* next(), { ok: false, ...failed }),
    answer: yield* Fiber.join(failing)
  }
  const text = yield* invoking("three")
  scenes["an invocation answered by JSON text"] = {
    result: yield* answer(node, yield* next(), { ok: true, payloadJSON: JSON.stringify(payload) }),
    answer: yield* Fiber.join(text)
  }
  const unready = yield* invoking("four")
  const keys: Array<unknown> = []
  const attempts = new Set<unknown>()
  for (let attempt = 0; attempt < 5; attempt++) {
    const asked = yield* next()
    keys.push(at(asked, "idempotencyKey"))
    attempts.add(at(asked, "id"))
    yield* answer(node, asked, { ok: false, error: { code: "NODE_NOT_READY", message: "starting" } })
  }
  scenes["a node that is not ready"] = { answer: yield* Fiber.join(unready), keys, attempts: attempts.size }
  const late = yield* invoking("five", { timeoutMs: 600 })
  const forgotten = yield* next()
  scenes["an invocation that takes too long"] = {
    request: forgotten,
    answer: yield* Fiber.join(late),
    cancel: yield* told(node, "node.invoke.cancel", (payload) => at(payload, "invokeId") === at(forgotten, "id")),
    result: yield* answer(node, forgotten, { ok: true, payload })
  }
  scenes["refused invocations"] = {
    "a command of nobody": yield* invoke(deviceId, "six", { command: "effect.call" }),
    "a node of nobody": yield* invoke("0".repeat(64), "seven"),
    "without key": yield* asRaw(administrator, "node.invoke", { nodeId: deviceId, command })
  }

  // By the tool's name, as the agent calls it
  const tool = (name: string, args: unknown = { city: "Oslo" }) =>
    asRaw(administrator, "tools.invoke", { name, args, sessionKey: "agent:main:main" })
  const byName = yield* running(tool("effect_weather"))
  const named = yield* next()
  yield* answer(node, named, { ok: true, payload })
  scenes["a tool by its name"] = { request: named, answer: yield* Fiber.join(byName) }
  const byError = yield* running(tool("effect_weather", { wrong: 1 }))
  const wrong = yield* next()
  yield* answer(node, wrong, { ok: true, payload: { content: [{ type: "text", text: "no city" }], isError: true } })
  scenes["a tool with wrong arguments"] = {
    paramsJSON: at(wrong, "paramsJSON"),
    answer: yield* Fiber.join(byError)
  }
  const broken = yield* running(tool("effect_weather"))
  yield* answer(node, yield* next(), { ok: false, ...failed })
  scenes["a tool that fails"] = { answer: yield* Fiber.join(broken) }
  scenes["a tool of nobody"] = { answer: yield* tool("effect_nothing") }

  // The agent's own call
  const chat = (key: string, name: string) =>
    asRaw(administrator, "chat.send", {
      sessionKey: `agent:main:${key}`,
      message: `[use ${name} ${JSON.stringify({ city: "Oslo" })}]`,
      deliver: false,
      idempotencyKey: `run-${key}`
    })
  const ended = (key: string) =>
    told(
      administrator,
      "chat",
      (payload) =>
        at(payload, "runId") === `run-${key}` && at(payload, "state") !== "delta" && at(payload, "state") !== "status"
    )
  yield* chat("called", "effect_weather")
  const called = yield* next()
  yield* answer(node, called, { ok: true, payload })
  scenes["the agent calls a tool"] = { request: called, state: at(yield* ended("called"), "state") }
  yield* chat("aborted", "effect_slow")
  const aborted = yield* next()
  yield* administrator.ask("chat.abort", { sessionKey: "agent:main:aborted", runId: "run-aborted" })
  scenes["the run is aborted"] = {
    state: at(yield* ended("aborted"), "state"),
    // 2026.8.2 lets the invocation go on.
    cancel: yield* told(node, "node.invoke.cancel", (payload) => at(payload, "invokeId") === at(aborted, "id")).pipe(
      Effect.timeoutOption("3 seconds"),
      Effect.map(Option.getOrNull)
    )
  }

  scenes["node.list"] = { row: ofNode(at(yield* administrator.ask("node.list", {}), "payload", "nodes")) }

  // Another connection of the same node
  const second = yield* enter(device)
  yield* linger
  scenes["superseded"] = {
    older: yield* publish(node, descriptor("effect_weather")),
    newer: yield* publish(second, descriptor("effect_weather")),
    "older is told": events(node, "node.pair.resolved").length
  }
  const cut = yield* invoking("nine")
  yield* requested(second, 1)
  yield* second.end
  scenes["the node leaves"] = { answer: yield* Fiber.join(cut), after: yield* invoke(deviceId, "ten") }

  // More commands than were approved
  const wide = yield* enter(device, { commands: [command, "system.which"] })
  yield* linger
  const wider = events(administrator, "node.pair.requested").at(-1)?.payload
  const meanwhile = yield* invoking("eleven")
  yield* answer(wide, yield* requested(wide, 1), { ok: true, payload })
  scenes["a wider surface"] = {
    requested: wider,
    publish: at(yield* publish(wide, descriptor("effect_weather")), "payload", "tools", "0", "name"),
    inventory: yield* asRaw(wide, "node.runnerInventory.update", { protocolFeatures: [] }),
    invoke: yield* Fiber.join(meanwhile),
    reject: yield* asRaw(administrator, "node.pair.reject", { requestId: at(wider, "requestId") }),
    "inventory after it": yield* asRaw(wide, "node.runnerInventory.update", { protocolFeatures: [] }),
    node: events(wide, "node.pair.resolved")
  }
  const narrow = yield* enter(device, { commands: [] })
  yield* linger
  scenes["a narrower surface"] = {
    publish: yield* publish(narrow, descriptor("effect_weather")),
    told: events(administrator, "node.pair.requested").length,
    inventory: yield* asRaw(narrow, "node.runnerInventory.update", { protocolFeatures: [] })
  }
  yield* narrow.end

  // One key for both roles
  /** An approved operator becomes a node, too. */
  const inAddition = Effect.fnUntraced(function*(before: string | undefined, after: string | undefined) {
    const device = yield* makeDevice
    const asOperator = (deviceFamily: string | undefined) => connect({ url, token, device, deviceFamily })
    yield* approveDevice(yield* asOperator(before))
    const again = yield* asOperator(after)
    const refused = yield* enter(device, { deviceFamily: after })
    yield* approveDevice(refused)
    const operator = yield* asOperator(after)
    const node = yield* enter(device, { deviceFamily: after })
    yield* linger
    const { payload } = events(administrator, "node.pair.requested").at(-1) ?? { payload: undefined }
    const requestId = at(payload, "requestId")
    const rejected = yield* asRaw(administrator, "node.pair.reject", { requestId })
    return {
      "the operator again": again.raw ?? at(again.hello, "auth"),
      refusal: refused.raw,
      operator: operator.raw ?? at(operator.hello, "auth"),
      node: at(node.hello, "auth"),
      rejected: rejected.error ?? "yes",
      told: events(node, "node.pair.resolved").length,
      inventory: yield* asRaw(node, "node.runnerInventory.update", { protocolFeatures: [] }),
      publish: at(yield* publish(node, descriptor("effect_weather")), "payload", "tools")
    }
  })
  const both = yield* makeDevice
  const asOperator = () => connect({ url, token, device: both, displayName: "Script" })
  const operator = yield* asOperator()
  const asNode = yield* enter(both, { deviceFamily: undefined })
  const operatorAgain = yield* asOperator()
  const nodeAgain = yield* enter(both, { deviceFamily: undefined })
  const ids = [operator, asNode, operatorAgain, nodeAgain].map(requestOf)
  const entry = yield* administrator.ask("device.pair.list", {})
  const pending = at(entry, "payload", "pending")
  const approved = yield* approveDevice(nodeAgain)
  const operatorIn = yield* asOperator()
  const nodeIn = yield* enter(both, { deviceFamily: undefined })
  scenes["two roles of one key"] = {
    "which request": ids.map((id) => ids.indexOf(id)),
    refusals: [operator.raw, asNode.raw],
    pending: Array.isArray(pending)
      ? pending.filter((row) => at(row, "deviceId") === both.deviceId).map((row) => ({
        role: at(row, "role"),
        roles: at(row, "roles"),
        scopes: at(row, "scopes")
      }))
      : pending,
    approved: approved.error ?? "yes",
    operator: at(operatorIn.hello, "auth") ?? operatorIn.raw,
    node: at(nodeIn.hello, "auth") ?? nodeIn.raw,
    "a family that was not stated before": (yield* enter(both)).raw ?? "connected"
  }
  scenes["a role in addition"] = yield* inAddition(undefined, undefined)
  scenes["a role in addition, with a family"] = yield* inAddition("Linux", "Linux")
  scenes["a role in addition, with a family from then on"] = yield* inAddition(undefined, "Linux")

  // Two nodes with a tool of the same name
  for (const one of [yield* makeDevice, yield* makeDevice]) {
    yield* approveDevice(yield* enter(one))
    const entered = yield* enter(one)
    yield* linger
    yield* administrator.ask("node.pair.approve", {
      requestId: at(events(administrator, "node.pair.requested").at(-1)?.payload, "requestId")
    })
    yield* publish(entered, descriptor("effect_twin"))
  }
  scenes["two nodes with a tool of one name"] = {
    plain: yield* tool("effect_twin")
  }
  return scenes
})

const countOf = (answer: unknown) => {
  const tools = at(answer, "payload", "tools")
  return Array.isArray(tools)
    ? { count: tools.length, first: at(tools[0], "name"), last: at(tools.at(-1), "name") }
    : answer
}

/** The value without what is large or of this machine. */
const slim = (value: unknown): unknown => {
  if (typeof value === "string") {
    return value.replaceAll(/\/tmp\/effect-openclaw-[^/"\s]*/g, "/home").replaceAll("x".repeat(1000), "X{1000}")
  }
  if (Array.isArray(value)) return value.map(slim)
  if (!Predicate.isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, inner]) =>
      inner === undefined ? [] : [[name, name === "deviceToken" || name === "recoveryScope" ? "token" : slim(inner)]]
    )
  )
}

/** The recordings as they are kept: a line for each answer. */
export const toJson = (release: string, scenes: Recordings): string => {
  const source = `OpenClaw ${release}, played by test/interop/Node.test.ts with OPENCLAW_RECORD=true`
  const lines = Object.entries(scenes).map(([name, scene]) =>
    ` ${JSON.stringify(name)}: {\n${
      Object.entries(scene).map(([what, value]) => `  ${JSON.stringify(what)}: ${JSON.stringify(slim(value ?? null))}`)
        .join(
          ",\n"
        )
    }\n }`
  )
  return `{\n"source": ${JSON.stringify(source)},\n"scenes": {\n${lines.join(",\n")}\n}}\n`
}

/** Recordings without what differs each time: ids, times, tokens. */
export const facts = (recordings: unknown): unknown => masked(at(recordings, "scenes"))

const masked = (value: unknown, name = ""): unknown => {
  // What is left of it when the node is asked.
  if (name === "timeoutMs" && typeof value === "number") return Math.ceil(value / 1000)
  if (typeof value === "number") return /^(ts|.*AtMs)$/.test(name) ? "<number>" : value
  if (typeof value === "string") {
    if (name === "remoteIp") return "<address>"
    if (name === "idempotencyKey" && /^(tool_search_code:|call[-_])/.test(value)) return "<call of the model>"
    return value
      .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "<id>")
      .replaceAll(/[0-9a-f]{64}/g, "<hash>")
      .replaceAll(/[0-9a-f]{32}_/g, "<fragment>_")
      .replaceAll(/rpc-delegated-\d+/g, "rpc-delegated-<number>")
  }
  if (Array.isArray(value)) return value.map((item) => masked(item, name))
  if (!Predicate.isObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, masked(inner, name)]))
}
