import { Effect, Result } from "effect"
import { afterAll, assert, describe, it } from "vitest"
import { makeCopy, mutate, removeCopies, type Copy } from "./mutants/copy.ts"
import { mutants } from "./mutants/mutants.ts"
import { withoutStackTraces } from "./stackTraces.ts"

/** Runs the laws named, until one is broken. Gives which. */
const brokenLaw = async ({ laws, make }: Copy, names: ReadonlyArray<string>, repeatEvery = 1) => {
  const options = { laws: laws.laws.filter(({ name }) => names.includes(name)), repeatEvery, shrink: false }
  const tried = Effect.gen(function* () {
    yield* laws.check(make, { ...options, programs: 250, orders: 4 })
    yield* laws.sweep(make, { ...options, share: 61 })
    yield* laws.check(make, { ...options, programs: 2_000, orders: 2, seed: 1_000 })
  })
  const result = await Effect.runPromise(Effect.result(tried))
  return Result.isFailure(result) ? result.failure.law : undefined
}

describe("the laws", () => {
  withoutStackTraces()
  afterAll(() => removeCopies("mutants"))

  it.each(mutants.map((mutant, index) => ({ ...mutant, index })))(
    "$breaks catches: $fault",
    { timeout: 120_000 },
    async (mutant) => {
      const copy = await makeCopy(`${mutant.index}`, mutant)
      assert.strictEqual(await brokenLaw(copy, [mutant.breaks]), mutant.breaks)
    }
  )

  it("find nothing wrong with an unchanged copy", { timeout: 120_000 }, async () => {
    const copy = await makeCopy("unchanged")
    const names = copy.laws.laws.map(({ name }) => name)
    assert.strictEqual(await brokenLaw(copy, names, 20), undefined)
  })

  it("each have a mutant", async () => {
    const { laws } = await makeCopy("names")
    const broken = new Set(mutants.map(({ breaks }) => breaks))
    assert.deepStrictEqual(
      laws.laws.map(({ name }) => name).filter((name) => !broken.has(name)),
      []
    )
  })
})

describe("a mutant", () => {
  const mutant = { fault: "f", breaks: "b", file: "F.ts", search: "one", replace: "$&two" }

  it("is refused when its text is not there, or more than once", () => {
    assert.throws(() => mutate("nothing", mutant), "0 times")
    assert.throws(() => mutate("one one", mutant), "2 times")
    assert.strictEqual(mutate("it is one", mutant), "it is $&two")
  })
})
