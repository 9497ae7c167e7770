/**
 * Names the options of whatever lets calls through a gate, and their defaults.
 */
import { Duration } from "effect"

export interface Options {
  /** Calls that may wait for their turn; one more is refused. Default 10,000. */
  readonly maxWaiting?: number | undefined
  /** Calls of one tenant (`Caller.as`) that are let through at a time. Those of no tenant are not limited. Default: all. */
  readonly keyConcurrency?: number | undefined
  /** How long a call waits to gain one point of priority over newcomers. Default 1 minute. */
  readonly aging?: Duration.Input | undefined
  /** The longest wait for a turn; a call that has waited for so long is refused. Default: none. */
  readonly maxWait?: Duration.Input | undefined
}

export const defaults = { maxWaiting: 10_000, aging: "1 minute" } as const

/** The options, decided and in milliseconds. */
export interface Settings {
  readonly policy: "AdaptiveLimit" | "Bulkhead"
  readonly maxWaiting: number
  readonly keyConcurrency: number
  readonly agingMillis: number
  readonly maxWaitMillis: number
}

/** Fills in the defaults. Throws a `RangeError` that names the option which is out of range. */
export const resolve = (policy: Settings["policy"], options: Options): Settings => ({
  policy,
  maxWaiting: whole(policy, "maxWaiting", 0, options.maxWaiting ?? defaults.maxWaiting),
  keyConcurrency:
    options.keyConcurrency === undefined ? Infinity : whole(policy, "keyConcurrency", 1, options.keyConcurrency),
  agingMillis: positive(policy, "aging", options.aging ?? defaults.aging),
  maxWaitMillis: options.maxWait === undefined ? Infinity : positive(policy, "maxWait", options.maxWait)
})

/** Rejects an option that is not a whole number of at least `atLeast`. */
export const whole = (policy: string, name: string, atLeast: number, value: number): number => {
  if (Number.isSafeInteger(value) && value >= atLeast) return value
  throw new RangeError(`${policy} option ${name} must be a whole number of at least ${atLeast}, got ${value}`)
}

/** Rejects an option that is not longer than zero. */
export const positive = (policy: string, name: string, input: Duration.Input): number => {
  const millis = Duration.toMillis(input)
  if (millis > 0) return millis
  throw new RangeError(`${policy} option ${name} must be longer than zero, got ${millis} ms`)
}
