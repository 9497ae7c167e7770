import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, flow, Option, Stream } from "effect"
import { AiError, IdGenerator, type LanguageModel, type Prompt, type Response } from "effect/ai"
import { CallTrail, PolicyReason } from "holdfast/core"
import { Fallback } from "holdfast/policy"
import { FaultyModel, StreamShape } from "holdfast/testing"
import { request } from "./scripted.ts"

type Part = Response.StreamPartEncoded
type Refused = Extract<FaultyModel.Fault, { is: "refuse" }>["because"]

const ids = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)
const refusing = (because: Refused): FaultyModel.Behaviour => ({ fault: { is: "refuse", because } })
const saying = (...texts: ReadonlyArray<string>): FaultyModel.Behaviour => ({
  content: texts.map((text) => ({ text, chunks: 2 }))
})
/** Breaks after so many chunks of its text, each one character long. */
const breaking = (text: string, after: number): FaultyModel.Behaviour => ({
  content: [{ text, chunks: text.length }],
  fault: { is: "cut", at: { after } }
})

const lost = AiError.make({
  module: "test",
  method: "call",
  reason: new AiError.InternalProviderError({ description: "lost" })
})

const made = (name: string, ...script: ReadonlyArray<FaultyModel.Behaviour>) => FaultyModel.make({ name, script })

const textOf = (parts: ReadonlyArray<Part | Response.PartEncoded>) =>
  parts.map((part) => (part.type === "text" ? part.text : part.type === "text-delta" ? part.delta : "")).join("")

/** Reads a stream as far as it goes, and says how it ended. */
const read = (stream: Stream.Stream<Part, AiError.AiError, IdGenerator.IdGenerator>) =>
  Effect.gen(function* () {
    const parts: Array<Part> = []
    const exit = yield* Effect.exit(Stream.runForEach(stream, (part) => Effect.sync(() => void parts.push(part))))
    return { parts, exit }
  })

const wellFormed = (parts: ReadonlyArray<Part>) => assert.strictEqual(StreamShape.malformation(parts), undefined)

describe("Fallback", () => {
  it.effect.each(["generateText", "streamText"] as const)("asks the others in order, each once, by %s", (method) =>
    Effect.gen(function* () {
      const models = yield* Effect.all([
        made("a", refusing("overloaded")),
        made("b", refusing("quota exhausted")),
        made("c", saying("from c")),
        made("d", saying("from d"))
      ])
      const [a, b, c, d] = models
      const chain = yield* Fallback.chain([b.provider, Effect.succeed(c.provider), d.provider])(a.provider)
      const recorder = new CallTrail.Recorder()
      const options = yield* request
      const answer: Effect.Effect<
        ReadonlyArray<Part | Response.PartEncoded>,
        AiError.AiError,
        IdGenerator.IdGenerator
      > = method === "generateText" ? chain.generateText(options) : Stream.runCollect(chain.streamText(options))
      const parts = yield* Effect.provideService(answer, CallTrail.Current, recorder)
      assert.strictEqual(textOf(parts), "from c")
      assert.deepStrictEqual(
        models.map(({ seen }) => seen.calls),
        [1, 1, 1, 0]
      )
      assert.deepStrictEqual(
        recorder.trail.decisions.map(({ decision }) => decision),
        [
          { _tag: "FellBack", from: "a/faulty-1", to: "b/faulty-1" },
          { _tag: "FellBack", from: "b/faulty-1", to: "c/faulty-1" }
        ]
      )
      assert.deepStrictEqual(
        recorder.trail.attempts.map(({ origin, provider }) => [provider, origin]),
        [
          ["b", "fallback"],
          ["c", "fallback"]
        ]
      )
    }).pipe(ids)
  )

  it.effect("leaves alone what succeeds, and what no provider could do", () =>
    Effect.gen(function* () {
      const options = yield* request
      for (const behaviour of [saying("fine"), refusing("invalid request"), refusing("content policy")]) {
        const first = yield* made("a", behaviour)
        const second = yield* made("b", saying("no"))
        const chain = yield* Fallback.to(second.provider)(first.provider)
        yield* Effect.exit(chain.generateText(options))
        yield* read(chain.streamText(options))
        assert.deepStrictEqual([first.seen.calls, second.seen.calls], [2, 0])
      }
    }).pipe(ids)
  )

  it.effect("goes on from a policy of an application's own exactly when that one blames who is inside", () =>
    Effect.gen(function* () {
      const options = yield* request
      const answered = yield* Effect.forEach(["busy", "fault", "unusable", "none", undefined] as const, (blame) =>
        Effect.gen(function* () {
          const reason = { _tag: "Custom", policy: "mine", description: "no", retryable: false, facts: {} } as const
          const error = PolicyReason.toAiError("mine", { ...reason, ...(blame && { blame }) })
          const first = { ...(yield* made("a", saying("no"))).provider, generateText: () => Effect.fail(error) }
          const chain = yield* Fallback.to((yield* made("b", saying("spare"))).provider)(first)
          return Exit.isSuccess(yield* Effect.exit(chain.generateText(options)))
        })
      )
      assert.deepStrictEqual(answered, [true, true, true, false, false])
    }).pipe(ids)
  )

  it.effect("sends each error to the provider that is there for it", () =>
    Effect.gen(function* () {
      const options = yield* request
      const spare = yield* made("spare", saying("spare"))
      const lenient = yield* made("lenient", saying("lenient"))
      const targets = [
        spare.provider,
        {
          provider: lenient.provider,
          when: (error: AiError.AiError) => error.reason._tag === "ContentPolicyError"
        }
      ]
      const answers = yield* Effect.forEach(["overloaded", "content policy"] as const, (because) =>
        Effect.gen(function* () {
          const chain = yield* Fallback.chain(targets)((yield* made("a", refusing(because))).provider)
          return textOf(yield* chain.generateText(options))
        })
      )
      assert.deepStrictEqual(answers, ["spare", "lenient"])
    }).pipe(ids)
  )

  it.effect("fails with the last error when all have failed", () =>
    Effect.gen(function* () {
      const options = yield* request
      const first = yield* made("a", refusing("overloaded"))
      const second = yield* made("b", refusing("unauthorized"))
      const chain = yield* Fallback.to(second.provider)(first.provider)
      assert.strictEqual((yield* Effect.flip(chain.generateText(options))).reason._tag, "AuthenticationError")
      const { exit, parts } = yield* read(chain.streamText(options))
      assert.deepStrictEqual([Exit.isFailure(exit), parts], [true, []])
    }).pipe(ids)
  )

  it("rejects an empty list", () => {
    assert.throws(() => Fallback.chain([]), RangeError)
  })
})

