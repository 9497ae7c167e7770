/**
 * Keeps what each key has spent in the present window, and what calls in flight are expected to spend.
 */
import * as Key from "../../core/call/Key.ts"
import type * as PolicyHealth from "../../core/call/PolicyHealth.ts"
import type * as PolicyReason from "../../core/call/PolicyReason.ts"
import { KeptKeys } from "../../core/window/KeptKeys.ts"

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
  /** Whether nobody said what the attempt used. */
  readonly estimated: boolean
}

export interface Amount {
  readonly tokens: number
  readonly money: number
}

export interface Account {
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
