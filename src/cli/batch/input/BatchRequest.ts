/**
 * Reads one line of a batch file: a line of one of the Batch APIs, a request by itself, or the short form `{"prompt": "…"}`.
 *
 * What is to be sent is cut out of the line's own bytes; JSON is parsed only to look at it.
 */
import { Option, Predicate, Result, Schema } from "effect"
import { bufferOf } from "./Bytes.ts"
import * as JsonBytes from "../../../core/JsonBytes.ts"
import type { Line } from "./Lines.ts"
import * as ShownError from "../../../core/ShownError.ts"

/** A request as it will be sent: `body` goes out as it is here. */
export interface BatchRequest {
  readonly customId: string
  /** Where it stands in the input, from 1. */
  readonly line: number
  /** Where it goes, below the base URL: `/chat/completions`. */
  readonly path: string
  readonly model: string
  readonly body: Uint8Array
  /** About how many tokens the body has. */
  readonly tokens: number
}

/** What a line means that does not say it itself. */
export interface Fallbacks {
  /** The model of lines that name none. */
  readonly model?: string | undefined
  /** The endpoint of lines that name none. */
  readonly endpoint?: string | undefined
}

/** Says what is wrong with one line, and in which field. The request is not sent; the run goes on. */
export class InvalidLine extends ShownError.TaggedError<InvalidLine>()("InvalidLine", {
  line: Schema.Int,
  /** The line's id, where it could be read. */
  customId: Schema.NullOr(Schema.String),
  /** The field at fault, such as `body.messages`; empty when it is the line as a whole. */
  field: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `line ${this.line}: ${this.field === "" ? "" : `${this.field} `}${this.problem}`
  }
}

/** The endpoints that requests can go to. */
const endpoints = ["/chat/completions", "/responses", "/embeddings", "/completions", "/messages"] as const

/** The path of an endpoint, as people write it: `/v1/embeddings`, `embeddings`. */
export const pathOf = (endpoint: unknown): string | undefined => {
  const path = Predicate.isString(endpoint) ? endpoint.replace(/^\/?(?:v1\/)?\/?/u, "/") : ""
  return endpoints.find((known) => known === path)
}

/**
 * Reads a request from a line, in any of these forms:
 *
 * - `{custom_id, body}`, with or without `method` and `url`: OpenAI, Azure, Mistral, Together;
 * - `{custom_id, params}`: Anthropic;
 * - `{prompt}`, with or without `id`, `system`, `model`: every other field goes into the body;
 * - a request body itself, which has `messages` or `input`.
 *
 * A line without an id is called `line-N` after its place in the file, where its form does not insist on one.
 */
export const parse = (line: Line, fallbacks: Fallbacks): Result.Result<BatchRequest, InvalidLine> => {
  if (line.problem !== undefined) return invalid(line, null, "", line.problem)
  const fields = Option.getOrUndefined(decodeJson(bufferOf(line.bytes).toString("utf8")))
  const places = JsonBytes.fieldsOf(line.bytes.subarray(0, lengthOf(line.bytes)))?.places
  if (!isFields(fields) || places === undefined) return invalid(line, null, "", "is not a JSON object")
  const form = Object.hasOwn(fields, "body")
    ? batchLine
    : Object.hasOwn(fields, "params")
      ? anthropicLine
      : Object.hasOwn(fields, "prompt")
        ? shortLine
        : bareBody
  const found = form({ fields, places, line, fallbacks })
  const id = idOf(fields)
  if ("problem" in found) return invalid(line, id, found.field, found.problem)
  return Result.map(
    Result.mapError(withModel(found, fallbacks), ([field, problem]) => invalidLine(line, id, field, problem)),
    ({ body, model }) => ({
      customId: found.customId,
      line: line.number,
      path: found.path,
      model,
      body,
      tokens: tokensOf(body)
    })
  )
}

type Fields = Readonly<Record<string, unknown>>

interface Given {
  readonly fields: Fields
  readonly places: JsonBytes.Fields["places"]
  readonly line: Line
  readonly fallbacks: Fallbacks
}

