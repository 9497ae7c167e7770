/** Writes the settings of a call as the AI SDK wants them. */
import type { LanguageModelV4CallOptions } from "@ai-sdk/provider"
import { type CallSettings, defined } from "../settings/CallSettings.ts"

/** Writes the settings as the AI SDK's call options. */
export const toCallOptions = ({
  headers,
  stopSequences,
  ...settings
}: CallSettings): Omit<LanguageModelV4CallOptions, "prompt"> => ({
  ...defined(settings),
  ...(headers === undefined ? {} : { headers: { ...headers } }),
  ...(stopSequences === undefined ? {} : { stopSequences: [...stopSequences] })
})
