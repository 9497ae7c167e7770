/**
 * How much an answer may be, so that no server can fill the memory or block the thread.
 */
import { Predicate } from "effect"
import type * as OptionCheck from "../../core/OptionCheck.ts"

/** Limits on answers. An answer beyond one fails with an `InvalidResponseError` whose metadata names the limit. */
export interface Limits {
  /** Most bytes of one answer, unpacked. Default 64 MiB. */
  readonly maxBytes?: number | undefined
  /** Most characters of one event of a stream. Default 16 Mi: an image may come as one event. */
  readonly maxEventSize?: number | undefined
  /** Most bytes to read of an answer that says no. Default 64 KiB; what is behind them is not looked at. */
  readonly maxErrorBytes?: number | undefined
  /** How deeply tool parameters and unknown fields may be nested. Default 64. */
  readonly maxDepth?: number | undefined
  /** Most tool calls of one answer. Default 512. */
  readonly maxToolCalls?: number | undefined
}

export const defaults = {
  maxBytes: 64 * 2 ** 20,
  maxEventSize: 16 * 2 ** 20,
  maxErrorBytes: 64 * 2 ** 10,
  maxDepth: 64,
  maxToolCalls: 512
} as const satisfies Limits

export type Resolved = { readonly [K in keyof typeof defaults]: number }

/** Fills in what was not said, and throws a `RangeError` for what makes no sense. */
export const resolve = (limits: Limits, check: OptionCheck.OptionCheck): Resolved => {
  check.fields(limits, fields, "limits")
  const of = (name: keyof Resolved): number => check.whole(`limits.${name}`, limits[name] ?? defaults[name], 1)
  return {
    maxBytes: of("maxBytes"),
    maxEventSize: of("maxEventSize"),
    maxErrorBytes: of("maxErrorBytes"),
    maxDepth: of("maxDepth"),
    maxToolCalls: of("maxToolCalls")
  }
}

const fields: OptionCheck.Fields<Limits> = {
  maxBytes: true,
  maxEventSize: true,
  maxErrorBytes: true,
  maxDepth: true,
  maxToolCalls: true
}

/** Whether a JSON value is nested at most so deeply. Looks no deeper than that. */
export const isWithin = (value: unknown, depth: number): boolean => {
  if (!Predicate.isObjectOrArray(value)) return true
  if (depth === 0) return false
  for (const key in value) {
    // The keys are the value's own: it was made by JSON.parse.
    if (!isWithin((value as Readonly<Record<string, unknown>>)[key], depth - 1)) return false
  }
  return true
}
