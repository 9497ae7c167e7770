import { Effect, Result } from "effect"
import { assert, describe, it } from "vitest"
import { makeCopy, mutate, type Copy } from "./mutants/copy.ts"
import { mutants } from "./mutants/mutants.ts"
import { withoutStackTraces } from "./stackTraces.ts"

/** Runs the laws named, until one is broken. Gives which. */
const brokenLaw = async ({ laws, make }: Copy, names: ReadonlyArray<string>, runs: number) => {
  const options = { laws: laws.laws.filter(({ name }) => names.includes(name)), shrink: false, runs }
  const result = await Effect.runPromise(Effect.result(laws.check(make, options)))
  return Result.isFailure(result) ? result.failure.law : undefined
}

describe("the laws", () => {
  withoutStackTraces()

  it.each(mutants)("$breaks catches: $fault", { timeout: 120_000 }, async (mutant) => {
    const copy = await makeCopy(mutant)
    assert.strictEqual(await brokenLaw(copy, [mutant.breaks], 4_000), mutant.breaks)
  })

  it("catch in a sweep what a single preemption breaks", { timeout: 120_000 }, async () => {
    const mutant = mutants.find(({ fault }) => fault.startsWith("a waiter looks first and subscribes a step later"))
    const { laws, make } = await makeCopy(mutant)
    const options = { laws: [laws.waitingTouchesNothing], shrink: false, share: 61 }
    const result = await Effect.runPromise(Effect.result(laws.sweep(make, options)))
    assert.strictEqual(Result.isFailure(result) ? result.failure.law : undefined, mutant?.breaks)
  })

  it("find nothing wrong with an unchanged copy", { timeout: 120_000 }, async () => {
    const copy = await makeCopy()
    const names = copy.laws.laws.map(({ name }) => name)
    assert.strictEqual(await brokenLaw(copy, names, 1_000), undefined)
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

describe("a mutant", () => {
  const mutant = { fault: "f", breaks: "b", file: "F.ts", search: "one", replace: "$&two" }

  it("is refused when its text is not there, or more than once", () => {
    assert.throws(() => mutate("nothing", mutant), "0 times")
    assert.throws(() => mutate("one one", mutant), "2 times")
    assert.strictEqual(mutate("it is one", mutant), "it is $&two")
  })
})
