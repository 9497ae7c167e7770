/**
 * Reads one line of a batch file: an OpenAI Batch line, or the short form `{"prompt": "…"}`.
 */
import { Result, Schema, SchemaIssue } from "effect"
import type { Line } from "./batch/input/Lines.ts"

/** A request as it will be sent: `body` goes out as it is here. */
export interface BatchRequest {
  readonly customId: string
  /** Where it stands in the input, from 1. */
  readonly line: number
  readonly body: Schema.JsonObject
}

/** Says what is wrong with one line, and in which field. The request is not sent; the run goes on. */
export class InvalidLine extends Schema.TaggedError<InvalidLine>()("InvalidLine", {
  line: Schema.Int,
  /** The line's `custom_id`, where it could be read. */
  customId: Schema.NullOr(Schema.String),
  /** The field at fault, such as `body.messages`; empty when it is the line as a whole. */
  field: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `line ${this.line}: ${this.field === "" ? "" : `${this.field} `}${this.problem}`
  }
}

/**
 * Reads a request from a line, in either form.
 *
 * A short line without `id` is called `line-N` after its place in the file. `model` is used where a line names none.
 */
export const parse = (line: Line, model: string | undefined): Result.Result<BatchRequest, InvalidLine> => {
  const fail = (customId: string | null, field: string, problem: string) =>
    Result.fail(new InvalidLine({ line: line.number, customId, field, problem }))

  if (line.problem !== undefined) return fail(null, "", line.problem)
  const json = decodeJson(line.text)
  if (Result.isFailure(json)) return fail(null, "", "is not a JSON object")
  const fields = json.success
  const isShort = "prompt" in fields && !("body" in fields)
  const customId = idOf(fields[isShort ? "id" : "custom_id"])
  const decoded = isShort ? Result.map(decodeShort(fields), toBatchLine(line.number)) : decodeBatchLine(fields)
  if (Result.isFailure(decoded)) {
    const issue = firstIssue(decoded.failure.issue)
    return fail(customId, issue.field, issue.problem)
  }

  const { custom_id, body } = decoded.success
  if (body["stream"] === true) {
    return fail(custom_id, "body.stream", "must not be true: answers are written whole")
  }
  if (body.model === undefined && model === undefined) {
    return fail(custom_id, isShort ? "model" : "body.model", "is missing, and no --model was given")
  }
  return Result.succeed({ customId: custom_id, line: line.number, body: { model: model ?? "", ...body } })
}

const text = (expected: string) => {
  const message = `must be ${expected}`
  return Schema.String.annotate({ message }).check(Schema.isNonEmpty({ message }))
}

const missing = { messageMissingKey: "is missing" }

const Body = Schema.StructWithRest(
  Schema.Struct({
    model: Schema.optionalKey(text("the name of a model")),
    messages: Schema.Array(Schema.JsonObject.annotate({ message: "must be an object with a role" }))
      .annotate({ message: "must be a list of messages" })
      .check(Schema.isMinLength(1, { message: "must not be empty" }))
      .annotateKey(missing)
  }),
  [Schema.JsonObject]
)

const BatchLine = Schema.Struct({
  custom_id: text("a text that is not empty").annotateKey(missing),
  method: Schema.Literal("POST").annotate({ message: 'must be "POST"' }).annotateKey(missing),
  url: Schema.Literal("/v1/chat/completions")
    .annotate({ message: 'must be "/v1/chat/completions", the only one supported' })
    .annotateKey(missing),
  body: Body.annotate({ message: "must be an object" }).annotateKey(missing)
})

const ShortLine = Schema.StructWithRest(
  Schema.Struct({
    id: Schema.optionalKey(text("a text that is not empty")),
    prompt: text("a text that is not empty"),
    system: Schema.optionalKey(Schema.String.annotate({ message: "must be a text" })),
    model: Schema.optionalKey(text("the name of a model")),
    custom_id: Schema.optionalKey(Schema.Never.annotate({ message: 'is called "id" next to "prompt"' })),
    messages: Schema.optionalKey(Schema.Never.annotate({ message: 'cannot be given together with "prompt"' }))
  }),
  [Schema.JsonObject]
)

const toBatchLine =
  (number: number) =>
  ({ id, prompt, system, ...rest }: typeof ShortLine.Type): Pick<typeof BatchLine.Type, "custom_id" | "body"> => ({
    custom_id: id ?? `line-${number}`,
    body: {
      ...rest,
      messages:
        system === undefined
          ? [{ role: "user", content: prompt }]
          : [
              { role: "system", content: system },
              { role: "user", content: prompt }
            ]
    }
  })

const decodeJson = Schema.decodeUnknownResult(Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown)))
const decodeBatchLine = Schema.decodeUnknownResult(BatchLine)
const decodeShort = Schema.decodeUnknownResult(ShortLine)

const idOf = (value: unknown): string | null => (typeof value === "string" && value !== "" ? value : null)

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

const firstIssue = (issue: SchemaIssue.Issue): { readonly field: string; readonly problem: string } => {
  const [first] = formatIssue(issue).issues
  return { field: (first?.path ?? []).map(String).join("."), problem: first?.message ?? "is not valid" }
}
