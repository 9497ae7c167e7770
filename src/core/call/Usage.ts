/**
 * Counts the tokens of model calls.
 */
import { Schema } from "effect"
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
export const fromFinish = ({ usage }: Pick<Response.FinishPartEncoded, "usage">): Usage => {
  const { inputTokens, outputTokens } = usage
  return {
    inputTokens: inputTokens.total ?? 0,
    cachedInputTokens: inputTokens.cacheRead ?? 0,
    outputTokens: outputTokens.total ?? 0,
    reasoningTokens: outputTokens.reasoning ?? 0
  }
}
