import { assert, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Stream } from "effect"
import { AiError } from "effect/ai"
import { TestClock } from "effect/testing"
import type { ModelProvider } from "holdfast/provider"
import { parse } from "../../../../src/cli/batch/input/BatchRequest.ts"
import * as Lanes from "../../../../src/cli/batch/send/Lanes.ts"
import * as Perseverance from "../../../../src/cli/batch/send/Perseverance.ts"

const request = (line: number) => {
  const text = JSON.stringify({ id: `r${line}`, prompt: "hi", model: "m" })
  const parsed = parse({ number: line, bytes: Buffer.from(text), end: 0, terminated: true }, {})
  return parsed._tag === "Success" ? parsed.success : assert.fail(text)
}

it.effect("waits for as long as a server asks to, and then sends the whole file", () =>
  Effect.gen(function* () {
    let asked = 0
    const provider: ModelProvider.ModelProvider = {
      name: "slow",
      model: "m",
      generateText: () =>
        Effect.suspend(() => {
          asked += 1
          const reason = new AiError.RateLimitError({ retryAfter: Duration.seconds(61) })
          if (asked <= 5) return Effect.fail(AiError.make({ module: "test", method: "test", reason }))
          return Effect.succeed([
            {
              type: "finish" as const,
              reason: "stop" as const,
              usage: { inputTokens: {}, outputTokens: {} },
              response: undefined
            }
          ])
        }),
      streamText: () => Stream.empty
    }
    const waits: Array<number> = []
    const lanes = yield* Lanes.make({
      provider: Effect.succeed(provider),
      concurrency: 5,
      requestsPerMinute: undefined,
      tokensPerMinute: undefined,
      timeout: "5 minutes",
      tally: Effect.succeed,
      answerTokens: () => 10
    })
    const { send } = Perseverance.make({
      lanes,
      retries: 0,
      patienceMillis: Duration.toMillis("30 minutes"),
      isPatientAtStart: false,
      baseUrl: "http://127.0.0.1/v1",
      keyAdvice: undefined,
      headersOf: () => undefined,
      isStopping: () => false,
      endRun: (error) => Effect.die(error),
      onWait: (millis) => Effect.sync(() => void waits.push(millis))
    })
    const lines = Array.from({ length: 200 }, (_, line) => line + 1)
    const all = yield* Effect.forkChild(Effect.forEach(lines, (line) => send(request(line)), { concurrency: 10 }))
    yield* TestClock.adjust("60 seconds")
    assert.isAtMost(asked, 5)
    assert.deepStrictEqual(waits, [61_000])
    yield* TestClock.adjust("10 minutes")
    assert.strictEqual((yield* Fiber.join(all)).length, 200)
    assert.isAtMost(asked, 205)
  })
)
