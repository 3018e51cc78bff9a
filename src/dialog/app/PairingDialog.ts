/**
 * `<openclaw-pairing-dialog>`: shows a person what an agent needs so that its gateway lets it in, until it does.
 *
 * - attribute `src`: the agent's event stream; `check-now` is expected beside it. Without it, the host sets `event`.
 * - attribute `lang`: `en` or `de`; otherwise that of the nearest ancestor that has one, otherwise English.
 * - property `token`: sent to the stream as `Authorization: Bearer`. Until it is set, no request is sent. Set it to `""` where
 *   none is needed because cookies say who asks. Never an attribute, as those can be read by styles.
 * - property `event`: set to each AgentEvent, or `{ check }`, as it comes, by hosts with a channel of their own.
 * - event `openclaw-agent-event`: each AgentEvent, as received. `openclaw-contact`: `open`, `lost`, `refused`.
 * - event `openclaw-check-now`: the reader wants the gateway asked at once. Unless it is cancelled and with `src`, the
 *   element tells the agent itself.
 *
 * It writes nothing to the console and needs no inline script, style or `eval`.
 */
import type { AgentEvent } from "../../protocol/AgentEvent.ts"
import { ago, left } from "./Clock.ts"
import type { CommandBox } from "./CommandBox.ts"
import { makeCommandBox } from "./CommandBox.ts"
import type { Contact, DialogState, Happening } from "./DialogState.ts"
import { endOf, initial, step } from "./DialogState.ts"
import { h, icon, setChildren, setText } from "./Dom.ts"
import type { Failure, PlaceCommands, Request } from "./EventReader.ts"
import { parseJson, readCheck, readEvent } from "./EventReader.ts"
import { bearer, openStream } from "./EventStream.ts"
import type { Advice, Messages } from "./Messages.ts"
import { adviceOn, messagesFor } from "./Messages.ts"
import css from "./PairingDialog.css"

/** How the agent stands with its next question to the gateway. */
export interface CheckEvent {
  readonly check: { readonly checking: boolean; readonly nextCheckAt: string | null }
}

export interface PairingDialogEvents {
  readonly "openclaw-agent-event": CustomEvent<AgentEvent>
  readonly "openclaw-contact": CustomEvent<Contact>
  readonly "openclaw-check-now": CustomEvent<undefined>
}

const tag = "openclaw-pairing-dialog"
const placeKey = "openclaw-pairing-place"
/** How long the end of a wait is told. */
const overForMs = 6000
const isBroken = (contact: Contact): contact is "lost" | "refused" => contact === "lost" || contact === "refused"
/** In what time a stream that is back has told everything that stands. */
const catchUpMs = 1000

const icons = {
  device: ["M4 5h16v11H4z", "M9 20h6", "M12 16v4"],
  alert: ["M12 4L2.8 20h18.4z", "M12 10v4", "M12 17v.1"],
  dismiss: ["M6 6l12 12", "M18 6L6 18"]
}

/** Imported where there is no page, the class can be named but not used. */
const Base: typeof HTMLElement = typeof HTMLElement === "undefined" ? class {} as typeof HTMLElement : HTMLElement

export class OpenClawPairingDialog extends Base {
  static readonly observedAttributes = ["src", "lang"]

  #state: DialogState = initial
  #token: string | undefined
  #last: AgentEvent | CheckEvent | undefined
  #parts: Parts | undefined
  #closeStream: (() => void) | undefined
  #starting = false
  #caughtUp: ReturnType<typeof setTimeout> | undefined
  #closing: ReturnType<typeof setTimeout> | undefined
  #ticking: ReturnType<typeof setInterval> | undefined
  /** Where the focus was when the dialog opened by itself, and whether the reader has opened it again since. */
  #returnTo: HTMLElement | undefined
  #byHand = false

