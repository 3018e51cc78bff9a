import { defineConfig } from "vitest/config"

export default defineConfig({
  root: new URL("../../..", import.meta.url).pathname,
  test: {
    include: ["test/fleet/postgres/**/*.test.ts"],
    exclude: ["**/node_modules/**"],
    globalSetup: "test/fleet/postgres/GlobalServer.ts",
    // Each file has processes of its own, and two files at once would measure each other.
    fileParallelism: false,
    maxWorkers: 1,
    testTimeout: 180_000,
    hookTimeout: 60_000,
    reporters: ["verbose"]
  }
})
