/**
 * What a fault is on the wire, and which `AiError` becomes of it.
 *
 * The error is not made by hand: what a client of the wire would throw is given to the classifier that judges real
 * failures, so policies read the same reason and the same facts from a faulty model as from a provider.
 */
import { Duration } from "effect"
import { AiError } from "effect/ai"
import { toAiError } from "../../provider/AiSdkError.ts"
import type { Because, Behaviour, Fault, Rejection } from "./Behaviour.ts"
import * as CallError from "../../core/call/CallError.ts"

/** An HTTP error in the format of OpenAI, which most others have copied. */
export interface HttpError {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: { readonly error: ErrorBody }
}

interface ErrorBody {
  readonly message: string
  readonly type: string
  readonly param: string | null
  readonly code: string
}

/** A chunk, or an answer, that is no JSON however long one waits for the rest. */
export const malformed = '{"id":"malformed","choices":]}'

/** Where a faulty model would be, if it were anywhere. */
const url = "http://faulty.invalid/v1/chat/completions"

/** The headers of an answer or rejection to the call of this number. */
export const headersOf = (behaviour: Behaviour, number: number): Readonly<Record<string, string>> => ({
  "x-request-id": `faulty-${number}`,
  ...behaviour.headers
})

/** The rejection as it is sent. */
export const rejectionOf = (rejection: Rejection, headers: Readonly<Record<string, string>>): HttpError => {
  const { status, ...error } = causes[rejection.because]
  return {
    status: rejection.status ?? status,
    headers: { ...retryHeaders(rejection.retryAfter), ...headers },
    body: { error: { param: null, ...error } }
  }
}

/** The error inside an answer as it is sent. There are no headers left, so the wait is asked for in words. */
export const errorOf = (rejection: Rejection): ErrorBody => {
  const { status: _, ...error } = causes[rejection.because]
  const wait =
    rejection.retryAfter === undefined ? "" : ` Please try again in ${Duration.toMillis(rejection.retryAfter)}ms.`
  return { param: null, ...error, message: `${error.message}${wait}` }
}

/** `retry-after` has whole seconds only; what does not fit is said in `retry-after-ms` too. */
const retryHeaders = (wait: Duration.Input | undefined): Readonly<Record<string, string>> => {
  if (wait === undefined) return {}
  const millis = Math.ceil(Duration.toMillis(wait))
  const seconds = { "retry-after": String(Math.ceil(millis / 1_000)) }
  return millis % 1_000 === 0 ? seconds : { ...seconds, "retry-after-ms": String(millis) }
}

const causes: Readonly<
  Record<Because, { status: number; message: string; type: string; code: string; param?: string }>
> = {
  "rate limited": {
    status: 429,
    message: "Rate limit reached for requests.",
    type: "requests",
    code: "rate_limit_exceeded"
  },
  "quota exhausted": {
    status: 429,
    message: "You exceeded your current quota, please check your plan and billing details.",
    type: "insufficient_quota",
    code: "insufficient_quota"
  },
  overloaded: {
    status: 503,
    message: "The model is currently overloaded.",
    type: "service_unavailable_error",
    code: "server_is_overloaded"
  },
  "server error": {
    status: 500,
    message: "The server had an error while processing your request.",
    type: "server_error",
    code: "server_error"
  },
  unauthorized: {
    status: 401,
    message: "Incorrect API key provided.",
    type: "invalid_request_error",
    code: "invalid_api_key"
  },
  forbidden: {
    status: 403,
    message: "You have no permission to do this.",
    type: "permission_error",
    code: "permission_denied"
  },
  "invalid request": {
    status: 400,
    message: "Invalid value: 'temperature' must be at most 2.",
    type: "invalid_request_error",
    code: "invalid_value",
    param: "temperature"
  },
  "unknown model": {
    status: 404,
    message: "The model does not exist or you do not have access to it.",
    type: "invalid_request_error",
    code: "model_not_found",
    param: "model"
  },
  "content policy": {
    status: 400,
    message: "The prompt was flagged by the content filter.",
    type: "invalid_request_error",
    code: "content_filter",
    param: "prompt"
  }
}

/** The error with which a call fails. A fault that is no failure (`stall`, `die`) has none. */
export const failureOf = (
  fault: Exclude<Fault, { readonly is: "stall" | "die" }>,
  method: "generateText" | "streamText",
  headers: Readonly<Record<string, string>>
): AiError.AiError => toAiError(thrown(fault, method === "streamText", headers), { method })

/** What an AI SDK client throws, or puts into its stream, when that happens on the wire. */
const thrown = (
  fault: Exclude<Fault, { readonly is: "stall" | "die" }>,
  streamed: boolean,
  responseHeaders: Readonly<Record<string, string>>
): unknown => {
  const answered = (text: string, reason: unknown) =>
    failed("Invalid JSON response", {
      name: "AI_APICallError",
      statusCode: 200,
      responseHeaders,
      responseBody: text,
      cause: reason,
      url
    })
  switch (fault.is) {
    case "refuse": {
      const { body, headers, status } = rejectionOf(fault, responseHeaders)
      return failed(body.error.message, {
        name: "AI_APICallError",
        statusCode: status,
        responseHeaders: headers,
        responseBody: JSON.stringify(body),
        url
      })
    }
    case "error": {
      const error = errorOf(fault)
      return streamed ? error : answered(JSON.stringify({ error }), notTheAnswer)
    }
    case "malformed":
      return streamed ? noJson(malformed) : answered(malformed, noJson(malformed))
    case "cut":
      return failed("Cannot connect to API: read ECONNRESET", {
        name: "AI_APICallError",
        url,
        cause: failed("read ECONNRESET", { name: "Error", code: "ECONNRESET" })
      })
    case "end":
      return streamed ? cut : answered(unfinished, noJson(unfinished))
  }
}

/** The beginning of an answer, as it is left by whoever closes the connection in the middle of it. */
export const unfinished = '{"id":"unfinished","choices":[{"mess'

/** What the bridge itself says of a stream that ended early. */
const cut = CallError.make({
  module: "AiSdk",
  method: "streamText",
  reason: new AiError.InternalProviderError({ description: "the answer ended before it was finished" })
})

const failed = (message: string, { cause, ...facts }: Readonly<Record<string, unknown>>): Error =>
  Object.assign(new Error(message, cause === undefined ? {} : { cause }), facts)

const noJson = (text: string): Error => {
  const cause = syntaxErrorOf(text)
  return failed(`JSON parsing failed: Text: ${text}.\nError message: ${String(cause)}`, {
    name: "AI_JSONParseError",
    text,
    cause
  })
}

const syntaxErrorOf = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (error) {
    return error
  }
}

const notTheAnswer = failed("Type validation failed", { name: "AI_TypeValidationError" })