/** What a form makes of a line. */
type Found =
  | { readonly field: string; readonly problem: string }
  | {
      readonly customId: string
      readonly path: string
      readonly bytes: Uint8Array
      readonly body: Fields
      /** What the body is called in the line, for messages. */
      readonly name: "body." | "params." | ""
    }

type Form = (given: Given) => Found

const problem = (field: string, what: string): Found => ({ field, problem: what })

const batchLine: Form = ({ fallbacks, fields, line, places }) => {
  const { body, custom_id: id, method = "POST", url = fallbacks.endpoint ?? "/v1/chat/completions" } = fields
  const wrong = wrongId(id)
  if (wrong !== undefined) return problem("custom_id", wrong)
  if (method !== "POST") return problem("method", 'must be "POST"')
  const path = pathOf(url)
  if (path === undefined) return problem("url", `must be one of ${endpoints.map((each) => `/v1${each}`).join(", ")}`)
  if (!isFields(body)) return problem("body", "must be an object")
  return { customId: String(id), path, body, bytes: slice(line, places, "body"), name: "body." }
}

const anthropicLine: Form = ({ fields, line, places }) => {
  const { custom_id: id, params } = fields
  const wrong = wrongId(id)
  if (wrong !== undefined) return problem("custom_id", wrong)
  if (!isFields(params)) return problem("params", "must be an object")
  return {
    customId: String(id),
    path: "/messages",
    body: params,
    bytes: slice(line, places, "params"),
    name: "params."
  }
}

const shortLine: Form = ({ fallbacks, fields, line, places }) => {
  const { custom_id, id = custom_id, prompt, system } = fields
  const wrong = id === undefined ? undefined : wrongId(id)
  if (wrong !== undefined) return problem(Object.hasOwn(fields, "id") ? "id" : "custom_id", wrong)
  if (!isText(prompt)) return problem("prompt", "must be a text that is not empty")
  if (system !== undefined && !Predicate.isString(system)) return problem("system", "must be a text")
  if (Object.hasOwn(fields, "messages")) return problem("messages", 'cannot be given together with "prompt"')
  const path = pathOf(fallbacks.endpoint ?? "/chat/completions") ?? "/chat/completions"
  const said = slice(line, places, "prompt").toString("utf8")
  const told = system === undefined ? undefined : slice(line, places, "system").toString("utf8")
  const written = [...places.keys()]
    .filter((name) => !ofShortLine.has(name))
    .map((name) => `${JSON.stringify(name)}:${slice(line, places, name).toString("utf8")}`)
    .concat(asked(path, said, told))
  const { custom_id: _, id: __, prompt: ___, system: ____, ...rest } = fields
  const body: Fields = { ...rest, ...(isChat(path) ? { messages: [{}] } : {}) }
  return {
    customId: customIdOf(id, line),
    path,
    body,
    bytes: Buffer.from(`{${written.join(",")}}`),
    name: ""
  }
}

/** What each endpoint calls a prompt; both texts are JSON already. */
const asked = (path: string, prompt: string, system: string | undefined): ReadonlyArray<string> => {
  const user = `"messages":[{"role":"user","content":${prompt}}]`
  if (path === "/messages") return [...(system === undefined ? [] : [`"system":${system}`]), user]
  if (path === "/responses") return [...(system === undefined ? [] : [`"instructions":${system}`]), `"input":${prompt}`]
  if (path === "/embeddings") return [`"input":${prompt}`]
  if (path === "/completions") return [`"prompt":${prompt}`]
  return system === undefined
    ? [user]
    : [`"messages":[{"role":"system","content":${system}},{"role":"user","content":${prompt}}]`]
}

const ofShortLine = new Set(["id", "custom_id", "prompt", "system"])

const bareBody: Form = ({ fallbacks, fields, line }) => {
  const path = pathOf(fallbacks.endpoint) ?? (Object.hasOwn(fields, "messages") ? "/chat/completions" : undefined)
  if (path !== undefined && !(isChat(path) && fields["messages"] === undefined)) {
    return { customId: `line-${line.number}`, path, body: fields, bytes: trimmed(line), name: "" }
  }
  return Object.hasOwn(fields, "input")
    ? problem("", "is a request that does not say where to: give --endpoint /v1/embeddings or /v1/responses")
    : problem("", 'has no "body", "params", "prompt" or "messages"')
}

