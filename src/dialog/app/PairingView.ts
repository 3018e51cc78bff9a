/**
 * What the reader is shown, as plain data: a pure function of what is known, the language, the chosen place and the time.
 *
 * A text may come from the wire, so it becomes a text node and never markup. A command is one of the request or the failure
 * that is shown, as EventReader let it through.
 */
import { ago, left } from "./Clock.ts"
import type { Contact, DialogState, Stage } from "./DialogState.ts"
import type { Commands, Failure, Request } from "./EventReader.ts"
import type { Messages } from "./Messages.ts"
import { adviceOn } from "./Messages.ts"

export interface Situation {
  readonly state: DialogState
  /** The language of `messages`. */
  readonly language: string
  readonly messages: Messages
  /** Where the reader said that the gateway runs. */
  readonly place: string | null
  readonly nowMs: number
}

export type PairingView =
  | { readonly shows: "nothing" }
  | { readonly shows: "dialog"; readonly panel: Panel }
  /** The dialog was dismissed: a control with this text opens it again. */
  | { readonly shows: "pill"; readonly text: string }
  /** A sentence beside the page that asks nothing of the reader. `good`: the reader waited for it. */
  | { readonly shows: "toast"; readonly sentence: string; readonly good: boolean }

/** What stands in the dialog, in the order of reading. An empty text and an absent part take no room. */
export interface Panel {
  readonly mood: "device" | "alert"
  readonly title: string
  /** The name of the button that dismisses. */
  readonly dismiss: string
  readonly banner: string
  readonly lead: Sentence
  readonly places: PlaceChoice | undefined
  readonly main: Command | undefined
  readonly note: string
  readonly code: DeviceCode | undefined
  /** Folded away until the reader asks for it. */
  readonly more: Command | undefined
  readonly facts: ReadonlyArray<Fact>
  readonly next: Sentence
  readonly progress: string
  readonly trouble: string
  readonly check: { readonly text: string; readonly busy: boolean }
}

export interface Sentence {
  readonly text: string
  readonly lang: string
}

export interface PlaceChoice {
  readonly question: string
  readonly places: ReadonlyArray<{ readonly place: string; readonly name: string }>
  readonly chosen: string
}

/** A command to copy: its pieces make up its text, and those to `replace` are marked. */
export interface Command {
  readonly label: string
  readonly pieces: ReadonlyArray<{ readonly text: string; readonly replace: boolean }>
  readonly hint: string
  /** What the button says, and what came of pressing it. */
  readonly copy: Pick<Messages, "copy" | "copied" | "selected" | "notCopied">
}

/** What the reader compares with what the gateway shows. */
export interface DeviceCode {
  readonly title: string
  readonly groups: ReadonlyArray<string>
  /** English whatever the language is; empty where they are not known. */
  readonly words: string
  readonly help: string
}

export type Fact =
  & { readonly name: string }
  & (
    /** `added` names a scope as new. */
    | { readonly scopes: ReadonlyArray<{ readonly scope: string; readonly added: string }> }
    | { readonly text: string; readonly is?: "address" | "english" }
  )

export const pairingView = (situation: Situation): PairingView => {
  const { messages, state: { contact, open, stage } } = situation
  const contactLost = isBroken(contact) ? messages[contact] : ""
  switch (stage.is) {
    case "pending":
      return open
        ? { shows: "dialog", panel: pendingPanel(situation, stage, contactLost) }
        : { shows: "pill", text: stage.request.connected ? messages.titles.more : messages.reopen.pending }
    case "halted":
      return open
        ? { shows: "dialog", panel: haltedPanel(situation, stage.failure, contactLost) }
        : { shows: "pill", text: messages.reopen.halted }
    case "over":
      return contactLost === ""
        ? { shows: "toast", sentence: messages.ends[stage.end], good: isGood(stage.end) }
        : { shows: "toast", sentence: contactLost, good: false }
    case "idle":
      return contactLost === "" ? { shows: "nothing" } : { shows: "toast", sentence: contactLost, good: false }
  }
}

