/**
 * What servers lack of the chat-completions wire, and what they call otherwise, as data.
 *
 * It is about what is sent, and nothing else: what comes back is read in one way for all servers, in `AnswerReader.ts`.
 */
import type * as OptionCheck from "../../core/OptionCheck.ts"
import { AnthropicStructuredOutput, LanguageModel, OpenAiStructuredOutput } from "effect/ai"

/** Fields that some server gives in one turn and wants back in the next; `thinking` are the parts of that type in a list of content. */
export const backFields = [
  "reasoning_content",
  "reasoning",
  "thinking",
  "refusal",
  "reasoning_details",
  "thinking_blocks",
  "extra_content",
  "provider_specific_fields"
] as const
export type BackField = (typeof backFields)[number]

/** Fields to send back, with what to send in them. */
export type BackFields = { readonly [Field in BackField]?: unknown }

/** How one server speaks. Everything is optional; what is left out is as most servers have it. */
export interface Dialect {
  /** The field that limits the tokens of an answer. Default `"max_tokens"`. */
  readonly maxTokens?: "max_tokens" | "max_completion_tokens" | undefined
  /** How JSON is asked for: by a schema, as any JSON, or not at all. Default `"schema"`. */
  readonly structuredOutput?: "schema" | "object" | "none" | undefined
  /** Whether `stream_options` may ask for the usage of a stream. Default true. */
  readonly streamUsage?: boolean | undefined
  /** Whether tools may be marked `strict`. Default true. */
  readonly strictTools?: boolean | undefined
  /** What "must call a tool" is called. Default `"required"`. */
  readonly requiredTool?: "required" | "any" | undefined
  /**
   * Which fields of its own earlier messages and tool calls it takes back. Those of other providers are never sent, and what is left
   * out of a refusal is sent as text. Default: all that a server gives and may want again.
   */
  readonly takesBack?: ReadonlyArray<BackField> | undefined
  /**
   * Which ids of tool calls it takes: any; its own, and of others those that no server refuses; none but those, which are at most
   * 40 letters, digits, `_` and `-`; or nine letters and digits. Another id is replaced by one that it takes, the same for the
   * call and its result and in every request. Default `"own"`.
   */
  readonly toolIds?: "any" | "own" | "words" | "nine" | undefined
  /**
   * Fields without which the server refuses messages of a model: `message` for each, `call` for the first call of a tool in each. They
   * are sent where the server itself said nothing there, as where another one spoke. Default none.
   */
  readonly needs?: { readonly message?: BackFields | undefined; readonly call?: BackFields | undefined } | undefined
  /** How the key travels. Default `"bearer"`. */
  readonly auth?: "bearer" | "api-key" | undefined
  /** Settings the server refuses. They are left out, and that is logged once. Default none. */
  readonly lacks?: ReadonlyArray<"topK" | "seed" | "presencePenalty" | "frequencyPenalty" | "stopSequences"> | undefined
  /** Adapts schemas to those the server accepts. Default: Effect's own. */
  readonly codecTransformer?: LanguageModel.CodecTransformer | undefined
}

/** A dialect with nothing left out. */
export type Resolved = { readonly [K in keyof Dialect]-?: Exclude<Dialect[K], undefined> }

const defaults: Resolved = {
  maxTokens: "max_tokens",
  structuredOutput: "schema",
  streamUsage: true,
  strictTools: true,
  requiredTool: "required",
  takesBack: backFields,
  toolIds: "own",
  needs: {},
  auth: "bearer",
  lacks: [],
  codecTransformer: LanguageModel.defaultCodecTransformer
}

const openAi: Dialect = {
  maxTokens: "max_completion_tokens",
  takesBack: ["refusal"],
  toolIds: "words",
  lacks: ["topK"],
  codecTransformer: OpenAiStructuredOutput.toCodecOpenAI
}
const azure: Dialect = { ...openAi, auth: "api-key" }

/** A model that thinks wants to see that it did, also where another one spoke or nothing was thought. An empty text some of them refuse. */
const thought = { message: { reasoning_content: " " } }

/** A server that is known by its host, and how it speaks. */
export interface Known {
  /** Who answers, for logs and metrics. */
  readonly name: string
  /** The host, or a domain that it lies in. */
  readonly host: string
  /** What the names of the models begin with that are spoken to like this. Default: all models. */
  readonly model?: string | undefined
  readonly dialect: Dialect
}

