import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Schema, Stream } from "effect"
import { LanguageModel } from "effect/ai"
import { TestClock } from "effect/testing"
import { CallTrail, type Decision, type ModelProvider } from "holdfast/core"
import { Model } from "holdfast/model"
import { Hedge, Retry, SpendBudget, Timeout } from "holdfast/policy"
import { Job, Supervisor } from "holdfast/supervisor"
import { FaultyModel } from "holdfast/testing"

const overloaded = { fault: { is: "refuse", because: "overloaded" } } as const
const from = { provider: "p", model: "m", origin: "call", startedAtMillis: 0 } as const
const interrupted = { durationMillis: 5, outcome: { _tag: "Interrupted" } } as const
const succeeded = { durationMillis: 5, outcome: { _tag: "Succeeded" } } as const

const concerned = ({ decisions }: CallTrail.CallTrail) =>
  decisions.map(({ attempt, decision }) => [decision._tag, attempt])

describe("the trail of a call", () => {
  it.effect("numbers attempts, and says which of them each decision concerns, what was used and what it cost", () =>
    Effect.gen(function* () {
      const { provider } = yield* FaultyModel.make({ script: [overloaded, overloaded, {}] })
      const prices = { [provider.model]: { input: 1, output: 2 } }
      const budget = yield* SpendBudget.make({ window: "1 hour", tokens: 1_000_000, prices })
      const policies = [Retry.transient({ base: "1 millis", times: 3 }), budget.policy]
      yield* Effect.forkChild(
        Effect.provide(LanguageModel.generateText({ prompt: "hello" }), Model.layer({ provider, policies }))
      )
      yield* TestClock.adjust("10 seconds")
      const events = yield* Supervisor.events({ after: 0 }).pipe(Stream.take(3), Stream.runCollect)
      const end = events.at(-1)
      assert(end?._tag === "JobCompleted" && end.trail !== undefined)
      const { trail } = end
      assert.deepStrictEqual(
        trail.attempts.map(({ number }) => number),
        [1, 2, 3]
      )
      assert.deepStrictEqual(concerned(trail), [
        ["RetryScheduled", 1],
        ["RetryScheduled", 2],
        ["SpendRecorded", 3]
      ])
      const used = trail.attempts.at(-1)?.usage
      assert(used !== undefined && end.cost !== undefined)
      assert.isAbove(used.outputTokens, 0)
      assert.deepStrictEqual([end.usage, trail.usage, end.cost], [used, used, trail.cost])
      assert.deepStrictEqual(end.cost, {
        money: (used.inputTokens + 2 * used.outputTokens) / 1_000_000,
        estimated: false
      })
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("is read while the call runs, with the attempts in flight", () =>
    Effect.gen(function* () {
      const { provider } = yield* FaultyModel.make({
        script: [{ latency: { headers: "1 hour" } }, { latency: { headers: "1 hour" } }]
      })
      const policies = [Hedge.afterDelay("1 second", { maxShare: 1 })]
      yield* Effect.forkChild(
        Effect.provide(LanguageModel.generateText({ prompt: "hello" }), Model.layer({ provider, policies }))
      )
      yield* TestClock.adjust("2 seconds")
      const [call] = yield* Supervisor.select({ kind: "call" })
      assert(call !== undefined)
      const trail = Option.getOrThrow(yield* Job.trail(call))
      assert.deepStrictEqual(
        trail.inFlight?.map(({ number, origin, startedAtMillis }) => [number, origin, startedAtMillis]),
        [
          [1, "call", 0],
          [2, "hedge", 1_000]
        ]
      )
      assert.deepStrictEqual(concerned(trail), [["HedgeStarted", 2]])
      yield* Job.cancel(call)
      assert.isTrue(Option.isNone(yield* Job.trail(call)))
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it("names the attempt whose time was up, whether it has ended by then or not, and none for the whole call", () => {
    const late = (clock: "attempt" | "overall"): Decision.Decision => ({ _tag: "TimedOut", clock, afterMillis: 5 })
    const recorder = new CallTrail.Recorder()
    const [first] = [recorder.begin(from), recorder.begin(from)]
    recorder.end(first, interrupted, 5)
    recorder.decide(5, late("attempt"))
    recorder.decide(7, late("attempt"))
    recorder.decide(9, late("overall"))
    assert.deepStrictEqual(concerned(recorder.trail), [
      ["TimedOut", 1],
      ["TimedOut", 2],
      ["TimedOut", undefined]
    ])
  })

  it("names the attempt that won: the one that answered, or whose content came", () => {
    const won: Decision.Decision = { _tag: "AttemptWon", policy: "Race", provider: "p", model: "m" }
    const recorder = new CallTrail.Recorder()
    const [first, second] = [recorder.begin(from), recorder.begin(from)]
    recorder.content(first, 3)
    recorder.decide(3, won)
    recorder.end(second, succeeded, 5)
    recorder.decide(5, won)
    assert.deepStrictEqual(concerned(recorder.trail), [
      ["AttemptWon", 1],
      ["AttemptWon", 2]
    ])
  })

  it("names the attempt of which a policy of an application's own says that it concerns it", () => {
    const recorder = new CallTrail.Recorder()
    const own = { _tag: "Custom", policy: "mine", facts: {} } as const
    recorder.end(recorder.begin({ ...from, origin: "custom:mine" }), succeeded, 0)
    recorder.decide(0, { ...own, attempt: "last" })
    recorder.decide(0, { ...own, attempt: "next" })
    recorder.decide(0, own)
    recorder.begin(from)
    assert.deepStrictEqual(concerned(recorder.trail), [
      ["Custom", 1],
      ["Custom", 2],
      ["Custom", undefined]
    ])
    const read = Schema.decodeUnknownOption(CallTrail.CallTrail)
    assert.deepStrictEqual(Option.getOrUndefined(read(recorder.trail)), recorder.trail)
    assert.strictEqual(recorder.trail.attempts[0]?.origin, "custom:mine")
    assert.isTrue(
      Option.isNone(read({ ...recorder.trail, attempts: [{ ...recorder.trail.attempts[0], origin: "own" }] }))
    )
  })

  it("names of attempts that compete those behind the policy that decides, and none that never began", () => {
    const waited: Decision.Decision = { _tag: "Waited", policy: "RateLimit", millis: 1 }
    const retried: Decision.Decision = { _tag: "RetryScheduled", retry: 1, waitMillis: 1 }
    const recorder = new CallTrail.Recorder()
    const [one, two] = [recorder.branch(), recorder.branch()]
    recorder.decide(0, waited)
    const [first, second] = [one.begin(from), two.begin(from)]
    one.end(first, interrupted, 5)
    two.end(second, interrupted, 5)
    one.decide(5, retried)
    one.decide(5, waited)
    two.decide(5, retried)
    two.decide(5, waited)
    two.begin(from)
    assert.deepStrictEqual(concerned(recorder.trail), [
      ["Waited", 1],
      ["RetryScheduled", 1],
      ["Waited", undefined],
      ["RetryScheduled", 2],
      ["Waited", 3]
    ])
    one.begin(from)
    assert.strictEqual(recorder.trail.decisions[2]?.attempt, 4)
  })

  const hedged = (ask: "text" | "stream", policies: ReadonlyArray<ModelProvider.Policy>) =>
    Effect.gen(function* () {
      const late = { latency: { headers: "1 hour" } } as const
      const { provider } = yield* FaultyModel.make({ script: [late, { latency: { headers: "2500 millis" } }] })
      const asked =
        ask === "text"
          ? LanguageModel.generateText({ prompt: "hello" })
          : Stream.runDrain(LanguageModel.streamText({ prompt: "hello" }))
      yield* Effect.forkChild(Effect.provide(asked, Model.layer({ provider, policies })))
      for (let seconds = 0; seconds < 20; seconds++) yield* TestClock.adjust("1 second")
      const events = yield* Supervisor.events({ after: 0 }).pipe(Stream.take(3), Stream.runCollect)
      const end = events.at(-1)
      assert(end?._tag === "JobCompleted" && end.trail !== undefined)
      return concerned(end.trail)
    }).pipe(Effect.provide(Supervisor.layer()))

  it.effect("names the attempt that was late, and not the second one that runs beside it", () =>
    Effect.gen(function* () {
      const policies = [Hedge.afterDelay("1 second", { maxShare: 1 }), Timeout.perAttempt({ firstToken: "3 seconds" })]
      assert.deepStrictEqual(yield* hedged("stream", policies), [
        ["HedgeStarted", 2],
        ["TimedOut", 1],
        ["AttemptWon", 2]
      ])
    })
  )

  it.effect("names the attempt that won, and not the one that was given up after it, for what is decided outside", () =>
    Effect.gen(function* () {
      const { policy } = yield* SpendBudget.make({ window: "1 hour", tokens: 1_000_000 })
      assert.deepStrictEqual(yield* hedged("text", [policy, Hedge.afterDelay("1 second", { maxShare: 1 })]), [
        ["HedgeStarted", 2],
        ["AttemptWon", 2],
        ["SpendRecorded", 2]
      ])
    })
  )

  it("adds up what is beyond the attempts and decisions it keeps", () => {
    const recorder = new CallTrail.Recorder()
    const usage = { inputTokens: 1, cachedInputTokens: 0, outputTokens: 2, reasoningTokens: 0 }
    for (let n = 0; n < CallTrail.longest + 6; n++) {
      recorder.end(recorder.begin(from), { ...succeeded, usage }, 0)
      recorder.decide(0, { _tag: "SpendRecorded", tokens: 3, money: 0.5, estimated: n === 69 })
    }
    const { cost, leftOut, usage: all } = recorder.trail
    assert.deepStrictEqual([leftOut, all?.outputTokens, cost], [12, 140, { money: 35, estimated: true }])
  })
})
