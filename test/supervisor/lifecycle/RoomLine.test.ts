import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { RoomLine } from "../../../src/supervisor/lifecycle/RoomLine.ts"

const number = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 30 }))
const key = Schema.Literals(["a", "b", "c", "d"])

describe("a line of those who wait for room", () => {
  it.effect.prop(
    "finds the first, and the first whose key is one of some, whoever comes and goes in whichever order",
    [Schema.Array(Schema.Struct({ number, key, goes: Schema.Boolean, open: Schema.Array(key) }))],
    ([steps]) =>
      Effect.sync(() => {
        const line = new RoomLine<{ key: string; number: number; heapIndex: number }>()
        let standing: Array<{ key: string; number: number; heapIndex: number }> = []
        for (const step of steps) {
          const there = standing.find((item) => item.number === step.number)
          if (there === undefined) {
            const item = { key: step.key, number: step.number, heapIndex: -1 }
            standing = [...standing, item].toSorted((a, b) => a.number - b.number)
            line.push(item)
          } else if (step.goes) {
            standing = standing.filter((item) => item !== there)
            line.remove(there)
          }
          const open = (each: string) => step.open.some((one) => one === each)
          assert.strictEqual(line.first, standing[0])
          assert.strictEqual(
            line.firstWhere(open),
            standing.find((item) => open(item.key))
          )
          assert.deepStrictEqual(
            [line.isEmpty, line.has("a")],
            [standing.length === 0, standing.some((item) => item.key === "a")]
          )
        }
      })
  )
})
