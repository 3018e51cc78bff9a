import { assert, describe, it } from "@effect/vitest"
import axe from "axe-core"
import type { Page } from "playwright-core"
import { states } from "./support/States.ts"
import { suite } from "./support/Suite.ts"
import { directions, schemes, widths } from "./support/Variants.ts"

/** What no reader should meet: sideways scrolling, text that is cut off, controls too small to hit (WCAG 2.2, 2.5.8). */
const faultsIn = (page: Page) =>
  page.evaluate(() => {
    const faults: Array<string> = []
    const roots: Array<Document | ShadowRoot> = [document]
    for (const element of document.querySelectorAll("*")) {
      if (element.shadowRoot !== null) roots.push(element.shadowRoot)
    }
    const modal = roots.flatMap((root) => [...root.querySelectorAll("dialog[open]")])[0]
    const scrolls = (element: Element, name: string) => {
      if (element.scrollWidth > element.clientWidth + 1) faults.push(`${name} scrolls sideways`)
    }
    scrolls(document.documentElement, "the page")
    for (const root of roots) {
      for (const element of root.querySelectorAll("dialog, dialog *, body *, .pill")) {
        if (
          !element.checkVisibility({ visibilityProperty: true }) || element.closest(".offscreen, .folded") !== null
        ) continue
        if (element.clientWidth === 1) continue // for screen readers alone
        if (modal !== undefined && !modal.contains(element) && element !== modal) continue
        const name = `${element.localName}.${element.className} ${element.textContent?.trim().slice(0, 30)}`
        const box = element.getBoundingClientRect()
        if (box.width > 0 && (box.left < -1 || box.right > innerWidth + 1)) faults.push(`${name} leaves the window`)
        if (element.matches("dialog, .body, pre, code, p, h1, h2, h3, dd, button, span, li")) scrolls(element, name)
        const control = element.matches("input") ? element.closest("label") ?? element : element
        if (element.matches("button, input, summary, textarea, select")) {
          const { height, width } = control.getBoundingClientRect()
          if (height < 24 || width < 24) faults.push(`${name} is ${width} by ${height}`)
        }
      }
    }
    return faults
  })

const axeFaults = async (page: Page) => {
  await page.evaluate(axe.source)
  const running = new Set(["axe"])
  const found = page.evaluate(async () => {
    const run: unknown = Reflect.get(window, "axe")
    if (typeof run !== "object" || run === null || !("run" in run) || typeof run.run !== "function") return ["no axe"]
    const { violations } = await run.run(document, { resultTypes: ["violations"] })
    return (violations as ReadonlyArray<
      { readonly id: string; readonly nodes: ReadonlyArray<{ readonly html: string }> }
    >)
      .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" | ")}`)
  }).finally(() => {
    running.clear()
  })
  // axe waits for timers, and the clock of this page stands still.
  while (running.size > 0) await page.clock.runFor(1)
  return await found
}

const still = { reducedMotion: "reduce" } as const

describe("the appearance", () => {
  const { state: withState } = suite()

  for (const state of states) {
    it(`fits narrow and wide, light and dark, in both directions, and is accessible: ${state.name}`, () =>
      withState(state, still, async ({ page }) => {
        for (const colorScheme of schemes) {
          await page.emulateMedia({ colorScheme })
          for (const direction of directions) {
            await page.evaluate((dir) => document.documentElement.setAttribute("dir", dir), direction)
            for (const width of widths) {
              await page.setViewportSize({ width, height: 740 })
              assert.deepStrictEqual(await faultsIn(page), [], `${width} ${colorScheme} ${direction}`)
            }
          }
          assert.deepStrictEqual(await axeFaults(page), [], colorScheme)
        }
        // 1280 by 720 at 200 % has room for 640 by 360.
        await page.setViewportSize({ width: 640, height: 360 })
        assert.deepStrictEqual(await faultsIn(page), [], "200 %")
        await page.emulateMedia({ forcedColors: "active" })
        assert.deepStrictEqual(await faultsIn(page), [], "forced colours")
      }))
  }

  it("zoomed in, everything in the dialog can be scrolled to", () =>
    withState(states.find(({ name }) => name === "scope-upgrade") ?? assert.fail(), {
      ...still,
      viewport: { width: 640, height: 360 },
      deviceScaleFactor: 2
    }, async ({ page }) => {
      for (const name of ["Check now", "Dismiss"]) {
        const button = page.getByRole("button", { name })
        await button.scrollIntoViewIfNeeded()
        const box = await button.boundingBox()
        assert.isTrue(box !== null && box.y >= 0 && box.y + box.height <= 360, name)
      }
    }))

  it("these checks find faults", () =>
    withState(states.find(({ name }) => name === "required") ?? assert.fail(), still, async ({ page }) => {
      await page.setViewportSize({ width: 360, height: 740 })
      await page.evaluate(() => {
        const root = document.querySelector("openclaw-pairing-dialog")?.shadowRoot
        const sheet = new CSSStyleSheet()
        sheet.replaceSync("pre code { white-space: pre } .dismiss { block-size: 1rem } .lead { color: #bbb }")
        root?.adoptedStyleSheets.push(sheet)
        root?.querySelector(".check")?.replaceChildren()
      })
      const faults = (await faultsIn(page)).join("\n")
      assert.match(faults, /code\. openclaw devices approve.* scrolls sideways/)
      assert.match(faults, /button\.dismiss {2}is 36 by 16/)
      const barred = (await axeFaults(page)).join("\n")
      assert.match(barred, /button-name/)
    }))
})
