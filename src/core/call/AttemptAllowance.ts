/**
 * Counts the attempts one call may still make, over the whole stack of policies.
 *
 * What the options of all policies allow is added up and not multiplied: two layers of three retries make at most seven
 * attempts, not sixteen. A policy says what it adds with `CallContext.contributing`, and asks {@link take} before each
 * further attempt.
 */
import { Clock, Context, Effect } from "effect"
import * as Monotonic from "../Monotonic.ts"

/** Counts attempts for all calls together; `RetryBudget.of` binds one to each call. */
export interface SharedBudget {
  /** Counts a call to a provider. */
  readonly call: (key: string, now: number) => void
  /** Takes one further attempt at a provider; false when the budget is used up. */
  readonly take: (key: string, now: number) => boolean
}

/** What is left for one call. Made by the model, or else by the outermost policy that needs it; shared by all inside. */
export class Allowance {
  private allowed = 0
  private taken = 0
  // Each has a few members, and most calls none of the second.
  private readonly contributors: Array<object> = []
  private readonly counted: Array<string> = []
  private maxExtra = Infinity
  private budget: SharedBudget | undefined

  /** Makes that of another call, under the same shared budget. */
  static beside(other: Allowance | undefined): Allowance {
    const made = new Allowance()
    if (other?.budget !== undefined) made.bind(other.maxExtra, other.budget)
    return made
  }

  /** Puts the call under a shared budget. The outermost one counts. */
  bind(maxExtra: number, budget: SharedBudget): void {
    if (this.budget !== undefined) return
    this.budget = budget
    this.maxExtra = maxExtra
  }

  /** Adds what one policy's options allow. Once for each policy, however often the call comes by. */
  contribute(policy: object, extra: number): void {
    if (this.contributors.includes(policy)) return
    this.contributors.push(policy)
    this.allowed += extra
  }

  /** Further attempts the call may make in all: those it has made, and those that are left. */
  get granted(): number {
    return Math.min(this.maxExtra, this.allowed)
  }

  /** Whether the call may make one more. */
  get hasMore(): boolean {
    return this.taken < this.granted
  }

  /** Tells the shared budget of this call to a provider. Once for each provider, however often it is tried. */
  count(key: string, now: number): void {
    if (this.budget === undefined || this.counted.includes(key)) return
    this.counted.push(key)
    this.budget.call(key, now)
  }

  /** Takes one further attempt, if there is one left. A fallback passes no key: it is the next provider's first. */
  take(key: string | undefined, now: number): boolean {
    if (!this.hasMore || (key !== undefined && this.budget?.take(key, now) === false)) return false
    this.taken++
    return true
  }
}

/** The allowance of the call the present fiber works for. */
export const Current = Context.Reference<Allowance | undefined>("holdfast/core/AttemptAllowance", {
  defaultValue: () => undefined
})

/** Counts the present call as one to this provider. Policies that retry or hedge it do so before its first attempt. */
export const count = (key: string): Effect.Effect<void> => use(undefined, (allowance, now) => allowance.count(key, now))

/** Takes one further attempt at a provider, if the allowance has one. Without a key: the first at the next provider. */
export const take = (key?: string): Effect.Effect<boolean> => use(false, (allowance, now) => allowance.take(key, now))

const use = <A>(withoutOne: A, change: (allowance: Allowance, now: number) => A): Effect.Effect<A> =>
  Effect.withFiber((fiber) => {
    const allowance = fiber.getRef(Current)
    return Effect.succeed(
      allowance === undefined ? withoutOne : change(allowance, Monotonic.millisUnsafe(fiber.getRef(Clock.Clock)))
    )
  })
