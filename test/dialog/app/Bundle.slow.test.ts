import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { readFile } from "node:fs/promises"
import { gzipSync } from "node:zlib"
import manifest from "../../../package.json" with { type: "json" }
import type { Site } from "./support/Site.ts"
import { buildSite } from "./support/Site.ts"

describe("the bundle", () => {
  let site: Site
  beforeAll(async () => {
    site = await buildSite()
  })
  afterAll(() => site.remove())
  const text = (name: string) => readFile(`${site.folder}/${name}`, "utf8")

  it("the element is at most 15.3 kB, compressed", async () => {
    const size = gzipSync(await text("openclaw-pairing-dialog.js"), { level: 9 }).length
    assert.isAtMost(size, 15_300)
  })

  it("the element is one file that needs no other, and holds nothing of Effect or the protocol", async () => {
    assert.notMatch(await text("openclaw-pairing-dialog.js"), /\bimport\b|\brequire\b/)
    for (const input of site.elementInputs) assert.match(input, /(?:^|\/)src\/dialog\/app\/[^/]+$/)
  })

  it("F53: the element never writes to the console, takes no text for markup and names no host", async () => {
    const source = await text("openclaw-pairing-dialog.js")
    assert.notMatch(source, /\bconsole\b|innerHTML|insertAdjacentHTML/)
    const urls = new Set(source.match(/\b(?:https?|wss?):\/\/[^\s"'`]*/g))
    assert.deepStrictEqual([...urls], ["http://www.w3.org/2000/svg"])
  })

  it("neither the element nor the page evaluates text", async () => {
    for (const name of ["openclaw-pairing-dialog.js", "site/page.js"]) {
      assert.notMatch(await text(name), /\beval\(|new Function\b|document\.write/, name)
    }
  })

  it("the page has no script, style or handler in its markup", async () => {
    const html = await text("site/index.html")
    assert.notMatch(html, /<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)/i)
    assert.strictEqual(await text("site/openclaw-pairing-dialog.js"), await text("openclaw-pairing-dialog.js"))
  })

  it("the licences of what is bundled go with it", async () => {
    const page = await text("site/page.js")
    assert.match(page, /DOMPurify.*licen[sc]e/i)
    assert.match(page, /\/\*! marked[^]*Permission is hereby granted/)
  })

  it("a bundler of a host keeps the element, although nothing is imported from it", () => {
    const { default: file } = manifest.exports["./pairing-dialog"]
    assert.include(manifest.sideEffects, file)
  })
})
