import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Heap } from "../../../src/core/queue/Heap.ts"

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

  it("keeps the order of a long queue, from which most were taken, when an exception comes", () => {
    const heap = new Heap<Item>(isBefore)
    const items = Array.from({ length: 5_000 }, (_, number) => ({ rank: 5, number, heapIndex: -1 }))
    for (const item of items) heap.push(item)
    const take = () => {
      const { first } = heap
      if (first !== undefined) heap.remove(first)
      return first
    }
    const taken = Array.from({ length: 3_000 }, take)
    const urgent = { rank: 0, number: 5_000, heapIndex: -1 }
    heap.push(urgent)
    while (heap.size > 0) taken.push(take())
    assert.deepStrictEqual(taken, items.toSpliced(3_000, 0, urgent))
  })
})
