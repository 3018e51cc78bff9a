/**
 * A language model without a network: each turn is written down beforehand, as a function of what the model is given.
 */
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"

export type Turn = (prompt: Prompt.Prompt) => ReadonlyArray<Response.PartEncoded>

export const say = (text: string): Response.PartEncoded => ({ type: "text", text })

export const call = (id: string, name: string, params: unknown): Response.PartEncoded => ({
  type: "tool-call",
  id,
  name,
  params
})

/** The turns in order. One more than there are is a mistake of the test. */
export const layer = (...turns: ReadonlyArray<Turn>): Layer.Layer<LanguageModel.LanguageModel> => {
  const left = [...turns]
  return Layer.effect(
    LanguageModel.LanguageModel,
    LanguageModel.make({
      generateText: ({ prompt }) =>
        Effect.sync(() => {
          const turn = left.shift()
          if (turn === undefined) throw new Error("the model has no turn left")
          return [...turn(prompt)]
        }),
      streamText: () => Stream.die(new Error("this model does not stream"))
    })
  )
}

/** What the last message of a prompt says: a user's text, or the result of a tool as JSON. */
export const lastText = ({ content }: Prompt.Prompt): string => {
  const last = content.at(-1)
  if (last === undefined) return ""
  if (typeof last.content === "string") return last.content
  return last.content.map((part) =>
    part.type === "text" ? part.text : part.type === "tool-result" ? JSON.stringify(part.result) : ""
  ).join("\n")
}
