import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"

const src = new URL("../src/", import.meta.url).pathname

/** These have a configuration of their own. */
const elsewhere = ["test/interop/**", "test/pack/**", "test/fleet/postgres/**", "**/node_modules/**"]

/**
 * Two projects. `*.slow.test.ts` starts a process or a browser, opens a socket or takes seconds; every other file is fast:
 * `npm run test:fast` runs those alone.
 */
export default defineConfig({
  root: new URL("..", import.meta.url).pathname,
  // The examples import the package by its name, and are tested as it stands here.
  resolve: {
    alias: [
      { find: /^effect-openclaw$/, replacement: `${src}index.ts` },
      { find: /^effect-openclaw\/testing$/, replacement: `${src}testing/index.ts` },
      { find: /^effect-openclaw\/(.+)$/, replacement: `${src}$1.ts` }
    ]
  },
  test: {
    // Files share a worker: loading Effect anew for each of them cost half a minute. No module here keeps state.
    isolate: false,
    // Vitest leaves one core free, which on two cores is half of the machine.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    testTimeout: 20_000,
    hookTimeout: 20_000,
    // What a failing test prints is shown, what a passing one prints is not.
    silent: "passed-only",
    projects: [
      {
        extends: true,
        test: {
          name: "fast",
          include: ["test/**/*.test.ts"],
          exclude: ["**/*.slow.test.ts", ...elsewhere],
          setupFiles: "test/support/NothingOutside.ts"
        }
      },
      {
        extends: true,
        test: {
          name: "slow",
          include: ["test/**/*.slow.test.ts"],
          exclude: elsewhere,
          globalSetup: "test/support/BundledCli.ts"
        }
      }
    ]
  }
})
