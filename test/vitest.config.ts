import { defineConfig } from "vitest/config"

export default defineConfig({
  root: new URL("..", import.meta.url).pathname,
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/interop/**", "test/pack/**", "**/node_modules/**"],
    // Files share a worker: loading Effect anew for each of them cost half a minute. No module here keeps state.
    isolate: false,
    testTimeout: 20_000,
    hookTimeout: 20_000
  }
})
