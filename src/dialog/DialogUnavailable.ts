import * as Schema from "effect/Schema"

/** The page cannot be served. A program for which it is a convenience goes on without it. */
export class DialogUnavailable extends Schema.TaggedError<DialogUnavailable>()("DialogUnavailable", {
  /**
   * `SiteMissing`: the page was not built, or cannot be read. `NoPort`: no port of 127.0.0.1 can be listened on. `PortTaken`,
   * `PortForbidden`: the port that was asked for belongs to another program, or needs rights that this one does not have.
   */
  reason: Schema.Literals(["SiteMissing", "NoPort", "PortTaken", "PortForbidden"]),
  /** The port that was asked for. */
  port: Schema.optionalKey(Schema.Int),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    switch (this.reason) {
      case "SiteMissing":
        return "there is no page to show, as it was not built"
      case "NoPort":
        return "there is no page to show, as no port of 127.0.0.1 could be listened on"
      case "PortTaken":
        return `the page cannot be served: another program listens on port ${this.port} of 127.0.0.1`
      case "PortForbidden":
        return `the page cannot be served: this program may not listen on port ${this.port} of 127.0.0.1`
    }
  }
}
