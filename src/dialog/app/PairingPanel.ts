/**
 * The modal dialog and all that stands in it.
 */
import { makeCommandBox } from "./CommandBox.ts"
import { h, icon, setChildren, setText } from "./Dom.ts"
import { makeFactList } from "./FactList.ts"
import { makeLiveRegion } from "./LiveRegion.ts"
import type { DeviceCode, Panel, Sentence } from "./PairingView.ts"
import { makePlaceChoice } from "./PlaceChoice.ts"

const icons = {
  device: ["M4 5h16v11H4z", "M9 20h6", "M12 16v4"],
  alert: ["M12 4L2.8 20h18.4z", "M12 10v4", "M12 17v.1"],
  dismiss: ["M6 6l12 12", "M18 6L6 18"]
}

export interface PairingPanel {
  readonly dialog: HTMLDialogElement
  readonly show: (panel: Panel) => void
  /** Tells a screen reader; while the dialog is open nothing outside of it is heard. */
  readonly say: (sentence: string) => void
  /** What has the focus first. */
  readonly start: () => HTMLElement
}

/** What the reader does. */
export interface PanelActions {
  readonly dismiss: () => void
  readonly check: () => void
  /** Another place was chosen. */
  readonly place: () => void
}

export const makePairingPanel = (actions: PanelActions): PairingPanel => {
  const region = makeLiveRegion()
  const badge = h("span", { class: "badge" })
  const title = h("h2", { id: "title" })
  const dismiss = h("button", { type: "button", class: "dismiss" }, icon(...icons.dismiss))
  const banner = h("p", { class: "banner" })
  const lead = h("p", { id: "lead", class: "lead" })
  const places = makePlaceChoice(actions.place)
  const main = makeCommandBox(region.say)
  const note = h("p", { class: "note" })
  const code = makeDeviceCode()
  const listing = makeCommandBox(region.say)
  const summary = h("summary")
  const more = h("details", { class: "more" }, summary, listing.element)
  const facts = makeFactList()
  const next = h("p", { class: "next" })
  const progress = h("p", { class: "progress" })
  const trouble = h("p", { class: "trouble" })
  const check = h("button", { type: "button", class: "check" })
  const dialog = h(
    "dialog",
    { "aria-labelledby": "title", "aria-describedby": "lead" },
    h("div", { class: "head" }, badge, title, dismiss),
    h(
      "div",
      { class: "body" },
      banner,
      lead,
      places.element,
      main.element,
      note,
      code.element,
      more,
      facts.element,
      next
    ),
    h("div", { class: "foot" }, h("div", {}, progress, trouble), check),
    region.element
  )
  let busy = false
  dismiss.addEventListener("click", actions.dismiss)
  check.addEventListener("click", () => {
    if (!busy) actions.check()
  })

  return {
    dialog,
    say: region.say,
    start: () => main.element.hidden ? check : main.button,
    show: (panel) => {
      dialog.dataset["mood"] = panel.mood
      setChildren(badge, panel.mood, () => [icon(...icons[panel.mood])])
      setText(title, panel.title)
      dismiss.title = panel.dismiss
      dismiss.setAttribute("aria-label", panel.dismiss)
      setText(banner, panel.banner)
      banner.hidden = panel.banner === ""
      showSentence(lead, panel.lead)
      places.show(panel.places)
      main.show(panel.main)
      setText(note, panel.note)
      code.show(panel.code)
      more.hidden = panel.more === undefined
      setText(summary, panel.more?.label ?? "")
      listing.show(panel.more)
      facts.show(panel.facts)
      showSentence(next, panel.next)
      setText(progress, panel.progress)
      progress.classList.toggle("busy", panel.progress !== "")
      setText(trouble, panel.trouble)
      setText(check, panel.check.text)
      busy = panel.check.busy
      // Not `disabled`, which would take the focus away.
      if (busy) check.setAttribute("aria-disabled", "true")
      else check.removeAttribute("aria-disabled")
    }
  }
}

const showSentence = (element: HTMLElement, { lang, text }: Sentence): void => {
  setText(element, text)
  element.lang = lang
}

const makeDeviceCode = () => {
  const title = h("h3", { id: "code-title" })
  const digits = h("p", { class: "digits", dir: "ltr", translate: "no" })
  const words = h("p", { class: "words", dir: "ltr", translate: "no", lang: "en" })
  const help = h("p", { class: "help" })
  const element = h("section", { class: "code", "aria-labelledby": "code-title" }, title, digits, words, help)
  return {
    element,
    show: (code: DeviceCode | undefined) => {
      element.hidden = code === undefined
      if (code === undefined) return
      setText(title, code.title)
      setChildren(digits, code.groups.join("-"), () => code.groups.map((group) => h("span", {}, group)))
      setText(words, code.words)
      words.hidden = code.words === ""
      setText(help, code.help)
    }
  }
}
