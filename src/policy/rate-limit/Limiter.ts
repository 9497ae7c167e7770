/**
 * Lets calls through by key, and learns from how they end: the part of a rate limit that acts.
 */
import { type Clock, Duration, Effect, Exit, Random } from "effect"
import type { AiError } from "effect/ai"
import * as Monotonic from "../../core/Monotonic.ts"
import * as AttemptAllowance from "../../core/call/AttemptAllowance.ts"
import * as Caller from "../../core/call/Caller.ts"
import * as CallTrail from "../../core/call/CallTrail.ts"
import * as Deadline from "../../core/call/Deadline.ts"
import * as Patience from "../../core/call/Patience.ts"
import type * as PolicyHealth from "../../core/call/PolicyHealth.ts"
import * as ResponseHeaders from "../../core/call/ResponseHeaders.ts"
import { KeptKeys } from "../../core/window/KeptKeys.ts"
import type { Verdict } from "../../core/call/Verdict.ts"
import { fromHeaders, readHeaders } from "./Headers.ts"
import type { Restore } from "../../core/Restore.ts"
import { CallQueue, type Refusal } from "./CallQueue.ts"
import type { Settings } from "./Settings.ts"
import type { SharedLimits } from "./SharedLimits.ts"
import * as State from "./State.ts"

/** What a call that has ended says of limits, and what it used; what is undefined was not said. */
export interface Reported {
  /** The headers of its response; names in lower case. */
  readonly headers?: Readonly<Record<string, unknown>> | undefined
  /** The tokens it used; the estimate stands for what is not said. */
  readonly inputTokens?: number | undefined
  readonly outputTokens?: number | undefined
}

/** How a call has ended. `busy`: it was rejected by a rate limit. */
export interface Ending extends Reported {
  /** Whether it was never sent, so that it took nothing. */
  readonly isUnsent?: boolean | undefined
  /** None of a call that succeeded, was interrupted or died. */
  readonly verdict?: Verdict | undefined
}

/** A call that was let through. */
export interface Permit {
  readonly queue: CallQueue
  readonly taken: State.Taken
  readonly arrivedAt: number
  /** Whether its headers have been heard already. */
  hasHeard: boolean
}

export class Limiter {
  private readonly queues: KeptKeys<CallQueue>
  /** When calls that were rejected had come first. */
  private readonly arrivals = new WeakMap<AttemptAllowance.Allowance, number>()
  private readonly settings: Settings
  private readonly othersKey: string
  private readonly learns: boolean
  private readonly clock: Clock.Clock
  private readonly shared: SharedLimits | undefined
  private readonly unlessLimited: AiError.AiError

  /** `othersKey` is what those share for whose keys there is no room; `unlessLimited`: what a call is refused with that is not to wait any longer. */
  constructor(
    settings: Settings,
    othersKey: string,
    learns: boolean,
    clock: Clock.Clock,
    shared: SharedLimits | undefined,
    unlessLimited: AiError.AiError
  ) {
    this.unlessLimited = unlessLimited
    this.settings = settings
    this.othersKey = othersKey
    this.queues = new KeptKeys(settings.maxKeys, (queue) => queue.isClear)
    this.learns = learns
    this.clock = clock
    this.shared = shared
  }

