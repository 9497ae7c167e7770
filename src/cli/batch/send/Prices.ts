/**
 * Knows what models cost, from a file of prices for a million tokens.
 */
import { Option, Schema } from "effect"

/** What a model costs for a million tokens, in any currency. */
export const Price = Schema.Struct({
  input: amount(),
  output: amount(),
  /** For input tokens that the server read from its cache. Default: as `input`. */
  cachedInput: Schema.optionalKey(amount())
})
export type Price = typeof Price.Type

/** Prices by the name of the model. */
export const Prices = Schema.Record(Schema.String, Price)
export type Prices = typeof Prices.Type

/** Reads a file such as `{"gpt-5-mini": {"input": 0.25, "output": 2}}`. */
export const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Prices))

function amount() {
  return Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))
}

/** The price of a model, or of the longest name of which its own is a dated version: `gpt-5-mini-2025-08-07`. */
export const of = (prices: Prices, model: string): Option.Option<Price> => {
  const names = Object.keys(prices).filter((name) => model === name || model.startsWith(`${name}-`))
  const [longest] = names.toSorted((one, other) => other.length - one.length)
  return longest === undefined ? Option.none() : Option.fromUndefinedOr(prices[longest])
}

/** What an answer cost. */
export const costOf = (
  price: Price,
  used: { readonly inputTokens: number; readonly cachedTokens: number; readonly outputTokens: number }
): number => {
  const cached = Math.min(used.cachedTokens, used.inputTokens)
  const input = (used.inputTokens - cached) * price.input + cached * (price.cachedInput ?? price.input)
  return (input + used.outputTokens * price.output) / 1_000_000
}
