/**
 * Counts the tokens of model calls.
 */
import { Predicate, Schema } from "effect"
import type { Response } from "effect/ai"

/** Tokens of one call or the sum over many. What a provider did not report counts as 0. */
export const Usage = Schema.Struct({
  /** All tokens sent, cached ones included. */
  inputTokens: Schema.Finite,
  /** The part of `inputTokens` that the provider read from its cache. */
  cachedInputTokens: Schema.Finite,
  /** All tokens received, reasoning included. */
  outputTokens: Schema.Finite,
  /** The part of `outputTokens` spent on reasoning. */
  reasoningTokens: Schema.Finite
})
export type Usage = typeof Usage.Type

/** The usage of nothing: the neutral element of {@link add}. */
export const empty: Usage = { inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, reasoningTokens: 0 }

/** Adds two usages, field by field. */
export const add = (self: Usage, that: Usage): Usage => ({
  inputTokens: self.inputTokens + that.inputTokens,
  cachedInputTokens: self.cachedInputTokens + that.cachedInputTokens,
  outputTokens: self.outputTokens + that.outputTokens,
  reasoningTokens: self.reasoningTokens + that.reasoningTokens
})

/**
 * Reads the usage from an answer's parts: that of its `finish` part, or {@link empty} when there is none.
 *
 * **Example**
 *
 * ```ts run
 * import { Usage } from "holdfast/core"
 *
 * Usage.fromParts([]).inputTokens // => 0
 * ```
 */
export const fromParts = (parts: ReadonlyArray<Response.PartEncoded | Response.StreamPartEncoded>): Usage => {
  const finish = parts.find((part) => part.type === "finish")
  return finish === undefined ? empty : fromFinish(finish)
}

/** Reads the usage of a `finish` part. */
export const fromFinish = (finish: Pick<Response.FinishPartEncoded, "usage">): Usage => ({ ...empty, ...said(finish) })

/** What a `finish` part says of its usage: without what was not said, or is no number of tokens. */
export const said = ({ usage }: Pick<Response.FinishPartEncoded, "usage">): Partial<Usage> => ({
  ...count("inputTokens", field(field(usage, "inputTokens"), "total")),
  ...count("cachedInputTokens", field(field(usage, "inputTokens"), "cacheRead")),
  ...count("outputTokens", field(field(usage, "outputTokens"), "total")),
  ...count("reasoningTokens", field(field(usage, "outputTokens"), "reasoning"))
})

/** A hundred times what the longest contexts hold: no answer took more. */
const most = 1_000_000_000

/**
 * Whether a server can mean this as a number of tokens. Some subtract or add what they do not know; one such number would use
 * up a budget for days, or give it back.
 */
export const isCount = (value: unknown): value is number =>
  Number.isInteger(value) && Number(value) >= 0 && Number(value) <= most

const count = (name: keyof Usage, value: unknown): Partial<Usage> => (isCount(value) ? { [name]: value } : {})

const field = (value: unknown, name: string): unknown => (Predicate.hasProperty(value, name) ? value[name] : undefined)
