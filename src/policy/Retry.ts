/**
 * Tries again what failed for a moment, and only that.
 *
 * The wait before attempt n is drawn evenly from zero to `min(cap, base × 2^(n-1))`, "full jitter" in
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ , so that callers who failed together do
 * not come back together. When the provider says when to come back (Retry-After), that time is the least: the draw is
 * added to it.
 */
import { Duration, Effect, Option, Random, Schema, Stream } from "effect"
import type { AiError, Response } from "effect/ai"
import type { Policy } from "../provider/ModelProvider.ts"

export interface Options {
  /** Attempts after the first. Default 3. */
  readonly times?: number | undefined
  /** The longest wait before the first retry; it doubles with each. Default 200 milliseconds. */
  readonly base?: Duration.Input | undefined
  /** What the longest wait never exceeds. Default 10 seconds. */
  readonly cap?: Duration.Input | undefined
  /** The longest Retry-After to wait for; a longer one fails the call at once. Default 1 minute. */
  readonly maxRetryAfter?: Duration.Input | undefined
}

export const defaults = {
  times: 3,
  base: "200 millis",
  cap: "10 seconds",
  maxRetryAfter: "1 minute"
} as const

/** What to know of an error to decide on a retry. */
export interface Failure {
  readonly retryable: boolean
  /** The wait the other side asked for. */
  readonly retryAfter: Duration.Duration | undefined
}

/**
 * Retries transient errors of a model call: those `AiError` calls retryable, such as rate limits, overload, 5xx and
 * lost connections. Quota, authentication, content policy and invalid requests fail at once.
 *
 * When the attempts are used up the last error is returned as it is. A stream is retried only until its first content
 * has been passed on, so text is never repeated. Interrupting a back-off ends the call at once.
 */
export const transient = (options: Options = {}): Policy => {
  const settings = resolve(options)
  return (next) => {
    const streamText: typeof next.streamText = (request) => {
      const attempt = (retries: number): ReturnType<typeof next.streamText> =>
        Stream.suspend(() => {
          let started = false
          return next.streamText(request).pipe(
            untilContent(() => {
              started = true
            }),
            Stream.catch((error) =>
              Stream.unwrap(
                Effect.flatMap(Random.next, (draw) => {
                  const wait = started ? undefined : delay(settings, describe(error), retries, draw)
                  return wait === undefined ? Effect.fail(error) : Effect.as(Effect.sleep(wait), attempt(retries + 1))
                })
              )
            )
          )
        })
      return attempt(0)
    }
    return Effect.succeed({
      ...next,
      generateText: (request) => retrying(next.generateText(request), settings, describe),
      streamText
    })
  }
}

/**
 * Retries any effect whose errors `describe` calls retryable.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { Retry } from "holdfast/policy"
 *
 * let attempts = 0
 * const flaky = Effect.suspend(() => (++attempts < 3 ? Effect.fail("busy") : Effect.succeed(attempts)))
 * const retried = Retry.effect((error: string) => ({ retryable: error === "busy", retryAfter: undefined }), {
 *   base: "1 millis"
 * })
 * await Effect.runPromise(retried(flaky)) // => 3
 * ```
 */
export const effect = <E>(describe: (error: E) => Failure, options: Options = {}) => {
  const settings = resolve(options)
  return <A, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => retrying(self, settings, describe)
}

/**
 * Says how long to wait before trying again after `retries` retries, or that there is no point (`undefined`).
 *
 * `draw` is a random number from 0 to 1.
 */
export const delay = (
  settings: Settings,
  { retryAfter, retryable }: Failure,
  retries: number,
  draw: number
): Duration.Duration | undefined => {
  if (!retryable || retries >= settings.times) return undefined
  const atLeast = retryAfter === undefined ? 0 : Duration.toMillis(retryAfter)
  if (atLeast > settings.maxRetryAfterMillis) return undefined
  return Duration.millis(atLeast + draw * Math.min(settings.capMillis, settings.baseMillis * 2 ** retries))
}

/** The options, decided and in milliseconds. */
export interface Settings {
  readonly times: number
  readonly baseMillis: number
  readonly capMillis: number
  readonly maxRetryAfterMillis: number
}

/** Fills in the defaults. Rejects a number of times that is not whole and positive or zero with a `RangeError`. */
export const resolve = (options: Options): Settings => {
  const times = options.times ?? defaults.times
  if (!Number.isSafeInteger(times) || times < 0) {
    throw new RangeError(`Retry option times must be a whole number of at least 0, got ${times}`)
  }
  return {
    times,
    baseMillis: Duration.toMillis(options.base ?? defaults.base),
    capMillis: Duration.toMillis(options.cap ?? defaults.cap),
    maxRetryAfterMillis: Duration.toMillis(options.maxRetryAfter ?? defaults.maxRetryAfter)
  }
}

// Only a rate limit has a field for the wait; what a provider asked for with any other error is in its metadata.
const RetryAfterMetadata = Schema.Struct({ provider: Schema.Struct({ retryAfterMillis: Schema.Finite }) })
const decodeRetryAfter = Schema.decodeUnknownOption(RetryAfterMetadata)

const describe = (error: AiError.AiError): Failure => ({
  retryable: error.isRetryable,
  retryAfter:
    error.retryAfter ??
    decodeRetryAfter("metadata" in error.reason ? error.reason.metadata : {}).pipe(
      Option.map(({ provider }) => Duration.millis(provider.retryAfterMillis)),
      Option.getOrUndefined
    )
})

const retrying = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  settings: Settings,
  describe: (error: E) => Failure
): Effect.Effect<A, E, R> => {
  const attempt = (retries: number): Effect.Effect<A, E, R> =>
    Effect.catch(self, (error) =>
      Effect.flatMap(Random.next, (draw) => {
        const wait = delay(settings, describe(error), retries, draw)
        return wait === undefined ? Effect.fail(error) : Effect.delay(attempt(retries + 1), wait)
      })
    )
  return attempt(0)
}

// Holds back the parts that may come before any content, so that a failed attempt leaves no trace in the stream.
const untilContent =
  (onContent: () => void) =>
  <E, R>(self: Stream.Stream<Response.StreamPartEncoded, E, R>): Stream.Stream<Response.StreamPartEncoded, E, R> => {
    let held: Array<Response.StreamPartEncoded> | undefined = []
    const release = (parts: ReadonlyArray<Response.StreamPartEncoded>): ReadonlyArray<Response.StreamPartEncoded> => {
      if (held === undefined) return parts
      held.push(...parts)
      if (!parts.some(isContent)) return []
      const ready = held
      held = undefined
      onContent()
      return ready
    }
    return Stream.flattenIterable(Stream.mapArray(self, (parts) => [release(parts)]))
  }

const isContent = (part: Response.StreamPartEncoded): boolean => {
  switch (part.type) {
    case "response-metadata":
    case "text-start":
    case "reasoning-start":
      return false
    case "text-delta":
    case "reasoning-delta":
      return part.delta.length > 0
    default:
      return true
  }
}
