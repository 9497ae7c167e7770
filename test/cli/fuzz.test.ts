import { assert, it } from "@effect/vitest"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Chance } from "../../src/testing/seed/Chance.ts"
import { round } from "./batchRound.ts"

it(
  "loses, changes and touches nothing, whatever stands in the files and comes from the server",
  { timeout: 60_000 },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-batch-"))
    for (let seed = 1; seed <= 40; seed++)
      assert.isUndefined(await round(new Chance(seed), join(folder, "round")), `seed ${seed}`)
    rmSync(folder, { recursive: true })
  }
)