/** The servers that are known. The first whose host and model fit counts. */
export const known: ReadonlyArray<Known> = [
  { name: "openai", host: "api.openai.com", dialect: openAi },
  { name: "azure", host: "openai.azure.com", dialect: azure },
  { name: "azure", host: "services.ai.azure.com", dialect: azure },
  { name: "azure", host: "cognitiveservices.azure.com", dialect: azure },
  {
    name: "anthropic",
    host: "api.anthropic.com",
    dialect: {
      structuredOutput: "none",
      takesBack: [],
      toolIds: "words",
      lacks: ["topK", "seed", "presencePenalty", "frequencyPenalty"],
      codecTransformer: AnthropicStructuredOutput.toCodecAnthropic
    }
  },
  {
    name: "mistral",
    host: "api.mistral.ai",
    dialect: {
      streamUsage: false,
      requiredTool: "any",
      takesBack: ["thinking"],
      toolIds: "nine",
      lacks: ["topK", "seed"]
    }
  },
  {
    name: "deepseek",
    host: "api.deepseek.com",
    dialect: { structuredOutput: "object", strictTools: false, needs: thought, lacks: ["topK", "seed"] }
  },
  ...["api.moonshot.ai", "api.moonshot.cn"].flatMap((host) => [
    { name: "moonshot", host, model: "kimi", dialect: { needs: thought } },
    { name: "moonshot", host, dialect: {} }
  ]),
  { name: "groq", host: "api.groq.com", dialect: { maxTokens: "max_completion_tokens", lacks: ["topK"] } },
  { name: "xai", host: "api.x.ai", dialect: { lacks: ["topK"] } },
  { name: "cerebras", host: "api.cerebras.ai", dialect: { maxTokens: "max_completion_tokens", lacks: ["topK"] } },
  {
    name: "google",
    host: "generativelanguage.googleapis.com",
    model: "gemini-3",
    dialect: {
      strictTools: false,
      // Google's own word for a call that no model of theirs signed.
      needs: { call: { extra_content: { google: { thought_signature: "skip_thought_signature_validator" } } } },
      lacks: ["topK", "seed"]
    }
  },
  {
    name: "google",
    host: "generativelanguage.googleapis.com",
    dialect: { strictTools: false, lacks: ["topK", "seed"] }
  },
  { name: "perplexity", host: "api.perplexity.ai", dialect: { strictTools: false, lacks: ["seed"] } },
  { name: "openrouter", host: "openrouter.ai", dialect: {} },
  { name: "together", host: "api.together.xyz", dialect: {} },
  { name: "fireworks", host: "api.fireworks.ai", dialect: {} }
]

/** What is known of a server. Nothing of most: their host is a name of their own. */
export const ofHost = (hostname: string, asked = ""): Known | undefined =>
  known.find(
    ({ host, model = "" }) =>
      (hostname === host || hostname.endsWith(`.${host}`)) && asked.replace(/^models\//, "").startsWith(model)
  )

/** Throws a `RangeError` for a dialect that no server has. */
export const checkAll = (dialect: Dialect, check: OptionCheck.OptionCheck): void => {
  check.fields(dialect, fields, "dialect")
  for (const name of ["maxTokens", "structuredOutput", "requiredTool", "toolIds", "auth"] as const) {
    if (dialect[name] !== undefined) check.oneOf<string>(`dialect.${name}`, dialect[name], words[name])
  }
  for (const name of ["streamUsage", "strictTools"] as const) {
    if (dialect[name] !== undefined) check.flag(`dialect.${name}`, dialect[name])
  }
  const { codecTransformer, lacks, needs, takesBack } = dialect
  if (needs !== undefined) {
    check.fields(needs, ofNeeds, "dialect.needs")
    for (const name of ["message", "call"] as const) {
      const fields = needs[name]
      if (fields === undefined) continue
      check.record(`dialect.needs.${name}`, fields)
      for (const field in fields) check.oneOf<string>(`dialect.needs.${name}`, field, backFields)
    }
  }
  if (takesBack !== undefined) {
    check.list("dialect.takesBack", takesBack)
    for (const field of takesBack) check.oneOf<string>("dialect.takesBack", field, backFields)
  }
  if (lacks !== undefined) {
    check.list("dialect.lacks", lacks)
    for (const setting of lacks) check.oneOf("dialect.lacks", setting, settings)
  }
  if (codecTransformer !== undefined) check.callback("dialect.codecTransformer", codecTransformer)
}

const fields: OptionCheck.Fields<Dialect> = {
  maxTokens: true,
  structuredOutput: true,
  streamUsage: true,
  strictTools: true,
  requiredTool: true,
  takesBack: true,
  toolIds: true,
  needs: true,
  auth: true,
  lacks: true,
  codecTransformer: true
}
const ofNeeds: OptionCheck.Fields<NonNullable<Dialect["needs"]>> = { message: true, call: true }

const words = {
  maxTokens: ["max_tokens", "max_completion_tokens"],
  structuredOutput: ["schema", "object", "none"],
  requiredTool: ["required", "any"],
  toolIds: ["any", "own", "words", "nine"],
  auth: ["bearer", "api-key"]
} as const satisfies { readonly [Name in keyof Dialect]: ReadonlyArray<Dialect[Name]> }

const settings = ["topK", "seed", "presencePenalty", "frequencyPenalty", "stopSequences"] as const

/** Lays what was said over what is known, and that over the defaults. */
export const resolve = (server: Dialect | undefined, said: Dialect | undefined): Resolved => {
  const resolved: Record<string, unknown> = { ...defaults }
  for (const dialect of [server, said]) {
    for (const [name, value] of Object.entries(dialect ?? {})) if (value !== undefined) resolved[name] = value
  }
  // Every field of a dialect has its default, and what lies over it has the field's type.
  return resolved as unknown as Resolved
}
