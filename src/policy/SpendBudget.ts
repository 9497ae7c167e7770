/**
 * Stops calls when the tokens or the money of a window are spent.
 *
 * Each attempt is booked when it ends, by what its provider says it used. What was cancelled or cut off is billed too, as
 * far as anyone knows: it is booked by an estimate, and marked as one.
 */
import { Clock, type Duration, Effect, Exit, Stream } from "effect"
import type { LanguageModel } from "effect/ai"
import * as Caller from "../core/call/Caller.ts"
import * as CallTrail from "../core/CallTrail.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as PolicyHealth from "../core/call/PolicyHealth.ts"
import * as PolicyReason from "../core/call/PolicyReason.ts"
import type { ModelProvider, Policy } from "../core/call/ModelProvider.ts"
import * as RetryBudget from "./RetryBudget.ts"
import { Book, Entry, type Price, type Spent } from "./spend-budget/Ledger.ts"
import * as TokenEstimate from "../core/call/TokenEstimate.ts"

export type { Price, Spent } from "./spend-budget/Ledger.ts"

export interface Options {
  /** Tokens, in and out, that may be spent in a window. Default: any number. */
  readonly tokens?: number | undefined
  /** Money that may be spent in a window, in the currency of the prices. Default: any amount. */
  readonly money?: number | undefined
  /** How long a window is; windows begin at multiples of it since 1970, UTC. Default 1 day. */
  readonly window?: Duration.Input | undefined
  /** Prices by model, as `openai/gpt-5-mini` or `gpt-5-mini`. A limit of money needs that of each model it is used for. */
  readonly prices?: Readonly<Record<string, Price>> | undefined
  /** Whether each tenant (`Caller`) has a budget of its own, or all share one. Default: each has its own. */
  readonly perTenant?: boolean | undefined
}

export const defaults = { window: "1 day", perTenant: true } as const

/** A budget that several models can share. */
export interface SpendBudget {
  readonly policy: Policy
  /** What a tenant has spent in the present window; without one, who calls for nobody in particular. */
  readonly spent: (tenant?: string) => Effect.Effect<Spent>
}

/**
 * Turns a call away when what may be spent in this window is spent, with `PolicyReason` `SpendExhausted`, which is not
 * retryable.
 *
 * A call that begins within the budget is finished. Calls in flight count by an estimate of what they will spend, so that
 * many at once pass the limit by one call at most.
 *
 * **Example**
 *
 * ```ts run
 * import { SpendBudget } from "holdfast/policy"
 *
 * const prices = { "openai/gpt-5-mini": { input: 0.25, cachedInput: 0.025, output: 2 } }
 * const policies = [SpendBudget.of({ money: 5, window: "1 day", prices })]
 * policies.length // => 1
 * ```
 */
export const of = (options: Options): Policy => {
  const making = make(options)
  return (next) => Effect.flatMap(making, ({ policy }) => policy(next))
}

/** Makes a budget for several models to share, which can be read. Rejects limits and prices below 0 with a `RangeError`. */
export const make = (options: Options): Effect.Effect<SpendBudget> => {
  const { perTenant = defaults.perTenant, prices = {}, tokens = Infinity, money = Infinity } = options
  const windowMillis = check.millis("window", options.window ?? defaults.window)
  for (const [name, limit] of Object.entries({ tokens, money })) {
    if (!(limit >= 0)) check.reject(name, "a number of at least 0", limit)
  }
  for (const [model, price] of Object.entries(prices)) {
    for (const [kind, value] of Object.entries({ ...price, cachedInput: price.cachedInput ?? price.input })) {
      if (value >= 0 && value < Infinity) continue
      check.reject(`prices["${model}"].${kind}`, "a finite number of at least 0", value)
    }
  }
  if (tokens === Infinity && money === Infinity) throw new RangeError("SpendBudget needs a limit of tokens or of money")
  return Effect.sync(() => {
    const book = new Book({ tokens, money }, windowMillis)
    const keyFor = (tenant: string | undefined) => (perTenant ? (tenant ?? "") : "")
    return {
      policy: (next) => bounded(next, book, priceOf(next, prices, money), keyFor),
      spent: (tenant) => Effect.map(Clock.currentTimeMillis, (now) => book.spent(keyFor(tenant), now))
    }
  })
}

const check = OptionCheck.of("SpendBudget")

const priceOf = (next: ModelProvider, prices: Readonly<Record<string, Price>>, limit: number): Price => {
  const price = prices[RetryBudget.keyOf(next)] ?? prices[next.model]
  if (price === undefined && limit < Infinity) {
    check.reject("prices", `given for ${RetryBudget.keyOf(next)}`, "none")
  }
  return price ?? { input: 0, output: 0 }
}

const bounded = (
  next: ModelProvider,
  book: Book,
  price: Price,
  keyFor: (tenant: string | undefined) => string
): Effect.Effect<ModelProvider> =>
  Effect.gen(function* () {
    const answers = new TokenEstimate.AnswerLength()
    yield* PolicyHealth.register(Effect.map(Clock.currentTimeMillis, (now) => book.health(now)))

    const open = (request: LanguageModel.ProviderOptions) =>
      Effect.acquireRelease(
        Effect.withFiber((fiber) => {
          const clock = fiber.getRef(Clock.Clock)
          const recorder = fiber.getRef(CallTrail.Current)
          const now = clock.currentTimeMillisUnsafe()
          const key = keyFor(fiber.getRef(Caller.Current).tenant)
          const refusal = book.refusal(key, now)
          if (refusal !== undefined) return Effect.fail(PolicyReason.toAiError("SpendBudget", refusal))
          const entry = new Entry(book, key, price, TokenEstimate.inputTokens(request), answers, now)
          const close = (exit: Exit.Exit<unknown, unknown>) => {
            const now = clock.currentTimeMillisUnsafe()
            const booked = entry.close(exit, now)
            if (booked !== undefined) recorder?.decide(now, { _tag: "SpendRecorded", ...booked })
          }
          return Effect.succeed({ entry, close })
        }),
        ({ close }, exit) => Effect.sync(() => close(exit))
      )

    return {
      ...next,
      generateText: (request) =>
        Effect.scoped(
          Effect.flatMap(open(request), ({ entry }) =>
            Effect.map(next.generateText(request), (parts) => {
              entry.see(parts)
              return parts
            })
          )
        ),
      streamText: (request) =>
        Stream.unwrap(
          Effect.map(open(request), ({ close, entry }) =>
            Stream.mapArray(next.streamText(request), (parts) => {
              entry.see(parts)
              // Before the finish part is passed on, which brings the trail to the reader.
              if (entry.isFinished) close(Exit.void)
              return parts
            })
          )
        )
    }
  })
