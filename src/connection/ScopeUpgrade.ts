/**
 * How a request for wider scopes ends, and why it may not even begin.
 */
import * as Schema from "effect/Schema"
import type { UpgradeEnd } from "../protocol/PairingNotice.ts"

/** How an upgrade ended. */
export type Outcome =
  /** The session has these scopes now. */
  | { readonly _tag: "Granted"; readonly scopes: ReadonlyArray<string> }
  /** The session is as it was. */
  | { readonly _tag: "Declined"; readonly reason: UpgradeEnd }

/** Wider scopes cannot be asked for. Nothing was sent. */
export class ScopeUpgradeRefused extends Schema.TaggedError<ScopeUpgradeRefused>()("ScopeUpgradeRefused", {
  /**
   * `NotConnected`: there is no session whose scopes could grow. `UnderWay`: one upgrade at a time. `NeedsSharedCredential`:
   * this gateway takes the request only with its shared token or password, and this device has its own token alone.
   */
  reason: Schema.Literals(["NotConnected", "UnderWay", "NeedsSharedCredential"])
}) {
  override get message(): string {
    switch (this.reason) {
      case "NotConnected":
        return "wider scopes cannot be asked for: there is no session at the moment"
      case "UnderWay":
        return "wider scopes cannot be asked for: an earlier request for some is not decided yet"
      case "NeedsSharedCredential":
        return "wider scopes cannot be asked for: this gateway takes the request only with its shared token or password"
    }
  }
}