/**
 * What a screen reader is told beside what is shown; a toast is heard by itself. Empty where what it was told last no longer
 * holds, `undefined` where nothing changes.
 */
export const announcement = (before: DialogState, now: DialogState, messages: Messages): string | undefined => {
  const { check, contact, open, stage } = now
  const { stage: was } = before
  if (check.failed === true && check !== before.check) return messages.notAsked
  if (stage.is === "over") return undefined
  if (stage.is === "idle") return was.is === "pending" && !isBroken(contact) ? messages.cancelled : undefined
  if (contact !== before.contact) return isBroken(contact) ? messages[contact] : ""
  if (stage.is !== "pending" || was.is !== "pending" || !open) return undefined
  if (stage.phase === "expired") return was.phase === "expired" ? undefined : messages.expired
  return stage.superseded && stage.key !== was.key ? messages.superseded : was.phase === "expired" ? "" : undefined
}

type Broken = Extract<Contact, "lost" | "refused">
const isBroken = (contact: Contact): contact is Broken => contact === "lost" || contact === "refused"
const isGood = (end: string) => end === "resolved" || end === "widened"

const pendingPanel = (
  { language, messages, nowMs, place, state }: Situation,
  { phase, request, superseded }: Extract<Stage, { readonly is: "pending" }>,
  contactLost: string
): Panel => {
  const { check, connection, gateway, identity } = state
  const alive = phase !== "expired"
  const advice = adviceOn(messages, "PairingRequired", request.reason)
  const meanwhile = request.connected && connection.event !== "waiting"
  const { approve, choice, fill, list } = alive ? offer(messages, request, place) : nothingOffered
  const listed = (label: string) => command(messages, label, list, fill)
  const countdown = phase === "expiring" && request.expiresAt !== undefined
    ? messages.expiring(left(request.expiresAt, nowMs))
    : ""
  return {
    mood: alive ? "device" : "alert",
    title: alive ? (request.connected ? messages.titles.more : messages.titles.required) : messages.titles.expired,
    dismiss: messages.dismiss,
    banner: contactLost || countdown || (superseded && alive ? messages.superseded : ""),
    lead: {
      lang: language,
      text: alive
        ? joined(advice?.problem, meanwhile ? messages.meanwhile : "", advice?.action)
        : messages.expired
    },
    places: choice,
    main: approve === undefined
      ? listed(messages.runFirst)
      : command(messages, messages.run, approve, fill),
    note: alive
      ? joined(
        approve !== undefined ? "" : list === undefined ? messages.noCommand : messages.noRequestId,
        request.note
      )
      : "",
    code: alive ? deviceCode(messages, request.deviceId, identity) : undefined,
    more: approve === undefined ? undefined : listed(messages.runList),
    facts: [
      ...scopeFacts(messages, request),
      ...textFact(messages.gateway, gateway, "address"),
      ...textFact(messages.asked, request.since === undefined ? "" : ago(language, request.since, nowMs))
    ],
    next: { lang: language, text: alive && !meanwhile ? advice?.next ?? "" : "" },
    progress: contactLost !== ""
      ? ""
      : check.checking
      ? messages.checking
      : connection.event === "waiting" && connection.retryAt !== undefined
      ? messages.unreachable(left(connection.retryAt, nowMs))
      : check.nextCheckAt !== undefined
      ? messages.nextCheck(left(check.nextCheckAt, nowMs))
      : messages.waiting,
    trouble: check.failed === true ? messages.notAsked : "",
    check: { text: messages.checkNow, busy: check.checking }
  }
}

