/**
 * The options of every store, checked.
 */
import type { ByteSize, Duration } from "effect"
import * as OptionCheck from "../../core/OptionCheck.ts"
import type { Settings } from "./Core.ts"

export interface Options {
  /** For how long a claim is held without being renewed; longer, and its worker counts as lost. Default 15 seconds. */
  readonly lease?: Duration.Input | undefined
  /** How long a job waits to stand level with one that is a point of priority more urgent. Default 1 minute. */
  readonly aging?: Duration.Input | undefined
  /** A job with which so many workers in a row are lost has failed: it may be what ends them. Default 3. */
  readonly maxLost?: number | undefined
  /** The longest payload, result, error, progress, report or step, as UTF-8. Default 1 MiB. */
  readonly maxTextBytes?: ByteSize.Input | undefined
}

/** What holds where {@link Options} say nothing. */
export const defaults = { lease: "15 seconds", aging: "1 minute", maxLost: 3, maxTextBytes: "1 MiB" } as const

export interface Checked extends Settings {
  readonly maxTextBytes: number
}

export const fields: OptionCheck.Fields<Options> = { lease: true, aging: true, maxLost: true, maxTextBytes: true }

/** Checks the options of a store, whose `owner` is named where one of them makes no sense. */
export const settingsOf = (owner: string, options: Options): Checked => {
  const check = OptionCheck.of(owner)
  const { aging = defaults.aging, lease = defaults.lease, maxLost = defaults.maxLost, maxTextBytes } = options
  return {
    leaseMillis: check.millis("lease", lease),
    agingMillis: check.millis("aging", aging),
    maxLost: check.whole("maxLost", maxLost, 1),
    maxTextBytes: check.bytes("maxTextBytes", defaults.maxTextBytes, maxTextBytes)
  }
}
