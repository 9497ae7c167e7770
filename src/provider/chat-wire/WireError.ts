/**
 * Makes an `AiError` of whatever a call failed with: the same table as every other provider, nothing secret in it.
 */
import { Predicate } from "effect"
import { AiError, type Prompt } from "effect/ai"
import * as ErrorReason from "../errors/ErrorReason.ts"
import * as Quotations from "../errors/Quotations.ts"
import * as Shown from "../errors/Shown.ts"
import * as WrittenStack from "../errors/WrittenStack.ts"
import { Miscoded, NoHttp, TooLarge, UnknownCoding } from "../http/Exchange.ts"
import type { Mask } from "../http/Secrets.ts"
import * as Faults from "./Faults.ts"
import { EventTooLarge } from "../http/Sse.ts"
import * as CallError from "../../core/call/CallError.ts"

/** What is known of a call when it fails. */
export interface Context {
  readonly method: "generateText" | "streamText"
  /** Where it went, without user, password, query. */
  readonly url: string
  readonly mask: Mask
  /** What was asked, of which nothing shows, or how to read it when a call has failed. */
  readonly prompt: Prompt.Prompt | (() => Prompt.Prompt)
  readonly status?: number | undefined
  /** The headers that are passed on. */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** What a server answered instead of an answer. */
export interface Answered {
  readonly status: number
  readonly body: string
}

export const of = (error: unknown, context: Context): AiError.AiError => {
  if (AiError.isAiError(error)) return error
  return WrittenStack.of(
    CallError.make({ module: "ChatWire", method: context.method, reason: reasonOf(error, context) })
  )
}

/** Makes the error of an answer whose status says no, or whose body is an error in spite of it. */
export const ofAnswer = ({ body, status }: Answered, context: Context): AiError.AiError => {
  const { headers, method, url } = context
  const facts = { statusCode: status, responseHeaders: headers ?? {}, responseBody: body, url }
  return WrittenStack.of(
    CallError.make({ module: "ChatWire", method, reason: ErrorReason.of(facts, shownOf(context)) })
  )
}

const reasonOf = (error: unknown, context: Context): AiError.AiErrorReason => {
  if (AiError.isAiErrorReason(error)) return error
  const { headers, mask, url } = context
  if (error instanceof Faults.Cut) {
    return new AiError.InternalProviderError({
      description: "the answer ended before it was finished",
      ...httpOf(context)
    })
  }
  if (error instanceof Faults.Refused) {
    const text = Predicate.isString(error.body) ? error.body : stringify(error.body)
    const reason = ErrorReason.of({ responseHeaders: headers ?? {}, responseBody: text, url }, shownOf(context))
    // That the answer failed is certain; when nothing says why, another attempt may succeed.
    return reason._tag === "UnknownError"
      ? new AiError.InternalProviderError({
          description: reason.description ?? "the answer failed",
          metadata: reason.metadata,
          ...httpOf(context)
        })
      : reason
  }
  if (error instanceof TooLarge) return beyond("maxBytes", error.atMostBytes, error.message, context)
  if (error instanceof EventTooLarge) return beyond("maxEventSize", error.atMost, error.message, context)
  if (error instanceof Faults.BeyondLimit)
    return beyond(error.limit, error.allowed, shown(error.message, context), context)
  if (error instanceof Faults.Unreadable)
    return new AiError.InvalidResponseError({ description: shown(error.message, context), ...httpOf(context) })
  if (error instanceof Miscoded || error instanceof NoHttp)
    return new AiError.InvalidResponseError({ description: error.message, ...httpOf(context) })
  if (error instanceof UnknownCoding) {
    const { message } = new UnknownCoding({ coding: mask(error.coding) })
    return new AiError.InvalidResponseError({ description: message, ...httpOf(context) })
  }
  if (isNoHttp(error)) return new AiError.InvalidResponseError({ description: "the answer is no HTTP" })
  return ErrorReason.of(located(error, context), shownOf(context))
}

/** Of the headers only those are left that are passed on. */
const shownOf = (context: Context): Shown.Shown => ({
  mask: context.mask,
  prompt: promptOf(context),
  isKept: () => true
})

const promptOf = ({ prompt }: Context): Prompt.Prompt => (Predicate.isFunction(prompt) ? prompt() : prompt)

/** Masked first: a secret that was cut could not be told any more. */
const shown = (message: string, context: Context): string => {
  const text = Quotations.without(context.mask(message), Shown.textsOf(promptOf(context)))
  return text.length > 240 ? `${text.slice(0, 140)}…${text.slice(-80)}` : text
}

/** What undici's parser refuses. */
const isNoHttp = (error: unknown): boolean => Predicate.isError(error) && error.name === "HTTPParserError"

const beyond = (limit: string, allowed: number, description: string, context: Context): AiError.AiErrorReason =>
  new AiError.InvalidResponseError({ description, metadata: { chatWire: { limit, allowed } }, ...httpOf(context) })

const httpOf = ({ headers, status }: Context): { readonly http?: typeof AiError.HttpContext.Type } =>
  status === undefined ? {} : { http: { response: { status, headers: headers ?? {} } } }

/** A connection's error, told where it went. It is wrapped: it may be shared by several calls. */
const located = (error: unknown, { mask, url }: Context): unknown => {
  if (!Predicate.isError(error)) return error
  const code = Predicate.hasProperty(error, "code") && Predicate.isString(error.code) ? error.code : undefined
  const wrapped = new Faults.ConnectionFailed({
    message: mask(error.message),
    url,
    ...(code === undefined ? {} : { code })
  })
  return wrapped
}

/** JSON cannot be written of what is nested too deeply: what lies deeper is left out. */
const stringify = (value: unknown): string => {
  try {
    return JSON.stringify(value) ?? "null"
  } catch {
    return JSON.stringify(shallow(value, mostDepth)) ?? "null"
  }
}

const mostDepth = 16

const shallow = (value: unknown, depth: number): unknown => {
  if (!Predicate.isObjectOrArray(value)) return value
  if (depth === 0) return null
  if (Array.isArray(value)) return value.map((each: unknown) => shallow(each, depth - 1))
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, shallow(each, depth - 1)]))
}
