/** Reads an AI SDK model's stream as Effect's encoded stream parts, and closes its connection whatever happens. */
import type {
  LanguageModelV4StreamPart,
  LanguageModelV4StreamResult,
  SharedV4Headers,
  SharedV4Warning
} from "@ai-sdk/provider"
import { Array, Cause, Effect, Predicate, type Pull, Stream } from "effect"
import type { AiError, Response } from "effect/ai"
import * as NotEvents from "../errors/NotEvents.ts"
import * as ResponseHeaders from "../../core/call/ResponseHeaders.ts"
import { toAiError } from "../AiSdkError.ts"
import * as Shown from "../errors/Shown.ts"
import type { OfferedTools } from "../tools/OfferedTools.ts"
import * as Fault from "./Fault.ts"
import { fromProviderMetadata } from "./Metadata.ts"
import { counted, fromFinish, fromResponseMetadata, fromForeignTool, fromStandalone } from "./Response.ts"
import * as WellFormed from "../../core/stream/WellFormed.ts"
import * as CallError from "../../core/call/CallError.ts"

/** What a stream is made of. */
export interface Source {
  /** Sends the request. The signal aborts when the stream is closed. */
  readonly open: (signal: AbortSignal) => PromiseLike<LanguageModelV4StreamResult>
  readonly tools: OfferedTools
  readonly warn: (warnings: ReadonlyArray<SharedV4Warning>) => Effect.Effect<void>
  /** What may show of the call. */
  readonly shown: Shown.Shown
}

/** How long to wait, once the answer has finished, for the end of the body, so that the connection can be used again. */
export const drainLimit = "1 second"

/**
 * Opens the connection when the stream is run, and closes it when the stream ends, fails, is interrupted or left early.
 *
 * Closing aborts the request and cancels the body. A body that arrives after that is cancelled on arrival.
 */
export const make = (source: Source): Stream.Stream<Response.StreamPartEncoded, AiError.AiError> =>
  Effect.acquireRelease(Effect.sync(connect), (connection) => Effect.sync(connection.close)).pipe(
    Effect.flatMap((connection) =>
      Effect.tryPromise({ try: () => connection.open(source.open), catch: classified(source) })
    ),
    Effect.map((body) => ({ ...body, headers: Shown.headersOf(body.headers, source.shown) })),
    Effect.tap((body) => ResponseHeaders.received(body.headers ?? {})),
    Effect.map((body) => Stream.fromPull(Effect.sync(() => pullParts(body, source)))),
    Stream.unwrap,
    (parts) => WellFormed.enforce(parts, "AiSdk")
  )

type Reader = ReadableStreamDefaultReader<LanguageModelV4StreamPart>

interface Body {
  readonly headers: SharedV4Headers | undefined
  readonly read: Reader["read"]
  /** Whether an event has come: some models pass on what they were sent. */
  readonly hasEvents: () => boolean
}

const connect = () => {
  const controller = new AbortController()
  let reader: Reader | undefined
  let ended = false
  let hasEvents = false
  const cancel = () => {
    reader?.cancel().catch(() => {})
  }
  return {
    open: (open: Source["open"]): PromiseLike<Body> =>
      open(controller.signal).then(({ response, stream }) => {
        const body = stream.getReader()
        reader = body
        if (controller.signal.aborted) cancel()
        const read: Reader["read"] = () =>
          body.read().then((chunk) => {
            ended = chunk.done
            if (chunk.done || chunk.value.type !== "raw") return chunk
            hasEvents = true
            return Fault.isIn(chunk.value.rawValue) ? chunk : read()
          })
        return { headers: response?.headers, read, hasEvents: () => hasEvents }
      }),
    close: () => {
      if (ended) return
      controller.abort()
      cancel()
    }
  }
}

type Parts = Array.NonEmptyReadonlyArray<Response.StreamPartEncoded>

/**
 * Pulls part by part. A tool call is passed on when the answer has gone on behind it: of a body that just stops, AI SDK
 * models make calls with the parameters they have, and only then say that it was cut short.
 */