/** Fills in the model, and looks at what no endpoint would take, or nobody here could write down. */
const withModel = (
  { body, bytes, name, path }: Exclude<Found, { readonly problem: string }>,
  { model }: Fallbacks
): Result.Result<{ readonly model: string; readonly body: Uint8Array }, readonly [field: string, problem: string]> => {
  if (body["stream"] === true) return Result.fail([`${name}stream`, "must not be true: answers are written whole"])
  if (isChat(path)) {
    const { messages } = body
    if (messages === undefined) return Result.fail([`${name}messages`, "is missing"])
    if (!Array.isArray(messages)) return Result.fail([`${name}messages`, "must be a list of messages"])
    if (messages.length === 0) return Result.fail([`${name}messages`, "must not be empty"])
    const odd = messages.findIndex((message) => !isFields(message))
    if (odd !== -1) return Result.fail([`${name}messages.${odd}`, "must be an object with a role"])
  }
  if (isText(body["model"])) return Result.succeed({ model: body["model"], body: bytes })
  if (body["model"] !== undefined) return Result.fail([`${name}model`, "must be the name of a model"])
  if (model === undefined) return Result.fail([`${name}model`, "is missing, and no --model was given"])
  const rest = bytes.subarray(1)
  const field = `{"model":${JSON.stringify(model)}${Object.keys(body).length === 0 ? "" : ","}`
  return Result.succeed({ model, body: Buffer.concat([Buffer.from(field), rest]) })
}

/** A quarter of the characters, and 1,000 for each file that stands in it as base64. */
const tokensOf = (body: Uint8Array): number => {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  let characters = bytes.length
  for (let at = bytes.indexOf(base64); at !== -1; at = bytes.indexOf(base64, at + 1)) {
    const end = bytes.indexOf(0x22, at)
    characters -= (end === -1 ? bytes.length : end) - at - 4_000
  }
  return Math.ceil(Math.max(0, characters) / 4)
}

const base64 = Buffer.from(";base64,")

const isChat = (path: string | undefined): boolean => path === "/chat/completions"

/** The bytes of a field; of one that is given twice the last, as JSON is read. */
const slice = ({ bytes }: Line, places: Given["places"], name: string): Buffer => {
  const place = places.get(name)?.at(-1)
  return place === undefined ? Buffer.alloc(0) : bufferOf(bytes).subarray(place.from, place.to)
}

const trimmed = ({ bytes }: Line): Buffer => bufferOf(bytes).subarray(bytes.indexOf(0x7b), lengthOf(bytes))

/** Without the spaces behind it, of which a carriage return may be one. */
const lengthOf = (bytes: Uint8Array): number => {
  let length = bytes.length
  while (length > 0 && (bytes[length - 1] ?? 0) <= 0x20) length -= 1
  return length
}

const decodeJson = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))

const isFields = (value: unknown): value is Fields => Predicate.isObject(value)

const isText = (value: unknown): value is string => Predicate.isString(value) && value !== ""

const wrongId = (id: unknown): string | undefined =>
  id === undefined ? "is missing" : isText(id) ? undefined : "must be a text that is not empty"

const customIdOf = (id: unknown, { number }: Line): string => (isText(id) ? id : `line-${number}`)

/** The id of a line that may have something else wrong with it. */
const idOf = ({ custom_id, id }: Fields): string | null => {
  const given = custom_id ?? id
  return isText(given) || Predicate.isNumber(given) ? String(given) : null
}

const invalidLine = (line: Line, customId: string | null, field: string, what: string): InvalidLine =>
  new InvalidLine({ line: line.number, customId, field, problem: what })

const invalid = (line: Line, customId: string | null, field: string, what: string) =>
  Result.fail(invalidLine(line, customId, field, what))
