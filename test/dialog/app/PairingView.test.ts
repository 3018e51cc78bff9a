import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import type { DialogState } from "../../../src/dialog/app/DialogState.ts"
import { initial } from "../../../src/dialog/app/DialogState.ts"
import { messagesFor } from "../../../src/dialog/app/Messages.ts"
import type { Command, Fact, PairingView, Panel } from "../../../src/dialog/app/PairingView.ts"
import { announcement, pairingView } from "../../../src/dialog/app/PairingView.ts"
import { UpgradeEnd } from "../../../src/protocol/PairingNotice.ts"
import type { Input } from "./support/Inputs.ts"
import { inputs, moments, places, quietInputs, receive } from "./support/Inputs.ts"
import { check, connected, gateway, identity, notice, nowMs, requestId, resolved, withoutId } from "./support/States.ts"

interface Options {
  readonly language?: string
  readonly now?: number
  readonly place?: string | null
}
const viewOf = (state: DialogState, { language = "en", now = nowMs, place = null }: Options = {}): PairingView =>
  pairingView({ state, ...messagesFor(language), place, nowMs: now })
const after = (...all: ReadonlyArray<Input>): DialogState => all.reduce<DialogState>(receive, initial)

const panelIn = (view: PairingView): Panel | undefined => view.shows === "dialog" ? view.panel : undefined
const textOf = (command: Command | undefined) => command?.pieces.map(({ text }) => text).join("")
const commandsIn = (view: PairingView): ReadonlyArray<Command> => {
  const panel = panelIn(view)
  return [panel?.main, panel?.more].filter((command) => command !== undefined)
}
const factIn = (panel: Panel | undefined, name: string): Fact | undefined =>
  panel?.facts.find((fact) => fact.name === name)
/** Every text in a value, with the path to it. */
const texts = (value: unknown, path = ""): ReadonlyArray<readonly [path: string, text: string]> =>
  typeof value === "string"
    ? [[path, value]]
    : typeof value === "object" && value !== null
    ? Object.entries(value).flatMap(([name, inner]) => texts(inner, `${path}/${name}`))
    : []
const english = messagesFor("en").messages

const eventOf = (input: Input): string => "event" in input ? String(input["event"]) : ""
/** A request or a halt, which may open the dialog. */
const asks = (input: Input): boolean => /^pairing\.(?!resolved|cancelled)|^halted/.test(eventOf(input))

/** The least number of seconds that the words stand for. */
const ageOf = (words: string): number => {
  const named: Readonly<Record<string, number>> = { now: 0, "this minute": 10, yesterday: 86_400 }
  const sizes: Readonly<Record<string, number>> = { minute: 60, hour: 3600, day: 86_400 }
  const [, count = "", unit = ""] = /^(\d+) (minute|hour|day)s? ago$/.exec(words.replace(",", "")) ?? []
  const age = named[words] ?? Number(count) * (sizes[unit] ?? Number.NaN)
  assert.isFalse(Number.isNaN(age), words)
  return age
}
const secondsIn = (text: string | undefined): number => {
  const [, minutes = "0", seconds = "0"] = /(\d+):(\d\d)/.exec(text ?? "") ?? []
  return Number(minutes) * 60 + Number(seconds)
}

const laws = { arbitrary: { seed: 11, runs: 200 } }
const waits = (...ms: ReadonlyArray<number>) =>
  Arbitrary.array(Arbitrary.schema(Schema.Literals(ms)), { minLength: 14, maxLength: 14 })

