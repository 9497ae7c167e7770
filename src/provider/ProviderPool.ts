/**
 * Makes one provider of several: each call goes to the one that is expected to answer it soonest.
 *
 * Of two usable providers, drawn at random, the call goes to the one with the lower latency × calls in flight. Providers
 * that stand out by their faults are ejected for a while, as in Envoy's outlier detection
 * (https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier), and come back under trial.
 */
import { Cause, Duration, Effect, Predicate, Exit, Pull, Result, type Scope, Stream } from "effect"
import type { LanguageModel } from "effect/ai"
import * as Content from "../core/stream/Content.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as PeriodicWork from "../core/PeriodicWork.ts"
import * as PolicyHealth from "../core/call/PolicyHealth.ts"
import * as RecordedAttempts from "../core/call/RecordedAttempts.ts"
import type { ModelProvider } from "../core/call/ModelProvider.ts"
import { PoolMember, type Settings } from "./provider-pool/PoolMember.ts"
import { PoolMembers, type Permit } from "./provider-pool/PoolMembers.ts"

/** A provider of a pool, with what the pool should know about it. */
export interface Member {
  readonly provider: ModelProvider
  /** How many times its latency may be that of others before they are preferred. Default 1. */
  readonly weight?: number | undefined
  /** Succeeds when the provider is well. Run every `checkEvery`. Default: none, calls tell. */
  readonly check?: Effect.Effect<unknown, Error> | undefined
}

export interface Options {
  /** The providers, by the names they have in trails, health and logs. */
  readonly providers: Readonly<Record<string, ModelProvider | Member>>
  /** The pool's own name as a provider. Default `pool`. */
  readonly name?: string | undefined
  /** Ejects a provider after so many faults with no success between them. Default 5. */
  readonly consecutive?: number | undefined
  /** Ejects a provider whose share of faults exceeds that of all others by this, above 0 to 1. Default 0.3. */
  readonly margin?: number | undefined
  /** Calls of a provider that the window must hold before their share of faults counts. Default 10. */
  readonly minCalls?: number | undefined
  /** How far back calls count. Default 30 seconds. */
  readonly window?: Duration.Input | undefined
  /** How long the first ejection lasts; twice as long each time it is not followed by a recovery. Default 30 seconds. */
  readonly eject?: Duration.Input | undefined
  /** What doubling never exceeds, and how long quota and authentication errors last. Default 5 minutes. */
  readonly maxEject?: Duration.Input | undefined
  /** The share of the providers that may be ejected for faults at a time, rounded down. Default 0.5. */
  readonly maxEjected?: number | undefined
  /** How fast a latency is forgotten: to about a third in this time. Default 10 seconds. */
  readonly decay?: Duration.Input | undefined
  /** From one health check of a provider to the next. Default 10 seconds. */
  readonly checkEvery?: Duration.Input | undefined
  /** The longest a health check may take before it has failed. Default 5 seconds. */
  readonly checkTimeout?: Duration.Input | undefined
  /** Health checks that must fail one after the other for a provider to be ejected. Default 2. */
  readonly failedChecks?: number | undefined
  /** Adapts schemas for structured output. Default: the first provider's. */
  readonly codecTransformer?: LanguageModel.CodecTransformer | undefined
}

export const defaults = {
  name: "pool",
  weight: 1,
  consecutive: 5,
  margin: 0.3,
  minCalls: 10,
  window: "30 seconds",
  eject: "30 seconds",
  maxEject: "5 minutes",
  maxEjected: 0.5,
  decay: "10 seconds",
  checkEvery: "10 seconds",
  checkTimeout: "5 seconds",
  failedChecks: 2
} as const

/**
 * Makes a pool. Its health checks end with the scope; while a model is built they are periodic jobs of its supervisor.
 *
 * One call is one attempt at one provider. A call that comes again (`Retry`) or is made twice (`Hedge`) goes to a provider
 * it has not been sent to yet, if one is usable. What an error says about a provider is its `Verdict`: a `fault` counts,
 * `unusable` (quota, authentication) takes it out of use at once, a rate limit lets it rest for as long as it asked.
 *
 * When nothing better is left, resting and ejected providers are used all the same (ejected ones not with `maxEjected: 1`);
 * those that refuse every call, and those whose own circuit is open, are not: the call then fails with `PolicyReason`
 * `NoProvider`.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect, Stream } from "effect"
 * import { AiError, IdGenerator, LanguageModel } from "effect/ai"
 * import { type ModelProvider, ProviderPool } from "holdfast/provider"
 *
 * const broke = AiError.make({ module: "acme", method: "call", reason: new AiError.QuotaExhaustedError({}) })
 * const provider = (answer: ModelProvider.ModelProvider["generateText"]): ModelProvider.ModelProvider => ({
 *   name: "acme", model: "acme-1", generateText: answer, streamText: () => Stream.empty
 * })
 *
 * const program = Effect.gen(function* () {
 *   const pool = yield* ProviderPool.make({
 *     providers: {
 *       broke: provider(() => Effect.fail(broke)),
 *       well: provider(() => Effect.succeed([{ type: "text", text: "Hello." }]))
 *     }
 *   })
 *   const model = yield* LanguageModel.make({ ...pool })
 *   const call = Effect.orElseSucceed(Effect.map(model.generateText({ prompt: "Hi" }), ({ text }) => text), () => "failed")
 *   const answers = yield* Effect.replicateEffect(call, 20)
 *   return answers.filter((answer) => answer === "failed").length <= 1
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => true
 * ```
 */
