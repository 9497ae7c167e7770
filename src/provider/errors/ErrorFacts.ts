/**
 * Collects what a failed call says about itself, whoever says it and in whatever shape.
 *
 * Providers disagree on everything: OpenAI, Azure, Groq and DeepSeek nest `error.code` and `error.type`, Google sends an
 * array of RPC statuses, Mistral writes at the top or puts an object into `message`, AWS uses a header, OpenRouter wraps
 * somebody else's error as a string. Reading all of them into one shape is what lets `ErrorTable` be plain data.
 */
import type { Duration } from "effect"
import { Option, Predicate } from "effect"
import * as RetryAfter from "../RetryAfter.ts"

export interface ErrorFacts {
  /** The HTTP status of the answer. For errors inside a stream the AI SDK's guess, if it makes one. */
  readonly answered: number | undefined
  /** The status of the failure: the answer's own, or the one an error inside a good answer names. */
  readonly status: number | undefined
  /** Every machine-readable word found (codes, types, reasons), in lower case. */
  readonly words: ReadonlyArray<string>
  /** What was said to humans, at most 1,000 characters, secrets masked. Empty when nothing was. */
  readonly message: string
  /** The `code` as the provider wrote it. */
  readonly code: string | undefined
  /** The `type` as the provider wrote it. */
  readonly type: string | undefined
  /** The request parameter found at fault. */
  readonly parameter: string | undefined
  readonly requestId: string | undefined
  readonly retryAfter: Option.Option<Duration.Duration>
  /** `x-should-retry`, when the provider sent it. */
  readonly shouldRetry: boolean | undefined
  /** Where the call went, without the query, which may hold a key. */
  readonly url: string | undefined
  readonly headers: Readonly<Record<string, string>> | undefined
  /** The body as it arrived, at most 4,096 characters, secrets masked. */
  readonly body: string | undefined
  /** Whether the provider said no, as opposed to an answer that was lost or spoilt on its way. */
  readonly refused: boolean
  /** Whether the answer stops in the middle of its JSON: the connection was cut, even if it looked closed in order. */
  readonly cut: boolean
  /** The thrown value and its causes, outermost first. */
  readonly causes: ReadonlyArray<unknown>
}

/** Reads the facts from anything an AI SDK provider throws or puts into a stream's `error` part. */
export const fromUnknown = (error: unknown): ErrorFacts => {
  const causes = causesOf(error)
  const first = <A>(pick: (cause: unknown) => A | undefined): A | undefined =>
    causes.map(pick).find((found) => found !== undefined)

  const headers = first((cause) => stringRecord(property(cause, "responseHeaders")))
  const answered = first(
    (cause) =>
      status(property(cause, "statusCode")) ??
      status(property(cause, "status")) ??
      status(property(property(cause, "$metadata"), "httpStatusCode"))
  )
  const answer = first((cause) => property(cause, "responseBody") ?? property(cause, "data"))
  const content = parsed(answer ?? first((cause) => property(cause, "value")) ?? error)

  const isStatus = isFailure(answered)
  const refused = isStatus || isRefusal(content) || !Predicate.isError(error)
  const leaves = refused ? leavesOf(content, "error") : []
  const strings = (keys: ReadonlySet<string>): Array<string> =>
    leaves.flatMap(([key, leaf]) => (keys.has(key) && leaf !== "" ? [String(leaf)] : []))

  const said = strings(messageKeys)
  const message = mask(distinct(said.length > 0 ? said : causes.flatMap(messageOf)).join(": ")).slice(0, 1_000)
  return {
    answered,
    status: isStatus
      ? answered
      : leaves.flatMap(([key, leaf]) => (statusKeys.has(key) ? [status(leaf)] : [])).find(isFailure),
    words: [...strings(wordKeys), ...causes.flatMap(nameOf), ...headerWords(headers)].map((word) => word.toLowerCase()),
    message,
    code: strings(codeKeys)[0],
    type: strings(typeKeys).find((type) => type !== "error"),
    parameter: strings(parameterKeys).at(-1),
    requestId:
      requestIdHeaders.map((name) => headers?.[name]).find(Predicate.isNotUndefined) ?? strings(requestIdKeys)[0],
    retryAfter: Option.firstSomeOf([
      RetryAfter.fromHeaders(headers ?? {}),
      ...strings(waitKeys).map(RetryAfter.fromText),
      RetryAfter.fromText(message)
    ]),
    shouldRetry: headers?.["x-should-retry"] === undefined ? undefined : headers["x-should-retry"] === "true",
    url: first((cause) => string(property(cause, "url")))?.split("?")[0],
    headers,
    body: answer === undefined ? undefined : clip(mask(string(answer) ?? JSON.stringify(answer)), 4_096),
    refused,
    cut: !refused && isCut(string(answer) ?? first((cause) => string(property(cause, "text")))),
    causes
  }
}

/** A place in an error body that says something, by the name of its field. */
type Leaf = readonly [key: string, value: string | number]

