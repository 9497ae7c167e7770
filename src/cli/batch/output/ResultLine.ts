/**
 * Writes and reads the lines of the output and errors files: the result format of the Batch APIs.
 */
import { Option, Predicate, Schema } from "effect"
import { AiError } from "effect/ai"
import { isUtf8 } from "node:buffer"
import { hash } from "node:crypto"
import * as JsonBytes from "../../../core/JsonBytes.ts"
import * as PolicyReason from "../../../core/call/PolicyReason.ts"
import type { InvalidLine } from "../input/BatchRequest.ts"

/** A request that has its answer: `body` is what the server sent, byte for byte. */
export interface Answered {
  readonly customId: string
  readonly line: number
  readonly status: number
  readonly requestId: string | undefined
  readonly body: Uint8Array
}

/** A request that has none, and why. */
export interface Failed {
  readonly customId: string | null
  /** Where it stands in the input, from 1. */
  readonly line: number
  readonly error: AiError.AiError | InvalidLine
  /** How often it was sent. */
  readonly attempts: number
  /** The answer that is none, but was paid for. */
  readonly answer?: Uint8Array | undefined
}

/**
 * Writes an answer as one line of the output file, its line end included.
 *
 * Line ends between the tokens of the body become spaces, for a line has none; inside of texts JSON has none either.
 */
export const fromAnswered = ({ body, customId, line, requestId, status }: Answered): Uint8Array => {
  const head = `"response":{"status_code":${status},"request_id":${JSON.stringify(requestId ?? "")},"body":`
  return Buffer.concat([Buffer.from(`${opened(customId, line)}${head}`), onOneLine(body), closing])
}

const closing = Buffer.from(`},"error":null}\n`)

/**
 * Writes a failure as one line of the errors file, its line end included.
 *
 * As in the Batch APIs, `response` is what the server said, and `error` says why it said nothing. Beside them `holdfast` has the
 * reason's tag (`RateLimitError`, `InvalidLine`, …) as `code`, its message, the `line`, the attempts, and in `policy` what a policy
 * decided, when the end was its decision; an answer that does not fit what was asked for is there as `answer`.
 */
export const fromFailed = ({ answer, attempts, customId, error, line }: Failed): Uint8Array => {
  const response = responseOf(error)
  const [code, message] = [codeOf(error), messageOf(error)]
  const facts = { code, message, line, attempts, policy: Option.getOrNull(PolicyReason.of(error)) }
  const rest = { response, error: response === null ? { code, message } : null, [own]: facts }
  const text = `${opened(customId, line)}${JSON.stringify(rest).slice(1)}`
  if (answer === undefined) return Buffer.from(`${text}\n`)
  return Buffer.concat([Buffer.from(`${text.slice(0, -2)},"answer":`), onOneLine(answer), Buffer.from("}}\n")])
}

/** The field that tells lines of failures that were written here from all others. */
const own = "holdfast"

/** The tag under which a failure is counted. */
export const codeOf = (error: Failed["error"]): string => (AiError.isAiError(error) ? error.reason._tag : error._tag)

/** Says in one line what went wrong. */
export const messageOf = (error: Failed["error"]): string => {
  if (!AiError.isAiError(error)) return error.message
  const { reason } = error
  const said = "description" in reason && reason.description !== undefined ? reason.description : reason.message
  return said.split("\n", 1)[0] ?? ""
}

/** What a line of an output or errors file is. */
export type Kind =
  | { readonly kind: "answer" | "failure"; readonly customId: string }
  /** A line of some batch's result which is no answer. */
  | { readonly kind: "result" | "other" }

/** The longest line that is parsed; of a longer one the fields are looked for in its bytes. */
const parsedBytes = 4 * 2 ** 20

