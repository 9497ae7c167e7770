import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Deferred, Effect, Exit, Fiber, Random, Ref, Scope } from "effect"
import { TestClock } from "effect/testing"
import { SeededScheduler } from "holdfast/testing"

const seeds = Array.from({ length: 200 }, (_, seed) => seed)

/** Which exits a program comes to, over many seeds. */
const exitsOf = <A, E>(effect: Effect.Effect<A, E>) =>
  new Set(seeds.map((seed) => JSON.stringify(SeededScheduler.run(effect, { seed }).exit)))

/** Three fibers write their names, letter by letter. */
const interleaved = Effect.gen(function* () {
  const written = yield* Ref.make("")
  const write = (name: string) =>
    Effect.forEach(name, (letter) => Ref.update(written, (text) => text + letter), { discard: true })
  yield* Effect.forEach(["ab", "cd", "ef"], write, { concurrency: 3 })
  return yield* Ref.get(written)
})

describe("SeededScheduler.run", () => {
  it("gives the same run for the same seed", () => {
    for (const seed of seeds) {
      const [one, other] = [1, 2].map(() => SeededScheduler.run(interleaved, { seed }))
      assert.deepStrictEqual(one, other)
    }
  })

  it("gives every order of three fibers' writes that keeps each fiber's own", () => {
    const orders = new Set<string>()
    for (let seed = 0; seed < 50_000; seed++) {
      const { exit } = SeededScheduler.run(interleaved, { seed })
      if (Exit.isSuccess(exit)) orders.add(exit.value)
    }
    // 6! / (2! 2! 2!)
    assert.strictEqual(orders.size, 90)
  })

  it("keeps the order in which one fiber starts others until they are preempted", () => {
    const started = Effect.gen(function* () {
      const order: Array<number> = []
      const fibers = yield* Effect.forEach([1, 2, 3], (n) => Effect.forkChild(Effect.sync(() => order.push(n))))
      yield* Fiber.awaitAll(fibers)
      return order.length
    })
    assert.strictEqual(exitsOf(started).size, 1)
  })

  it("passes on failures, defects and interruptions", () => {
    for (const effect of [Effect.fail("no"), Effect.die("bug"), Effect.interrupt]) {
      const { exit } = SeededScheduler.run(effect, { seed: 3 })
      assert.isTrue(Exit.isFailure(exit))
    }
    assert.isTrue(Exit.isFailure(SeededScheduler.run(Effect.sync(() => JSON.parse("{"))).exit))
  })

  it("sleeps in virtual time only, from 0", () => {
    const program = Effect.gen(function* () {
      const before = yield* Clock.currentTimeMillis
      yield* Effect.sleep("1000 days")
      return [before, yield* Clock.currentTimeMillis]
    })
    assert.deepStrictEqual(SeededScheduler.run(program).exit, Exit.succeed([0, 86_400_000_000]))
  })

  it("wakes sleepers in the order in which they are due, except on a busy machine", () => {
    const order: Array<string> = []
    const nap = (name: string, millis: number) =>
      Effect.andThen(
        Effect.sleep(millis),
        Effect.sync(() => order.push(name))
      )
    const program = Effect.all([nap("c", 30), nap("a", 10), nap("b", 20)], { concurrency: 3 })
    for (const seed of seeds) {
      order.length = 0
      const { isLate } = SeededScheduler.run(program, { seed })
      if (!isLate) assert.strictEqual(order.join(""), "abc")
    }
  })

  it("runs timeouts and interrupts what they cut off", () => {
    const program = Effect.gen(function* () {
      const interrupted = yield* Deferred.make<boolean>()
      const slow = Effect.onInterrupt(Effect.sleep("1 hour"), () => Deferred.succeed(interrupted, true))
      const result = yield* Effect.timeoutOption(slow, "1 second")
      return [result._tag, yield* Deferred.await(interrupted), yield* Clock.currentTimeMillis]
    })
    for (const seed of seeds) {
      const { asleep, exit, isLate } = SeededScheduler.run(program, { seed })
      assert.strictEqual(asleep, 0)
      if (!isLate) assert.deepStrictEqual(exit, Exit.succeed(["None", true, 1_000]))
    }
  })

  it("ends what is interrupted before it has started, and never starts it, in any order", () => {
    const closed = Effect.suspend(() => {
      const scope = Scope.makeUnsafe("parallel")
      const nested = Effect.andThen(Effect.yieldNow, Effect.forkIn(Effect.never, scope))
      return Effect.andThen(
        Effect.forkIn(nested, scope),
        Effect.andThen(Effect.yieldNow, Scope.close(scope, Exit.void))
      )
    })
    for (const interrupted of [
      Effect.flatMap(Effect.forkChild(Effect.never), Fiber.interrupt),
      Effect.flatMap(Effect.forkDetach(Effect.never, { startImmediately: true }), Fiber.interrupt),
      Effect.scoped(Effect.forkScoped(Effect.never)),
      closed
    ]) {
      assert.deepStrictEqual(SeededScheduler.explore(interrupted).failures, [])
    }
  })

  it("lets programs adjust the clock as under TestClock", () => {
    const program = Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.sleep("5 minutes"))
      yield* TestClock.adjust("10 minutes")
      return [fiber.pollUnsafe() !== undefined, yield* Clock.currentTimeMillis]
    })
    assert.deepStrictEqual(SeededScheduler.run(program, { seed: 1 }).exit, Exit.succeed([true, 600_000]))
  })

  it("draws chance from the seed, too", () => {
    const [one, same, other] = [1, 1, 2].map((seed) => SeededScheduler.run(Random.next, { seed }).exit)
    assert.deepStrictEqual(one, same)
    assert.notDeepEqual(one, other)
  })

  it("names the seed of a deadlock", () => {
    const program = Effect.gen(function* () {
      const [left, right] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const first = Effect.andThen(Deferred.await(left), Deferred.succeed(right, undefined))
      const second = Effect.andThen(Deferred.await(right), Deferred.succeed(left, undefined))
      yield* Effect.all([first, second], { concurrency: 2 })
    })
    for (const seed of seeds) {
      const { exit } = SeededScheduler.run(program, { seed })
      const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert(error instanceof SeededScheduler.Deadlock)
      assert.strictEqual(error.seed, seed)
    }
  })

  it("gives up on programs without an end, also on one that never yields", () => {
    const spin = Effect.forever(Effect.void)
    const hot = Effect.forever(Effect.yieldNow)
    for (const effect of [spin, hot, Effect.forever(Effect.sleep(1))]) {
      const { exit } = SeededScheduler.run(effect, { seed: 4, maxSteps: 10_000 })
      const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert(error instanceof SeededScheduler.Endless)
      assert.include(error.message, "Raise maxSteps")
      assert.strictEqual(error.seed, 4)
    }
  })

  it("calls onStep after every turn, when no fiber runs", () => {
    let turns = 0
    const { steps } = SeededScheduler.run(interleaved, {
      seed: 5,
      onStep: () => {
        turns++
        assert.isUndefined(Fiber.getCurrent())
      }
    })
    assert.strictEqual(turns, steps)
  })
})

