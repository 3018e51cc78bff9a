import { assert, describe, it } from "@effect/vitest"
import type { Page } from "playwright-core"
import { hostileTexts } from "./support/HostileTexts.ts"
import { connected, gateway, identity, notice } from "./support/States.ts"
import { dialogIn, pillIn, suite, until } from "./support/Suite.ts"

const first = [identity, gateway, connected]
const box = (page: Page) => page.getByRole("textbox")
const item = (page: Page, summary: string) =>
  page.getByRole("listitem").filter({ has: page.getByRole("heading", { name: summary }) })
const reply = (taskId: string, text: string) => ({ event: "task.reply", taskId, runId: "r", text })

describe("the page", () => {
  const { page: withPage } = suite()

  it("takes its token out of the address bar, and still has it after a reload", () =>
    withPage({ events: first }, async ({ agent, page, trouble }) => {
      await page.getByText("Connected").waitFor()
      assert.strictEqual(page.url(), `${agent.origin}/`)
      await page.reload()
      await page.getByText("Connected").waitFor()
      assert.notInclude(await page.content(), agent.token)
      assert.deepStrictEqual(trouble, [])
    }))

  it("without a token it says where to find one, and asks nothing", () =>
    withPage({ events: first }, async ({ agent, page }) => {
      await page.getByText("Connected").waitFor()
      const other = await (await page.context().browser()?.newContext())?.newPage()
      if (other === undefined) return assert.fail("no second page")
      await until(page, () => agent.readers() === 1 && agent.attending() === 1)
      const asked = agent.requests.length
      await other.goto(agent.origin)
      await other.getByText("This page needs its key").waitFor()
      assert.isFalse(await box(other).isVisible())
      assert.strictEqual(agent.requests.length, asked)
      await other.goto(`${agent.origin}/#token=wrong`)
      await other.getByText("This page's key is not valid").waitFor()
      await other.goto(agent.url)
      await other.getByText("Connected").waitFor()
      await other.context().close()
    }))

  it("says how the connection stands, and which device this is", () =>
    withPage({ events: [identity, gateway] }, async ({ agent, page }) => {
      const line = page.locator(".connection")
      const shows = (text: string) => line.filter({ hasText: text }).waitFor()
      await shows("Waiting for the agent…")
      await page.getByText("fiddle barley boulder eraser").first().waitFor()
      await page.getByText("6a1b2863554dc14b…").waitFor()
      agent.emit({ event: "connecting", attempt: 1 })
      await shows("Connecting to the gateway…")
      agent.emit({ event: "waiting", cause: { error: "LinkError", message: "nothing answers at ws://x" }, retryAt: "" })
      await shows("Gateway out of reach")
      await page.getByText("nothing answers at ws://x").waitFor()
      agent.emit(notice("required"))
      await shows("Waiting for approval")
      assert.strictEqual(await page.title(), "Approval needed – OpenClaw device")
      await page.keyboard.press("Escape")
      agent.emit({ ...connected, missingScopes: ["operator.write"] })
      await shows("Connected, without: operator.write")
      agent.emit({ event: "pairing.cancelled", deviceId: identity["deviceId"] }, { event: "paused" })
      await shows("Paused")
      agent.emit({ event: "stopped" })
      await shows("The agent has stopped")
      agent.breakOff(503)
      await shows("No contact with the agent")
    }))

  it("a task is sent from the keyboard, shows its phase while it has one, and then its reply", () =>
    withPage({ events: first }, async ({ agent, page, trouble }) => {
      agent.answerTask = () => {
        // Events of a task may come before its receipt.
        agent.emit({ event: "task.sent", taskId: "a1", runId: "r", summary: "water the plants" })
        return [202, { taskId: "a1", runId: "r" }]
      }
      await box(page).fill("  water the plants ")
      await box(page).press("ControlOrMeta+Enter")
      const task = item(page, "water the plants")
      await task.getByText("Sent").waitFor()
      // The receipt may come after the event, and empties the box.
      await page.locator("textarea:placeholder-shown").waitFor()
      agent.emit({ event: "task.phase", taskId: "a1", phase: "tool · pump" })
      await task.getByText("tool · pump").waitFor()
      agent.emit(reply("a1", "**Done**, see [log](https://log.example/1)."))
      await task.getByText("Done", { exact: true }).first().waitFor()
      assert.notInclude(await task.innerText(), "tool · pump")
      assert.strictEqual(await task.locator("strong").innerText(), "Done")
      const link = task.getByRole("link", { name: "log" })
      assert.deepStrictEqual([await link.getAttribute("target"), await link.getAttribute("rel")], [
        "_blank",
        "noopener noreferrer"
      ])
      await page.reload()
      await item(page, "water the plants").getByText("Done", { exact: true }).first().waitFor()
      assert.deepStrictEqual(trouble, [])
    }))

  it("a reply is shown while it is written, formatted and without effect, and its end is announced once", () =>
    withPage({ events: first }, async ({ agent, page, trouble }) => {
      const text = (from: number, text: string) => ({ event: "task.text", taskId: "a1", from, text })
      await page.getByText("Connected").waitFor()
      agent.emit({ event: "task.sent", taskId: "a1", runId: "r", summary: "water the plants" })
      agent.emit(text(0, "**One** <img src=x onerror=alert(1)>"))
      const task = item(page, "water the plants")
      await task.locator(".reply strong", { hasText: "One" }).waitFor()
      assert.strictEqual(await task.locator(".reply").getAttribute("aria-busy"), "")
      assert.strictEqual(await task.locator(".reply img[onerror]").count(), 0)
      await page.evaluate(() => {
        const region = document.querySelector("[role=status]")
        Object.assign(window, { said: [] })
        new MutationObserver(() => Reflect.get(window, "said").push(region?.textContent)).observe(
          region ?? document.body,
          { childList: true, subtree: true, characterData: true }
        )
      })
      agent.emit(text(3, "e** by *one*"))
      await task.locator(".reply em", { hasText: "one" }).waitFor()
      assert.isTrue(await task.getByRole("button", { name: "Stop" }).isVisible())
      agent.emit(reply("a1", "**Done**"))
      await task.locator(".reply strong", { hasText: "Done" }).waitFor()
      assert.isNull(await task.locator(".reply").getAttribute("aria-busy"))
      agent.emit({ event: "task.failed", taskId: "a2", error: { error: "Expired", message: "no reply in time" } })
      await page.getByText("no reply in time").waitFor()
      const said: ReadonlyArray<string> = await page.evaluate(() => Reflect.get(window, "said"))
      assert.lengthOf(said.filter((sentence) => sentence.includes("water the plants")), 1)
      assert.deepStrictEqual(trouble, [])
    }))

  it("tasks stand newest first, each with why it waits, how it failed or that it was late", () =>
    withPage({ events: first }, async ({ agent, page }) => {
      const reasons = ["AwaitingApproval", "Offline", "Paused", "Halted", "Busy", "OtherGateway"]
      agent.emit(...reasons.map((reason, index) => ({ event: "task.queued", taskId: `q${index}`, reason })))
      agent.emit(
        {
          event: "task.failed",
          taskId: "f",
          error: { error: "Expired", message: "no reply in time", advice: "Ask again." }
        },
        { event: "task.failed", taskId: "l", error: { error: "Expired", message: "no reply in time" } },
        { ...reply("l", "here it is"), late: true }
      )
      await item(page, "Task l").getByText("Late reply").first().waitFor()
      const headings = await page.getByRole("heading", { level: 3 }).allInnerTexts()
      assert.deepStrictEqual(headings, [
        "Task l",
        "Task f",
        "Task q5",
        "Task q4",
        "Task q3",
        "Task q2",
        "Task q1",
        "Task q0"
      ])
      assert.include(await item(page, "Task f").innerText(), "no reply in time Ask again.")
      const told = await Promise.all(
        reasons.map((_, index) => item(page, `Task q${index}`).locator(".detail").innerText())
      )
      assert.strictEqual(new Set(told).size, reasons.length)
      for (const sentence of told) assert.match(sentence, /^It is (sent|for) .*\.$/)
    }))

  it("a long reply shows three lines, and all of it on request", () =>
    withPage({ events: first }, async ({ agent, page }) => {
      agent.emit(
        reply(
          "a1",
          Array.from({ length: 12 }, (_, index) => `- line ${index} [x](https://x.example/${index})`).join("\n")
        )
      )
      const task = item(page, "Task a1")
      const all = task.getByRole("button", { name: "Show all" })
      await all.waitFor()
      const height = async () => (await task.locator(".reply").boundingBox())?.height ?? 0
      const [folded, lineHeight] = [await height(), 1.5 * 15]
      assert.isAtMost(folded, 3 * lineHeight + 1)
      assert.strictEqual(await task.locator("a[tabindex='-1']").count(), 9)
      await all.click()
      assert.isAbove(await height(), 10 * lineHeight)
      assert.strictEqual(await task.locator("a[tabindex='-1']").count(), 0)
      await task.getByRole("button", { name: "Show less" }).click()
      assert.isAtMost(await height(), 3 * lineHeight + 1)
      agent.emit(reply("a2", "short"))
      await item(page, "Task a2").getByText("short").waitFor()
      assert.isFalse(await item(page, "Task a2").getByRole("button").first().isVisible())
    }))

  it("a hostile reply is structure without effect: nothing runs, loads, submits or styles", () =>
    withPage({ events: first }, async ({ agent, page, trouble }) => {
      const asked: Array<string> = []
      page.on("request", (request) => void asked.push(request.url()))
      const bad = [
        "<script>document.title='owned'</script>",
        "<img src='https://evil.example/x.png' onerror=\"document.title='owned'\">",
        "![x](https://evil.example/y.png)",
        "<iframe src='https://evil.example/'></iframe><object data='https://evil.example/'></object>",
        "<form action='https://evil.example/'><input name=q autofocus><button>Send</button></form>",
        "<style>body{display:none}</style><p style='position:fixed;inset:0' id=task class=delegate>over</p>",
        "<svg><a xlink:href='javascript:document.title=1'><text>x</text></a></svg><math><mtext></mtext></math>",
        "[run](javascript:document.title='owned') [data](data:text/html,x) [vb](vbscript:x) <a href=' java\nscript:x'>w</a>",
        "[fine](https://ok.example/ \"' onclick=document.title=1\") <a href='https://no.example/' onclick=x>as text</a>",
        "<openclaw-pairing-dialog src='https://evil.example/'></openclaw-pairing-dialog>"
      ].join("\n\n")
      agent.emit(reply("a1", bad))
      const task = item(page, "Task a1")
      await task.getByRole("button", { name: "Show all" }).click()
      await task.getByRole("link", { name: "fine" }).click({ trial: true })
      assert.deepStrictEqual(
        await task.locator(".reply *").evaluateAll((all) =>
          [...new Set(all.flatMap((one) => [one.localName, ...one.getAttributeNames()]))].toSorted()
        ),
        ["a", "href", "p", "rel", "target", "title"]
      )
      const links = await task.getByRole("link").evaluateAll((all) => all.map((one) => one.getAttribute("href")))
      assert.deepStrictEqual(links.filter((href) => href !== null), ["https://ok.example/"])
      assert.include(await task.innerText(), "<script>document.title='owned'</script>")
      assert.notInclude(await page.title(), "owned")
      assert.deepStrictEqual(asked.filter((url) => url.includes("evil")), [])
      assert.deepStrictEqual(trouble, [])
    }))

  it("a reply that is made to keep the page busy is shown as text, whole, and the page goes on", () =>
    withPage({ events: first }, async ({ agent, page, trouble }) => {
      const lengths = {
        "a link without brackets and its closing parentheses": 200_000,
        quotes: 6000,
        "a wide table with many rows": 20_000,
        "emphasis that does not end": 80_000,
        "lists in lists on a line": 20_000,
        "no direction": 1_000_000
      }
      for (const [index, [name, length]] of Object.entries(lengths).entries()) {
        const text = hostileTexts[name]?.(length) ?? assert.fail(name)
        agent.emit(reply(`h${index}`, text))
        const task = item(page, `Task h${index}`)
        await task.locator(".detail", { hasText: "Shown as plain text" }).waitFor()
        assert.isTrue(await task.locator(".reply").evaluate((shown, whole) => shown.textContent === whole, text), name)
        await task.getByRole("button", { name: "Show all" }).click()
        assert.isAbove((await task.locator(".reply").boundingBox())?.height ?? 0, 100, name)
        await task.getByRole("button", { name: "Show less" }).click()
      }
      await box(page).fill("the page answers")
      assert.deepStrictEqual(trouble, [])
    }))

  it("a task that was refused, or could not be handed over, stays in its box with the reason", () =>
    withPage({ events: first }, async ({ agent, page }) => {
      agent.answerTask = () => [422, { error: "TooLarge", message: "the task is longer than the gateway takes" }]
      await box(page).fill("a book")
      await page.getByRole("button", { name: "Send" }).click()
      await page.locator("form .trouble", { hasText: "longer than the gateway takes" }).waitFor()
      assert.strictEqual(await box(page).inputValue(), "a book")
      await page.route("**/tasks", (route) => route.abort())
      await page.getByRole("button", { name: "Send" }).click()
      await page.locator("form .trouble", { hasText: "The agent cannot be reached." }).waitFor()
      assert.strictEqual(await box(page).inputValue(), "a book")
      assert.strictEqual(await page.getByRole("listitem").count(), 0)
    }))

  it("a task that runs can be stopped", () =>
    withPage({ events: [...first, { event: "task.sent", taskId: "a/1", runId: "r" }] }, async ({ agent, page }) => {
      const task = item(page, "Task a/1")
      await task.getByRole("button", { name: "Stop" }).click()
      await until(page, () => agent.requests.includes("DELETE tasks/a%2F1"))
      agent.emit({ event: "task.failed", taskId: "a/1", error: { error: "Aborted", message: "the run was aborted" } })
      await task.getByText("the run was aborted").waitFor()
      assert.isFalse(await task.getByRole("button").first().isVisible())
    }))

  it("holds its attendance while somebody can see it", () =>
    withPage({ events: first }, async ({ agent, page }) => {
      const see = (visibility: string) =>
        page.evaluate((value) => {
          Object.defineProperty(document, "visibilityState", { value, configurable: true })
          document.dispatchEvent(new Event("visibilitychange"))
        }, visibility)
      await until(page, () => agent.attending() === 1)
      await see("hidden")
      await until(page, () => agent.attending() === 0)
      await page.evaluate(() => fetch("page.css").then((response) => response.text()))
      assert.strictEqual(agent.requests.filter((request) => request === "GET attend").length, 1)
      await see("visible")
      await until(page, () => agent.attending() === 1)
    }))

  it("F53: through an approval, a task, a reload and a lost agent, the page itself writes nothing to the console", () =>
    withPage({ events: [identity, gateway, notice("required")] }, async ({ agent, page, trouble }) => {
      await dialogIn(page).waitFor()
      await page.keyboard.press("Escape")
      await pillIn(page).waitFor()
      agent.emit(connected, { event: "pairing.cancelled", deviceId: identity["deviceId"] }, reply("t", "# done\n\n`x`"))
      await item(page, "Task t").waitFor()
      await page.reload()
      await item(page, "Task t").waitFor()
      agent.breakOff(503)
      await page.locator(".connection", { hasText: "No contact" }).waitFor()
      // Browsers report failed requests by themselves.
      assert.deepStrictEqual(trouble.filter((line) => !line.startsWith("console.error: Failed to load resource")), [])
    }))
})
