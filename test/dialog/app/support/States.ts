/**
 * Every state of the dialog, as the events that lead to it and what the reader does then; for tests and for pictures.
 */
import type { Page } from "playwright-core"
import { failure } from "../../../../src/agent/AgentEvents.ts"
import { AuthRejected, OriginNotAllowed } from "../../../../src/handshake/HandshakeError.ts"
import { compareCode } from "../../../../src/identity/CompareCode.ts"
import { DeviceId } from "../../../../src/protocol/Connect.ts"
import { posixCommand } from "../../../../src/protocol/ShellCommand.ts"
import type { FakeAgent, Wire } from "./FakeAgent.ts"

/** The present of every picture. */
export const nowMs = Date.parse("2026-11-22T10:00:00Z")
const at = (offsetMs: number) => new Date(nowMs + offsetMs).toISOString()

export const deviceId = DeviceId.make("6a1b2863554dc14bd5a4295ed3ae9430bdc7ffbfa60abf30307dfe147fa36939")
export const requestId = "3f0c8a52-6d1e-4b7a-9c1f-2e5d7a90b413"

const openclaw = (...words: ReadonlyArray<string>) => posixCommand(["openclaw", "devices", ...words])

export const identity: Wire = {
  at: at(0),
  event: "identity",
  deviceId,
  compareCode: compareCode(deviceId).words,
  created: true
}
export const gateway: Wire = { at: at(0), event: "gateway", url: "wss://gateway.example:18789/", embedded: false }
export const connected: Wire = {
  at: at(0),
  event: "connected",
  protocol: 4,
  serverVersion: "2026.9.6",
  scopes: ["operator.read", "operator.write"],
  deviceTokenIssued: true
}

const places = (id: string | undefined) =>
  ([
    ["host", [], (...words) => openclaw(...words)],
    ["docker", ["<container>"], (...words) =>
      posixCommand(["docker", "exec", "<container>", "openclaw", "devices", ...words])],
    [
      "compose",
      [],
      (...words) =>
        posixCommand(["docker", "compose", "exec", "openclaw-gateway", "openclaw", "devices", ...words])
    ],
    ["kubectl", ["<pod>"], (...words) =>
      posixCommand(["kubectl", "exec", "<pod>", "--", "openclaw", "devices", ...words])],
    ["ssh", ["<host>"], (...words) =>
      posixCommand(["ssh", "<host>", `openclaw devices ${words.join(" ")}`])],
    ["powershell", [], (...words) =>
      openclaw(...words)]
  ] as ReadonlyArray<readonly [string, ReadonlyArray<string>, typeof openclaw]>).map(([place, fill, command]) => ({
    place,
    fill,
    list: command("list"),
    ...(id === undefined ? {} : { approve: command("approve", id) })
  }))

/** A notice with instructions. `id: undefined`: the gateway named no request. */
export const notice = (event: string, id: string | undefined = requestId, fields: Wire = {}): Wire => ({
  at: at(0),
  event: `pairing.${event}`,
  deviceId,
  ...(id === undefined ? {} : { requestId: id, approve: openclaw("approve", id) }),
  reason: "not-paired",
  since: at(-130_000),
  expiresAt: at(170_000),
  list: openclaw("list"),
  requestedScopes: ["operator.read", "operator.write"],
  ...fields
})
export const withoutId = (event: string, fields: Wire = {}): Wire => {
  const { approve: _approve, requestId: _requestId, ...others } = notice(event)
  return { ...others, ...fields }
}
/** A call of a marked tool that waits for a person. */
export const asked = (questionId: string, fields: Wire = {}): Wire => ({
  at: at(0),
  event: "tool.asked",
  questionId,
  tool: "wipe",
  arguments: '{"path":"/"}',
  session: "agent:main:main",
  answerBy: at(110_000),
  ...fields
})
export const resolved: Wire = { at: at(0), event: "pairing.resolved", deviceId, requestId, reason: "not-paired" }
export const check = (inMs: number) => ({ checking: false, nextCheckAt: at(inMs) })

export interface State {
  readonly name: string
  readonly events: ReadonlyArray<Wire>
  readonly act?: (page: Page, agent: FakeAgent) => Promise<void>
  /** A text that is there when the state is reached. */
  readonly shows: string
}

const dialog = (page: Page) => page.getByRole("dialog")
const first = [identity, gateway]

