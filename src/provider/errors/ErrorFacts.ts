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
import * as CutJson from "./CutJson.ts"
import * as Quotations from "./Quotations.ts"
import * as RefusalBody from "./RefusalBody.ts"
import * as Shown from "./Shown.ts"

export interface ErrorFacts {
  /** The HTTP status of the answer. For errors inside a stream the AI SDK's guess, if it makes one. */
  readonly answered: number | undefined
  /** The status of the failure: the answer's own, or the one an error inside a good answer names. */
  readonly status: number | undefined
  /** Every machine-readable word found (codes, types, reasons), in lower case. */
  readonly words: ReadonlyArray<string>
  /** What was said to humans, at most 1,000 characters; see `Shown` for what is left out. Empty when nothing was. */
  readonly message: string
  /** Each text of the message in lower case without what it quotes, which may be anybody's words: where wordings are looked for. */
  readonly wordings: ReadonlyArray<string>
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
  /**
   * What the provider said instead of an answer, at most 4,096 characters; see `Shown` for what is left out. Of an answer
   * that holds an error only that, and nothing of one that cannot be read.
   */
  readonly body: string | undefined
  /** Whether the provider said no, as opposed to an answer that was lost or spoilt on its way. */
  readonly refused: boolean
  /** Whether the answer stops in the middle of its JSON: the connection was cut, even if it looked closed in order. */
  readonly cut: boolean
  /** The thrown value and its causes, outermost first. */
  readonly causes: ReadonlyArray<unknown>
}

/**
 * Reads the facts from anything an AI SDK provider throws or puts into a stream's `error` part. Secrets are masked in every
 * text, after what escaped them was taken off. What a message quotes of the call or of its answer is read, and not shown.
 */
export const fromUnknown = (error: unknown, { isKept, mask, prompt }: Shown.Shown = Shown.unknown): ErrorFacts => {
  const causes = causesOf(error)
  const first = <A>(pick: (cause: unknown) => A | undefined): A | undefined =>
    causes.map(pick).find((found) => found !== undefined)

  const headers = first((cause) =>
    stringRecord(property(cause, "responseHeaders"), isKept, (text) => withoutKeys(mask(text)))
  )
  const answered = first(
    (cause) =>
      status(property(cause, "statusCode")) ??
      status(property(cause, "status")) ??
      status(property(property(cause, "$metadata"), "httpStatusCode"))
  )
  const answer = first((cause) => property(cause, "responseBody") ?? property(cause, "data"))
  const content = RefusalBody.contentOf(answer ?? first((cause) => property(cause, "value")) ?? error)

  const isStatus = isFailure(answered)
  const refused = isStatus || isRefusal(content) || !Predicate.isError(error)
  const leaves = refused ? leavesOf(content) : []
  // What is kept of a leaf is a copy of its beginning: a slice would hold the whole body in memory.
  const strings = (keys: ReadonlySet<string>): Array<string> =>
    leaves.flatMap(([key, leaf]) => (keys.has(key) && leaf !== "" ? [copy(mask(String(leaf).slice(0, 1_000)))] : []))

  const said = strings(messageKeys)
  const messages = distinct(said.length > 0 ? said : causes.flatMap(messageOf).map(mask))
  const message = copy(withoutKeys(messages.join(": ")).slice(0, 1_000))
  const unread = refused ? undefined : (answer ?? first((cause) => property(cause, "text") ?? property(cause, "value")))
  const shown = (text: string) =>
    Quotations.without(text, [
      ...(prompt === undefined ? [] : Shown.textsOf(prompt)),
      ...(unread === undefined ? [] : Shown.textsIn(unread))
    ])
  // A name is shown as it is; what is no name may be anything.
  const named = (text: string | undefined) => (text === undefined || name.test(text) ? text : shown(text))
  const body = isStatus ? answer : refused && answer !== undefined ? property(content, "error") : undefined
  return {
    answered,
    status: isStatus
      ? answered
      : leaves.flatMap(([key, leaf]) => (statusKeys.has(key) ? [status(leaf)] : [])).find(isFailure),
    words: [...strings(wordKeys), ...causes.flatMap(nameOf), ...headerWords(headers)].map((word) => word.toLowerCase()),
    message: shown(message),
    wordings: messages.map((text) => withoutQuotes(withoutKeys(text).slice(0, 1_000)).toLowerCase()),
    code: named(strings(codeKeys)[0]),
    type: named(strings(typeKeys).find((type) => type !== "error")),
    parameter: named(strings(parameterKeys).at(-1)),
    requestId: named(
      requestIdHeaders.map((name) => headers?.[name]).find(Predicate.isNotUndefined) ?? strings(requestIdKeys)[0]
    ),
    retryAfter: Option.firstSomeOf([
      RetryAfter.fromHeaders(headers ?? {}),
      ...strings(waitKeys).map(RetryAfter.fromText),
      RetryAfter.fromText(message)
    ]),
    shouldRetry: headers?.["x-should-retry"]?.split(",").every((value) => value.trim() === "true"),
    url: withoutKeys(first((cause) => string(property(cause, "url")))?.split("?")[0] ?? "") || undefined,
    headers,
    body:
      body === undefined ? undefined : clip(string(body) ?? written(body), (text) => shown(withoutKeys(mask(text)))),
    refused,
    cut: !refused && CutJson.is(string(answer) ?? first((cause) => string(property(cause, "text"))) ?? "-"),
    causes
  }
}