  /**
   * Sent to the stream as `Authorization: Bearer`. While it is `undefined` the element waits and sends nothing, so that no
   * request can be made before the page's own script has said which token it has. `""` says that none is needed, for
   * example where the agent's stream is behind a cookie. Another value opens the stream anew.
   */
  get token(): string | undefined {
    return this.#token
  }
  set token(value: string | undefined) {
    // React takes a property back with null.
    const token = value ?? undefined
    if (token === this.#token) return
    this.#token = token
    this.#restart()
  }

  /** Tells the dialog one event of the agent, already parsed, or the state of its checks. What it does not know it ignores. */
  get event(): AgentEvent | CheckEvent | undefined {
    return this.#last
  }
  set event(value: AgentEvent | CheckEvent | undefined) {
    if (value === undefined || value === null) return
    this.#last = value
    this.#receive(value)
  }

  get src(): string {
    return this.getAttribute("src") ?? ""
  }
  set src(value: string) {
    this.setAttribute("src", value)
  }

  /** Asks the agent to ask its gateway now. */
  checkNow(): void {
    const asked = new CustomEvent("openclaw-check-now", { bubbles: true, composed: true, cancelable: true })
    if (this.dispatchEvent(asked) && this.src !== "" && this.#token !== undefined) void this.#postCheckNow()
  }

  connectedCallback(): void {
    for (const name of ["token", "event", "src"] as const) this.#upgrade(name)
    const parts = this.#parts ?? this.#build()
    this.#parts = parts
    this.#ticking ??= setInterval(() => this.#renderTimes(), 1000)
    this.#restart()
    this.#render()
  }

  disconnectedCallback(): void {
    this.#closeStream?.()
    this.#closeStream = undefined
    clearTimeout(this.#caughtUp)
    clearTimeout(this.#closing)
    clearInterval(this.#ticking)
    this.#ticking = undefined
    if (this.#parts?.dialog.open === true) this.#parts.dialog.close()
  }

  attributeChangedCallback(name: string): void {
    if (name === "src") this.#restart()
    else this.#render()
  }

  /** A property that was set before this class was known hides the accessor: it is taken over. */
  #upgrade(name: "token" | "event" | "src"): void {
    const descriptor = Object.getOwnPropertyDescriptor(this, name)
    if (descriptor === undefined) return
    Reflect.deleteProperty(this, name)
    Reflect.set(this, name, descriptor.value)
  }

  /** Once for all that is set in the same turn. */
  #restart(): void {
    if (this.#starting || !this.isConnected) return
    this.#starting = true
    queueMicrotask(() => {
      this.#starting = false
      this.#closeStream?.()
      this.#closeStream = undefined
      const token = this.#token
      if (!this.isConnected || this.src === "" || token === undefined) return
      this.#closeStream = openStream({
        url: new URL(this.src, document.baseURI),
        token,
        onEvent: (name, data) => {
          const value = parseJson(data)
          if (name === "check") this.#receive({ check: value })
          else if (name === "agent") this.#receive(value)
        },
        onContact: (contact) => {
          this.#happen({ event: "contact", contact })
          this.dispatchEvent(new CustomEvent("openclaw-contact", { detail: contact, bubbles: true, composed: true }))
          clearTimeout(this.#caughtUp)
          if (contact === "open") this.#caughtUp = setTimeout(() => this.#happen({ event: "caught-up" }), catchUpMs)
        }
      })
    })
  }

  #receive(value: unknown): void {
    if (typeof value === "object" && value !== null && "check" in value) {
      const check = readCheck(value.check)
      if (check !== undefined) this.#happen({ event: "check", check })
      return
    }
    const event = readEvent(value)
    if (event !== undefined) this.#happen(event)
    this.dispatchEvent(new CustomEvent("openclaw-agent-event", { detail: value, bubbles: true, composed: true }))
  }

  async #postCheckNow(): Promise<void> {
    const url = new URL("check-now", new URL(this.src, document.baseURI))
    this.#happen({ event: "check", check: { ...this.#state.check, checking: true } })
    const response = await fetch(url, { method: "POST", headers: bearer(this.#token) }).catch(() => undefined)
    if (response?.ok === true) return
    this.#happen({ event: "check", check: { ...this.#state.check, checking: false } })
    this.#tell(this.#messages().notAsked)
    const { trouble } = this.#parts ?? {}
    if (trouble !== undefined) setText(trouble, this.#messages().notAsked)
  }

  #happen(happening: Happening): void {
    const before = this.#state
    this.#state = step(before, happening)
    if (this.#state === before) return
    if (this.#state.open && !before.open) {
      this.#byHand = happening.event === "reopen"
      const focused = document.activeElement
      if (!this.#byHand) {
        this.#returnTo = focused instanceof HTMLElement && focused !== document.body
          ? focused
          : undefined
      }
    }
    if (this.#parts !== undefined) setText(this.#parts.trouble, "")
    this.#render()
    this.#announce(before, happening)
  }

  #messages(): Messages {
    return this.#spoken().messages
  }
  #spoken() {
    const tagged = this.getAttribute("lang") ?? this.closest("[lang]")?.getAttribute("lang") ?? "en"
    return messagesFor(tagged)
  }

  /** In a modal dialog nothing outside is heard, so the sentence is told where the reader is. */
  #tell(sentence: string): void {
    const parts = this.#parts
    if (parts === undefined) return
    const region = parts.dialog.open ? parts.inside : parts.outside
    region.textContent = ""
    region.append(h("p", {}, sentence))
  }

  #announce(before: DialogState, happening: Happening): void {
    const messages = this.#messages()
    const { contact, open, view } = this.#state
    if ((view.is === "over" || view.is === "idle") && before.view.is === "pending") {
      const end = endOf(before, happening)
      this.#tell(end === undefined ? messages.cancelled : messages.ends[end])
    } else if (view.is === "pending" && open) {
      const { view: old } = before
      if (old.is !== "pending" || old.phase === view.phase) return
      if (view.phase === "expired") this.#tell(messages.expired)
    } else if (contact !== before.contact && isBroken(contact)) {
      this.#tell(messages[contact])
    }
  }

  #dismiss(): void {
    this.#happen({ event: "dismiss" })
  }

  #build(): Parts {
    const root = this.attachShadow({ mode: "open", delegatesFocus: false })
    const sheet = new CSSStyleSheet()
    sheet.replaceSync(css)
    root.adoptedStyleSheets = [sheet]
    const tell = (sentence: string) => this.#tell(sentence)

    const badge = h("span", { class: "badge" })
    const title = h("h2", { id: "title", tabindex: "-1" })
    const dismiss = h("button", { type: "button", class: "dismiss" }, icon(...icons.dismiss))
    const banner = h("p", { class: "banner" })
    const lead = h("p", { id: "lead", class: "lead" })
    const place = h("fieldset", { class: "places" })
    const main = makeCommandBox(tell)
    const note = h("p", { class: "note" })
    const first = makeCommandBox(tell)
    const more = h("details", { class: "more" }, h("summary"), first.element)
    const code = h("section", { class: "code", "aria-labelledby": "code-title" })
    const codeTitle = h("h3", { id: "code-title" })
    const digits = h("p", { class: "digits", dir: "ltr", translate: "no" })
    const words = h("p", { class: "words", dir: "ltr", translate: "no", lang: "en" })
    const codeHelp = h("p", { class: "help" })
    code.append(codeTitle, digits, words, codeHelp)
    const facts = h("dl", { class: "facts" })
    const asked = h("dd")
    const next = h("p", { class: "next" })
    const progress = h("p", { class: "progress" })
    const trouble = h("p", { class: "trouble" })
    const check = h("button", { type: "button", class: "check" })
    const inside = h("div", { role: "status", class: "offscreen" })
    const outside = h("div", { role: "status", class: "offscreen" })
    const body = h("div", { class: "body" }, banner, lead, place, main.element, note, code, more, facts, next)
    const foot = h("div", { class: "foot" }, h("div", {}, progress, trouble), check)
    const dialog = h(
      "dialog",
      { "aria-labelledby": "title", "aria-describedby": "lead" },
      h("div", { class: "head" }, badge, title, dismiss),
      body,
      foot,
      inside
    )
    const pill = h("button", { type: "button", class: "pill", "aria-haspopup": "dialog" }, h("span", { class: "dot" }))
    const pillText = h("span")
    pill.append(pillText)
    root.append(dialog, pill, outside)

    dismiss.addEventListener("click", () => this.#dismiss())
    // Esc, and the back gesture.
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault()
      this.#dismiss()
    })
    // Browsers let a second Esc close the dialog all the same. This is told later: it may be open again by then.
    dialog.addEventListener("close", () => {
      if (!dialog.open && this.#state.open && this.isConnected) this.#dismiss()
    })
    pill.addEventListener("click", () => this.#happen({ event: "reopen" }))
    check.addEventListener("click", () => {
      if (check.getAttribute("aria-disabled") !== "true") this.checkNow()
    })
    place.addEventListener("change", ({ target }) => {
      if (!(target instanceof HTMLInputElement)) return
      remember(target.value)
      this.#render()
    })
    return {
      asked,
      badge,
      banner,
      body,
      check,
      code,
      codeHelp,
      codeTitle,
      dialog,
      digits,
      dismiss,
      facts,
      first,
      inside,
      lead,
      main,
      more,
      next,
      note,
      outside,
      pill,
      pillText,
      place,
      progress,
      title,
      trouble,
      words
    }
  }

  #render(): void {
    const parts = this.#parts
    if (parts === undefined) return
    const { language, messages } = this.#spoken()
    const { view } = this.#state
    parts.dialog.lang = language
    parts.pill.lang = language
    parts.dismiss.title = messages.dismiss
    parts.dismiss.setAttribute("aria-label", messages.dismiss)
    if (view.is === "pending") this.#renderPending(parts, messages, language, view)
    else if (view.is === "halted") this.#renderHalted(parts, messages, view.failure)
    this.#renderTimes()
    this.#renderOpen(parts, messages)
  }

  #renderPending(
    parts: Parts,
    messages: Messages,
    language: string,
    { phase, request, superseded }: Extract<DialogState["view"], { readonly is: "pending" }>
  ): void {
    const alive = phase !== "expired"
    const advice = pairingAdvice(messages, request)
    const title = request.connected ? messages.titles.more : messages.titles.required
    const meanwhile = request.connected && this.#state.connection !== "waiting"
    for (const part of [parts.lead, parts.next]) part.lang = language
    this.#renderHead(parts, alive ? "device" : "alert", alive ? title : messages.titles.expired)
    const lead = [advice.problem, ...(meanwhile ? [messages.meanwhile] : []), advice.action]
    setText(parts.lead, alive ? lead.join(" ") : messages.expired)
    this.#renderBanner(parts, superseded && alive ? messages.superseded : "")
    const commands = alive ? this.#renderPlaces(parts, messages, request) : undefined
    parts.place.hidden = commands === undefined || request.places.length < 2
    const fill = commands?.fill ?? []
    const { approve, list } = commands ?? {}
    if (approve === undefined) {
      parts.main.show(messages, messages.runFirst, list, fill)
      parts.more.hidden = true
    } else {
      parts.main.show(messages, messages.run, approve, fill)
      parts.more.hidden = list === undefined
      const summary = parts.more.querySelector("summary")
      if (summary !== null) setText(summary, messages.runList)
      parts.first.show(messages, messages.runList, list, fill)
    }
    const notes = [
      alive && approve === undefined ? (list === undefined ? messages.noCommand : messages.noRequestId) : "",
      alive && commands?.fill !== undefined ? request.note ?? "" : ""
    ].filter((sentence) => sentence !== "")
    setText(parts.note, notes.join(" "))
    parts.note.hidden = notes.length === 0
    this.#renderCode(parts, messages, alive ? request.deviceId : "")
    setText(parts.next, alive && !meanwhile ? advice.next : "")
    this.#renderFacts(
      parts,
      [
        ...scopeFacts(messages, request),
        ...(this.#state.gateway === "" ? [] : [[messages.gateway, [ltr(this.#state.gateway)]] as const]),
        ...(request.since === undefined ? [] : [[messages.asked, [parts.asked]] as const])
      ],
      JSON.stringify([language, request.requested, request.approved, this.#state.gateway, request.since === undefined])
    )
    setText(parts.check, messages.checkNow)
    parts.check.hidden = false
  }

  #renderHalted(
    parts: Parts,
    messages: Messages,
    { advice, command, error, message, next, owner, reason }: Failure
  ): void {
    const known = adviceOn(messages, error, reason)
    // Told in the language of the agent, which is English, where ours has no words for it.
    const told = known === undefined ? withoutCommand(advice ?? "", command) : `${known.problem} ${known.action}`
    this.#renderHead(parts, "alert", messages.titles.halted)
    this.#renderBanner(parts, "")
    setText(parts.lead, told === "" ? message : told)
    setText(parts.next, known?.next ?? next ?? "")
    for (const part of [parts.lead, parts.next]) part.lang = known === undefined ? "en" : parts.dialog.lang
    this.#renderNothingToRun(parts, messages)
    parts.main.show(messages, messages.command, command, command?.match(/<[^>]+>/g) ?? [])
    const { gateway } = this.#state
    this.#renderFacts(parts, [
      ...(message === "" || message === told ? [] : [[messages.said, [h("span", { lang: "en" }, message)]] as const]),
      ...(owner === undefined ? [] : [[messages.responsible, [named(messages.owners, owner)]] as const]),
      ...(gateway === "" ? [] : [[messages.gateway, [ltr(gateway)]] as const])
    ], JSON.stringify([messages.said, error, reason, message, owner, gateway]))
    setText(parts.check, messages.tryAgain)
    parts.check.hidden = false
  }

  #renderNothingToRun(parts: Parts, messages: Messages): void {
    parts.place.hidden = true
    parts.more.hidden = true
    parts.note.hidden = true
    parts.main.show(messages, "", undefined)
    this.#renderCode(parts, messages, "")
    this.#renderFacts(parts, [], "")
  }

  #renderHead(parts: Parts, shape: "device" | "alert", title: string): void {
    parts.dialog.dataset["mood"] = shape
    setChildren(parts.badge, shape, () => [icon(...icons[shape])])
    setText(parts.title, title)
  }

  /** What comes first: that nothing can be trusted, then what changed. */
  #renderBanner(parts: Parts, sentence: string): void {
    const { contact } = this.#state
    const told = isBroken(contact) ? this.#messages()[contact] : sentence
    setText(parts.banner, told)
    parts.banner.hidden = told === ""
  }

  /** Shows the choice of places, and answers the commands of the one that is chosen. */
  #renderPlaces(parts: Parts, messages: Messages, request: Request): Partial<PlaceCommands> {
    const { places } = request
    if (places.length < 2) return { ...request, fill: [] }
    const wanted = remembered()
    const chosen = places.find(({ place }) => place === wanted) ?? places[0]
    setChildren(parts.place, JSON.stringify([messages.place, places.map(({ place }) => place)]), () => [
      h("legend", {}, messages.place),
      ...places.map(({ place }) =>
        h(
          "label",
          {},
          h("input", { type: "radio", name: "place", value: place }),
          h("span", {}, named(messages.places, place))
        )
      )
    ])
    for (const input of parts.place.querySelectorAll("input")) input.checked = input.value === chosen?.place
    return chosen ?? request
  }

  #renderCode(parts: Parts, messages: Messages, deviceId: string): void {
    const { identity } = this.#state
    const groups = deviceId.slice(0, 20).match(/.{4}/g) ?? []
    parts.code.hidden = groups.length === 0
    setText(parts.codeTitle, messages.compare)
    setText(parts.codeHelp, messages.compareHelp)
    setChildren(parts.digits, groups.join("-"), () => groups.map((group) => h("span", {}, group)))
    const words = identity?.deviceId === deviceId ? identity.words : ""
    setText(parts.words, words)
    parts.words.hidden = words === ""
  }

  #renderFacts(
    parts: Parts,
    facts: ReadonlyArray<readonly [string, ReadonlyArray<Node | string>]>,
    shows: string
  ): void {
    parts.facts.hidden = facts.length === 0
    setChildren(
      parts.facts,
      shows,
      () =>
        facts.map(([name, values]) =>
          h("div", {}, h("dt", {}, name), values[0] === parts.asked ? parts.asked : h("dd", {}, ...values))
        )
    )
  }

  /** All that changes with time alone. Not announced: it would never be silent. */
  #renderTimes(): void {
    const parts = this.#parts
    if (parts === undefined) return
    const { language, messages } = this.#spoken()
    const { check, connection, contact, retryAt, view } = this.#state
    const now = Date.now()
    const waits = view.is === "pending"
    const checking = waits && check.checking
    if (waits) {
      const { phase, request } = view
      if (request.since !== undefined) setText(parts.asked, ago(language, request.since, now))
      if (phase === "expiring" && request.expiresAt !== undefined && !isBroken(contact)) {
        this.#renderBanner(parts, messages.expiring(left(request.expiresAt, now)))
      }
    }
    const { nextCheckAt } = check
    setText(
      parts.progress,
      !waits || isBroken(contact)
        ? ""
        : checking
        ? messages.checking
        : connection === "waiting" && retryAt !== undefined
        ? messages.unreachable(left(retryAt, now))
        : nextCheckAt !== undefined
        ? messages.nextCheck(left(nextCheckAt, now))
        : messages.waiting
    )
    parts.progress.classList.toggle("busy", parts.progress.textContent !== "")
    if (checking) parts.check.setAttribute("aria-disabled", "true")
    else parts.check.removeAttribute("aria-disabled")
  }

  #renderOpen(parts: Parts, messages: Messages): void {
    const { contact, open, view } = this.#state
    clearTimeout(this.#closing)
    const pending = (view.is === "pending" || view.is === "halted") && !open
    const over = view.is === "over"
    const troubled = view.is === "idle" && isBroken(contact)
    setText(
      parts.pillText,
      view.is === "pending" && view.request.connected
        ? messages.titles.more
        : messages.reopen[view.is === "halted" ? "halted" : "pending"]
    )
    parts.pill.hidden = !pending
    parts.outside.classList.toggle("offscreen", !troubled && !over)
    parts.outside.classList.toggle("toast", troubled || over)
    const good = over && (view.end === "resolved" || view.end === "widened")
    parts.outside.classList.toggle("good", good && !isBroken(contact))
    if (open && !parts.dialog.open && this.isConnected) {
      parts.dialog.showModal()
      const start = parts.main.element.hidden ? parts.check : parts.main.button
      ;(start.hidden ? parts.title : start).focus()
    } else if (!open && parts.dialog.open) {
      parts.dialog.close()
      const before = this.#returnTo?.isConnected === true && !this.#byHand ? this.#returnTo : undefined
      if (pending) (before ?? parts.pill).focus()
      else this.#returnTo?.focus()
    }
    if (!over) return
    this.#closing = setTimeout(() => {
      if (!isBroken(this.#state.contact)) setText(parts.outside, "")
      this.#dismiss()
    }, overForMs)
  }
}

