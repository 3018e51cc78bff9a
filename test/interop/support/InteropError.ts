import * as Schema from "effect/Schema"

/**
 * A step of the harness that did not come about. `log` is the end of what the outside process printed, oldest line
 * first, with the gateway's token masked.
 */
export class InteropError extends Schema.TaggedError<InteropError>()("InteropError", {
  step: Schema.Literals(["install", "boot", "spawn", "connect", "request", "event", "listen", "table"]),
  detail: Schema.String,
  log: Schema.optionalKey(Schema.Array(Schema.String)),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    const log = this.log ?? []
    return `interop ${this.step}: ${this.detail}${log.length === 0 ? "" : `\n  | ${log.join("\n  | ")}`}`
  }
}
