/**
 * Files of a session: those that clients send with a message, and those that the agent shows. What `chat.send` makes of attachments, and
 * how `artifacts.*` and the HTTP side give a file, is as release 2026.9.6 has it (test/vectors/runs-2026.9.6.json).
 */
import * as Predicate from "effect/Predicate"
import type { ErrorShape } from "../protocol/Frame.ts"
import type { AgentFile } from "./Agent.ts"
import { fileLimits } from "./Hello.ts"
import * as Refusals from "./Refusals.ts"
import type { Respond } from "./Respond.ts"
import type { Transcript } from "./Transcript.ts"

/** How long an address of a file works. */
const addressLifeMs = 300_000

/** What the HTTP side answers. */
export interface Answer {
  readonly status: number
  readonly type: string
  readonly content: Uint8Array
}

export interface Media {
  /** Keeps a file that the agent shows, and gives the part of the message that stands for it. */
  readonly show: (sessionKey: string, file: AgentFile) => Readonly<Record<string, unknown>>
  readonly list: (transcript: Transcript, query: Query, respond: Respond) => void
  readonly download: (transcript: Transcript, query: Query & { readonly artifactId: string }, respond: Respond) => void
  /** What is at a path of the HTTP side, with its query. */
  readonly get: (path: string) => Answer
}

export interface Query {
  readonly runId: string | undefined
  readonly messageRole: string | undefined
}

interface Kept extends AgentFile {
  readonly id: string
  readonly path: string
}

export const make = ({ newId, nowMs }: { readonly newId: () => string; readonly nowMs: () => number }): Media => {
  const kept = new Map<string, Kept>()
  const tickets = new Map<string, { readonly path: string; readonly expiresAtMs: number }>()

  return {
    show: (sessionKey, file) => {
      const id = newId()
      const family = kindOf(file.mimeType) === "image" ? "image" : "media"
      const path = `/api/chat/media/outgoing/${encodeURIComponent(sessionKey)}/${id}/full`
      const artifactId = `artifact_managed_${family}_${id}`
      kept.set(artifactId, { ...file, id, path })
      return {
        type: kindOf(file.mimeType),
        artifactId,
        url: path,
        openUrl: path,
        alt: file.name,
        mimeType: file.mimeType,
        sizeBytes: file.content.length
      }
    },

    list: (transcript, query, respond) => respond({ payload: { artifacts: artifactsIn(transcript, query) } }),

    download: (transcript, { artifactId, ...query }, respond) => {
      const artifact = artifactsIn(transcript, query).find(({ id }) => id === artifactId)
      const file = kept.get(artifactId)
      if (artifact === undefined || file === undefined) return refuse(respond, "artifact not found")
      const ticket = newId()
      const expiresAtMs = nowMs() + addressLifeMs
      for (const [old, { expiresAtMs }] of tickets) if (expiresAtMs <= nowMs()) tickets.delete(old)
      tickets.set(ticket, { path: file.path, expiresAtMs })
      respond({
        payload: {
          artifact,
          url: `${file.path}?mediaTicket=${ticket}`,
          expiresAt: new Date(expiresAtMs).toISOString()
        }
      })
    },

    get: (path) => {
      const url = new URL(path, "http://localhost")
      const ticket = tickets.get(url.searchParams.get("mediaTicket") ?? "")
      const file = [...kept.values()].find((each) => each.path === url.pathname)
      if (file === undefined) return plain(404, "not found")
      return ticket?.path === file.path && nowMs() < ticket.expiresAtMs
        ? { status: 200, type: file.mimeType, content: file.content }
        : plain(401, "unauthorized")
    }
  }
}

/** Refuses what was asked about artifacts. */
export const refuse = (respond: Respond, message: string): void =>
  respond({ error: { ...Refusals.requestError(message), details: {} } })

const plain = (status: number, text: string): Answer => ({
  status,
  type: "text/plain; charset=utf-8",
  content: new TextEncoder().encode(text)
})

const kindOf = (mimeType: string): string => {
  const family = /^(image|audio|video)\//.exec(mimeType)?.[1]
  return family ?? "file"
}

/** The files that messages of a session show. */
const artifactsIn = ({ key, messages }: Transcript, { messageRole, runId }: Query) =>
  messages.flatMap((message) => {
    const marks = Predicate.isObject(message["__openclaw"]) ? message["__openclaw"] : {}
    const told = Predicate.hasProperty(marks, "runId") ? marks.runId : undefined
    if (
      (runId !== undefined && told !== runId) || (messageRole !== undefined && message["role"] !== messageRole)
    ) return []
    const content = Array.isArray(message["content"]) ? message["content"] : []
    return content.flatMap((part: unknown) =>
      Predicate.hasProperty(part, "artifactId")
        ? [{
          id: part.artifactId,
          type: Predicate.hasProperty(part, "type") ? part.type : "file",
          title: Predicate.hasProperty(part, "alt") ? part.alt : "",
          mimeType: Predicate.hasProperty(part, "mimeType") ? part.mimeType : undefined,
          sizeBytes: Predicate.hasProperty(part, "sizeBytes") ? part.sizeBytes : undefined,
          sessionKey: key,
          runId: told,
          messageSeq: Predicate.hasProperty(marks, "seq") ? marks.seq : undefined,
          source: "session-transcript",
          download: { mode: "url" }
        }]
        : []
    )
  })

/** The attachments of a message, or why they are refused. Those without content are left out. */
export const accept = (attachments: ReadonlyArray<unknown>): ReadonlyArray<AgentFile> | ErrorShape => {
  const accepted: Array<AgentFile> = []
  for (const [index, told] of attachments.entries()) {
    const text = (name: string) =>
      Predicate.isObject(told) && Predicate.hasProperty(told, name) && Predicate.isString(told[name])
        ? told[name]
        : undefined
    const content = text("content")
    if (content === undefined) continue
    const name = text("fileName") ?? text("type") ?? `attachment-${index + 1}`
    const base64 = content.trim()
    if (base64 === "") return invalid(`UnsupportedAttachmentError: attachment ${name}: empty payload`)
    if (!isBase64(base64)) return invalid(`Error: attachment ${name}: invalid base64 content`)
    const bytes = Buffer.from(base64, "base64")
    const mimeType = text("mimeType") ?? "application/octet-stream"
    const image = mimeType.startsWith("image/")
    if (bytes.length > fileLimits.maxBytes) {
      return invalid(`Error: attachment ${name}: exceeds size limit (${bytes.length} > ${fileLimits.maxBytes} bytes)`)
    }
    if (image && bytes.length > fileLimits.maxImageBytes) {
      const sizes = `${bytes.length} > ${fileLimits.maxImageBytes}`
      return invalid(`Error: attachment ${name}: image exceeds size limit (${sizes} bytes)`)
    }
    accepted.push({ name, mimeType, content: new Uint8Array(bytes) })
  }
  return accepted
}

const invalid = Refusals.requestError

/** Checked by its characters and its length: one pattern over all of it would go deep in a large file. */
const isBase64 = (text: string): boolean =>
  text.length % 4 === 0 && !/[^A-Za-z0-9+/=]/.test(text) && !/=[^=]/.test(text)

/** What history shows of the attachments of a message. */
export const facts = (files: ReadonlyArray<AgentFile>, newId: () => string) =>
  files.map(({ content, mimeType, name }) => ({
    url: `media://inbound/${newId()}`,
    contentType: mimeType,
    kind: mimeType.startsWith("image/") ? "image" : "document",
    fileName: name,
    sizeBytes: content.length
  }))