interface Parts {
  readonly asked: HTMLElement
  readonly badge: HTMLElement
  readonly banner: HTMLElement
  readonly body: HTMLElement
  readonly check: HTMLButtonElement
  readonly code: HTMLElement
  readonly codeHelp: HTMLElement
  readonly codeTitle: HTMLElement
  readonly dialog: HTMLDialogElement
  readonly digits: HTMLElement
  readonly dismiss: HTMLButtonElement
  readonly facts: HTMLElement
  readonly first: CommandBox
  readonly inside: HTMLElement
  readonly lead: HTMLElement
  readonly main: CommandBox
  readonly more: HTMLElement
  readonly next: HTMLElement
  readonly note: HTMLElement
  readonly outside: HTMLElement
  readonly pill: HTMLButtonElement
  readonly pillText: HTMLElement
  readonly place: HTMLElement
  readonly progress: HTMLElement
  readonly title: HTMLElement
  readonly trouble: HTMLElement
  readonly words: HTMLElement
}

const pairingAdvice = (messages: Messages, { reason }: Request): Advice =>
  adviceOn(messages, "PairingRequired", reason) ?? { problem: "", action: "", next: "" }

/** What a code is called, or the code itself. */
const named = (names: Readonly<Record<string, string>>, code: string): string =>
  (Object.hasOwn(names, code) ? names[code] : undefined) ?? code

