/**
 * The platform name that a device of this host pairs with.
 */
import * as Context from "effect/Context"
import { PlatformName } from "../protocol/Connect.ts"

/**
 * The coarse name that a device pairs with, from Node.js's `process.platform`. Gateways pin it and ask for a new approval when
 * it changes, so it is one of four words and never has a version. Other Unix systems count as `linux`.
 */
export const platformName = (platform: string): PlatformName =>
  PlatformName.make(
    platform === "darwin" || platform === "ios"
      ? "macos"
      : platform === "win32" || platform === "cygwin"
      ? "windows"
      : platform === "browser"
      ? "browser"
      : "linux"
  )

/**
 * The platform of this host where the caller names none: what `platformName` makes of Node.js's `process.platform`, or
 * `browser` where there is no process.
 */
export const HostPlatform = Context.Reference<PlatformName>("effect-openclaw/identity/HostPlatform", {
  defaultValue: () => platformName(typeof process === "undefined" ? "browser" : process.platform)
})
