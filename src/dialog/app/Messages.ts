/**
 * What the dialog says, in each of its languages.
 *
 * `failures`: what happened, what to do and what comes next, for the failures that readers of this dialog meet most. In English
 * they are, word for word, those of advice/ErrorCatalogue (a test compares them). For any other failure the dialog shows what
 * the agent's event says, in English. Nothing in here decides anything.
 */
import type { End } from "./DialogState.ts"
import { german } from "./MessagesDe.ts"
import { english } from "./MessagesEn.ts"

export interface Advice {
  readonly problem: string
  readonly action: string
  readonly next: string
}

export interface Messages {
  readonly titles: Readonly<Record<"required" | "more" | "expired" | "halted", string>>
  readonly superseded: string
  readonly expiring: (left: string) => string
  readonly expired: string
  /** The device works with the approved scopes while more scopes wait. */
  readonly meanwhile: string
  readonly ends: Readonly<Record<End, string>>
  readonly cancelled: string
  readonly lost: string
  readonly refused: string
  readonly place: string
  readonly places: Readonly<Record<string, string>>
  readonly run: string
  readonly runList: string
  readonly runFirst: string
  readonly command: string
  readonly noRequestId: string
  readonly noCommand: string
  readonly fill: (words: string) => string
  readonly copy: string
  readonly copied: string
  readonly selected: string
  readonly notCopied: string
  readonly compare: string
  readonly compareHelp: string
  readonly requested: string
  readonly approved: string
  readonly none: string
  readonly added: string
  readonly gateway: string
  readonly asked: string
  readonly said: string
  readonly responsible: string
  readonly owners: Readonly<Record<string, string>>
  readonly waiting: string
  readonly checking: string
  readonly nextCheck: (left: string) => string
  readonly unreachable: (left: string) => string
  readonly checkNow: string
  readonly tryAgain: string
  readonly notAsked: string
  readonly dismiss: string
  readonly reopen: Readonly<Record<"pending" | "halted", string>>
  readonly failures: Readonly<Record<string, Advice | Readonly<Record<string, Advice>>>>
}

const languages: Readonly<Record<string, Messages>> = { en: english, de: german }

/** The messages for a BCP 47 tag: those of its language, else English. `language` is the tag of what was found. */
export const messagesFor = (tag: string): { readonly language: string; readonly messages: Messages } => {
  const language = tag.toLowerCase().split("-")[0] ?? ""
  const found = Object.hasOwn(languages, language) ? languages[language] : undefined
  return found === undefined ? { language: "en", messages: english } : { language, messages: found }
}

const isAdvice = (found: Advice | Readonly<Record<string, Advice>>): found is Advice =>
  typeof found["problem"] === "string"

/** The advice on a failure, by its class and its reason; absent for a failure without an entry in `failures`. */
export const adviceOn = ({ failures }: Messages, error: string, reason: string | undefined): Advice | undefined => {
  const found = Object.hasOwn(failures, error) ? failures[error] : undefined
  if (found === undefined || isAdvice(found)) return found
  return (reason !== undefined && Object.hasOwn(found, reason) ? found[reason] : undefined) ?? found["other"]
}
