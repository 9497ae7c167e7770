/**
 * Names the response headers with which a provider tells its limits, and asks to wait.
 *
 * This is the one place for them: `policy/rate-limit/Headers.ts` reads the limits, `provider/RetryAfter.ts` the waits, and
 * `provider/http/ResponseHeaderNames.ts` lets what is named here through to both. Names are in lower case.
 */

/** What a limit counts. */
export const dimensions = ["requests", "tokens", "inputTokens", "outputTokens"] as const
export type Dimension = (typeof dimensions)[number]

/** The headers that speak about one limit. The family says how its values are to be read. */
export interface Limit {
  readonly family: "openai" | "anthropic" | "general"
  readonly dimension: Dimension
  readonly limit: string
  readonly remaining: string
  /** When the whole limit is there again. */
  readonly reset: string
}

const suffixes = { requests: "requests", tokens: "tokens", inputTokens: "input-tokens", outputTokens: "output-tokens" }

const named = (family: Limit["family"], dimension: Dimension, name: (field: string) => string): Limit => ({
  family,
  dimension,
  limit: name("limit"),
  remaining: name("remaining"),
  reset: name("reset")
})

/** All limits that are read. */
export const limits: ReadonlyArray<Limit> = [
  ...dimensions.flatMap((dimension) => [
    named("openai", dimension, (field) => `x-ratelimit-${field}-${suffixes[dimension]}`),
    named("anthropic", dimension, (field) => `anthropic-ratelimit-${suffixes[dimension]}-${field}`)
  ]),
  named("general", "requests", (field) => `ratelimit-${field}`),
  named("general", "requests", (field) => `x-ratelimit-${field}`)
]

/** Says the window of a general limit: `100;w=60`. */
export const policy = "ratelimit-policy"

/** Ask to wait, the first that is there counts. Numbers are in units of `millis`; where `isDate`, an HTTP date may stand too. */
export const waits = [
  { name: "retry-after-ms", millis: 1, isDate: false },
  { name: "x-ms-retry-after-ms", millis: 1, isDate: false },
  { name: "retry-after", millis: 1_000, isDate: true }
] as const

/** The response's own time, from which dates in the others count. */
export const date = "date"

/** The names of all of them. */
export const names: ReadonlySet<string> = new Set([
  ...limits.flatMap(({ limit, remaining, reset }) => [limit, remaining, reset]),
  policy,
  ...waits.map(({ name }) => name),
  date
])
