import { assert, describe, it } from "@effect/vitest"
import type { BrowserContext, Page } from "playwright-core"
import { listenForTrouble } from "../../support/PageTrouble.ts"
import type { FakeAgent } from "./support/FakeAgent.ts"
import { startFakeAgent } from "./support/FakeAgent.ts"
import { realHost } from "./support/RealHost.ts"
import { connected, gateway, identity, notice } from "./support/States.ts"
import { commandIn, dialogIn, suite, until } from "./support/Suite.ts"

/** A browser opens six connections to one server, for all its windows together. */
const windows = 7

const see = (page: Page, visibility: "visible" | "hidden") =>
  page.evaluate((value) => {
    Object.defineProperty(document, "visibilityState", { value, configurable: true })
    document.dispatchEvent(new Event("visibilitychange"))
  }, visibility)

describe("windows of one browser that show the same page", () => {
  const { browser, site } = suite()

  const inContext = async (use: (context: BrowserContext, open: (url: string) => Promise<Page>) => Promise<void>) => {
    const context = await browser().newContext({ locale: "en-GB" })
    try {
      await use(context, async (url) => {
        const page = await context.newPage()
        page.setDefaultTimeout(15_000)
        await page.goto(url)
        return page
      })
    } finally {
      await context.close()
    }
  }
  const withAgent = (use: (agent: FakeAgent, open: () => Promise<Page>, context: BrowserContext) => Promise<void>) =>
    inContext(async (context, open) => {
      const agent = await startFakeAgent(site().files)
      agent.replay = [identity, gateway, connected]
      try {
        await use(agent, () => open(agent.url), context)
      } finally {
        await agent.close()
      }
    })
  const reply = (text: string) => ({ event: "task.reply", taskId: text, runId: "r", text })

  it("seven that can be seen all load, and what is done in one of them is answered and shown in all", async () => {
    const host = await realHost(site())
    try {
      await inContext(async (context) => {
        const pages: Array<Page> = []
        const troubles: Array<ReadonlyArray<string>> = []
        for (let index = 0; index < windows; index++) {
          const page = await context.newPage()
          page.setDefaultTimeout(15_000)
          troubles.push(await listenForTrouble(page))
          await page.goto(host.url)
          await dialogIn(page).waitFor()
          pages.push(page)
        }
        const [first = assert.fail(), last = assert.fail()] = [pages[0], pages.at(-1)]
        const answered = last.waitForResponse("**/check-now")
        await dialogIn(last).getByRole("button", { name: "Check now" }).click()
        assert.strictEqual((await answered).status(), 204)
        await host.run(await commandIn(last).innerText())
        for (const page of pages) await page.getByText("Connected", { exact: true }).waitFor()
        await last.getByRole("textbox").fill("water the plants")
        await last.getByRole("button", { name: "Send" }).click()
        for (const page of pages) await page.getByText("echo: water the plants").waitFor()
        // The first one read the stream for all.
        await first.close()
        await last.getByRole("textbox").fill("and the lawn")
        await last.getByRole("button", { name: "Send" }).click()
        for (const page of pages.slice(1)) await page.getByText("echo: and the lawn").waitFor()
        assert.deepStrictEqual(troubles.flat(), [])
      })
    } finally {
      await host.close()
    }
  }, 60_000)

  it("hold one stream and one attendance together, which pass on to another when the first is closed", () =>
    withAgent(async (agent, open) => {
      const first = await open()
      await first.getByText("Connected").waitFor()
      const second = await open()
      const third = await open()
      for (const page of [second, third]) await page.getByText("Connected").waitFor()
      await until(third, () => agent.readers() === 1 && agent.attending() === 1)
      await first.close()
      await until(third, () => agent.readers() === 1 && agent.attending() === 1)
      agent.emit(reply("after"))
      for (const page of [second, third]) await page.getByText("after", { exact: true }).first().waitFor()
      await second.reload()
      await second.getByText("after", { exact: true }).first().waitFor()
      await until(third, () => agent.readers() === 1)
    }))

  it("are attended while one of them can be seen", () =>
    withAgent(async (agent, open) => {
      const first = await open()
      const second = await open()
      for (const page of [first, second]) await page.getByText("Connected").waitFor()
      await see(first, "hidden")
      await until(second, () => agent.attending() === 1)
      await see(second, "hidden")
      await until(second, () => agent.attending() === 0)
      await see(first, "visible")
      await until(second, () => agent.attending() === 1)
    }))

  it("learn together that the agent is lost and that it is back, and that a request ended meanwhile", () =>
    withAgent(async (agent, open) => {
      agent.replay = [identity, gateway, notice("required")]
      const pages = [await open(), await open()]
      for (const page of pages) await dialogIn(page).waitFor()
      agent.breakOff(503)
      for (const page of pages) await page.locator(".connection", { hasText: "No contact" }).waitFor()
      agent.replay = [identity, gateway, connected]
      agent.breakOff(undefined)
      for (const page of pages) await page.getByText("Device approved.").waitFor()
    }))

  it("a stream whose window sleeps is read by another one", () =>
    withAgent(async (agent, open, context) => {
      const first = await open()
      await first.getByText("Connected").waitFor()
      const names = () =>
        first.evaluate(async () => ((await navigator.locks.query()).held ?? []).map(({ name }) => name))
      // A window of the same origin that holds all locks and does nothing else.
      const asleep = await context.newPage()
      await asleep.goto(`${agent.origin}/page.css`)
      for (const name of await names()) {
        await asleep.evaluate((held) => {
          void navigator.locks.request(held ?? "", () => new Promise(() => {}))
        }, name)
      }
      await first.close()
      await until(asleep, () => agent.readers() === 0)
      const page = await context.newPage()
      await page.clock.install()
      await page.goto(agent.url)
      await page.waitForFunction(async () => ((await navigator.locks.query()).pending ?? []).length > 0)
      await page.getByText("Waiting for the agent…").waitFor()
      await page.clock.runFor(6000)
      await page.getByText("Connected").waitFor()
      assert.strictEqual(agent.readers(), 1)
    }))

  it("a window that another one took the stream from listens to that one", () =>
    withAgent(async (agent, open) => {
      const first = await open()
      await first.getByText("Connected").waitFor()
      const second = await open()
      await second.getByText("Connected").waitFor()
      const opened = () => agent.requests.filter((request) => request === "GET events").length
      const before = opened()
      await second.evaluate(async () => {
        const { held = [] } = await navigator.locks.query()
        for (const { name = "" } of held) await navigator.locks.request(name, { steal: true }, () => {})
      })
      await until(second, () => opened() > before && agent.readers() === 1)
      agent.emit(reply("to both"))
      for (const page of [first, second]) await page.getByText("to both", { exact: true }).first().waitFor()
    }))

  it("names of locks do not show the token, and another token has a stream of its own", () =>
    withAgent(async (agent, open, context) => {
      const first = await open()
      await first.getByText("Connected").waitFor()
      const locks = await first.evaluate(async () => JSON.stringify(await navigator.locks.query()))
      assert.notInclude(locks, agent.token)
      const other = await context.newPage()
      await other.goto(`${agent.origin}/#token=wrong`)
      await other.getByText("This page's key is not valid").waitFor()
      await first.getByText("Connected").waitFor()
      assert.isFalse(await other.getByText("fiddle barley boulder eraser").first().isVisible())
    }))
})
