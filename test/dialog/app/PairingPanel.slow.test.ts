import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import type { Page } from "playwright-core"
import { messagesFor } from "../../../src/dialog/app/Messages.ts"
import type { Command, PairingView } from "../../../src/dialog/app/PairingView.ts"
import { pairingView } from "../../../src/dialog/app/PairingView.ts"
import type { Input } from "./support/Inputs.ts"
import { hostInputs, moments, places } from "./support/Inputs.ts"
import { check, notice, nowMs, resolved } from "./support/States.ts"
import { suite } from "./support/Suite.ts"

/** What a reader has in front of them, and the states that a screen reader tells. */
interface Seen {
  /** Without spaces, as lines are broken at will. */
  readonly dialog: string | undefined
  readonly mood: string | undefined
  readonly dismiss: string | undefined
  readonly busy: boolean
  readonly chosen: string | undefined
  readonly marked: ReadonlyArray<string>
  readonly languages: ReadonlyArray<string | undefined>
  readonly pill: string | undefined
  readonly toast: string | undefined
  readonly good: boolean
}

/**
 * What a new element shows after each of the inputs, and then in the other language. They go over as JSON, so that no half of a
 * character is lost.
 */
const seen = (
  page: Page,
  inputs: ReadonlyArray<Input>,
  language: string,
  place: string
): Promise<ReadonlyArray<Seen>> =>
  page.evaluate(({ json, language, place }) => {
    localStorage.setItem("openclaw-pairing-place", place)
    const element = document.createElement("openclaw-pairing-dialog")
    element.lang = language
    document.body.append(element)
    const find = <E extends Element = HTMLElement>(selector: string, within?: ParentNode) =>
      (within ?? element.shadowRoot)?.querySelector<E>(selector) ?? undefined
    const text = (one: HTMLElement | undefined) => one?.innerText.replaceAll(/\s/g, "")
    const read = () => {
      const dialog = find<HTMLDialogElement>("dialog")
      const pill = find(".pill")
      const outside = find("[role=status].toast")
      const heard = find("[role=status]", dialog)
      const more = find<HTMLDetailsElement>("details")
      if (heard !== undefined) heard.hidden = true
      if (more !== undefined) more.open = true
      const open = dialog?.open === true
      const all = (selector: string) =>
        open ? [...dialog.querySelectorAll<HTMLElement>(selector)].filter((one) => one.checkVisibility()) : []
      return {
        dialog: open ? text(dialog) : undefined,
        mood: open ? dialog.dataset["mood"] : undefined,
        dismiss: open ? find(".dismiss")?.getAttribute("aria-label") ?? undefined : undefined,
        busy: open && find(".check")?.getAttribute("aria-disabled") === "true",
        chosen: all(".places input:checked").map((one) => one.getAttribute("value") ?? "").at(-1),
        marked: all("mark").map((one) => one.textContent ?? ""),
        languages: open ? [find(".lead")?.lang, find(".next")?.lang] : [],
        pill: text(pill?.checkVisibility() === true ? pill : undefined),
        toast: text(outside),
        good: outside?.classList.contains("good") === true
      }
    }
    const inputs: ReadonlyArray<Readonly<Record<string, never>>> = JSON.parse(json)
    const all = inputs.map((input) => {
      if (input["act"] === "dismiss") find(".dismiss")?.click()
      else if (input["act"] === "reopen") find(".pill")?.click()
      else Reflect.set(element, "event", input)
      return read()
    })
    element.lang = language === "de" ? "en" : "de"
    all.push(read())
    element.remove()
    return all
  }, { json: JSON.stringify(inputs), language, place })

const box = (command: Command | undefined): ReadonlyArray<string> =>
  command === undefined
    ? []
    : [command.label, ...command.pieces.map(({ text }) => text), command.copy.copy, command.hint]

/** The same as data. */
const expected = (view: PairingView): Seen => {
  const nothing: Seen = {
    dialog: undefined,
    mood: undefined,
    dismiss: undefined,
    busy: false,
    chosen: undefined,
    marked: [],
    languages: [],
    pill: undefined,
    toast: undefined,
    good: false
  }
  const joined = (...texts: ReadonlyArray<string>) => texts.join("").replaceAll(/\s/g, "")
  if (view.shows === "nothing") return nothing
  if (view.shows === "pill") return { ...nothing, pill: joined(view.text) }
  if (view.shows === "toast") return { ...nothing, toast: joined(view.sentence), good: view.good }
  const { panel } = view
  const { code, places } = panel
  return {
    ...nothing,
    dialog: joined(
      panel.title,
      panel.banner,
      panel.lead.text,
      ...(places === undefined ? [] : [places.question, ...places.places.map(({ name }) => name)]),
      ...box(panel.main),
      panel.note,
      ...(code === undefined ? [] : [code.title, ...code.groups, code.words, code.help]),
      panel.more?.label ?? "",
      ...box(panel.more),
      ...panel.facts.flatMap((fact) => [
        fact.name,
        ..."scopes" in fact ? fact.scopes.flatMap(({ added, scope }) => [scope, added]) : [fact.text]
      ]),
      panel.next.text,
      panel.progress,
      panel.trouble,
      panel.check.text
    ),
    mood: panel.mood,
    dismiss: panel.dismiss,
    busy: panel.check.busy,
    chosen: places?.chosen,
    marked: [panel.main, panel.more].flatMap((command) =>
      command?.pieces.flatMap(({ replace, text }) => replace ? [text] : []) ?? []
    ),
    languages: [panel.lead.lang, panel.next.lang]
  }
}

const standStill = async (page: Page) => {
  await page.clock.install({ time: nowMs })
  await page.clock.pauseAt(nowMs)
}

describe("the parts", () => {
  const { page: withPage } = suite()

  it("show exactly what PairingView says, whatever happens and in whatever order", () =>
    withPage({
      prepare: standStill
    }, async ({ page, trouble }) => {
      const courses = await Effect.runPromise(
        Arbitrary.sampleEffect(Arbitrary.all([hostInputs, places]), { seed: 21, count: 120, size: 10 })
      )
      const known: readonly [ReadonlyArray<Input>, string] = [
        [notice("required"), { act: "dismiss" }, { act: "reopen" }, notice("superseded", "second"), resolved],
        ""
      ]
      for (const [index, [inputs, place]] of [known, ...courses].entries()) {
        const language = index % 3 === 2 ? "de" : "en"
        const shown = await seen(page, inputs, language, place)
        const course = moments(inputs)
        const expectedNow = (at: number, spoken: string) => {
          const { state } = course[at] ?? assert.fail()
          return expected(pairingView({ state, ...messagesFor(spoken), place, nowMs }))
        }
        for (const at of course.keys()) {
          assert.deepStrictEqual(
            shown[at],
            expectedNow(at, language),
            JSON.stringify([inputs.slice(0, at + 1), place, language])
          )
        }
        assert.deepStrictEqual(shown.at(-1), expectedNow(course.length - 1, language === "de" ? "en" : "de"))
      }
      assert.deepStrictEqual(trouble, [])
    }))

  it("follow the clock by themselves", () =>
    withPage({ events: [notice("required")], prepare: standStill }, async ({ agent, page }) => {
      await page.getByRole("dialog").waitFor()
      agent.check(check(62_000))
      await page.getByText("Asks again in 1:02").waitFor()
      await page.clock.runFor(3000)
      assert.strictEqual(await page.getByText("Asks again in").innerText(), "Asks again in 0:59")
      await page.getByText("2 minutes ago").waitFor()
      await page.clock.runFor(60_000)
      await page.getByText("3 minutes ago").waitFor()
    }))
})
