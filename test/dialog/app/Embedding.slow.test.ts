import { assert, describe, it } from "@effect/vitest"
import * as esbuild from "esbuild"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import type { Page } from "playwright-core"
import { listenForTrouble } from "../../support/PageTrouble.ts"
import { startFakeAgent } from "./support/FakeAgent.ts"
import type { FakeAgent } from "./support/FakeAgent.ts"
import { check, gateway, identity, notice, requestId, resolved } from "./support/States.ts"
import { commandIn, dialogIn, suite } from "./support/Suite.ts"

const examples = join(import.meta.dirname, "../../examples")
const approve = `openclaw devices approve ${requestId}`

describe("embedding", () => {
  const { browser, site } = suite()

  const withHost = async (
    files: Readonly<Record<string, string>>,
    fragment: (agent: FakeAgent) => string,
    use: (page: Page, agent: FakeAgent) => Promise<void>
  ) => {
    const agent = await startFakeAgent({
      ...files,
      "openclaw-pairing-dialog.js": join(site().folder, "openclaw-pairing-dialog.js")
    })
    const page = await browser().newPage()
    try {
      page.setDefaultTimeout(12_000)
      const trouble = await listenForTrouble(page)
      agent.replay = [identity, gateway, notice("required")]
      await page.goto(`${agent.origin}/${fragment(agent)}`)
      await use(page, agent)
      assert.deepStrictEqual(trouble, [])
    } finally {
      await page.close()
      await agent.close()
    }
  }
  const keyOf = (agent: FakeAgent) => `#token=${agent.token}`

  const bundleReact = async () => {
    const folder = site().folder
    await esbuild.build({
      entryPoints: [join(examples, "react/main.tsx")],
      outfile: join(folder, "react.js"),
      bundle: true,
      format: "esm",
      jsx: "automatic",
      minify: true,
      define: { "process.env.NODE_ENV": '"production"' },
      alias: { "effect-openclaw/pairing-dialog": join(folder, "openclaw-pairing-dialog.js") }
    })
    await writeFile(
      join(folder, "react.html"),
      `<!doctype html><html lang="en"><title>t</title><link rel="icon" href="data:,"><div id="root"></div><script type="module" src="react.js"></script>`
    )
    return { "": join(folder, "react.html"), "react.js": join(folder, "react.js") }
  }

  it("in plain HTML: one script, one element, and the page hears every event", () =>
    withHost(
      { "": join(examples, "html/index.html"), "host.js": join(examples, "html/host.js") },
      keyOf,
      async (page, agent) => {
        await dialogIn(page).waitFor()
        assert.strictEqual(await commandIn(page).innerText(), approve)
        await page.getByText("Last event: pairing.required").waitFor()
        agent.emit(resolved)
        await page.getByText("Last event: pairing.resolved").waitFor()
        await page.getByText("Device approved.").waitFor()
      }
    ))

  it("a token that a slow script of the page brings is in time: no request goes out without it", async () => {
    const page = await browser().newPage()
    const agent = await startFakeAgent({
      "": join(examples, "html/index.html"),
      "host.js": join(examples, "html/host.js"),
      "openclaw-pairing-dialog.js": join(site().folder, "openclaw-pairing-dialog.js")
    })
    try {
      agent.replay = [identity, gateway, notice("required")]
      const defined = page.waitForFunction(() => customElements.get("openclaw-pairing-dialog") !== undefined)
      await page.route("**/host.js", async (route) => {
        await defined
        await page.evaluate(() => new Promise<void>((resolve) => requestAnimationFrame(() => resolve())))
        await route.continue()
      })
      await page.goto(`${agent.origin}/${keyOf(agent)}`)
      await dialogIn(page).waitFor()
      assert.deepStrictEqual(agent.requests, ["GET events"])
    } finally {
      await page.close()
      await agent.close()
    }
  })

  it("in React, on the agent's own stream", async () =>
    withHost(await bundleReact(), keyOf, async (page, agent) => {
      await dialogIn(page).waitFor()
      assert.strictEqual(await commandIn(page).innerText(), approve)
      assert.isNull(await page.locator("openclaw-pairing-dialog").getAttribute("token"))
      assert.strictEqual(agent.readers(), 1)
    }))

  it("in React, on a channel of the host's own, without any request", async () =>
    withHost(await bundleReact(), () => "", async (page, agent) => {
      await page.getByText("0 events").waitFor()
      const receive = (...events: ReadonlyArray<unknown>) =>
        page.evaluate((all) => {
          const to: unknown = Reflect.get(globalThis, "receive")
          for (const event of all) if (typeof to === "function") to(event)
        }, events)
      await receive(identity, gateway, notice("required"), {
        check: { ...check(0), nextCheckAt: "2099-01-01T00:00:00Z" }
      })
      await dialogIn(page).waitFor()
      assert.strictEqual(await commandIn(page).innerText(), approve)
      await page.getByText("Asks again in").waitFor()
      await page.getByRole("button", { name: "Check now" }).click()
      await page.waitForFunction(() => document.title === "asked 1")
      await receive({ check: { checking: true, nextCheckAt: null } })
      await page.getByText("Asking the gateway…").waitFor()
      await receive(resolved)
      await page.getByText("Device approved.").waitFor()
      assert.deepStrictEqual(agent.requests, [])
    }))

  it("properties that were set before the element was defined take effect, the token too", async () => {
    const { folder } = site()
    await writeFile(
      join(folder, "plain.html"),
      `<!doctype html><html lang="en"><title>t</title><link rel="icon" href="data:,"><openclaw-pairing-dialog></openclaw-pairing-dialog><script type="module" src="late.js"></script>`
    )
    await writeFile(
      join(folder, "late.js"),
      `const dialog = document.querySelector("openclaw-pairing-dialog")
       dialog.src = "events"
       dialog.token = location.hash.slice(7)
       await import("./openclaw-pairing-dialog.js")`
    )
    await withHost(
      { "": join(site().folder, "plain.html"), "late.js": join(site().folder, "late.js") },
      keyOf,
      async (page, agent) => {
        await dialogIn(page).waitFor()
        assert.deepStrictEqual(agent.requests, ["GET events"])
        assert.notInclude(await page.content(), agent.token)
      }
    )
  })

  it("no request goes out before the host sets a token, however late that is; an empty one means that none is needed", async () => {
    const { folder } = site()
    await writeFile(
      join(folder, "waiting.html"),
      `<!doctype html><html lang="en"><title>t</title><link rel="icon" href="data:,"><script type="module" src="openclaw-pairing-dialog.js"></script><openclaw-pairing-dialog src="events"></openclaw-pairing-dialog>`
    )
    await withHost({ "": join(folder, "waiting.html") }, () => "", async (page, agent) => {
      const sent: Array<string | undefined> = []
      const said = agent.replay.map((event) => `event: agent\ndata: ${JSON.stringify(event)}\n\n`).join("")
      await page.route("**/events", async (route) => {
        await route.fulfill({ contentType: "text/event-stream", body: said })
        sent.push(route.request().headers()["authorization"])
      })
      await page.reload()
      const set = (token: string | undefined) =>
        page.evaluate(async (value) => {
          await customElements.whenDefined("openclaw-pairing-dialog")
          const dialog = document.querySelector("openclaw-pairing-dialog")
          if (dialog === null) return
          if (dialog.token === undefined) dialog.checkNow()
          dialog.token = value
          // After everything that waits for this turn of the page.
          await new Promise((resolve) => setTimeout(resolve))
        }, token)
      await set(undefined)
      assert.deepStrictEqual([sent, agent.requests], [[], []])
      await set("late")
      await dialogIn(page).waitFor()
      await set(undefined)
      const before = sent.length
      assert.deepStrictEqual(new Set(sent), new Set(["Bearer late"]))
      const answered = page.waitForResponse("**/events")
      await set("")
      await answered
      assert.deepStrictEqual(new Set(sent.slice(before)), new Set([undefined]))
    })
  })

  it("a host may answer 'check now' itself", () =>
    withHost(
      { "": join(examples, "html/index.html"), "host.js": join(examples, "html/host.js") },
      keyOf,
      async (page, agent) => {
        await dialogIn(page).waitFor()
        await page.evaluate(() => {
          document.addEventListener("openclaw-check-now", (event) => {
            event.preventDefault()
            document.title = "by the host"
          })
        })
        await page.getByRole("button", { name: "Check now" }).click()
        await page.waitForFunction(() => document.title === "by the host")
        assert.notInclude(agent.requests, "POST check-now")
      }
    ))
})
