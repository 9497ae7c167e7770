/** Hands every option of every public function, as the compiler lists them, what its type does not have, and every number that makes no sense for it. */
import { NodeServices } from "@effect/platform-node"
import { createOpenAI } from "@ai-sdk/openai"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Logger, Schema, type Scope, Stream } from "effect"
import { LanguageModel } from "effect/ai"
import { CircuitBreaker as Circuits, Persistence, RateLimiter } from "effect/persistence"
import { BatchRun } from "holdfast/cli"
import { BoundedClose, Caller } from "holdfast/core"
import { DurableJob, JobStore, Sqlite } from "holdfast/durable"
import { CacheUpkeep, Model } from "holdfast/model"
import {
  AdaptiveLimit,
  Bulkhead,
  CircuitBreaker,
  Degrade,
  Fallback,
  Hedge,
  Pipeline,
  Race,
  RateLimit,
  Repair,
  ResponseCache,
  Retry,
  RetryBudget,
  SingleFlight,
  SpendBudget,
  Timeout
} from "holdfast/policy"
import { Client, fakeModel } from "holdfast/promise"
import { AiSdk, ChatWire, EffectAi, Fetch, type ModelProvider, ProviderPool } from "holdfast/provider"
import { Job, StatusLine, Supervisor } from "holdfast/supervisor"
import {
  FaultyModel,
  FaultyServer,
  JobStoreLaws,
  LeakDetector,
  PolicyLaws,
  ProviderContract,
  SeededScheduler,
  SupervisorLaws
} from "holdfast/testing"
import * as z from "zod"
import { senseless } from "./optionWalk.ts"
import { type Has, type PublicOption, read } from "./publicOptions.ts"
import { takes } from "./senselessNumbers.ts"
import { scripted } from "./policy/scripted.ts"

const stores = Layer.mergeAll(RateLimiter.layerStoreMemory, Circuits.layerStoreMemory(), Persistence.layerBackingMemory)
const services = Layer.mergeAll(stores, Supervisor.layer(), NodeServices.layer, Logger.layer([]))
type Services = Layer.Success<typeof services> | Scope.Scope

/** Calls a function with options, or makes with them what it makes. */
type Call = (options: never) => unknown

const { provider } = scripted([])
// Its methods are not called.
const service = {} as LanguageModel.LanguageModel
const openai = createOpenAI({ apiKey: "none" })("gpt-5-mini")
const classify = () => ({ blame: "none" as const, retryable: false })
const submitted = Supervisor.submit(Effect.void)

const subject: ProviderContract.Subject = { server: Effect.never, provider: () => Effect.never }

const inJob = (use: (job: Job.Job<void, never>) => Effect.Effect<unknown, unknown, Supervisor.Supervisor>) =>
  Effect.flatMap(submitted, use)

const inStore = (use: (store: JobStore.Store) => Effect.Effect<unknown, unknown>) =>
  Effect.provide(Effect.flatMap(JobStore.JobStore, use), JobStore.layerMemory())
const memory = JobStoreLaws.fromLayer(JobStore.layerMemory)

const codecs = { payload: Schema.Void, success: Schema.Void }
const durable = DurableJob.make("durable", codecs)
const withStore = <A, E>(effect: Effect.Effect<A, E, JobStore.JobStore>) =>
  Effect.provide(effect, JobStore.layerMemory())

/** What a policy makes of a provider. */
const built = (policy: ModelProvider.Policy<Services>) => policy(provider)

const client = Client.make({ model: fakeModel("yes"), log: false })
const inWork = (use: Parameters<typeof client.run<unknown>>[0]) => client.run(use)
const defined = client.define("defined", (input: number) => input)
const streamed = async (options: never) => {
  let texts = 0
  for await (const text of client.stream("?", options)) texts += text.length
  return texts
}

