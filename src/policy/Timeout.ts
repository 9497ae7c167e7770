/**
 * Ends a call that takes too long, with a typed error that names the clock.
 *
 * Five clocks: until the response headers, until the first content, between two pieces of content, one attempt, the
 * whole call. The work is interrupted and its finalizers have run when the error arrives: the socket is closed, permits
 * are back.
 */
import { Clock, type Duration, Effect, Exit, Fiber, Stream } from "effect"
import * as CallTrail from "../core/CallTrail.ts"
import * as Content from "../core/stream/Content.ts"
import * as Deadline from "../core/call/Deadline.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as PolicyReason from "../core/call/PolicyReason.ts"
import * as ResponseHeaders from "../core/call/ResponseHeaders.ts"
import type { Policy } from "../core/call/ModelProvider.ts"
import * as PullClock from "./timeout/StreamClock.ts"

/** The clocks of one attempt. Each that is not given does not run. */
export interface AttemptLimits {
  /** From sending a request for a stream to its response headers, connecting included. */
  readonly headers?: Duration.Input | undefined
  /** From sending a request for a stream to its first content. */
  readonly firstToken?: Duration.Input | undefined
  /** Between two pieces of a stream's content. */
  readonly idle?: Duration.Input | undefined
  /** From sending to the complete answer, or the last part of a stream. */
  readonly attempt?: Duration.Input | undefined
  /** What a stream must bring each second once its content has begun, over its first 5 seconds and from then on. */
  readonly tokensPerSecond?: number | undefined
}

/**
 * Limits the whole call: all attempts, waits and back-offs of the policies further in, and a stream to its last part.
 *
 * What is left of it is known to everything further in (`Deadline`), so that retries, queues and hedges do not begin what
 * cannot end in time. Fails with `PolicyReason` `TimedOut`, clock `overall`, which is not retryable. Put it outside of
 * `Retry`.
 */
export const overall = (limit: Duration.Input): Policy => {
  const millis = check.millis("overall", limit, endless)
  const { expired, orElse } = failures("overall", millis)
  return (next) =>
    Effect.succeed({
      ...next,
      generateText: (request) => toldWithin(next.generateText(request), millis, orElse),
      streamText: (request) =>
        PullClock.limit(
          next.streamText(request),
          (start) => ({ until: () => start + millis, expired }),
          (start) => Effect.updateService(Deadline.Current, (outer) => Deadline.earlier(outer, start + millis))
        )
    })
}

/**
 * Limits each attempt on its own: as a whole, given a duration, or by the clocks that are given.
 *
 * - Only content counts: comments, pings, starts of blocks and empty deltas neither end the wait for the first token nor
 *   that for the next.
 * - While a reader takes its time nothing runs but the `attempt` clock: a slow reader is not a slow provider.
 * - A call that is not streamed brings headers and content together at its end, and is limited by `attempt` alone.
 * - A provider that does not tell when headers arrive has them with its first part.
 * - Tokens are counted as characters / 4, the rule of thumb of
 *   https://help.openai.com/en/articles/4936856-what-are-tokens-and-how-to-count-them .
 *
 * Fails with `PolicyReason` `TimedOut` and the clock's name, or `TooSlow`; both are retryable. Put it inside of `Retry`.
 */
export const perAttempt = (limits: Duration.Input | AttemptLimits): Policy => {
  const given = isLimits(limits) ? limits : { attempt: limits }
  const settings = resolve(given)
  const { orElse } = failures("attempt", settings.attempt)
  return (next) =>
    Effect.succeed({
      ...next,
      generateText: (request) =>
        settings.attempt === Infinity
          ? next.generateText(request)
          : within(next.generateText(request), settings.attempt, orElse),
      streamText: (request) =>
        Stream.suspend(() => {
          const clocks = new AttemptClocks(settings)
          return PullClock.limit(
            next.streamText(request),
            (now) => clocks.start(now),
            () =>
              Effect.updateService(ResponseHeaders.Listener, (outer) =>
                ResponseHeaders.heardBy(outer, () => clocks.headersArrived())
              )
          )
        })
    })
}

/**
 * Limits any effect, and everything that is tried, waited and queued for inside of it.
 *
 * As {@link overall} it tells what is inside how much time is left. Fails with the plain `PolicyReason` `TimedOut`, clock
 * `overall`, when the effect has been interrupted and has ended.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { Timeout } from "holdfast/policy"
 *
 * const query = Effect.never.pipe(Timeout.effect("10 millis"))
 * await Effect.runPromise(Effect.flip(query)) // => { _tag: "TimedOut", clock: "overall", afterMillis: 10 }
 * ```
 */
export const effect = (limit: Duration.Input) => {
  const millis = check.millis("limit", limit, endless)
  const { expired } = failures("overall", millis)
  return <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | typeof PolicyReason.TimedOut.Type, R> =>
    toldWithin(self, millis, () => Effect.fail(expired()))
}

/** Limits an effect, and tells it so. */
const toldWithin = <A, E, R, E2>(
  self: Effect.Effect<A, E, R>,
  millis: number,
  orElse: () => Effect.Effect<never, E2>
): Effect.Effect<A, E | E2, R> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    within(
      Effect.updateService(self, Deadline.Current, (outer) => Deadline.earlier(outer, now + millis)),
      millis,
      orElse
    )
  )

