/**
 * Writes values of a schema as JSON texts, and reads them. What does not fit is told by its place alone: the values are the
 * user's data, and errors are logged.
 */
import { Effect, Schema, SchemaIssue } from "effect"
import { DurableJobError, Undecodable } from "../DurableJobError.ts"

export interface Texts<A> {
  /** Both name the job that the text is of. */
  readonly encode: (id: string, value: A) => Effect.Effect<string, DurableJobError>
  readonly decode: (id: string, text: string) => Effect.Effect<A, DurableJobError>
}

export const of = <A>(what: Undecodable["what"], schema: Schema.Codec<A, unknown>): Texts<A> => {
  const texts = Schema.fromJsonString(Schema.toCodecJson(schema))
  const encode = Schema.encodeEffect(texts)
  const decode = Schema.decodeEffect(texts)
  const failure =
    (id: string) =>
    ({ issue }: Schema.SchemaError) =>
      new DurableJobError({ id, reason: new Undecodable({ what, problem: placesOf(issue) }) })
  return {
    encode: (id, value) => Effect.mapError(encode(value), failure(id)),
    decode: (id, text) => Effect.mapError(decode(text), failure(id))
  }
}

const format = SchemaIssue.makeFormatterStandardSchemaV1()

/** So many places are named. */
const mostPlaces = 5

const placesOf = (issue: SchemaIssue.Issue): string => {
  const places = format(issue).issues.map(({ path = [] }) =>
    path.length === 0 ? "the whole" : path.map((part) => String(typeof part === "object" ? part.key : part)).join(".")
  )
  return `see ${Array.from(new Set(places)).slice(0, mostPlaces).join(", ")}`
}
