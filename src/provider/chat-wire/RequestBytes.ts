/**
 * Sends a request that its caller has as bytes: as it is, but for what the caller lets be spliced, and what policies changed.
 */
import { AiError, type LanguageModel } from "effect/ai"
import type * as WireBytes from "../../core/call/WireBytes.ts"
import type { CallSettings } from "../settings/CallSettings.ts"
import type { Json } from "./Messages.ts"
import * as RequestBody from "./RequestBody.ts"
import * as Splice from "./Splice.ts"

/** The body to send, and the settings that the server does not know and that are left out. */
export interface Body {
  readonly body: Uint8Array
  readonly leftOut: ReadonlyArray<string>
}

/** Throws an `AiErrorReason` for bytes that cannot be spliced as is asked for, and for what the wire cannot say. */
export const of = (
  bytes: WireBytes.Request,
  call: LanguageModel.ProviderOptions,
  settings: CallSettings,
  target: RequestBody.Target,
  streamed: boolean
): Body => {
  const { spliceModel, spliceUsage } = bytes
  const { fields, leftOut } = changed(bytes, call, settings, target)
  try {
    let { body } = bytes
    for (const name in fields) body = Splice.set(body, name, jsonOf(fields[name]))
    if (spliceModel === true) body = Splice.set(body, "model", jsonOf(target.model))
    return { body: spliceUsage === true && streamed && target.dialect.streamUsage ? withUsage(body) : body, leftOut }
  } catch (error) {
    if (!(error instanceof Splice.Unspliceable)) throw error
    throw new AiError.InvalidRequestError({ parameter: error.field ?? "body", constraint: error.because })
  }
}

const jsonOf = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))

/** What the call is by now, and the bytes do not say. */
const changed = (
  bytes: WireBytes.Request,
  call: LanguageModel.ProviderOptions,
  settings: CallSettings,
  { dialect, name }: RequestBody.Target
): RequestBody.Body => {
  const ofSettings = settings === bytes.settings ? unchanged : RequestBody.settingsOf(settings, dialect)
  const own = settings === bytes.settings ? undefined : settings.providerOptions?.[name]
  return {
    fields: { ...ofSettings.fields, ...toolsOf(bytes, call, dialect), ...formatOf(bytes, call, dialect), ...own },
    leftOut: ofSettings.leftOut
  }
}

const unchanged: RequestBody.Body = { fields: {}, leftOut: [] }

/** Of a call that offers no tools any more the model may call none: a request whose messages have calls must name tools. */
const toolsOf = (
  bytes: WireBytes.Request,
  call: LanguageModel.ProviderOptions,
  dialect: RequestBody.Target["dialect"]
): Json => {
  const { toolChoice = "auto", tools = [] } = bytes
  const areSame = call.tools.length === tools.length && call.tools.every((tool, index) => tool === tools[index])
  // Without tools the choice says nothing.
  const isSame = areSame && (tools.length === 0 || isEqual(call.toolChoice, toolChoice))
  if (isSame) return {}
  return call.tools.length === 0 ? { tool_choice: "none" } : RequestBody.toolsOf(call, dialect)
}

const isEqual = (one: unknown, other: unknown): boolean =>
  one === other || JSON.stringify(one) === JSON.stringify(other)

const formatOf = (
  { responseFormat }: WireBytes.Request,
  call: LanguageModel.ProviderOptions,
  dialect: RequestBody.Target["dialect"]
): Json => {
  const isText = call.responseFormat.type === "text"
  if (call.responseFormat === responseFormat || (isText && (responseFormat?.type ?? "text") === "text")) return {}
  return isText ? { response_format: { type: "text" } } : RequestBody.formatOf(call.responseFormat, dialect)
}

/** Asks for the usage, unless the body says whether to. Options that are no object are the server's to refuse. */
const withUsage = (body: Uint8Array): Uint8Array => {
  const options = Splice.get(body, "stream_options")
  const isGiven = options !== undefined && Buffer.from(options).toString("latin1") !== "null"
  if (isGiven && (options[0] !== 0x7b || Splice.get(options, "include_usage") !== undefined)) return body
  return Splice.set(body, "stream_options", Splice.set(isGiven ? options : Buffer.from("{}"), "include_usage", yes))
}

const yes = Buffer.from("true")
