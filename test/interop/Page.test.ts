import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Redacted from "effect/Redacted"
import { randomUUID } from "node:crypto"
import { fileURLToPath } from "node:url"
import { launchBrowser } from "../support/Browser.ts"
import { listenForTrouble } from "../support/PageTrouble.ts"
import { spawnCli } from "./support/DeviceCli.ts"
import { boot, releases } from "./support/OpenClaw.ts"
import { proxy } from "./support/RemoteProxy.ts"

const site = fileURLToPath(new URL("../../dist/dialog/site/index.html", import.meta.url))

/** From the end of the approve command to the dialog's having closed by itself. */
const closesWithinMs = 4000

const openPage = Effect.gen(function*() {
  const browser = yield* Effect.acquireRelease(
    Effect.promise(() => launchBrowser()),
    (browser) => Effect.promise(() => browser.close())
  )
  const page = yield* Effect.promise(() => browser.newPage({ locale: "en-GB" }))
  page.setDefaultTimeout(60_000)
  return { page, trouble: yield* Effect.promise(() => listenForTrouble(page)) }
})

describe.each(Effect.runSync(releases))("the page of run on OpenClaw %s", (release) => {
  it.live(
    "its command, pasted into a shell on the gateway's host, approves; it closes, and a task is answered in it",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        assert.isTrue(yield* fs.exists(site), "there is no page to open: run `npm run build` first")
        const gateway = yield* boot(release)
        const remote = yield* proxy(gateway)
        const cli = yield* spawnCli(["run", "--json"], {
          env: { OPENCLAW_GATEWAY_URL: remote.url, OPENCLAW_GATEWAY_TOKEN: Redacted.value(gateway.token) }
        })
        const { url } = yield* cli.nextEvent("page")
        const answer = yield* cli.nextEvent(["pairing.required", "connected"])
        const { page, trouble } = yield* openPage
        yield* Effect.promise(() => page.goto(String(url)))

        // A few early releases admit every device, and then there is no dialog.
        const dialog = page.getByRole("dialog")
        if (answer["event"] === "pairing.required") {
          const command = yield* Effect.promise(() => dialog.locator("code:visible").first().innerText())
          const closing = yield* Effect.forkChild(
            Effect.promise(() => dialog.waitFor({ state: "hidden" })).pipe(Effect.andThen(Clock.currentTimeMillis))
          )
          const approved = yield* gateway.shell(command)
          const endedAtMs = yield* Clock.currentTimeMillis
          assert.strictEqual(approved.code, 0, `${command}: ${approved.stderr}`)
          const closedAtMs = yield* Fiber.join(closing)
          assert.isAtMost(closedAtMs - endedAtMs, closesWithinMs)
        }
        yield* Effect.promise(() => page.getByText("Connected", { exact: true }).waitFor())

        const summary = `asked in the page ${randomUUID()}`
        yield* Effect.promise(async () => {
          await page.getByRole("textbox").fill(summary)
          await page.getByRole("button", { name: "Send" }).click()
          await page.getByRole("listitem").filter({ hasText: summary }).getByText(`echo: ${summary}`).waitFor()
        })
        yield* gateway.model.nextPrompt(summary)
        assert.isFalse(yield* Effect.promise(() => dialog.isVisible()))
        assert.deepStrictEqual(trouble, [])
      }).pipe(Effect.provide(NodeServices.layer))
  )
})
