/**
 * Reads an answer as the structured output that its request asks for, as `effect/ai` does above all policies, and says what is
 * wrong with one that cannot be read.
 */
import { Effect, Exit, Schema, SchemaIssue } from "effect"
import { AiError, LanguageModel, type Response } from "effect/ai"
import * as CallError from "./CallError.ts"
import type { ModelProvider } from "./ModelProvider.ts"
import * as SafeText from "../SafeText.ts"

/** An answer that is not what its request asked for. */
export interface Wrong {
  /** What was answered, `""` where there was no text. */
  readonly text: string
  /** What is wrong with it, for the model that wrote it: it may quote what was answered. */
  readonly problem: string
  /** What the call fails with. Its `responseText` has the answer, and nothing shows it that writes errors out. */
  readonly error: AiError.AiError
  /** Whether the model was cut short, by its length or a filter. */
  readonly isCut: boolean
  /** Whether it calls tools of the application's, whose results belong before any further question. */
  readonly callsTools: boolean
}

/**
 * Says what is wrong with an answer; `undefined` of one that can be read, and where no structured output is asked for.
 *
 * The schema runs in the present fiber, with what that has in context. What it dies of is left to whoever reads the answer next.
 */
export const wrongIn = (
  { responseFormat }: LanguageModel.ProviderOptions,
  parts: ReadonlyArray<Response.PartEncoded>,
  { codecTransformer = LanguageModel.defaultCodecTransformer }: Pick<ModelProvider, "codecTransformer">
): Effect.Effect<Wrong | undefined> =>
  Effect.suspend(() => {
    if (responseFormat.type !== "json") return Effect.undefined
    const text = parts.map((part) => (part.type === "text" ? part.text : "")).join("")
    if (text === "") return Effect.succeed(wrong(parts, text, "there is no text", "there is no text"))
    const reader = readerOf(responseFormat.schema, codecTransformer)
    if (reader === undefined) return Effect.undefined
    return Effect.map(Effect.exit(reader.read(text)), (exit) => {
      if (Exit.isSuccess(exit)) return undefined
      for (const reason of exit.cause.reasons) {
        if (reason._tag === "Fail") {
          const { problem, shown } = writtenOf(reason.error, reader.words)
          return wrong(parts, text, problem, shown)
        }
        if (reason._tag === "Die" && reason.defect instanceof RangeError) {
          return wrong(parts, text, tooDeep, tooDeep)
        }
      }
      return undefined
    })
  })

const tooDeep = "it is nested too deeply"

/** Writes what is wrong, for the model and for who sees the error. At the bottom of a deep answer it may be too deep to be written. */
const writtenOf = ({ issue, message }: Schema.SchemaError, words: string): Record<"problem" | "shown", string> => {
  try {
    return { problem: message, shown: described(issue, words) }
  } catch {
    return { problem: tooDeep, shown: tooDeep }
  }
}

/** Who reads the answers to a schema. */
interface Reader {
  readonly read: (text: string) => Effect.Effect<unknown, Schema.SchemaError>
  /** The schema as the model is asked for it, in which stands every name that is no part of an answer. */
  readonly words: string
}

const readers = new WeakMap<LanguageModel.CodecTransformer, WeakMap<Schema.Top, Reader>>()

/** Schemas do not change, and to compile one takes longer than to read an answer. */
const readerOf = (schema: Schema.Top, transformer: LanguageModel.CodecTransformer): Reader | undefined => {
  let known = readers.get(transformer)
  if (known === undefined) readers.set(transformer, (known = new WeakMap()))
  let reader = known.get(schema)
  if (reader === undefined) {
    try {
      const { codec, jsonSchema } = transformer(schema)
      // What the schema needs is in the context of whoever asked for it.
      const read = Schema.decodeEffect(Schema.fromJsonString(codec), { errors: "all" }) as Reader["read"]
      known.set(schema, (reader = { read, words: JSON.stringify(jsonSchema) }))
    } catch {
      // The provider refuses such a schema itself.
      return undefined
    }
  }
  return reader
}

const wrong = (parts: ReadonlyArray<Response.PartEncoded>, text: string, problem: string, shown: string): Wrong => {
  const finish = parts.find((part) => part.type === "finish")
  const isCut = finish?.reason === "length" || finish?.reason === "content-filter"
  const reason = new Unshown({
    description: isCut ? `${shown}; the answer was cut: ${finish.reason}` : shown,
    // Its constructor wants a text.
    responseText: ""
  })
  answers.set(reason, text)
  return {
    text,
    problem,
    error: CallError.make({ module: "LanguageModel", method: "generateObject", reason }),
    isCut,
    callsTools: parts.some((part) => part.type === "tool-call" && part.providerExecuted !== true)
  }
}

const answers = new WeakMap<object, string>()

/** Has its `responseText` for who asks for it by name. It is no field of its own, so nothing writes it that writes fields. */
class Unshown extends AiError.StructuredOutputError {
  static {
    Object.defineProperty(Unshown.prototype, "responseText", {
      get(this: Unshown) {
        return answers.get(this)
      },
      // For the constructor.
      set() {}
    })
  }
}

/** How many problems of one answer are described. */
const mostProblems = 5

/** Describes what is wrong in words of the schema: a value, a key or a message made of them is a piece of the answer. */
const described = (issue: SchemaIssue.Issue, words: string): string => {
  const { issues } = format(issue)
  const lines = issues.slice(0, mostProblems).map(({ message, path = [] }) => {
    const place = path.map((step) => {
      const key = typeof step === "object" ? step.key : step
      return typeof key === "string" && !words.includes(JSON.stringify(key)) ? "[…]" : `[${JSON.stringify(key)}]`
    })
    return place.length === 0 ? message : `${message} at ${place.join("")}`
  })
  const more = issues.length - lines.length
  return SafeText.cut(lines.concat(more > 0 ? `and ${more} more` : []).join("; "))
}

const format = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) =>
    SchemaIssue.hasInput(issue) || (issue._tag === "InvalidValue" && issue.annotations?.["message"] !== undefined)
      ? "Expected another value"
      : SchemaIssue.defaultLeafHook(issue),
  checkHook: ({ filter: { annotations }, issue }) => {
    if (typeof annotations?.["message"] === "string") return annotations["message"]
    if (typeof annotations?.["expected"] === "string") return `Expected ${annotations["expected"]}`
    return issue._tag === "InvalidValue" ? "Expected another value" : undefined
  }
})
