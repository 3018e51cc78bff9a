import { defineConfig } from "vitest/config"

export default defineConfig({
  root: new URL("../..", import.meta.url).pathname,
  test: {
    include: ["test/pack/**/*.test.ts"],
    exclude: ["**/node_modules/**"],
    // Packages are installed and compiled.
    testTimeout: 300_000,
    hookTimeout: 300_000
  }
})