/** The command has a place of its own. */
const withoutCommand = (advice: string, command: string | undefined): string => {
  const end = ` Command: ${command}`
  return command !== undefined && advice.endsWith(end) ? advice.slice(0, -end.length) : advice
}

const ltr = (text: string) => h("bdi", { dir: "ltr" }, text)

/** What is asked for, what was allowed before, and which of it is new. */
const scopeFacts = (
  messages: Messages,
  { approved, requested }: Request
): ReadonlyArray<readonly [string, ReadonlyArray<Node>]> => {
  const chips = (scopes: ReadonlyArray<string>, isNew: (scope: string) => boolean) =>
    scopes.length === 0
      ? [h("span", {}, messages.none)]
      : [h(
        "ul",
        {},
        ...scopes.map((scope) =>
          h(
            "li",
            isNew(scope) ? { class: "new" } : {},
            h("bdi", { dir: "ltr", translate: "no" }, scope),
            ...(isNew(scope) ? [h("small", {}, messages.added)] : [])
          )
        )
      )]
  return [
    ...(requested === undefined
      ? []
      : [
        [messages.requested, chips(requested, (scope) => approved !== undefined && !approved.includes(scope))] as const
      ]),
    ...(approved === undefined ? [] : [[messages.approved, chips(approved, () => false)] as const])
  ]
}

/** The place that was chosen last, where the page may keep it. */
const remembered = (): string | null => {
  try {
    return localStorage.getItem(placeKey) ?? chosenHere
  } catch {
    return chosenHere
  }
}
let chosenHere: string | null = null
const remember = (place: string): void => {
  chosenHere = place
  try {
    localStorage.setItem(placeKey, place)
  } catch {
    // kept for this page alone
  }
}

if (typeof customElements !== "undefined" && customElements.get(tag) === undefined) {
  customElements.define(tag, OpenClawPairingDialog)
}

declare global {
  interface HTMLElementTagNameMap {
    readonly "openclaw-pairing-dialog": OpenClawPairingDialog
  }
  interface HTMLElementEventMap extends PairingDialogEvents {}
}
