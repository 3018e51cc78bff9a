import { assert, describe, it } from "@effect/vitest"
import * as esbuild from "esbuild"
import { createHash, generateKeyPairSync, verify } from "node:crypto"
import { fileURLToPath } from "node:url"
import { launchBrowser } from "../support/Browser.ts"

const source = (name: string) => JSON.stringify(fileURLToPath(new URL(`../../src/${name}.ts`, import.meta.url)))

/** What a page of another project would write: a key, its device id and a signed proof. */
const program = `
  import * as Effect from "effect/Effect"
  import * as Redacted from "effect/Redacted"
  import { textV3 } from ${source("protocol/DeviceProof")}
  import { Signer } from ${source("identity/Signer")}
  globalThis.prove = (seed, fields, nonce) => Effect.runPromise(Effect.gen(function*() {
    const { importKey, verify } = yield* Signer
    const key = yield* importKey(Redacted.make(Uint8Array.from(seed)))
    const text = textV3(fields, nonce)
    const bytes = new TextEncoder().encode(text)
    const signature = key.sign(bytes)
    return {
      text,
      publicKey: Array.from(key.publicKey),
      signature: Array.from(signature),
      verified: verify(key.publicKey, bytes, signature)
    }
  }).pipe(Effect.provide(Signer.layer)))
`

describe("protocol and signer in a browser", () => {
  it("are bundled without a module of Node.js and without what the page does not use, and sign what Node.js verifies", {
    timeout: 90_000
  }, async () => {
    const { metafile, outputFiles: [bundle] } = await esbuild.build({
      stdin: { contents: program, resolveDir: fileURLToPath(new URL(".", import.meta.url)), loader: "ts" },
      bundle: true,
      platform: "browser",
      format: "iife",
      minify: true,
      write: false,
      metafile: true,
      logLevel: "silent"
    })
    const inputs = Object.keys(metafile.inputs)
    const own = inputs.map((name) => /(?:^|\/)src\/([a-z]+\/\w+)\.ts$/.exec(name)?.[1]).filter((name) =>
      name !== undefined
    )
    assert.deepStrictEqual(own.filter((name) => !/^(?:protocol|identity|storage|settings)\//.test(name)), [])
    assert.deepStrictEqual(inputs.filter((name) => /platform-node|\/ws\/|node:|^\(disabled\)/.test(name)), [])
    // Measured: 170 kB, of which Effect's Schema is the most.
    assert.isBelow(bundle?.contents.length ?? Infinity, 250_000)

    const browser = await launchBrowser([])
    try {
      const page = await browser.newPage()
      await page.addScriptTag({ content: bundle?.text ?? "" })
      const { privateKey, publicKey } = generateKeyPairSync("ed25519")
      const seed = [...Buffer.from(privateKey.export({ format: "jwk" }).d ?? "", "base64url")]
      const raw = Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url")
      const fields = {
        deviceId: createHash("sha256").update(raw).digest("hex"),
        clientId: "gateway-client",
        clientMode: "backend",
        role: "operator",
        scopes: ["operator.read"],
        signedAtMs: 1,
        platform: "Browser"
      }
      const proved: {
        readonly text: string
        readonly publicKey: ReadonlyArray<number>
        readonly signature: ReadonlyArray<number>
        readonly verified: boolean
      } = await page.evaluate(
        ([seed, fields]) => Reflect.get(globalThis, "prove")(seed, fields, "a-nonce"),
        [seed, fields] as const
      )
      assert.isTrue(proved.verified)
      assert.deepStrictEqual(proved.publicKey, [...raw])
      assert.match(
        proved.text,
        /^v3\|[0-9a-f]{64}\|gateway-client\|backend\|operator\|operator\.read\|.*\|a-nonce\|browser\|$/
      )
      assert.isTrue(verify(null, Buffer.from(proved.text), publicKey, Buffer.from(proved.signature)))
    } finally {
      await browser.close()
    }
  })
})
