import { assert, describe, it } from "@effect/vitest"
import type { Page } from "playwright-core"
import { check, connected, deviceId, gateway, identity, notice, requestId, resolved } from "./support/States.ts"
import {
  announced,
  commandIn,
  copyIn,
  dialogIn,
  focused,
  insecureHost,
  listenForAnnouncements,
  pillIn,
  suite,
  until
} from "./support/Suite.ts"

const first = [identity, gateway]
const required = [...first, notice("required")]
const approve = `openclaw devices approve ${requestId}`
const textIn = (page: Page) => dialogIn(page).innerText()

/** Makes ways to copy fail as browsers do. */
const without = (page: Page, ways: { readonly clipboard?: "absent" | "denied"; readonly command?: true }) =>
  page.addInitScript(({ clipboard, command }) => {
    if (clipboard !== undefined) {
      const denied = { writeText: () => Promise.reject(new DOMException("denied", "NotAllowedError")) }
      Object.defineProperty(navigator, "clipboard", { value: clipboard === "absent" ? undefined : denied })
    }
    if (command === true) document.execCommand = () => false
  }, ways)
const pasted = async (page: Page) => {
  await page.evaluate(() => {
    const box = document.createElement("textarea")
    box.id = "paste"
    document.querySelector("openclaw-pairing-dialog")?.shadowRoot?.querySelector("dialog")?.append(box)
    box.focus()
  })
  await page.keyboard.press("ControlOrMeta+V")
  return await page.locator("#paste").inputValue()
}

