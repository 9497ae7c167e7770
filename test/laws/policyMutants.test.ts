import { join } from "node:path"
import { Effect, Result } from "effect"
import type { PolicyLaws } from "holdfast/testing"
import { afterAll, assert, describe, it } from "vitest"
import { copySources, removeCopies } from "./mutants/copy.ts"
import { mutants, type PolicyMutant } from "./policyMutants/mutants.ts"
import { withoutStackTraces } from "./stackTraces.ts"

const folders = ["core", "supervisor", "provider", "policy", "model", "testing"]
const output = "policyMutants"

/** The laws of a copy, which try the policies of that copy. */
const makeCopy = (name: string, mutant?: PolicyMutant): Promise<typeof PolicyLaws> =>
  copySources(join(output, name), folders, mutant)("testing/PolicyLaws.ts")

/** Tries stacks that have these kinds of policies, until the law named is broken. Gives which, and after how many. */
const brokenLaw = async (
  laws: typeof PolicyLaws,
  names: ReadonlyArray<string>,
  runs: number,
  kinds: ReadonlyArray<string>
) => {
  const hasKinds = ({ policies }: PolicyLaws.Plan) =>
    kinds.every((kind) => policies.some(({ is }) => is === kind || is.startsWith(`${kind}.`)))
  let next = 0
  const plan = () => {
    for (;;) {
      const drawn = laws.planFor(next++)
      if (hasKinds(drawn)) return drawn
    }
  }
  const options = { laws: laws.laws.filter(({ name }) => names.includes(name)), runs, plan, shrink: false }
  const result = await Effect.runPromise(Effect.result(laws.explore(options)))
  return Result.isFailure(result) ? result.failure.law : undefined
}

describe("the laws of policies", () => {
  withoutStackTraces()
  afterAll(() => removeCopies(output))

  it.each(mutants.map((mutant, index) => ({ ...mutant, index })))(
    "$breaks catches: $fault",
    { timeout: 120_000 },
    async (mutant) => {
      const laws = await makeCopy(`${mutant.index}`, mutant)
      assert.strictEqual(await brokenLaw(laws, [mutant.breaks], 10_000, mutant.kinds), mutant.breaks)
    }
  )

  it("find nothing wrong with an unchanged copy", { timeout: 120_000 }, async () => {
    const laws = await makeCopy("unchanged")
    const names = laws.laws.map(({ name }) => name)
    assert.strictEqual(await brokenLaw(laws, names, 500, []), undefined)
  })

  it("each have a mutant", async () => {
    const { laws } = await makeCopy("names")
    const broken = new Set(mutants.map(({ breaks }) => breaks))
    assert.deepStrictEqual(
      laws.map(({ name }) => name).filter((name) => !broken.has(name)),
      []
    )
  })
})
