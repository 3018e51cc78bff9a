import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { fileURLToPath } from "node:url"
import * as ProcessGroup from "../interop/support/ProcessGroup.ts"
import * as Loaded from "../support/Loaded.ts"

const root = new URL("../..", import.meta.url)

describe("what an import loads", () => {
  it.live("effect-openclaw/agent/Agent loads what an agent needs to connect, and nothing else", () =>
    Effect.gen(function*() {
      const { env, loaded } = yield* Loaded.recorder
      const child = yield* ProcessGroup.spawn(process.execPath, [fileURLToPath(new URL("src/agent/Agent.ts", root))], {
        cwd: fileURLToPath(root),
        env,
        onStdout: () => {},
        onStderr: () => {}
      })
      yield* child.endInput
      assert.strictEqual((yield* child.drained).code, 0)
      const names = (yield* loaded).map(({ url }) => url.replace(root.href, ""))
      const own = names.filter((name) => name.startsWith("src/"))
      const effect = names.filter((name) => name.startsWith("node_modules/effect/"))

      // Nothing of other packages and no module of Node.js: it runs anywhere, and `ws` comes with its transport.
      const others = names.filter((name) => !own.includes(name) && !effect.includes(name))
      assert.deepStrictEqual(others, [])
      assert.deepStrictEqual(
        own.filter((name) =>
          /^src\/(cli|devgateway|dialog|doctor|fleet|recorder|testing|toolhost|index)|TransportWs|LinkSocket|Proxy|TaskTools/
            .test(name)
        ),
        []
      )
      assert.deepStrictEqual(
        effect.filter((name) => /\/(ai|cli|process|testing|workflow|cluster|sql|rpc)\//.test(name)),
        []
      )
      // Each costs about a millisecond of every start. Raise a bound only for what a connection needs.
      assert.isAtMost(own.length, 127, own.join("\n"))
      assert.isAtMost(effect.length, 172, effect.join("\n"))
    }).pipe(Effect.provide(NodeServices.layer)))
})
