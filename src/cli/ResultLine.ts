/**
 * Writes and reads the lines of the output and errors files: OpenAI's Batch result format.
 */
import { Option, Schema } from "effect"
import { AiError } from "effect/ai"
import { hash } from "node:crypto"
import * as PolicyReason from "../core/call/PolicyReason.ts"
import type { InvalidLine } from "./BatchRequest.ts"

/** A request that has its answer: `body` is the provider's own JSON. */
export interface Answered {
  readonly customId: string
  readonly requestId: string | undefined
  readonly body: unknown
}

/** A request that has none, and why. */
export interface Failed {
  readonly customId: string | null
  /** Where it stands in the input, from 1. */
  readonly line: number
  readonly error: AiError.AiError | InvalidLine
  /** How often it was sent. */
  readonly attempts: number
}

/** Writes an answer as one line of the output file, its line end included. */
export const fromAnswered = ({ body, customId, requestId }: Answered): string =>
  toLine(customId, { status_code: 200, request_id: requestId ?? "", body }, null)

/**
 * Writes a failure as one line of the errors file, its line end included.
 *
 * `error.code` is the reason's tag (`RateLimitError`, `InvalidLine`, …); `error.policy` is what a policy decided, when
 * the end was its decision. `response` is what the provider said, when it said anything.
 */
export const fromFailed = ({ attempts, customId, error, line }: Failed): string => {
  const response = responseOf(error)
  return toLine(customId, response, {
    code: codeOf(error),
    message: messageOf(error),
    line,
    attempts,
    status: response?.status_code ?? null,
    policy: Option.getOrNull(PolicyReason.of(error))
  })
}

/** The tag under which a failure is counted. */
export const codeOf = (error: Failed["error"]): string => (AiError.isAiError(error) ? error.reason._tag : error._tag)

/** Says in one line what went wrong. */
export const messageOf = (error: Failed["error"]): string => {
  if (!AiError.isAiError(error)) return error.message
  const { reason } = error
  const said = "description" in reason && reason.description !== undefined ? reason.description : reason.message
  return said.split("\n", 1)[0] ?? ""
}

/** Reads the `custom_id` of a line that holds an answer; `None` for failures, torn lines and anything else. */
export const answeredId = (text: string): Option.Option<string> =>
  Option.map(decode(text), ({ custom_id }) => custom_id)

/** True when a text could be the beginning of a result line. */
export const isBeginning = (text: string): boolean => text.slice(0, opening.length) === opening.slice(0, text.length)

const opening = '{"id":"'

const toLine = (customId: string | null, response: unknown, error: unknown): string =>
  `${JSON.stringify({ id: idOf(customId ?? ""), custom_id: customId, response, error })}\n`

// The same request has the same id in every run.
const idOf = (customId: string): string => `batch_req_${hash("sha256", customId).slice(0, 24)}`

const decode = Schema.decodeUnknownOption(
  Schema.fromJsonString(
    Schema.Struct({
      custom_id: Schema.String,
      response: Schema.Struct({ body: Schema.ObjectKeyword }),
      error: Schema.optionalKey(Schema.Null)
    })
  )
)

const responseOf = (error: Failed["error"]) => {
  if (!AiError.isAiError(error) || !("http" in error.reason) || error.reason.http?.response === undefined) return null
  const { body, response } = error.reason.http
  const requestId = response.headers["x-request-id"]
  return {
    status_code: response.status,
    request_id: typeof requestId === "string" ? requestId : "",
    body: body === undefined ? null : Option.getOrElse(parseJson(body), () => body)
  }
}

const parseJson = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))
