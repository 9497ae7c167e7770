/** Stores of limits and circuits that say, fail and throw whatever they like: a call goes, or is refused for no longer than can be. */
import { Cause, Duration, Effect, Exit, Logger, Option } from "effect"
import { AiError, IdGenerator } from "effect/ai"
import { CircuitBreaker as Circuits, RateLimiter } from "effect/persistence"
import { PolicyReason } from "holdfast/core"
import { Model } from "holdfast/model"
import { CircuitBreaker, RateLimit } from "holdfast/policy"
import type { ModelProvider } from "holdfast/provider"
import type { Chance } from "../../src/testing/seed/Chance.ts"
import { json } from "../provider/chat-wire/fuzzing.ts"
import { failure, request, scripted } from "../policy/scripted.ts"
import type { Came, Reader } from "./foreignText.ts"

const values = [
  0,
  -0,
  1,
  0.5,
  -1,
  1e6,
  -1e9,
  -1e300,
  1e300,
  2 ** 53,
  NaN,
  Infinity,
  -Infinity,
  "5",
  "",
  true,
  null
] as const
const value = (chance: Chance): unknown => chance.oneOf([...values, undefined, {}, [], 10n ** 30n, Symbol("s")])

/** An answer, in most cases; or a failure, a bug, or no Effect at all. What the type of a store does not have, it says all the same. */
const saying = <A, E>(chance: Chance, answer: () => unknown): Effect.Effect<A, E> => {
  const how = chance.below(20)
  if (how === 0) throw new Error("a bug of its driver")
  if (how === 1) return value(chance) as Effect.Effect<A, E>
  if (how === 2) return Effect.fail(json(chance) as E)
  if (how === 3) return Effect.die(value(chance))
  return Effect.succeed(answer() as A)
}

const day = 86_400_000
const isWithin = (millis: number, most: number) => millis >= 0 && millis <= most

/** What some calls came to: all must have been answered, failed as their provider did, or been refused for some time. */
const askedWith = (policy: ModelProvider.Policy, errors: ReadonlyArray<AiError.AiError | undefined>): Promise<Came> =>
  Effect.gen(function* () {
    const script = errors.map((error) => (error === undefined ? {} : { error }))
    const { provider } = scripted(script)
    const model = yield* Model.compose({ provider, policies: [policy] })
    const options = yield* request
    let came: Came = "read"
    for (const _ of errors) {
      const exit = yield* Effect.exit(model.generateText(options))
      if (Exit.isSuccess(exit)) continue
      const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
      if (error === undefined || !AiError.isAiError(error)) return `died: ${Cause.pretty(exit.cause)}`
      const reason = Option.getOrUndefined(PolicyReason.of(error))
      if (reason === undefined && errors.includes(error)) continue
      if (reason?._tag !== "RateLimited" && reason?._tag !== "CircuitOpen") return `failed with ${String(error)}`
      if (!isWithin(reason.retryAfterMillis, 1.01 * day)) return `refused for ${reason.retryAfterMillis} ms`
      came = "refused"
    }
    return came
  }).pipe(
    Effect.scoped,
    Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator),
    Effect.provide(Logger.layer([])),
    Effect.runPromise
  )

const limited: Reader = {
  name: "a call whose limits have a store",
  tryOne: (chance) => {
    const tokenBucket = () =>
      saying<readonly [number, number], RateLimiter.RateLimiterError>(chance, () =>
        chance.oneOf([
          [value(chance), value(chance)],
          [chance.below(9) - 5, chance.below(2)],
          [value(chance)],
          value(chance)
        ])
      )
    const policy = RateLimit.shared({
      requests: { limit: 1_000, window: "1 second" },
      tokens: { limit: 1_000_000, window: "1 minute" },
      maxWait: 0
    })
    const store = { tokenBucket } as unknown as RateLimiter.RateLimiterStore["Service"]
    return askedWith(
      (next) => Effect.provideService(policy(next), RateLimiter.RateLimiterStore, store),
      Array.from({ length: 4 }, () => undefined)
    )
  }
}

const down = failure(new AiError.InternalProviderError({ description: "down" }))

const guarded: Reader = {
  name: "a call whose circuit has a store",
  tryOne: (chance) => {
    const span = (): unknown => {
      const given = value(chance)
      return typeof given === "number" && chance.below(3) > 0 ? Duration.millis(given) : given
    }
    const count = () => chance.oneOf([chance.below(3), value(chance)])
    const admission = () => ({
      generation: count(),
      probe: chance.oneOf([false, true, value(chance)]),
      consecutiveOpenings: count()
    })
    const rejection = () => ({
      reason: { _tag: chance.oneOf(["CircuitOpen", "CircuitHalfOpen", "Other"]), retryAfter: span() }
    })
    const move = () => ({ to: chance.oneOf(["Open", "Closed", "HalfOpen", value(chance)]), retryAfter: span() })
    const store = {
      admit: () =>
        chance.below(3) === 0
          ? Effect.fail(rejection())
          : saying(chance, () => chance.oneOf([admission(), admission(), value(chance), json(chance)])),
      record: () => saying(chance, () => chance.oneOf([undefined, move(), value(chance)])),
      state: () => saying(chance, () => value(chance))
    } as unknown as Circuits.CircuitBreakerStore["Service"]
    const policy = CircuitBreaker.shared({ consecutive: 1, perTenant: false })
    return askedWith(
      (next) => Effect.provideService(policy(next), Circuits.CircuitBreakerStore, store),
      Array.from({ length: 4 }, () => (chance.below(2) === 0 ? down : undefined))
    )
  }
}

export const stores: ReadonlyArray<Reader> = [limited, guarded]
