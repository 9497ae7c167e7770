/**
 * What many calls through the whole standard pipeline leave behind: `npm run bench -- memory 1000000`.
 *
 * Of ten calls one is cancelled, one is out of time, one meets a rate limit and one a cut; two ask the same at the same
 * time. They come from 150,000 tenants, more than any policy keeps, and what policies keep by key is filled first. After
 * each tenth of the calls nothing may be in flight or waiting, live fibers and open handles must be what they were before
 * the first call, and what policies keep by key must be within its bounds. Fails when it is not.
 */
import { Effect, Exit, Fiber, Layer, Logger, Option, Stream } from "effect"
import { AiError, LanguageModel } from "effect/ai"
import { Caller, type PolicyHealth, PolicyReason } from "holdfast/core"
import { Model } from "holdfast/model"
import { Pipeline, SpendBudget } from "holdfast/policy"
import type { ModelProvider } from "holdfast/provider"
import { Supervisor } from "holdfast/supervisor"
import { FaultyModel, LeakDetector } from "holdfast/testing"
import { slope } from "./measure/slope.ts"
import type { Row } from "./measure/table.ts"

const concurrency = 200
const tenants = 150_000

/** What happens to every tenth call, by the last digit of its number. */
const behaviours: ReadonlyArray<FaultyModel.Behaviour> = [
  { fault: { is: "stall", at: { after: 1 } } },
  { fault: { is: "stall", at: "headers" } },
  { fault: { is: "refuse", because: "rate limited", retryAfter: "5 millis" } },
  { fault: { is: "cut", at: { after: 2 } } }
]
const behaviourOf = ({ request: { prompt } }: FaultyModel.Call<LanguageModel.ProviderOptions>) =>
  behaviours[Number(JSON.stringify(prompt.content).match(/"text":"(\d+)"/)?.[1]) % 10] ?? {}

const isCancelled = (number: number) => number % 10 === 0
const isRepeated = (number: number) => number % 10 === 9

const pipeline = (spend: ModelProvider.Policy) =>
  Pipeline.standard({
    timeout: "2 seconds",
    cache: { timeToLive: "1 hour", capacity: 1_000 },
    singleFlight: {},
    circuitBreaker: { perTenant: true },
    retry: { times: 1, base: "1 millis" },
    hedge: {},
    spend,
    bulkhead: { concurrency: concurrency / 2 },
    rateLimit: { perTenant: true },
    attempt: { headers: "50 millis", firstToken: "50 millis", idle: "50 millis", attempt: "50 millis" }
  })

/** The bounds of what policies keep by key. */
const bounds = { circuits: 1_000, rateLimits: 1_000, retryBudgets: 1_000, cached: 1_000, spenders: 100_000 } as const

const kept = (policies: ReadonlyArray<PolicyHealth.PolicyHealth>) => {
  const counts: Record<keyof typeof bounds, number> = {
    circuits: 0,
    rateLimits: 0,
    retryBudgets: 0,
    cached: 0,
    spenders: 0
  }
  for (const policy of policies) {
    if (policy._tag === "CircuitBreaker") counts.circuits = policy.circuits.length
    if (policy._tag === "RateLimit") counts.rateLimits = policy.keys.length
    if (policy._tag === "RetryBudget") counts.retryBudgets = policy.keys.length
    if (policy._tag === "ResponseCache") counts.cached = policy.entries
    if (policy._tag === "SpendBudget") counts.spenders = policy.keys.length
  }
  return counts
}

const busy = (policies: ReadonlyArray<PolicyHealth.PolicyHealth>) => {
  let [inFlight, waiting] = [0, 0]
  for (const policy of policies) {
    if ("inFlight" in policy) inFlight += policy.inFlight
    if ("waiting" in policy) waiting += policy.waiting
    if (policy._tag === "RateLimit") for (const key of policy.keys) waiting += key.waiting
  }
  return { inFlight, waiting }
}

const ask = (number: number): Effect.Effect<unknown, unknown, LanguageModel.LanguageModel> => {
  const asked = isRepeated(number) ? number - 1 : number
  const request = { prompt: String(asked) }
  const call = Effect.suspend((): Effect.Effect<unknown, unknown, LanguageModel.LanguageModel> => {
    if (asked % 20 < 10) return LanguageModel.generateText(request)
    const parts = LanguageModel.streamText(request)
    // Some readers leave as soon as there is something to read.
    return Stream.runDrain(isCancelled(number) && number % 40 === 10 ? Stream.take(parts, 2) : parts)
  })
  return Caller.as({ tenant: String(asked % tenants) })(call)
}

const cancelled = (number: number) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(ask(number))
    if (number % 30 === 0) yield* Effect.sleep(1)
    for (let turns = number % 7; turns > 0; turns--) yield* Effect.yieldNow
    yield* Fiber.interrupt(fiber)
    return "cancelled"
  })

