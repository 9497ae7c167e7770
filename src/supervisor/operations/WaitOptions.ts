/**
 * Names what can be said of a wait, and reads it.
 */
import { Duration } from "effect"
import * as OptionCheck from "../../core/OptionCheck.ts"

/** How a job is waited for. */
export interface Options {
  /** How long to wait at most. Default without limit. */
  readonly limit?: Duration.Input | undefined
}

/** Reads the options once. Throws a `RangeError` that names what makes no sense, or does not exist. */
export const read = (owner: string, options: Options = {}): { readonly limit: Duration.Duration | undefined } => {
  OptionCheck.of(owner).fields(options, { limit: true })
  return { limit: options.limit === undefined ? undefined : limitOf(owner, options.limit) }
}

/** Reads a limit. Throws a `RangeError` that names it when it makes no sense. */
export const limitOf = (owner: string, limit: Duration.Input): Duration.Duration =>
  Duration.millis(OptionCheck.of(owner).millis("limit", limit, { atLeast: 0, endless: true }))
