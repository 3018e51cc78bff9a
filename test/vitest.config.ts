import { defineConfig } from "vitest/config"

const src = new URL("../src/", import.meta.url).pathname

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
    include: ["test/**/*.test.ts"],
    exclude: ["test/interop/**", "test/pack/**", "**/node_modules/**"],
    // Files share a worker: loading Effect anew for each of them cost half a minute. No module here keeps state.
    isolate: false,
    testTimeout: 20_000,
    hookTimeout: 20_000
  }
})