export const make = (options: Options): Effect.Effect<ModelProvider, never, Scope.Scope> => {
  check.fields(options, fields)
  const settings = resolve(options)
  check.record("providers", options.providers)
  check.text("name", options.name ?? defaults.name)
  if (options.codecTransformer !== undefined) check.callback("codecTransformer", options.codecTransformer)
  const given = Object.entries(options.providers).map(([name, member]): readonly [string, Member] => [
    name,
    "provider" in member ? member : { provider: member }
  ])
  if (given.length === 0) check.reject("providers", "one at least", "none")
  for (const [name, member] of given) {
    check.fields(member, memberFields, `providers.${name}`)
    if (!Predicate.hasProperty(member.provider, "generateText")) check.reject(`providers.${name}`, "a provider", member)
  }
  for (const [name, member] of given) {
    const wanted = "an Effect that succeeds when the provider is well"
    if (member.check !== undefined && !Effect.isEffect(member.check)) {
      check.reject(`providers.${name}.check`, wanted, member.check)
    }
  }
  for (const [name, { weight = defaults.weight }] of given) check.number(`weight of ${name}`, weight, { above: 0 })
  const every = Duration.millis(check.millis("checkEvery", options.checkEvery ?? defaults.checkEvery))
  const timeout = Duration.millis(check.millis("checkTimeout", options.checkTimeout ?? defaults.checkTimeout))
  return Effect.gen(function* () {
    const members = given.map(
      ([name, { provider, weight = defaults.weight }]) =>
        new PoolMember(name, RecordedAttempts.recorded(provider), weight, settings)
    )
    const name = options.name ?? defaults.name
    const pool = new PoolMembers(name, members, settings)
    yield* PolicyHealth.register(pool.health)
    for (const [index, member] of members.entries()) {
      const check = given[index]?.[1].check
      if (check === undefined) continue
      yield* PeriodicWork.run(pool.check(member, check, timeout), {
        name: `health check of ${member.name} in ${name}`,
        every
      })
    }
    const models = new Set(members.map(({ provider }) => provider.model))
    const [model = defaults.name] = models.size === 1 ? models : []
    return RecordedAttempts.several({
      // As policies copy what is inside of them: its requests are recorded where they are sent, and not once more here.
      ...members[0]?.provider,
      name,
      model,
      generateText: (request) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(pool.acquire(request, "generate"), (permit) =>
            Effect.mapError(
              Effect.onExitPrimitive(restore(permit.member.provider.generateText(request)), (exit) => {
                permit.ended(exit)
                return undefined
              }),
              (error) => permit.failure(error)
            )
          )
        ),
      streamText: (request) =>
        Stream.unwrap(
          Effect.uninterruptible(
            Effect.flatMap(pool.acquire(request, "stream"), (permit) => streaming(permit, request))
          )
        ),
      codecTransformer: options.codecTransformer ?? members[0]?.provider.codecTransformer,
      settings: pool.answering,
      readiness: pool.readiness
    })
  })
}

// Gives the place back also when the reader leaves; costs a stack frame or two for each pull.
const streaming = (
  permit: Permit,
  request: LanguageModel.ProviderOptions
): Effect.Effect<ReturnType<ModelProvider["streamText"]>, never, Scope.Scope> =>
  Effect.as(
    Effect.addFinalizer(() => Effect.sync(() => permit.release())),
    Stream.transformPull(permit.member.provider.streamText(request), (pull) => {
      let begun = false
      const beginning = Effect.map(pull, (parts) => {
        if (parts.some(Content.isContent)) {
          begun = true
          permit.answered()
        }
        return parts
      })
      const seen = Effect.tapCause(
        Effect.suspend(() => (begun ? pull : beginning)),
        (cause) => {
          const failed = Pull.filterDone(cause)
          return Effect.sync(() => permit.ended(Result.isSuccess(failed) ? Exit.void : Exit.failCause(failed.failure)))
        }
      )
      return Effect.succeed(
        Effect.mapError(seen, (error) => (begun || Cause.isDone(error) ? error : permit.failure(error)))
      )
    })
  )

const resolve = (options: Omit<Options, "providers">): Settings => {
  const ejectMillis = check.millis("eject", options.eject ?? defaults.eject)
  return {
    consecutive: check.whole("consecutive", options.consecutive ?? defaults.consecutive, 1),
    margin: check.number("margin", options.margin ?? defaults.margin, { above: 0, atMost: 1 }),
    minCalls: check.whole("minCalls", options.minCalls ?? defaults.minCalls, 1),
    maxEjected: check.number("maxEjected", options.maxEjected ?? defaults.maxEjected, { atLeast: 0, atMost: 1 }),
    failedChecks: check.whole("failedChecks", options.failedChecks ?? defaults.failedChecks, 1),
    ejectMillis,
    maxEjectMillis: check.millis("maxEject", options.maxEject ?? defaults.maxEject, { atLeast: ejectMillis }),
    windowMillis: check.millis("window", options.window ?? defaults.window),
    decayMillis: check.millis("decay", options.decay ?? defaults.decay)
  }
}

const check = OptionCheck.of("ProviderPool")

const fields: OptionCheck.Fields<Options> = {
  providers: true,
  name: true,
  consecutive: true,
  margin: true,
  minCalls: true,
  window: true,
  eject: true,
  maxEject: true,
  maxEjected: true,
  decay: true,
  checkEvery: true,
  checkTimeout: true,
  failedChecks: true,
  codecTransformer: true
}
const memberFields: OptionCheck.Fields<Member> = { provider: true, weight: true, check: true }
