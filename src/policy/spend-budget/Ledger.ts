/**
 * Keeps what each key has spent in the present window, and what calls in flight are expected to spend.
 */
import type { AiError, Response } from "effect/ai"
import { Cause, Exit, Option } from "effect"
import * as Content from "../../core/stream/Content.ts"
import * as Failure from "../../core/call/Failure.ts"
import * as Key from "../../core/call/Key.ts"
import type * as PolicyHealth from "../../core/call/PolicyHealth.ts"
import type * as PolicyReason from "../../core/call/PolicyReason.ts"
import { KeptKeys } from "../../core/window/KeptKeys.ts"
import * as Usage from "../../core/call/Usage.ts"
import { type AnswerLength, charactersPerToken } from "../../core/call/TokenEstimate.ts"

/** What a model costs, in any currency, for a million tokens. */
export interface Price {
  readonly input: number
  readonly output: number
  /** For input tokens the provider read from its cache. Default: as `input`. */
  readonly cachedInput?: number | undefined
}

/** What a key has spent in the present window. */
export interface Spent {
  readonly tokens: number
  readonly money: number
  /** The part of the tokens that is estimated. */
  readonly estimatedTokens: number
}

/** What was booked for one attempt. */
export interface Charge {
  readonly tokens: number
  readonly money: number
  /** Whether the attempt ended before it said what it used. */
  readonly estimated: boolean
}

export interface Amount {
  readonly tokens: number
  readonly money: number
}

interface Account {
  /** What it is called, and where it is kept. */
  readonly key: string
  readonly place: string | undefined
  window: number
  tokens: number
  money: number
  estimatedTokens: number
  inFlight: number
  inFlightTokens: number
  inFlightMoney: number
}

/** Keys of which accounts are kept: those that spent something in this window, or are about to. Further ones share one. */
const maxKeys = 100_000

/** How the account of those is called. */
const othersKey = Key.of(undefined, undefined)

export class Ledger {
  private readonly accounts: KeptKeys<Account>
  private window = 0
  private readonly limits: Amount
  private readonly windowMillis: number

  constructor(limits: Amount, windowMillis: number, capacity = maxKeys) {
    // Kept are those that have calls in flight or have spent something.
    this.accounts = new KeptKeys(capacity, ({ inFlight, window }) => inFlight === 0 && window < this.window)
    this.limits = limits
    this.windowMillis = windowMillis
  }

  spent(key: string, now: number): Spent {
    const { estimatedTokens, money, tokens } = this.account(key, now)
    return { tokens, money, estimatedTokens }
  }

  /** Why a call may not begin now, if it may not. */
  refusal(key: string, now: number): typeof PolicyReason.SpendExhausted.Type | undefined {
    const account = this.account(key, now)
    const spent = { tokens: account.tokens + account.inFlightTokens, money: account.money + account.inFlightMoney }
    const unit = spent.tokens >= this.limits.tokens ? "tokens" : spent.money >= this.limits.money ? "money" : undefined
    if (unit === undefined) return undefined
    const retryAfterMillis = (account.window + 1) * this.windowMillis - now
    return {
      _tag: "SpendExhausted",
      key: account.key,
      unit,
      limit: this.limits[unit],
      spent: spent[unit],
      retryAfterMillis
    }
  }

  begin(key: string, now: number, expected: Amount): Account {
    const account = this.account(key, now)
    account.inFlight++
    this.accounts.set(account.place, account)
    account.inFlightTokens += expected.tokens
    account.inFlightMoney += expected.money
    return account
  }

  end(account: Account, now: number, expected: Amount, booked: Charge | undefined): void {
    this.renew(account, now)
    account.inFlight--
    account.inFlightTokens -= expected.tokens
    account.inFlightMoney -= expected.money
    if (booked !== undefined) {
      account.tokens += booked.tokens
      account.money += booked.money
      if (booked.estimated) account.estimatedTokens += booked.tokens
    }
    if (account.inFlight === 0 && account.tokens === 0) this.accounts.delete(account.place)
  }

  health(now: number): PolicyHealth.SpendHealth {
    const window = Math.floor(now / this.windowMillis)
    const spending = this.accounts.values.filter((account) => account.window === window)
    const used = spending.map(({ money, tokens }) => Math.max(tokens / this.limits.tokens, money / this.limits.money))
    return {
      _tag: "SpendBudget",
      keys: spending.map(({ key, money, tokens }) => ({
        key,
        tokens,
        money,
        resetsInMillis: (window + 1) * this.windowMillis - now
      })),
      score: Math.round(100 * (1 - used.filter((share) => share >= 1).length / Math.max(1, used.length)))
    }
  }