describe("PairingView, whatever happens", () => {
  it.prop("exactly one thing is shown, and stage, contact and reader say which", [inputs], ([all]) => {
    for (const { state } of moments(all)) {
      const { contact, open, stage } = state
      const waitsForReader = stage.is === "pending" || stage.is === "halted"
      const tells = stage.is === "over" || contact === "lost" || contact === "refused"
      assert.strictEqual(
        viewOf(state).shows,
        waitsForReader ? (open ? "dialog" : "pill") : tells ? "toast" : "nothing"
      )
      if (!waitsForReader) assert.isFalse(open)
    }
  }, laws)

  it.prop(
    "a command is one that the last event about the request or the halt named",
    [inputs, places],
    ([all, place]) => {
      let named: ReadonlyArray<string> = []
      let device: unknown
      for (const { input, state } of moments(all)) {
        if (asks(input) || (eventOf(input).startsWith("pairing") && "deviceId" in input && input.deviceId === device)) {
          named = texts(input).flatMap(([path, text]) => /\/(text|command)$/.test(path) ? [text] : [])
          device = "deviceId" in input ? input.deviceId : undefined
        }
        const commands = commandsIn(viewOf(state, { place })).map(textOf)
        for (const command of commands) assert.include(named, command)
        if (state.stage.is === "pending" && state.stage.phase === "expired") assert.lengthOf(commands, 0)
      }
    },
    laws
  )

  it.prop("what can be copied is one line with nothing hidden in it", [inputs, places], ([all, place]) => {
    for (const { state } of moments(all)) {
      for (const command of commandsIn(viewOf(state, { place }))) {
        assert.notMatch(textOf(command) ?? "", /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u)
        assert.notStrictEqual(textOf(command)?.trim(), "")
      }
    }
  }, laws)

  it.prop("no text holds what would reorder or hide another", [inputs], ([all]) => {
    for (const { state } of moments(all)) {
      for (const [path, text] of texts(viewOf(state))) {
        assert.notMatch(text, /(?![\n\t])[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]/u, path)
      }
    }
  }, laws)

  it.prop("the marked words of a command are those that its hint names", [inputs, places], ([all, place]) => {
    for (const { state } of moments(all)) {
      for (const { hint, pieces } of commandsIn(viewOf(state, { place }))) {
        const words = [...new Set(pieces.flatMap(({ replace, text }) => replace ? [text] : []))]
        assert.isFalse(words.includes(""))
        assert.strictEqual(hint === "", words.length === 0)
        for (const word of words) assert.include(hint, word)
      }
    }
  }, laws)

  it.prop(
    "after an approval nothing asks until there is another request or a halt",
    [inputs, quietInputs],
    ([all, quiet]) => {
      const pending = after(...all, notice("required"))
      for (const { state } of moments([resolved, ...quiet.filter((input) => !asks(input))], pending)) {
        assert.include(["toast", "nothing"], viewOf(state).shows)
      }
    },
    laws
  )

  it.prop("the time since a request was made grows with the clock and is never taken back", [
    inputs,
    waits(0, 900, 1000, 59_000, 3_600_000)
  ], ([all, passing]) => {
    let now = nowMs
    let last: { readonly key: string; readonly age: number } | undefined
    for (const [index, { state }] of moments(all).entries()) {
      now += passing[index] ?? 0
      const fact = factIn(panelIn(viewOf({ ...state, open: true }, { now })), english.asked)
      const key = state.stage.is === "pending" ? state.stage.key : undefined
      if (last !== undefined && last.key === key) assert.isDefined(fact)
      if (fact === undefined || key === undefined || !("text" in fact)) {
        last = undefined
        continue
      }
      const age = ageOf(fact.text)
      if (last?.key === key) assert.isAtLeast(age, last.age)
      last = { key, age }
    }
  }, { arbitrary: { seed: 12, runs: 600 } })

  it.prop(
    "a countdown only counts down, and stops at nothing",
    [inputs, waits(0, 400, 1000, 61_000)],
    ([all, passing]) => {
      for (const { state } of moments(all)) {
        let now = nowMs
        let last = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
        for (const ms of passing.slice(0, 4)) {
          now += ms
          const panel = panelIn(viewOf(state, { now }))
          const left = [panel?.banner, panel?.progress].map(secondsIn)
          for (const [index, seconds] of left.entries()) {
            assert.isAtLeast(seconds, 0)
            assert.isAtMost(seconds, last[index] ?? 0)
          }
          last = left
        }
      }
    },
    laws
  )

  it.prop(
    "both languages show the same; what one cannot translate is English and marked so",
    [inputs, places],
    ([all, place]) => {
      const fromWire = /\/(shows|mood|place|chosen|words|scope|is|groups\/\d+|pieces\/\d+\/text)$/
      const shape = (all: ReturnType<typeof texts>) => all.map(([path, text]) => [path, text === ""])
      for (const { state } of moments(all)) {
        const views = [viewOf(state, { place }), viewOf(state, { place, language: "de" })] as const
        const [en, de] = [texts(views[0]), texts(views[1])]
        assert.deepStrictEqual(shape(de), shape(en))
        for (const [index, [path, text]] of de.entries()) {
          if (fromWire.test(path)) assert.strictEqual(text, en[index]?.[1], path)
        }
        for (const part of ["lead", "next"] as const) {
          const [inEnglish, inGerman] = [panelIn(views[0])?.[part], panelIn(views[1])?.[part]]
          if (inGerman?.lang !== "de") assert.deepStrictEqual(inGerman, inEnglish)
          else assert.isTrue(inGerman.text === "" || inGerman.text !== inEnglish?.text, inGerman.text)
        }
      }
    },
    laws
  )

  it.prop("where the stream is lost or refused, that comes first and nothing counts down", [inputs], ([all]) => {
    for (const { state } of moments(all)) {
      const { contact } = state
      const panel = panelIn(viewOf(state))
      if (panel === undefined || (contact !== "lost" && contact !== "refused")) continue
      assert.deepStrictEqual([panel.banner, panel.progress], [english[contact], ""])
    }
  }, laws)

  it.prop("dismissing leaves one control, which shows the same again", [inputs], ([all]) => {
    for (const { state } of moments(all)) {
      const view = viewOf(state)
      if (view.shows !== "dialog") continue
      const dismissed = receive(state, { act: "dismiss" })
      assert.strictEqual(viewOf(dismissed).shows, "pill")
      assert.deepStrictEqual(viewOf(receive(dismissed, { act: "reopen" })), view)
    }
  }, laws)

  it.prop(
    "the button waits while the gateway is asked, and says when the agent could not be told",
    [inputs],
    ([all]) => {
      for (const { before, input, state } of moments(all)) {
        const panel = panelIn(viewOf(state))
        if (panel === undefined) continue
        assert.strictEqual(panel.check.busy, state.stage.is === "pending" && state.check.checking)
        if ("act" in input && input.act === "check-failed") {
          assert.deepStrictEqual([panel.trouble, panel.check.busy], ["The agent could not be told to check.", false])
          assert.strictEqual(announcement(before, state, english), panel.trouble)
        }
        if ("act" in input && input.act === "check-wanted") assert.strictEqual(panel.trouble, "")
        if ("check" in input && receive(initial, input) !== initial) assert.strictEqual(panel.trouble, "")
      }
    },
    laws
  )

  it.prop(
    "nothing is said twice: no message that is the sentence above it, no toast that is announced too",
    [inputs],
    ([all]) => {
      for (const { before, state } of moments(all)) {
        const view = viewOf(state)
        const panel = panelIn(view)
        const message = factIn(panel, english.said)
        if (message !== undefined && "text" in message) assert.notStrictEqual(message.text, panel?.lead.text)
        if (view.shows === "toast") assert.notStrictEqual(announcement(before, state, english), view.sentence)
        assert.isUndefined(announcement(state, state, english))
      }
    },
    laws
  )

  it.prop("a stream that is lost or refused is heard, whatever is shown", [inputs], ([all]) => {
    for (const { before, state } of moments(all)) {
      const { contact } = state
      if (contact === before.contact || (contact !== "lost" && contact !== "refused")) continue
      const view = viewOf(state)
      const heard = view.shows === "toast" ? view.sentence : announcement(before, state, english)
      assert.strictEqual(heard, english[contact])
    }
  }, laws)

  it.prop(
    "each end of a wait is heard: as a toast, or announced where nothing says how it ended",
    [inputs],
    ([all]) => {
      for (const { before, state } of moments(all)) {
        if (before.stage.is !== "pending" || state.stage.is === "pending" || state.stage.is === "halted") continue
        const view = viewOf(state)
        if (view.shows === "toast") {
          const ends = state.stage.is === "over" ? [english.ends[state.stage.end]] : []
          assert.include([...ends, english.lost, english.refused], view.sentence)
        } else assert.strictEqual(announcement(before, state, english), english.cancelled)
      }
    },
    laws
  )
})