/** How a call ended, in one word. */
const ended = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "answered"
  const error = Exit.findErrorOption(exit)
  if (Option.isNone(error)) return "died"
  const reason = PolicyReason.of(error.value)
  if (Option.isSome(reason)) return reason.value._tag
  return AiError.isAiError(error.value) ? error.value.reason._tag : "other"
}

/** Everything that must be as it was before the first call. */
const alive = (detector: LeakDetector.LeakDetector) =>
  Effect.gen(function* () {
    // What has been let go of ends within some turns of the event loop.
    yield* Effect.sleep("100 millis")
    const { fibers, handles } = yield* detector.snapshot
    const { jobs, policies } = yield* Model.health
    const { Timeout: timers = 0, ...others } = handles
    return {
      fibers,
      timers,
      handles: Object.values(others).reduce((sum, count) => sum + count, 0),
      jobs: jobs.calls.running + jobs.calls.pending + jobs.jobs.running + jobs.jobs.pending,
      ...busy(policies)
    }
  })

const measure = (count: number, detector: LeakDetector.LeakDetector, seen: FaultyModel.FaultyModel["seen"]) =>
  Effect.gen(function* () {
    const exits = new Map<string, number>()
    let next = 1
    const worker = (until: number) =>
      Effect.whileLoop({
        while: () => next <= until,
        body: () => {
          const number = next++
          return isCancelled(number) ? cancelled(number) : Effect.map(Effect.exit(ask(number)), ended)
        },
        step: (how) => {
          exits.set(how, (exits.get(how) ?? 0) + 1)
        }
      })
    yield* Effect.exit(ask(next++))
    const before = yield* alive(detector)
    const rows: Array<Row> = []
    const heap: Array<readonly [calls: number, bytes: number]> = []
    for (let tenth = 0; tenth <= 10; tenth++) {
      const until = Math.round((count * tenth) / 10)
      yield* Effect.replicateEffect(worker(until), concurrency, { concurrency, discard: true })
      const now = yield* alive(detector)
      const { policies } = yield* Model.health
      const keys = kept(policies)
      gc()
      const bytes = process.memoryUsage().heapUsed
      heap.push([until, bytes])
      const row = { calls: until, ...now, open: seen.open, ...keys, "heap MiB": bytes / 2 ** 20 }
      console.log(JSON.stringify(row))
      rows.push(row)
      for (const [what, amount] of Object.entries(before)) {
        if (now[what as keyof typeof now] > amount)
          problems.push(`${what} went from ${amount} to ${JSON.stringify(now)}`)
      }
      for (const [what, bound] of Object.entries(bounds)) {
        if (keys[what as keyof typeof keys] > bound) problems.push(`${what} are more than ${bound}`)
      }
      if (seen.open > 0) problems.push(`${seen.open} requests are open after ${until} calls`)
    }
    // The first three tenths fill the histories and warm the compiler.
    const bytes = slope(heap.slice(3))
    if (bytes > mayGrow && bytes * count > mayVary)
      problems.push(`the heap grows by ${bytes.toFixed(1)} bytes a call, more than ${mayGrow}`)
    return [
      ...rows,
      { calls: "heap, bytes a call", number: bytes },
      ...Array.from(exits, ([how, times]) => ({ calls: how, number: times }))
    ]
  })

const problems: Array<string> = []

/** What the heap may grow by, in bytes for each call: far below what a forgotten fiber, timer or key takes. */
const mayGrow = 8
/** What it varies by in any case. */
const mayVary = 8 * 2 ** 20

const { gc = () => {} } = globalThis

export const run = async ([calls = "1000000"]: ReadonlyArray<string>): Promise<ReadonlyArray<Row>> => {
  const count = Number(calls)
  Error.stackTraceLimit = 0
  const program = Effect.gen(function* () {
    const { provider, seen } = yield* FaultyModel.make({ script: behaviourOf, remember: 0 })
    const spend = yield* SpendBudget.make({ tokens: 1_000_000 })
    const spender = yield* LanguageModel.make(yield* spend.policy(provider))
    for (let tenant = 0; tenant < bounds.spenders; tenant++) {
      yield* Caller.as({ tenant: `former ${tenant}` })(spender.generateText({ prompt: "5" }))
    }
    const model = Model.layer({ provider, policies: pipeline(spend.policy) }).pipe(
      Layer.provideMerge(Supervisor.layer())
    )
    const detector = yield* LeakDetector.make
    const rows = yield* detector.watch(Effect.provide(measure(count, detector, seen), model))
    const left = yield* detector.liveFibers
    if (left > 0) problems.push(`${left} fibers are left when the model's layer has closed`)
    return rows
  })
  const rows = await Effect.runPromise(Effect.scoped(Effect.provide(program, Logger.layer([]))))
  if (problems.length > 0) throw new Error(problems.join("\n"))
  return rows
}