describe("Fallback, mid-stream", () => {
  const after = (first: FaultyModel.Behaviour, second: FaultyModel.Behaviour, options: Fallback.Options) =>
    Effect.gen(function* () {
      const b = yield* made("b", second)
      const chain = yield* Fallback.to(b.provider, options)((yield* made("a", first)).provider)
      return { ...(yield* read(chain.streamText(yield* request))), b }
    })

  it.effect("fails, unless told otherwise", () =>
    Effect.gen(function* () {
      const { b, exit, parts } = yield* after(breaking("Hello", 3), saying("no"), {})
      assert.deepStrictEqual([textOf(parts), Exit.isFailure(exit), b.seen.calls], ["Hel", true, 0])
    }).pipe(ids)
  )

  it.effect("restarts behind a marker, as one well-formed stream", () =>
    Effect.gen(function* () {
      const { exit, parts } = yield* after(breaking("Hello", 3), saying("Good day"), { midStream: "restart" })
      assert(Exit.isSuccess(exit))
      wellFormed(parts)
      const marker = parts.findIndex(Fallback.isRestart)
      assert.deepStrictEqual([textOf(parts.slice(0, marker)), textOf(parts.slice(marker))], ["Hel", "Good day"])
      assert.deepInclude(parts.at(-1)?.metadata, { holdfast: { restarted: { from: "a/faulty-1", to: "b/faulty-1" } } })
    }).pipe(ids)
  )

  it.effect("continues in the same block, from a prompt that ends with the text so far", () =>
    Effect.gen(function* () {
      const { b, exit, parts } = yield* after(breaking("Hello", 3), saying("lo, you"), { midStream: "continue" })
      assert(Exit.isSuccess(exit))
      wellFormed(parts)
      assert.deepStrictEqual(
        [textOf(parts), parts.filter(({ type }) => type === "text-start").length],
        ["Hello, you", 1]
      )
      const asked: Prompt.Message | undefined = b.seen.log[0]?.request.prompt.content.at(-1)
      assert.deepInclude(asked, { role: "assistant" })
      assert.include(JSON.stringify(asked), `"Hel"`)
    }).pipe(ids)
  )

  it.effect.each([
    ["continue", 10, 1],
    ["continue", 11, 0],
    ["restart", 11, 1]
  ] as const)("%s behind %i texts of 100,000 characters asks %i more", ([midStream, texts, asked]) =>
    Effect.gen(function* () {
      const long: FaultyModel.Behaviour = {
        content: [{ text: "x".repeat(1_200_000), chunks: 12 }],
        fault: { is: "cut", at: { after: texts } }
      }
      const { b, exit, parts } = yield* after(long, saying("the end"), { midStream })
      assert.deepStrictEqual([b.seen.calls, Exit.isSuccess(exit)], [asked, asked === 1])
      assert.isAtLeast(textOf(parts).length, texts * 100_000)
    }).pipe(ids)
  )

  it.effect.each([
    ["restart", "Hello", "fallback"],
    ["continue", "Hello", "continuation"],
    ["continue", "", "fallback"]
  ] as const)("%s from %j is an attempt of its own kind", ([midStream, text, origin]) =>
    Effect.gen(function* () {
      const content = text === "" ? [{ reasoning: "Hello", chunks: 5 }] : [{ text, chunks: 5 }]
      const a = yield* made("a", { content, fault: { is: "cut", at: { after: 3 } } })
      const b = yield* made("b", saying("Good day"))
      const chain = yield* Fallback.to(b.provider, { midStream })(a.provider)
      const origins: Array<string> = []
      const recorder = new CallTrail.Recorder()
      yield* Stream.runDrain(Stream.provideService(chain.streamText(yield* request), CallTrail.Current, recorder))
      for (const { origin, provider } of recorder.trail.attempts) if (provider === "b") origins.push(origin)
      assert.deepStrictEqual(origins, [origin])
    }).pipe(ids)
  )

  it.effect.each(["lo, you", "Hello, you"])("says the text again when the next provider restarts (%s)", (answer) =>
    Effect.gen(function* () {
      const a = yield* made("a", breaking("Hello", 3))
      const b = yield* made("b", breaking("lo, there", 4))
      const c = yield* made("c", saying(answer))
      const inner = yield* Fallback.to(c.provider, { midStream: "restart" })(b.provider)
      const outer = yield* Fallback.to(inner, { midStream: "continue" })(a.provider)
      const { exit, parts } = yield* read(outer.streamText(yield* request))
      assert(Exit.isSuccess(exit))
      wellFormed(parts)
      const marker = parts.findIndex(Fallback.isRestart)
      assert.deepStrictEqual([textOf(parts.slice(0, marker)), textOf(parts.slice(marker))], ["Hello, ", "Hello, you"])
    }).pipe(ids)
  )

  it.effect("goes on from all of the text after a provider that restarted and broke", () =>
    Effect.gen(function* () {
      const [a, b, c, d] = yield* Effect.all([
        made("a", breaking("Hello", 3)),
        made("b", breaking("lo, there", 4)),
        made("c", breaking("lo, you", 4)),
        made("d", saying("all"))
      ])
      const inner = yield* Fallback.to(c.provider, { midStream: "restart" })(b.provider)
      const outer = yield* Fallback.chain([inner, d.provider], { midStream: "continue" })(a.provider)
      const { parts } = yield* read(outer.streamText(yield* request))
      wellFormed(parts)
      assert.strictEqual(textOf(parts.slice(parts.findIndex(Fallback.isRestart))), "Hello, all")
      assert.include(JSON.stringify(d.seen.log[0]?.request.prompt.content.at(-1)), `"Hello, "`)
    }).pipe(ids)
  )

  it.effect("leaves out what the next provider repeats of the text", () =>
    Effect.gen(function* () {
      const { parts } = yield* after(breaking("Hello", 3), saying("Hello, you"), { midStream: "continue" })
      wellFormed(parts)
      assert.strictEqual(textOf(parts), "Hello, you")
    }).pipe(ids)
  )

  it.effect("knows a repetition also after a block that said nothing", () =>
    Effect.gen(function* () {
      const next = { ...saying("Hello, you"), flood: { at: "content", count: 2 } } as const
      const { parts } = yield* after(breaking("Hello", 3), next, { midStream: "continue" })
      wellFormed(parts)
      assert.strictEqual(textOf(parts), "Hello, you")
    }).pipe(ids)
  )

  it.effect("keeps what only begins like a repetition", () =>
    Effect.gen(function* () {
      const { parts } = yield* after(breaking("Hello", 3), saying("He said", " so"), { midStream: "continue" })
      wellFormed(parts)
      assert.strictEqual(textOf(parts), "HelHe said so")
      const ended = yield* after(breaking("Hello", 3), saying("He"), { midStream: "continue" })
      wellFormed(ended.parts)
      assert.strictEqual(textOf(ended.parts), "HelHe")
    }).pipe(ids)
  )

  it.effect.each(["restart", "continue"] as const)("adds nothing to an answer that is complete (%s)", (midStream) =>
    Effect.gen(function* () {
      const [whole, spare] = [yield* made("a", saying("Hello")), yield* made("b", saying("you"))]
      const failing: typeof whole.provider = {
        ...whole.provider,
        streamText: (options) => Stream.concat(whole.provider.streamText(options), Stream.fail(lost))
      }
      const stack = yield* Fallback.to(spare.provider, { midStream })(failing)
      const { parts } = yield* read(stack.streamText(yield* request))
      wellFormed(parts)
      assert.strictEqual(spare.seen.calls, 0)
    }).pipe(Effect.scoped, ids)
  )

  it.effect("goes on from nothing after a restart that came to nothing", () =>
    Effect.gen(function* () {
      const models = yield* Effect.all([
        made("a", breaking("Hello", 3)),
        made("b", refusing("overloaded")),
        made("c", saying("Hello, you"))
      ])
      const [a, b, c] = models
      const inner = yield* Fallback.to(b.provider, { midStream: "restart" })(a.provider)
      const outer = yield* Fallback.to(c.provider, { midStream: "continue" })(inner)
      const { parts } = yield* read(outer.streamText(yield* request))
      wellFormed(parts)
      assert.strictEqual(textOf(parts.slice(parts.findIndex(Fallback.isRestart))), "Hello, you")
      assert.strictEqual(c.seen.log[0]?.request.prompt.content.at(-1)?.role, "user")
    }).pipe(Effect.scoped, ids)
  )

  it.effect("goes on through several providers that break", () =>
    Effect.gen(function* () {
      const models = yield* Effect.all([
        made("a", breaking("one ", 4)),
        made("b", breaking("two ", 4)),
        made("c", saying("three"))
      ])
      const [a, b, c] = models
      for (const midStream of ["restart", "continue"] as const) {
        const chain = yield* Fallback.chain([b.provider, c.provider], { midStream })(a.provider)
        const { exit, parts } = yield* read(chain.streamText(yield* request))
        assert(Exit.isSuccess(exit))
        wellFormed(parts)
        assert.strictEqual(textOf(parts), "one two three")
        assert.strictEqual(parts.filter(Fallback.isRestart).length, midStream === "restart" ? 2 : 0)
      }
    }).pipe(ids)
  )

  const toolCall = { toolCall: { id: "call_1", name: "Weather", params: { city: "Rome" } }, chunks: 4 }

  it.effect("ends a tool's parameters that broke off, and lets the next provider call it", () =>
    Effect.gen(function* () {
      const broken: FaultyModel.Behaviour = {
        content: [{ text: "Let me see.", chunks: 1 }, toolCall],
        fault: { is: "cut", at: { after: 2, in: "tool-call" } }
      }
      for (const midStream of ["restart", "continue"] as const) {
        const { exit, parts } = yield* after(broken, { content: [toolCall] }, { midStream })
        assert(Exit.isSuccess(exit))
        wellFormed(parts)
        const calls = parts.filter((part) => part.type === "tool-call")
        assert.deepStrictEqual(
          calls.map(({ params }) => params),
          [{ city: "Rome" }]
        )
      }
    }).pipe(ids)
  )

  it.effect.each(["restart", "continue"] as const)("does not %s behind a tool that has been called", (midStream) =>
    Effect.gen(function* () {
      const broken: FaultyModel.Behaviour = {
        content: [toolCall, { text: "Well", chunks: 4 }],
        fault: { is: "cut", at: { after: 2, in: "text" } }
      }
      const { b, exit } = yield* after(broken, saying("no"), { midStream })
      assert.deepStrictEqual([Exit.isFailure(exit), b.seen.calls], [true, 0])
    }).pipe(ids)
  )

  it.effect("restarts behind a tool that the provider ran itself", () =>
    Effect.gen(function* () {
      const a = yield* made("a", breaking("Hello", 3))
      const searched: Part = { type: "tool-call", id: "s", name: "search", params: {}, providerExecuted: true }
      const searching = { ...a.provider, streamText: flow(a.provider.streamText, Stream.prepend([searched])) }
      const chain = yield* Fallback.to((yield* made("b", saying("fine"))).provider, { midStream: "restart" })(searching)
      const { exit, parts } = yield* read(chain.streamText(yield* request))
      assert(Exit.isSuccess(exit))
      assert.strictEqual(textOf(parts), "Helfine")
    }).pipe(ids)
  )

  it.effect("asks the next provider without what only the first one has seen", () =>
    Effect.gen(function* () {
      const b = yield* made("b", saying("fine"))
      const chain = yield* Fallback.to(b.provider)((yield* made("a", refusing("overloaded"))).provider)
      const options: LanguageModel.ProviderOptions = { ...(yield* request), previousResponseId: "r-1" }
      yield* chain.generateText(options)
      assert.deepStrictEqual(Option.fromUndefinedOr(b.seen.log[0]?.request.previousResponseId), Option.none())
    }).pipe(ids)
  )
})
