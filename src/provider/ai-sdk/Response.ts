/** Turns what an AI SDK model answered into Effect's encoded response parts: plain data, ready to store or send. */
import type {
  LanguageModelV4Content,
  LanguageModelV4FinishReason,
  LanguageModelV4GenerateResult,
  LanguageModelV4ResponseMetadata,
  LanguageModelV4Source,
  LanguageModelV4Usage,
  SharedV4FileDataData,
  SharedV4FileDataUrl,
  SharedV4Headers,
  SharedV4ProviderMetadata
} from "@ai-sdk/provider"
import { Base64 } from "effect/encoding"
import type { AiError, Response } from "effect/ai"
import * as Failure from "../../core/call/Failure.ts"
import * as Usage from "../../core/call/Usage.ts"
import * as FinishWord from "../errors/FinishWord.ts"
import type { OfferedTools } from "../tools/OfferedTools.ts"
import * as Shown from "../errors/Shown.ts"
import { fromProviderMetadata } from "./Metadata.ts"

/**
 * Converts a whole answer: the response's metadata, its content in order, and the `finish` part.
 *
 * `structured` says that the call asked for JSON. A provider may then name which text is the answer, and the drafts
 * around it are left out so that the parts' text is the JSON and nothing else. `shown` says which headers are kept.
 */
export const fromResult = (
  result: LanguageModelV4GenerateResult,
  tools: OfferedTools,
  structured: boolean,
  shown: Shown.Shown = Shown.unknown
): Array<Response.PartEncoded> => [
  ...fromResponseMetadata(result.response ?? {}),
  ...answerOf(result, structured).flatMap((content) => fromContent(content, tools)),
  fromFinish({ ...result, headers: Shown.headersOf(result.response?.headers, shown) })
]

const answerOf = (
  { content, structuredOutputText }: LanguageModelV4GenerateResult,
  structured: boolean
): ReadonlyArray<LanguageModelV4Content> => {
  if (!structured || structuredOutputText === undefined) return content
  const answer = content.findLast((part) => part.type === "text")
  return content.flatMap((part): Array<LanguageModelV4Content> => {
    if (part.type !== "text") return [part]
    return part === answer ? [{ ...part, text: structuredOutputText }] : []
  })
}

const fromContent = (content: LanguageModelV4Content, tools: OfferedTools): Array<Response.PartEncoded> => {
  switch (content.type) {
    case "text": {
      const notes = content.citations === undefined ? {} : { citations: content.citations }
      return [{ type: "text", text: content.text, ...fromProviderMetadata(content.providerMetadata, notes) }]
    }
    case "reasoning":
      return [{ type: "reasoning", text: content.text, ...fromProviderMetadata(content.providerMetadata) }]
    case "custom":
      return [{ type: "text", text: "", ...fromProviderMetadata(content.providerMetadata, { custom: content.kind }) }]
    default:
      return (
        fromForeignTool(content, tools)?.map((carried) => ({ type: "text", text: "", ...carried })) ?? [
          fromStandalone(content, tools)
        ]
      )
  }
}

/**
 * Carries a call or result of a tool that the application never offered, such as one of an MCP server the provider
 * talks to, as the metadata of an empty text block; `undefined` for all other content. Effect decodes only the tools
 * it knows, and would refuse the whole answer. Preliminary results are dropped.
 */
export const fromForeignTool = (
  content: Standalone,
  tools: OfferedTools
): ReadonlyArray<ReturnType<typeof fromProviderMetadata>> | undefined => {
  if (content.type === "tool-call" && content.providerExecuted === true && !tools.has(content.toolName)) {
    const { input, providerMetadata, toolCallId, toolName } = content
    const call = { type: "tool-call", toolCallId, toolName, input: tools.readParams(toolName, input) }
    return [fromProviderMetadata(providerMetadata, { providerTool: { ...call, providerExecuted: true } })]
  }
  if (content.type === "tool-result" && !tools.has(content.toolName)) {
    if (content.preliminary === true) return []
    const { isError, providerMetadata, result, toolCallId, toolName } = content
    const output = { type: isError === true ? "error-json" : "json", value: result }
    return [
      fromProviderMetadata(providerMetadata, { providerTool: { type: "tool-result", toolCallId, toolName, output } })
    ]
  }
  return undefined
}

/** The content that arrives whole, in a stream as well. */
export type Standalone = Exclude<LanguageModelV4Content, { type: "text" | "reasoning" | "custom" }>

