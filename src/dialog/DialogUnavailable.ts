import * as Schema from "effect/Schema"

/** The page cannot be served. A program for which it is a convenience goes on without it. */
export class DialogUnavailable extends Schema.TaggedError<DialogUnavailable>()("DialogUnavailable", {
  /** `SiteMissing`: the page was not built, or cannot be read. `NoPort`: no port of 127.0.0.1 can be listened on. */
  reason: Schema.Literals(["SiteMissing", "NoPort"]),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    switch (this.reason) {
      case "SiteMissing":
        return "there is no page to show, as it was not built"
      case "NoPort":
        return "there is no page to show, as no port of 127.0.0.1 could be listened on"
    }
  }
}
