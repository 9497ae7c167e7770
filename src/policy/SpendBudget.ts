/**
 * Stops calls when the tokens or the money of a window are spent.
 *
 * Each attempt is booked when it ends, by what its provider says it used. Where that is not said, since it was cancelled,
 * cut off or lost, it is booked by an estimate, and marked as one: its prompt and as much of the answer as had arrived.
 */
import { Clock, type Duration, Effect, Exit, Predicate, Stream } from "effect"
import type { LanguageModel } from "effect/ai"
import * as Caller from "../core/call/Caller.ts"
import * as CallTrail from "../core/call/CallTrail.ts"
import * as Key from "../core/call/Key.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as PolicyHealth from "../core/call/PolicyHealth.ts"
import * as PolicyReason from "../core/call/PolicyReason.ts"
import * as PolicyKind from "../core/call/PolicyKind.ts"
import type { ModelProvider } from "../core/call/ModelProvider.ts"
import { Ledger, type Price, type Spent } from "./spend-budget/Ledger.ts"
import { Permit } from "./spend-budget/Permit.ts"
import { WindowTime } from "./spend-budget/WindowTime.ts"
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

/** A budget that several providers and models can share. */
export interface SpendBudget {
  /** Puts the budget around a provider. All that it is put around spend from this one budget. */
  readonly policy: PolicyKind.Of<"SpendBudget">
  /** What a tenant has spent in the present window; without one, who calls for nobody in particular. */
  readonly spent: (tenant?: string) => Effect.Effect<Spent>
}

/**
 * Turns a call away when what may be spent in this window is spent, with `PolicyReason` `SpendExhausted`, which is not
 * retryable.
 *
 * A call that begins within the budget is finished. Calls in flight count by an estimate of what they will spend, so that
 * many at once pass the limit by one call at most. The estimate goes when the call ends, and what it spent is booked.
 *
 * Each provider that it is put around has a budget for itself: several share one that was made with {@link make}.
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
export const of = (options: Options): PolicyKind.Of<"SpendBudget.of"> => {
  const making = make(options)
  return PolicyKind.of("SpendBudget.of", (next) => Effect.flatMap(making, ({ policy }) => policy(next)))
}

/** Makes a budget for several providers and models to share, which can be read. Rejects limits and prices below 0 with a `RangeError`. */
export const make = (options: Options): Effect.Effect<SpendBudget> => {
  check.fields(options, fields)
  const { perTenant = defaults.perTenant, prices = {}, tokens = Infinity, money = Infinity } = options
  const windowMillis = check.millis("window", options.window ?? defaults.window)
  for (const [name, limit] of Object.entries({ tokens, money })) {
    if (!Predicate.isNumber(limit) || !(limit >= 0)) check.reject(name, "a number of at least 0", limit)
  }
  check.flag("perTenant", perTenant)
  check.record("prices", prices)
  for (const [model, price] of Object.entries(prices)) {
    check.fields(price, priceFields, `prices["${model}"]`)
    for (const [kind, value] of Object.entries({ ...price, cachedInput: price.cachedInput ?? price.input })) {
      if (value >= 0 && value < Infinity) continue
      check.reject(`prices["${model}"].${kind}`, "a finite number of at least 0", value)
    }
  }
  if (tokens === Infinity && money === Infinity) throw new RangeError("SpendBudget needs a limit of tokens or of money")
  return Effect.map(Clock.Clock, (clock) => {
    const ledger = new Ledger({ tokens, money }, windowMillis)
    const time = new WindowTime(clock, windowMillis)
    const keyFor = (tenant: string | undefined) => Key.of(perTenant ? tenant : undefined)
    const health = Effect.sync(() => ledger.health(time.now))
    return {
      policy: PolicyKind.of("SpendBudget", (next) =>
        Effect.andThen(PolicyHealth.register(health), bounded(next, ledger, time, priceOf(next, prices, money), keyFor))
      ),
      spent: (tenant) => Effect.sync(() => ledger.spent(keyFor(tenant), time.now))
    }
  })
}

const check = OptionCheck.of("SpendBudget")

const fields: OptionCheck.Fields<Options> = { tokens: true, money: true, window: true, prices: true, perTenant: true }
const priceFields: OptionCheck.Fields<Price> = { input: true, cachedInput: true, output: true }

const priceOf = (next: ModelProvider, prices: Readonly<Record<string, Price>>, limit: number): Price => {
  const named = `${next.name}/${next.model}`
  const price = [named, next.model].flatMap((name) => (Object.hasOwn(prices, name) ? [prices[name]] : []))[0]
  if (price === undefined && limit < Infinity) {
    check.reject("prices", `given for ${named}`, "none")
  }
  return price ?? { input: 0, output: 0 }
}

/** The longest answer that the provider is asked for: what it may spend, and no more. */
const maxOutputTokensOf = (settings: unknown): number => {
  const most = Predicate.hasProperty(settings, "maxOutputTokens") ? settings.maxOutputTokens : undefined
  return Predicate.isNumber(most) && most >= 0 ? most : Infinity
}

const bounded = (
  next: ModelProvider,
  ledger: Ledger,
  time: WindowTime,
  price: Price,
  keyFor: (tenant: string | undefined) => string
): Effect.Effect<ModelProvider> =>
  Effect.sync(() => {
    const answers = new TokenEstimate.AnswerLength()

    const open = (request: LanguageModel.ProviderOptions) =>
      next.settings === undefined
        ? begin(request, Infinity)
        : Effect.flatMap(next.settings, (settings) => begin(request, maxOutputTokensOf(settings)))

    const begin = (request: LanguageModel.ProviderOptions, maxOutputTokens: number) =>
      Effect.acquireRelease(
        Effect.withFiber((fiber) => {
          const clock = fiber.getRef(Clock.Clock)
          const recorder = fiber.getRef(CallTrail.Current)
          const { now } = time
          const key = keyFor(fiber.getRef(Caller.Current).tenant)
          const refusal = ledger.refusal(key, now)
          if (refusal !== undefined) return Effect.fail(PolicyReason.toAiError("SpendBudget", refusal))
          const inputTokens = TokenEstimate.inputTokens(request)
          const permit = new Permit(ledger, { key, price, inputTokens, maxOutputTokens }, answers, now)
          const close = (exit: Exit.Exit<unknown, unknown>) => {
            const booked = permit.release(exit, time.now)
            if (booked !== undefined)
              recorder?.decide(clock.currentTimeMillisUnsafe(), { _tag: "SpendRecorded", ...booked })
          }
          return Effect.succeed({ permit, close })
        }),
        ({ close }, exit) => Effect.sync(() => close(exit))
      )

    return {
      ...next,
      generateText: (request) =>
        Effect.scoped(
          Effect.flatMap(open(request), ({ permit }) =>
            Effect.map(next.generateText(request), (parts) => {
              permit.see(parts)
              return parts
            })
          )
        ),
      streamText: (request) =>
        Stream.unwrap(
          Effect.map(open(request), ({ close, permit }) =>
            Stream.mapArray(next.streamText(request), (parts) => {
              permit.see(parts)
              // Before the finish part is passed on, which brings the trail to the reader.
              if (permit.isFinished) close(Exit.void)
              return parts
            })
          )
        )
    }
  })
