import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as AttemptAllowance from "../../../src/core/call/AttemptAllowance.ts"

describe("AttemptAllowance", () => {
  it("adds up what policies contribute, each once, and gives no more", () => {
    const allowance = new AttemptAllowance.Allowance()
    const [retry, fallback] = [{}, {}]
    allowance.contribute(retry, 2)
    allowance.contribute(fallback, 1)
    allowance.contribute(retry, 2)
    assert.strictEqual(allowance.granted, 3)
    assert.deepStrictEqual(
      [1, 2, 3, 4].map(() => allowance.take("p/m", 0)),
      [true, true, true, false]
    )
  })

  it("asks the outermost shared budget, but not for the first attempt at another provider", () => {
    const asked: Array<string> = []
    const budget = (name: string) => ({
      call: (key: string) => void asked.push(`${name} counts ${key}`),
      take: (key: string) => (asked.push(`${name} takes ${key}`), false)
    })
    const allowance = new AttemptAllowance.Allowance()
    allowance.bind(5, budget("outer"))
    allowance.bind(9, budget("inner"))
    allowance.contribute({}, 7)
    allowance.count("p/m", 0)
    allowance.count("p/m", 0)
    assert.strictEqual(allowance.granted, 5)
    assert.deepStrictEqual([allowance.take("p/m", 0), allowance.take(undefined, 0)], [false, true])
    assert.deepStrictEqual(asked, ["outer counts p/m", "outer takes p/m"])
  })

  it.effect("gives nothing outside of a call", () =>
    Effect.map(AttemptAllowance.take("p/m"), (taken) => assert.isFalse(taken))
  )
})
