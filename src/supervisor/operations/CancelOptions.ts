/**
 * Names what can be said when a job is cancelled.
 */
import * as OptionCheck from "../../core/OptionCheck.ts"
import * as SafeText from "../../core/SafeText.ts"
import { maxText } from "./SubmitOptions.ts"

/** How a job is cancelled. Of each text the first 1,000 characters are kept. */
export interface Options {
  /** Why, for people. Default `cancelled`. */
  readonly reason?: string | undefined
  /** Who asks: a person, a service. The job in which it is asked is known by itself. Default: nobody in particular. */
  readonly by?: string | undefined
}

/**
 * Reads the options once, with their defaults; `others` are those that somebody else reads. Throws a `RangeError` that names
 * the option which is no text, or does not exist.
 */
export const read = (
  owner: string,
  options: Options = {},
  others: Readonly<Record<string, true>> = {}
): Options & { readonly reason: string } => {
  const check = OptionCheck.of(owner)
  check.fields(options, { ...fields, ...others })
  const { by, reason = "cancelled" } = options
  check.text("reason", reason)
  if (by !== undefined) check.text("by", by)
  return { by: by === undefined ? undefined : SafeText.cut(by, maxText), reason: SafeText.cut(reason, maxText) }
}

const fields: OptionCheck.Fields<Options> = { reason: true, by: true }
