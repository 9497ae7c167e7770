/**
 * Finds out which models a client calls: by name and environment, of the AI SDK, or providers as they are.
 */
import { Config, ConfigProvider, Context, Effect, Layer, Option, Predicate, Scope } from "effect"
import { LanguageModel } from "effect/ai"
import type { ModelProvider, Policy } from "../../core/call/ModelProvider.ts"
import type * as OptionCheck from "../../core/OptionCheck.ts"
import * as SafeText from "../../core/SafeText.ts"
import * as Model from "../../model/Model.ts"
import * as AiSdk from "../../provider/AiSdk.ts"
import * as ChatWire from "../../provider/ChatWire.ts"
import type { Supervisor } from "../../supervisor/Supervisor.ts"
import type { AiSdkModel, ClientOptions, ModelChoice } from "../ClientOptions.ts"

/** Who speaks chat completions at which address. */
const addresses: Readonly<Record<string, string>> = {
  openai: "https://api.openai.com/v1",
  anthropic: "https://api.anthropic.com/v1",
  deepseek: "https://api.deepseek.com",
  fireworks: "https://api.fireworks.ai/inference/v1",
  google: "https://generativelanguage.googleapis.com/v1beta/openai",
  groq: "https://api.groq.com/openai/v1",
  mistral: "https://api.mistral.ai/v1",
  ollama: "http://127.0.0.1:11434/v1",
  openrouter: "https://openrouter.ai/api/v1",
  together: "https://api.together.xyz/v1",
  xai: "https://api.x.ai/v1"
}

/** Makes the provider of a model that was given in the option `name`. */
export const provider = (
  name: string,
  choice: ModelChoice,
  options: Pick<ClientOptions, "apiKey" | "baseUrl">,
  check: OptionCheck.OptionCheck
): ModelProvider => {
  if (typeof choice === "string") return ofText(name, choice, options, check)
  if (Predicate.hasProperty(choice, "generateText") && Predicate.hasProperty(choice, "streamText")) return choice
  if (Predicate.hasProperty(choice, "doGenerate")) return AiSdk.provider(choice as AiSdkModel)
  return check.reject(name, `a text such as "openai/gpt-5-mini", a model of the AI SDK or a provider`, choice)
}

const ofText = (
  option: string,
  text: string,
  { apiKey, baseUrl }: Pick<ClientOptions, "apiKey" | "baseUrl">,
  check: OptionCheck.OptionCheck
): ModelProvider => {
  check.label(option, text)
  if (baseUrl !== undefined) return ChatWire.provider({ baseUrl, apiKey, model: text })
  const slash = text.indexOf("/")
  const name = text.slice(0, Math.max(0, slash))
  const model = text.slice(slash + 1)
  const variable = name.toUpperCase().replaceAll(/[^A-Z0-9]/g, "_")
  const address = environment(`${variable}_BASE_URL`) ?? (Object.hasOwn(addresses, name) ? addresses[name] : undefined)
  if (slash < 1 || model === "" || address === undefined) {
    const known = Object.keys(addresses).join(", ")
    return check.reject(option, `"name/model" with one of the names ${known}; or give baseUrl as well`, text)
  }
  const key = apiKey ?? environment(`${variable}_API_KEY`)
  if (key === undefined && address === addresses[name] && name !== "ollama") {
    throw new RangeError(`Client option ${option} is ${SafeText.of(text)}: set ${variable}_API_KEY, or give apiKey`)
  }
  return ChatWire.provider({ baseUrl: address, apiKey: key, model, name })
}

/** A variable of the environment as it is now, if it is set and not empty. */
const environment = (name: string): string | undefined => {
  const read = Effect.provideService(
    Config.option(Config.String(name)),
    ConfigProvider.ConfigProvider,
    ConfigProvider.fromEnv()
  )
  return Option.getOrUndefined(Option.filter(Effect.runSync(read), (value) => value !== ""))
}

/** A model that calls can be made of. */
export interface Reached {
  readonly model: LanguageModel.LanguageModel
  readonly health: Effect.Effect<Model.Health>
  /** `openai/gpt-5-mini`. */
  readonly label: string
}

/** The models of a client, by their names. */
export class Models extends Context.Service<Models, ReadonlyMap<string, Reached>>()("holdfast/promise/client/Models") {}

/** Builds each model with policies of its own. */
export const layer = (
  providers: ReadonlyMap<string, ModelProvider>,
  policies: ReadonlyArray<Policy>
): Layer.Layer<Models, never, Supervisor> =>
  Layer.effect(
    Models,
    Effect.gen(function* () {
      const scope = yield* Effect.scope
      const models = yield* Effect.forEach(providers, ([name, provider]) =>
        Effect.map(Scope.provide(Layer.build(Model.layer({ provider, policies })), scope), (context) => {
          const model = Context.get(context, LanguageModel.LanguageModel)
          const health = Context.get(context, Model.ModelHealth).read
          return [name, { model, health, label: `${provider.name}/${provider.model}` }] as const
        })
      )
      return new Map<string, Reached>(models)
    })
  )
