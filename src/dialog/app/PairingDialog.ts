/**
 * `<openclaw-pairing-dialog>`: shows a person what an agent needs so that its gateway lets it in, until it does.
 *
 * - attribute `src`: the agent's event stream; `check-now` is expected beside it. Without it, the host sets `event`.
 * - attribute `lang`: `en` or `de`; otherwise that of the nearest ancestor that has one, otherwise English.
 * - property `token`: sent to the stream as `Authorization: Bearer`. Until it is set, no request is sent. Set it to `""` where
 *   none is needed because cookies say who asks. Never an attribute, as those can be read by styles.
 * - property `event`: set to each AgentEvent, or `{ check }`, as it comes, by hosts with a channel of their own.
 * - property `openStream`: how the stream is opened; each element opens one of its own unless set.
 * - property `state`: what the element knows of the agent. Event `openclaw-state`: it has changed.
 * - event `openclaw-agent-event`: each AgentEvent, as received. `openclaw-contact`: `open`, `lost`, `refused`.
 * - event `openclaw-check-now`: the reader wants the gateway asked at once. Unless it is cancelled and with `src`, the
 *   element tells the agent itself.
 *
 * It writes nothing to the console and needs no inline script, style or `eval`.
 *
 * DialogState decides what is known, PairingView what is shown; here are the stream, the timers, the focus and the nodes.
 */
import type { AgentEvent } from "../../protocol/AgentEvent.ts"
import type { Contact, DialogState, Happening } from "./DialogState.ts"
import { initial, step } from "./DialogState.ts"
import { h, setText } from "./Dom.ts"
import { parseJson, readCheck, readEvent } from "./EventReader.ts"
import type { StreamOptions } from "./EventStream.ts"
import { bearer, openStream } from "./EventStream.ts"
import { makeLiveRegion } from "./LiveRegion.ts"
import { messagesFor } from "./Messages.ts"
import css from "./PairingDialog.css"
import { makePairingPanel } from "./PairingPanel.ts"
import { announcement, pairingView } from "./PairingView.ts"
import { chosenPlace } from "./PlaceChoice.ts"

/** When the agent asks its gateway next. */
export interface CheckEvent {
  readonly check: { readonly checking: boolean; readonly nextCheckAt: string | null }
}

/** The custom events that the element dispatches, by name, with the type of `detail`. All bubble, also out of shadow trees. */
export interface PairingDialogEvents {
  readonly "openclaw-agent-event": CustomEvent<AgentEvent>
  readonly "openclaw-contact": CustomEvent<Contact>
  readonly "openclaw-state": CustomEvent<undefined>
  readonly "openclaw-check-now": CustomEvent<undefined>
}

const tag = "openclaw-pairing-dialog"
/** How long a toast tells the end of a wait. */
const overForMs = 6000
/** A stream that is back has repeated all that holds after this time. */
const catchUpMs = 1000

/** Where there is no page the class can be imported and named, but not used. */
const Base: typeof HTMLElement = typeof HTMLElement === "undefined" ? class {} as typeof HTMLElement : HTMLElement

/**
 * The element `<openclaw-pairing-dialog>`; the module says what its attributes, properties and events are. Importing the
 * module where there is no DOM is harmless: the base class is then empty.
 */
export class OpenClawPairingDialog extends Base {
  static readonly observedAttributes = ["src", "lang"]

  /** Opens the stream; what it returns closes it. A host whose tabs share one stream sets its own before `token`. */
  openStream: (options: StreamOptions) => () => void = openStream

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

  /** Set it to each event of the agent, already parsed, or to the state of its checks. Unknown events are ignored. */
  get event(): AgentEvent | CheckEvent | undefined {
    return this.#last
  }
  set event(value: AgentEvent | CheckEvent | undefined) {
    if (value === undefined || value === null) return
    this.#last = value
    this.#receive(value)
  }

  /** What the element knows of the agent, after all that it has received. */
  get state(): DialogState {
    return this.#state
  }

  get src(): string {
    return this.getAttribute("src") ?? ""
  }
  set src(value: string) {
    this.setAttribute("src", value)
  }

  /** Asks the agent to ask its gateway now. */
  checkNow(): void {
    if (this.#dispatch("openclaw-check-now") && this.src !== "" && this.#token !== undefined) void this.#postCheckNow()
  }

  connectedCallback(): void {
    for (const name of ["token", "event", "src"] as const) this.#upgrade(name)
    this.#parts ??= this.#build()
    this.#ticking ??= setInterval(() => this.#renderView(), 1000)
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
    this.#parts?.panel.dialog.close()
  }

  attributeChangedCallback(name: string): void {
    if (name === "src") this.#restart()
    else this.#render()
  }

  /** A property that was set before this class was known hides the accessor, which now gets its value. */
  #upgrade(name: "token" | "event" | "src"): void {
    const descriptor = Object.getOwnPropertyDescriptor(this, name)
    if (descriptor === undefined) return
    Reflect.deleteProperty(this, name)
    Reflect.set(this, name, descriptor.value)
  }

