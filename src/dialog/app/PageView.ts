/**
 * What the page around the dialog shows, as plain data: a pure function of what the element knows and the language.
 */
import type { DialogState } from "./DialogState.ts"
import type { PageMessages } from "./PageMessages.ts"

export interface PageView {
  readonly title: string
  /** How things stand, in one line. */
  readonly line: string
  readonly mood: "good" | "busy" | "bad"
  /** Why, or what to do; empty where the line says it all. */
  readonly advice: string
  readonly device: { readonly words: string; readonly id: string; readonly gateway: string } | undefined
}

/** `hasToken`: the page has a token, so that it may ask the agent at all. */
export const pageView = (state: DialogState, hasToken: boolean, messages: PageMessages): PageView => {
  const { gateway, identity, stage } = state
  const [line, mood, advice = ""] = hasToken ? standing(state, messages) : noToken(messages)
  return {
    // A device that works needs no attention from another tab.
    title: stage.is === "pending" && !stage.request.connected
      ? `${messages.approvalTitle} – ${messages.title}`
      : messages.title,
    line,
    mood,
    advice,
    device: identity === undefined
      ? undefined
      : { words: identity.compareCode, id: `${identity.deviceId.slice(0, 16)}…`, gateway }
  }
}

type Line = readonly [line: string, mood: PageView["mood"], advice?: string]

const noToken = (messages: PageMessages): Line => [messages.noToken, "bad", messages.noTokenHelp]

const standing = ({ connection, contact, stage }: DialogState, messages: PageMessages): Line => {
  if (contact === "refused") return [messages.refused, "bad", messages.refusedHelp]
  if (contact === "lost") return [messages.lost, "bad"]
  if (stage.is === "pending" && connection.event !== "connected") return [messages.pending, "busy"]
  switch (connection.event) {
    case "connected": {
      const { missingScopes, suspended } = connection
      if (suspended) return [messages.suspended, "busy"]
      return missingScopes.length === 0
        ? [messages.connected, "good"]
        : [messages.missing(missingScopes.join(" ")), "busy"]
    }
    case "waiting":
      return [messages.waiting, "busy", connection.cause.message]
    case "unknown":
    case "connecting":
      return [messages[connection.event], "busy"]
    case "halted":
    case "paused":
    case "stopped":
      return [messages[connection.event], "bad"]
  }
}
