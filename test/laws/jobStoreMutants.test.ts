import { Effect, Result } from "effect"
import type { JobStore, Sqlite } from "holdfast/durable"
import type { JobStoreLaws } from "holdfast/testing"
import { assert, describe, it } from "vitest"
import { onMain } from "../durable/sqlitePlaces.ts"
import { mutants } from "./jobStoreMutants/mutants.ts"
import { copyOf } from "./mutants/copy.ts"
import type { Mutant } from "./mutants/mutants.ts"
import { withoutStackTraces } from "./stackTraces.ts"

/** The laws of a copy, and the store that belongs to it: the one that the fault is in. */
const makeCopy = async (mutant?: Mutant) => {
  const load = copyOf(mutant)
  const laws = await load<typeof JobStoreLaws>("testing/JobStoreLaws.ts")
  if (mutant?.file.startsWith("durable/sqlite/") === true) {
    return { laws, make: onMain((await load<typeof Sqlite>("durable/Sqlite.ts")).layer) }
  }
  return { laws, make: laws.fromLayer((await load<typeof JobStore>("durable/JobStore.ts")).layerMemory) }
}

/** Runs the laws named, until one is broken. Gives which. */
const brokenLaw = async (
  { laws, make }: Awaited<ReturnType<typeof makeCopy>>,
  names: ReadonlyArray<string>,
  runs: number
) => {
  const options = { laws: laws.laws.filter(({ name }) => names.includes(name)), shrink: false, runs }
  const result = await Effect.runPromise(Effect.result(laws.check(make, options)))
  return Result.isFailure(result) ? result.failure.law : undefined
}

describe("the laws of stores", () => {
  withoutStackTraces()

  it.each(mutants)("$breaks catches: $fault", { timeout: 60_000 }, async (mutant) => {
    assert.strictEqual(await brokenLaw(await makeCopy(mutant), [mutant.breaks], 2_000), mutant.breaks)
  })

  it("find nothing wrong with an unchanged copy", async () => {
    const copy = await makeCopy()
    const names = copy.laws.laws.map(({ name }) => name)
    assert.strictEqual(await brokenLaw(copy, names, 200), undefined)
  })

  it("each have a mutant", async () => {
    const { laws } = await makeCopy()
    const broken = new Set(mutants.map(({ breaks }) => breaks))
    assert.deepStrictEqual(
      laws.laws.map(({ name }) => name).filter((name) => !broken.has(name)),
      []
    )
  })
})
