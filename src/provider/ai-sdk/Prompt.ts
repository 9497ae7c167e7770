/** Turns Effect's prompt into the AI SDK's: every role, every part, with the options that belong to each. */
import type {
  LanguageModelV4FilePart,
  LanguageModelV4Message,
  LanguageModelV4Prompt,
  LanguageModelV4TextPart,
  LanguageModelV4ToolCallPart,
  LanguageModelV4ToolResultOutput,
  LanguageModelV4ToolResultPart,
  SharedV4FileDataData,
  SharedV4FileDataUrl
} from "@ai-sdk/provider"
import { Predicate } from "effect"
import { Prompt } from "effect/ai"
import { notesOf, toJson, toProviderOptions } from "./Metadata.ts"

/**
 * Converts a prompt.
 *
 * - Tool results that the application produced leave the assistant's message for a tool message at the same place.
 * - Approval requests are not sent: a provider knows its own. Approval responses are sent only for tool calls the
 *   provider executes itself; the others were resolved before this point.
 * - Assistant and tool messages that are left without content are dropped.
 */
export const toPrompt = (prompt: Prompt.Prompt): LanguageModelV4Prompt => {
  const awaited = approvalsTheProviderAwaits(prompt)
  return prompt.content.flatMap((message) => toMessages(message, awaited))
}

const toMessages = (message: Prompt.Message, awaited: ReadonlySet<string>): Array<LanguageModelV4Message> => {
  const options = toProviderOptions(message.options)
  switch (message.role) {
    case "system":
      return [{ role: "system", content: message.content, ...options }]
    case "user":
      return [
        {
          role: "user",
          content: message.content.map((part) => (part.type === "text" ? toText(part) : toFile(part))),
          ...options
        }
      ]
    case "assistant":
      return toAssistantMessages(message).map((each) => ({ ...each, ...options }))
    case "tool": {
      const content = message.content.flatMap((part): ToolContent => {
        if (part.type === "tool-result") return [toToolResult(part)]
        return awaited.has(part.approvalId) ? [toApproval(part)] : []
      })
      return content.length === 0 ? [] : [{ role: "tool", content, ...options }]
    }
  }
}

type AssistantContent = Extract<LanguageModelV4Message, { role: "assistant" }>["content"]
type ToolContent = Extract<LanguageModelV4Message, { role: "tool" }>["content"]

const toAssistantMessages = (message: Prompt.AssistantMessage): Array<LanguageModelV4Message> => {
  const messages: Array<LanguageModelV4Message> = []
  for (const part of message.content) {
    const last = messages.at(-1)
    if (part.type === "tool-result" && !part.providerExecuted) {
      if (last?.role === "tool") last.content.push(toToolResult(part))
      else messages.push({ role: "tool", content: [toToolResult(part)] })
    } else {
      const content = toAssistantContent(part)
      if (last?.role === "assistant") last.content.push(...content)
      else if (content.length > 0) messages.push({ role: "assistant", content })
    }
  }
  return messages
}

const toAssistantContent = (part: Prompt.AssistantMessagePart): AssistantContent => {
  const options = toProviderOptions(part.options)
  switch (part.type) {
    case "text": {
      const { custom, providerTool } = notesOf(part.options)
      if (isProviderTool(providerTool)) return [{ ...providerTool, ...options }]
      return isKind(custom) ? [{ type: "custom", kind: custom, ...options }] : [toText(part)]
    }
    case "reasoning":
      return [{ type: "reasoning", text: part.text, ...options }]
    case "file":
      return notesOf(part.options).reasoning === true
        ? [{ type: "reasoning-file", data: toFileData(part.data), mediaType: part.mediaType, ...options }]
        : [toFile(part)]
    case "tool-call":
      return [
        {
          type: "tool-call",
          toolCallId: part.id,
          toolName: part.name,
          input: part.params,
          ...(part.providerExecuted ? { providerExecuted: true } : {}),
          ...options
        }
      ]
    case "tool-result":
      return [toToolResult(part)]
    case "tool-approval-request":
      return []
  }
}

const toText = (part: Prompt.TextPart): LanguageModelV4TextPart => ({
  type: "text",
  text: part.text,
  ...toProviderOptions(part.options)
})

