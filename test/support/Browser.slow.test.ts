import { assert, describe, it } from "@effect/vitest"
import { candidates } from "./Browser.ts"

describe("the browser of the tests", () => {
  it("is the one that CHROME_PATH names, else an installed one, on every platform", () => {
    const linux = candidates({ CHROME_PATH: "/my/chrome", PATH: "/usr/bin" }, "linux")
    assert.strictEqual(linux[0], "/my/chrome")
    assert.include(linux, "/usr/bin/google-chrome")
    const mac = candidates({ HOME: "/Users/me", PATH: "" }, "darwin")
    assert.include(mac, "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
    assert.include(mac, "/Users/me/Applications/Chromium.app/Contents/MacOS/Chromium")
    const windows = candidates({ PROGRAMFILES: "C:\\Program Files" }, "win32")
    assert.deepStrictEqual(windows, [
      "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
      "C:\\Program Files\\Microsoft\\Edge\\Application\\msedge.exe"
    ])
  })
})
