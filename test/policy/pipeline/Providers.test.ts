/** What is set on the standard pipeline, at each provider that a call may be sent to. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Option, type Scope } from "effect"
import { type AiError, IdGenerator } from "effect/ai"
import { Caller, PolicyHealth, PolicyReason } from "holdfast/core"
import { Model } from "holdfast/model"
import { Pipeline, Retry, SpendBudget } from "holdfast/policy"
import type { ModelProvider } from "holdfast/provider"
import { aboutSeconds, ask, made, refusing, timed, ways } from "../timed.ts"

const ids = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)
const says = (text: string) => ({ content: [{ text, chunks: 2 }] })
const down = refusing("quota exhausted")

const standard = (provider: ModelProvider.ModelProvider, options: Pipeline.Options<Scope.Scope>) =>
  Model.compose({ provider, policies: Pipeline.standard(options) })

const reasonOf = (exit: Exit.Exit<unknown, AiError.AiError>) =>
  Option.getOrUndefined(Option.flatMap(Exit.findErrorOption(exit), PolicyReason.of))

const twenty = Array.from({ length: 20 }, (_, call) => call)

describe("Pipeline.standard with a fallback", () => {
  for (const way of ways) {
    it.effect.each(["2 minutes", false] as const)(
      `answers from the spare at once while the first asks for a longer wait than anybody has (${way}, %s)`,
      (timeout) =>
        Effect.gen(function* () {
          const first = yield* made("first", refusing("rate limited", "346 seconds"))
          const spare = yield* made("spare", says("spare"))
          const model = yield* standard(first.provider, { timeout, fallback: [spare.provider] })
          for (let call = 0; call < 3; call++) {
            assert.deepStrictEqual(yield* timed(ask(model, way)), { exit: Exit.succeed("spare"), took: 0 })
          }
          assert.strictEqual(first.seen.calls, 1)
        }).pipe(ids)
    )

    it.effect(`answers from an idle spare within its patience when the first asks to wait (${way})`, () =>
      Effect.gen(function* () {
        const first = yield* made("first", refusing("rate limited", "20 seconds"))
        const spare = yield* made("spare", says("spare"))
        const model = yield* standard(first.provider, { fallback: [spare.provider] })
        for (let call = 0; call < 3; call++) {
          const { exit, took } = yield* timed(ask(model, way))
          assert.deepStrictEqual(exit, Exit.succeed("spare"))
          assert.isBelow(took, 1_500)
        }
      }).pipe(ids)
    )
  }

  it.effect("waits for the last in line", () =>
    Effect.gen(function* () {
      const first = yield* made("first", down)
      const spare = yield* made("spare", refusing("rate limited", "20 seconds"), says("spare"))
      const model = yield* standard(first.provider, { fallback: { to: [spare.provider] } })
      const { exit, took } = yield* timed(ask(model))
      assert.deepStrictEqual(exit, Exit.succeed("spare"))
      aboutSeconds(took, 20)
    }).pipe(ids)
  )

  it.effect("takes the options of Fallback beside the providers", () =>
    Effect.gen(function* () {
      const first = yield* made("first", refusing("rate limited", "20 seconds"), says("first"))
      const spare = yield* made("spare", says("spare"))
      const model = yield* standard(first.provider, { fallback: { to: [spare.provider], patience: "1 minute" } })
      assert.deepStrictEqual((yield* timed(ask(model))).exit, Exit.succeed("first"))
    }).pipe(ids)
  )

  it.effect("spends one budget at all providers, and then ends the call", () =>
    Effect.gen(function* () {
      const registry: Array<Effect.Effect<PolicyHealth.PolicyHealth>> = []
      // Each answer takes 15 tokens.
      const first = yield* made("first", {}, down)
      const spare = yield* made("spare", {})
      const model = yield* standard(first.provider, {
        spend: { tokens: 30, window: "1 day" },
        fallback: [spare.provider]
      }).pipe(Effect.provideService(PolicyHealth.Registry, registry))
      const exits = yield* Effect.forEach(twenty, () => Effect.exit(ask(model)))
      assert.lengthOf(exits.filter(Exit.isSuccess), 2)
      assert.strictEqual(reasonOf(exits[2] ?? Exit.void)?._tag, "SpendExhausted")
      assert.deepStrictEqual([first.seen.calls, spare.seen.calls], [2, 1])
      const budgets = (yield* Effect.all(registry)).filter(({ _tag }) => _tag === "SpendBudget")
      assert.deepStrictEqual(
        budgets.map((health) => "keys" in health && health.keys.map((key) => "tokens" in key && key.tokens)),
        [[30]]
      )
    }).pipe(ids)
  )

  it.effect("spends from a budget that was made", () =>
    Effect.gen(function* () {
      const [first, spare] = [yield* made("first", down), yield* made("spare", {})]
      const budget = yield* SpendBudget.make({ tokens: 1_000 })
      const model = yield* standard(first.provider, { spend: budget, fallback: [spare.provider] })
      yield* ask(model)
      assert.strictEqual((yield* budget.spent()).tokens, 15)
    }).pipe(ids)
  )

  it.effect("keeps one limit for each tenant at all providers, and then ends the call", () =>
    Effect.gen(function* () {
      const first = yield* made("first", says("first"), down)
      const spare = yield* made("spare", says("spare"))
      const model = yield* standard(first.provider, {
        tenantLimit: { requests: { limit: 3, window: "1 hour" }, maxWait: 0 },
        fallback: [spare.provider]
      })
      const acme = Effect.exit(ask(model).pipe(Caller.as({ tenant: "acme" })))
      // One request at the first, and then one at each.
      assert.deepStrictEqual([yield* acme, yield* acme], [Exit.succeed("first"), Exit.succeed("spare")])
      assert.deepInclude(reasonOf(yield* acme), { _tag: "DeadlineTooNear", limitOf: "tenant" })
      assert.strictEqual(spare.seen.calls, 1)
      assert.strictEqual(yield* ask(model).pipe(Caller.as({ tenant: "other" })), "spare")
    }).pipe(ids)
  )

  it.effect("lets no more calls into the spare than into the first", () =>
    Effect.gen(function* () {
      const first = yield* made("first", down)
      const spare = yield* made("spare", { ...says("spare"), latency: { headers: "50 millis" } })
      const model = yield* standard(first.provider, { bulkhead: { concurrency: 1 }, fallback: [spare.provider] })
      const all = Effect.forEach(twenty, () => ask(model), { concurrency: "unbounded" })
      assert.isTrue(Exit.isSuccess((yield* timed(all)).exit))
      assert.strictEqual(spare.seen.mostOpen, 1)
    }).pipe(ids)
  )

  it.effect("gives each provider a bulkhead and a rate limit of its own", () =>
    Effect.gen(function* () {
      const slow = { latency: { headers: "10 seconds" } } as const
      const first = yield* made("first", { ...says("first"), ...slow })
      const spare = yield* made("spare", { ...says("spare"), ...slow })
      for (const limits of [
        { bulkhead: { concurrency: 1 } },
        { rateLimit: { requests: { limit: 1, window: "1 minute" }, burst: 1 } }
      ] as const) {
        const model = yield* standard(first.provider, { ...limits, fallback: [spare.provider] })
        const both = Effect.forEach([1, 2], () => ask(model), { concurrency: 2 })
        const { exit, took } = yield* timed(both)
        assert.deepStrictEqual(exit, Exit.succeed(["first", "spare"]))
        assert.isAtMost(took, 11_000)
      }
    }).pipe(ids)
  )

  it.effect("limits the time of each attempt at the spare, and tries again there", () =>
    Effect.gen(function* () {
      const first = yield* made("first", down)
      const spare = yield* made("spare", { fault: { is: "stall", at: "headers" } }, says("spare"))
      const model = yield* standard(first.provider, { attempt: "5 seconds", fallback: [spare.provider] })
      const { exit, took } = yield* timed(ask(model))
      assert.deepStrictEqual(exit, Exit.succeed("spare"))
      aboutSeconds(took, 5)
    }).pipe(ids)
  )

  it.effect("adds up its retries and those that a provider brings, and does not multiply them", () =>
    Effect.gen(function* () {
      const [first, spare] = [yield* made("first", down), yield* made("spare", refusing("overloaded"))]
      const own = Model.compose({ provider: spare.provider, policies: [Retry.transient({ base: 1 })] })
      const model = yield* standard(first.provider, {
        retryBudget: false,
        retry: { base: 1 },
        fallback: [{ provider: own }]
      })
      yield* timed(Effect.flip(ask(model)))
      // Of three retries each, at two providers, the first did not use its own.
      assert.isAtMost(spare.seen.calls, 1 + 3 + 3 + 3)
      assert.isAtLeast(spare.seen.calls, 1 + 3 + 3)
    }).pipe(Effect.scoped, ids)
  )

  it.effect("opens the circuit of each provider by itself", () =>
    Effect.gen(function* () {
      const first = yield* made("first", down)
      const spare = yield* made("spare", down)
      const model = yield* standard(first.provider, { fallback: [spare.provider] })
      yield* Effect.flip(ask(model))
      const error = yield* Effect.flip(ask(model))
      assert.deepInclude(Option.getOrThrow(PolicyReason.of(error)), { _tag: "CircuitOpen", key: "spare/faulty-1" })
      assert.deepStrictEqual([first.seen.calls, spare.seen.calls], [1, 1])
    }).pipe(ids)
  )
})

describe("Pipeline.standard with a race", () => {
  it.effect("limits each provider that is raced, and falls back when all have failed", () =>
    Effect.gen(function* () {
      const slow = { ...says("racer"), latency: { headers: "50 millis" } } as const
      const [first, racer] = [yield* made("first", down), yield* made("racer", slow)]
      const model = yield* standard(first.provider, {
        bulkhead: { concurrency: 1 },
        race: { with: [Effect.succeed(racer.provider)], stagger: "10 millis" }
      })
      const { exit } = yield* timed(Effect.forEach(twenty, () => ask(model), { concurrency: "unbounded" }))
      assert.isTrue(Exit.isSuccess(exit))
      assert.strictEqual(racer.seen.mostOpen, 1)

      const [broken, spare] = [yield* made("broken", down), yield* made("spare", says("spare"))]
      const both = yield* standard(first.provider, { race: [broken.provider], fallback: [spare.provider] })
      assert.strictEqual(yield* ask(both), "spare")
    }).pipe(ids)
  )

  it.effect("spends one budget at all that are raced", () =>
    Effect.gen(function* () {
      const [first, racer] = [yield* made("first", {}), yield* made("racer", {})]
      const budget = yield* SpendBudget.make({ tokens: 15 })
      const model = yield* standard(first.provider, { spend: budget, race: [racer.provider] })
      const exits = yield* Effect.forEach(twenty, () => Effect.exit(ask(model)))
      assert.isAtMost(exits.filter(Exit.isSuccess).length, 1)
      assert.isAtMost(first.seen.calls + racer.seen.calls, 2)
    }).pipe(ids)
  )
})

describe("Pipeline.standard with a hedge", () => {
  it.effect("limits the provider that is asked second", () =>
    Effect.gen(function* () {
      const first = yield* made("first", { fault: { is: "stall", at: "headers" } })
      const second = yield* made("second", { ...says("second"), latency: { headers: "50 millis" } })
      const model = yield* standard(first.provider, {
        retryBudget: false,
        hedge: { delay: "10 millis", maxShare: 1, to: second.provider },
        rateLimit: { requests: { limit: 1, window: "1 minute" }, burst: 1, maxWait: 0 },
        attempt: "5 seconds",
        retry: false
      })
      assert.deepStrictEqual((yield* timed(ask(model))).exit, Exit.succeed("second"))
      assert.isTrue(Exit.isFailure((yield* timed(ask(model))).exit))
      assert.strictEqual(second.seen.calls, 1)
    }).pipe(ids)
  )
})