  /** Lets an effect through and sees how it ends. */
  pass<A, E, R, E2>(
    key: string,
    need: () => State.Need,
    refused: (refusal: Refusal) => E2,
    run: (permit: Permit) => Effect.Effect<A, E, R>,
    endingOf: (exit: Exit.Exit<A, E>) => Ending
  ): Effect.Effect<A, E | E2, R> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Effect.mapError(this.acquire(key, need, restore), refused), (permit) =>
        Effect.onExit(restore(run(permit)), (exit) => this.release(permit, endingOf(exit)))
      )
    )
  }

  /**
   * Waits until a call may go. Whoever gets the permit must see to it that its end is told with {@link release}; so nothing
   * may be interrupted here but what `restore` is put around.
   */
  acquire(key: string, need: () => State.Need, restore: Restore): Effect.Effect<Permit, Refusal> {
    return Effect.withFiber((fiber) => {
      const queue = this.queueOf(key)
      const came = Monotonic.millisUnsafe(this.clock)
      const call = fiber.getRef(AttemptAllowance.Current)
      const arrivedAt = (call === undefined ? undefined : this.arrivals.get(call)) ?? came
      const deadline = fiber.getRef(Deadline.Current)
      const asking = {
        need: State.countsTokens(queue.state) ? need() : State.oneRequest,
        priority: fiber.getRef(Caller.Current).priority,
        arrivedAt,
        deadline,
        patience: () => Patience.leftMillis(fiber, this.unlessLimited)
      }
      const { shared } = this
      const turn = queue.acquire(asking, restore)
      // Who goes at once has not waited, also when the clock has moved on.
      const goesAtOnce = Exit.isExit(turn)
      return Effect.flatMap(turn, (taken) => {
        const permit: Permit = { queue, taken, arrivedAt, hasHeard: false }
        // Counted before it is confirmed: its queue must stay until it has ended.
        queue.calls++
        if (shared === undefined) return goesAtOnce ? Effect.succeed(permit) : this.entered(permit, came)
        const ofOption = Math.max(0, this.settings.maxWaitMillis - (Monotonic.millisUnsafe(this.clock) - came))
        const left = Math.min(ofOption, asking.patience())
        const confirmed = shared.confirm(queue, taken, deadline, left, restore)
        return Effect.flatMap(
          Effect.onError(confirmed, () => Effect.sync(() => queue.calls--)),
          () => this.entered(permit, came)
        )
      })
    })
  }

  /** Takes in the headers of the response to a call, as soon as they are there. */
  hear(permit: Permit, headers: Readonly<Record<string, unknown>> | undefined): void {
    if (!this.learns || permit.hasHeard || headers === undefined) return
    permit.hasHeard = true
    const { told, unreadable } = readHeaders(headers, this.clock.currentTimeMillisUnsafe())
    permit.queue.unreadable = unreadable
    if (told.length > 0) permit.queue.update((state, now) => State.learn(state, told, permit.taken, now))
  }

  /** The listener that hears the headers of a call, before those further out do. */
  ear(permit: Permit) {
    return (outer: ((headers: ResponseHeaders.Headers) => void) | undefined) =>
      this.learns ? ResponseHeaders.heardBy(outer, (headers) => this.hear(permit, headers)) : outer
  }

  /** Takes in how a call has ended. */
  release(permit: Permit, ending: Ending): Effect.Effect<void> {
    return Effect.withFiber((fiber) => {
      const { queue, taken } = permit
      const { headers, verdict } = ending
      queue.calls--
      this.hear(permit, headers)
      const asked = verdict?.blame === "busy" || verdict?.blame === "fault" ? verdict.retryAfter : undefined
      const retryAfterMillis = asked === undefined ? undefined : Duration.toMillis(asked)
      if (ending.isUnsent === true) {
        queue.update((state, now) => State.undo(state, taken, now))
        return this.shared?.giveBack(queue, queue.state.buckets, taken.need) ?? Effect.void
      }
      if (verdict?.blame === "busy") {
        const call = fiber.getRef(AttemptAllowance.Current)
        if (call !== undefined) this.arrivals.set(call, permit.arrivedAt)
        const draw = fiber.getRef(Random.Random).nextDoubleUnsafe()
        const told =
          headers === undefined || !this.learns ? [] : fromHeaders(headers, this.clock.currentTimeMillisUnsafe())
        queue.update((state, now) => State.reject(state, { retryAfterMillis, told, draw }, taken, now))
        const { shared } = this
        if (shared === undefined) return Effect.void
        // What it took stays taken of the requests, and nothing was used of the tokens.
        return Effect.andThen(
          shared.pause(queue, queue.state.pausedUntil - queue.now),
          shared.giveBack(queue, queue.state.buckets, { ...taken.need, requests: 0 })
        )
      }
      if (retryAfterMillis !== undefined) queue.update((state, now) => State.pause(state, retryAfterMillis, now))
      if (taken.need === State.oneRequest) return Effect.void
      const used = usedBy(taken.need, ending)
      queue.update((state, now) => State.settle(state, taken, used, now))
      return this.shared?.giveBack(queue, queue.state.buckets, State.subtract(taken.need, used)) ?? Effect.void
    })
  }

  get now(): number {
    return Monotonic.millisUnsafe(this.clock)
  }

  get health(): PolicyHealth.RateLimitHealth {
    const now = Monotonic.millisUnsafe(this.clock)
    const keys = this.queues.values.map((queue) => ({
      key: queue.key,
      waiting: queue.size,
      pausedMillis: Math.ceil(Math.max(0, queue.state.pausedUntil - now)),
      limits: State.limits(queue.state, now),
      unreadable: queue.unreadable
    }))
    const scores = keys.map(({ pausedMillis, waiting }) => (pausedMillis > 0 ? 0 : waiting > 0 ? 50 : 100))
    return {
      _tag: "RateLimit",
      keys,
      storeAvailable: this.shared?.isAvailable,
      score: Math.min(100, ...scores)
    }
  }

  private entered(permit: Permit, came: number): Effect.Effect<Permit> {
    const millis = Math.round(Monotonic.millisUnsafe(this.clock) - came)
    return millis > 0
      ? Effect.as(CallTrail.record({ _tag: "Waited", policy: "RateLimit", millis }), permit)
      : Effect.succeed(permit)
  }

  private queueOf(key: string): CallQueue {
    const place = this.queues.placeOf(key)
    const known = this.queues.get(place)
    if (known !== undefined) return known
    const now = Monotonic.millisUnsafe(this.clock)
    // Who gets a queue now may have used up what others share: it begins with what is left of that.
    const state =
      this.queues.shared?.state ?? State.make(this.settings.buckets(now), this.learns, now, this.settings.burst)
    const queue = new CallQueue(place ?? this.othersKey, state, this.settings, this.clock, this.shared !== undefined)
    this.queues.set(place, queue)
    return queue
  }
}

const usedBy = (need: State.Need, ending: Ending): State.Need => {
  const inputTokens = known(ending.inputTokens) ?? need.inputTokens
  const outputTokens = known(ending.outputTokens) ?? need.outputTokens
  return { requests: need.requests, tokens: inputTokens + outputTokens, inputTokens, outputTokens }
}

// What a provider says it used may be no number of tokens.
const known = (tokens: number | undefined) =>
  tokens !== undefined && tokens >= 0 && tokens < Infinity ? tokens : undefined
