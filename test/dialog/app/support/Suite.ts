/**
 * One browser and one build for the tests of a file.
 */
import { afterAll, assert, beforeAll } from "@effect/vitest"
import type { Browser, Locator, Page } from "playwright-core"
import { launchBrowser } from "../../../support/Browser.ts"
import type { Opened, Site } from "./Site.ts"
import { buildSite, withPage, withState } from "./Site.ts"
import type { State } from "./States.ts"

/** A name that leads to this machine and, other than `localhost`, is no secure context. */
export const insecureHost = "agent.example"

type Options = Parameters<typeof withPage>[2]

export interface Suite {
  readonly page: <A>(options: Options, use: (opened: Opened) => Promise<A>) => Promise<A>
  readonly state: <A>(
    state: State,
    context: Parameters<typeof withState>[3],
    use: (opened: Opened) => Promise<A>
  ) => Promise<A>
  readonly browser: () => Browser
  readonly site: () => Site
}

export const suite = (): Suite => {
  let browser: Browser
  let site: Site
  beforeAll(async () => {
    browser = await launchBrowser([`--host-resolver-rules=MAP ${insecureHost} 127.0.0.1`])
    site = await buildSite()
  }, 60_000)
  afterAll(async () => {
    await browser?.close()
    await site?.remove()
  })
  return {
    page: (options, use) => withPage(browser, site, options, use),
    state: (state, context, use) => withState(browser, site, state, context, use),
    browser: () => browser,
    site: () => site
  }
}

/** Waits until something outside the browser holds. Between two looks the page answers, so nothing else is waited for. */
export const until = async (page: Page, holds: () => boolean): Promise<void> => {
  const untilMs = performance.now() + 12_000
  while (!holds() && performance.now() < untilMs) await page.evaluate(() => 0)
  assert.isTrue(holds())
}

/** What a reader sees and presses. */
export const dialogIn = (page: Page): Locator => page.getByRole("dialog")
export const copyIn = (page: Page): Locator => dialogIn(page).locator("button.copy:visible").first()
export const commandIn = (page: Page): Locator => dialogIn(page).locator("code:visible").first()
export const pillIn = (page: Page): Locator => page.getByRole("button", { name: "Approval needed" })

/** What a screen reader hears: the text of live regions, as they change. */
export const listenForAnnouncements = (page: Page): Promise<unknown> =>
  page.addInitScript(() => {
    const told: Array<string> = []
    Reflect.set(window, "told", told)
    const watched = new WeakSet<Node>()
    const watch = (root: Document | ShadowRoot) => {
      if (watched.has(root)) return
      watched.add(root)
      new MutationObserver((mutations) => {
        for (const { addedNodes, target } of mutations) {
          for (const node of addedNodes) {
            if (node instanceof Element && node.shadowRoot !== null) watch(node.shadowRoot)
          }
          const region = target instanceof Element ? target.closest("[role=status]") : null
          if (region !== null && region.textContent !== "" && region.checkVisibility()) {
            told.push(region.textContent ?? "")
          }
        }
      }).observe(root, { childList: true, subtree: true })
    }
    const attach = Element.prototype.attachShadow
    Element.prototype.attachShadow = function(init) {
      const root = attach.call(this, init)
      watch(root)
      return root
    }
    watch(document)
  })
export const announced = (page: Page): Promise<ReadonlyArray<string>> =>
  page.evaluate(() => {
    const told: unknown = Reflect.get(window, "told")
    return Array.isArray(told) ? told.map(String) : []
  })

/** The element that has the focus, through shadow roots. */
export const focused = (page: Page): Promise<string> =>
  page.evaluate(() => {
    let element = document.activeElement
    while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement
    return element?.getAttribute("aria-label") ?? element?.textContent?.trim() ?? element?.tagName ?? ""
  })