const first = [identity, gateway]
const approve = `openclaw devices approve ${requestId}`
const moreScopes = notice("required", requestId, {
  reason: "scope-upgrade",
  requestedScopes: ["operator.approvals", "operator.read"],
  approvedScopes: ["operator.read"],
  connected: true
})
const limited = { ...connected, missingScopes: ["operator.approvals"] }
const shown = (...all: ReadonlyArray<Input>): Panel =>
  panelIn(viewOf(after(...first, ...all))) ?? assert.fail("no dialog")
const said = (panel: Panel) => texts(panel).map(([, text]) => text).join("\n")

describe("PairingView", () => {
  it("a request shows what it is about, its command, the code to compare, and when the gateway is asked again", () => {
    const panel = shown(notice("required"), { check: check(2600) })
    assert.strictEqual(panel.title, "Approve this device")
    assert.strictEqual(
      panel.lead.text,
      "This device is new to the gateway. Approve the device on the gateway host."
    )
    assert.strictEqual(textOf(panel.main), approve)
    assert.strictEqual(panel.main?.label, "Run this where the gateway runs")
    assert.strictEqual(textOf(panel.more), "openclaw devices list")
    assert.deepInclude(panel.code, {
      groups: ["6a1b", "2863", "554d", "c14b", "d5a4"],
      words: "fiddle barley boulder eraser dolphin cymbal ocean cupcake"
    })
    assert.strictEqual(panel.progress, "Asks again in 0:03")
    assert.deepStrictEqual(factIn(panel, "Asked"), { name: "Asked", text: "2 minutes ago" })
    assert.deepStrictEqual(factIn(panel, "Gateway"), {
      name: "Gateway",
      text: "wss://gateway.example:18789/",
      is: "address"
    })
  })

  it("while more scopes wait the device works, and then it is said how the wish ended", () => {
    const panel = shown(limited, moreScopes)
    assert.strictEqual(panel.title, "More scopes wait for approval")
    assert.include(panel.lead.text, english.meanwhile)
    assert.notInclude(said(panel), "goes on as soon as")
    assert.strictEqual(textOf(panel.main), approve)
    const pending = after(...first, limited, moreScopes)
    assert.deepStrictEqual(viewOf(receive(pending, { act: "dismiss" })), {
      shows: "pill",
      text: "More scopes wait for approval"
    })
    for (const outcome of UpgradeEnd.literals) {
      const ended = after(...first, limited, moreScopes, { ...resolved, event: "pairing.cancelled", outcome })
      assert.deepStrictEqual(viewOf(ended), { shows: "toast", sentence: english.ends[outcome], good: false })
      assert.deepStrictEqual(viewOf(receive(ended, { act: "dismiss" })), { shows: "nothing" })
    }
    const widened = after(...first, limited, moreScopes, connected, resolved)
    assert.deepStrictEqual(viewOf(widened), { shows: "toast", sentence: english.ends.widened, good: true })
  })

  it("more scopes that wait do not claim to work while the gateway is out of reach", () => {
    const gone = { event: "waiting", cause: { error: "LinkError", message: "gone" }, retryAt: "2026-11-22T10:00:08Z" }
    const panel = shown(limited, moreScopes, gone)
    assert.notInclude(panel.lead.text, english.meanwhile)
    assert.strictEqual(panel.progress, "Gateway out of reach, next attempt in 0:08")
    assert.include(shown(limited, moreScopes, gone, limited).lead.text, english.meanwhile)
  })

  it("F17, F30: a request that is told six times opens once, and another one opens again", () => {
    let state = after(...first, notice("required"), { act: "dismiss" })
    for (const [index, event] of ["reminder", "required", "renewed", "expiring", "reminder"].entries()) {
      const times = { at: `2026-11-22T1${index}:00:00Z`, ...(index > 2 ? { since: undefined } : {}) }
      state = receive(state, notice(event, requestId, times))
      assert.deepStrictEqual(viewOf(state), { shows: "pill", text: "Approval needed" })
    }
    const second = panelIn(viewOf(receive(state, notice("superseded", "second"))))
    assert.strictEqual(textOf(second?.main), "openclaw devices approve second")
    assert.strictEqual(second?.banner, english.superseded)
    assert.notInclude(JSON.stringify(second), requestId)
  })

  it("a request that is replaced or expires in front of the reader is heard", () => {
    const heard = (next: Input, ...all: ReadonlyArray<Input>) => {
      const before = after(...first, notice("required"), ...all)
      return announcement(before, receive(before, next), english)
    }
    const expired = { ...resolved, event: "pairing.expired" }
    assert.strictEqual(heard(notice("superseded", "second")), english.superseded)
    assert.strictEqual(heard(expired), english.expired)
    assert.isUndefined(heard(notice("superseded")))
    assert.isUndefined(heard(notice("reminder")))
    assert.isUndefined(heard(expired, { act: "dismiss" }))
    assert.isUndefined(heard(expired, expired))
    // What no longer holds is not left to be read.
    assert.strictEqual(heard(notice("renewed"), expired), "")
    assert.strictEqual(heard({ act: "open" }, { act: "lost" }), "")
  })

  it("F24: an empty command is none, and it is said what to do instead", () => {
    const empty = { approve: { argv: [], text: "" }, list: { argv: [], text: " " } }
    const panel = shown(notice("required", requestId, empty))
    assert.deepStrictEqual([panel.main, panel.more], [undefined, undefined])
    assert.strictEqual(panel.note, "There is no command to show. Approve this device with the gateway's own tools.")
  })

  it("F38: a request without an id shows how to list, and nothing that approves", () => {
    const panel = shown(withoutId("required"))
    assert.strictEqual(textOf(panel.main), "openclaw devices list")
    assert.isUndefined(panel.more)
    assert.notInclude(said(panel), "devices approve")
    assert.include(panel.note, "approve it by its request id")
  })

  it("F20: words about approval open nothing; with all words changed, the event still does", () => {
    const text = `pairing required: openclaw devices approve ${requestId}`
    const words = [
      { event: "task.reply", taskId: "words", text },
      { event: "notice", text, message: text },
      { text },
      { event: "waiting", cause: { error: "LinkError", message: text }, retryAt: "" }
    ]
    assert.deepStrictEqual(viewOf(after(...first, ...words)), { shows: "nothing" })
    const others = { approve: { text: "mach auf" }, list: { text: "zeig her" }, note: "sonst nichts" }
    assert.strictEqual(textOf(shown(...words, { ...notice("required"), ...others }).main), "mach auf")
  })

  it("of several places the chosen one gives the commands, else the first; one alone is no choice", () => {
    const places = [
      { place: "host", fill: [], list: { text: "l1" }, approve: { text: "a1" } },
      {
        place: "docker",
        fill: ["", "<container>", "<pod>", "<container>"],
        list: { text: "docker '<container>' l2" },
        approve: { text: "docker '<container>' a2" }
      }
    ]
    const state = after(...first, notice("required", requestId, { places }))
    for (const place of [null, "host", "elsewhere"]) {
      const panel = panelIn(viewOf(state, { place }))
      assert.deepStrictEqual([textOf(panel?.main), panel?.main?.hint, textOf(panel?.more)], ["a1", "", "l1"])
      assert.deepStrictEqual(panel?.places, {
        question: "Where does the gateway run?",
        places: [{ place: "host", name: "On a host" }, { place: "docker", name: "Docker" }],
        chosen: "host"
      })
    }
    const docker = panelIn(viewOf(state, { place: "docker" }))
    assert.strictEqual(docker?.main?.hint, "Replace <container> before you run it.")
    assert.deepStrictEqual(docker?.more?.pieces, [
      { text: "docker '", replace: false },
      { text: "<container>", replace: true },
      { text: "' l2", replace: false }
    ])
    const alone = shown(notice("required", requestId, { places: places.slice(1) }))
    assert.deepStrictEqual([alone.places, textOf(alone.main)], [undefined, approve])
  })

  it("the words to compare are those of the device that the request is for", () => {
    const other = shown(notice("required", requestId, { deviceId: "0".repeat(64) }))
    assert.deepInclude(other.code, { groups: ["0000", "0000", "0000", "0000", "0000"], words: "" })
    assert.isUndefined(shown(notice("required", requestId, { deviceId: "" })).code)
  })

  it("a code without a name here is shown as it is, whatever it is", () => {
    for (const owner of ["somebody", "__proto__", "constructor"]) {
      const panel = shown({ event: "halted", error: { error: owner, reason: owner, message: "m", owner } })
      assert.deepStrictEqual(factIn(panel, "Where to act"), { name: "Where to act", text: owner })
      assert.deepStrictEqual(panel.lead, { text: "m", lang: "en" })
      assert.isUndefined(factIn(panel, "Message"))
    }
  })

  it("what is asked for beyond what was allowed is marked in words", () => {
    const panel = shown(
      notice("required", requestId, { reason: "scope-upgrade", approvedScopes: ["operator.read"] })
    )
    assert.include(panel.lead.text, "This device asks for more than it was allowed.")
    assert.deepStrictEqual(panel.facts.slice(0, 2), [
      {
        name: "Asks for",
        scopes: [{ scope: "operator.read", added: "" }, { scope: "operator.write", added: "new" }]
      },
      { name: "Allowed so far", scopes: [{ scope: "operator.read", added: "" }] }
    ])
  })

  it("G16: a halt says what happened, where to act, the command and what comes next; a new attempt ends it", () => {
    const halted = {
      event: "halted",
      error: {
        error: "OriginNotAllowed",
        message: "the gateway does not allow the origin",
        owner: "gateway host",
        advice: "It is closed. Open it. Command: openclaw open <origin>",
        command: "openclaw open <origin>",
        next: "It waits."
      }
    }
    const panel = shown(halted)
    assert.strictEqual(panel.title, "Not connected")
    assert.deepStrictEqual(panel.lead, { text: "It is closed. Open it.", lang: "en" })
    assert.deepStrictEqual(panel.next, { text: "It waits.", lang: "en" })
    assert.deepStrictEqual(panel.facts.slice(0, 2), [
      { name: "Message", text: "the gateway does not allow the origin", is: "english" },
      { name: "Where to act", text: "the gateway host" }
    ])
    assert.strictEqual(textOf(panel.main), "openclaw open <origin>")
    assert.strictEqual(panel.main?.hint, "Replace <origin> before you run it.")
    assert.strictEqual(panel.check.text, "Try again")
    assert.deepStrictEqual(viewOf(after(...first, halted, { event: "connecting", attempt: 1 })), { shows: "nothing" })
  })

  it("an expired request keeps its scopes and shows no command; while it only expires, its last time is counted", () => {
    const expiresAt = new Date(nowMs + 48_000).toISOString()
    const expiring = shown(notice("required"), notice("expiring", requestId, { expiresAt }))
    assert.strictEqual(
      expiring.banner,
      "The gateway is not being asked at the moment and drops this request in 0:48."
    )
    assert.strictEqual(textOf(expiring.main), approve)
    const expired = shown(notice("required"), { ...resolved, event: "pairing.expired" })
    assert.deepStrictEqual([expired.mood, expired.title], ["alert", "The request has expired"])
    assert.deepStrictEqual([expired.main, expired.more, expired.code], [undefined, undefined, undefined])
    assert.strictEqual(expired.lead.text, english.expired)
    assert.isDefined(factIn(expired, "Asks for"))
  })

  it("a lost contact is said before all, and taken back", () => {
    const lost = shown(notice("required"), { act: "open" }, { act: "lost" })
    assert.strictEqual(lost.banner, english.lost)
    const back = shown(notice("required"), { act: "open" }, { act: "lost" }, { act: "open" })
    assert.strictEqual(back.banner, "")
    assert.strictEqual(textOf(back.main), approve)
    assert.deepStrictEqual(viewOf(after({ act: "lost" })), { shows: "toast", sentence: english.lost, good: false })
    const over = after(...first, notice("required"), resolved)
    assert.deepStrictEqual(viewOf(after({ act: "open" })), { shows: "nothing" })
    assert.deepStrictEqual(viewOf(receive(over, { act: "lost" })), {
      shows: "toast",
      sentence: english.lost,
      good: false
    })
    assert.deepStrictEqual(viewOf(receive(receive(over, { act: "lost" }), { act: "open" })), viewOf(over))
  })

  it("speaks German", () => {
    const panel = panelIn(viewOf(after(...first, notice("required")), { language: "de" }))
    assert.strictEqual(panel?.title, "Dieses Gerät freigeben")
    assert.include(panel?.lead.text, "Dieses Gerät ist dem Gateway neu.")
    assert.deepStrictEqual(factIn(panel, "Gefragt"), { name: "Gefragt", text: "vor 2 Minuten" })
  })
})