const haltedPanel = (
  { language, messages, state: { check, gateway } }: Situation,
  { advice, command: toRun, error, message, next, owner, reason }: Failure,
  contactLost: string
): Panel => {
  const known = adviceOn(messages, error, reason)
  // The agent speaks English, which is all there is where this language has no words for the failure.
  const lang = known === undefined ? "en" : language
  const lead = joined(known?.problem, known?.action) || withoutCommand(advice ?? "", toRun) || message
  return {
    mood: "alert",
    title: messages.titles.halted,
    dismiss: messages.dismiss,
    banner: contactLost,
    lead: { lang, text: lead },
    places: undefined,
    main: command(messages, messages.command, toRun, toRun?.match(/<[^>]+>/g) ?? []),
    note: "",
    code: undefined,
    more: undefined,
    facts: [
      ...textFact(messages.said, message === lead ? "" : message, "english"),
      ...textFact(messages.responsible, named(messages.owners, owner ?? "")),
      ...textFact(messages.gateway, gateway, "address")
    ],
    next: { lang, text: known?.next ?? next ?? "" },
    progress: "",
    trouble: check.failed === true ? messages.notAsked : "",
    check: { text: messages.tryAgain, busy: false }
  }
}

interface Offer extends Commands {
  readonly choice: PlaceChoice | undefined
  /** Words of the commands that the reader has to replace. */
  readonly fill: ReadonlyArray<string>
}
const nothingOffered: Offer = { choice: undefined, approve: undefined, list: undefined, fill: [] }

/** The commands of the chosen place, else of the first; those of the request itself where there is no choice. */
const offer = (messages: Messages, { approve, list, places }: Request, wanted: string | null): Offer => {
  const chosen = places.find(({ place }) => place === wanted) ?? places[0]
  return chosen === undefined || places.length < 2
    ? { ...nothingOffered, approve, list }
    : {
      ...chosen,
      choice: {
        question: messages.place,
        places: places.map(({ place }) => ({ place, name: named(messages.places, place) })),
        chosen: chosen.place
      }
    }
}

const command = (
  { copied, copy, fill, notCopied, selected }: Messages,
  label: string,
  text: string | undefined,
  replace: ReadonlyArray<string>
): Command | undefined => {
  if (text === undefined) return undefined
  const words = [...new Set(replace)].filter((word) => word !== "" && text.includes(word))
  return {
    label,
    pieces: pieces(text, words),
    hint: words.length === 0 ? "" : fill(words.join(", ")),
    copy: { copied, copy, notCopied, selected }
  }
}

const pieces = (text: string, [word, ...others]: ReadonlyArray<string>): Command["pieces"] =>
  word === undefined
    ? [{ text, replace: false }]
    : text.split(word).flatMap((part, index) => [
      ...(index === 0 ? [] : [{ text: word, replace: true }]),
      ...pieces(part, others)
    ])

const deviceCode = (
  { compare, compareHelp }: Messages,
  deviceId: string,
  identity: DialogState["identity"]
): DeviceCode | undefined => {
  const groups = deviceId.slice(0, 20).match(/.{4}/g)
  return groups === null ? undefined : {
    title: compare,
    groups,
    words: identity?.deviceId === deviceId ? identity.compareCode : "",
    help: compareHelp
  }
}

/** What is asked for, what was allowed before, and which of it is new. */
const scopeFacts = (messages: Messages, { approved, requested }: Request): ReadonlyArray<Fact> =>
  ([[messages.requested, requested, approved], [messages.approved, approved, undefined]] as const).flatMap(
    ([name, scopes, known]): ReadonlyArray<Fact> =>
      scopes === undefined
        ? []
        : scopes.length === 0
        ? [{ name, text: messages.none }]
        : [{
          name,
          scopes: scopes.map((scope) => ({ scope, added: known?.includes(scope) === false ? messages.added : "" }))
        }]
  )

const textFact = (name: string, text: string, is?: "address" | "english"): ReadonlyArray<Fact> =>
  text === "" ? [] : [is === undefined ? { name, text } : { name, text, is }]

/** What a code is called, or the code itself. */
const named = (names: Readonly<Record<string, string>>, code: string): string =>
  (Object.hasOwn(names, code) ? names[code] : undefined) ?? code

const joined = (...sentences: ReadonlyArray<string | undefined>): string => sentences.filter(Boolean).join(" ")

/** Advice without the command at its end, which is shown by itself. */
const withoutCommand = (advice: string, command: string | undefined): string => {
  const end = ` Command: ${command}`
  return command !== undefined && advice.endsWith(end) ? advice.slice(0, -end.length) : advice
}
