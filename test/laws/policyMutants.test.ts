import { Effect, Result } from "effect"
import type { PolicyLaws } from "holdfast/testing"
import { assert, describe, it } from "vitest"
import { copyOf } from "./mutants/copy.ts"
import { mutants, type PolicyMutant } from "./policyMutants/mutants.ts"
import { withoutStackTraces } from "./stackTraces.ts"

type Laws = typeof PolicyLaws

/** The laws of a copy, which try the policies of that copy. */
const makeCopy = (mutant?: PolicyMutant) => copyOf(mutant)<Laws>("testing/PolicyLaws.ts")

/** Draws stacks of a mutant's kinds of policies, and of no others: those would hide the fault, and take their time. */
const stacksFor = ({ own }: Laws, { kinds, with: options }: PolicyMutant) => {
  const isOf = (kind: string) => (layer: PolicyLaws.Layer) => layer.is === kind || layer.is.startsWith(`${kind}.`)
  let next = 0
  const draw = (): PolicyLaws.Plan => {
    for (;;) {
      const policies = own.draw(next++).policies.filter((layer) => kinds.some((kind) => isOf(kind)(layer)))
      if (!kinds.every((kind) => policies.some(isOf(kind)))) continue
      return { policies: policies.map((layer) => ({ ...layer, with: { ...layer.with, ...options } })) }
    }
  }
  return { draw }
}

/** Tries stacks until one of the laws is broken. Gives which. */
const brokenLaw = async (
  laws: Laws,
  stack: PolicyLaws.StackToCheck,
  of: ReadonlyArray<PolicyLaws.Law>,
  runs: number
) => {
  const result = await Effect.runPromise(Effect.result(laws.check(stack, { laws: of, runs, shrink: false })))
  return Result.isFailure(result) ? result.failure.law : undefined
}

describe("the laws of policies", () => {
  withoutStackTraces()

  it.each(mutants)("$breaks catches: $fault", { timeout: 120_000 }, async (mutant) => {
    const laws = await makeCopy(mutant)
    const broken = laws.laws.filter(({ name }) => name === mutant.breaks)
    assert.strictEqual(await brokenLaw(laws, stacksFor(laws, mutant), broken, 4_000), mutant.breaks)
  })

  it("find nothing wrong with an unchanged copy", { timeout: 120_000 }, async () => {
    const laws = await makeCopy()
    assert.strictEqual(await brokenLaw(laws, laws.own, laws.laws, 300), undefined)
  })

  it("each have a mutant", async () => {
    const { laws } = await makeCopy()
    const broken = new Set(mutants.map(({ breaks }) => breaks))
    assert.deepStrictEqual(
      laws.map(({ name }) => name).filter((name) => !broken.has(name)),
      []
    )
  })
})
