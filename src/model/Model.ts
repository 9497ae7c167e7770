/**
 * Turns a provider and a list of policies into an `effect/ai` LanguageModel whose every call is a supervised job.
 */
import { Context, Effect, Layer, Predicate, type Scope } from "effect"
import { LanguageModel } from "effect/ai"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as PeriodicWork from "../core/PeriodicWork.ts"
import * as PolicyHealth from "../core/call/PolicyHealth.ts"
import * as RecordedAttempts from "../core/call/RecordedAttempts.ts"
import type { ModelProvider, Policy } from "../core/call/ModelProvider.ts"
import * as Job from "../supervisor/Job.ts"
import * as Supervisor from "../supervisor/Supervisor.ts"
import * as Call from "./model/Call.ts"

export interface Options<R = never, E = never> {
  /** Who answers, or how to get it. */
  readonly provider: ModelProvider | Effect.Effect<ModelProvider, E, R>
  /** What keeps calls within bounds, outermost first: read it as the path a call takes. Default: none. */
  readonly policies?: ReadonlyArray<Policy<R>> | undefined
  /** What its calls are called in the supervisor. Default: the provider's name and model, `openai/gpt-5-mini`. */
  readonly name?: string | undefined
  /**
   * Whether the parameters of tool calls are written onto the span of the call, as Effect does. Default false: they may hold
   * anything that was said, and spans go to other systems.
   */
  readonly traceToolParameters?: boolean | undefined
}

export const defaults = { traceToolParameters: false } as const

/** How a model is right now. */
export interface Health {
  /** The state of each policy that has one, and of a pool of providers, innermost first. */
  readonly policies: ReadonlyArray<PolicyHealth.PolicyHealth>
  /** The supervisor its calls run in. */
  readonly jobs: Supervisor.Health
  /**
   * From 100, all is well, to 0: the lowest score of any of them. Where another provider answers for one that is limited or
   * down (`fallback`, `race`, a pool) it is 0 while every call succeeds: it tells of trouble, not of calls that fail.
   */
  readonly score: number
}

/** Takes stock of the model that was provided together with it. */
export class ModelHealth extends Context.Service<ModelHealth, { readonly read: Effect.Effect<Health> }>()(
  "holdfast/model/Model/ModelHealth"
) {}

/**
 * Provides a LanguageModel that sends every call through the policies to the provider, and its {@link health}.
 *
 * Each call is a job of kind `call` in the supervisor: listed by name, ended with its caller, and cancellable, which
 * fails the call with `PolicyReason` `Cancelled`. A call made from inside a job belongs to that job. Policies are built
 * once, in the layer's scope.
 *
 * What happened to a call, attempt by attempt, is read from its answer or error with `CallTrail.ofParts` and
 * `CallTrail.ofError`, and is on its span.
 */
export const layer = <R = never, E = never>(
  options: Options<R, E>
): Layer.Layer<LanguageModel.LanguageModel | ModelHealth, E, Supervisor.Supervisor | Exclude<R, Scope.Scope>> =>
  Layer.effectContext(
    Effect.gen(function* () {
      check.fields(options, { ...composed, name: true, traceToolParameters: true })
      if (options.name !== undefined) check.text("name", options.name)
      const { traceToolParameters = defaults.traceToolParameters } = options
      check.flag("traceToolParameters", traceToolParameters)
      const registry: Array<Effect.Effect<PolicyHealth.PolicyHealth>> = []
      const supervisor = yield* Supervisor.Supervisor
      const provider = yield* compose({ provider: options.provider, policies: options.policies }).pipe(
        Effect.provideService(PolicyHealth.Registry, registry),
        Effect.provideService(PeriodicWork.Runner, periodicJobs(supervisor))
      )
      const model = yield* LanguageModel.make(
        Call.supervised(provider, supervisor, {
          name: options.name ?? `${provider.name}/${provider.model}`,
          traceToolParameters
        })
      )
      const read = Effect.gen(function* () {
        const policies = yield* Effect.all(registry)
        const jobs = yield* supervisor.health
        return { policies, jobs, score: Math.min(jobs.score, ...policies.map(({ score }) => score)) }
      })
      return Context.make(LanguageModel.LanguageModel, model).pipe(Context.add(ModelHealth, ModelHealth.of({ read })))
    })
  )

/**
 * Puts policies around a provider, outermost first, without a supervisor or a LanguageModel on top.
 *
 * The provider's calls are recorded as attempts in the trail of the call they are made for.
 */
export const compose = <R = never, E = never>(
  options: Pick<Options<R, E>, "provider" | "policies">
): Effect.Effect<ModelProvider, E, R | Scope.Scope> =>
  Effect.gen(function* () {
    check.fields(options, composed)
    if (!Effect.isEffect(options.provider) && !isProvider(options.provider)) {
      check.reject("provider", "a provider, or an Effect that gets one", options.provider)
    }
    if (options.policies !== undefined) check.list("policies", options.policies)
    let provider = RecordedAttempts.recorded(
      Effect.isEffect(options.provider) ? yield* options.provider : options.provider
    )
    for (const policy of (options.policies ?? []).toReversed()) {
      if (Array.isArray(policy)) throw new RangeError(listInList)
      check.callback("policies", policy)
      provider = yield* check.effect("policies", policy(provider))
      if (!isProvider(provider)) check.reject("policies", "functions whose Effect gives a provider", provider)
    }
    return provider
  })

/** Takes stock: each policy's state, the supervisor's, and one score from 100 to 0. */
export const health: Effect.Effect<Health, never, ModelHealth> = Effect.flatMap(ModelHealth, ({ read }) => read)

// What providers and policies do again and again, as the health checks of a pool, for as long as the model's layer is open.
const periodicJobs =
  (supervisor: Supervisor.Supervisor["Service"]): PeriodicWork.Run =>
  (work, { every, name }) =>
    Effect.acquireRelease(supervisor.every(work, { name, schedule: every }), (job) =>
      Job.cancel(job, { reason: "its model's layer closes" })
    ).pipe(
      // Only a supervisor that is ending accepts none.
      Effect.catchTag("JobError", () => Effect.void),
      Effect.asVoid
    )

const listInList =
  "Model option policies must be a list of policies, got a list in it: Pipeline.standard gives a list already, so write policies: Pipeline.standard(…)"

const isProvider = Predicate.hasProperty("generateText")

const check = OptionCheck.of("Model")

const composed: OptionCheck.Fields<Pick<Options, "provider" | "policies">> = { provider: true, policies: true }
