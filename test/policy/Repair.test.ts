import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Option, Schema, SchemaGetter } from "effect"
import { AiError, LanguageModel, Prompt, Tool, Toolkit } from "effect/ai"
import { TestClock } from "effect/testing"
import { AttemptAllowance, CallTrail, Deadline, PolicyReason } from "holdfast/core"
import { Model } from "holdfast/model"
import { Degrade, Pipeline, Repair, ResponseCache, RetryBudget, SingleFlight } from "holdfast/policy"
import type { ModelProvider } from "holdfast/provider"
import { Supervisor } from "holdfast/supervisor"
import { FaultyModel } from "holdfast/testing"

const schema = Schema.Struct({ name: Schema.String, metres: Schema.Finite })
const question = { prompt: "How long does it grow?", schema } as const
const ask = LanguageModel.generateObject(question)
const kelp = { name: "kelp", metres: 45 }

const saying = (text: string, more: FaultyModel.Behaviour = {}): FaultyModel.Behaviour => ({
  content: [{ text }],
  ...more
})
const good = saying(JSON.stringify(kelp))
const wrong = saying(`{"name":"kelp","metres":"forty-five"}`)
const down: FaultyModel.Behaviour = { fault: { is: "refuse", because: "overloaded" } }

const withModel = <A, E, R>(
  script: FaultyModel.Script<LanguageModel.ProviderOptions>,
  policies: ReadonlyArray<ModelProvider.Policy>,
  use: (seen: FaultyModel.FaultyModel["seen"]) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function* () {
    const { provider, seen } = yield* FaultyModel.make({ script })
    return yield* Effect.provide(use(seen), Layer.provideMerge(Model.layer({ provider, policies }), Supervisor.layer()))
  })

const trailOf = (error: unknown): CallTrail.CallTrail =>
  Option.getOrThrow(CallTrail.ofError(AiError.isAiError(error) ? error : assert.fail(String(error))))
const originsOf = ({ attempts }: CallTrail.CallTrail) => attempts.map(({ origin }) => origin)
const decisionsOf = ({ decisions }: CallTrail.CallTrail) =>
  decisions.map(({ attempt, decision: { _tag, ...facts } }) => [_tag, attempt, ...Object.values(facts)])

