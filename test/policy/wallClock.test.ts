/** Runs each policy twice: with a clock that is left alone, and with one that is set by an hour in the midst of a program. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Option, Random, type Scope, Stream } from "effect"
import { AiError, IdGenerator, type LanguageModel } from "effect/ai"
import { TestClock } from "effect/testing"
import { PolicyHealth } from "holdfast/core"
import {
  Bulkhead,
  CircuitBreaker,
  Hedge,
  RateLimit,
  ResponseCache,
  Retry,
  RetryBudget,
  SpendBudget,
  Timeout
} from "holdfast/policy"
import { type ModelProvider, ProviderPool } from "holdfast/provider"
import { jumpingClock } from "../supervisor/jumpingClock.ts"
import { type Answer, failure, request, scripted, text } from "./scripted.ts"

const hour = 3_600_000
const down: Answer = { error: failure(new AiError.InternalProviderError({ description: "down" })) }

type Options = LanguageModel.ProviderOptions
type Policies = ReadonlyArray<ModelProvider.Policy>
type Run = (
  provider: ModelProvider.ModelProvider,
  options: Options,
  jump: Effect.Effect<void>
) => Effect.Effect<unknown, never, IdGenerator.IdGenerator | Scope.Scope>

const stacked = Effect.fnUntraced(function* (provider: ModelProvider.ModelProvider, policies: Policies) {
  let stack = provider
  for (const policy of policies) stack = yield* policy(stack)
  return stack
})

/** How calls end, one begun each `every` milliseconds, and when; the clock is set before the call at `jumpAt`. */
const paced =
  (count: number, every: number, jumpAt: number, stream = false): Run =>
  (provider, options, jump) =>
    Effect.gen(function* () {
      const start = yield* Clock.monotonicTimeNanos
      const fibers: Array<Fiber.Fiber<string>> = []
      for (let n = 0; n < count; n++) {
        if (n === jumpAt) yield* jump
        const call = stream
          ? Stream.runDrain(provider.streamText(options))
          : Effect.asVoid(provider.generateText(options))
        const timed = Effect.flatMap(Effect.exit(call), (exit) =>
          Effect.map(Clock.monotonicTimeNanos, (now) => {
            const error = Option.getOrUndefined(Exit.findErrorOption(exit))
            return `${error?.message ?? exit._tag} at ${(now - start) / 1_000_000n}`
          })
        )
        fibers.push(yield* Effect.forkChild(timed, { startImmediately: true }))
        yield* TestClock.adjust(every)
      }
      yield* TestClock.adjust("5 minutes")
      return yield* Effect.forEach(fibers, Fiber.join)
    })

interface Case {
  readonly policies: Policies
  readonly script?: ReadonlyArray<Answer>
  readonly run: Run
  readonly provider?: (
    provider: ModelProvider.ModelProvider
  ) => Effect.Effect<ModelProvider.ModelProvider, never, Scope.Scope>
}

const slowStream: Answer = { parts: text("hello"), delay: 100 }

const cases: Readonly<Record<string, Case>> = {
  "RateLimit of a given limit": {
    policies: [RateLimit.of({ requests: { limit: 60, window: "1 minute" } })],
    run: paced(20, 200, 8)
  },
  "RateLimit that learns from rejections": {
    policies: [RateLimit.adaptive()],
    script: [{}, { error: failure(new AiError.RateLimitError({})) }, {}],
    run: paced(20, 200, 4)
  },
  "CircuitBreaker that is open": {
    policies: [CircuitBreaker.perModel({ consecutive: 2, open: "1 second" })],
    script: [down, down, {}],
    run: paced(20, 200, 4)
  },
  "CircuitBreaker's window": {
    policies: [CircuitBreaker.perModel({ consecutive: 3, window: "2 seconds" })],
    script: [down, down, {}],
    run: paced(6, 200, 2)
  },
  "Timeout.overall": { policies: [Timeout.overall("1 second")], script: [{ delay: 1_500 }], run: paced(4, 200, 2) },
  "Timeout.overall of a stream": {
    policies: [Timeout.overall("250 millis")],
    script: [slowStream],
    run: paced(4, 200, 2, true)
  },
  "Timeout.perAttempt, all its clocks": {
    policies: [Timeout.perAttempt({ firstToken: "1 second", idle: "150 millis", attempt: "2 minutes" })],
    script: [slowStream, { ...slowStream, delay: 200 }],
    run: paced(4, 150, 1, true)
  },
  "Bulkhead's line, with a deadline": {
    policies: [Bulkhead.limit({ concurrency: 1, maxWait: "2 seconds" }), Timeout.overall("3 seconds")],
    script: [{ delay: 500 }],
    run: paced(8, 50, 4)
  },
  "Retry within a deadline": {
    policies: [Retry.transient({ times: 3, base: "100 millis" }), Timeout.overall("1 second")],
    script: [down, down, {}, down, {}],
    run: paced(4, 50, 1)
  },
  Hedge: {
    policies: [Hedge.adaptive({ warmUp: 4, maxShare: 1 })],
    script: [{ delay: 10 }, { delay: 10 }, { delay: 10 }, { delay: 10 }, { delay: 10 }, { delay: 500 }, { delay: 10 }],
    run: paced(8, 5, 3)
  },
  RetryBudget: {
    policies: [Retry.transient({ times: 3, base: "10 millis" }), RetryBudget.of({ minPerSecond: 0.3 })],
    script: [down],
    run: paced(8, 1_000, 4)
  },
  "SpendBudget's window": {
    policies: [SpendBudget.of({ tokens: 10, window: "2 hours" })],
    run: paced(8, 100, 4)
  },
  "ResponseCache in memory": {
    policies: [ResponseCache.exact({ timeToLive: "500 millis", staleFor: "200 millis" })],
    run: paced(12, 100, 3)
  },
  "ProviderPool's ejections": {
    policies: [],
    script: [down, down, down, down, down, down, {}],
    run: paced(20, 500, 8),
    provider: (a) => ProviderPool.make({ providers: { a, b: scripted([{ delay: 300 }]).provider } })
  }
}

const outcome = ({ policies, provider: make = Effect.succeed, run, script = [{}] }: Case, by: number) =>
  Effect.gen(function* () {
    const { clock, jump } = yield* jumpingClock
    const registry: Array<Effect.Effect<PolicyHealth.PolicyHealth>> = []
    const { provider, seen } = scripted(script)
    const program = Effect.gen(function* () {
      const stack = yield* stacked(yield* make(provider), policies)
      const ended = yield* run(stack, yield* request, jump(by))
      return { ended, calls: seen.calls, health: yield* Effect.all(registry) }
    })
    return yield* program.pipe(
      Effect.provideService(Clock.Clock, clock),
      Effect.provideService(PolicyHealth.Registry, registry),
      Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator),
      Effect.provideService(Random.Random, { nextIntUnsafe: () => 0, nextDoubleUnsafe: () => 0.5 }),
      Effect.scoped
    )
  }).pipe(Effect.provide(TestClock.layer()))

describe.each(Object.entries(cases))("A wall clock that is set changes nothing for %s", (_, each) => {
  it.effect.each([hour, -hour])("by %i ms", (by) =>
    Effect.gen(function* () {
      const undisturbed = yield* outcome(each, 0)
      assert.isAbove(undisturbed.calls, 0)
      assert.deepStrictEqual(yield* outcome(each, by), undisturbed)
    })
  )
})