const pullParts = (body: Body, source: Source): Pull.Pull<Parts, AiError.AiError> => {
  let finished = false
  let hasBegun = false
  const classify = classified(source)
  const cut = (error: AiError.AiError): AiError.AiError => {
    const instead = hasBegun || body.hasEvents() ? undefined : notEvents(body.headers)
    return instead === undefined ? error : classify(instead)
  }
  let calls: Array<Response.StreamPartEncoded> = []
  const behindCalls = (parts: ReadonlyArray<Response.StreamPartEncoded>): ReadonlyArray<Response.StreamPartEncoded> => {
    if (calls.length === 0) return parts
    const all = [...calls, ...parts]
    calls = []
    return all
  }
  const read = Effect.tryPromise({ try: body.read, catch: classify })
  const drain = read.pipe(Effect.repeat({ until: (chunk) => chunk.done }), Effect.timeout(drainLimit), Effect.ignore)
  const pull: Pull.Pull<Parts, AiError.AiError> = Effect.suspend(() => {
    if (finished) return Effect.andThen(drain, Cause.done())
    return Effect.flatMap(read, (chunk): Pull.Pull<Parts, AiError.AiError> => {
      if (chunk.done) return Effect.fail(cut(WellFormed.cutShort("AiSdk")))
      const part = chunk.value
      switch (part.type) {
        case "stream-start":
          return Effect.andThen(source.warn(part.warnings), pull)
        case "raw": {
          const reason = Fault.ofChunk(part.rawValue, source.shown)
          return reason === undefined ? pull : Effect.fail(failed(reason))
        }
        case "error": {
          return Effect.fail(saysNoEnd(part.error) ? cut(WellFormed.cutShort("AiSdk")) : classify(part.error))
        }
        case "finish": {
          const reason = Fault.ofFinish(part.finishReason, source.shown)
          if (reason !== undefined) {
            const failure = part.finishReason.raw === undefined ? cut(failed(reason)) : failed(reason)
            return Effect.fail(counted(failure, part.usage))
          }
          finished = true
          return Effect.succeed(Array.append(behindCalls([]), fromFinish({ ...part, headers: body.headers })))
        }
        default: {
          hasBegun = true
          const parts = fromPart(part, source.tools)
          if (part.type === "tool-call" && part.providerExecuted !== true) {
            calls.push(...parts)
            return pull
          }
          const passed = saysNothingNew.has(part.type) ? parts : behindCalls(parts)
          return Array.isReadonlyArrayNonEmpty(passed) ? Effect.succeed(passed) : pull
        }
      }
    })
  })
  return pull
}

/** What also comes of a body that just stops, or says nothing about the answer. */
const saysNothingNew: ReadonlySet<LanguageModelV4StreamPart["type"]> = new Set([
  "text-end",
  "reasoning-end",
  "tool-input-end",
  "response-metadata",
  "ping"
])

/** Anthropic's first block repeats the response's metadata and is no part of the answer. */
const announcement = "anthropic.message_start"

/** Converts one part; empty for those that say nothing about the answer. */
export const fromPart = (
  part: Exclude<LanguageModelV4StreamPart, { type: "stream-start" | "error" | "finish" }>,
  tools: OfferedTools
): ReadonlyArray<Response.StreamPartEncoded> => {
  switch (part.type) {
    case "text-start":
    case "reasoning-start":
    case "reasoning-end":
      return [{ type: part.type, id: part.id, ...fromProviderMetadata(part.providerMetadata) }]
    case "text-end": {
      const notes = part.citations === undefined ? {} : { citations: part.citations }
      return [{ type: "text-end", id: part.id, ...fromProviderMetadata(part.providerMetadata, notes) }]
    }
    case "text-delta":
    case "reasoning-delta":
      return [{ type: part.type, id: part.id, delta: part.delta, ...fromProviderMetadata(part.providerMetadata) }]
    case "tool-input-start":
      return [
        {
          type: "tool-params-start",
          id: part.id,
          name: part.toolName,
          ...(part.providerExecuted === true ? { providerExecuted: true } : {}),
          ...fromProviderMetadata(part.providerMetadata)
        }
      ]
    case "tool-input-delta":
      return [
        { type: "tool-params-delta", id: part.id, delta: part.delta, ...fromProviderMetadata(part.providerMetadata) }
      ]
    case "tool-input-end":
      return [{ type: "tool-params-end", id: part.id, ...fromProviderMetadata(part.providerMetadata) }]
    case "custom":
      if (part.kind === announcement) return []
      return emptyText(part.kind, fromProviderMetadata(part.providerMetadata, { custom: part.kind }))
    case "response-metadata":
      return fromResponseMetadata(part)
    case "ping":
    case "raw":
      return []
    default:
      return (
        fromForeignTool(part, tools)?.flatMap((carried) => emptyText("foreign", carried)) ?? [
          fromStandalone(part, tools)
        ]
      )
  }
}

const emptyText = (
  id: string,
  carried: ReturnType<typeof fromProviderMetadata>
): ReadonlyArray<Response.StreamPartEncoded> => [
  { type: "text-start", id, ...carried },
  { type: "text-end", id }
]

const classified =
  ({ shown }: Source) =>
  (error: unknown): AiError.AiError =>
    toAiError(error, { method: "streamText", shown })

/** The error of a body that held no event, where its headers say that it is something else. */
const notEvents = (headers: SharedV4Headers | undefined): NotEvents.NotEvents | undefined =>
  headers !== undefined && /^(?:text\/html|application\/(?:problem\+)?json)\b/i.test(headers["content-type"] ?? "")
    ? new NotEvents.NotEvents({ statusCode: 200, responseHeaders: headers })
    : undefined

const saysNoEnd = (error: unknown): boolean =>
  Predicate.isError(error) && error.message === "Response stream ended without a finish reason."

const failed = (reason: AiError.AiErrorReason): AiError.AiError =>
  CallError.make({ module: "AiSdk", method: "streamText", reason })
