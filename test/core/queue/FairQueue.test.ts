import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { WaitingLine, type Waiting } from "../../../src/core/queue/FairQueue.ts"

const line = (limit = 1_000) => {
  let number = 0
  const waiting = new WaitingLine<Waiting>(limit)
  const push = (key: string, priority = 0, submittedAt = 0, aging = 60_000) => {
    const place = submittedAt - priority * aging
    const job = { key, priority, place, order: ++number, number, heapIndex: -1 }
    waiting.push(job)
    return job
  }
  const takeAll = () => {
    const taken: Array<Waiting> = []
    for (let job = waiting.take(); job !== undefined; job = waiting.take()) {
      taken.push(job)
      waiting.leave(job)
    }
    return taken
  }
  return { waiting, push, takeAll }
}

describe("WaitingLine", () => {
  it("is first come, first served among equals", () => {
    const { push, takeAll } = line()
    const jobs = [push("a"), push("a"), push("a")]
    assert.deepStrictEqual(takeAll(), jobs)
  })

  it("lets higher priority go first within a key", () => {
    const { push, takeAll } = line()
    const [low, normal, high] = [push("a", -10), push("a", 0), push("a", 10)]
    assert.deepStrictEqual(takeAll(), [high, normal, low])
  })

  it("lets a job that has waited long enough go before newer ones of higher priority", () => {
    const { push, takeAll } = line()
    const old = push("a", 0, 0)
    const newer = push("a", 10, 10 * 60_000 - 1)
    const newest = push("a", 10, 10 * 60_000 + 1)
    assert.deepStrictEqual(takeAll(), [newer, old, newest])
  })

  it("gives a key that comes anew its first turn at once, whatever another has waiting", () => {
    const { push, takeAll, waiting } = line()
    for (let n = 0; n < 10_000; n++) push("big")
    for (let n = 0; n < 5_000; n++) {
      const job = waiting.take()
      if (job !== undefined) waiting.leave(job)
    }
    const small = push("small")
    assert.isBelow(takeAll().indexOf(small), 2)
  })

  it("lets keys take turns", () => {
    const { push, takeAll } = line()
    for (const key of ["a", "b", "c"]) for (let n = 0; n < 3; n++) push(key)
    assert.deepStrictEqual(
      takeAll().map(({ key }) => key),
      ["a", "b", "c", "a", "b", "c", "a", "b", "c"]
    )
  })

  it("lets an urgent job overtake other keys, and no key shuts others out with urgent jobs", () => {
    const { push, takeAll } = line()
    for (let n = 0; n < 50; n++) push("urgent", 10)
    const patient = push("patient", 0)
    const order = takeAll()
    assert.strictEqual(order[0]?.key, "urgent")
    assert.isAtMost(order.indexOf(patient), 11)
  })

  it("passes over keys that are at their limit", () => {
    const { push, waiting } = line(1)
    const first = push("a")
    push("a")
    const other = push("b")
    assert.deepStrictEqual([waiting.take(), waiting.take(), waiting.take()], [first, other, undefined])
    waiting.leave(first)
    assert.strictEqual(waiting.take()?.key, "a")
  })

  const Step = Schema.Union([
    Schema.TaggedStruct("Push", { key: Schema.Literals(["a", "b", "c"]), priority: Schema.Literals([-10, 0, 10]) }),
    Schema.TaggedStruct("Take", {}),
    Schema.TaggedStruct("Leave", {}),
    Schema.TaggedStruct("Remove", { at: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 })) })
  ])

  it.prop(
    "never exceeds a key's limit, never loses a job, and always gives one when one may go",
    [Schema.Array(Step), Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 3 }))],
    ([steps, limit]) => {
      const { push, waiting } = line(limit)
      let inside: Array<Waiting> = []
      const running: Array<Waiting> = []
      const runningOf = (key: string) => running.filter((job) => job.key === key).length
      for (const step of steps) {
        switch (step._tag) {
          case "Push":
            inside.push(push(step.key, step.priority))
            break
          case "Take": {
            const job = waiting.take()
            const mayGo = inside.some(({ key }) => runningOf(key) < limit)
            assert.strictEqual(job !== undefined, mayGo)
            if (job === undefined) break
            running.push(job)
            inside = inside.filter((each) => each !== job)
            assert.isAtMost(runningOf(job.key), limit)
            const ahead = inside.filter(({ key, place }) => key === job.key && place < job.place)
            assert.deepStrictEqual(ahead, [])
            break
          }
          case "Leave": {
            const job = running.shift()
            if (job !== undefined) waiting.leave(job)
            break
          }
          case "Remove": {
            const [job] = inside.splice(step.at, 1)
            if (job !== undefined) waiting.remove(job)
          }
        }
        assert.strictEqual(waiting.size, inside.length)
      }
    }
  )
})
