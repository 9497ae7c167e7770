/**
 * Lets calls through by key, and learns from how they end: the part of a rate limit that acts.
 */
import { type Clock, Duration, Effect, Exit, Random } from "effect"
import * as Caller from "../core/call/Caller.ts"
import * as CallTrail from "../core/CallTrail.ts"
import * as Deadline from "../core/call/Deadline.ts"
import type * as PolicyHealth from "../core/call/PolicyHealth.ts"
import * as ResponseHeaders from "../core/call/ResponseHeaders.ts"
import { fromHeaders, type Told } from "./rate-limit/Headers.ts"
import { Line, type Refusal, type Restore } from "./rate-limit/CallQueue.ts"
import type { Settings } from "./rate-limit/Settings.ts"
import type { SharedLimits } from "./RateLimitShared.ts"
import * as State from "./rate-limit/State.ts"
import * as RetryBudget from "./RetryBudget.ts"

/** What is known of a call that has ended; what is undefined was not said. */
export interface Outcome {
  /** Whether it was rejected by a rate limit. */
  readonly rejected?: boolean | undefined
  /** The wait that was asked for, with a rejection or with another failure. */
  readonly retryAfter?: Duration.Input | undefined
  /** The headers of its response; names in lower case. */
  readonly headers?: Readonly<Record<string, unknown>> | undefined
  /** The tokens it used; the estimate stands for what is not said. */
  readonly inputTokens?: number | undefined
  readonly outputTokens?: number | undefined
}

/** A call that was let through. */
export interface Passage {
  readonly line: Line
  readonly ticket: State.Ticket
  readonly arrivedAt: number
  /** Whether its headers have been heard already. */
  hasHeard: boolean
}

/** Keys that are remembered; of those for which nobody waits, the one not called for longest is forgotten. */
const maxKeys = 1_000

export class Limiter {
  private readonly lines = new Map<string, Line>()
  /** When calls that were rejected had come first. */
  private readonly arrivals = new WeakMap<RetryBudget.Allowance, number>()
  private readonly settings: Settings
  private readonly learns: boolean
  private readonly clock: Clock.Clock
  private readonly shared: SharedLimits | undefined

  constructor(settings: Settings, learns: boolean, clock: Clock.Clock, shared: SharedLimits | undefined) {
    this.settings = settings
    this.learns = learns
    this.clock = clock
    this.shared = shared
  }

