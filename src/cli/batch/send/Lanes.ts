/**
 * Gives each model of a run a lane of its own: the library's policies around the one server, and what is known of how it does.
 *
 * A model's circuit, the limits that its answers tell and how many requests it takes at a time are its own; how many are in
 * flight together, and the limits that were given, are for all.
 */
import { Effect, Scope } from "effect"
import type { AiError } from "effect/ai"
import * as Model from "../../../model/Model.ts"
import type { ModelProvider, Policy } from "../../../core/call/ModelProvider.ts"
import { AdaptiveLimit, Bulkhead, CircuitBreaker, RateLimit, Timeout } from "../../../policy/index.ts"
import type { Duration } from "effect"
import * as Rejections from "./Rejections.ts"
import * as Sending from "./Sending.ts"

/** One model on its server. */
export interface Lane {
  readonly model: string
  readonly provider: ModelProvider
  /** Answers in this run. */
  answers: number
  /** Since when there were faults and nothing else, in milliseconds of `Monotonic`'s time; `undefined` while it is well. */
  faultsSince: number | undefined
  /** The requests that met a fault since then, by their places in the input; a few of them tell. */
  readonly faulting: Set<number>
  /** Why no request of this model can be answered. */
  closed: AiError.AiError | undefined
}

export interface Options {
  readonly provider: Effect.Effect<ModelProvider, never, Scope.Scope>
  readonly concurrency: number
  readonly requestsPerMinute: number | undefined
  readonly tokensPerMinute: number | undefined
  readonly timeout: Duration.Input
  /** Stands right outside of each attempt. */
  readonly tally: Policy
  /** How many tokens answers take, on average so far. */
  readonly answerTokens: () => number
}

export interface Lanes {
  readonly of: (model: string) => Effect.Effect<Lane>
  readonly all: () => Iterable<Lane>
}

/** Models with a lane of their own; further ones share one. */
const mostLanes = 100

export const make = (options: Options): Effect.Effect<Lanes, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { answerTokens, concurrency, provider, tally, timeout, tokensPerMinute = Infinity } = options
    const scope = yield* Effect.scope
    // What an answer takes is only guessed: no request is refused for it.
    const estimate: RateLimit.Options["estimate"] = (request) => {
      const inputTokens = Sending.tokensOf(request)
      return { inputTokens, outputTokens: Math.min(answerTokens(), Math.max(0, tokensPerMinute - inputTokens)) }
    }
    const server = yield* Model.compose({
      provider,
      policies: [...given(options, estimate), Bulkhead.limit({ concurrency }), tally, Timeout.perAttempt(timeout)]
    })
    const lanes = new Map<string, Lane>()
    const open = (model: string) =>
      Effect.map(
        Model.compose({
          provider: { ...server, model },
          policies: [
            CircuitBreaker.perModel({ maxOpen: "1 minute" }),
            Rejections.shown,
            RateLimit.adaptive({ estimate, maxWaiting: waiting(concurrency) }),
            AdaptiveLimit.learned({
              initial: concurrency,
              max: concurrency,
              maxWaiting: waiting(concurrency),
              tolerance: 3
            }),
            Rejections.hidden
          ]
        }).pipe(Effect.provideService(Scope.Scope, scope)),
        (lane): Lane => ({
          model,
          provider: lane,
          answers: 0,
          faultsSince: undefined,
          faulting: new Set(),
          closed: undefined
        })
      )
    return {
      of: (model) => {
        const name = lanes.has(model) || lanes.size < mostLanes ? model : "others"
        const lane = lanes.get(name)
        if (lane !== undefined) return Effect.succeed(lane)
        return Effect.tap(open(name), (opened) => Effect.sync(() => lanes.set(name, opened)))
      },
      all: () => lanes.values()
    }
  })

/** As many as there are at all, so that none is refused for want of room. */
const waiting = (concurrency: number): number => 4 * concurrency

/** Keeps the limits that were given for all lanes together, at even distances. */
const given = (options: Options, estimate: RateLimit.Options["estimate"]): ReadonlyArray<Policy> => {
  const { concurrency, requestsPerMinute, tokensPerMinute } = options
  if (requestsPerMinute === undefined && tokensPerMinute === undefined) return []
  const perMinute = (limit: number | undefined) =>
    limit === undefined ? undefined : { limit, window: "1 minute" as const }
  return [
    RateLimit.of({
      requests: perMinute(requestsPerMinute),
      tokens: perMinute(tokensPerMinute),
      // What may go within a tenth of a second.
      burst: requestsPerMinute === undefined ? undefined : Math.max(1, Math.floor(requestsPerMinute / 600)),
      estimate,
      maxWaiting: waiting(concurrency)
    })
  ]
}
