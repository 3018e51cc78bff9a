import { assert, describe, it } from "@effect/vitest"
import { listenForTrouble } from "../../support/PageTrouble.ts"
import type { PairingHost } from "./support/PairingHost.ts"
import { fakeHost } from "./support/PairingHost.ts"
import { realHost } from "./support/RealHost.ts"
import type { Site } from "./support/Site.ts"
import { commandIn, dialogIn, pillIn, suite } from "./support/Suite.ts"

/** The agents that serve the page. */
const hosts: Readonly<Record<string, (site: Site) => Promise<PairingHost>>> = {
  "a fake agent": fakeHost,
  "an agent": realHost
}

describe("from request to reply", () => {
  const { browser, site } = suite()

  for (const [name, start] of Object.entries(hosts)) {
    it(`F52: a task given before the approval is sent after it: ${name}`, async () => {
      const host = await start(site())
      const page = await browser().newPage()
      try {
        page.setDefaultTimeout(15_000)
        const trouble = await listenForTrouble(page)
        await page.goto(host.url)
        await dialogIn(page).waitFor()
        const command = await commandIn(page).innerText()
        await page.keyboard.press("Escape")
        await page.getByRole("textbox").fill("water the plants")
        await page.getByRole("button", { name: "Send" }).click()
        const task = page.getByRole("listitem").filter({ hasText: "water the plants" }).first()
        await task.getByText("It is sent as soon as the device is approved.").waitFor()
        await pillIn(page).click()
        await host.run(command)
        await page.getByText("Device approved.").waitFor()
        await page.getByText("Connected", { exact: true }).waitFor()
        await task.getByText("echo: water the plants").waitFor()
        assert.isFalse(await pillIn(page).isVisible())
        await page.reload()
        await page.getByText("echo: water the plants").waitFor()
        assert.isFalse(await dialogIn(page).isVisible())
        assert.deepStrictEqual(trouble, [])
      } finally {
        await page.close()
        await host.close()
      }
    })
  }
})
