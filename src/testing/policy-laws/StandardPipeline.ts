/**
 * Draws the standard pipeline with every place filled, around all the models of a program: one that is raced and one that is
 * fallen back to, beside the first.
 */
import { Effect, type Scope } from "effect"
import * as Pipeline from "../../policy/Pipeline.ts"
import type { ModelProvider, Policy } from "../../core/call/ModelProvider.ts"
import type { Chance } from "../seed/Chance.ts"
import type { Allows } from "./Law.ts"

export interface Options {
  readonly concurrency: number
  readonly attempt: number
  readonly retries: number
  readonly hedge: number
  readonly tokens: number
  readonly requests: number
  readonly tenantRequests: number
  readonly patience: number
  readonly stagger: number
  readonly repairs: number
}

/** Longer than any run, so that what a window brings back does not count. */
const window = 1_000_000_000

export const draw = (chance: Chance): Options => ({
  concurrency: 1 + chance.below(3),
  attempt: chance.oneOf([200, 5_000]),
  retries: chance.below(3),
  hedge: chance.oneOf([5, 150, 2_000]),
  tokens: chance.oneOf([20, 60, 1_000_000]),
  requests: chance.oneOf([2, 5, 100]),
  tenantRequests: chance.oneOf([2, 5, 100]),
  patience: chance.oneOf([0, 1_000, 20_000]),
  stagger: chance.oneOf([0, 20, 1_000]),
  repairs: chance.below(3)
})

export const make = (options: Options, [raced, spare]: ReadonlyArray<ModelProvider>): Policy<Scope.Scope> => {
  const policies = Pipeline.standard<Scope.Scope>({
    degrade: "Sorry.",
    timeout: "1 minute",
    retryBudget: { ratio: 1, minPerSecond: 10 },
    cache: { timeToLive: "1 second" },
    singleFlight: {},
    repair: { times: options.repairs },
    fallback: { to: spare === undefined ? [] : [spare], patience: options.patience },
    race: { with: raced === undefined ? [] : [raced], stagger: options.stagger },
    circuitBreaker: { consecutive: 2, open: 100, maxOpen: 5_000 },
    retry: { times: options.retries, base: 10 },
    hedge: { delay: options.hedge, maxShare: 1 },
    spend: { tokens: options.tokens, window },
    tenantLimit: { requests: { limit: options.tenantRequests, window }, maxWait: 0 },
    bulkhead: { concurrency: options.concurrency },
    rateLimit: { requests: { limit: options.requests, window }, maxWait: 0 },
    attempt: { attempt: options.attempt }
  })
  return (model) =>
    Effect.gen(function* () {
      let made = model
      for (const policy of policies.toReversed()) made = yield* policy(made)
      return made
    })
}

/** The attempts that a call may make besides the first: repairs, a race and a fallback, and further ones at each of the three. */
export const extra = ({ repairs, retries }: Options): number => repairs + 2 + 3 * (retries + 1)

export const allows = ({ attempt, concurrency, requests, tenantRequests, tokens }: Options): Allows => ({
  everywhere: {
    concurrency,
    attempt,
    tokens,
    perModel: { burst: requests, perMilli: requests / window },
    perTenant: { burst: tenantRequests, perMilli: tenantRequests / window }
  }
})
