/** The settings of a model call that are not its prompt, tools or output: given per provider, and per call. */
import type { LanguageModelV4CallOptions, SharedV4ProviderOptions } from "@ai-sdk/provider"
import { Context, Effect, Function, Stream } from "effect"
import * as OptionCheck from "../../core/OptionCheck.ts"

/** How the model should answer. Everything is optional; what is left out is the provider's own default. */
export interface CallSettings {
  /** Most tokens to generate. */
  readonly maxOutputTokens?: number | undefined
  /** How freely to choose words; the range depends on the model, 0 is the most predictable. */
  readonly temperature?: number | undefined
  /** Samples from the likeliest tokens that make up this share of probability, 0 to 1. */
  readonly topP?: number | undefined
  /** Samples from this many of the likeliest tokens. */
  readonly topK?: number | undefined
  /** Discourages words that already occurred. */
  readonly presencePenalty?: number | undefined
  /** Discourages words by how often they occurred. */
  readonly frequencyPenalty?: number | undefined
  /** Stops before the first of these. */
  readonly stopSequences?: ReadonlyArray<string> | undefined
  /** Asks for the same answer to the same question, where the provider can. */
  readonly seed?: number | undefined
  /** How much to reason before answering. */
  readonly reasoning?: LanguageModelV4CallOptions["reasoning"]
  /** Sent with the request, in addition to the provider's own headers. */
  readonly headers?: { readonly [name: string]: string | undefined } | undefined
  /** What only this provider understands, keyed by provider: `{ openai: { serviceTier: "flex" } }`. */
  readonly providerOptions?: SharedV4ProviderOptions | undefined
}

/** The settings of the current call, set by `withSettings`. Default: none. */
export const CurrentSettings = Context.Reference<CallSettings>("holdfast/provider/AiSdk/CurrentSettings", {
  defaultValue: () => ({})
})

/**
 * Lays one set of settings over another. The second wins, field by field; headers are merged by name and provider
 * options by provider and then by key.
 */
export const merge = (base: CallSettings, over: CallSettings): CallSettings => ({
  ...base,
  ...defined(over),
  ...(base.headers === undefined || over.headers === undefined
    ? {}
    : { headers: { ...base.headers, ...over.headers } }),
  ...(base.providerOptions === undefined || over.providerOptions === undefined
    ? {}
    : { providerOptions: mergeProviderOptions(base.providerOptions, over.providerOptions) })
})

/**
 * Throws a `RangeError` for settings that no provider can mean. What only one model or the other takes, such as how high a
 * temperature may be, is its provider's to say. `within` stands before their names: `settings.`.
 */
export const checked = (settings: CallSettings, check: OptionCheck.OptionCheck, within = ""): CallSettings => {
  check.record(within === "" ? "settings" : within.slice(0, -1), settings)
  check.fields(settings, fields, within === "" ? undefined : within.slice(0, -1))
  const { headers, maxOutputTokens, providerOptions, reasoning, seed, stopSequences, temperature, topK, topP } =
    settings
  if (maxOutputTokens !== undefined) check.whole(`${within}maxOutputTokens`, maxOutputTokens, 1)
  if (temperature !== undefined) check.number(`${within}temperature`, temperature, { atLeast: 0 })
  if (topP !== undefined) check.number(`${within}topP`, topP, { atLeast: 0, atMost: 1 })
  if (topK !== undefined) check.whole(`${within}topK`, topK, 0)
  for (const penalty of ["presencePenalty", "frequencyPenalty"] as const) {
    if (settings[penalty] !== undefined) check.number(`${within}${penalty}`, settings[penalty], {})
  }
  if (seed !== undefined) check.whole(`${within}seed`, seed, Number.MIN_SAFE_INTEGER)
  if (stopSequences !== undefined) check.texts(`${within}stopSequences`, stopSequences)
  if (reasoning !== undefined) check.oneOf(`${within}reasoning`, reasoning, efforts)
  if (headers !== undefined) check.record(`${within}headers`, headers)
  if (providerOptions !== undefined) check.record(`${within}providerOptions`, providerOptions)
  return settings
}

const fields: OptionCheck.Fields<CallSettings> = {
  maxOutputTokens: true,
  temperature: true,
  topP: true,
  topK: true,
  presencePenalty: true,
  frequencyPenalty: true,
  stopSequences: true,
  seed: true,
  reasoning: true,
  headers: true,
  providerOptions: true
}

const efforts = ["provider-default", "none", "minimal", "low", "medium", "high", "xhigh", "max"] as const

/** See `AiSdk.withSettings` and `ChatWire.withSettings`, which are this. */
export const withSettings: {
  (settings: CallSettings): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, settings: CallSettings): Effect.Effect<A, E, R>
} = Function.dual(2, <A, E, R>(self: Effect.Effect<A, E, R>, settings: CallSettings): Effect.Effect<A, E, R> =>
  Effect.updateService(self, CurrentSettings, over(settings))
)

/** See `AiSdk.withStreamSettings` and `ChatWire.withStreamSettings`, which are this. */
export const withStreamSettings: {
  (settings: CallSettings): <A, E, R>(self: Stream.Stream<A, E, R>) => Stream.Stream<A, E, R>
  <A, E, R>(self: Stream.Stream<A, E, R>, settings: CallSettings): Stream.Stream<A, E, R>
} = Function.dual(2, <A, E, R>(self: Stream.Stream<A, E, R>, settings: CallSettings): Stream.Stream<A, E, R> =>
  Stream.updateService(self, CurrentSettings, over(settings))
)

const over = (settings: CallSettings) => {
  checked(settings, check)
  return (current: CallSettings): CallSettings => merge(current, settings)
}

const check = OptionCheck.of("withSettings")

const mergeProviderOptions = (
  base: SharedV4ProviderOptions,
  over: SharedV4ProviderOptions
): SharedV4ProviderOptions => ({
  ...base,
  ...Object.fromEntries(
    Object.entries(over).map(([provider, options]) => [provider, { ...base[provider], ...options }])
  )
})

type Defined<A> = { [K in keyof A]: Exclude<A[K], undefined> }

/** The options that were given. */
export const defined = <A extends object>(options: A): Partial<Defined<A>> =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<Defined<A>>