/** A call of each public function that has options, and what it needs besides the one that makes no sense. */
const calls: Readonly<Record<string, readonly [Call] | readonly [Call, object]>> = {
  "BoundedClose.layer": [(options) => BoundedClose.layer(Layer.empty, options)],
  "Caller.as": [(options) => Caller.as(options)(Effect.void)],
  "Job.promise": [(options) => Job.promise(async () => {}, options)],
  "Job.PromiseTools.run": [(options) => Job.promise(async (tools) => tools.run(async () => {}, options))],
  "Job.PromiseTools.submit": [(options) => Job.promise(async (tools) => tools.submit(async () => {}, options))],
  "Job.await": [(options) => inJob((job) => Job.await(job, options))],
  "Job.cancel": [(options) => inJob((job) => Job.cancel(job, options))],
  "Job.cancelAll": [(options) => inJob((job) => Job.cancelAll([job], options))],
  "Job.awaitAll": [(options) => inJob((job) => Job.awaitAll([job], options))],
  "Job.events": [(options) => inJob((job) => Stream.runDrain(Job.events(job, options)))],
  "DurableJob.DurableJob.await": [(options) => withStore(durable.await("none", options))],
  "DurableJob.DurableJob.events": [(options) => withStore(Stream.runDrain(durable.events("none", options)))],
  "DurableJob.DurableJob.submit": [(options) => withStore(durable.submit(undefined, options))],
  "DurableJob.layerWorker": [(options) => Effect.sync(() => DurableJob.layerWorker([], options))],
  "DurableJob.make(definition)": [(definition) => DurableJob.make("job", definition), codecs],
  "JobStore.layerMemory": [JobStore.layerMemory],
  "JobStore.Store.cancel(which)": [(which) => inStore((store) => store.cancel(which, "enough"))],
  "JobStore.Store.count(filter)": [(filter) => inStore((store) => store.count(filter))],
  "JobStore.Store.list(filter)": [(filter) => inStore((store) => store.list(filter))],
  "JobStore.Store.list(page)": [(page) => inStore((store) => store.list({}, page))],
  "JobStore.Store.prune(retention)": [(retention) => inStore((store) => store.prune(retention, 1))],
  "JobStore.Store.requeue(which)": [(which) => inStore((store) => store.requeue(which))],
  "Sqlite.layer": [Sqlite.layer, { path: "none" }],
  "JobStoreLaws.check": [(options) => JobStoreLaws.check(memory, options), { runs: 1 }],
  "JobStoreLaws.explore": [(options) => JobStoreLaws.explore(memory, options), { runs: 1 }],
  "StatusLine.render": [(options) => Effect.map(Supervisor.health, (health) => StatusLine.render(health, options))],
  "Supervisor.await": [(options) => inJob((job) => Supervisor.await(job.id, options))],
  "Supervisor.cancel": [(options) => inJob((job) => Supervisor.cancel(job.id, options))],
  "Supervisor.join": [(options) => inJob((job) => Supervisor.join(job.id, options))],
  "Supervisor.layer": [Supervisor.layer],
  "Supervisor.layerConfig": [(options) => Layer.build(Supervisor.layerConfig(options))],
  "Supervisor.make": [Supervisor.make],
  "Supervisor.submit": [(options) => Supervisor.submit(Effect.void, options)],
  "Supervisor.run": [(options) => Supervisor.run(Effect.void, options)],
  "Supervisor.list(filter)": [Supervisor.list],
  "Supervisor.snapshot(filter)": [Supervisor.snapshot],
  "Supervisor.select(filter)": [Supervisor.select],
  "Supervisor.events": [(options) => inJob(() => Stream.runDrain(Stream.take(Supervisor.events(options), 1)))],
  "Supervisor.every": [(options) => Supervisor.every(Effect.void, options), { name: "n", schedule: "1 hour" }],
  "Supervisor.awaitAll(filter)": [(options) => Supervisor.awaitAll(options)],
  "Supervisor.awaitAll": [(options) => Supervisor.awaitAll({}, options)],
  "Supervisor.cancelAll(filter)": [(options) => Supervisor.cancelAll(options)],
  "Supervisor.cancelAll": [(options) => Supervisor.cancelAll({}, options)],
  "Supervisor.drain": [Supervisor.drain],
  "AdaptiveLimit.learned": [(options) => built(AdaptiveLimit.learned(options))],
  "AdaptiveLimit.make": [AdaptiveLimit.make, { classify }],
  "Bulkhead.limit": [(options) => built(Bulkhead.limit(options)), { concurrency: 1 }],
  "Bulkhead.make": [Bulkhead.make, { concurrency: 1 }],
  "CircuitBreaker.perModel": [(options) => built(CircuitBreaker.perModel(options))],
  "CircuitBreaker.shared": [(options) => built(CircuitBreaker.shared(options))],
  "CircuitBreaker.make": [CircuitBreaker.make, { classify }],
  "Degrade.to": [(options) => built(Degrade.to("sorry", options))],
  "Fallback.to": [(options) => built(Fallback.to(provider, options))],
  "Fallback.chain": [(options) => built(Fallback.chain([provider], options))],
  "Hedge.afterDelay": [(options) => built(Hedge.afterDelay("1 second", options))],
  "Hedge.adaptive": [(options) => built(Hedge.adaptive(options))],
  "Hedge.make": [Hedge.make],
  "Pipeline.standard": [(options) => Effect.forEach(Pipeline.standard(options), built)],
  "Race.with": [(options) => built(Race.with([provider], options))],
  "Race.effect": [(options) => Race.effect([Effect.void], options)(Effect.void)],
  "RateLimit.of": [(options) => built(RateLimit.of(options))],
  "RateLimit.adaptive": [(options) => built(RateLimit.adaptive(options))],
  "RateLimit.shared": [(options) => built(RateLimit.shared(options)), { requests: { limit: 1, window: "1 minute" } }],
  "RateLimit.makePerTenant": [(options) => Effect.flatMap(RateLimit.makePerTenant(options), built)],
  "RateLimit.make": [RateLimit.make],
  "Repair.structured": [(options) => built(Repair.structured(options))],
  "ResponseCache.whenReachable": [(options) => Layer.build(ResponseCache.whenReachable(stores, options))],
  "ResponseCache.exact": [(options) => built(ResponseCache.exact(options)), { timeToLive: "1 minute" }],
  "ResponseCache.shared": [(options) => built(ResponseCache.shared(options)), { timeToLive: "1 minute" }],
  "ResponseCache.ResponseCache.evict": [
    (options) => Effect.flatMap(ResponseCache.make({ timeToLive: "1 minute" }), (cache) => cache.evict(options))
  ],
  "ResponseCache.make": [ResponseCache.make, { timeToLive: "1 minute" }],
  "ResponseCache.makeShared": [ResponseCache.makeShared, { timeToLive: "1 minute" }],
  "Retry.transient": [(options) => built(Retry.transient(options))],
  "Retry.effect": [(options) => Retry.effect(options)(Effect.void), { classify }],
  "RetryBudget.of": [(options) => built(RetryBudget.of(options))],
  "SingleFlight.identical": [(options) => built(SingleFlight.identical(options))],
  "SingleFlight.make": [SingleFlight.make, { key: String, run: Effect.succeed }],
  "SpendBudget.of": [(options) => built(SpendBudget.of(options)), { tokens: 1 }],
  "SpendBudget.make": [SpendBudget.make, { tokens: 1 }],
  "Timeout.perAttempt(limits)": [(options) => built(Timeout.perAttempt(options))],
  "AiSdk.provider": [(options) => AiSdk.provider(openai, options)],
  "AiSdk.withSettings(settings)": [(settings) => AiSdk.withSettings(Effect.void, settings)],
  "AiSdk.withStreamSettings(settings)": [
    (settings) => Stream.runDrain(AiSdk.withStreamSettings(Stream.empty, settings))
  ],
  "ChatWire.provider": [ChatWire.provider, { baseUrl: "https://localhost/v1", model: "m" }],
  "ChatWire.answerEvents": [(options) => Stream.runDrain(ChatWire.answerEvents(Stream.empty, options))],
  "ChatWire.raw": [ChatWire.raw, { baseUrl: "https://localhost/v1" }],
  "ChatWire.withSettings(settings)": [(settings) => ChatWire.withSettings(Effect.void, settings)],
  "ChatWire.withStreamSettings(settings)": [
    (settings) => Stream.runDrain(ChatWire.withStreamSettings(Stream.empty, settings))
  ],
  "EffectAi.provider": [
    (options) => Effect.provideService(EffectAi.provider(options), LanguageModel.LanguageModel, service)
  ],
  "EffectAi.fromService": [(options) => EffectAi.fromService(service, options)],
  "Fetch.make": [Fetch.make],
  "ProviderPool.make": [ProviderPool.make, { providers: { a: provider } }],
  "CacheUpkeep.run": [
    (options) =>
      Effect.flatMap(ResponseCache.make({ timeToLive: "1 minute" }), (cache) => CacheUpkeep.run(cache, options)),
    { snapshot: { path: "none" }, warm: { calls: [] } }
  ],
  "Model.layer": [(options) => Layer.build(Model.layer(options)), { provider }],
  "Model.compose": [Model.compose, { provider }],
  "BatchRun.run": [
    BatchRun.run,
    { input: "none.jsonl", output: "none.out", errors: "none.errors", baseUrl: "http://127.0.0.1:9/v1" }
  ],
  "FaultyModel.behaviours(choices)": [FaultyModel.behaviours],
  "FaultyModel.fromSeed(choices)": [(choices) => FaultyModel.fromSeed(1, choices)],
  "FaultyModel.make": [FaultyModel.make],
  "FaultyServer.bucket": [FaultyServer.bucket, { perSecond: 1 }],
  "FaultyServer.make": [FaultyServer.make],
  "LeakDetector.check": [(options) => LeakDetector.check(Effect.void, options)],
  "PolicyLaws.check": [(options) => PolicyLaws.check([], options), { runs: 1 }],
  "PolicyLaws.explore": [(options) => PolicyLaws.explore([], options), { runs: 1 }],
  "ProviderContract.check": [(options) => ProviderContract.check(subject, options), { laws: [] }],
  "SeededScheduler.run": [
    (options) => SeededScheduler.run(Effect.void, options),
    { preempt: { fiber: 0, operation: 0 } }
  ],
  "SeededScheduler.runAsync": [
    (options) => SeededScheduler.runAsync(Effect.void, options),
    { preempt: { fiber: 0, operation: 0 } }
  ],
  "SeededScheduler.explore": [(options) => SeededScheduler.explore(Effect.void, options), { runs: 1 }],
  "Client.make": [Client.make],
  "Client.generate": [(options) => client.generate("?", options)],
  "Client.stream": [streamed],
  "Client.object": [(options) => client.object(z.string(), "?", options)],
  "Client.submit": [(options) => client.submit(() => 1, options)],
  "Client.run": [(options) => client.run(() => 1, options)],
  "Client.every": [(options) => client.every("1 hour", () => 1, options), { name: "hourly" }],
  "Client.jobs(filter)": [client.jobs],
  "Client.cancelAll(filter)": [(filter) => client.cancelAll(filter)],
  "Client.waitAll(filter)": [(filter) => client.waitAll(filter)],
  "Client.waitAll": [(options) => client.waitAll({ name: "none" }, options)],
  "Client.drain": [(options) => Client.make().drain(options)],
  "Client.closeOnSignals": [(options) => client.closeOnSignals(options)()],
  "Job.result": [(options) => client.submit(() => 1).then((job) => job.result(options))],
  "DefinedJob.run": [(options) => defined.run(1, options)],
  "DefinedJob.submit": [(options) => defined.submit(1, options)],
  "JobTools.run": [(options) => inWork((tools) => tools.run(() => 1, options))],
  "JobTools.submit": [(options) => inWork((tools) => tools.submit(() => 1, options))],
  "SupervisorLaws.check": [(options) => SupervisorLaws.check(Supervisor.make, options), { runs: 1 }],
  "SupervisorLaws.explore": [(options) => SupervisorLaws.explore(Supervisor.make, options), { runs: 1 }],
  "SupervisorLaws.sweep": [(options) => SupervisorLaws.sweep(Supervisor.make, options), { laws: [] }]
}

