import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Option, Schema, Stream, Tracer } from "effect"
import { AiError, LanguageModel, Tool, Toolkit } from "effect/ai"
import { TestClock } from "effect/testing"
import { CallTrail, PolicyReason } from "holdfast/core"
import { Model } from "holdfast/model"
import { Bulkhead, CircuitBreaker, Pipeline, Retry, RetryBudget, Timeout } from "holdfast/policy"
import type { ModelProvider } from "holdfast/provider"
import { Job, Supervisor } from "holdfast/supervisor"
import { failure, scripted, text, type Answer } from "../policy/scripted.ts"

const model = (script: ReadonlyArray<Answer>, policies: ReadonlyArray<ModelProvider.Policy> = []) => {
  const { provider, seen } = scripted(script)
  return { seen, layer: Layer.provideMerge(Model.layer({ provider, policies }), Supervisor.layer()) }
}

const settle = Effect.repeat(Effect.yieldNow, { times: 20 })

describe("Model", () => {
  it.effect("answers, and lists the call by its model's name", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* LanguageModel.generateText({ prompt: "hello" })).text, "ok")
      const [call] = yield* Supervisor.list()
      assert.deepStrictEqual([call?.name, call?.kind, call?.state], ["scripted/m", "call", "completed"])
    }).pipe(Effect.provide(model([{}]).layer))
  )

  it.effect("streams the same parts as its provider", () =>
    Effect.gen(function* () {
      const parts = yield* Stream.runCollect(LanguageModel.streamText({ prompt: "hello" }))
      assert.deepStrictEqual(
        parts.map((part) => part.type),
        text("ok").map((part) => part.type)
      )
      assert.strictEqual((yield* Supervisor.counts).calls.completed, 1)
    }).pipe(Effect.provide(model([{}]).layer))
  )

  it.effect("makes a call from inside a job the job's own, and ends it with the job", () => {
    const { layer, seen } = model([{ delay: 60_000 }])
    return Effect.gen(function* () {
      const job = yield* Supervisor.submit(LanguageModel.generateText({ prompt: "hello" }), { name: "summarise" })
      yield* settle
      const [call] = yield* Supervisor.list({ kind: "call", state: "running" })
      assert.strictEqual(call?.parentId, job.id)
      yield* Job.cancel(job)
      assert.deepStrictEqual([(yield* Supervisor.counts).calls.cancelled, seen.open], [1, 0])
    }).pipe(Effect.provide(layer))
  })

  it.effect("ends the call with its caller", () => {
    const { layer, seen } = model([{ delay: 60_000 }])
    return Effect.gen(function* () {
      const caller = yield* Effect.forkChild(LanguageModel.generateText({ prompt: "hello" }))
      yield* settle
      assert.strictEqual(seen.open, 1)
      yield* Fiber.interrupt(caller)
      assert.deepStrictEqual([(yield* Supervisor.counts).calls.cancelled, seen.open], [1, 0])
    }).pipe(Effect.provide(layer))
  })

  it.effect("ends a stream whose reader leaves", () => {
    const { layer, seen } = model([{ delay: 10 }])
    return Effect.gen(function* () {
      const reader = yield* LanguageModel.streamText({ prompt: "hello" }).pipe(
        Stream.take(2),
        Stream.runDrain,
        Effect.forkChild
      )
      yield* settle
      yield* TestClock.adjust(20)
      yield* Fiber.join(reader)
      assert.deepStrictEqual([(yield* Supervisor.counts).calls.cancelled, seen.open], [1, 0])
    }).pipe(Effect.provide(layer))
  })

  it.effect.each(["generateText", "streamText"] as const)("fails %s with the reason it was cancelled for", (method) =>
    Effect.gen(function* () {
      const call =
        method === "generateText"
          ? Effect.asVoid(LanguageModel.generateText({ prompt: "hello" }))
          : Stream.runDrain(LanguageModel.streamText({ prompt: "hello" }))
      const caller = yield* Effect.forkChild(Effect.flip(call))
      yield* settle
      yield* Supervisor.cancel("job-1", { reason: "too expensive" })
      const error = yield* Fiber.join(caller)
      assert.deepStrictEqual(
        PolicyReason.of(error),
        Option.some({ _tag: "Cancelled", jobId: "job-1", reason: "too expensive" } as const)
      )
      assert.isFalse(error.isRetryable)
    }).pipe(Effect.provide(model([{ delay: 60_000 }]).layer))
  )

  it.effect("ends a stream that is cancelled as soon as it is there", () => {
    const { layer, seen } = model([{ delay: 60_000 }])
    return Effect.gen(function* () {
      const reader = yield* Effect.forkChild(
        Effect.flip(Stream.runDrain(LanguageModel.streamText({ prompt: "hello" })))
      )
      while ((yield* Supervisor.list()).length === 0) yield* Effect.yieldNow
      yield* Supervisor.cancelAll()
      yield* settle
      assert.strictEqual(seen.open, 0)
      assert.isDefined(reader.pollUnsafe())
    }).pipe(Effect.provide(layer))
  })

  it.effect("leaves the trail with the error of a call that was not accepted", () => {
    const { layer } = model([{}])
    return Effect.gen(function* () {
      yield* Supervisor.drain()
      const errors = [
        yield* Effect.flip(LanguageModel.generateText({ prompt: "hello" })),
        yield* Effect.flip(Stream.runDrain(LanguageModel.streamText({ prompt: "hello" })))
      ]
      const nothing = Option.some({ attempts: [], decisions: [], leftOut: 0 })
      assert.deepStrictEqual(errors.map(CallTrail.ofError), [nothing, nothing])
      assert.deepStrictEqual(
        errors.map((error) => Option.getOrThrow(PolicyReason.of(error))._tag),
        ["NotAccepted", "NotAccepted"]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("passes the provider's error on as it is", () => {
    const error = failure(new AiError.QuotaExhaustedError({}))
    return Effect.gen(function* () {
      assert.strictEqual(yield* Effect.flip(LanguageModel.generateText({ prompt: "hello" })), error)
      assert.strictEqual(yield* Effect.flip(Stream.runDrain(LanguageModel.streamText({ prompt: "hello" }))), error)
    }).pipe(Effect.provide(model([{ error }]).layer))
  })

  it.effect("refuses calls with a typed reason while the supervisor drains", () =>
    Effect.gen(function* () {
      yield* Supervisor.drain()
      const reason = PolicyReason.of(yield* Effect.flip(LanguageModel.generateText({ prompt: "hello" })))
      assert.strictEqual(Option.getOrUndefined(reason)?._tag, "NotAccepted")
    }).pipe(Effect.provide(model([{}]).layer))
  )

  it.effect("says of a list among its policies that it is one already", () =>
    Effect.gen(function* () {
      const policies = [Pipeline.standard({})] as never
      const exit = yield* Effect.exit(Model.compose({ provider: scripted([]).provider, policies }))
      assert.match(String(exit), /Pipeline\.standard gives a list already/)
    }).pipe(Effect.scoped)
  )

  it.effect("applies policies outermost first, built once", () => {
    const path: Array<string> = []
    const trace =
      (name: string): ModelProvider.Policy =>
      (next) =>
        Effect.sync(() => {
          path.push(`build ${name}`)
          return {
            ...next,
            generateText: (options) =>
              Effect.suspend(() => {
                path.push(name)
                return next.generateText(options)
              })
          }
        })
    return Effect.gen(function* () {
      yield* LanguageModel.generateText({ prompt: "hello" })
      yield* LanguageModel.generateText({ prompt: "hello" })
      assert.deepStrictEqual(path, ["build inner", "build outer", "outer", "inner", "outer", "inner"])
    }).pipe(Effect.provide(model([{}], [trace("outer"), trace("inner")]).layer))
  })

  it.effect("resolves tools above the policies, in the caller's context", () => {
    class Weather extends Context.Service<Weather, { readonly at: (city: string) => string }>()("Weather") {}
    const LookUp = Tool.make("LookUp", {
      parameters: Schema.Struct({ city: Schema.String }),
      success: Schema.String,
      dependencies: [Weather]
    })
    const toolkit = Toolkit.make(LookUp)
    const call: Answer = {
      parts: [{ type: "tool-call", id: "c", name: "LookUp", params: { city: "Rome" } }, ...text("").slice(-1)]
    }
    return Effect.gen(function* () {
      const parts = yield* Stream.runCollect(LanguageModel.streamText({ prompt: "weather?", toolkit }))
      const results = parts.flatMap((part) => (part.type === "tool-result" ? [part.result] : []))
      assert.deepStrictEqual(results, ["sunny in Rome"])
    }).pipe(
      Effect.provide(
        Layer.mergeAll(
          model([call]).layer,
          toolkit.toLayer({ LookUp: ({ city }) => Effect.map(Weather, (weather) => weather.at(city)) }),
          Layer.succeed(Weather, { at: (city) => `sunny in ${city}` })
        )
      )
    )
  })

  it.effect("does not read on while its reader is slow", () => {
    const { layer } = model([
      {
        parts: [
          ...text("").slice(0, 2),
          ...Array.from({ length: 100 }, () => ({ type: "text-delta", id: "t", delta: "x" }) as const),
          ...text("").slice(3)
        ]
      }
    ])
    return Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      let read = 0
      const reader = yield* LanguageModel.streamText({ prompt: "hello" }).pipe(
        Stream.runForEach(() =>
          Effect.andThen(
            Effect.sync(() => read++),
            Deferred.await(gate)
          )
        ),
        Effect.forkChild
      )
      yield* settle
      assert.strictEqual((yield* Supervisor.counts).calls.running, 1)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(reader)
      assert.strictEqual(read, 104)
    }).pipe(Effect.provide(layer))
  })
})

const overloaded = failure(new AiError.InternalProviderError({ description: "overloaded" }))
const retried = [Timeout.overall("1 minute"), RetryBudget.of(), Retry.transient({ times: 1, base: 10 })]

// In steps, for what is set in motion by one waits for the next.
const aWhile = Effect.repeat(TestClock.adjust(5), { times: 20 })

describe("A call's trail", () => {
  const facts = (trail: Option.Option<CallTrail.CallTrail>) =>
    Option.map(trail, ({ attempts, decisions }) => [
      ...attempts.map(({ model, origin, outcome }) => [model, origin, outcome._tag]),
      ...decisions.map(({ decision }) => decision._tag)
    ])

  it.effect("is on the answer: what was tried, why it ended, and what policies decided", () =>
    Effect.gen(function* () {
      const call = yield* Effect.forkChild(LanguageModel.generateText({ prompt: "hello" }))
      yield* aWhile
      const trail = CallTrail.ofParts((yield* Fiber.join(call)).content)
      assert.deepStrictEqual(
        facts(trail),
        Option.some([["m", "call", "Failed"], ["m", "retry", "Succeeded"], "RetryScheduled"])
      )
      const [first] = Option.getOrThrow(trail).attempts
      assert.deepInclude(first, { durationMillis: 5, startedAtMillis: 0, provider: "scripted" })
      assert.deepInclude(first?.outcome, { reason: "InternalProviderError", retryable: true })
    }).pipe(Effect.provide(model([{ error: overloaded, delay: 5 }, {}], retried).layer))
  )

  it.effect("is on the finish part of a stream", () =>
    Effect.gen(function* () {
      const call = yield* Effect.forkChild(Stream.runCollect(LanguageModel.streamText({ prompt: "hello" })))
      yield* aWhile
      const trail = CallTrail.ofParts(yield* Fiber.join(call))
      assert.deepStrictEqual(
        facts(trail),
        Option.some([["m", "call", "Failed"], ["m", "retry", "Succeeded"], "RetryScheduled"])
      )
      assert.closeTo(Option.getOrThrow(trail).attempts[1]?.firstContentMillis ?? 0, 15, 0.001)
    }).pipe(Effect.provide(model([{ error: overloaded }, { delay: 5 }], retried).layer))
  )

  it.effect("tells no time to the first content of a stream without any", () =>
    Effect.gen(function* () {
      const parts = yield* Stream.runCollect(LanguageModel.streamText({ prompt: "hello" }))
      const [attempt] = Option.getOrThrow(CallTrail.ofParts(parts)).attempts
      assert.deepStrictEqual([attempt?.outcome._tag, attempt?.firstContentMillis], ["Succeeded", undefined])
    }).pipe(Effect.provide(model([{ parts: text("ok").slice(-1) }]).layer))
  )

  it.effect.each(["generateText", "streamText"] as const)("is with the error %s failed with", (method) =>
    Effect.gen(function* () {
      const call =
        method === "generateText"
          ? Effect.asVoid(LanguageModel.generateText({ prompt: "hello" }))
          : Stream.runDrain(LanguageModel.streamText({ prompt: "hello" }))
      const fiber = yield* Effect.forkChild(Effect.flip(call))
      yield* aWhile
      assert.deepStrictEqual(
        facts(CallTrail.ofError(yield* Fiber.join(fiber))),
        Option.some([["m", "call", "Failed"], ["m", "retry", "Failed"], "RetryScheduled", "RetryRefused"])
      )
    }).pipe(Effect.provide(model([{ error: overloaded }], retried).layer))
  )

  it.effect("is in the event with which the call ends", () =>
    Effect.gen(function* () {
      const calls = yield* Effect.forkChild(
        Effect.andThen(
          LanguageModel.generateText({ prompt: "hello" }),
          Stream.runDrain(LanguageModel.streamText({ prompt: "hello" }))
        )
      )
      yield* aWhile
      yield* Fiber.join(calls)
      const events = yield* Supervisor.events({ after: 0 }).pipe(Stream.take(6), Stream.runCollect)
      assert.deepStrictEqual(
        events.flatMap((event) =>
          event._tag === "JobCompleted" ? [event.trail?.attempts.map(({ origin }) => origin)] : []
        ),
        [["call", "retry"], ["call"]]
      )
    }).pipe(Effect.provide(model([{ error: overloaded }, {}], retried).layer))
  )

  it.effect("is a copy for each who reads the event: none writes into what the others read", () =>
    Effect.gen(function* () {
      yield* Effect.forkChild(LanguageModel.generateText({ prompt: "hello" }))
      yield* aWhile
      const ended = Effect.map(
        Supervisor.events({ after: 0 }).pipe(Stream.take(3), Stream.runCollect),
        ([, , event]) => event
      )
      const before = JSON.stringify(yield* ended)
      const first = yield* ended
      assert(first?._tag === "JobCompleted" && first.trail !== undefined && first.usage !== undefined)
      for (const part of [first.usage, first.trail, first.trail.attempts[0], first.trail.decisions[0]?.decision]) {
        assert.isObject(part)
        for (const key of Object.keys(part ?? {})) Object.assign(part ?? {}, { [key]: "a reader wrote this" })
      }
      assert.strictEqual(JSON.stringify(yield* ended), before)
    }).pipe(Effect.provide(model([{ error: overloaded }, {}], retried).layer))
  )

  it.effect("is in the event of a call that failed, and of one that was cancelled", () =>
    Effect.gen(function* () {
      yield* Effect.ignore(LanguageModel.generateText({ prompt: "hello" }))
      const caller = yield* Effect.forkChild(LanguageModel.generateText({ prompt: "hello" }))
      yield* settle
      yield* Fiber.interrupt(caller)
      const events = yield* Supervisor.events({ after: 0 }).pipe(Stream.take(6), Stream.runCollect)
      assert.deepStrictEqual(
        events.flatMap((event) =>
          event._tag === "JobFailed" || event._tag === "JobCancelled"
            ? [[event._tag, event.trail?.attempts.map(({ outcome }) => outcome._tag)]]
            : []
        ),
        [
          ["JobFailed", ["Failed"]],
          ["JobCancelled", ["Interrupted"]]
        ]
      )
    }).pipe(Effect.provide(model([{ error: failure(new AiError.QuotaExhaustedError({})) }, { delay: 60_000 }]).layer))
  )

  const noting = () => {
    const events: Array<readonly [string, Record<string, unknown>]> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        const event = span.event.bind(span)
        span.event = (name, at, attributes = {}) => {
          events.push([name, attributes])
          event(name, at, attributes)
        }
        return span
      }
    })
    return { events, tracer }
  }

  it.effect("is on the call's span, with attempts that nobody waited for any more", () =>
    Effect.gen(function* () {
      const { events, tracer } = noting()
      const call = yield* Effect.forkChild(
        LanguageModel.generateText({ prompt: "hello" }).pipe(Effect.provideService(Tracer.Tracer, tracer))
      )
      yield* settle
      yield* Fiber.interrupt(call)
      assert.deepStrictEqual(
        events.map(([name, { outcome }]) => [name, outcome]),
        [["attempt", "Interrupted"]]
      )
    }).pipe(Effect.provide(model([{ delay: 1_000 }], retried).layer))
  )

  it.effect("has on its span the facts of own policies, and the usage, as attributes by themselves", () => {
    const own: ModelProvider.Policy = (next) => {
      const noted = CallTrail.record({ _tag: "Custom", policy: "mine", facts: { hour: 9, policy: "not mine" } })
      return Effect.succeed({
        ...next,
        generateText: (request) => Effect.andThen(noted, next.generateText(request))
      })
    }
    return Effect.gen(function* () {
      const { events, tracer } = noting()
      yield* Effect.provideService(LanguageModel.generateText({ prompt: "hello" }), Tracer.Tracer, tracer)
      assert.deepStrictEqual(events.at(-1), ["Custom", { hour: 9, policy: "mine" }])
      const nested = events.flatMap(([, facts]) => Object.values(facts)).filter((fact) => typeof fact === "object")
      assert.deepStrictEqual(nested, [])
      assert.isNumber(events[0]?.[1]["outputTokens"])
    }).pipe(Effect.provide(model([{}], [own]).layer))
  })
})

