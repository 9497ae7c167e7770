import { defineConfig } from "vitest/config"
import * as doctest from "./scripts/check/doctest.ts"

doctest.write()

export default defineConfig({
  // Tests import `holdfast/…` as a user does, and get the sources.
  resolve: { conditions: ["holdfast-source"] },
  ssr: { resolve: { conditions: ["holdfast-source"], externalConditions: ["holdfast-source"] } },
  test: {
    include: ["test/**/*.test.ts", ".doctest/**/*.test.ts"],
    pool: "forks",
    // Node itself loads the copies with planted faults: its hooks plant them, and each is read for one test only.
    server: { deps: { external: [/\?copy=\d+$/] } },
    maxWorkers: 2,
    maxConcurrency: 2,
    retry: 0,
    testTimeout: 20_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
    allowOnly: false,
    passWithNoTests: false
  }
})
