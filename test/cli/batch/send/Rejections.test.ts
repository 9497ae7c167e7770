import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { AiError, IdGenerator } from "effect/ai"
import { Verdict } from "holdfast/core"
import * as Rejections from "../../../../src/cli/batch/send/Rejections.ts"
import { failure, request, scripted, type Answer } from "../../../policy/scripted.ts"

const limited = (over: ConstructorParameters<typeof AiError.RateLimitError>[0] = {}) =>
  failure(new AiError.RateLimitError(over))
const broken = failure(new AiError.InternalProviderError({ description: "boom" }))

/** What the limits hear of each call, and what stands outside of them. */
const heard = (script: ReadonlyArray<Answer>) =>
  Effect.gen(function* () {
    const inner = yield* Rejections.hidden(scripted(script).provider)
    const call = yield* request
    const blames: Array<Verdict.Blame | "answered"> = []
    const seen = {
      ...inner,
      generateText: () =>
        Effect.tapError(inner.generateText(call), (error) => Effect.sync(() => blames.push(Verdict.of(error).blame)))
    }
    const outside = yield* Rejections.shown(seen)
    const outsides: Array<Verdict.Blame | "answered"> = []
    for (let at = 0; at < script.length; at++) {
      const exit = yield* Effect.result(outside.generateText(call))
      outsides.push(exit._tag === "Success" ? "answered" : Verdict.of(exit.failure).blame)
    }
    return { blames, outsides }
  }).pipe(Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator))

const repeated = (count: number, answer: Answer): ReadonlyArray<Answer> => Array.from({ length: count }, () => answer)

describe("Rejections", () => {
  it.effect("keeps single failures from the limits, and from nobody else", () =>
    Effect.gen(function* () {
      const script = [...repeated(9, {}), { error: limited() }, ...repeated(9, {}), { error: broken }]
      const { blames, outsides } = yield* heard(script)
      assert.deepStrictEqual(blames, ["none", "none"])
      assert.deepStrictEqual([outsides[9], outsides[19]], ["busy", "fault"])
    })
  )

  it.effect("lets the limits hear of each rejection once there are many", () =>
    Effect.gen(function* () {
      const { blames } = yield* heard([...repeated(8, { error: limited() }), ...repeated(60, {}), { error: limited() }])
      assert.deepStrictEqual(blames, [...repeated(7, {}).map(() => "none" as const), "busy", "busy"])
    })
  )

  it.effect("believes a server that tells its limit, or asks for a long wait, at once", () =>
    Effect.gen(function* () {
      const headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1s"
      }
      const told = limited({ http: { response: { status: 429, headers } } })
      const { blames } = yield* heard([{ error: told }, { error: limited({ retryAfter: Duration.seconds(30) }) }])
      assert.deepStrictEqual(blames, ["busy", "busy"])
    })
  )
})
