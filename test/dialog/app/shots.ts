/**
 * `npm run shots [part of a name]`: pictures of every state of the dialog, light and dark, narrow and wide, in both
 * directions, into `test/dialog/app/shots/`, which git ignores. `npm run shots -- --readme` makes the one of the README.
 */
import { mkdir, rm } from "node:fs/promises"
import { join } from "node:path"
import { launchBrowser } from "../../support/Browser.ts"
import { buildSite, withState } from "./support/Site.ts"
import { states } from "./support/States.ts"
import { directions, schemes, widths } from "./support/Variants.ts"

const [wanted = ""] = process.argv.slice(2)
const folder = join(import.meta.dirname, "shots")
const browser = await launchBrowser()
const site = await buildSite()
try {
  if (wanted === "--readme") {
    const state = states.find(({ name }) => name === "required")
    if (state === undefined) throw new Error("there is no such state")
    const view = { viewport: { width: 800, height: 790 } }
    await withState(
      browser,
      site,
      state,
      view,
      ({ page }) =>
        page.screenshot({ path: join(import.meta.dirname, "../pairing-dialog.png"), animations: "disabled" })
    )
  } else {
    await rm(folder, { recursive: true, force: true })
    await mkdir(folder, { recursive: true })
    for (const state of states.filter(({ name }) => name.includes(wanted))) {
      await withState(browser, site, state, {}, async ({ page }) => {
        // What the way into a state left: where the pointer rests, and how far the dialog was scrolled.
        await page.mouse.move(0, 0)
        await page.locator(".body").evaluate((body) => body.scrollTo(0, 0))
        for (const width of widths) {
          for (const colorScheme of schemes) {
            for (const direction of directions) {
              await page.setViewportSize({ width, height: width < 500 ? 740 : 860 })
              await page.emulateMedia({ colorScheme })
              await page.evaluate((dir) => document.documentElement.setAttribute("dir", dir), direction)
              await page.screenshot({
                path: join(folder, `${state.name}-${width}-${colorScheme}-${direction}.png`),
                animations: "disabled"
              })
            }
          }
        }
      })
    }
  }
} finally {
  await browser.close()
  await site.remove()
}