export const states: ReadonlyArray<State> = [
  { name: "idle", events: [...first, connected], shows: "Connected" },
  {
    name: "required",
    events: [...first, notice("required")],
    act: async (_page, agent) => agent.check(check(2600)),
    shows: "Asks again in 0:03"
  },
  {
    name: "places",
    events: [...first, notice("required", requestId, { places: places(requestId) })],
    act: (page) => page.getByRole("radio", { name: "Docker", exact: true }).check(),
    shows: "Replace <container> before you run it."
  },
  {
    name: "scope-upgrade",
    events: [
      ...first,
      notice("required", requestId, {
        reason: "scope-upgrade",
        requestedScopes: ["operator.approvals", "operator.read", "operator.write"],
        approvedScopes: ["operator.read"],
        note:
          "With --url the OpenClaw CLI uses no stored credential: add your own --token or --password when you run the command."
      })
    ],
    act: (page) => page.getByText("See what waits for approval").first().click(),
    shows: "This device asks for more than it was allowed."
  },
  {
    name: "more-scopes",
    events: [
      ...first,
      { ...connected, missingScopes: ["operator.approvals"] },
      notice("required", requestId, {
        reason: "scope-upgrade",
        requestedScopes: ["operator.approvals", "operator.read", "operator.write"],
        approvedScopes: ["operator.read", "operator.write"],
        connected: true
      })
    ],
    shows: "Meanwhile it works with what was approved"
  },
  {
    name: "more-scopes-rejected",
    events: [
      ...first,
      { ...connected, missingScopes: ["operator.approvals"] },
      notice("required", requestId, { reason: "scope-upgrade", connected: true })
    ],
    act: async (page, agent) => {
      await dialog(page).waitFor()
      agent.emit({ ...resolved, event: "pairing.cancelled", reason: "scope-upgrade", outcome: "rejected" })
    },
    shows: "More scopes were rejected."
  },
  { name: "required-without-id", events: [...first, withoutId("required")], shows: "The gateway named no request" },
  {
    name: "superseded",
    events: [...first, notice("superseded", requestId, { previousRequestId: "0d7e" })],
    shows: "The gateway replaced the request"
  },
  {
    name: "expiring",
    events: [
      ...first,
      notice("required"),
      {
        at: at(0),
        event: "waiting",
        cause: { error: "LinkError", reason: "Unreachable", message: "nothing answers" },
        retryAt: at(8000)
      },
      notice("expiring", requestId, { expiresAt: at(48_000) })
    ],
    shows: "Gateway out of reach"
  },
  {
    name: "expired",
    events: [
      ...first,
      notice("required"),
      {
        at: at(0),
        event: "pairing.expired",
        deviceId,
        requestId,
        reason: "not-paired",
        since: at(-700_000),
        expiresAt: at(-1000)
      }
    ],
    shows: "The request has expired"
  },
  {
    name: "resolved",
    events: [...first, notice("required")],
    act: async (page, agent) => {
      await dialog(page).waitFor()
      agent.emit(connected, resolved)
    },
    shows: "Device approved"
  },
  {
    name: "halted",
    events: [
      ...first,
      {
        at: at(0),
        event: "halted",
        error: { ...failure(new AuthRejected({ reason: "TokenMissing", sent: "None" })) }
      }
    ],
    shows: "The gateway wants a token"
  },
  {
    name: "halted-timed-out",
    events: [
      ...first,
      {
        at: at(0),
        event: "halted",
        error: { ...failure({ _tag: "ApprovalTimedOut", waitedMs: 3_600_000, replaced: 0 }) }
      }
    ],
    shows: "Nobody approved this device"
  },
  {
    name: "halted-otherwise",
    events: [
      ...first,
      {
        at: at(0),
        event: "halted",
        error: { ...failure(new OriginNotAllowed({ origin: "https://app.example" })) }
      }
    ],
    shows: "does not accept connections from this Origin"
  },
  {
    name: "stream-lost",
    events: [...first, notice("required")],
    act: async (page, agent) => {
      await dialog(page).waitFor()
      agent.breakOff(503)
    },
    shows: "This page has lost contact"
  },
  {
    name: "dismissed",
    events: [...first, notice("required")],
    act: (page) => page.getByRole("button", { name: "Dismiss" }).click(),
    shows: "Approval needed"
  },
  {
    name: "copied",
    events: [...first, notice("required")],
    act: async (page) => {
      await page.context().grantPermissions(["clipboard-write"])
      await page.getByRole("button", { name: "Copy" }).click()
    },
    shows: "Copied"
  },
  {
    name: "copy-refused",
    events: [...first, notice("required")],
    act: async (page) => {
      await page.evaluate(() => {
        Object.defineProperty(navigator, "clipboard", { value: undefined })
        document.execCommand = () => false
      })
      await page.getByRole("button", { name: "Copy" }).click()
    },
    shows: "The command is selected"
  },
  {
    name: "questions",
    events: [
      ...first,
      connected,
      asked("t1", { arguments: '{"path":"/srv/garden/2026/photos","recursive":true}', title: "Remove files" }),
      asked("t2", { tool: "send_mail", arguments: `{"to":"everybody","text":"${"Rain. ".repeat(80)}`, leftOut: 4711 })
    ],
    shows: "4711 more characters"
  },
  {
    name: "tasks",
    events: [
      ...first,
      connected,
      { at: at(0), event: "task.sent", taskId: "task-0", runId: "r0", summary: "Water the plants" },
      {
        at: at(0),
        event: "task.reply",
        taskId: "task-0",
        runId: "r0",
        text: "Done. The plants were watered at 9:41, and the tank holds **3.2 l**."
      },
      {
        at: at(0),
        event: "task.failed",
        taskId: "9d41c7e0-1",
        error: { error: "Expired", message: "no reply in time; the gateway may still be at work" }
      },
      { at: at(0), event: "task.sent", taskId: "1f7ab2c4-2", runId: "r1", summary: "How is the garden?" },
      {
        at: at(0),
        event: "task.reply",
        taskId: "1f7ab2c4-2",
        runId: "r1",
        text:
          "# Three findings\n\n1. The **north** bed is dry.\n2. The pump runs, see [the log](https://gateway.example/log).\n3. `valve-2` is stuck.\n\n| bed | moisture |\n| --- | --- |\n| north | 12 % |\n| south | 41 % |\n\nShall I order a new valve?"
      },
      { at: at(0), event: "task.sent", taskId: "5c22aa10-3", runId: "r2", summary: "Will it rain tomorrow?" },
      { at: at(0), event: "task.phase", taskId: "5c22aa10-3", phase: "tool · weather" },
      {
        at: at(0),
        event: "task.queued",
        taskId: "77e0b914-4",
        reason: "Busy",
        summary: "Then water the plants, but only the beds that need it"
      }
    ],
    shows: "tool · weather"
  }
]