/** What is data and no options. */
const data = [
  /^(AiSdkError|CallContext|CallTrail|ModelProvider)\./,
  /\.policy\(next\)$/,
  /^Fallback.to\(target\)$/,
  /\((part|now|program|trace|again|law|plan|allows|stack|subject)\)$/,
  /^SupervisorLaws\.(Handles|Law)\./
]

/** What a pipeline hands on is refused by the policies that get it. */
const isHandedOn = ({ name, of }: PublicOption): boolean =>
  of === "Pipeline.standard" ? name.includes(".") : /^(pipeline|jobs)\./.test(name)

const given = read().filter((option) => !data.some((pattern) => pattern.test(option.of)))
const all = given.filter((option) => !isHandedOn(option))
const byFunction = Map.groupBy(all, ({ of }) => of)

it("every public function with options is called here", () => {
  assert.isAbove(byFunction.size, 80)
  assert.deepStrictEqual(Object.keys(calls).sort(), Array.from(byFunction.keys()).sort())
})

/** What a type has of the senseless values: numbers are looked at option by option. */
const kindOf: Readonly<Record<string, Has>> = {
  "an empty text": "texts",
  "a text": "texts",
  true: "true",
  "an object": "objects",
  "an array": "lists",
  "a function": "functions"
}

const mustRefuse = (option: PublicOption): ReadonlyArray<string> => {
  const { has } = option
  if (has.has("all")) return []
  const numbers = takes(option)
  return Object.keys(senseless).filter((said) => {
    const value = senseless[said]
    // The tables of each interface say where it is the same as nothing.
    if (value === null) return false
    if (typeof value !== "number") return kindOf[said] === undefined || !has.has(kindOf[said])
    return !numbers.includes(said)
  })
}

