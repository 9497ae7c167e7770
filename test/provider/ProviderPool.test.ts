import { assert, describe, it } from "@effect/vitest"
import {
  Duration,
  Effect,
  Exit,
  Fiber,
  flow,
  Layer,
  Option,
  Random,
  Record,
  References,
  Schema,
  Scope,
  Stream
} from "effect"
import { AiError, IdGenerator, type LanguageModel } from "effect/ai"
import { TestClock } from "effect/testing"
import { CallTrail, PolicyHealth, PolicyReason } from "holdfast/core"
import { Model } from "holdfast/model"
import { CircuitBreaker, Fallback, RateLimit, ResponseCache, Retry } from "holdfast/policy"
import { AiSdk, type ModelProvider, ProviderPool } from "holdfast/provider"
import { Supervisor } from "holdfast/supervisor"
import { type Answer, failure, request, scripted, text } from "../policy/scripted.ts"

const ids = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)
const withoutJitter = Effect.provideService(Random.Random, { nextIntUnsafe: () => 0, nextDoubleUnsafe: () => 0 })
const quietly = Effect.provideService(References.MinimumLogLevel, "None")

const down = failure(new AiError.InternalProviderError({ description: "down" }))
const noQuota = failure(new AiError.QuotaExhaustedError({}))
const busy = failure(new AiError.RateLimitError({ retryAfter: Duration.seconds(20) }))
const invalid = failure(new AiError.InvalidRequestError({}))

class NotWell extends Schema.TaggedError<NotWell>()("NotWell", {}) {}

/** A provider that answers as the last `answers(…)` said. */
const member = () => {
  const script: [Answer] = [{}]
  const { provider, seen } = scripted(script)
  return { provider, seen, answers: (answer: Answer) => void (script[0] = answer) }
}

type Faked = ReturnType<typeof member>

/** What a pool is told of them. */
const told = <Names extends string>(members: Record<Names, Pick<Faked, "provider"> & Partial<ProviderPool.Member>>) =>
  Record.map(members, ({ check, provider, weight }) => ({ check, provider, weight }))

const pooled = <Names extends string>(
  members: Record<Names, Faked & Partial<ProviderPool.Member>>,
  options: Omit<ProviderPool.Options, "providers"> = {}
) =>
  Effect.gen(function* () {
    const registry: Array<Effect.Effect<PolicyHealth.PolicyHealth>> = []
    const pool = yield* Effect.provideService(
      ProviderPool.make({ providers: told(members), ...options }),
      PolicyHealth.Registry,
      registry
    )
    const call = (
      effect: (
        options: LanguageModel.ProviderOptions
      ) => Effect.Effect<unknown, AiError.AiError, IdGenerator.IdGenerator>
    ) =>
      Effect.gen(function* () {
        const recorder = new CallTrail.Recorder()
        const outcome = yield* Effect.flatMap(request, effect).pipe(
          Effect.provideService(CallTrail.Current, recorder),
          Effect.match({
            onSuccess: () => "ok",
            onFailure: (error) =>
              Option.match(PolicyReason.of(error), { onNone: () => error.reason._tag, onSome: ({ _tag }) => _tag })
          })
        )
        return {
          outcome,
          decisions: recorder.trail.decisions.map(({ decision }) => decision),
          attempts: recorder.trail.attempts
        }
      }).pipe(ids)
    return {
      pool,
      call,
      generate: call((options) => pool.generateText(options)),
      stream: call((options) => Stream.runDrain(pool.streamText(options))),
      times: (n: number) =>
        Effect.replicateEffect(
          call((options) => pool.generateText(options)),
          n
        ),
      health: Effect.filterOrElse(
        registry[0] ?? Effect.die("not registered"),
        (health) => health._tag === "ProviderPool",
        () => Effect.die("not a pool's")
      )
    }
  })

const calls = (members: Record<string, Pick<Faked, "seen">>) => Object.values(members).map(({ seen }) => seen.calls)