describe("<openclaw-pairing-dialog>", () => {
  const { page: withPage } = suite()

  it("a person gets from 'approval needed' to 'connected', and hears of each step", () =>
    withPage({
      events: first,
      context: { permissions: ["clipboard-read", "clipboard-write"] },
      prepare: async (page) => {
        await listenForAnnouncements(page)
        await page.clock.install()
      }
    }, async ({ agent, page, trouble }) => {
      await page.getByText("wss://gateway.example:18789/").waitFor()
      assert.isFalse(await dialogIn(page).isVisible())
      agent.emit(notice("required"))
      await dialogIn(page).waitFor()
      const text = await textIn(page)
      for (const part of ["Approve this device", "This device is new to the gateway.", approve, "operator.write"]) {
        assert.include(text, part)
      }
      assert.include(text.replaceAll(/\s/g, ""), deviceId.slice(0, 20))
      assert.include(text, "fiddle barley boulder eraser dolphin cymbal ocean cupcake")
      await copyIn(page).click()
      await page.getByText("Copied").first().waitFor()
      assert.strictEqual(await pasted(page), approve)
      agent.check(check(60_000))
      await page.getByText(/Asks again in|Asking/).waitFor()
      await page.getByRole("button", { name: "Check now" }).click()
      await page.getByText("Asking the gateway…").waitFor()
      await until(page, () => agent.requests.includes("POST check-now"))
      agent.emit(connected, resolved)
      await page.getByText("Device approved.").waitFor()
      assert.isFalse(await dialogIn(page).isVisible())
      await page.getByText("Connected").waitFor()
      await page.clock.fastForward(7000)
      await page.getByText("Device approved.").waitFor({ state: "hidden" })
      const told = await announced(page)
      assert.include(told, "Copied")
      assert.include(told, "Device approved. Nothing has to be restarted.")
      assert.deepStrictEqual(trouble, [])
    }))

  const moreScopes = notice("required", requestId, {
    reason: "scope-upgrade",
    requestedScopes: ["operator.approvals", "operator.read"],
    approvedScopes: ["operator.read"],
    connected: true
  })
  const limited = { ...connected, missingScopes: ["operator.approvals"] }

  it("a dismissed wish for more scopes ends without a dialog, and is heard by a screen reader", () =>
    withPage({ events: [...first, limited, moreScopes], prepare: listenForAnnouncements }, async ({ agent, page }) => {
      await dialogIn(page).waitFor()
      await page.keyboard.press("Escape")
      const pill = page.getByRole("button", { name: "More scopes wait for approval" })
      await pill.waitFor()
      agent.emit({ ...resolved, event: "pairing.cancelled", outcome: "unseen" })
      await pill.waitFor({ state: "hidden" })
      assert.isFalse(await dialogIn(page).isVisible())
      assert.include(
        await announced(page),
        "Nobody answered the request for more scopes. The device keeps working with what was approved."
      )
    }))

  it("F46: an approval closes the dialog and gives the focus back", () =>
    withPage({ events: first, prepare: (page) => page.clock.install() }, async ({ agent, page }) => {
      const box = page.getByRole("textbox")
      await box.fill("half a sen")
      agent.emit(notice("required"))
      await dialogIn(page).waitFor()
      assert.strictEqual(await focused(page), "Copy")
      agent.emit(resolved)
      await page.getByText("Device approved.").waitFor()
      assert.isFalse(await dialogIn(page).isVisible())
      await page.keyboard.type("tence")
      assert.strictEqual(await box.inputValue(), "half a sentence")
      assert.isFalse(await pillIn(page).isVisible())
    }))

  it("F46: the focus comes back to where it was before, also when the dialog was reopened", () =>
    withPage({ events: first, prepare: (page) => page.clock.install() }, async ({ agent, page }) => {
      const box = page.getByRole("textbox")
      await box.focus()
      agent.emit(notice("required"))
      await dialogIn(page).waitFor()
      await page.keyboard.press("Escape")
      await pillIn(page).click()
      await dialogIn(page).waitFor()
      agent.emit(resolved)
      await page.getByText("Device approved.").waitFor()
      assert.isFalse(await dialogIn(page).isVisible())
      assert.isTrue(await box.evaluate((element) => element === document.activeElement))
    }))

  it("F30: a request that was dismissed, by button or Esc, can be opened again until it is over", () =>
    withPage({ events: required }, async ({ agent, page }) => {
      await dialogIn(page).waitFor()
      await page.getByRole("button", { name: "Dismiss" }).click()
      await dialogIn(page).waitFor({ state: "hidden" })
      assert.strictEqual(await focused(page), "Approval needed")
      await pillIn(page).click()
      await dialogIn(page).waitFor()
      assert.include(await textIn(page), approve)
      assert.isFalse(await pillIn(page).isVisible())
      for (const _ of [1, 2, 3]) {
        await page.keyboard.press("Escape")
        await dialogIn(page).waitFor({ state: "hidden" })
        await pillIn(page).press("Enter")
        await dialogIn(page).waitFor()
      }
      await page.keyboard.press("Escape")
      agent.emit(resolved)
      await pillIn(page).waitFor({ state: "hidden" })
      assert.isFalse(await dialogIn(page).isVisible())
    }))

  it("a request that replaces another takes its place, with its own command and a fresh button", () =>
    withPage({ events: required, context: { permissions: ["clipboard-write"] } }, async ({ agent, page }) => {
      await copyIn(page).click()
      await dialogIn(page).getByText("Copied").first().waitFor()
      agent.emit(notice("superseded", "second", { previousRequestId: requestId }))
      await dialogIn(page).locator(".banner", { hasText: "The gateway replaced the request." }).waitFor()
      assert.strictEqual(await commandIn(page).innerText(), "openclaw devices approve second")
      assert.strictEqual(await copyIn(page).innerText(), "Copy")
      assert.notInclude(await textIn(page), requestId)
    }))

  it("'Copied' goes away after two seconds", () =>
    withPage({
      events: required,
      context: { permissions: ["clipboard-write"] },
      prepare: (page) => page.clock.install()
    }, async ({ page }) => {
      await copyIn(page).click()
      await dialogIn(page).locator("button.done").waitFor()
      await page.clock.fastForward(2000)
      await dialogIn(page).locator("button.done").waitFor({ state: "hidden" })
      assert.strictEqual(await copyIn(page).innerText(), "Copy")
    }))

  it("F24: without permission for the clipboard, the older way copies", () =>
    withPage({
      events: required,
      context: { permissions: ["clipboard-read"] },
      prepare: (page) => without(page, { clipboard: "denied" })
    }, async ({ page }) => {
      await copyIn(page).click()
      await dialogIn(page).locator("button.done").waitFor()
      assert.strictEqual(await focused(page), "Copied")
      assert.strictEqual(await pasted(page), approve)
    }))

  for (const clipboard of ["absent", "denied"] as const) {
    it(`F24: where nothing can copy (clipboard ${clipboard}), the text is selected and that is said and announced`, () =>
      withPage({
        events: required,
        prepare: async (page) => {
          await listenForAnnouncements(page)
          await without(page, { clipboard, command: true })
        }
      }, async ({ page }) => {
        await copyIn(page).click()
        const sentence = "The browser does not allow copying. The command is selected: press Ctrl+C or ⌘C."
        await dialogIn(page).locator(".hint", { hasText: sentence }).waitFor()
        assert.strictEqual(await copyIn(page).innerText(), "Copy")
        assert.strictEqual(await page.evaluate(() => getSelection()?.toString()), approve)
        assert.include(await announced(page), sentence)
      }))
  }

  it("G22: in an insecure context, without the clipboard, everything works", () =>
    withPage({ events: required, host: insecureHost }, async ({ page, trouble }) => {
      await dialogIn(page).waitFor()
      assert.deepStrictEqual(await page.evaluate(() => [isSecureContext, "clipboard" in navigator]), [false, false])
      await copyIn(page).click()
      await dialogIn(page).locator("button.done").waitFor()
      assert.strictEqual(await pasted(page), approve)
      assert.deepStrictEqual(trouble, [])
    }))

  it("the keyboard alone is enough, and does not leave the dialog", () =>
    withPage({
      events: [
        ...first,
        notice("required", requestId, {
          places: [
            { place: "host", fill: [], list: { text: "l1" }, approve: { text: "a1" } },
            {
              place: "docker",
              fill: ["<container>"],
              list: { text: "docker '<container>' l2" },
              approve: { text: "docker '<container>' a2" }
            }
          ]
        })
      ]
    }, async ({ agent, page }) => {
      await dialogIn(page).waitFor()
      assert.strictEqual(await focused(page), "Copy")
      const order: Array<string> = []
      for (const _ of [1, 2, 3, 4]) {
        await page.keyboard.press("Tab")
        order.push(await focused(page))
      }
      assert.deepStrictEqual(order.slice(0, 2), ["See what waits for approval", "Check now"])
      assert.notInclude(order, "Send")
      await dialogIn(page).getByRole("radio", { checked: true }).focus()
      await page.keyboard.press("ArrowRight")
      assert.strictEqual(await commandIn(page).innerText(), "docker '<container>' a2")
      await page.getByText("Replace <container> before you run it.").first().waitFor()
      await dialogIn(page).getByRole("button", { name: "Check now" }).focus()
      await page.keyboard.press("Enter")
      await page.getByText("Asking the gateway…").waitFor()
      await until(page, () => agent.requests.includes("POST check-now"))
      await page.keyboard.press("Escape")
      await page.keyboard.press("Enter")
      await dialogIn(page).waitFor()
    }))

  it("remembers the chosen place, also over a reload", () =>
    withPage({
      events: [
        ...first,
        notice("required", requestId, {
          places: ["host", "docker"].map((place) => ({
            place,
            fill: [],
            list: { text: `${place} l` },
            approve: { text: `${place} a` }
          }))
        })
      ]
    }, async ({ page }) => {
      await page.getByRole("radio", { name: "Docker" }).check()
      assert.strictEqual(await commandIn(page).innerText(), "docker a")
      await page.reload()
      await dialogIn(page).waitFor()
      assert.strictEqual(await commandIn(page).innerText(), "docker a")
      assert.isTrue(await page.getByRole("radio", { name: "Docker" }).isChecked())
    }))

  it("a lost stream is shown and heard; once it is back the same request stays as the reader left it", () =>
    withPage({ events: required, prepare: listenForAnnouncements }, async ({ agent, page }) => {
      await dialogIn(page).waitFor()
      agent.breakOff(503)
      await dialogIn(page).locator(".banner", { hasText: "This page has lost contact with the agent" }).waitFor()
      assert.match((await announced(page)).join("\n"), /This page has lost contact with the agent/)
      await page.keyboard.press("Escape")
      agent.breakOff(undefined)
      await page.getByText("Waiting for approval").first().waitFor()
      assert.isFalse(await dialogIn(page).isVisible())
      await pillIn(page).click()
      assert.notInclude(await textIn(page), "lost contact")
      assert.include(await textIn(page), approve)
    }))

  it("G18: a request that was approved while the stream was lost leaves no dialog behind", () =>
    withPage({ events: required, prepare: (page) => page.clock.install() }, async ({ agent, page }) => {
      await dialogIn(page).waitFor()
      agent.breakOff(503)
      await dialogIn(page).locator(".banner", { hasText: "This page has lost contact with the agent" }).waitFor()
      agent.replay = [...first, connected]
      agent.breakOff(undefined)
      await page.getByText("Device approved.").waitFor()
      assert.isFalse(await dialogIn(page).isVisible())
      assert.strictEqual(await page.title(), "OpenClaw device")
    }))

  it("says that the agent could not be told to check, and lets the reader try again", () =>
    withPage({
      events: required,
      prepare: (page) => page.route("**/check-now", (route) => route.abort())
    }, async ({ page }) => {
      await page.getByRole("button", { name: "Check now" }).click()
      await dialogIn(page).getByText("The agent could not be told to check.").first().waitFor()
      assert.isNull(await page.getByRole("button", { name: "Check now" }).getAttribute("aria-disabled"))
    }))

  it("G16: trying again after a halt asks the agent, and a new attempt closes the dialog", () =>
    withPage({
      events: [...first, {
        event: "halted",
        error: { error: "OriginNotAllowed", message: "the gateway does not allow the origin" }
      }]
    }, async ({ agent, page }) => {
      await page.getByRole("heading", { name: "Not connected" }).waitFor()
      await page.getByRole("button", { name: "Try again" }).click()
      agent.emit({ event: "connecting", attempt: 1 })
      await dialogIn(page).waitFor({ state: "hidden" })
      await until(page, () => agent.requests.includes("POST check-now"))
    }))

  it("speaks German where the page does, and in the language that it is given", () =>
    withPage({ events: required, context: { locale: "de-DE" } }, async ({ agent, page }) => {
      await page.getByRole("heading", { name: "Dieses Gerät freigeben" }).waitFor()
      assert.include(await textIn(page), "Dieses Gerät ist dem Gateway neu.")
      assert.include(await textIn(page), "vor ")
      await page.evaluate(() => document.querySelector("openclaw-pairing-dialog")?.setAttribute("lang", "en-GB"))
      await page.getByRole("heading", { name: "Approve this device" }).waitFor()
      agent.emit(resolved)
      await page.getByText("Device approved.").waitFor()
    }))

  it("text from the wire is text: no markup, no handlers, nothing loaded", () =>
    withPage({ events: first }, async ({ agent, page, trouble }) => {
      const bad = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`
      agent.emit(
        { ...gateway, url: bad },
        notice("required", requestId, {
          approve: { text: bad },
          list: { text: bad },
          note: bad,
          requestedScopes: [bad],
          places: [{ place: bad, fill: [bad], approve: { text: bad } }, {
            place: "x",
            fill: ["<img"],
            approve: { text: bad }
          }]
        }),
        { event: "halted", error: { error: bad, message: bad, advice: bad, command: bad, owner: bad, next: bad } }
      )
      await page.getByRole("heading", { name: "Not connected" }).waitFor()
      assert.include(await textIn(page), "onerror")
      assert.strictEqual(await page.locator("img, script:not([src])").count(), 0)
      assert.notInclude(await page.title(), "owned")
      assert.deepStrictEqual(trouble, [])
    }))

  it("an element that is removed closes its stream, and starts anew when it is put back", () =>
    withPage({ events: required }, async ({ agent, page }) => {
      await dialogIn(page).waitFor()
      await page.evaluate(() => {
        const element = document.querySelector("openclaw-pairing-dialog")
        Reflect.set(window, "kept", element)
        element?.remove()
      })
      await page.waitForFunction(() => document.querySelector("openclaw-pairing-dialog") === null)
      for (let tries = 0; agent.readers() > 0 && tries < 100; tries++) await page.evaluate(() => 0)
      assert.strictEqual(agent.readers(), 0)
      await page.evaluate(() => {
        const kept: unknown = Reflect.get(window, "kept")
        if (kept instanceof Node) document.body.append(kept)
      })
      await dialogIn(page).waitFor()
      assert.include(await textIn(page), approve)
    }))
})
