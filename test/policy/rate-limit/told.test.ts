/** Whatever a server tells in its headers, it is asked again, and no call is refused for good. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Schema, Stream } from "effect"
import { AiError, IdGenerator } from "effect/ai"
import { TestClock } from "effect/testing"
import { PolicyHealth } from "holdfast/core"
import { RateLimit } from "holdfast/policy"
import type { ModelProvider } from "holdfast/provider"
import { failure, request } from "../scripted.ts"

const numbers = [
  "0",
  "1",
  "-1",
  "0.0001",
  "1e999",
  "100",
  "101",
  "500",
  "99999999999999999999",
  "86400",
  "1790000000",
  "1;w=31536000",
  "1;w=86400",
  "100;w=60",
  "1ms",
  "24h",
  "900h",
  "not a number",
  "2026-01-01T00:00:00Z"
] as const
const names = [
  ..."limit remaining reset"
    .split(" ")
    .flatMap((field) => [
      `x-ratelimit-${field}-requests`,
      `x-ratelimit-${field}-tokens`,
      `ratelimit-${field}`,
      `x-ratelimit-${field}`,
      `anthropic-ratelimit-input-tokens-${field}`,
      `anthropic-ratelimit-requests-${field}`
    ]),
  "ratelimit-policy"
]
const Headers = Schema.Array(Schema.Tuple([Schema.Literals(names), Schema.Literals(numbers)]))
const Answer = Schema.Struct({
  headers: Headers,
  /** Rejected with this wait; not at all where there is none. */
  rejects: Schema.UndefinedOr(Schema.Literals(["nothing", "1 second", "1 hour", "1 day", "300 days"]))
})

/** A provider that tells nonsense for a while and then is well. */
const telling = (answers: ReadonlyArray<typeof Answer.Type>) => {
  const sent: Array<number> = []
  const once = Effect.gen(function* () {
    sent.push(yield* Clock.currentTimeMillis)
    const answer = answers[sent.length - 1]
    const headers = Object.fromEntries(answer?.headers ?? [])
    const { rejects } = answer ?? {}
    if (rejects !== undefined) {
      const retryAfter = rejects === "nothing" ? undefined : Duration.fromInputUnsafe(rejects)
      const http = {
        request: { method: "POST", url: "", urlParams: [], hash: undefined, headers: {} },
        response: { status: 429, headers }
      } as const
      return yield* failure(new AiError.RateLimitError({ retryAfter, http }))
    }
    return [
      {
        type: "finish" as const,
        reason: "stop" as const,
        usage: { inputTokens: { total: 7 }, outputTokens: { total: 900 } },
        response: { status: 200, headers }
      }
    ]
  })
  const provider: ModelProvider.ModelProvider = {
    name: "telling",
    model: "m",
    generateText: () => once,
    streamText: () => Stream.empty
  }
  return { provider, sent }
}

const ids = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)
const minute = 60_000
/** A day, and what chance adds to it. */
const longestPause = 86_400_000 + 1_000
const probed = 5 * minute

const limitsOf = (registry: ReadonlyArray<Effect.Effect<PolicyHealth.PolicyHealth>>) =>
  Effect.map(Effect.all(registry), ([health]) => {
    assert(health?._tag === "RateLimit")
    return health.keys[0] ?? assert.fail("no key")
  })

describe("what a server tells", () => {
  it.effect.prop(
    "keeps nobody from asking it again in time, whatever it is",
    [Schema.Array(Answer)],
    ([answers]) =>
      Effect.gen(function* () {
        const { provider, sent } = telling(answers)
        const limited = yield* RateLimit.adaptive()(provider)
        const options = yield* request
        for (let call = 0; call <= answers.length + 2; call++) {
          const before = sent.length
          const rejected = answers[before - 1]?.rejects !== undefined
          const fiber = yield* Effect.forkChild(Effect.exit(limited.generateText(options)))
          yield* TestClock.adjust(rejected ? longestPause : probed)
          assert.strictEqual(sent.length, before + 1, `call ${call} of ${JSON.stringify(answers)}`)
          const exit = yield* Fiber.join(fiber)
          assert.strictEqual(Exit.isSuccess(exit), answers[before]?.rejects === undefined)
        }
      }).pipe(ids),
    { arbitrary: { runs: 200 } }
  )

  const seen = (headers: Record<string, string>) =>
    Effect.gen(function* () {
      const registry: Array<Effect.Effect<PolicyHealth.PolicyHealth>> = []
      const { provider, sent } = telling([{ headers: Object.entries(headers) as never, rejects: undefined }])
      const limited = yield* RateLimit.adaptive()(provider).pipe(Effect.provideService(PolicyHealth.Registry, registry))
      const options = yield* request
      yield* limited.generateText(options)
      return { call: limited.generateText(options), sent, key: limitsOf(registry) }
    })

  it.effect.each([
    { "x-ratelimit-limit-tokens": "1", "x-ratelimit-remaining-tokens": "1" },
    { "ratelimit-limit": "1", "ratelimit-remaining": "0", "ratelimit-policy": "1;w=31536000", "ratelimit-reset": "1" },
    { "x-ratelimit-limit-requests": "0.0001", "x-ratelimit-remaining-requests": "0.00001" },
    { "x-ratelimit-limit-requests": "10", "x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "900h" }
  ])("is not believed where it cannot be meant, and health shows it: %j", (headers: Record<string, string>) =>
    Effect.gen(function* () {
      const { call, key, sent } = yield* seen(headers)
      for (let n = 0; n < 5; n++) yield* call
      assert.strictEqual(sent.length, 6)
      assert.deepStrictEqual((yield* key).limits, [])
    }).pipe(ids)
  )

  it.effect("is in health as it was told, with when it is forgotten, and whether it is clamped", () =>
    Effect.gen(function* () {
      const { call, key, sent } = yield* seen({
        "ratelimit-limit": "2",
        "ratelimit-remaining": "0",
        "ratelimit-policy": "2;w=86400",
        "ratelimit-reset": "86000"
      })
      yield* call
      yield* TestClock.adjust("1 minute")
      const { limits, unreadable } = yield* key
      assert.deepStrictEqual(
        [
          limits.map(({ clamped, expiresInMillis, limit, windowMillis }) => [
            limit,
            windowMillis,
            expiresInMillis,
            clamped
          ]),
          unreadable
        ],
        [[[2, 86_400_000, 9 * minute, true]], []]
      )
      // It holds, until it is probed, and is forgotten in the end although nobody called.
      const waiting = yield* Effect.forkChild(call)
      yield* TestClock.adjust(4 * minute - 1)
      assert.strictEqual(sent.length, 2)
      yield* TestClock.adjust(1)
      yield* Fiber.join(waiting)
      yield* TestClock.adjust(5 * minute)
      assert.deepStrictEqual((yield* key).limits, [])
    }).pipe(ids)
  )

  it.effect("that cannot be meant is shown in health until the next response", () =>
    Effect.gen(function* () {
      const { call, key } = yield* seen({ "x-ratelimit-limit-requests": "0.0001" })
      assert.deepStrictEqual((yield* key).unreadable, ["x-ratelimit-limit-requests: 0.0001"])
      yield* call
      assert.deepStrictEqual((yield* key).unreadable, [])
    }).pipe(ids)
  )
})
