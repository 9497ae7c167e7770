/** Functions that were given and do not give what they must: a clear error, and no hang. */
import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit, Stream } from "effect"
import { AiError } from "effect/ai"
import { PolicyReason } from "holdfast/core"
import { Model } from "holdfast/model"
import { Degrade, Fallback, SingleFlight } from "holdfast/policy"
import { type ModelProvider, ProviderPool } from "holdfast/provider"
import { request, scripted } from "./policy/scripted.ts"

// What plain JavaScript would hand over.
const as = <A>(value: unknown): A => value as A

const broken = AiError.make({
  module: "m",
  method: "m",
  reason: new AiError.InternalProviderError({ description: "" })
})

const errorOf = (work: () => Effect.Effect<unknown, unknown, never>) =>
  Effect.map(Effect.exit(Effect.suspend(work)), (exit) =>
    Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "none"
  )

const asked = (policy: () => ModelProvider.Policy) =>
  errorOf(() =>
    Effect.scoped(
      Effect.flatMap(
        Model.compose({ provider: scripted([{ error: broken }]).provider, policies: [policy()] }),
        (made) => as<Effect.Effect<unknown, unknown>>(Effect.flatMap(request, made.generateText))
      )
    )
  )

const notEffects = [
  ["a promise", Promise.resolve("sorry")],
  ["nothing", undefined],
  ["a text", "sorry"]
] as const

it.effect.each(notEffects)("an answer of Degrade that gives %s is named", ([, given]) =>
  Effect.map(
    asked(() => Degrade.to(as(() => given))),
    (error) => assert.match(error, /^RangeError: Degrade option answer must be a function that gives an Effect, got /)
  )
)

it.effect.each(notEffects)("a run of SingleFlight that gives %s is named", ([, given]) =>
  Effect.map(
    errorOf(() =>
      Effect.scoped(
        Effect.flatMap(SingleFlight.make<string, unknown, never, never>({ key: String, run: as(() => given) }), (run) =>
          run("a")
        )
      )
    ),
    (error) => assert.match(error, /^RangeError: SingleFlight option run must be a function that gives an Effect, got /)
  )
)

it.effect.each(notEffects)("a policy that gives %s is named", ([, given]) =>
  Effect.map(
    asked(() => as(() => given)),
    (error) => assert.match(error, /^RangeError: Model option policies must be a function that gives an Effect, got /)
  )
)

it.effect("a policy whose Effect gives no provider is named", () =>
  Effect.map(
    asked(() => as(() => Effect.void)),
    (error) =>
      assert.match(
        error,
        /^RangeError: Model option policies must be functions whose Effect gives a provider, got undefined/
      )
  )
)

it.effect.each([
  ["a promise", Promise.resolve()],
  ["a function", () => Effect.void]
] as const)("a health check of ProviderPool that is %s is named", ([, check]) =>
  Effect.map(
    errorOf(() =>
      Effect.scoped(ProviderPool.make({ providers: { a: { provider: scripted([]).provider, check: as(check) } } }))
    ),
    (error) => assert.match(error, /^RangeError: ProviderPool option providers.a.check must be an Effect /)
  )
)

it.effect.each([
  ["a promise", Promise.resolve(request)],
  ["nothing", undefined]
] as const)("a continueFrom of Fallback that gives %s is named", ([, given]) =>
  Effect.gen(function* () {
    const cut = Stream.concat(
      Stream.make(
        { type: "text-start" as const, id: "1" },
        { type: "text-delta" as const, id: "1", delta: "half an " }
      ),
      Stream.fail(broken)
    )
    const first: ModelProvider.ModelProvider = { ...scripted([]).provider, streamText: () => cut }
    const options = { midStream: "continue", continueFrom: as<() => never>(() => given) } as const
    const provider = yield* Model.compose({ provider: first, policies: [Fallback.to(scripted([]).provider, options)] })
    const error = yield* errorOf(() =>
      as<Effect.Effect<unknown, unknown>>(Stream.runDrain(Stream.unwrap(Effect.map(request, provider.streamText))))
    )
    assert.match(error, /^RangeError: Fallback option continueFrom must be a function that gives a request, got /)
  }).pipe(Effect.scoped)
)

it.each([
  ["a promise", Promise.resolve(), "target"],
  ["nothing", undefined, "target"],
  ["a provider that is none", { provider: {} }, "target"],
  ["a when that is none", { provider: scripted([]).provider, when: "always" }, "when"]
])("a target of Fallback that is %s is named when it is given", (_, target, option) => {
  assert.throws(() => Fallback.to(as<never>(target)), RangeError, `Fallback option ${option} must be `)
})

const custom = { _tag: "Custom", policy: "mine", description: "no", retryable: true, facts: {} } as const

it.each([
  ["retryAfterMillis", { retryAfterMillis: Number.NaN }],
  ["retryAfterMillis", { retryAfterMillis: -1 }],
  ["retryAfterMillis", { retryAfterMillis: Infinity }],
  ["blame", { blame: "me" }],
  ["retryable", { retryable: "yes" }],
  ["facts.cost", { facts: { cost: Infinity } }],
  ["facts", { facts: undefined }]
])("a Custom reason whose %s could not be read again is refused: %o", (option, given) => {
  const made = () => PolicyReason.toAiError("mine", as({ ...custom, ...given }))
  assert.throws(made, RangeError, `PolicyReason.Custom option ${option} must be `)
})