  private account(key: string, now: number): Account {
    this.window = Math.max(this.window, Math.floor(now / this.windowMillis))
    // Who shared one goes on sharing it until the window ends, for what was spent there is not known by key.
    const place =
      this.accounts.peek(key) === undefined && this.accounts.shared !== undefined
        ? undefined
        : this.accounts.placeOf(key)
    const account = this.accounts.get(place)
    if (account !== undefined) return this.renew(account, now)
    const nothing = { ...unspent, inFlight: 0, inFlightTokens: 0, inFlightMoney: 0 }
    return { key: place ?? othersKey, place, window: this.window, ...nothing }
  }

  private renew(account: Account, now: number): Account {
    const window = Math.floor(now / this.windowMillis)
    return account.window < window ? Object.assign(account, { window, ...unspent }) : account
  }
}

const unspent = { tokens: 0, money: 0, estimatedTokens: 0 }

/** One attempt, from its begin until it is booked. */
export class Permit {
  private usage: Usage.Usage | undefined
  private isReleased = false
  private characters = 0
  private readonly ledger: Ledger
  private readonly account: Account
  private readonly price: Price
  private readonly inputTokens: number
  private readonly answers: AnswerLength
  private readonly expected: Amount

  constructor(ledger: Ledger, key: string, price: Price, inputTokens: number, answers: AnswerLength, now: number) {
    this.ledger = ledger
    this.price = price
    this.inputTokens = inputTokens
    this.answers = answers
    this.expected = this.cost(usageOf(inputTokens, answers.tokens))
    this.account = ledger.begin(key, now, this.expected)
  }

  see(parts: ReadonlyArray<Response.PartEncoded | Response.StreamPartEncoded>): void {
    for (const part of parts) {
      if (part.type === "finish") this.usage = Usage.fromParts([part])
      else if ("text" in part) this.characters += part.text.length
      else if ("delta" in part && Content.isContent(part)) this.characters += part.delta.length
    }
  }

  /** Whether the answer has come to its end. */
  get isFinished(): boolean {
    return this.usage !== undefined
  }

  /** Books, once, what was used, or is likely to have been; nothing for what the provider refused. */
  release(exit: Exit.Exit<unknown, unknown>, now: number): Charge | undefined {
    if (this.isReleased) return undefined
    this.isReleased = true
    const used = this.usage ?? workBefore(exit)?.usage
    const isReported = used !== undefined && used.inputTokens + used.outputTokens > 0
    if (isReported && this.isFinished) this.answers.observe(used.outputTokens)
    const usage = isReported ? used : this.likely(exit)
    const booked = usage === undefined ? undefined : { ...this.cost(usage), estimated: !isReported }
    this.ledger.end(this.account, now, this.expected, booked)
    return booked
  }

  private likely(exit: Exit.Exit<unknown, unknown>): Usage.Usage | undefined {
    if (this.characters > 0) return usageOf(this.inputTokens, Math.ceil(this.characters / charactersPerToken))
    return wasRefused(exit) ? undefined : usageOf(this.inputTokens, this.answers.tokens)
  }

  private cost(usage: Usage.Usage): Amount {
    const { cachedInput = this.price.input, input, output } = this.price
    // A provider may tell how many it read from its cache, and not how many there were.
    const fresh = Math.max(0, usage.inputTokens - usage.cachedInputTokens)
    return {
      tokens: usage.inputTokens + usage.outputTokens,
      money: (fresh * input + usage.cachedInputTokens * cachedInput + usage.outputTokens * output) / 1_000_000
    }
  }
}

const usageOf = (inputTokens: number, outputTokens: number): Usage.Usage => ({
  ...Usage.empty,
  inputTokens,
  outputTokens
})

/** Whether the provider said no before it worked on the request: what timed out or was lost it may have worked on. */
const wasRefused = (exit: Exit.Exit<unknown, unknown>): boolean => {
  const error = errorOf(exit)
  return error !== undefined && Failure.workBefore(error) === undefined && isRefusal(error)
}

const workBefore = (exit: Exit.Exit<unknown, unknown>): Failure.Work | undefined => {
  const error = errorOf(exit)
  return error && Failure.workBefore(error)
}

const errorOf = (exit: Exit.Exit<unknown, unknown>): AiError.AiError | undefined =>
  Exit.isSuccess(exit)
    ? undefined
    : // Providers fail with nothing else.
      (Option.getOrUndefined(Cause.findErrorOption(exit.cause)) as AiError.AiError | undefined)

const isRefusal = (error: AiError.AiError): boolean => {
  switch (error.reason._tag) {
    case "NetworkError":
    case "InvalidResponseError":
    case "InvalidOutputError":
      return false
    default:
      return Failure.decided(error)?._tag !== "TimedOut"
  }
}