/** Converts a tool call, tool result, approval request, file or source. */
export const fromStandalone = (
  content: Standalone,
  tools: OfferedTools
):
  | Response.ToolCallPartEncoded
  | Response.ToolResultPartEncoded
  | Response.ToolApprovalRequestPartEncoded
  | Response.FilePartEncoded
  | Response.DocumentSourcePartEncoded
  | Response.UrlSourcePartEncoded => {
  const { providerMetadata } = content
  switch (content.type) {
    case "tool-call":
      return {
        type: "tool-call",
        id: content.toolCallId,
        name: content.toolName,
        params: tools.readParams(content.toolName, content.input),
        ...(content.providerExecuted === true ? { providerExecuted: true } : {}),
        ...fromProviderMetadata(providerMetadata)
      }
    case "tool-result":
      return {
        type: "tool-result",
        id: content.toolCallId,
        name: content.toolName,
        result: content.result,
        isFailure: content.isError === true,
        providerExecuted: true,
        ...(content.preliminary === true ? { preliminary: true } : {}),
        ...fromProviderMetadata(providerMetadata)
      }
    case "tool-approval-request":
      return {
        type: "tool-approval-request",
        approvalId: content.approvalId,
        toolCallId: content.toolCallId,
        ...fromProviderMetadata(providerMetadata)
      }
    case "file":
      return fromFile(content.mediaType, content.data, fromProviderMetadata(providerMetadata))
    case "reasoning-file":
      return fromFile(content.mediaType, content.data, fromProviderMetadata(providerMetadata, { reasoning: true }))
    case "source":
      return fromSource(content)
  }
}

/** A file that the provider gives as a link becomes a source: it is not fetched behind the caller's back. */
const fromFile = (
  mediaType: string,
  data: SharedV4FileDataData | SharedV4FileDataUrl,
  metadata: ReturnType<typeof fromProviderMetadata>
): Response.FilePartEncoded | Response.UrlSourcePartEncoded => {
  if (data.type === "data") {
    return {
      type: "file",
      mediaType,
      data: typeof data.data === "string" ? data.data : Base64.encode(data.data),
      ...metadata
    }
  }
  const url = data.url.href
  return { type: "source", sourceType: "url", id: url, url, title: mediaType, ...metadata }
}

/** A source whose address is not a URL is kept as a document, because Effect decodes every url source to a `URL`. */
const fromSource = (
  source: LanguageModelV4Source
): Response.UrlSourcePartEncoded | Response.DocumentSourcePartEncoded => {
  const base = { type: "source" as const, id: source.id, ...fromProviderMetadata(source.providerMetadata) }
  if (source.sourceType === "document") {
    const { mediaType, title, filename } = source
    return {
      ...base,
      sourceType: "document",
      mediaType,
      title,
      ...(filename === undefined ? {} : { fileName: filename })
    }
  }
  const title = source.title ?? source.url
  return URL.canParse(source.url)
    ? { ...base, sourceType: "url", url: source.url, title }
    : { ...base, sourceType: "document", mediaType: "text/uri-list", title }
}

/** Converts the response's id, model and time; empty when the provider gave none of them. */
export const fromResponseMetadata = ({
  id,
  modelId,
  timestamp
}: LanguageModelV4ResponseMetadata): Array<Response.ResponseMetadataPartEncoded> => {
  const known = {
    ...(id === undefined ? {} : { id }),
    ...(modelId === undefined ? {} : { modelId }),
    ...(timestamp === undefined || Number.isNaN(timestamp.getTime()) ? {} : { timestamp: timestamp.toISOString() })
  }
  return Object.keys(known).length === 0 ? [] : [{ type: "response-metadata", ...known }]
}

/**
 * Converts the end of an answer.
 *
 * The provider's metadata arrives intact; its own finish reason and usage object are added under `aiSdk`.
 */
export const fromFinish = (finish: {
  readonly finishReason: LanguageModelV4FinishReason
  readonly usage: LanguageModelV4Usage
  readonly providerMetadata?: SharedV4ProviderMetadata
  readonly headers: SharedV4Headers | undefined
}): Response.FinishPartEncoded => ({
  type: "finish",
  reason: fromFinishReason(finish.finishReason),
  usage: fromUsage(finish.usage),
  ...(finish.headers === undefined ? {} : { response: { status: 200, headers: finish.headers } }),
  ...fromProviderMetadata(finish.providerMetadata, { finishReason: finish.finishReason.raw, usage: finish.usage.raw })
})

const fromFinishReason = ({ unified, raw }: LanguageModelV4FinishReason): Response.FinishReason => {
  if (raw === "pause_turn") return "pause"
  // A package knows the words of its own vendor, and servers that speak alike have others.
  if (unified === "other" && raw !== undefined) return FinishWord.meaningOf(raw)
  return unified === "interrupted" ? "unknown" : unified
}

/** The error of an answer that failed and says what it cost. */
export const counted = (error: AiError.AiError, usage: LanguageModelV4Usage): AiError.AiError => {
  const cost = Usage.fromFinish({ usage: fromUsage(usage) })
  return cost.inputTokens + cost.outputTokens > 0 ? Failure.afterWork(error, { usage: cost }) : error
}

const fromUsage = ({ inputTokens, outputTokens }: LanguageModelV4Usage): Response.FinishPartEncoded["usage"] => ({
  inputTokens: {
    ...count("uncached", inputTokens.noCache),
    ...count("total", inputTokens.total),
    ...count("cacheRead", inputTokens.cacheRead),
    ...count("cacheWrite", inputTokens.cacheWrite)
  },
  outputTokens: {
    ...count("total", outputTokens.total),
    ...count("text", outputTokens.text),
    ...count("reasoning", outputTokens.reasoning)
  }
})

/** Leaves out what is unknown, and what is no number of tokens: Effect would refuse the whole answer for some of these. */
const count = (name: string, tokens: number | undefined): { readonly [name: string]: number } =>
  Usage.isCount(tokens) ? { [name]: tokens } : {}