const withOption = (others: object, path: string, value: unknown): object => {
  const [first = "", ...rest] = path.split(".")
  const inner = (others as Readonly<Record<string, object>>)[first]
  return { ...others, [first]: rest.length === 0 ? value : withOption({ ...inner }, rest.join("."), value) }
}

/** What a promise was rejected with. */
class Rejected {
  readonly thrown: unknown

  constructor(thrown: unknown) {
    this.thrown = thrown
  }
}

const thrownOf = (error: unknown): unknown => (error instanceof Rejected ? error.thrown : error)

/** What came of a call: `undefined` when the option was refused as `named` says. */
const outcome = (call: Call, options: object, named: RegExp): Effect.Effect<string | undefined> => {
  const refusal = (error: unknown) =>
    error instanceof RangeError && named.test(error.message) ? undefined : String(error)
  try {
    // What plain JavaScript would hand over.
    const called = call(options as never)
    const made =
      called instanceof Promise
        ? Effect.tryPromise({ try: () => called, catch: (error) => new Rejected(error) })
        : called
    if (!Effect.isEffect(made)) return Effect.succeed("taken")
    // @effect-diagnostics-next-line unsafeEffectTypeAssertion:off
    return (made as Effect.Effect<unknown, unknown, Services>).pipe(
      Effect.scoped,
      Effect.provide(services),
      Effect.timeout("2 seconds"),
      Effect.exit,
      Effect.map((exit) => (Exit.isSuccess(exit) ? "taken" : refusal(thrownOf(Cause.squash(exit.cause)))))
    )
  } catch (error) {
    return Effect.succeed(refusal(error))
  }
}

