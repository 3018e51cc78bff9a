import { defineConfig } from "vitest/config"
import { compatibilityReporter } from "./support/CompatibilityReporter.ts"

export default defineConfig({
  root: new URL("../..", import.meta.url).pathname,
  test: {
    include: ["test/interop/**/*.test.ts"],
    exclude: ["**/node_modules/**"],
    // A gateway is a heavy process: two at once only make both late.
    fileParallelism: false,
    maxWorkers: 1,
    testTimeout: 180_000,
    hookTimeout: 300_000,
    // Each test is told as it ends: a run takes minutes.
    reporters: ["verbose", compatibilityReporter()]
  }
})