const name = /^[\w.:/[\]-]{1,100}$/

/** A place in an error body that says something, by the name of its field. */
type Leaf = readonly [key: string, value: string | number]

const codeKeys = new Set(["code", "error_code", "__type"])
const typeKeys = new Set(["type", "error_type"])
const wordKeys = new Set([...codeKeys, ...typeKeys, "status", "reason", "quotaId"])
const statusKeys = new Set(["code", "status", "status_code", "statusCode", "raw_status_code"])
const messageKeys = new Set([
  "message",
  "Message",
  "msg",
  "detail",
  "error",
  "error_description",
  "error_msg",
  "raw",
  "status_msg"
])
const parameterKeys = new Set(["param", "field", "loc"])
const requestIdKeys = new Set(["request_id", "requestId"])
const waitKeys = new Set(["retryDelay"])
const nestedKeys = [
  "errors",
  "innererror",
  "details",
  "metadata",
  "data",
  "response",
  "base_resp",
  "violations",
  "fieldViolations",
  "choices",
  "content_filter_results"
]
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

/** How many places of a body are looked at: what nests and branches could have any number of them. */
const mostPlaces = 1_024

/** Reads a body down to its telling fields; strings that hold JSON are read too. Bounded in depth, width and all. */
const leavesOf = (body: unknown): ReadonlyArray<Leaf> => {
  const leaves: Array<Leaf> = []
  let places = 0
  const read = (value: unknown, key: string, depth: number): void => {
    if (depth > 8 || places++ >= mostPlaces) return
    if (Predicate.isNumber(value)) leaves.push([key, value])
    else if (Predicate.isString(value)) {
      const inner = messageKeys.has(key) ? parsed(value) : value
      if (Predicate.isString(inner)) leaves.push([key, value])
      else read(inner, key, depth + 1)
    } else if (Array.isArray(value)) {
      for (const item of value.slice(0, 8)) read(item, key, depth + 1)
    } else if (Predicate.isObject(value)) {
      for (const [name, item] of Object.entries(value)) if (readKeys.has(name)) read(item, name, depth + 1)
    }
  }
  read(body, "error", 0)
  return leaves
}

/** Tells an error object from the answer a model gave, however malformed that is. */
const isRefusal = (content: unknown, depth = 0): boolean =>
  Array.isArray(content)
    ? depth < 8 && isRefusal(content[0], depth + 1)
    : Predicate.isObject(content) &&
      (Predicate.isNotNullish(property(content, "error")) ||
        property(content, "type") === "error" ||
        property(content, "type") === "response.failed" ||
        property(content, "object") === "error")

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
  Predicate.isError(cause) && Predicate.isString(cause.name) && cause.name.endsWith("Exception") ? [cause.name] : []