/** Tells an answer, a failure that was written here, another result of a batch, and anything else. */
export const kindOf = (bytes: Buffer): Kind => {
  if (bytes.length > parsedBytes) return kindOfLong(bytes)
  const line = Option.getOrUndefined(decode(bytes.toString("utf8")))
  if (!Predicate.isObject(line)) return { kind: "other" }
  const { custom_id: customId, error, response } = line as { readonly [name: string]: unknown }
  if (isFailure(line)) {
    return Predicate.isString(customId) ? { kind: "failure", customId } : { kind: "failure", customId: "" }
  }
  if (!Object.hasOwn(line, "custom_id") || !(Object.hasOwn(line, "response") || Object.hasOwn(line, "error"))) {
    return { kind: "other" }
  }
  const isAnswer =
    Predicate.isString(customId) &&
    (error === null || error === undefined) &&
    Predicate.isObject(response) &&
    isGood(response["status_code"]) &&
    Predicate.isObject(response["body"])
  return isAnswer ? { kind: "answer", customId } : { kind: "result" }
}

const isGood = (status: unknown): boolean => Predicate.isNumber(status) && status >= 200 && status <= 299

const isFailure = (line: { readonly [name: string]: unknown }): boolean => {
  const facts = line[own]
  return (
    Predicate.isString(line["id"]) &&
    line["id"].startsWith(idPrefix) &&
    Predicate.isObject(facts) &&
    Predicate.isString(facts["code"]) &&
    Predicate.isNumber(facts["line"]) &&
    Object.keys(line).length === 5
  )
}

const kindOfLong = (bytes: Buffer): Kind => {
  const valueOf = (of: Buffer | undefined, name: string): Buffer | undefined => {
    const place = of && JsonBytes.fieldsOf(of)?.places.get(name)?.at(-1)
    return place && of.subarray(place.from, place.to)
  }
  const line = bytes.subarray(0, bytes.at(-1) === 0x0d ? -1 : undefined)
  const response = valueOf(line, "response")
  const customId = Option.getOrUndefined(decode(valueOf(line, "custom_id")?.toString("utf8") ?? ""))
  const isAnswer =
    (valueOf(line, "error")?.toString("latin1", 0, 8) ?? "null") === "null" &&
    isGood(Number(valueOf(response, "status_code")?.toString("latin1", 0, 8))) &&
    valueOf(response, "body")?.at(0) === 0x7b
  return isAnswer && Predicate.isString(customId) ? { kind: "answer", customId } : { kind: "other" }
}

/** True when bytes could be the beginning of a line that was written here. */
export const isBeginning = (bytes: Buffer): boolean => {
  const opening = Buffer.from(`{"id":"${idPrefix}`)
  const length = Math.min(bytes.length, opening.length)
  return length > 0 && opening.subarray(0, length).equals(bytes.subarray(0, length))
}

const idPrefix = "batch_req_"

const opened = (customId: string | null, line: number): string =>
  `{"id":"${idOf(customId, line)}","custom_id":${JSON.stringify(customId)},`

// The same line of the same input has the same id in every run. As UTF-16, in which no two texts are alike.
const idOf = (customId: string | null, line: number): string =>
  `${idPrefix}${hash("sha256", Buffer.from(`${line} ${customId ?? ""}`, "utf16le")).slice(0, 24)}`

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))

/** The bytes without a mark in front and line ends. Those that are no UTF-8 are written as what they were meant to be. */
const onOneLine = (body: Uint8Array): Uint8Array => {
  const mark = body[0] === 0xef && body[1] === 0xbb ? 3 : 0
  const bytes = Buffer.from(isUtf8(body) ? body.subarray(mark) : Buffer.from(body).toString("utf8"))
  for (const end of [0x0a, 0x0d]) {
    for (let at = bytes.indexOf(end); at !== -1; at = bytes.indexOf(end, at + 1)) bytes[at] = 0x20
  }
  return bytes
}

const responseOf = (error: Failed["error"]) => {
  if (!AiError.isAiError(error) || !("http" in error.reason) || error.reason.http?.response === undefined) return null
  const { body, response } = error.reason.http
  if (isGood(response.status)) return null
  const requestId = response.headers["x-request-id"]
  return {
    status_code: response.status,
    request_id: typeof requestId === "string" ? requestId : "",
    body: body === undefined ? null : Option.getOrElse(decode(body), () => body)
  }
}
