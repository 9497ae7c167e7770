/**
 * Names the options of whatever lets calls through a gate, and their defaults.
 */
import type { Duration } from "effect"
import * as OptionCheck from "../../core/OptionCheck.ts"

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

export const fields: OptionCheck.Fields<Options> = {
  maxWaiting: true,
  keyConcurrency: true,
  aging: true,
  maxWait: true
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
export const resolve = (policy: Settings["policy"], options: Options): Settings => {
  const check = OptionCheck.of(policy)
  const { keyConcurrency } = options
  return {
    policy,
    maxWaiting: check.whole("maxWaiting", options.maxWaiting ?? defaults.maxWaiting, 0),
    keyConcurrency: keyConcurrency === undefined ? Infinity : check.whole("keyConcurrency", keyConcurrency, 1),
    agingMillis: check.millis("aging", options.aging ?? defaults.aging),
    maxWaitMillis:
      options.maxWait === undefined ? Infinity : check.millis("maxWait", options.maxWait, { endless: true })
  }
}
