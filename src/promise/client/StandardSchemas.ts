/**
 * Reads schemas of any library that keeps to the Standard Schema: https://standardschema.dev.
 */
import { Effect, JsonSchema, Predicate, Schema, SchemaGetter, SchemaIssue, SchemaRepresentation } from "effect"
import * as SafeText from "../../core/SafeText.ts"
import type { Checked, Schema as StandardSchema } from "../Call.ts"

/** The JSON schema of what a schema takes. Throws a `RangeError` for what says none. */
export const jsonSchemaOf = (schema: StandardSchema, owner: string): JsonSchema.JsonSchema => {
  const standard: unknown = Predicate.hasProperty(schema, "~standard") ? schema["~standard"] : undefined
  const make: unknown = Predicate.hasProperty(standard, "jsonSchema") ? standard.jsonSchema : undefined
  if (!Predicate.hasProperty(standard, "validate") || !Predicate.hasProperty(make, "input")) {
    throw new RangeError(
      `${owner} must be a Standard Schema that says its JSON schema (zod 4.2, or toStandardJsonSchema of @valibot/to-json-schema), got ${SafeText.of(schema)}`
    )
  }
  return { ...schema["~standard"].jsonSchema.input({ target: "draft-2020-12" }) }
}

const schemas = new WeakMap<StandardSchema, Schema.Codec<unknown, Record<string, unknown>>>()

/**
 * Makes of a schema one that a model can be asked for: the model is shown its JSON schema, and what it says is checked by the
 * schema itself.
 */
export const toSchema = (schema: StandardSchema): Schema.Codec<unknown, Record<string, unknown>> => {
  let known = schemas.get(schema)
  if (known === undefined) schemas.set(schema, (known = make(schema)))
  return known
}

const make = (schema: StandardSchema): Schema.Codec<unknown, Record<string, unknown>> => {
  const json = jsonSchemaOf(schema, "the schema of client.object")
  // What its own library checks needs no second check: a pattern may be one that only the library reads.
  const said = SchemaRepresentation.fromJsonSchemaDocument(JsonSchema.fromSchemaDraft2020_12(json), {
    patterns: "ignore"
  })
  const checked = Schema.decodeTo(Schema.Unknown, {
    decode: SchemaGetter.transformEffect((value: unknown) =>
      Effect.flatMap(check(schema, value), (checked) =>
        checked.issues === undefined
          ? Effect.succeed(checked.value)
          : Effect.fail(new SchemaIssue.InvalidValue({ message: described(checked) }))
      )
    ),
    encode: SchemaGetter.passthrough()
  })
  // Of a schema that is read from data the compiler knows no types.
  return checked(said as never) as unknown as Schema.Codec<unknown, Record<string, unknown>>
}

/** Checks a value, as the schema does. A schema that throws is a bug. */
export const check = <Output>(
  schema: { readonly "~standard": Pick<StandardSchema<unknown, Output>["~standard"], "validate"> },
  value: unknown
): Effect.Effect<Checked<Output>> => Effect.promise(async () => schema["~standard"].validate(value))

/** Says what is wrong, and where. */
export const described = ({ issues = [] }: Checked<unknown>): string =>
  issues
    .slice(0, 5)
    .map(({ message, path = [] }) => {
      const at = path.map((step) => SafeText.of(Predicate.hasProperty(step, "key") ? step.key : step)).join(".")
      return at === "" ? message : `${message} at ${at}`
    })
    .join("; ")
