import { assert, describe, it } from "@effect/vitest"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { platformName } from "../../src/identity/HostPlatform.ts"
import { defaultDirectory, reserved, stateFiles } from "../../src/storage/StateDirectory.ts"

describe("StateDirectory", () => {
  it("G21: the platform is one of four words and never has a version", () => {
    const names = [
      "linux",
      "android",
      "freebsd",
      "openbsd",
      "netbsd",
      "aix",
      "sunos",
      "haiku",
      "darwin",
      "win32",
      "cygwin"
    ]
    assert.deepStrictEqual(names.map(platformName), [
      ...Array.from({ length: 8 }, () => "linux"),
      "macos",
      "windows",
      "windows"
    ])
    assert.strictEqual(platformName("browser"), "browser")
  })

  it("the default place follows the convention of each platform", () => {
    const place = (platform: string, environment: Record<string, string | undefined>) =>
      Result.getOrElse(defaultDirectory({ platform, environment }), ({ variable }) => `no ${variable}`)
    const home = "/home/me"
    assert.strictEqual(place("linux", { HOME: home }), "/home/me/.local/state/effect-openclaw")
    assert.strictEqual(place("linux", { HOME: home, XDG_STATE_HOME: "/var/me/" }), "/var/me/effect-openclaw")
    assert.strictEqual(place("linux", { HOME: home, XDG_STATE_HOME: " " }), "/home/me/.local/state/effect-openclaw")
    assert.strictEqual(place("linux", { HOME: home, XDG_STATE_HOME: "state" }), "/home/me/.local/state/effect-openclaw")
    assert.strictEqual(
      place("darwin", { HOME: "/Users/me", XDG_STATE_HOME: "/x" }),
      "/Users/me/Library/Application Support/effect-openclaw"
    )
    assert.strictEqual(
      place("win32", { LOCALAPPDATA: "C:\\Users\\me\\AppData\\Local" }),
      "C:\\Users\\me\\AppData\\Local\\effect-openclaw"
    )
    assert.strictEqual(place("win32", { HOME: home }), "no LOCALAPPDATA")
    assert.strictEqual(place("linux", {}), "no HOME")
  })

  it("the files inside are joined by the platform's separator", () => {
    assert.deepStrictEqual(stateFiles("/s/", "linux"), {
      directory: "/s/",
      identity: "/s/identity.json",
      operatorIdentity: "/s/operator-identity.json",
      tokens: "/s/tokens",
      tasks: "/s/tasks",
      gateway: "/s/gateway.json",
      pairedGateway: "/s/paired-gateway.json"
    })
    assert.strictEqual(stateFiles("C:\\s", "win32").identity, "C:\\s\\identity.json")
  })

  it("F40: the default place is never OpenClaw's, and OpenClaw's places are known however they are written", () => {
    for (const platform of ["linux", "darwin", "win32"]) {
      const directory = Result.getOrThrow(
        defaultDirectory({ platform, environment: { HOME: "/home/me", LOCALAPPDATA: "C:\\L" } })
      )
      assert.isTrue(Option.isNone(reserved(stateFiles(directory, platform).identity)))
    }
    const reasonOf = (path: string, stateDirectory?: string) => Option.getOrUndefined(reserved(path, stateDirectory))
    assert.strictEqual(reasonOf("/home/me/.openclaw/identity/device.json"), "RetiredIdentityFile")
    assert.strictEqual(reasonOf("/home/me/.OpenClaw/Identity/Device.json"), "RetiredIdentityFile")
    assert.strictEqual(reasonOf("C:\\Users\\me\\.openclaw\\identity\\device.json"), "RetiredIdentityFile")
    assert.strictEqual(reasonOf("/home/me/.openclaw//identity/./device-auth.json"), "RetiredTokenFile")
    assert.strictEqual(reasonOf("/home/me/.openclaw-dev/identity/device.json"), "RetiredIdentityFile")
    assert.strictEqual(reasonOf("/home/me/.openclaw/mine.json"), "OpenClawDirectory")
    assert.strictEqual(reasonOf("/home/me/.openclaw"), "OpenClawDirectory")
    assert.strictEqual(reasonOf("/data/oc/mine.json", "/data/oc"), "OpenClawStateDirectory")
    assert.strictEqual(reasonOf("/data/oc/identity/device.json", "/data/oc/"), "RetiredIdentityFile")
    assert.strictEqual(reasonOf("/data/oc2/mine.json", "/data/oc"), undefined)
    assert.strictEqual(reasonOf("/data/oc/mine.json", "  "), undefined)
    assert.strictEqual(reasonOf("/home/me/openclaw/identity/device.json"), undefined)
    assert.strictEqual(reasonOf("/home/me/.openclawish/identity.json"), undefined)
  })
})