  /** Lets an effect through and sees how it ends. */
  pass<A, E, R, E2>(
    key: string,
    need: () => State.Need,
    refused: (refusal: Refusal) => E2,
    run: (passage: Passage) => Effect.Effect<A, E, R>,
    tells: (exit: Exit.Exit<A, E>, passage: Passage) => Outcome
  ): Effect.Effect<A, E | E2, R> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Effect.mapError(this.enter(key, need, restore), refused), (passage) =>
        Effect.onExit(restore(run(passage)), (exit) => this.ended(passage, tells(exit, passage)))
      )
    )
  }

  /**
   * Waits until a call may go. Whoever gets the passage must see to it that its end is told with {@link ended}; so nothing
   * may be interrupted here but what `restore` is put around.
   */
  enter(key: string, need: () => State.Need, restore: Restore): Effect.Effect<Passage, Refusal> {
    return Effect.withFiber((fiber) => {
      const line = this.lineOf(key)
      const came = this.clock.currentTimeMillisUnsafe()
      const call = fiber.getRef(RetryBudget.Current)
      const arrivedAt = (call === undefined ? undefined : this.arrivals.get(call)) ?? came
      const deadline = fiber.getRef(Deadline.Current)
      const asking = {
        need: State.countsTokens(line.state) ? need() : State.oneRequest,
        priority: fiber.getRef(Caller.Current).priority,
        arrivedAt,
        deadline
      }
      const { shared } = this
      const turn = line.enter(asking, restore)
      // Who goes at once has not waited, also when the clock has moved on.
      const goesAtOnce = Exit.isExit(turn)
      return Effect.flatMap(turn, (ticket) => {
        const passage: Passage = { line, ticket, arrivedAt, hasHeard: false }
        if (shared === undefined) return goesAtOnce ? Effect.succeed(passage) : this.entered(passage, came)
        const left = Math.max(0, this.settings.maxWaitMillis - (this.clock.currentTimeMillisUnsafe() - came))
        const confirmed = shared.confirm(line, ticket, deadline, left, restore)
        return Effect.flatMap(confirmed, () => this.entered(passage, came))
      })
    })
  }

  /** Takes in the headers of the response to a call, as soon as they are there. */
  hear(passage: Passage, headers: Readonly<Record<string, unknown>> | undefined): void {
    if (!this.learns || passage.hasHeard || headers === undefined) return
    passage.hasHeard = true
    const told = this.told(headers)
    if (told.length > 0) passage.line.update((state, now) => State.learn(state, told, passage.ticket, now))
  }

  /** The listener that hears the headers of a call, before those further out do. */
  ear(passage: Passage) {
    return (outer: ((headers: ResponseHeaders.Headers) => void) | undefined) =>
      this.learns ? ResponseHeaders.heardBy(outer, (headers) => this.hear(passage, headers)) : outer
  }

  /** Takes in how a call has ended. */
  ended(passage: Passage, outcome: Outcome): Effect.Effect<void> {
    return Effect.withFiber((fiber) => {
      const { line, ticket } = passage
      const { headers, rejected, retryAfter } = outcome
      this.hear(passage, headers)
      const retryAfterMillis = retryAfter === undefined ? undefined : Duration.toMillis(retryAfter)
      if (rejected === true) {
        const call = fiber.getRef(RetryBudget.Current)
        if (call !== undefined) this.arrivals.set(call, passage.arrivedAt)
        const draw = fiber.getRef(Random.Random).nextDoubleUnsafe()
        const told = headers === undefined ? [] : this.told(headers)
        line.update((state, now) => State.reject(state, { retryAfterMillis, told, draw }, ticket, now))
        const { shared } = this
        if (shared === undefined) return Effect.void
        // What it took stays taken of the requests, and nothing was used of the tokens.
        return Effect.andThen(
          shared.pause(line, line.state.pausedUntil - line.now),
          shared.giveBack(line, line.state.buckets, { ...ticket.need, requests: 0 })
        )
      }
      if (retryAfterMillis !== undefined) line.update((state, now) => State.pause(state, retryAfterMillis, now))
      if (ticket.need === State.oneRequest) return Effect.void
      const used = usedBy(ticket.need, outcome)
      line.update((state, now) => State.settle(state, ticket, used, now))
      return this.shared?.giveBack(line, line.state.buckets, State.subtract(ticket.need, used)) ?? Effect.void
    })
  }

  get health(): PolicyHealth.RateLimitHealth {
    const now = this.clock.currentTimeMillisUnsafe()
    const keys = Array.from(this.lines.values(), (line) => ({
      key: line.key,
      waiting: line.size,
      pausedMillis: Math.max(0, line.state.pausedUntil - now),
      limits: State.limits(line.state, now)
    }))
    const scores = keys.map(({ pausedMillis, waiting }) => (pausedMillis > 0 ? 0 : waiting > 0 ? 50 : 100))
    return {
      _tag: "RateLimit",
      keys,
      storeAvailable: this.shared?.isAvailable,
      score: Math.min(100, ...scores)
    }
  }

  private entered(passage: Passage, came: number): Effect.Effect<Passage> {
    const millis = this.clock.currentTimeMillisUnsafe() - came
    return millis > 0
      ? Effect.as(CallTrail.record({ _tag: "Waited", policy: "RateLimit", millis }), passage)
      : Effect.succeed(passage)
  }

  private told(headers: Readonly<Record<string, unknown>>): ReadonlyArray<Told> {
    return this.learns ? fromHeaders(headers, this.clock.currentTimeMillisUnsafe()) : []
  }

  private lineOf(key: string): Line {
    const known = this.lines.get(key)
    if (known !== undefined) {
      // Moved to the end, where the latest are; with a single key it is there already.
      if (this.lines.size > 1) {
        this.lines.delete(key)
        this.lines.set(key, known)
      }
      return known
    }
    for (const [oldest, line] of this.lines) {
      if (this.lines.size < maxKeys) break
      if (line.size === 0) this.lines.delete(oldest)
    }
    const now = this.clock.currentTimeMillisUnsafe()
    const state = State.make(this.settings.buckets(now), this.learns, now, this.settings.burst)
    const line = new Line(key, state, this.settings, this.clock, this.shared !== undefined)
    this.lines.set(key, line)
    return line
  }
}

const usedBy = (need: State.Need, outcome: Outcome): State.Need => {
  const inputTokens = known(outcome.inputTokens) ?? need.inputTokens
  const outputTokens = known(outcome.outputTokens) ?? need.outputTokens
  return { requests: need.requests, tokens: inputTokens + outputTokens, inputTokens, outputTokens }
}

// What a provider says it used may be no number of tokens.
const known = (tokens: number | undefined) =>
  tokens !== undefined && tokens >= 0 && tokens < Infinity ? tokens : undefined
