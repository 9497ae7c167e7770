/** The settings of a model call that are not its prompt, tools or output: given per provider, and per call. */
import type { LanguageModelV4CallOptions, SharedV4ProviderOptions } from "@ai-sdk/provider"
import { Context } from "effect"

/** How the model should answer. Everything is optional; what is left out is the provider's own default. */
export interface Settings {
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

/** The settings of the current call, set by `AiSdk.withSettings`. Default: none. */
export const CurrentSettings = Context.Reference<Settings>("holdfast/provider/AiSdk/CurrentSettings", {
  defaultValue: () => ({})
})

/**
 * Lays one set of settings over another. The second wins, field by field; headers are merged by name and provider
 * options by provider and then by key.
 */
export const merge = (base: Settings, over: Settings): Settings => ({
  ...base,
  ...defined(over),
  ...(base.headers === undefined || over.headers === undefined
    ? {}
    : { headers: { ...base.headers, ...over.headers } }),
  ...(base.providerOptions === undefined || over.providerOptions === undefined
    ? {}
    : { providerOptions: mergeProviderOptions(base.providerOptions, over.providerOptions) })
})

/** Writes the settings as the AI SDK's call options. */
export const toCallOptions = ({
  headers,
  stopSequences,
  ...settings
}: Settings): Omit<LanguageModelV4CallOptions, "prompt"> => ({
  ...defined(settings),
  ...(headers === undefined ? {} : { headers: { ...headers } }),
  ...(stopSequences === undefined ? {} : { stopSequences: [...stopSequences] })
})

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

const defined = <A extends object>(options: A): Partial<Defined<A>> =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<Defined<A>>