describe("Repair", () => {
  it.effect.each<readonly [how: string, text: string]>([
    ["fenced", "```json\n{}\n```"],
    ["of another shape", `{"name":"kelp","metres":"forty-five"}`],
    ["cut off, although it says that it is whole", `{"name":"ke`]
  ])("asks again for an answer that is %s, and shows the model what it said and what was wrong", ([, text]) =>
    withModel([saying(text), good], [Repair.structured()], (seen) =>
      Effect.gen(function* () {
        const answer = yield* ask
        assert.deepStrictEqual(answer.value, kelp)
        const [first, second] = seen.log.map(({ request }) => request)
        assert.strictEqual(second?.prompt.content.length, (first?.prompt.content.length ?? 0) + 2)
        const [answered, told] = second?.prompt.content.slice(-2) ?? []
        assert.deepStrictEqual(textsOf(answered), [text])
        assert.match(textsOf(told).join(), /Expected (number|a valid JSON string)/)
        assert.strictEqual(second?.responseFormat, first?.responseFormat)
        const trail = Option.getOrThrow(CallTrail.ofParts(answer.content))
        assert.deepStrictEqual(originsOf(trail), ["call", "repair"])
        assert.deepStrictEqual(decisionsOf(trail), [["RepairRequested", 1, 1]])
        // Both answers are paid for.
        assert.strictEqual(trail.usage?.outputTokens, 10)
      })
    )
  )

  it.effect("asks as it was asked where nothing was said", () =>
    withModel([saying(""), saying(" \n"), good], [Repair.structured({ times: 2 })], (seen) =>
      Effect.gen(function* () {
        yield* ask
        const [first, ...others] = seen.log.map(({ request }) => request.prompt)
        assert.deepStrictEqual(others, [first, first])
      })
    )
  )

  it.effect("asks no more than it may, from the first question each time, and then fails with what is wrong", () =>
    withModel([wrong], [Repair.structured({ times: 3 })], (seen) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(ask)
        assert.strictEqual(error.reason._tag, "StructuredOutputError")
        assert.deepStrictEqual(
          seen.log.map(({ request }) => request.prompt.content.length),
          [1, 3, 3, 3]
        )
        assert.deepStrictEqual(decisionsOf(trailOf(error)).at(-1), ["RepairRefused", 4, "times"])
        assert.deepStrictEqual((yield* Supervisor.counts).calls.failed, 1)
      })
    )
  )

  it.effect.each([
    ["one that was cut by its length", saying(`{"name":`, { finishReason: "length" }), "cut"],
    ["one that a filter cut", saying(`{"name":`, { finishReason: "content-filter" }), "cut"],
    ["none", wrong, "times"]
  ] as const)("asks once for %s", ([, answer, why]) =>
    withModel([answer], [Repair.structured({ times: why === "times" ? 0 : 3 })], (seen) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(ask)
        assert.strictEqual(seen.calls, 1)
        assert.deepStrictEqual(decisionsOf(trailOf(error)), [["RepairRefused", 1, why]])
        assert.include(error.message, why === "cut" ? `the answer was cut: ${answer.finishReason}` : `at ["metres"]`)
      })
    )
  )

  it.effect("asks once for an answer that calls a tool, which then does not run", () => {
    const Find = Tool.make("find", { parameters: Schema.Struct({}), success: Schema.String })
    const toolkit = Toolkit.make(Find)
    let runs = 0
    const find = toolkit.toLayer({ find: () => Effect.sync(() => `${++runs}`) })
    const call = { content: [{ toolCall: { id: "1", name: "find", params: {} } }] }
    return withModel([call], [Repair.structured()], (seen) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(LanguageModel.generateObject({ ...question, toolkit }))
        assert.strictEqual(error._tag, "AiError")
        assert.deepStrictEqual(decisionsOf(trailOf(error)), [["RepairRefused", 1, "tools"]])
        assert.deepStrictEqual([seen.calls, runs], [1, 0])
      }).pipe(Effect.provide(find))
    )
  })

  it.effect("leaves alone what asks for text, and answers that fit", () =>
    withModel([wrong, good], [Repair.structured()], (seen) =>
      Effect.gen(function* () {
        yield* LanguageModel.generateText({ prompt: "hello" })
        yield* ask
        assert.strictEqual(seen.calls, 2)
      })
    )
  )

  it.effect("draws on what all policies allow, and on the share that is left", () =>
    withModel([wrong], [RetryBudget.of({ maxAttempts: 2 }), Repair.structured({ times: 5 })], (seen) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(ask)
        assert.strictEqual(seen.calls, 2)
        assert.deepStrictEqual(decisionsOf(trailOf(error)).at(-1), ["RepairRefused", 2, "budget"])
      })
    )
  )

  it.effect("is a call of which a share of all may be made again", () =>
    withModel([wrong, good], [RetryBudget.of({ ratio: 1, minPerSecond: 0 }), Repair.structured()], (seen) =>
      Effect.gen(function* () {
        yield* ask
        assert.strictEqual(seen.calls, 2)
      })
    )
  )

  it.effect("grants further attempts to calls for structured output only", () =>
    Effect.gen(function* () {
      const granted: Array<number | undefined> = []
      const { provider } = yield* FaultyModel.make({ script: [good] })
      const repaired = yield* Repair.structured({ times: 3 })({
        ...provider,
        generateText: (request) =>
          Effect.flatMap(AttemptAllowance.Current, (allowance) => {
            granted.push(allowance?.granted)
            return provider.generateText(request)
          })
      })
      const model = yield* LanguageModel.make(repaired)
      yield* model.generateText({ prompt: "hello" })
      yield* model.generateObject(question)
      assert.deepStrictEqual(granted, [undefined, 3])
    })
  )

  it.effect("shows the model no more of a long answer, and of what was wrong with it, than is of use", () => {
    const long = Schema.Struct({
      wordy: Schema.String.check(Schema.makeFilter(() => false, { message: "x".repeat(9_999) }))
    })
    const text = JSON.stringify({ wordy: "y".repeat(300_000) })
    return withModel([saying(text)], [Repair.structured()], (seen) =>
      Effect.gen(function* () {
        yield* Effect.flip(LanguageModel.generateObject({ prompt: "?", schema: long }))
        const [answered, told] = seen.log[1]?.request.prompt.content.slice(-2) ?? []
        assert.closeTo(textsOf(answered).join().length, 100_000, 100)
        assert.isBelow(textsOf(told).join().length, 2_300)
      })
    )
  })

  it.effect("adds up with retries, which try the further question again too", () =>
    withModel([wrong, down, good], Pipeline.standard({ retry: { base: 1 } }), () =>
      Effect.gen(function* () {
        const [answer] = yield* Effect.all([ask, TestClock.adjust("1 second")], { concurrency: 2 })
        assert.deepStrictEqual(originsOf(Option.getOrThrow(CallTrail.ofParts(answer.content))), [
          "call",
          "repair",
          "retry"
        ])
      })
    )
  )

  const slow = { latency: { headers: "40 seconds" } } as const

  it.effect("ends with the call's time, and asks nothing when it is up", () =>
    withModel([{ ...wrong, ...slow }], Pipeline.standard({ timeout: "1 minute", repair: { times: 9 } }), (seen) =>
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Effect.flip(ask))
        yield* TestClock.adjust("1 minute")
        const error = yield* Fiber.join(fiber)
        assert.deepInclude(Option.getOrThrow(PolicyReason.of(error)), { _tag: "TimedOut", clock: "overall" })
        assert.deepStrictEqual([seen.calls, seen.open, seen.interrupted], [2, 0, 1])
      })
    )
  )

  it.effect("sends nothing more when a deadline that nobody enforces is over", () =>
    withModel([{ ...wrong, ...slow }], [Repair.structured()], (seen) =>
      Effect.gen(function* () {
        const call = Effect.provideService(Effect.flip(ask), Deadline.Current, 30_000)
        const fiber = yield* Effect.forkChild(call)
        yield* TestClock.adjust("40 seconds")
        const error = yield* Fiber.join(fiber)
        assert.deepStrictEqual(decisionsOf(trailOf(error)), [["RepairRefused", 1, "deadline"]])
        assert.strictEqual(seen.calls, 1)
      })
    )
  )

  it.effect.each(["the caller leaves", "the call is cancelled"])("closes the further question when %s", (how) =>
    withModel([wrong, { ...good, ...slow }], [Repair.structured()], (seen) =>
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Effect.exit(ask))
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual([seen.calls, seen.open], [2, 1])
        if (how === "the caller leaves") yield* Fiber.interrupt(fiber)
        else yield* Supervisor.cancelAll()
        yield* Fiber.await(fiber)
        assert.deepStrictEqual([seen.open, seen.interrupted], [0, 1])
      })
    )
  )

  it.effect("lets a cache keep the answer that can be read, under the first question", () =>
    withModel([wrong, good], [ResponseCache.exact({ timeToLive: "1 hour" }), Repair.structured()], (seen) =>
      Effect.gen(function* () {
        const values = yield* Effect.forEach(
          [ask, ask],
          Effect.map(({ value }) => value)
        )
        assert.deepStrictEqual([values, seen.calls], [[kelp, kelp], 2])
      })
    )
  )

  it.effect("lets no cache keep one that cannot, wherever that stands", () =>
    Effect.forEach(
      [
        [ResponseCache.exact({ timeToLive: "1 hour" }), Repair.structured()],
        [Repair.structured(), ResponseCache.exact({ timeToLive: "1 hour" })]
      ],
      (policies) =>
        withModel([wrong, wrong, good], policies, (seen) =>
          Effect.gen(function* () {
            yield* Effect.flip(ask)
            assert.deepStrictEqual((yield* ask).value, kelp)
            assert.strictEqual(seen.calls, 3)
          })
        )
    )
  )

  it.effect("lets callers who share a request share its repair", () =>
    withModel(
      [
        { ...wrong, ...slow },
        { ...good, ...slow }
      ],
      [SingleFlight.identical(), Repair.structured()],
      (seen) =>
        Effect.gen(function* () {
          const both = yield* Effect.forkChild(Effect.all([ask, ask], { concurrency: 2 }))
          yield* TestClock.adjust("80 seconds")
          const answers = yield* Fiber.join(both)
          assert.deepStrictEqual([answers.map(({ value }) => value), seen.calls], [[kelp, kelp], 2])
        })
    )
  )

  it.effect("lets Degrade answer for what cannot be repaired", () =>
    withModel([wrong], [Degrade.to(JSON.stringify(kelp)), Repair.structured()], () =>
      Effect.gen(function* () {
        const { content, value } = yield* ask
        assert.deepStrictEqual([value, Degrade.isDegraded(content)], [kelp, true])
      })
    )
  )

  it.effect("asks no model to mend what Degrade gave in its place", () =>
    withModel([down, good], [Repair.structured(), Degrade.to("Sorry.")], (seen) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(ask)
        assert.strictEqual(error.reason._tag, "StructuredOutputError")
        assert.deepStrictEqual([seen.calls, decisionsOf(trailOf(error))], [1, [["Degraded", 1]]])
      })
    )
  )

  it.effect("reads with what the schema needs of the application", () => {
    class Known extends Context.Service<Known, ReadonlyArray<string>>()("test/Known") {}
    const decode = SchemaGetter.checkEffect((name: string) => Effect.map(Known, (names) => names.includes(name)))
    const name = Schema.String.pipe(Schema.decode({ decode, encode: SchemaGetter.passthrough() }))
    const call = LanguageModel.generateObject({ prompt: "who?", schema: Schema.Struct({ name }) })
    return withModel([saying(`{"name":"weed"}`), saying(`{"name":"kelp"}`)], [Repair.structured()], (seen) =>
      Effect.gen(function* () {
        assert.deepStrictEqual((yield* call).value, { name: "kelp" })
        assert.strictEqual(seen.calls, 2)
      }).pipe(Effect.provideService(Known, ["kelp"]))
    )
  })

  it.effect("forgets the conversation in which the wrong answer was given", () =>
    Effect.gen(function* () {
      const requests: Array<LanguageModel.ProviderOptions> = []
      const provider: ModelProvider.ModelProvider = {
        name: "n",
        model: "m",
        generateText: (request) => {
          requests.push(request)
          const text = requests.length === 1 ? "no" : JSON.stringify(kelp)
          return Effect.succeed([{ type: "text", text }])
        },
        streamText: () => assert.fail()
      }
      const repaired = yield* Repair.structured()(provider)
      const model = yield* LanguageModel.make({
        ...repaired,
        generateText: (request) =>
          repaired.generateText({ ...request, previousResponseId: "r", incrementalPrompt: Prompt.make("more") })
      })
      yield* model.generateObject(question)
      assert.deepStrictEqual(
        requests.map(({ incrementalPrompt, previousResponseId }) => [
          incrementalPrompt === undefined,
          previousResponseId
        ]),
        [
          [false, "r"],
          [true, undefined]
        ]
      )
    })
  )
})

const textsOf = (message: Prompt.Message | undefined): ReadonlyArray<string> =>
  message === undefined || typeof message.content === "string"
    ? []
    : message.content.flatMap((part) => ("text" in part ? [part.text] : []))
