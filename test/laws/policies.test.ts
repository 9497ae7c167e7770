import { Effect, type Scope } from "effect"
import type * as policies from "holdfast/policy"
import { Bulkhead, Fallback, Retry, Timeout } from "holdfast/policy"
import { type ModelProvider } from "holdfast/provider"
import { Model } from "holdfast/model"
import { PolicyLaws } from "holdfast/testing"
import { assert, describe, it } from "@effect/vitest"
import { withoutStackTraces } from "./stackTraces.ts"

// The same ones every time, so that what is green stays so; `npm run explore:policies` takes new ones.
const seed = Number(process.env["HOLDFAST_SEED"] ?? 20_261_121)
// One in five is of a policy alone, so that 20,000 are of random stacks.
const runs = 25_000

/** What makes a policy, as `Retry.transient`: found by its type, so that one that is missing here does not compile. */
type Maker = {
  [Name in keyof Policies]: {
    [Method in keyof Policies[Name]]: Policies[Name][Method] extends (
      ...options: never
    ) => ModelProvider.Policy<infer _Requirements>
      ? `${Name}.${Method & string}`
      : never
  }[keyof Policies[Name]]
}[keyof Policies]
type Policies = typeof policies

const makers: Readonly<Record<Maker, true>> = {
  "AdaptiveLimit.learned": true,
  "Bulkhead.limit": true,
  "CircuitBreaker.perModel": true,
  "CircuitBreaker.shared": true,
  "Degrade.to": true,
  "Fallback.chain": true,
  "Fallback.to": true,
  "Hedge.adaptive": true,
  "Hedge.afterDelay": true,
  "Race.with": true,
  "RateLimit.adaptive": true,
  "RateLimit.of": true,
  "RateLimit.shared": true,
  "Repair.structured": true,
  "ResponseCache.exact": true,
  "ResponseCache.shared": true,
  "Retry.transient": true,
  "RetryBudget.of": true,
  "SingleFlight.identical": true,
  "SpendBudget.of": true,
  "Timeout.overall": true,
  "Timeout.perAttempt": true
}

// The pipeline is a whole stack, which is tried alone.
const pipeline = "Pipeline.standard"
const kinds = [...Object.keys(makers), pipeline]

withoutStackTraces()

describe("policies alone, and in random stacks, under generated programs", () => {
  it.live(
    `keep their promises in 20,000 runs of stacks, and 5,000 alone (HOLDFAST_SEED=${seed})`,
    () =>
      Effect.gen(function* () {
        const before = process.cpuUsage()
        const report = yield* PolicyLaws.check(PolicyLaws.own, { runs, seed })
        const { system, user } = process.cpuUsage(before)
        console.log(report, `${Math.round((user + system) / 1e6)} s of CPU`)
        assert.strictEqual(report.runs, runs)
        assert.sameMembers(Object.keys(report.policies), kinds)
        // Each policy is tried often, and what can become of a call becomes of many.
        for (const [kind, count] of Object.entries(report.policies)) {
          assert.isAtLeast(count, kind === pipeline ? runs / 150 : runs / 10, kind)
        }
        for (const ending of ["succeeded", "failed", "interrupted", "left", "never", "died"]) {
          assert.isAtLeast(report.endings[ending] ?? 0, runs / 100, ending)
        }
      }),
    300_000
  )
})

describe("what stacks are drawn from", () => {
  const plans = Array.from({ length: 2_000 }, (_, seed) => PolicyLaws.own.draw(seed))
  const layers = plans.flatMap((plan) => plan.policies)

  it("is all that makes a policy, alone too", () => {
    const alone = plans.flatMap(({ policies: [first, ...others] }) =>
      first === undefined || others.length > 0 ? [] : [first.is]
    )
    assert.sameMembers([...new Set(alone)], kinds)
    assert.sameMembers([...new Set(layers.map(({ is }) => is))], kinds)
  })

  it.each([
    ["RateLimit", ["requests", "tokens", "inputTokens", "outputTokens", "burst", "maxWait", "maxWaiting", "perTenant"]],
    ["RateLimit.shared", ["processes", "latency", "silent"]],
    ["CircuitBreaker", ["perTenant", "maxKeys"]],
    ["CircuitBreaker.shared", ["processes", "latency", "silent"]],
    ["ResponseCache", ["staleFor", "capacity"]],
    ["ResponseCache.shared", ["processes", "latency", "silent", "leaseFor"]],
    ["Timeout.perAttempt", ["headers", "firstToken", "idle", "attempt", "tokensPerSecond"]],
    ["SpendBudget", ["perTenant"]],
    ["Bulkhead", ["maxWaiting", "maxWait", "keyConcurrency"]],
    ["Hedge.afterDelay", ["other"]],
    ["Hedge.adaptive", ["other"]]
  ] as const)("has %s with %j", (kind, options) => {
    const drawn = layers.filter(({ is }) => `${is}.`.startsWith(`${kind}.`)).map((layer) => Object.entries(layer.with))
    const given = new Set(drawn.flatMap((each) => each.flatMap(([name, value]) => (value === false ? [] : [name]))))
    assert.includeMembers([...given], [...options])
  })

  it("asks other models where a policy has some", async () => {
    // A race against nobody would keep every promise.
    const slow = [{ latency: { headers: 1_000 } }]
    const program: PolicyLaws.Program = {
      stack: { policies: [{ is: "Race.with", with: { stagger: 0, complete: false } }] },
      order: 0,
      models: [slow, slow],
      clients: [[{ method: "generateText", prompt: 0 }]]
    }
    const { trace } = await Effect.runPromise(PolicyLaws.replay(PolicyLaws.own, program))
    const first = trace.attempts.filter(({ call }) => call === 0)
    assert.deepStrictEqual(new Set(first.map(({ model }) => model)), new Set([0, 1]))
  })
})

it("who tries again after an empty answer of one model does not ask another too early, which told it to ask no more", async () => {
  const policies = [
    { is: "Retry.transient", with: { times: 3, base: 1_000, cap: 500, maxRetryAfter: 60_000 } },
    { is: "Race.with", with: { stagger: 0, complete: true } }
  ]
  const program: PolicyLaws.Program = {
    stack: { policies },
    order: 17,
    models: [[{ fault: { is: "refuse", because: "content policy" } }], [{ content: [] }], [{}]],
    clients: [[{ method: "streamText", prompt: 0 }]]
  }
  const { breaches } = await Effect.runPromise(PolicyLaws.replay(PolicyLaws.own, program))
  assert.deepStrictEqual(breaches, [])
})

describe("a stack of one's own", () => {
  const overall = Timeout.overall("20 seconds")
  const inner = [
    Retry.transient({ times: 2 }),
    Bulkhead.limit({ concurrency: 2 }),
    Timeout.perAttempt({ attempt: "9 seconds", firstToken: "5 seconds", idle: "3 seconds" })
  ]
  const allows = { attempts: 3, overall: "20 seconds", attempt: "9 seconds", silence: "5 seconds" } as const

  it.live("is checked with generated programs", () =>
    PolicyLaws.check({ policies: [overall, ...inner], allows: { ...allows, concurrency: 2 } }, { runs: 100 })
  )

  it.live("may be a function that asks other models too", () => {
    const withSpare = (
      provider: ModelProvider.ModelProvider,
      [spare = provider]: ReadonlyArray<ModelProvider.ModelProvider>
    ): Effect.Effect<ModelProvider.ModelProvider, never, Scope.Scope> =>
      Model.compose({ provider, policies: [overall, Fallback.to(spare), ...inner] })
    return PolicyLaws.check(withSpare, { runs: 100 })
  })
})