const sum = (counts: ReadonlyArray<number>) => counts.reduce((total, count) => total + count, 0)

/** Sends one request to each of `n` providers. */
const toEach = (n: number, { call, pool }: Effect.Success<ReturnType<typeof pooled>>) =>
  Effect.flatMap(request, (options) =>
    Effect.replicateEffect(
      call(() => pool.generateText(options)),
      n
    )
  )

describe("ProviderPool", () => {
  it.effect(
    "sends each call to one of its providers, unchanged, and leaves an attempt and the choice on its trail",
    () =>
      Effect.gen(function* () {
        const members = { a: member(), b: member() }
        const { generate, pool } = yield* pooled(members)
        const { attempts, decisions, outcome } = yield* generate
        assert.strictEqual(outcome, "ok")
        assert.deepStrictEqual(decisions, [{ _tag: "ProviderChosen", name: "a" }])
        assert.deepStrictEqual(
          attempts.map(({ outcome, provider }) => [provider, outcome._tag]),
          [["scripted", "Succeeded"]]
        )
        assert.deepStrictEqual(calls(members), [1, 0])
        assert.deepStrictEqual([pool.name, pool.model], ["pool", "m"])
        assert.deepStrictEqual(yield* Stream.runCollect(pool.streamText(yield* request)), [...text("ok")])
      }).pipe(withoutJitter, ids)
  )

  it.effect("prefers who answers sooner, and comes back to the other when it has become faster", () =>
    Effect.gen(function* () {
      const members = { slow: member(), fast: member() }
      const { call, pool } = yield* pooled(members)
      members.slow.answers({ delay: 2_000 })
      members.fast.answers({ delay: 100 })
      const one = Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(call((options) => pool.generateText(options)))
        yield* TestClock.adjust("2 seconds")
        return yield* Fiber.join(fiber)
      })
      yield* Effect.replicateEffect(one, 20)
      // Of its two seconds, the first call's, something is remembered for a while.
      assert.isAtMost(members.slow.seen.calls, 3)
      members.slow.answers({ delay: 10 })
      members.fast.answers({ delay: 1_000 })
      yield* Effect.replicateEffect(one, 40)
      assert.isAtLeast(members.slow.seen.calls, 30)
    })
  )

  it.effect("spreads calls that come at the same time by who has fewer under way, and by weight", () =>
    Effect.gen(function* () {
      const members = { a: member(), b: { ...member(), weight: 3 } }
      const { times, call, pool } = yield* pooled(members)
      for (const each of Object.values(members)) each.answers({ delay: 1_000 })
      const warm = yield* Effect.forkChild(Effect.all([times(1), times(1)], { concurrency: 2 }))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(warm)
      const all = yield* Effect.forkChild(
        Effect.all(
          Array.from({ length: 40 }, () => call((options) => pool.generateText(options))),
          { concurrency: "unbounded" }
        )
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(all)
      assert.deepStrictEqual(calls(members), [11, 31])
    })
  )

  it.effect("measures a stream until its first content", () =>
    Effect.gen(function* () {
      const members = { a: member() }
      const { health, stream } = yield* pooled(members)
      members.a.answers({ delay: 100 })
      const fiber = yield* Effect.forkChild(stream)
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(fiber)
      // Metadata, the start of the text, and the first piece of it: each after 100 ms.
      assert.strictEqual((yield* health).providers[0]?.latencyMillis, 300)
    })
  )

  describe("ejection", () => {
    it.effect("takes a provider out after faults in a row, and brings it back under trial", () =>
      Effect.gen(function* () {
        const members = { a: member(), b: member() }
        const pool = yield* pooled(members, { consecutive: 3 })
        const usable = Effect.map(pool.health, ({ providers }) => providers[0]?.usable)
        members.a.answers({ error: down })
        yield* Effect.replicateEffect(toEach(2, pool), 2)
        assert.isTrue(yield* usable)
        yield* toEach(2, pool)
        assert.isFalse(yield* usable)
        yield* pool.times(20)
        assert.strictEqual(members.a.seen.calls, 3)
        yield* TestClock.adjust("30 seconds")
        const [first, second] = yield* toEach(2, pool)
        assert.deepStrictEqual(first?.decisions[0], { _tag: "ProviderReturned", name: "a" })
        // One fault of a provider under trial is enough, and it is out for twice as long.
        const trial = [first, second].find((each) => each?.outcome !== "ok")
        assert.deepStrictEqual(trial?.decisions.at(-1), { _tag: "ProviderEjected", name: "a", forMillis: 60_000 })
        yield* TestClock.adjust("59999 millis")
        assert.isFalse(yield* usable)
        yield* TestClock.adjust("1 millis")
        assert.isTrue(yield* usable)
        // When it stays for as long as it was out, the next ejection is as short as the first.
        members.a.answers({})
        yield* toEach(2, pool)
        yield* TestClock.adjust("1 minute")
        members.a.answers({ error: down })
        const again = (yield* Effect.replicateEffect(toEach(2, pool), 3)).flat().flatMap(({ decisions }) => decisions)
        assert.deepStrictEqual(again.at(-1)?._tag === "ProviderEjected" ? again.at(-1) : again.at(-2), {
          _tag: "ProviderEjected",
          name: "a",
          forMillis: 30_000
        })
      }).pipe(withoutJitter)
    )

    it.effect("says on the call's trail who was ejected, and for how long", () =>
      Effect.gen(function* () {
        const members = { a: member(), b: member() }
        const { generate } = yield* pooled(members, { consecutive: 1 })
        members.a.answers({ error: down })
        assert.deepStrictEqual((yield* generate).decisions, [
          { _tag: "ProviderChosen", name: "a" },
          { _tag: "ProviderEjected", name: "a", forMillis: 30_000 }
        ])
      }).pipe(withoutJitter)
    )

    it.effect("is for those far worse than the others, and for none when all are as bad", () =>
      Effect.gen(function* () {
        const ejectedWhen = Effect.fnUntraced(function* (others: Answer) {
          const members = { a: member(), b: member(), c: member() }
          const pool = yield* pooled(members, { consecutive: 100 })
          for (let round = 0; round < 20; round++) {
            members.a.answers(round % 2 === 0 ? {} : { error: down })
            members.b.answers(round % 2 === 0 ? {} : others)
            members.c.answers(round % 2 === 0 ? {} : others)
            yield* toEach(3, pool)
          }
          return (yield* pool.health).providers.flatMap(({ name, usable }) => (usable ? [] : [name]))
        })
        assert.deepStrictEqual(yield* ejectedWhen({}), ["a"])
        assert.deepStrictEqual(yield* ejectedWhen({ error: down }), [])
      })
    )

    it.effect("leaves half of the pool in use, whatever happens, and lets the calls through", () =>
      Effect.gen(function* () {
        const members = { a: member(), b: member(), c: member(), d: member() }
        const { health, times } = yield* pooled(members, { consecutive: 1 })
        for (const each of Object.values(members)) each.answers({ error: down })
        yield* times(40)
        assert.strictEqual((yield* health).providers.filter(({ usable }) => usable).length, 2)
        assert.strictEqual(
          calls(members).reduce((sum, count) => sum + count),
          40
        )
      })
    )

    it.effect("does not end, and does not follow, for calls from before it", () =>
      Effect.gen(function* () {
        for (const [answer, usableThen] of [
          [{ delay: 31_000 }, true],
          [{ delay: 31_000, error: down }, true],
          [{ delay: 29_000 }, false]
        ] as const) {
          const members = { a: member(), b: member() }
          const pool = yield* pooled(members, { consecutive: 1 })
          members.a.answers(answer)
          const straggler = yield* Effect.forkChild(pool.generate)
          yield* TestClock.adjust(0)
          members.a.answers({ error: down })
          yield* toEach(2, pool)
          assert.isFalse((yield* pool.health).providers[0]?.usable)
          yield* TestClock.adjust(answer.delay)
          yield* Fiber.join(straggler)
          // Back in use, it is under trial until a call of now succeeds.
          assert.strictEqual((yield* pool.health).providers[0]?.usable, usableThen)
          yield* TestClock.adjust("10 seconds")
          const last = (yield* toEach(2, pool)).flatMap(({ decisions }) => decisions)
          assert.isTrue(last.some(({ _tag }) => _tag === "ProviderEjected"))
        }
      }).pipe(withoutJitter)
    )
  })

  it.effect("gives one call to a provider under trial, and counts anew", () =>
    Effect.gen(function* () {
      const members = { a: member(), b: member() }
      const pool = yield* pooled(members, { consecutive: 10, minCalls: 5, eject: "1 second" })
      members.a.answers({ delay: 1 })
      members.b.answers({ delay: 100 })
      const measuring = yield* Effect.forkChild(toEach(2, pool))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(measuring)
      members.a.answers({ error: down })
      members.b.answers({})
      yield* Effect.replicateEffect(toEach(2, pool), 10)
      assert.strictEqual(members.a.seen.calls, 5)
      yield* TestClock.adjust("1 second")
      members.a.answers({ delay: 10 })
      const burst = yield* Effect.forkChild(
        Effect.all([pool.generate, pool.generate, pool.generate], { concurrency: 3 })
      )
      yield* TestClock.adjust(0)
      assert.strictEqual(members.a.seen.open, 1)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(burst)
      members.a.answers({ error: down })
      yield* toEach(2, pool)
      assert.isTrue((yield* pool.health).providers[0]?.usable)
    })
  )

  it.effect("uses no ejected provider when all may be ejected", () =>
    Effect.gen(function* () {
      const members = { a: member(), b: member() }
      const { times } = yield* pooled(members, { consecutive: 1, maxEjected: 1 })
      for (const each of Object.values(members)) each.answers({ error: down })
      assert.deepStrictEqual(
        (yield* times(3)).map(({ outcome }) => outcome),
        ["InternalProviderError", "InternalProviderError", "NoProvider"]
      )
    })
  )

  it.effect("asks its providers what a call would meet", () =>
    Effect.gen(function* () {
      const readings = { a: "ready" as ModelProvider.Readiness, b: "ready" as ModelProvider.Readiness }
      const reading = (name: "a" | "b") => {
        const made = member()
        return { ...made, provider: { ...made.provider, readiness: Effect.sync(() => readings[name]) } }
      }
      const members = { a: reading("a"), b: reading("b") }
      const { pool, times } = yield* pooled(members)
      const meets = pool.readiness ?? Effect.die("no reading")
      readings.a = "saturated"
      yield* times(4)
      assert.deepStrictEqual([calls(members), yield* meets], [[0, 4], "ready"])
      readings.b = "circuitHalfOpen"
      assert.strictEqual(yield* meets, "circuitHalfOpen")
      readings.b = "circuitOpen"
      yield* times(4)
      assert.deepStrictEqual([calls(members), yield* meets], [[4, 4], "saturated"])
      readings.a = "circuitOpen"
      assert.deepStrictEqual([(yield* times(1))[0]?.outcome, yield* meets], ["NoProvider", "circuitOpen"])
    })
  )

  it.effect("does not take one that fails soon for one that is fast", () =>
    Effect.gen(function* () {
      const members = { failing: member(), well: member() }
      const { generate } = yield* pooled(members, { consecutive: 100, minCalls: 100 })
      members.failing.answers({ delay: 5, error: down })
      members.well.answers({ delay: 1_000 })
      for (let each = 0; each < 30; each++) {
        const fiber = yield* Effect.forkChild(generate)
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(fiber)
      }
      assert.isAtMost(members.failing.seen.calls, 2)
    })
  )

  it.effect("takes a provider without quota out at once, and fails when none is left", () =>
    Effect.gen(function* () {
      const members = { a: member(), b: member() }
      const { call, generate, pool } = yield* pooled(members)
      members.a.answers({ error: noQuota })
      assert.strictEqual((yield* generate).outcome, "QuotaExhaustedError")
      assert.strictEqual((yield* generate).outcome, "ok")
      members.b.answers({ error: noQuota })
      assert.strictEqual((yield* generate).outcome, "QuotaExhaustedError")
      assert.strictEqual((yield* generate).outcome, "NoProvider")
      assert.strictEqual((yield* call((options) => Stream.runDrain(pool.streamText(options)))).outcome, "NoProvider")
      assert.strictEqual(yield* pool.readiness ?? Effect.die("no reading"), "circuitOpen")
      const error = yield* Effect.flip(pool.generateText(yield* request))
      assert.deepStrictEqual(PolicyReason.of(error), Option.some({ _tag: "NoProvider", names: ["a", "b"] }))
      yield* TestClock.adjust("5 minutes")
      members.b.answers({})
      members.a.answers({})
      assert.strictEqual((yield* generate).outcome, "ok")
    }).pipe(withoutJitter, ids)
  )

  it.effect("lets a provider rest that asked for it, unless there is no other", () =>
    Effect.gen(function* () {
      const members = { a: member(), b: member() }
      const { generate, times } = yield* pooled(members)
      members.a.answers({ error: busy })
      yield* times(10)
      assert.deepStrictEqual(calls(members), [1, 9])
      members.b.answers({ error: noQuota })
      yield* generate
      members.a.answers({})
      assert.strictEqual((yield* generate).outcome, "ok")
      const alone = { a: member() }
      const single = yield* pooled(alone, { consecutive: 1 })
      alone.a.answers({ error: down })
      yield* single.times(3)
      assert.strictEqual(alone.a.seen.calls, 3)
    }).pipe(withoutJitter)
  )

  it.effect.each(["generateText", "streamText"] as const)(
    "has %s tried again at once when another may answer, whatever the first one asked for",
    (method) =>
      Effect.gen(function* () {
        for (const error of [busy, noQuota, down]) {
          const [a, b] = [member(), member()]
          const { call, pool } = yield* pooled({ a, b })
          const retried = yield* Retry.transient()(pool)
          a.answers({ error })
          const seen = yield* Effect.forkChild(
            call((options) =>
              method === "generateText" ? retried.generateText(options) : Stream.runDrain(retried.streamText(options))
            ).pipe(withoutJitter)
          )
          yield* TestClock.adjust("1 millis")
          const { attempts, outcome } = yield* Fiber.join(seen)
          assert.deepStrictEqual(
            [outcome, attempts.map((attempt) => attempt.outcome._tag)],
            ["ok", ["Failed", "Succeeded"]]
          )
        }
      })
  )

  it.effect("does not open the circuit around it for one provider's lack of quota", () =>
    Effect.gen(function* () {
      const [a, b] = [member(), member()]
      const { call, pool } = yield* pooled({ a, b })
      const guarded = yield* CircuitBreaker.perModel()(pool)
      a.answers({ error: noQuota })
      const generate = call((options) => guarded.generateText(options)).pipe(withoutJitter)
      const outcomes = (yield* Effect.replicateEffect(generate, 3)).map(({ outcome }) => outcome)
      assert.deepStrictEqual(outcomes, ["QuotaExhaustedError", "ok", "ok"])
      b.answers({ error: noQuota })
      assert.deepStrictEqual(
        (yield* Effect.replicateEffect(generate, 2)).map(({ outcome }) => outcome),
        ["QuotaExhaustedError", "CircuitOpen"]
      )
    })
  )

  it.effect("has nobody asked again when the request itself is at fault, or when all have failed for good", () =>
    Effect.gen(function* () {
      for (const [error, times] of [
        [invalid, 1],
        [noQuota, 2]
      ] as const) {
        const [a, b] = [member(), member()]
        const { call, pool } = yield* pooled({ a, b })
        const retried = yield* Retry.transient()(pool)
        a.answers({ error })
        b.answers({ error })
        const seen = yield* Effect.forkChild(call((options) => retried.generateText(options)).pipe(withoutJitter))
        yield* TestClock.adjust("1 minute")
        const { attempts, outcome } = yield* Fiber.join(seen)
        assert.deepStrictEqual([outcome, attempts.length], [error.reason._tag, times])
      }
    })
  )

  it.effect("sends a call that comes again to a provider it has not been sent to", () =>
    Effect.gen(function* () {
      const members = { a: member(), b: member(), c: member() }
      for (const each of Object.values(members)) each.answers({ error: down })
      const { call, pool } = yield* pooled(members)
      const retried = yield* Retry.transient({ times: 2, base: "1 millis" })(pool)
      for (const way of ["generate", "stream"] as const) {
        const fiber = yield* Effect.forkChild(
          call((options) =>
            way === "generate" ? retried.generateText(options) : Stream.runDrain(retried.streamText(options))
          )
        )
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(fiber)
      }
      assert.deepStrictEqual(calls(members), [2, 2, 2])
    })
  )

  it.effect("has one attempt on the trail for each request, by who was asked", () =>
    Effect.gen(function* () {
      const members = { a: member(), b: member() }
      members.a.answers({ error: down })
      const pool = ProviderPool.make({ providers: told(members) })
      const retried = Retry.transient({ times: 1, base: "1 millis" })
      const stack = yield* Model.compose({ provider: pool, policies: [retried] })
      for (const call of [stack.generateText, flow(stack.streamText, Stream.runDrain)]) {
        const recorder = new CallTrail.Recorder()
        const fiber = yield* Effect.flatMap(request, (options) => Effect.asVoid(call(options))).pipe(
          Effect.provideService(CallTrail.Current, recorder),
          Effect.forkChild
        )
        yield* TestClock.adjust("10 minutes")
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(
          recorder.trail.attempts.map(({ origin, outcome }) => [origin, outcome._tag]),
          [
            ["call", "Failed"],
            ["retry", "Succeeded"]
          ]
        )
      }
    }).pipe(Effect.scoped, withoutJitter, ids)
  )

  it.effect("has in the keys of caches what is in those of its providers, and who they are", () =>
    Effect.gen(function* () {
      const cache = yield* ResponseCache.make({ timeToLive: "1 hour" })
      const options = yield* request
      const named = (model: string) => {
        const { provider, seen } = member()
        return { seen, provider: { ...provider, model, settings: AiSdk.CurrentSettings } }
      }
      const members = { small: named("small"), large: named("large"), other: named("other") }
      const { large, other, small } = members
      const one = yield* cache.policy(yield* ProviderPool.make({ providers: told({ small, large }) }))
      yield* AiSdk.withSettings(one.generateText(options), { temperature: 0 })
      yield* AiSdk.withSettings(one.generateText(options), { temperature: 0 })
      assert.strictEqual(sum(calls(members)), 1)
      yield* AiSdk.withSettings(one.generateText(options), { temperature: 1 })
      assert.strictEqual(sum(calls(members)), 2)
      const another = yield* cache.policy(yield* ProviderPool.make({ providers: told({ small, other }) }))
      yield* AiSdk.withSettings(another.generateText(options), { temperature: 0 })
      assert.strictEqual(sum(calls(members)), 3)
    }).pipe(Effect.scoped, ids)
  )

  it.effect("has nothing under way when calls have ended, failed, were interrupted, or their readers left", () =>
    Effect.gen(function* () {
      const members = { a: member() }
      const { call, generate, health, pool, stream } = yield* pooled(members)
      const inFlight = Effect.map(health, ({ providers }) => providers[0]?.inFlight)
      yield* generate
      yield* stream
      members.a.answers({ error: down })
      yield* generate
      yield* stream
      members.a.answers({ delay: 1_000 })
      for (const long of [generate, stream]) {
        const fiber = yield* Effect.forkChild(long)
        yield* TestClock.adjust(0)
        assert.strictEqual(yield* inFlight, 1)
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual([yield* inFlight, members.a.seen.open], [0, 0])
      }
      const leaving = yield* Effect.forkChild(
        call((options) => pool.streamText(options).pipe(Stream.take(1), Stream.runDrain))
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(leaving)
      assert.deepStrictEqual([yield* inFlight, members.a.seen.open], [0, 0])
    })
  )

  it.effect("learns from calls given up that a provider is at least as slow", () =>
    Effect.gen(function* () {
      const members = { stuck: member(), well: member() }
      const { generate } = yield* pooled(members)
      members.stuck.answers({ delay: 600_000 })
      for (let each = 0; each < 10; each++) {
        const fiber = yield* Effect.forkChild(generate)
        yield* TestClock.adjust("5 seconds")
        yield* Fiber.interrupt(fiber)
      }
      assert.isAtMost(members.stuck.seen.calls, 2)
    })
  )

  it.effect("leaves out providers whose own circuit is open, and lets them probe", () =>
    Effect.gen(function* () {
      const members = { a: member(), b: member() }
      const broken = yield* CircuitBreaker.perModel({ consecutive: 1 })(members.a.provider)
      const { times } = yield* pooled({ a: { ...members.a, provider: broken }, b: members.b }, { consecutive: 100 })
      members.a.answers({ error: down })
      const outcomes = yield* times(10)
      assert.deepStrictEqual(outcomes.filter(({ outcome }) => outcome !== "ok").length, 1)
      assert.strictEqual(members.a.seen.calls, 1)
      members.a.answers({})
      yield* TestClock.adjust("1 minute")
      yield* times(10)
      assert.isAbove(members.a.seen.calls, 1)
    })
  )

  describe("health checks", () => {
    const checked = () => {
      const state = { well: true, ran: 0 }
      const check = Effect.suspend(() => {
        state.ran++
        return state.well ? Effect.void : Effect.fail(new NotWell())
      })
      return { state, check }
    }

    it.effect("take a provider out when two fail, and bring it back when one succeeds", () =>
      Effect.gen(function* () {
        const { check, state } = checked()
        const members = { a: { ...member(), check }, b: member() }
        const { health, times } = yield* pooled(members)
        const usable = Effect.map(health, ({ providers }) => providers[0]?.usable)
        yield* TestClock.adjust(0)
        state.well = false
        yield* TestClock.adjust("10 seconds")
        assert.isTrue(yield* usable)
        yield* TestClock.adjust("10 seconds")
        assert.isFalse(yield* usable)
        yield* times(5)
        assert.strictEqual(members.a.seen.calls, 0)
        state.well = true
        yield* TestClock.adjust("10 seconds")
        assert.isTrue(yield* usable)
      }).pipe(quietly)
    )

    it.effect("have failed when they take too long", () =>
      Effect.gen(function* () {
        const members = { a: { ...member(), check: Effect.never }, b: member() }
        const { health } = yield* pooled(members, { failedChecks: 1 })
        yield* TestClock.adjust("5 seconds")
        assert.isFalse((yield* health).providers[0]?.usable)
      }).pipe(quietly)
    )

    it.effect("end an ejection for faults, but do not say that there is quota again", () =>
      Effect.gen(function* () {
        const { check } = checked()
        const members = { a: { ...member(), check }, b: member(), c: { ...member(), check } }
        const { call, health, pool, times } = yield* pooled(members, { consecutive: 1, maxEjected: 0.9 })
        yield* TestClock.adjust("1 second")
        members.a.answers({ error: down })
        members.c.answers({ error: noQuota })
        members.b.answers({ error: invalid })
        const options = yield* request
        for (let each = 0; each < 3; each++) yield* call(() => pool.generateText(options))
        yield* times(0)
        const usable = Effect.map(health, ({ providers }) => providers.map(({ usable }) => usable))
        assert.deepStrictEqual(yield* usable, [false, true, false])
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(yield* usable, [true, true, false])
      }).pipe(ids)
    )

    it.effect("end with the scope of the pool", () =>
      Effect.gen(function* () {
        const { check, state } = checked()
        const scope = yield* Scope.make()
        yield* Scope.provide(ProviderPool.make({ providers: told({ a: { ...member(), check } }) }), scope)
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual(state.ran, 4)
        yield* Scope.close(scope, Exit.void)
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual(state.ran, 4)
      })
    )

    it.effect("are periodic jobs of the supervisor while a model has the pool, and end with the model", () =>
      Effect.gen(function* () {
        const { check, state } = checked()
        const scope = yield* Scope.make()
        const provider = ProviderPool.make({ name: "chat", providers: told({ a: { ...member(), check } }) })
        yield* Scope.provide(Layer.build(Model.layer({ provider })), scope)
        // The first check begins before the clock moves on.
        yield* TestClock.adjust(0)
        yield* TestClock.adjust("20 seconds")
        yield* TestClock.adjust(0)
        assert.strictEqual(state.ran, 3)
        const running = Effect.map(Supervisor.list({ kind: "periodic", state: "running" }), (jobs) =>
          jobs.map(({ name }) => name)
        )
        assert.deepStrictEqual(yield* running, ["health check of a in chat"])
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(yield* running, [])
        yield* TestClock.adjust("20 seconds")
        assert.strictEqual(state.ran, 3)
      }).pipe(Effect.provide(Supervisor.layer()))
    )
  })

  it("rejects options that make no sense", () => {
    const { provider } = member()
    const make = (options: Omit<ProviderPool.Options, "providers">) => () =>
      ProviderPool.make({ providers: { a: provider }, ...options })
    assert.throws(() => ProviderPool.make({ providers: {} }), RangeError, "providers")
    assert.throws(() => ProviderPool.make({ providers: { a: { provider, weight: 0 } } }), RangeError, "weight")
    assert.throws(make({ consecutive: 0 }), RangeError, "consecutive")
    assert.throws(make({ margin: 0 }), RangeError, "margin")
    assert.throws(make({ maxEjected: 2 }), RangeError, "maxEjected")
    assert.throws(make({ eject: "1 hour" }), RangeError, "maxEject")
    assert.throws(make({ checkEvery: 0 }), RangeError, "checkEvery")
  })
})

