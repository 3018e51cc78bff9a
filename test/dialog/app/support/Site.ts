/**
 * The page as it is built, served by a fake agent, in a browser.
 */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core"
import { build } from "../../../../src/dialog/app/Build.ts"
import { listenForTrouble } from "../../../support/PageTrouble.ts"
import type { FakeAgent } from "./FakeAgent.ts"
import { startFakeAgent } from "./FakeAgent.ts"
import type { State } from "./States.ts"
import { nowMs } from "./States.ts"

export interface Site {
  readonly folder: string
  readonly files: Readonly<Record<string, string>>
  readonly elementInputs: ReadonlyArray<string>
  readonly remove: () => Promise<void>
}

/** Bundles into a folder of its own. */
export const buildSite = async (): Promise<Site> => {
  const folder = await mkdtemp(join(tmpdir(), "effect-openclaw-site-"))
  const { elementInputs } = await build(folder)
  const names = ["index.html", "page.js", "page.css", "openclaw-pairing-dialog.js"]
  return {
    folder,
    elementInputs,
    files: Object.fromEntries([
      ["", join(folder, "site/index.html")],
      ...names.map((name) => [name, join(folder, "site", name)])
    ]),
    remove: () => rm(folder, { recursive: true, force: true })
  }
}

export interface Opened {
  readonly page: Page
  readonly agent: FakeAgent
  readonly trouble: ReadonlyArray<string>
}

/** Opens the page of an agent that has sent `events`, and closes both when `use` is done. */
export const withPage = async <A>(
  browser: Browser,
  site: Site,
  options: {
    readonly events?: FakeAgent["replay"]
    readonly context?: BrowserContextOptions
    /** Before the page is loaded. */
    readonly prepare?: (page: Page, context: BrowserContext, agent: FakeAgent) => Promise<unknown>
    /** Another name for the agent's host, which makes the context an insecure one. */
    readonly host?: string
  },
  use: (opened: Opened) => Promise<A>
): Promise<A> => {
  const agent = await startFakeAgent(site.files)
  agent.replay = options.events ?? []
  const context = await browser.newContext({ locale: "en-GB", ...options.context })
  try {
    const page = await context.newPage()
    page.setDefaultTimeout(12_000)
    const trouble = await listenForTrouble(page)
    await options.prepare?.(page, context, agent)
    await page.goto(options.host === undefined ? agent.url : agent.url.replace("127.0.0.1", options.host))
    return await use({ page, agent, trouble })
  } finally {
    await context.close()
    await agent.close()
  }
}

/** Opens the page in a state, with the time standing still. */
export const withState = <A>(
  browser: Browser,
  site: Site,
  state: State,
  context: BrowserContextOptions,
  use: (opened: Opened) => Promise<A>
): Promise<A> =>
  withPage(browser, site, {
    events: state.events,
    context,
    prepare: async (page) => {
      await page.clock.install({ time: nowMs })
      await page.clock.pauseAt(nowMs)
    }
  }, async (opened) => {
    await opened.page.getByText("Connected").or(opened.page.getByRole("dialog")).first().waitFor()
    await state.act?.(opened.page, opened.agent)
    await opened.page.getByText(state.shows).first().waitFor()
    return await use(opened)
  })
