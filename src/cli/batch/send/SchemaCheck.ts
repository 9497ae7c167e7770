/**
 * Checks an answer against the JSON schema that its request asks for.
 *
 * It knows the keywords that structured output allows; what it does not know it takes as met.
 */
import { Option, Predicate, Schema } from "effect"

type Json = unknown
type Fields = { readonly [name: string]: Json }

/** Says where the answer does not fit; nothing for one that fits, and for a request without a schema. */
export const problemOf = (request: Uint8Array, answer: Uint8Array): string | undefined => {
  const schema = schemaOf(parse(request))
  if (schema === undefined) return undefined
  const said = textOf(parse(answer))
  if (said === undefined) return undefined
  const value = decode(said)
  if (Option.isNone(value)) return "the answer is no JSON, as its request asks for"
  const at = new Fit(schema).misfit(schema, value.value, "", 0)
  return at === undefined ? undefined : `the answer does not fit its schema: ${at}`
}

/** Where chat completions and responses say it. */
const schemaOf = (request: Json): Fields | undefined => {
  const format = field(request, "response_format") ?? field(field(request, "text"), "format")
  const schema = field(field(format, "json_schema"), "schema") ?? field(format, "schema")
  return Predicate.isObject(schema) ? schema : undefined
}

/** What the model said; none when it called a tool, or refused. */
const textOf = (answer: Json): string | undefined => {
  const content = field(field(first(field(answer, "choices")), "message"), "content")
  if (Predicate.isString(content)) return content
  const output = field(answer, "output")
  if (!Array.isArray(output)) return undefined
  const texts = output
    .flatMap((item) => (Array.isArray(field(item, "content")) ? (field(item, "content") as ReadonlyArray<Json>) : []))
    .flatMap((part) => (Predicate.isString(field(part, "text")) ? [String(field(part, "text"))] : []))
  return texts.length === 0 ? undefined : texts.join("")
}

/** How deep schemas and values are followed. */
const deepest = 200

class Fit {
  private readonly root: Fields

  constructor(root: Fields) {
    this.root = root
  }

  misfit(given: Json, value: Json, at: string, depth: number): string | undefined {
    if (given === false) return `${at || "it"} is not allowed`
    if (!Predicate.isObject(given) || depth > deepest) return undefined
    const schema = given as Fields
    const reference = schema["$ref"]
    if (Predicate.isString(reference)) return this.misfit(this.referred(reference), value, at, depth + 1)
    const place = at === "" ? "it" : at
    const type = schema["type"]
    if (type !== undefined && ![type].flat().some((each) => isOf(each, value))) {
      return `${place} is not of type ${[type].flat().join(" or ")}`
    }
    const allowed = schema["enum"]
    if (Array.isArray(allowed) && !allowed.some((each) => isSame(each, value))) return `${place} is none of its values`
    if (Object.hasOwn(schema, "const") && !isSame(schema["const"], value)) return `${place} is not its value`
    return this.misfitOfBranches(schema, value, at, depth) ?? this.misfitOfParts(schema, value, at, depth)
  }

  private misfitOfBranches(schema: Fields, value: Json, at: string, depth: number): string | undefined {
    const { allOf, anyOf, oneOf } = schema
    for (const each of listOf(allOf)) {
      const misfit = this.misfit(each, value, at, depth + 1)
      if (misfit !== undefined) return misfit
    }
    for (const branches of [listOf(anyOf), listOf(oneOf)]) {
      const misfits = branches.map((each) => this.misfit(each, value, at, depth + 1))
      if (misfits.length > 0 && !misfits.includes(undefined)) return misfits[0]
    }
    return undefined
  }

  private misfitOfParts(schema: Fields, value: Json, at: string, depth: number): string | undefined {
    const { additionalProperties, items, properties, required } = schema
    if (Array.isArray(value)) {
      for (const [index, each] of value.entries()) {
        const misfit = this.misfit(items, each, `${at}[${index}]`, depth + 1)
        if (misfit !== undefined) return misfit
      }
      return undefined
    }
    if (!Predicate.isObject(value)) return undefined
    const fields = value as Fields
    for (const name of listOf(required)) {
      if (Predicate.isString(name) && !Object.hasOwn(fields, name)) return `${nameOf(at, name)} is missing`
    }
    for (const [name, each] of Object.entries(fields)) {
      const isKnown = Predicate.isObject(properties) && Object.hasOwn(properties, name)
      const own = isKnown ? (properties as Fields)[name] : additionalProperties
      const misfit = this.misfit(own, each, nameOf(at, name), depth + 1)
      if (misfit !== undefined) return misfit
    }
    return undefined
  }

  /** A part of the schema itself: `#/$defs/step`. */
  private referred(reference: string): Json {
    if (!reference.startsWith("#")) return undefined
    let found: Json = this.root
    for (const step of reference.slice(1).split("/").slice(1)) {
      found = field(found, step.replaceAll("~1", "/").replaceAll("~0", "~"))
    }
    return found
  }
}

const isOf = (type: unknown, value: Json): boolean => {
  switch (type) {
    case "null":
      return value === null
    case "integer":
      return Predicate.isNumber(value) && Number.isInteger(value)
    case "array":
      return Array.isArray(value)
    case "object":
      return Predicate.isObject(value)
    default:
      return !Predicate.isString(type) || typeof value === type
  }
}

/** Values of an enumeration are small; two objects are the same when they are written alike. */
const isSame = (one: Json, other: Json): boolean =>
  one === other || (Predicate.isObjectOrArray(one) && JSON.stringify(one) === JSON.stringify(other))

const nameOf = (at: string, name: string): string => (at === "" ? name : `${at}.${name}`)

const listOf = (value: Json): ReadonlyArray<Json> => (Array.isArray(value) ? value : [])

const field = (value: Json, name: string): Json =>
  Predicate.isObject(value) && Object.hasOwn(value, name) ? (value as Fields)[name] : undefined

const first = (value: Json): Json => listOf(value)[0]

const parse = (bytes: Uint8Array): Json => Option.getOrUndefined(decode(Buffer.from(bytes).toString("utf8")))

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))