/** As `Effect.timeoutOrElse`, but what is answered at once, as from a cache, costs no timer. */
const within = <A, E, R, E2>(
  self: Effect.Effect<A, E, R>,
  millis: number,
  orElse: () => Effect.Effect<never, E2>
): Effect.Effect<A, E | E2, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.forkChild(restore(self), { startImmediately: true }), (work) => {
      const exit = work.pollUnsafe()
      if (exit !== undefined) return exit
      return Effect.flatMap(Effect.forkChild(Effect.sleep(millis), { startImmediately: true }), (timer) => {
        const first = Effect.callback<A, E | E2>((resume) => {
          work.addObserver((ended) => resume(Effect.uninterruptible(Effect.andThen(Fiber.interrupt(timer), ended))))
          timer.addObserver((ended) => {
            if (Exit.isSuccess(ended)) resume(Effect.uninterruptible(Effect.andThen(Fiber.interrupt(work), orElse())))
          })
        })
        // Outside of what can be interrupted: also a call that was interrupted before it waited leaves nothing.
        return Effect.onInterrupt(restore(first), () => Effect.andThen(Fiber.interrupt(timer), Fiber.interrupt(work)))
      })
    })
  )

type ClockName = (typeof PolicyReason.TimedOut.Type)["clock"]

const failures = (clock: ClockName, afterMillis: number) => {
  const reason = { _tag: "TimedOut", clock, afterMillis } as const
  return {
    expired: () => reason,
    orElse: () => Effect.andThen(CallTrail.record(reason), Effect.fail(PolicyReason.toAiError("Timeout", reason)))
  }
}

const isLimits = (limits: Duration.Input | AttemptLimits): limits is AttemptLimits =>
  typeof limits === "object" && names.some((name) => name in limits)

const names = ["headers", "firstToken", "idle", "attempt", "tokensPerSecond"] as const

/** The limits in milliseconds, `Infinity` where there is none. */
type Settings = Readonly<Record<(typeof names)[number], number>>

const resolve = (limits: AttemptLimits): Settings => {
  const millis = (name: Exclude<keyof AttemptLimits, "tokensPerSecond">) =>
    limits[name] === undefined ? Infinity : check.millis(name, limits[name], endless)
  return {
    headers: millis("headers"),
    firstToken: millis("firstToken"),
    idle: millis("idle"),
    attempt: millis("attempt"),
    tokensPerSecond: check.number("tokensPerSecond", limits.tokensPerSecond ?? 0, { atLeast: 0 })
  }
}

const check = OptionCheck.of("Timeout")

const endless = { endless: true } as const

const charactersPerToken = 4

/** How long a stream's content flows before its speed is judged. */
const judgedAfterMillis = 5_000

/** What the clocks of one attempt read. */
class AttemptClocks implements PullClock.Clocks {
  private readonly settings: Settings
  private startedAt = 0
  private hasHeaders = false
  private hasContent = false
  // Time spent waiting for the provider, since the last content and since the first.
  private waitedMillis = 0
  private flowMillis = 0
  private characters = 0
  // The clock that ends first, and when.
  private nearest: (typeof names)[number] = "attempt"
  private nearestAt = Infinity

  constructor(settings: Settings) {
    this.settings = settings
  }

  start(now: number): this {
    this.startedAt = now
    return this
  }

  headersArrived(): void {
    this.hasHeaders = true
  }

  expired(pulledAt: number | undefined, now: number) {
    this.until(pulledAt)
    const clock = this.nearest
    if (clock !== "tokensPerSecond") return failures(clock, this.settings[clock]).expired()
    const seconds = (this.flowMillis + now - (pulledAt ?? now)) / 1000
    return {
      _tag: "TooSlow",
      tokensPerSecond: this.characters / charactersPerToken / seconds,
      atLeast: this.settings.tokensPerSecond
    } as const
  }

  readonly arrived = (parts: PullClock.Parts, pulledAt: number, now: number): void => {
    this.hasHeaders = true
    this.waitedMillis += now - pulledAt
    if (this.hasContent) this.flowMillis += now - pulledAt
    for (const part of parts) {
      if (!Content.isContent(part)) continue
      this.hasContent = true
      this.waitedMillis = 0
      if ("delta" in part) this.characters += part.delta.length
    }
  }

  // Asked for each part, so it makes nothing.
  until(pulledAt: number | undefined): number {
    const { attempt, firstToken, headers, idle, tokensPerSecond } = this.settings
    this.nearest = "attempt"
    this.nearestAt = this.startedAt + attempt
    if (pulledAt === undefined) return this.nearestAt
    if (!this.hasHeaders) this.consider("headers", this.startedAt + headers)
    if (!this.hasContent) this.consider("firstToken", pulledAt + firstToken - this.waitedMillis)
    else {
      this.consider("idle", pulledAt + idle - this.waitedMillis)
      if (tokensPerSecond > 0) {
        const enoughFor = (this.characters / charactersPerToken / tokensPerSecond) * 1000
        this.consider("tokensPerSecond", pulledAt + Math.max(judgedAfterMillis, enoughFor) - this.flowMillis)
      }
    }
    return this.nearestAt
  }

  private consider(clock: (typeof names)[number], at: number): void {
    if (at >= this.nearestAt) return
    this.nearest = clock
    this.nearestAt = at
  }
}
