/**
 * Whether the gateway's agent has the tools of this device, and has to search for them, as the program that offers them says.
 */
import * as Effect from "effect/Effect"
import { doctorAdvice } from "../advice/DoctorAdvice.ts"
import { surfaceRequired } from "../advice/HandshakeAdvice.ts"
import { field, names } from "../protocol/OutsideText.ts"
import type { StatusReport } from "../status/StatusReport.ts"
import type { Check } from "./Check.ts"
import { ok, unknown, warn } from "./Check.ts"

/** `isNode`: a token of the role *node* is stored, so that this device has offered tools before. */
export const toolsCheck = <R>(
  isNode: Effect.Effect<boolean, never, R>,
  reports: Effect.Effect<ReadonlyArray<StatusReport>, never, R>
): Check<R> => ({
  id: "tools",
  needs: ["session"],
  make: Effect.map(Effect.all([isNode, reports]), ([known, all]) => {
    const tools = all.find((report) => report.tools !== undefined)?.tools
    if (tools === undefined) {
      return known
        ? unknown("no running program offers tools now")
        : ok("this device offers no tools")
    }
    if (tools.pairing !== undefined) {
      return warn("the tools wait for approval", { ...surfaceRequired, command: tools.pairing.command })
    }
    if (tools.state === "published") return ok(`the gateway's agent has ${names(tools.tools ?? []) || "no tool"}`)
    const why = tools.error === undefined ? "" : `: ${field(tools.error.message)}`
    return tools.state === "connecting"
      ? unknown("the tools are being offered now")
      : warn(`the tools are ${tools.state}${why}`, doctorAdvice.ToolsNotPublished)
  })
})

/**
 * How the gateway's agent finds the published tools. Neither way is a trouble. `search`: what the program that has published them learns
 * from its gateway.
 */
export const toolSearchCheck = <R>(
  reports: Effect.Effect<ReadonlyArray<StatusReport>, never, R>,
  search: Effect.Effect<boolean | undefined, never, R>
): Check<R> => ({
  id: "tool-search",
  needs: ["tools"],
  make: Effect.gen(function*() {
    const published = (yield* reports).some(({ tools }) => tools?.state === "published")
    if (!published) return ok("no tools are published")
    const searched = yield* search
    return searched === undefined
      ? unknown("the gateway does not tell whether its agent has to search for the tools")
      : ok(
        searched
          ? "the gateway's agent finds the tools by tool search: by the words of their names and descriptions"
          : "the gateway's agent has the tools at hand, without tool search"
      )
  })
})
