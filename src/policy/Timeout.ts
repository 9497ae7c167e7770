/**
 * Ends a call that takes too long, with a typed error that names the clock.
 *
 * Five clocks: until the response headers, until the first content, between two pieces of content, one attempt, the
 * whole call. The work is interrupted and its finalizers have run when the error arrives: the socket is closed, permits
 * are back.
 */
import { type Duration, Effect, Exit, Fiber, Stream } from "effect"
import * as Monotonic from "../core/Monotonic.ts"
import * as Deadline from "../core/call/Deadline.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as PolicyReason from "../core/call/PolicyReason.ts"
import * as ResponseHeaders from "../core/call/ResponseHeaders.ts"
import * as PolicyKind from "../core/call/PolicyKind.ts"
import { AttemptClocks, failures, type Settings } from "./timeout/AttemptClocks.ts"
import * as StreamClock from "./timeout/StreamClock.ts"

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
export const overall = (limit: Duration.Input): PolicyKind.Of<"Timeout.overall"> => {
  const millis = check.millis("overall", limit, endless)
  const { expired, orElse } = failures("overall", millis)
  return PolicyKind.of("Timeout.overall", (next) =>
    Effect.succeed({
      ...next,
      generateText: (request) => toldWithin(next.generateText(request), millis, orElse),
      streamText: (request) =>
        StreamClock.limit(
          next.streamText(request),
          (start) => ({ until: () => start + millis, expired }),
          (start) => Effect.updateService(Deadline.Current, (outer) => Deadline.earlier(outer, start + millis))
        )
    })
  )
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
export const perAttempt = (limits: Duration.Input | AttemptLimits): PolicyKind.Of<"Timeout.perAttempt"> => {
  const given = isLimits(limits) ? limits : { attempt: limits }
  const settings = resolve(given)
  const { orElse } = failures("attempt", settings.attempt)
  return PolicyKind.of("Timeout.perAttempt", (next) =>
    Effect.succeed({
      ...next,
      generateText: (request) =>
        settings.attempt === Infinity
          ? next.generateText(request)
          : within(next.generateText(request), settings.attempt, orElse),
      streamText: (request) =>
        Stream.suspend(() => {
          const clocks = new AttemptClocks(settings)
          return StreamClock.limit(
            next.streamText(request),
            (now) => clocks.start(now),
            () =>
              Effect.updateService(ResponseHeaders.Listener, (outer) =>
                ResponseHeaders.heardBy(outer, () => clocks.headersArrived())
              )
          )
        })
    })
  )
}

/**
 * Limits any effect, and everything that is tried, waited and queued for inside of it.
 *
 * As {@link overall} it tells what is inside how much time is left. Fails with the `PolicyReason` `TimedOut` itself, clock
 * `overall`, when the effect has been interrupted and has ended.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { Timeout } from "holdfast/policy"
 *
 * const query = Effect.never.pipe(Timeout.effect("10 millis"))
 * const { _tag, afterMillis } = await Effect.runPromise(Effect.flip(query))
 * const timedOut = [_tag, afterMillis] // => ["TimedOut", 10]
 * ```
 */
export const effect = (limit: Duration.Input) => {
  const millis = check.millis("limit", limit, endless)
  const { expired } = failures("overall", millis)
  return <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | TimedOut, R> =>
    toldWithin(self, millis, () => Effect.fail(PolicyReason.toError(expired())))
}

/** What an effect fails with whose time was up. */
export type TimedOut = typeof PolicyReason.TimedOut.Type & Error

/** Limits an effect, and tells it so. */
const toldWithin = <A, E, R, E2>(
  self: Effect.Effect<A, E, R>,
  millis: number,
  orElse: () => Effect.Effect<never, E2>
): Effect.Effect<A, E | E2, R> =>
  Effect.flatMap(Monotonic.millis, (now) =>
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

const isLimits = (limits: Duration.Input | AttemptLimits): limits is AttemptLimits =>
  OptionCheck.isPlain(limits) && !OptionCheck.isDuration(limits as Duration.Input) // Which of both it is, is asked here.

const resolve = (limits: AttemptLimits): Settings => {
  check.fields(limits, fields)
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

const fields: OptionCheck.Fields<AttemptLimits> = {
  headers: true,
  firstToken: true,
  idle: true,
  attempt: true,
  tokensPerSecond: true
}

const endless = { endless: true } as const
