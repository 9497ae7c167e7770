/**
 * Writes a prompt as the messages of a chat.
 */
import { Predicate } from "effect"
import { AiError, Prompt } from "effect/ai"
import { Base64 } from "effect/encoding"
import { isJson } from "./ToolParams.ts"

export type Json = { readonly [name: string]: unknown }

/**
 * Converts a prompt. `provider` is whose options of messages and parts are written into them.
 *
 * - Each tool result becomes a message of its own, at its place.
 * - Reasoning goes back in the field in which it came. That of other providers stays here: no server would know it.
 * - Approvals are resolved above, and not sent.
 */
export const of = (prompt: Prompt.Prompt, provider: string): ReadonlyArray<Json> => {
  const messages: Array<Json> = []
  for (const message of prompt.content) write(message, provider, messages)
  return messages
}

const write = (message: Prompt.Message, provider: string, into: Array<Json>): void => {
  const options = optionsOf(message.options, provider)
  switch (message.role) {
    case "system":
      into.push({ role: "system", content: message.content, ...options })
      return
    case "user": {
      const [only] = message.content
      const isText = message.content.length === 1 && only?.type === "text"
      const plain = isText && Object.keys(optionsOf(only.options, provider)).length === 0
      into.push({
        role: "user",
        content: plain ? only.text : message.content.map((part) => content(part, provider)),
        ...options
      })
      return
    }
    case "assistant":
      assistant(message, provider, options, into)
      return
    case "tool":
      for (const part of message.content) if (part.type === "tool-result") into.push({ ...result(part), ...options })
  }
}

const assistant = (message: Prompt.AssistantMessage, provider: string, options: Json, into: Array<Json>): void => {
  let said: Said = { text: undefined, calls: [], fields: {} }
  const flush = () => {
    const { calls, fields, text } = said
    if (text === undefined && calls.length === 0 && Object.keys(fields).length === 0) return
    const toolCalls = calls.length === 0 ? {} : { tool_calls: calls }
    into.push({ role: "assistant", content: text ?? null, ...toolCalls, ...fields, ...options })
    said = { text: undefined, calls: [], fields: {} }
  }
  for (const part of message.content) {
    switch (part.type) {
      case "text": {
        const isRefusal = fieldOf(part.options) === "refusal"
        if (isRefusal) said.fields["refusal"] = part.text
        else said.text = (said.text ?? "") + part.text
        break
      }
      case "reasoning": {
        const field = fieldOf(part.options)
        if (field !== undefined) said.fields[field] = `${textOf(said.fields[field])}${part.text}`
        break
      }
      case "tool-call":
        said.calls.push({
          id: part.id,
          type: "function",
          function: {
            name: part.name,
            arguments: argumentsOf(part.params)
          },
          ...optionsOf(part.options, provider)
        })
        break
      case "tool-result":
        flush()
        into.push(result(part))
        break
      case "file":
      case "tool-approval-request":
        break
    }
  }
  flush()
}

interface Said {
  text: string | undefined
  readonly calls: Array<Json>
  readonly fields: Record<string, unknown>
}

/** The parameters of a call as the text that they are on the wire. A text that could not be read as JSON goes back as it is. */
export const argumentsOf = (params: unknown): string =>
  Predicate.isString(params) && params.trim() !== "" && !isJson(params) ? params : (JSON.stringify(params) ?? "{}")

/** The field that a part came in, which was noted when it was read. */
export const fieldOf = (options: unknown): string | undefined => {
  const note = Predicate.hasProperty(options, "chatWire") ? options.chatWire : undefined
  const field = Predicate.hasProperty(note, "field") ? note.field : undefined
  return field === "reasoning_content" || field === "reasoning" || field === "refusal" ? field : undefined
}

const textOf = (value: unknown): string => (Predicate.isString(value) ? value : "")

const result = (part: Prompt.ToolResultPart): Json => {
  const text =
    part.modelOutput === undefined
      ? Predicate.isString(part.result)
        ? part.result
        : (JSON.stringify(part.result) ?? "null")
      : Prompt.toolModelOutputToText(part.modelOutput)
  return { role: "tool", tool_call_id: part.id, content: text }
}

const content = (part: Prompt.TextPart | Prompt.FilePart, provider: string): Json => {
  const options = optionsOf(part.options, provider)
  if (part.type === "text") return { type: "text", text: part.text, ...options }
  const { fileName, mediaType } = part
  if (mediaType.startsWith("image/"))
    return { type: "image_url", image_url: { url: urlOf(part, "image/jpeg"), ...options } }
  const format = Object.hasOwn(audioFormats, mediaType) ? audioFormats[mediaType] : undefined
  if (format !== undefined) {
    return { type: "input_audio", input_audio: { data: base64Of(part), format }, ...options }
  }
  return {
    type: "file",
    file: { ...(fileName === undefined ? {} : { filename: fileName }), file_data: urlOf(part, mediaType) },
    ...options
  }
}

const audioFormats: { readonly [mediaType: string]: string | undefined } = {
  "audio/wav": "wav",
  "audio/x-wav": "wav",
  "audio/mpeg": "mp3",
  "audio/mp3": "mp3"
}

const urlOf = ({ data, mediaType }: Prompt.FilePart, whenAny: string): string => {
  const type = mediaType.endsWith("/*") ? whenAny : mediaType
  if (data instanceof URL) return data.href
  if (!Predicate.isString(data)) return `data:${type};base64,${Base64.encode(data)}`
  return /^[a-z][a-z0-9+.-]*:/i.test(data.slice(0, 32)) ? data : `data:${type};base64,${data}`
}

/** Audio is sent as its bytes: the wire has no field for a link to it. */
const base64Of = (part: Prompt.FilePart): string => {
  const url = urlOf(part, part.mediaType)
  const isData = /^data:[^,]{0,200};base64,/.test(url.slice(0, 256))
  if (isData) return url.slice(url.indexOf(",") + 1)
  throw new AiError.InvalidRequestError({
    parameter: "messages",
    constraint: "cannot hold a link to audio",
    description: "chat completions take audio as bytes, not as a link"
  })
}

const optionsOf = (options: { readonly [name: string]: unknown } | undefined, provider: string): Json => {
  const own = options?.[provider]
  return Predicate.isObject(own) ? own : empty
}

const empty: Json = {}
