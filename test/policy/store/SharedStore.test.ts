import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Logger, Metric, Option } from "effect"
import { TestClock } from "effect/testing"
import { SeededScheduler } from "holdfast/testing"
import { SharedStore } from "../../../src/policy/store/SharedStore.ts"

const settings = {
  name: "the store",
  without: "calls go on",
  timeoutMillis: 100,
  retryMillis: 1_000,
  probe: Effect.void
}

const goneFor = (asks: number) => {
  let asked = 0
  return Effect.suspend(() => (++asked > asks ? Effect.void : Effect.fail(new Error("gone"))))
}

const make = (options: Partial<ConstructorParameters<typeof SharedStore>[0]> = {}) =>
  Effect.map(Effect.scope, (scope) => new SharedStore({ ...settings, ...options }, scope))

/** Notes what is logged. */
const logging = () => {
  const lines: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => {
    const [text] = Array.isArray(message) ? message : [message]
    lines.push(`${logLevel}: ${String(text)}`)
  })
  return { lines, layer: Logger.layer([logger]) }
}

describe("SharedStore", () => {
  it.effect("gives up a question after its limit, and asks nothing until a probe succeeds", () =>
    Effect.gen(function* () {
      let asked = 0
      const probe = Effect.suspend(() => (++asked < 3 ? Effect.never : Effect.void))
      const store = yield* make({ probe })
      const first = yield* Effect.forkChild(store.ask(Effect.never))
      yield* TestClock.adjust("99 millis")
      assert.isUndefined(first.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual([yield* Fiber.join(first), store.isAvailable], [Option.none(), false])
      // A probe begins a second after the last one ended.
      for (const [millis, probes] of [
        [999, 0],
        [1, 1],
        [1_099, 1],
        [1, 2],
        [1_099, 2]
      ] as const) {
        yield* TestClock.adjust(millis)
        assert.deepStrictEqual([yield* store.ask(Effect.succeed("asked")), asked], [Option.none(), probes])
      }
      yield* TestClock.adjust(1)
      assert.deepStrictEqual([yield* store.ask(Effect.succeed("here")), store.isAvailable], [Option.some("here"), true])
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(asked, 3)
    }).pipe(Effect.scoped, Effect.provide(Logger.layer([])))
  )

  it.effect("logs one line when the store goes, and one when it is back", () => {
    const { layer, lines } = logging()
    return Effect.gen(function* () {
      const store = yield* make({ probe: goneFor(3) })
      for (let n = 0; n < 3; n++) yield* store.ask(Effect.fail("connection refused"), true)
      yield* store.ask(Effect.die("a bug of its driver"), true)
      yield* TestClock.adjust("5 seconds")
      for (let n = 0; n < 3; n++) yield* store.ask(Effect.void)
      assert.deepStrictEqual(lines, ["Warn: the store: no answer; calls go on", "Info: the store: answers again"])
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.effect("is probed once a second, however often it goes and comes", () =>
    Effect.gen(function* () {
      let asked = 0
      const probe = Effect.suspend(() => (asked++, Effect.fail(new Error("gone"))))
      const store = yield* make({ probe })
      for (let n = 0; n < 9; n++) {
        yield* store.ask(Effect.fail("gone"), true)
        yield* store.ask(Effect.void, true)
      }
      yield* store.ask(Effect.fail("gone"), true)
      asked = 0
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(asked, 10)
    }).pipe(Effect.scoped, Effect.provide(Logger.layer([])))
  )

  it.effect("says once a minute that it does not believe what the store holds", () => {
    const { layer, lines } = logging()
    return Effect.gen(function* () {
      const store = yield* make()
      for (let n = 0; n < 3; n++) yield* store.disbelieve("a key", Number.NaN)
      yield* TestClock.adjust("1 minute")
      yield* store.disbelieve("x".repeat(1e6), "y".repeat(1e7))
      const line = "Warn: the store: what it holds is not believed"
      assert.deepStrictEqual([lines, store.isAvailable], [[line, line], true])
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.effect("stays with a store that cannot answer one question, and says so once a minute", () => {
    const { layer, lines } = logging()
    return Effect.gen(function* () {
      const store = yield* make()
      for (let n = 0; n < 3; n++) assert.deepStrictEqual(yield* store.ask(Effect.fail("another kind")), Option.none())
      assert.deepStrictEqual([yield* store.ask(Effect.succeed("here")), store.isAvailable], [Option.some("here"), true])
      yield* TestClock.adjust("1 minute")
      yield* store.ask(Effect.fail("another kind"))
      const line = "Warn: the store: a question failed, though the store answers"
      assert.deepStrictEqual(lines, [line, line])
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.effect("gives up a store whose probe is silent when a question fails", () =>
    Effect.gen(function* () {
      const store = yield* make({ probe: Effect.never })
      const asking = yield* Effect.forkChild(store.ask(Effect.fail("gone")))
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual([yield* Fiber.join(asking), store.isAvailable], [Option.none(), false])
    }).pipe(Effect.scoped, Effect.provide(Logger.layer([])))
  )

  it.effect("keeps its limit where the caller cannot be interrupted", () =>
    Effect.gen(function* () {
      const store = yield* make()
      const asking = yield* Effect.forkChild(Effect.uninterruptible(store.ask(Effect.never)))
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(yield* Fiber.join(asking), Option.none())
    }).pipe(Effect.scoped, Effect.provide(Logger.layer([])))
  )

  it.effect("keeps no fiber and no timer of a question that is answered", () =>
    Effect.gen(function* () {
      const store = yield* make()
      let live = 0
      const counter = { recordFiberStart: () => void live++, recordFiberEnd: () => void live-- }
      const ask = Effect.provideService(store.ask(Effect.yieldNow), Metric.FiberRuntimeMetrics, counter)
      yield* Effect.forEach(Array.from({ length: 50 }), () => ask, { concurrency: "unbounded" })
      yield* Effect.yieldNow
      assert.strictEqual(live, 0)
    }).pipe(Effect.scoped)
  )

  it("gives up every question, whatever comes between", () => {
    const asking = Effect.scoped(
      Effect.gen(function* () {
        const store = yield* make()
        yield* store.ask(Effect.never)
        for (const after of [0, 100]) {
          yield* Effect.sleep(after)
          yield* store.ask(Effect.never, true)
          yield* store.ask(Effect.never, true)
        }
      })
    )
    const points = SeededScheduler.points(asking).flatMap((point) => [point, { ...point, pastNextTimer: true }])
    const hanging = points.filter(
      (preempt) => !Exit.isSuccess(SeededScheduler.run(asking, { preempt, maxSteps: 10_000 }).exit)
    )
    assert.deepStrictEqual(hanging, [])
  })
})
