import { assert, describe, it } from "@effect/vitest"
import type { Page } from "playwright-core"
import { hostileTexts } from "./support/HostileTexts.ts"
import { asked, connected, gateway, identity } from "./support/States.ts"
import { announced, focused, listenForAnnouncements, suite, until } from "./support/Suite.ts"

const first = [identity, gateway, connected]
const question = (page: Page, id: string) => page.locator(`[data-question="${id}"]`)
const button = (page: Page, id: string, name: string) => question(page, id).getByRole("button", { name })
const settled = (questionId: string, outcome: string) => ({
  event: "tool.settled",
  questionId,
  tool: "wipe",
  outcome
})

describe("calls of marked tools on the page", () => {
  const { page: withPage } = suite()

  it("a person allows or refuses with pointer and keyboard, and what ended is gone, also after a reload", () =>
    withPage({ events: first, prepare: listenForAnnouncements }, async ({ agent, page, trouble }) => {
      const decided: Array<string> = []
      agent.answerQuestion = (id, decision) => {
        decided.push(`${id} ${decision}`)
        agent.emit(settled(id, decision === "allow" ? "allowed" : "denied"))
        return 204
      }
      await page.getByText("Connected").waitFor()
      await page.getByRole("textbox").focus()
      agent.emit(asked("t1"), asked("t2", { arguments: '{"path":"/srv"}' }), asked("t3"))
      await question(page, "t2").getByText('{"path":"/srv"}').waitFor()
      assert.strictEqual(await page.title(), "Permission needed – OpenClaw device")
      assert.isTrue(
        await page.getByRole("textbox").evaluate((box) => box === document.activeElement),
        "the focus stays where the person types"
      )
      await button(page, "t1", "Allow once").click()
      await question(page, "t1").waitFor({ state: "detached" })
      await button(page, "t2", "Refuse").focus()
      await page.keyboard.press("Enter")
      await question(page, "t2").waitFor({ state: "detached" })
      assert.strictEqual(await focused(page), "Refuse", "the focus goes on to the next question, and never to Allow")
      agent.emit(settled("t3", "ended"))
      await question(page, "t3").waitFor({ state: "detached" })
      assert.isTrue(await page.getByRole("textbox").evaluate((box) => box === document.activeElement))
      assert.deepStrictEqual(decided, ["t1 allow", "t2 deny"])
      assert.isFalse(await page.getByText("May the gateway's agent do this?").isVisible())
      assert.strictEqual(await page.title(), "OpenClaw device")
      const said = await announced(page)
      for (const sentence of ["may the agent call wipe?", "wipe: allowed", "wipe: refused", "wipe: nobody decided"]) {
        assert.isTrue(said.some((one) => one.includes(sentence)), `${sentence} of ${said.join("; ")}`)
      }
      await page.reload()
      await page.getByText("Connected").waitFor()
      assert.strictEqual(await page.locator("[data-question]").count(), 0)
      assert.deepStrictEqual(trouble, [])
    }))

  it("a question that has just appeared cannot be allowed by a click that was meant for something else", () =>
    withPage({ events: first }, async ({ agent, page }) => {
      const decided: Array<string> = []
      agent.answerQuestion = (id, decision) => (decided.push(`${id} ${decision}`), 204)
      await page.getByText("Connected").waitFor()
      await page.evaluate(() => {
        new MutationObserver((_, observer) => {
          const allow = document.querySelector<HTMLButtonElement>("[data-question] button:last-of-type")
          if (allow === null) return
          observer.disconnect()
          Reflect.set(window, "enabledAtOnce", !allow.disabled)
          allow.click()
        }).observe(document, { childList: true, subtree: true })
      })
      agent.emit(asked("t1"))
      await question(page, "t1").waitFor()
      assert.isFalse(await page.evaluate(() => Reflect.get(window, "enabledAtOnce")))
      assert.deepStrictEqual(decided, [])
      await button(page, "t1", "Allow once").click()
      await until(page, () => decided.length === 1)
      assert.isTrue(await button(page, "t1", "Refuse").isDisabled(), "one answer is enough")
    }))

  it("an answer that comes too late, or does not reach the agent, is told, and a lost one can be given again", () =>
    withPage({ events: first }, async ({ agent, page }) => {
      let status = 500
      agent.answerQuestion = () => status
      agent.emit(asked("t1"))
      await button(page, "t1", "Allow once").click()
      await question(page, "t1").getByText("was not told").waitFor()
      status = 410
      await button(page, "t1", "Allow once").click()
      await question(page, "t1").getByText("This question has ended; nothing was allowed.").waitFor()
      assert.isTrue(await button(page, "t1", "Allow once").isDisabled())
    }))

  it("what ended while the page had no contact is not shown any more", () =>
    withPage({ events: first }, async ({ agent, page }) => {
      agent.emit(asked("t1"))
      await question(page, "t1").waitFor()
      agent.breakOff(503)
      await page.getByText("No contact with the agent").waitFor()
      agent.replay = [...first, asked("t2")]
      agent.breakOff(undefined)
      await question(page, "t2").waitFor()
      assert.strictEqual(await question(page, "t1").count(), 0)
    }))

  it("whatever a model gives is text and nothing else", () =>
    withPage({ events: first }, async ({ agent, page, trouble }) => {
      const texts = [
        "<img src=x onerror=alert(1)>",
        "</pre><script>alert(1)</script>",
        "[link](javascript:alert(1))",
        "\u202eoverride\u2066 \u001b[31m",
        ...Object.values(hostileTexts).map((made) => made(300))
      ]
      for (const [index, text] of texts.entries()) {
        agent.emit(asked(`t${index + 1}`, { tool: text, title: text, arguments: text, session: text }))
      }
      await question(page, `t${texts.length}`).waitFor()
      const inside = await page.locator(".questions").evaluate((section) =>
        [...new Set(Array.from(section.querySelectorAll("*"), ({ localName }) => localName))].toSorted()
      )
      assert.deepStrictEqual(inside, ["bdi", "button", "code", "div", "h2", "h3", "li", "ol", "p", "pre"])
      assert.deepStrictEqual(trouble, [])
    }))
})
