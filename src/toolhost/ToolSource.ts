/**
 * Tools that come from elsewhere, such as an MCP server, and may change while they are served.
 */
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { ToolDescriptor, ToolOutput } from "../protocol/NodeMethod.ts"
import { descriptionLength, mostTools, toolName } from "../protocol/NodeMethod.ts"
import { cut, field } from "../protocol/OutsideText.ts"
import { descriptorFor } from "./ToolCatalogue.ts"

/** The source could not make the call. The model reads the message. */
export class SourceFailed extends Schema.TaggedError<SourceFailed>()("SourceFailed", {
  source: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.source}: ${this.problem}`
  }
}

/** One tool of a source. */
export interface SourceTool {
  /** As the source names it. */
  readonly name: string
  readonly title: string | undefined
  readonly description: string | undefined
  /** A JSON Schema. The source itself checks the arguments. */
  readonly parameters: Readonly<Record<string, unknown>>
  /** Somebody has to allow each call. */
  readonly isMarked: boolean
  readonly call: (given: unknown) => Effect.Effect<ToolOutput, SourceFailed>
}

/** Where tools come from. */
export interface ToolSource {
  /** Short, for names that clash: letters, digits, `_` and `-`. */
  readonly name: string
  /** All its tools, and all of them again when they change. None before the first are known. */
  readonly tools: Stream.Stream<ReadonlyArray<SourceTool>>
}

/** What a source offers now. */
export interface Offer {
  readonly source: string
  readonly tools: ReadonlyArray<SourceTool>
}

/** All that is published, and how each tool of a source is called. */
export interface Catalogue {
  readonly descriptors: ReadonlyArray<ToolDescriptor>
  readonly remote: ReadonlyMap<string, SourceTool>
  /** Tools of sources that are not published, each with the reason. */
  readonly leftOut: ReadonlyArray<{ readonly source: string; readonly tool: string; readonly problem: string }>
}

const nameLength = 64
/** A name that a gateway takes: what is no letter, digit, `_` or `-` becomes `_`. */
const safe = (name: string): string => name.replace(/[^A-Za-z0-9_-]/g, "_").slice(0, nameLength)
const behind = (source: string, name: string): string => safe(`${source}_${name}`)

/**
 * The own tools and those of all sources. A name that two of them have is published with the name of its source before it, unless
 * it is that of an own tool: those keep their names. Pure; what the sources offered in which order plays no part.
 */
export const merged = (own: ReadonlyArray<ToolDescriptor>, offers: ReadonlyArray<Offer>): Catalogue => {
  const counts = new Map<string, number>(own.map(({ name }) => [name, 2]))
  for (const { tools } of offers) {
    for (const { name } of tools) counts.set(safe(name), (counts.get(safe(name)) ?? 0) + 1)
  }
  const descriptors = [...own]
  const taken = new Set(own.map(({ name }) => name))
  const remote = new Map<string, SourceTool>()
  const leftOut: Array<Catalogue["leftOut"][number]> = []
  for (const { source, tools } of offers) {
    for (const tool of tools) {
      const plain = safe(tool.name)
      const name = toolName.test(plain) && counts.get(plain) === 1 ? plain : behind(source, plain)
      const problem = !toolName.test(name)
        ? "a gateway takes no tool of this name"
        : taken.has(name)
        ? `there is another tool ${name}`
        : tool.parameters["type"] !== "object"
        ? "its parameters are no object"
        : descriptors.length >= mostTools
        ? `a gateway takes ${mostTools} tools of a device`
        : undefined
      if (problem !== undefined) {
        leftOut.push({ source, tool: field(tool.name, { maxLength: nameLength }), problem })
        continue
      }
      taken.add(name)
      remote.set(name, tool)
      const description = tool.description?.trim() || tool.title?.trim() || tool.name
      descriptors.push(descriptorFor(name, cut(description, descriptionLength), tool.parameters))
    }
  }
  return { descriptors, remote, leftOut }
}
