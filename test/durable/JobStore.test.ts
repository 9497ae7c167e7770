import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Layer, Option, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { JobStore, JobStoreError } from "holdfast/durable"
import { JobStoreLaws } from "holdfast/testing"

const inMemory = <A, E>(program: Effect.Effect<A, E, JobStore.JobStore>, options?: JobStore.Options) =>
  Effect.provide(program, JobStore.layerMemory(options))

const mail = { name: "mail", payload: "{}" }
const want = { worker: "w-1", slots: 1, names: [{ name: "mail" }] }

describe("the store in memory", () => {
  it.live("keeps the promises of every store", () =>
    Effect.gen(function* () {
      const report = yield* JobStoreLaws.check(JobStoreLaws.fromLayer(JobStore.layerMemory), { runs: 400 })
      assert.isAbove(report.claims, 400)
    })
  )

  it.effect("names the text that is too long, its length and the limit, and keeps nothing", () =>
    Effect.gen(function* () {
      const store = yield* JobStore.JobStore
      const error = yield* Effect.flip(store.submit([mail, { ...mail, payload: '"ééé"' }]))
      assert.instanceOf(error.reason, JobStoreError.TooLarge)
      assert.include(error.message, "The job store memory takes no payload of 8 bytes: 7 at most")
      assert.deepStrictEqual((yield* store.list({})).jobs, [])
      yield* store.submit([mail])
      const [claim] = yield* store.claim(want)
      const token = Option.getOrThrow(Option.fromUndefinedOr(claim)).token
      const tooLong = '"12345678"'
      for (const refused of [
        store.settle([{ token, outcome: { _tag: "Completed", result: tooLong } }]),
        store.settle([{ token, outcome: { _tag: "RetryAt", error: tooLong, atMillis: 0 } }]),
        store.record(token, [{ _tag: "Progress", value: tooLong }]),
        store.record(token, [{ _tag: "Step", name: "s", value: tooLong }])
      ]) {
        assert.strictEqual(
          (yield* Effect.flip(Effect.asVoid<unknown, JobStoreError.JobStoreError, never>(refused))).reason._tag,
          "TooLarge"
        )
      }
      assert.strictEqual((yield* store.count({})).running, 1)
    }).pipe((program) => inMemory(program, { maxTextBytes: 7 }))
  )

  it.effect("tells listeners what may be there to do", () =>
    Effect.gen(function* () {
      const store = yield* JobStore.JobStore
      const heard = yield* Effect.forkChild(Stream.runCollect(Stream.take(store.signals, 4)), {
        startImmediately: true
      })
      yield* TestClock.adjust(1)
      yield* store.submit([{ ...mail, id: "j", dueMillis: 500 }])
      yield* TestClock.adjust(500)
      const [claim] = yield* store.claim(want)
      const { token } = Option.getOrThrow(Option.fromUndefinedOr(claim))
      yield* store.cancel({ ids: ["j"] }, "enough")
      yield* store.record(token, [{ _tag: "Report", value: "1" }])
      yield* store.settle([{ token, outcome: { _tag: "Cancelled", reason: "told" } }])
      assert.deepStrictEqual(Array.from(yield* Fiber.join(heard)), [
        { _tag: "Ready", name: "mail", atMillis: 500 },
        { _tag: "CancelRequested", id: "j" },
        { _tag: "Reported", id: "j" },
        { _tag: "Ended", id: "j" }
      ])
    }).pipe(inMemory)
  )

  it.effect("gives ids of its own that cannot be guessed", () =>
    Effect.gen(function* () {
      const store = yield* JobStore.JobStore
      const ids = (yield* store.submit([mail, mail])).map(({ id }) => id)
      assert.strictEqual(new Set(ids).size, 2)
      for (const id of ids) assert.match(id, /^job-[\da-f-]{32,}$/)
    }).pipe(inMemory)
  )

  it.effect("says that it is closed to whoever still has it", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(JobStore.layerMemory(), scope)
      const store = Context.get(context, JobStore.JobStore)
      yield* Scope.close(scope, Exit.void)
      const error = yield* Effect.flip(store.submit([mail]))
      assert.strictEqual(error.message, "The job store memory is closed")
    })
  )

  it.effect.each<[string, (store: JobStore.Store) => Effect.Effect<unknown, unknown>]>([
    ["JobStore.submit option name", (store) => store.submit([{ ...mail, name: "" }])],
    ["JobStore.submit option key", (store) => store.submit([{ ...mail, key: "k".repeat(1_001) }])],
    ["JobStore.submit option priority", (store) => store.submit([{ ...mail, priority: Number.NaN }])],
    ["JobStore.submit option dueMillis", (store) => store.submit([{ ...mail, dueMillis: Infinity }])],
    ["JobStore.submit option metadata.n", (store) => store.submit([{ ...mail, metadata: { n: Infinity } }])],
    ["JobStore.claim option slots", (store) => store.claim({ ...want, slots: -1 })],
    ["JobStore.claim option names.limit", (store) => store.claim({ ...want, names: [{ name: "n", limit: 0.5 }] })],
    ["JobStore token option id", (store) => store.renew([{ id: 5 as unknown as string, claim: 1 }])],
    ["JobStore token option claim", (store) => store.record({ id: "j", claim: Number.NaN }, [])],
    [
      "JobStore.settle option outcome",
      (store) => store.settle([{ token: { id: "j", claim: 1 }, outcome: { _tag: "Done" as "Released" } }])
    ],
    ["JobStore.list option limit", (store) => store.list({}, { limit: 0 })],
    ["JobStore filter option states", (store) => store.list({ states: ["done" as "failed"] })],
    ["JobStore.events option after", (store) => store.events("j", -1)],
    ["JobStore.prune option retention", (store) => store.prune({}, 1)],
    ["JobStore.prune option limit", (store) => store.prune({ count: 1 }, 0)]
  ])("refuses by name what makes no sense: %s", ([named, ask]) =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(Effect.flatMap(JobStore.JobStore, ask))
      const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert.instanceOf(defect, RangeError)
      assert.include(String(defect), named)
    }).pipe(inMemory)
  )
})