describe("ProviderPool, when a member's own limits refuse", () => {
  const limited = (provider: ModelProvider.ModelProvider) =>
    Model.compose({
      provider,
      policies: [RateLimit.of({ requests: { limit: 1, window: "1 hour" }, burst: 1, maxWait: 0 })]
    })

  it.effect("lets a retry go on to another member at once", () =>
    Effect.gen(function* () {
      // Which member is asked first is chance.
      for (let pools = 0; pools < 10; pools++) {
        const [one, other] = [member(), member()]
        const pool = yield* ProviderPool.make({
          providers: { one: yield* limited(one.provider), other: yield* limited(other.provider) }
        })
        const model = yield* Retry.transient({ base: 0 })(pool)
        const ask = Effect.flatMap(request, model.generateText)
        yield* ask
        yield* ask
        assert.deepStrictEqual([one.seen.calls, other.seen.calls], [1, 1])
      }
    }).pipe(ids)
  )

  it.effect("lets a fallback go on from a pool that has other members", () =>
    Effect.gen(function* () {
      const [one, other, spare] = [member(), member(), member()]
      one.answers({ error: down })
      other.answers({ error: down })
      const pool = yield* ProviderPool.make({ providers: { one: one.provider, other: other.provider } })
      const model = yield* Fallback.to(spare.provider)(pool)
      yield* Effect.flatMap(request, model.generateText)
      assert.strictEqual(spare.seen.calls, 1)
    }).pipe(ids)
  )
})