const toFile = (part: Prompt.FilePart): LanguageModelV4FilePart => ({
  type: "file",
  mediaType: part.mediaType,
  data: toFileData(part.data),
  ...(part.fileName === undefined ? {} : { filename: part.fileName }),
  ...toProviderOptions(part.options)
})

/** Tells bytes, base64, `data:` URLs and links apart. A string with a scheme is a URL: base64 has no colon. */
const toFileData = (data: string | Uint8Array | URL): SharedV4FileDataData | SharedV4FileDataUrl => {
  if (data instanceof Uint8Array) return { type: "data", data }
  const text = data instanceof URL ? data.href : data
  if (text.startsWith("data:")) return { type: "data", data: fromDataUrl(text) }
  if (data instanceof URL) return { type: "url", url: data }
  if (!/^[a-z][a-z0-9+.-]*:/i.test(text) || !URL.canParse(text)) return { type: "data", data: text }
  const url = new URL(text)
  return url.href === text ? { type: "url", url } : { type: "url", url, originalUrl: text }
}

const fromDataUrl = (text: string): string | Uint8Array => {
  const comma = text.indexOf(",")
  const body = text.slice(comma + 1)
  return text.slice(0, comma).endsWith(";base64") ? body : new TextEncoder().encode(unescape(body))
}

/** Percent signs that escape nothing stand for themselves. */
const unescape = (text: string): string =>
  text.replace(/(?:%[0-9a-f]{2})+/gi, (escaped) => {
    try {
      return decodeURIComponent(escaped)
    } catch {
      return escaped
    }
  })

const toToolResult = (part: Prompt.ToolResultPart): LanguageModelV4ToolResultPart => ({
  type: "tool-result",
  toolCallId: part.id,
  toolName: part.name,
  output: toOutput(part),
  ...toProviderOptions(part.options)
})

const toOutput = (part: Prompt.ToolResultPart): LanguageModelV4ToolResultOutput => {
  if (part.modelOutput !== undefined) return toModelOutput(part.modelOutput)
  if (!part.isFailure) {
    return typeof part.result === "string"
      ? { type: "text", value: part.result }
      : { type: "json", value: toJson(part.result) }
  }
  if (Predicate.hasProperty(part.result, "type") && part.result.type === "execution-denied") {
    const reason = Predicate.hasProperty(part.result, "reason") ? part.result.reason : undefined
    return { type: "execution-denied", ...(typeof reason === "string" ? { reason } : {}) }
  }
  return typeof part.result === "string"
    ? { type: "error-text", value: part.result }
    : { type: "error-json", value: toJson(part.result) }
}

/** Sends plain text as text, which every provider takes, and anything with a file as content parts. */
const toModelOutput = (parts: ReadonlyArray<Prompt.ToolModelOutputPart>): LanguageModelV4ToolResultOutput =>
  parts.every((part) => part.type === "text")
    ? { type: "text", value: Prompt.toolModelOutputToText(parts) }
    : { type: "content", value: parts.map((part) => (part.type === "text" ? toText(part) : toFile(part))) }

const toApproval = (part: Prompt.ToolApprovalResponsePart) => ({
  type: "tool-approval-response" as const,
  approvalId: part.approvalId,
  approved: part.approved,
  ...(part.reason === undefined ? {} : { reason: part.reason }),
  ...toProviderOptions(part.options)
})

const approvalsTheProviderAwaits = (prompt: Prompt.Prompt): ReadonlySet<string> => {
  const parts = prompt.content.flatMap((message) => (message.role === "assistant" ? message.content : []))
  const executed = new Set(
    parts.flatMap((part) => (part.type === "tool-call" && part.providerExecuted ? [part.id] : []))
  )
  return new Set(
    parts.flatMap((part) =>
      part.type === "tool-approval-request" && executed.has(part.toolCallId) ? [part.approvalId] : []
    )
  )
}

/** Trusts a note of this bridge: its shape is written in one place, and read back in this one. */
const isProviderTool = (note: unknown): note is LanguageModelV4ToolCallPart | LanguageModelV4ToolResultPart =>
  Predicate.hasProperty(note, "toolCallId") &&
  Predicate.hasProperty(note, "type") &&
  (note.type === "tool-call" || note.type === "tool-result")

const isKind = (kind: string | undefined): kind is `${string}.${string}` => kind !== undefined && kind.includes(".")