  #dispatch(name: keyof PairingDialogEvents, detail?: unknown): boolean {
    const cancelable = name === "openclaw-check-now"
    return this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true, cancelable }))
  }

  /** Opens the stream anew, once for all that is set in the same turn. */
  #restart(): void {
    if (this.#starting || !this.isConnected) return
    this.#starting = true
    queueMicrotask(() => {
      this.#starting = false
      this.#closeStream?.()
      this.#closeStream = undefined
      const token = this.#token
      if (!this.isConnected || this.src === "" || token === undefined) return
      this.#closeStream = this.openStream({
        url: new URL(this.src, document.baseURI),
        token,
        onEvent: (name, data) => {
          const value = parseJson(data)
          if (name === "check") this.#receive({ check: value })
          else if (name === "agent") this.#receive(value)
        },
        onContact: (contact) => {
          this.#apply({ event: "contact", contact })
          this.#dispatch("openclaw-contact", contact)
          clearTimeout(this.#caughtUp)
          if (contact === "open") this.#caughtUp = setTimeout(() => this.#apply({ event: "caught-up" }), catchUpMs)
        }
      })
    })
  }

  #receive(value: unknown): void {
    if (typeof value === "object" && value !== null && "check" in value) {
      const check = readCheck(value.check)
      if (check !== undefined) this.#apply({ event: "check", check })
      return
    }
    const event = readEvent(value)
    if (event !== undefined) this.#apply(event)
    this.#dispatch("openclaw-agent-event", value)
  }

  async #postCheckNow(): Promise<void> {
    const url = new URL("check-now", new URL(this.src, document.baseURI))
    this.#apply({ event: "check-wanted" })
    const response = await fetch(url, { method: "POST", headers: bearer(this.#token) }).catch(() => undefined)
    if (response?.ok !== true) this.#apply({ event: "check-failed" })
  }

  #apply(happening: Happening): void {
    const before = this.#state
    const now = step(before, happening)
    if (now === before) return
    this.#state = now
    if (now.open && !before.open) {
      this.#byHand = happening.event === "reopen"
      const focused = document.activeElement
      if (!this.#byHand) {
        this.#returnTo = focused instanceof HTMLElement && focused !== document.body ? focused : undefined
      }
    }
    this.#render()
    const sentence = announcement(before, now, this.#spoken().messages)
    if (sentence !== undefined && this.#parts !== undefined) {
      const { outside, panel } = this.#parts
      const { say } = panel.dialog.open ? panel : outside
      say(sentence)
    }
    this.#dispatch("openclaw-state")
  }

  #spoken() {
    return messagesFor(this.getAttribute("lang") ?? this.closest("[lang]")?.getAttribute("lang") ?? "en")
  }

  #build(): Parts {
    const root = this.attachShadow({ mode: "open", delegatesFocus: false })
    const sheet = new CSSStyleSheet()
    sheet.replaceSync(css)
    root.adoptedStyleSheets = [sheet]
    const dismiss = () => this.#apply({ event: "dismiss" })
    const panel = makePairingPanel({ dismiss, check: () => this.checkNow(), place: () => this.#render() })
    const { dialog } = panel
    const pillText = h("span")
    const pill = h(
      "button",
      { type: "button", class: "pill", "aria-haspopup": "dialog" },
      h("span", { class: "dot" }),
      pillText
    )
    const outside = makeLiveRegion()
    root.append(dialog, pill, outside.element)

    // Esc, and the back gesture.
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault()
      dismiss()
    })
    // Browsers let a second Esc close the dialog all the same. The event comes later: the dialog may be open again by then.
    dialog.addEventListener("close", () => {
      if (!dialog.open && this.#state.open && this.isConnected) dismiss()
    })
    pill.addEventListener("click", () => this.#apply({ event: "reopen" }))
    return { panel, pill, pillText, outside }
  }

  #render(): void {
    this.#renderView()
    this.#renderOpen()
    clearTimeout(this.#closing)
    if (this.#state.stage.is === "over") {
      this.#closing = setTimeout(() => this.#apply({ event: "dismiss" }), overForMs)
    }
  }

  #renderView(): void {
    if (this.#parts === undefined) return
    const { outside, panel, pill, pillText } = this.#parts
    const { language, messages } = this.#spoken()
    const view = pairingView({ state: this.#state, language, messages, place: chosenPlace(), nowMs: Date.now() })
    for (const element of [panel.dialog, pill, outside.element]) element.lang = language
    if (view.shows === "dialog") panel.show(view.panel)
    pill.hidden = view.shows !== "pill"
    if (view.shows === "pill") setText(pillText, view.text)
    outside.show(view.shows === "toast" ? view : undefined)
  }

  /** Opens and closes the dialog, and moves the focus with it. */
  #renderOpen(): void {
    if (this.#parts === undefined) return
    const { panel, pill } = this.#parts
    const { open } = this.#state
    if (open && !panel.dialog.open && this.isConnected) {
      // What a screen reader heard while it was open before.
      panel.say("")
      panel.dialog.showModal()
      panel.start().focus()
    } else if (!open && panel.dialog.open) {
      panel.dialog.close()
      const before = this.#returnTo?.isConnected === true && !this.#byHand ? this.#returnTo : undefined
      if (pill.hidden) this.#returnTo?.focus()
      else (before ?? pill).focus()
    }
  }
}

interface Parts {
  readonly panel: ReturnType<typeof makePairingPanel>
  readonly pill: HTMLButtonElement
  readonly pillText: HTMLElement
  readonly outside: ReturnType<typeof makeLiveRegion>
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
