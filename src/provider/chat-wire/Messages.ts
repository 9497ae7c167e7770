/**
 * Writes a prompt as the messages of a chat.
 */
import { Predicate } from "effect"
import { AiError, Prompt } from "effect/ai"
import { Base64 } from "effect/encoding"
import { CallIds } from "./CallIds.ts"
import { ContentList } from "./ContentList.ts"
import * as Notes from "./Notes.ts"
import * as ThinkingPart from "./ThinkingPart.ts"
import { isWhole } from "./ToolParams.ts"

export type Json = { readonly [name: string]: unknown }

/**
 * Converts a prompt.
 *
 * - Each tool result becomes a message of its own, at its place.
 * - Reasoning, and what else the server noted beside its answer, goes back in the field in which it came, if the dialect takes it.
 *   That of other providers stays here: no server would know it.
 * - Parameters of a call that are no JSON object, as those of a call that was cut are, are sent as an empty one: a server refuses
 *   what it cannot read, and with it the whole conversation.
 * - Approvals are resolved above, and not sent.
 */
export const of = (prompt: Prompt.Prompt, reader: Notes.Reader): ReadonlyArray<Json> => {
  const messages: Array<Json> = []
  const ids = new CallIds(reader.dialect.toolIds)
  for (const message of prompt.content) write(message, { ...reader, ids }, messages)
  return messages
}

interface Reader extends Notes.Reader {
  readonly ids: CallIds
}

const write = (message: Prompt.Message, reader: Reader, into: Array<Json>): void => {
  const provider = reader.name
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
      assistant(message, reader, options, into)
      return
    case "tool":
      for (const part of message.content)
        if (part.type === "tool-result") into.push({ ...result(part, reader), ...options })
  }
}

const assistant = (message: Prompt.AssistantMessage, reader: Reader, options: Json, into: Array<Json>): void => {
  let said = nothingSaid()
  const flush = () => {
    const { calls, content, fields } = said
    const { call, message: always } = reader.dialect.needs
    const [first, ...more] = calls
    if (first !== undefined && call !== undefined && !calls.some((each) => hasAny(each, call)))
      said.calls.splice(0, calls.length, { ...first, ...call }, ...more)
    if (content.isEmpty && calls.length === 0 && Object.keys(fields).length === 0) return
    const toolCalls = calls.length === 0 ? {} : { tool_calls: calls }
    // Without a text and without calls it is an empty text: that there is nothing at all not every server takes.
    const whole = content.value() ?? (calls.length === 0 ? "" : null)
    into.push({ role: "assistant", content: whole, ...toolCalls, ...always, ...fields, ...options })
    said = nothingSaid()
  }
  for (const part of message.content) {
    const note = Notes.of(part.options, reader)
    Object.assign(said.fields, note.message)
    switch (part.type) {
      case "text":
        if (note.field === "refusal") said.fields["refusal"] = `${textOf(said.fields["refusal"])}${part.text}`
        else said.content.addText(part.text)
        break
      case "reasoning":
        if (note.field === "thinking") said.content.add(ThinkingPart.written(note.frame, part.text))
        else if (note.field !== undefined) said.fields[note.field] = `${textOf(said.fields[note.field])}${part.text}`
        break
      case "tool-call":
        said.calls.push({
          id: reader.ids.of(part.id, note.id),
          type: "function",
          function: { name: part.name, arguments: argumentsOf(part.params) },
          ...note.call,
          ...optionsOf(part.options, reader.name)
        })
        break
      case "tool-result":
        flush()
        into.push(result(part, reader))
        break
      case "file":
      case "tool-approval-request":
        break
    }
  }
  flush()
}

interface Said {
  readonly content: ContentList
  readonly calls: Array<Json>
  readonly fields: Record<string, unknown>
}

const hasAny = (one: Json, other: object): boolean => Object.keys(other).some((name) => Object.hasOwn(one, name))

const nothingSaid = (): Said => ({ content: new ContentList(), calls: [], fields: {} })

const textOf = (value: unknown): string => (Predicate.isString(value) ? value : "")

const argumentsOf = (params: unknown): string => {
  if (Predicate.isString(params)) return isWhole(params) ? params : "{}"
  return Predicate.isObject(params) ? JSON.stringify(params) : "{}"
}

const result = (part: Prompt.ToolResultPart, reader: Reader): Json => {
  const text =
    part.modelOutput === undefined
      ? Predicate.isString(part.result)
        ? part.result
        : (JSON.stringify(part.result) ?? "null")
      : Prompt.toolModelOutputToText(part.modelOutput)
  return { role: "tool", tool_call_id: reader.ids.of(part.id), content: text }
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
