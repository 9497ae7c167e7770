import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { FairQueue, type Waiting } from "../../../src/core/queue/FairQueue.ts"

const aging = 60_000

const line = (limit = 1_000) => {
  let now = 0
  let number = 0
  const waiting = new FairQueue<Waiting>(limit, aging)
  const push = (key: string, priority = 0, submittedAt = now) => {
    now = Math.max(now, submittedAt)
    const place = submittedAt - priority * aging
    const job = { key, priority, place, order: ++number, number, heapIndex: -1 }
    waiting.push(job, now)
    return job
  }
  const take = () => waiting.take(now)
  const pass = (millis: number) => {
    now += millis
  }
  const takeAll = () => {
    const taken: Array<Waiting> = []
    for (let job = take(); job !== undefined; job = take()) {
      taken.push(job)
      waiting.leave(job)
    }
    return taken
  }
  return { waiting, push, take, takeAll, pass }
}

describe("FairQueue", () => {
  it("is first come, first served among equals", () => {
    const { push, takeAll } = line()
    const jobs = [push("a"), push("a"), push("a")]
    assert.deepStrictEqual(takeAll(), jobs)
  })

  it("lets a job that lent its slot run again only when its key is below its limit", () => {
    const { push, take, waiting } = line(1)
    const [first, second] = [push("a"), push("a")]
    assert.strictEqual(take(), first)
    waiting.leave(first)
    assert.strictEqual(take(), second)
    assert.isFalse(waiting.enter(first))
    waiting.leave(second)
    assert.isTrue(waiting.enter(first))
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
    const { push, take, takeAll, waiting } = line()
    for (let n = 0; n < 10_000; n++) push("big")
    for (let n = 0; n < 5_000; n++) {
      const job = take()
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
    const { push, take, waiting } = line(1)
    const first = push("a")
    push("a")
    const other = push("b")
    assert.deepStrictEqual([take(), take(), take()], [first, other, undefined])
    waiting.leave(first)
    assert.strictEqual(take()?.key, "a")
  })

  it.each([
    ["normal against high", 0, 10, 10],
    ["low against normal", -10, 0, 10],
    ["one point less", -1, 0, 1],
    ["the same", 0, 0, 0]
  ] as const)("lets a key go before newcomers once it has waited: %s", (_, ours, theirs, points) => {
    const { pass, push, take, waiting } = line()
    const patient = push("patient", ours)
    let millis = 0
    for (let n = 0; n < 1_000; n++) {
      push(`single-use ${n}`, theirs)
      const job = take()
      if (job === undefined || job === patient) break
      waiting.leave(job)
      pass(1_000)
      millis += 1_000
    }
    assert.isAtMost(Math.abs(millis - points * aging), 1_000)
  })

  it("starts a key's waiting anew with each turn, so that an old backlog does not outweigh newcomers", () => {
    const { pass, push, take, waiting } = line()
    for (let n = 0; n < 100; n++) push("old")
    pass(3_600_000)
    const order: Array<string> = []
    for (let n = 0; n < 10; n++) {
      push(`new ${n}`)
      const job = take()
      if (job === undefined) break
      waiting.leave(job)
      order.push(job.key === "old" ? "old" : "new")
      pass(1_000)
    }
    assert.deepStrictEqual(order.filter((key) => key === "old").length, 1)
  })

  const Keys = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 6 }))
  const Points = Schema.Int.check(Schema.isBetween({ minimum: -20, maximum: 20 }))
  const Arrival = Schema.Struct({
    key: Schema.Union([Schema.Literal("single-use"), Keys]),
    priority: Points,
    afterMillis: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 10 * aging }))
  })

  it.prop(
    "never lets a newcomer go before a key that has waited for longer than the points between them are worth",
    [Schema.Array(Arrival).check(Schema.isMinLength(10))],
    ([arrivals]) => {
      const { pass, push, take, waiting } = line()
      const inside = new Set<Waiting>()
      const came = new Map<Waiting, number>()
      // Since when each key that has something waiting has waited, and whether it had a turn before.
      const since = new Map<string, { readonly at: number; readonly turns: number }>()
      let now = 0
      arrivals.forEach(({ afterMillis, key, priority }, n) => {
        pass(afterMillis)
        now += afterMillis
        const job = push(key === "single-use" ? `single-use ${n}` : `${key}`, priority)
        inside.add(job)
        came.set(job, now)
        if (!since.has(job.key)) since.set(job.key, { at: now, turns: 0 })
        // Every other time something is served, so that there is always a backlog.
        if (n % 2 === 0) return
        const served = take()
        assert(served !== undefined)
        inside.delete(served)
        const newcomerAt = since.get(served.key)
        for (const [other, { at, turns }] of since) {
          const first = Array.from(inside)
            .filter((each) => each.key === other)
            .toSorted((a, b) => a.place - b.place || a.number - b.number)[0]
          const isNewcomer = newcomerAt?.turns === 0 && newcomerAt.at > at
          if (other === served.key || first === undefined || !isNewcomer) continue
          const waited = newcomerAt.at - at
          assert.isAtMost(waited, Math.max(0, served.priority - first.priority + Math.min(1, turns)) * aging)
        }
        if (Array.from(inside).some((each) => each.key === served.key)) since.set(served.key, { at: now, turns: 1 })
        else since.delete(served.key)
        waiting.leave(served)
      })
    }
  )

  it("deals a turn among very many keys in logarithmic time", () => {
    const queue = new FairQueue<Waiting>(1, aging)
    let looks = 0
    for (let n = 0; n < 10_000; n++) {
      const priority = n % 7
      const counted = {
        get priority() {
          looks++
          return priority
        }
      }
      queue.push(Object.assign(counted, { key: `${n}`, place: 0, order: n, number: n, heapIndex: -1 }), n)
    }
    looks = 0
    for (let n = 0; n < 100; n++) {
      const job = queue.take(10_000)
      if (job !== undefined) queue.leave(job)
    }
    // A look at each of two keys, for two comparisons on each of 14 levels.
    assert.isBelow(looks / 100, 2 * 2 * 14 + 4)
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
      const { push, take, waiting } = line(limit)
      let inside: Array<Waiting> = []
      const running: Array<Waiting> = []
      const runningOf = (key: string) => running.filter((job) => job.key === key).length
      for (const step of steps) {
        switch (step._tag) {
          case "Push":
            inside.push(push(step.key, step.priority))
            break
          case "Take": {
            const job = take()
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
