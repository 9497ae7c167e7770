import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Schema, SchemaGetter, SchemaIssue } from "effect"
import { AiError, LanguageModel, type Response } from "effect/ai"
import { Model } from "holdfast/model"
import { Supervisor } from "holdfast/supervisor"
import { FaultyModel } from "holdfast/testing"
import * as StructuredAnswer from "../../../src/core/call/StructuredAnswer.ts"
import { request } from "../../policy/scripted.ts"

const refusing = (issueOf: (text: string) => SchemaIssue.Issue) => {
  const decode = SchemaGetter.transformEffect((text: string) => Effect.fail(issueOf(text)))
  return Schema.String.pipe(Schema.decode({ decode, encode: SchemaGetter.passthrough() }))
}

const leaf = Schema.Struct({
  name: Schema.optional(Schema.String),
  kinds: Schema.optional(Schema.Array(Schema.Literals(["brown", "red"]))),
  lengths: Schema.optional(Schema.Record(Schema.String, Schema.Finite)),
  title: Schema.optional(
    Schema.String.check(Schema.makeFilter((title: string) => title.length < 9 || `${title} is too long`))
  ),
  short: Schema.optional(Schema.String.check(Schema.isMaxLength(8))),
  polite: Schema.optional(
    Schema.String.check(Schema.makeFilter((polite: string) => polite.length < 9, { message: "Be brief" }))
  ),
  born: Schema.optional(Schema.DateTimeUtcFromString),
  place: Schema.optional(refusing((place) => new SchemaIssue.InvalidValue({ message: `${place} is nowhere` }))),
  told: Schema.optional(refusing((told) => new SchemaIssue.InvalidValue(undefined, told, { reportInput: true }))),
  wordy: Schema.optional(Schema.String.check(Schema.makeFilter(() => false, { message: "No. ".repeat(10_000) }))),
  size: Schema.optional(Schema.Union([Schema.Struct({ tag: Schema.Literal("in metres") }), Schema.Finite]))
})

const answer = "CANARY grows in the cold sea"

const failing = (text: string, schema: Schema.Codec<object, Readonly<Record<string, unknown>>>) =>
  Effect.gen(function* () {
    const { provider } = yield* FaultyModel.make({ script: [{ content: [{ text }] }] })
    return yield* LanguageModel.generateObject({ prompt: "?", schema }).pipe(
      Effect.flip,
      Effect.provide(Layer.provideMerge(Model.layer({ provider }), Supervisor.layer()))
    )
  })

const reasonOf = ({ reason }: AiError.AiError): AiError.StructuredOutputError =>
  reason._tag === "StructuredOutputError" ? reason : assert.fail(reason._tag)

