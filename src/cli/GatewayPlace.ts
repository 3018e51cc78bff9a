/**
 * The setting that says how a person reaches the gateway host from here, as text: `docker:openclaw`, `ssh:ada@gateway.example,port=2222`.
 * Commands that approve are then those of that place, and have nothing to fill in. Pure.
 */
import * as Result from "effect/Result"
import { parsePlace, type Place } from "../pairing/ApproveCommand.ts"

type Tag = Exclude<Place["_tag"], "template">

/** What the text behind the colon is, whether it is needed, and what may follow behind commas. */
interface Form {
  readonly name?: string
  readonly needed?: boolean
  readonly details: ReadonlyArray<string>
}

const forms: Readonly<Record<Tag, Form>> = {
  host: { details: ["program"] },
  powershell: { details: ["program"] },
  docker: { name: "container", needed: true, details: ["program"] },
  compose: { name: "service", details: ["project", "program"] },
  kubectl: { name: "pod", needed: true, details: ["namespace", "container", "context", "program"] },
  ssh: { name: "host", needed: true, details: ["user", "port", "program"] },
  wsl: { name: "distribution", details: ["program"] }
}

const isTag = (text: string): text is Tag => Object.hasOwn(forms, text)

export const range = "host, powershell, docker:NAME, compose[:SERVICE], kubectl:POD, ssh:[USER@]HOST or wsl[:NAME]"

const refused = (message: string): Result.Result<never, { readonly message: string }> => Result.fail({ message })

/** The place that a text names. Messages are the end of a sentence that begins with the name of the setting. */
export const parse = (text: string): Result.Result<Place, { readonly message: string }> => {
  const [head = "", ...rest] = text.split(",").map((part) => part.trim())
  const [tag = "", given = ""] = cut(head, ":")
  if (!isTag(tag)) return refused("must begin with host, powershell, docker, compose, kubectl, ssh or wsl")
  const { details, name, needed = false } = forms[tag]
  if (given === "" && needed) return refused(`must name the ${name}, as ${tag}:<${name}>`)
  if (given !== "" && name === undefined) return refused(`must be ${tag} alone, with nothing behind a colon`)
  const [before, host] = tag === "ssh" ? cut(given, "@") : [given, undefined]
  const place: Record<string, unknown> = {
    _tag: tag,
    ...(name === undefined || given === "" ? {} : { [name]: host ?? before }),
    ...(host === undefined ? {} : { user: before })
  }
  for (const detail of rest) {
    const [key = "", value = ""] = cut(detail, "=")
    if (!details.includes(key)) return refused(`may have ${details.join(", ")} behind ${tag}, and no other detail`)
    if (Object.hasOwn(place, key)) return refused(`must have ${key} once`)
    place[key] = key === "port" ? portOf(value) : key === "program" ? value.split(/\s+/) : value
  }
  return Result.mapError(parsePlace(place), ({ problems }) => ({ message: `is not usable: ${problems.join("; ")}` }))
}

/** 0 is refused with the sentence for ports. */
const portOf = (text: string): number => /^\d{1,5}$/.test(text) ? Number(text) : 0

/** The text before a separator and the one behind it, if it is there. */
const cut = (text: string, separator: string): readonly [before: string, behind?: string] => {
  const at = text.indexOf(separator)
  return at === -1 ? [text] : [text.slice(0, at).trim(), text.slice(at + separator.length).trim()]
}

/** A place as `init` offers it. */
export interface Choice {
  readonly tag: Tag
  readonly title: string
  /** The question for its name, where it has one. */
  readonly question?: string
}

/** The places, the most likely one of a platform first. */
export const choicesOn = (platform: string): ReadonlyArray<Choice> => [
  {
    tag: platform === "win32" ? "powershell" : "host",
    title: "On this machine: the openclaw command works in a terminal here"
  },
  { tag: "docker", title: "In a Docker container on this machine", question: "The name of the container" },
  {
    tag: "compose",
    title: "In Docker Compose on this machine",
    question: "The name of the service (empty for openclaw-gateway)"
  },
  { tag: "kubectl", title: "In Kubernetes", question: "The pod, or a kind and name such as deploy/openclaw" },
  { tag: "ssh", title: "On another machine, by ssh", question: "The host, or user@host" },
  ...(platform === "win32"
    ? [{ tag: "wsl", title: "In WSL", question: "The distribution (empty for the usual one)" } as const]
    : [])
]

/** The text of a choice with what was answered to its question. */
export const textOf = ({ tag }: Choice, name: string): string => name.trim() === "" ? tag : `${tag}:${name.trim()}`