const named = (name: string) => new RegExp(` option ${name.replaceAll(".", "\\.")}\\b`)

describe.each(Object.entries(calls))("%s", (of, [call, others = {}]) => {
  it.live.each((byFunction.get(of) ?? []).map((option) => [option.name, option] as const))(
    "refuses what its %s cannot be",
    ([name, option]) =>
      Effect.gen(function* () {
        const taken: Array<string> = []
        for (const said of mustRefuse(option)) {
          const came = yield* outcome(call, withOption(others, name, senseless[said]), named(name))
          if (came !== undefined) taken.push(`${said}: ${came}`)
        }
        assert.deepStrictEqual(taken, [])
      })
  )
})

/** A slip of the pen in a name, and the name that was meant. */
const slip = ({ name }: PublicOption): string => name.replace(/\w+$/, "$&z")
const within = ({ name }: PublicOption): string => name.replace(/\w+$/, "")

describe("names that no option has", () => {
  const objects = Array.from(
    Map.groupBy(given, (option) => `${option.of} ${within(option)}`).values(),
    ([first]) => first
  )

  it.live.each(
    objects.flatMap((option) => {
      const [call, others = {}] = (option && calls[option.of]) ?? []
      return option === undefined || call === undefined
        ? []
        : [[`${option.of} ${option.name}`, option, call, others] as const]
    })
  )("are refused, with the nearest one that is there: %s", ([, option, call, others]) =>
    Effect.gen(function* () {
      const [name, meant] = [slip(option), option.name].map((each) => each.split(".").at(-1))
      const wanted = new RegExp(`has no option ${name}: did you mean ${meant}\\?`)
      assert.isUndefined(yield* outcome(call, withOption(others, slip(option), undefined), wanted))
    })
  )
})