describe("Model.health", () => {
  it.effect("reads the policies, the supervisor and one score", () =>
    Effect.gen(function* () {
      yield* LanguageModel.generateText({ prompt: "hello" })
      const { jobs, policies, score } = yield* Model.health
      assert.deepStrictEqual(policies, [
        { _tag: "RetryBudget", keys: [{ key: "scripted/m", calls: 1, extra: 0 }], score: 100 }
      ])
      assert.deepStrictEqual([jobs.calls.completed, score], [1, 100])
    }).pipe(Effect.provide(model([{}], retried).layer))
  )

  it.effect("is as low as the lowest of them, for a call has to get past each", () =>
    Effect.gen(function* () {
      yield* Effect.ignore(LanguageModel.generateText({ prompt: "hello" }))
      const { jobs, policies, score } = yield* Model.health
      assert.deepStrictEqual(
        policies.map(({ _tag, score }) => [_tag, score]),
        [
          ["Bulkhead", 100],
          ["CircuitBreaker", 0]
        ]
      )
      assert.isAbove(jobs.score, 0)
      assert.strictEqual(score, 0)
    }).pipe(
      Effect.provide(
        model(
          [{ error: failure(new AiError.QuotaExhaustedError({})) }],
          [CircuitBreaker.perModel(), Bulkhead.limit({ concurrency: 1 })]
        ).layer
      )
    )
  )
})