describe("SeededScheduler.explore", () => {
  it("counts a deadlock, a program without an end and an error each as one outcome", () => {
    const outcomesOf = (program: Effect.Effect<unknown, unknown>, maxSteps = 1_000) =>
      Array.from(SeededScheduler.explore(program, { runs: 50, maxSteps }).outcomes.keys())
    const never = Effect.andThen(Effect.yieldNow, Effect.never)
    assert.deepStrictEqual(outcomesOf(never), ["Deadlock"])
    assert.deepStrictEqual(outcomesOf(Effect.forever(Effect.yieldNow)), ["Endless"])
    assert.deepStrictEqual(outcomesOf(Effect.andThen(Effect.yieldNow, Effect.fail("no"))), ["fail(no)"])
    assert.deepStrictEqual(outcomesOf(Effect.andThen(Effect.yieldNow, Effect.interrupt)), ["interrupted"])
  })

  it("tells the outcomes, each with a seed that gives it", () => {
    const { failures, orders, outcomes, runs } = SeededScheduler.explore(interleaved, { runs: 300, seed: 1_000 })
    assert.strictEqual(runs, 300)
    assert.isAbove(orders, 100)
    assert.deepStrictEqual(failures, [])
    for (const [outcome, { seed }] of outcomes) {
      assert.strictEqual(`success(${JSON.stringify(exitValue(seed))})`.replaceAll('"', ""), outcome.replaceAll('"', ""))
    }
  })

  it("keeps the first failures, with their seeds", () => {
    const racy = Effect.filterOrFail(interleaved, (text) => text.startsWith("ab"))
    const { failures } = SeededScheduler.explore(racy, { runs: 500, keep: 3 })
    assert.strictEqual(failures.length, 3)
    for (const { seed } of failures) assert.isTrue(Exit.isFailure(SeededScheduler.run(racy, { seed }).exit))
  })
})

const exitValue = (seed: number): string => {
  const { exit } = SeededScheduler.run(interleaved, { seed })
  return Exit.isSuccess(exit) ? exit.value : ""
}

describe("SeededScheduler.points", () => {
  it("lists every operation of every fiber, and preempting there lets the others go first", () => {
    const points = SeededScheduler.points(interleaved)
    const fibers = new Set(points.map(({ fiber }) => fiber))
    assert.strictEqual(fibers.size, 4)
    const written = new Set(points.map((preempt) => JSON.stringify(SeededScheduler.run(interleaved, { preempt }).exit)))
    const expected = ["abcdef", "acdefb", "cdefab", "abcefd", "abefcd", "abcdef"].map((text) => Exit.succeed(text))
    for (const exit of expected) assert.isTrue(written.has(JSON.stringify(exit)), JSON.stringify(exit))
  })

  it("holds the fiber until nothing else can go on, or also until the next timer", () => {
    const program = Effect.gen(function* () {
      const order: Array<string> = []
      const log = (word: string) => Effect.sync(() => void order.push(word))
      yield* Effect.all([log("first"), log("second"), Effect.andThen(Effect.sleep(1), log("timer"))], {
        concurrency: 3
      })
      return order.join(" ")
    })
    const outcomes = (pastNextTimer: boolean) =>
      new Set(
        SeededScheduler.points(program).flatMap((point) => {
          const { exit } = SeededScheduler.run(program, { preempt: { ...point, pastNextTimer } })
          return Exit.isSuccess(exit) ? [exit.value] : []
        })
      )
    assert.deepStrictEqual([...outcomes(false)].toSorted(), ["first second timer", "second first timer"])
    assert.isTrue(outcomes(true).has("second timer first"))
  })
})