describe("an answer that cannot be read", () => {
  it.effect.each<readonly [how: string, text: string, description: string]>([
    ["nothing", "", "there is no text"],
    ["no JSON", answer, "Expected a valid JSON string"],
    ["half an object", `{"name": "${answer}`, "Expected a valid JSON string"],
    ["another type", JSON.stringify({ name: [answer] }), `Expected string | undefined at ["name"]`],
    ["none of several words", JSON.stringify({ kinds: ["red", answer] }), `Expected "brown" | "red" at ["kinds"][1]`],
    ["a key of its own", JSON.stringify({ lengths: { [answer]: "x" } }), `Expected number at ["lengths"][…]`],
    ["a filter's message, made of it", JSON.stringify({ title: answer }), `Expected another value at ["title"]`],
    [
      "a filter's description",
      JSON.stringify({ short: answer }),
      `Expected a value with a length of at most 8 at ["short"]`
    ],
    ["a filter's message", JSON.stringify({ polite: answer }), `Be brief at ["polite"]`],
    ["a text to be parsed", JSON.stringify({ born: answer }), `Expected a valid UTC DateTime string at ["born"]`],
    ["a transformation's message", JSON.stringify({ place: answer }), `Expected another value at ["place"]`],
    ["a transformation that tells the value", JSON.stringify({ told: answer }), `Expected another value at ["told"]`],
    [
      "none of several",
      JSON.stringify({ size: { tag: answer } }),
      `Expected { readonly "tag": "in metres", ... } | number at ["size"]`
    ],
    ["another value altogether", JSON.stringify([answer]), "Expected object"]
  ])("is described in words of the schema, and shows nowhere: %s", ([, text, description]) =>
    Effect.gen(function* () {
      const error = yield* failing(text, leaf)
      const reason = reasonOf(error)
      assert.strictEqual(reason.description, description)
      assert.strictEqual(reason.responseText, text)
      const cause = Cause.fail(error)
      for (const shown of [
        ...[error, reason, cause, Exit.failCause(cause)].flatMap((each) => [
          String(each),
          JSON.stringify(each),
          inspect(each),
          inspect(each, { depth: Infinity, showHidden: true, getters: true })
        ]),
        Cause.pretty(cause)
      ]) {
        assert.notInclude(shown, "CANARY")
      }
    })
  )

  it.effect("is an AiError like any other, and can be passed on whole by whoever means to", () =>
    Effect.gen(function* () {
      const error = yield* failing(answer, leaf)
      assert.isTrue(AiError.isAiErrorReason(error.reason))
      assert.isTrue(Schema.is(AiError.AiError)(error))
      const encoded = yield* Schema.encodeEffect(AiError.AiError)(error)
      const decoded = yield* Schema.decodeEffect(AiError.AiError)(encoded)
      assert.strictEqual(reasonOf(decoded).responseText, answer)
    })
  )

  interface Nested {
    readonly in?: Nested | undefined
    readonly leaf?: string | undefined
  }
  const nested: Schema.Codec<Nested, Readonly<Record<string, unknown>>> = Schema.Struct({
    in: Schema.optional(Schema.suspend((): Schema.Codec<Nested, Readonly<Record<string, unknown>>> => nested)),
    leaf: Schema.optional(Schema.String)
  })

  it.effect.each([10, 100, 500, 1_000, 2_000, 20_000, 200_000])(
    "may be nested %i levels deep, and wrong at the bottom",
    (deep) =>
      Effect.map(failing(`${`{"in":`.repeat(deep)}{"leaf":7}${"}".repeat(deep)}`, nested), (error) =>
        assert.match(
          reasonOf(error).description,
          deep < 200 ? /^Expected string/ : /^(Expected string|it is nested too deeply)/
        )
      )
  )

  it.effect("is told about in few words, and in no time, however much is wrong with it", () =>
    Effect.gen(function* () {
      const text = JSON.stringify({ kinds: Array.from({ length: 20_000 }, () => answer) })
      const before = process.cpuUsage()
      const { description } = reasonOf(yield* failing(text, leaf))
      assert.match(description, /^(Expected "brown" \| "red" at \["kinds"\]\[\d\]; ){5}and 19995 more$/)
      assert.isBelow(process.cpuUsage(before).user, 2_000_000)
    })
  )

  it.effect("is told about in few words where those of its schema are many", () =>
    Effect.map(failing(`{"wordy":""}`, leaf), (error) => assert.isBelow(reasonOf(error).description.length, 2_100))
  )

  it.effect("is nobody's fault where the schema itself is broken", () => {
    const broken = Schema.Struct({
      name: Schema.String.check(
        Schema.makeFilter(() => {
          throw new Error("a bug")
        })
      )
    })
    return Effect.map(Effect.exit(failing(`{"name":"kelp"}`, broken)), (exit) =>
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    )
  })
})

describe("StructuredAnswer", () => {
  const ask = (
    parts: ReadonlyArray<Response.PartEncoded>,
    codecTransformer: LanguageModel.CodecTransformer = LanguageModel.defaultCodecTransformer
  ) =>
    Effect.flatMap(request, (options) =>
      StructuredAnswer.wrongIn(
        { ...options, responseFormat: { type: "json", objectName: "leaf", schema: leaf } },
        parts,
        { codecTransformer }
      )
    )
  const saying = (text: string): Response.PartEncoded => ({ type: "text", text })

  it.effect("reads an answer in the form in which its provider was asked for it, and makes the reader once", () =>
    Effect.gen(function* () {
      let made = 0
      const wrapping: LanguageModel.CodecTransformer = (schema) => {
        made++
        const { codec, jsonSchema } = LanguageModel.defaultCodecTransformer(schema)
        const unwrap = { decode: SchemaGetter.transform(JSON.parse), encode: SchemaGetter.transform(JSON.stringify) }
        return {
          codec: Schema.String.pipe(Schema.decodeTo(Schema.Unknown, unwrap), Schema.decodeTo(codec)),
          jsonSchema
        }
      }
      const wrapped = saying(JSON.stringify(`{"name":"kelp"}`))
      assert.isUndefined(yield* ask([wrapped], wrapping))
      assert.isUndefined(yield* ask([wrapped], wrapping))
      assert.strictEqual(made, 1)
      assert.isDefined(yield* ask([wrapped]))
    })
  )

  interface Tree {
    readonly list?: ReadonlyArray<Tree> | undefined
    readonly leaf?: string | undefined
  }
  type Encoded = Readonly<Record<string, unknown>>
  const tree: Schema.Codec<Tree, Encoded> = Schema.Struct({
    list: Schema.optional(Schema.Array(Schema.suspend((): Schema.Codec<Tree, Encoded> => tree))),
    leaf: Schema.optional(Schema.String)
  })

  // Between what can be described and what cannot even be read lies what can be read and not described.
  it.effect("says of answers of any depth what is wrong, or that they are too deep", () =>
    Effect.gen(function* () {
      const options = yield* request
      const said = new Set<string>()
      for (let deep = 100; deep < 3_000; deep = Math.ceil(deep * 1.04)) {
        const text = `${`{"list":[`.repeat(deep)}{"leaf":7}${"]}".repeat(deep)}`
        const responseFormat = { type: "json", objectName: "tree", schema: tree } as const
        const wrong = yield* StructuredAnswer.wrongIn({ ...options, responseFormat }, [saying(text)], {})
        const { reason } = wrong?.error ?? assert.fail()
        said.add(reason._tag === "StructuredOutputError" ? reason.description.slice(0, 15) : reason._tag)
      }
      assert.deepStrictEqual([...said], ["Expected string", "it is nested to"])
    })
  )

  it.effect("finds nothing wrong where the schema cannot be asked for, which the provider says", () =>
    Effect.gen(function* () {
      const refusing: LanguageModel.CodecTransformer = () => {
        throw new Error("no such schema")
      }
      assert.isUndefined(yield* ask([saying("no JSON")], refusing))
    })
  )

  it.effect("tells tools of the application's from those that the provider has run", () =>
    Effect.gen(function* () {
      const call = { type: "tool-call", id: "1", name: "search", params: {} } as const
      const provided = yield* ask([{ ...call, providerExecuted: true }, saying("no JSON")])
      const own = yield* ask([call, saying("no JSON")])
      assert.deepStrictEqual([provided?.callsTools, own?.callsTools], [false, true])
    })
  )
})