/** The AI SDK writes the whole answer into the message of an answer that it cannot read. */
const messageOf = (cause: unknown): ReadonlyArray<string> =>
  Predicate.isError(cause) && Predicate.isString(cause.message) && cause.message !== ""
    ? [withoutAnswer(cause.message).slice(0, mostMessage).replaceAll(quotedJson, " what is not valid JSON")]
    : []

/** More than shows of a message: what is masked in it may be longer than what stands for that. */
const mostMessage = 4_096

/** Takes out the answer that is quoted between two phrases of the AI SDK. Each phrase is looked for once, whatever the length. */
const withoutAnswer = (message: string): string => {
  const found = answerBegins.exec(message)
  if (found === null) return message
  const begin = found.index + found[0].length
  const end = message.indexOf(answerEnds, begin)
  return end < 0 ? message : `${message.slice(0, found.index)}${found[1]}: ${message.slice(end + answerEnds.length)}`
}
const answerBegins = /(Type validation failed[^:]{0,200}|JSON parsing failed): (?:Value|Text): /
const answerEnds = ".\nError message: "
/** V8 quotes what stands around the place where JSON ends to be JSON. */
const quotedJson = /(?:^|\s)(?:\.{3})?"[^]{0,64}?"(?:\.{3})? is not valid JSON/g

/** The first three messages that none before them holds. */
const distinct = (messages: ReadonlyArray<string>): ReadonlyArray<string> => {
  const kept: Array<string> = []
  for (const message of messages) {
    if (kept.length === 3) break
    if (!kept.some((earlier) => earlier.includes(message))) kept.push(message)
  }
  return kept
}

/** A quotation stands between marks that are not in the middle of a word. */
const withoutQuotes = (text: string): string =>
  text.replaceAll(/(?<![\w])(['"`])(?:(?!\1).|(?<=\w)\1(?=\w))*\1(?!\w)/gs, "$1$1")

const withoutKeys = (text: string): string => text.replaceAll(secrets, "<masked>")
/** Keys that look like keys; the user, password and query of a URL; and parameters of one that are named like keys. */
const secrets =
  /\b(?:sk|gsk|xai|key)[-_][\w-]{16,}|\bAIza[\w-]{20,}|(?<=\bBearer )[\w.-]{16,}|(?<=:\/\/)[^\s/@"'<>]{1,512}(?=@)|(?<=\bhttps?:\/\/[^\s?#"'<>]{1,512}\?)[^\s"'<>]+|(?<=[?&](?:api[-_]?)?(?:key|token|secret|signature|sig|password|code)=)[^\s&"'<>]+/gi

/** JSON can be nested too deeply to be written. */
const written = (value: unknown): string => Option.getOrElse(Option.liftThrowable(JSON.stringify)(value), () => "")

/** Copies what it keeps: a slice would hold the whole body in memory. What shows is told from twice as much. */
const clip = (text: string, shown: (text: string) => string): string => {
  const kept = shown(text.slice(0, 2 * mostBody))
  const more = text.length - mostBody
  return more > 0 ? `${copy(kept.slice(0, mostBody))}… (${more} more characters)` : kept
}
const mostBody = 4_096

const copy = (text: string): string => Buffer.from(text, "utf16le").toString("utf16le")

const property = (value: unknown, key: string): unknown => (Predicate.hasProperty(value, key) ? value[key] : undefined)
const string = (value: unknown): string | undefined => (Predicate.isString(value) ? value : undefined)
/** Names in lower case. */
const stringRecord = (
  value: unknown,
  isKept: (name: string) => boolean,
  shown: (text: string) => string
): Readonly<Record<string, string>> | undefined =>
  Predicate.isObject(value)
    ? Object.fromEntries(
        Object.entries(value).flatMap(([name, item]) =>
          Predicate.isString(item) && isKept(name.toLowerCase()) ? [[name.toLowerCase(), shown(item)]] : []
        )
      )
    : undefined