const codeKeys = new Set(["code", "error_code", "__type"])
const typeKeys = new Set(["type", "error_type"])
const wordKeys = new Set([...codeKeys, ...typeKeys, "status", "reason", "quotaId"])
const statusKeys = new Set(["code", "status", "status_code", "statusCode", "raw_status_code"])
const messageKeys = new Set(["message", "Message", "msg", "detail", "error", "error_description", "raw"])
const parameterKeys = new Set(["param", "field", "loc"])
const requestIdKeys = new Set(["request_id", "requestId"])
const waitKeys = new Set(["retryDelay"])
const nestedKeys = ["errors", "innererror", "details", "metadata", "data", "response", "violations", "fieldViolations"]
const readKeys = new Set([
  ...wordKeys,
  ...statusKeys,
  ...messageKeys,
  ...parameterKeys,
  ...requestIdKeys,
  ...waitKeys,
  ...nestedKeys
])

const requestIdHeaders = ["x-request-id", "request-id", "x-amzn-requestid", "apim-request-id", "x-ms-request-id"]

/** Reads a body down to its telling fields; strings that hold JSON are read too. Bounded in depth and width. */
const leavesOf = (value: unknown, key: string, depth = 0): ReadonlyArray<Leaf> => {
  if (depth > 8) return []
  if (Predicate.isNumber(value)) return [[key, value]]
  if (Predicate.isString(value)) {
    const inner = messageKeys.has(key) ? parsed(value) : value
    return Predicate.isString(inner) ? [[key, value]] : leavesOf(inner, key, depth + 1)
  }
  if (Array.isArray(value)) return value.slice(0, 8).flatMap((item) => leavesOf(item, key, depth + 1))
  return Predicate.isObject(value)
    ? Object.entries(value).flatMap(([name, item]) => (readKeys.has(name) ? leavesOf(item, name, depth + 1) : []))
    : []
}

/** Tells an error object from the answer a model gave, however malformed that is. */
const isRefusal = (content: unknown): boolean =>
  Array.isArray(content)
    ? isRefusal(content[0])
    : Predicate.isObject(content) &&
      (Predicate.isNotNullish(property(content, "error")) ||
        property(content, "type") === "error" ||
        property(content, "type") === "response.failed" ||
        property(content, "object") === "error")

/** Tells JSON that ends too early from JSON that is wrong: something opened is never closed, or nothing came at all. */
const isCut = (text: string | undefined): boolean => {
  if (text === undefined) return false
  const structure = text.replaceAll(/"(?:[^"\\]|\\.)*"/g, "")
  const count = (sign: RegExp): number => structure.match(sign)?.length ?? 0
  return text.trim() === "" || (/^\s*[[{]/.test(text) && (structure.includes('"') || count(/[[{]/g) > count(/[\]}]/g)))
}

const causesOf = (error: unknown, depth = 0): ReadonlyArray<unknown> => {
  const errors = property(error, "errors")
  const cause =
    property(error, "cause") ?? property(error, "lastError") ?? (Array.isArray(errors) ? errors[0] : undefined)
  return cause === undefined || depth > 8 ? [error] : [error, ...causesOf(cause, depth + 1)]
}

const parsed = (value: unknown): unknown => {
  if (!Predicate.isString(value) || !/^\s*[[{]/.test(value)) return value
  return Option.getOrElse(parseJson(value), () => value)
}
const parseJson = Option.liftThrowable((text: string): unknown => JSON.parse(text))

const status = (value: unknown): number | undefined => {
  const number = Number(value)
  return Number.isInteger(number) && number >= 100 && number <= 599 ? number : undefined
}

const isFailure = (status: number | undefined): boolean => status !== undefined && status >= 400

/** AWS names the error in a header; its SDK in the error's own name. */
const headerWords = (headers: ErrorFacts["headers"]): ReadonlyArray<string> =>
  headers?.["x-amzn-errortype"]?.split(":").slice(0, 1) ?? []
const nameOf = (cause: unknown): ReadonlyArray<string> =>
  Predicate.isError(cause) && cause.name.endsWith("Exception") ? [cause.name] : []

const messageOf = (cause: unknown): ReadonlyArray<string> =>
  Predicate.isError(cause) && cause.message !== "" ? [cause.message] : []

const distinct = (messages: ReadonlyArray<string>): ReadonlyArray<string> =>
  messages.filter((message, at) => !messages.slice(0, at).some((earlier) => earlier.includes(message))).slice(0, 3)

const mask = (text: string): string => text.replaceAll(secrets, "<masked>")
const secrets = /\b(?:sk|gsk|xai|key)[-_][\w-]{16,}|\bAIza[\w-]{20,}|(?<=\bBearer )[\w.-]{16,}/g

const clip = (text: string, length: number): string =>
  text.length > length ? `${text.slice(0, length)}… (${text.length - length} more characters)` : text

const property = (value: unknown, key: string): unknown => (Predicate.hasProperty(value, key) ? value[key] : undefined)
const string = (value: unknown): string | undefined => (Predicate.isString(value) ? value : undefined)
const stringRecord = (value: unknown): Readonly<Record<string, string>> | undefined =>
  Predicate.isObject(value)
    ? Object.fromEntries(
        Object.entries(value).flatMap(([name, item]) => (Predicate.isString(item) ? [[name.toLowerCase(), item]] : []))
      )
    : undefined
