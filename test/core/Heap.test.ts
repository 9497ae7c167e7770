import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Heap } from "../../src/core/Heap.ts"

const Step = Schema.Union([
  Schema.TaggedStruct("Push", { rank: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 })) }),
  Schema.TaggedStruct("Shift", {}),
  Schema.TaggedStruct("Remove", { at: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20 })) }),
  Schema.TaggedStruct("Change", {
    at: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20 })),
    rank: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 }))
  })
])

interface Item {
  rank: number
  readonly number: number
  heapIndex: number
}

const isBefore = (a: Item, b: Item) => a.rank < b.rank || (a.rank === b.rank && a.number < b.number)

describe("Heap", () => {
  it.prop("behaves as a sorted list from which anything can be removed", [Schema.Array(Step)], ([steps]) => {
    const heap = new Heap<Item>(isBefore)
    let model: Array<Item> = []
    for (const [number, step] of steps.entries()) {
      if (step._tag === "Push") {
        const item = { rank: step.rank, number, heapIndex: -1 }
        heap.push(item)
        model.push(item)
      } else {
        const item = step._tag === "Shift" ? model[0] : model[step.at]
        if (item === undefined) continue
        if (step._tag === "Change") {
          item.rank = step.rank
          heap.update(item)
        } else {
          heap.remove(item)
          model = model.filter((each) => each !== item)
        }
      }
      model.sort((a, b) => (isBefore(a, b) ? -1 : 1))
      assert.strictEqual(heap.first, model[0])
      assert.strictEqual(heap.size, model.length)
    }
  })
})
