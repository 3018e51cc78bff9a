import { assert, describe, it } from "@effect/vitest"
import { connect, createServer } from "node:net"
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

  it("the page works over a forwarded port, at every name of loopback", async () => {
    const host = await realHost(site())
    const behind = new URL(host.url)
    const forward = createServer((near) => {
      const far = connect({ host: "127.0.0.1", port: Number(behind.port) })
      near.on("error", () => far.destroy())
      far.on("error", () => near.destroy())
      near.pipe(far).pipe(near)
    })
    await new Promise<void>((resolve) => forward.listen(0, "127.0.0.1", resolve))
    const address = forward.address()
    const port = typeof address === "object" ? address?.port : assert.fail()
    const context = await browser().newContext({ locale: "en-GB" })
    try {
      for (const name of ["127.0.0.1", "localhost"]) {
        const page = await context.newPage()
        page.setDefaultTimeout(15_000)
        const trouble = await listenForTrouble(page)
        await page.goto(`http://${name}:${port}/${behind.hash}`)
        await dialogIn(page).waitFor()
        const answered = page.waitForResponse("**/check-now")
        await dialogIn(page).getByRole("button", { name: "Check now" }).click()
        assert.strictEqual((await answered).status(), 204)
        assert.deepStrictEqual(trouble, [])
      }
    } finally {
      await context.close()
      forward.close()
      await host.close()
    }
  })
})
