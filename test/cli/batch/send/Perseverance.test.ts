import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { AiError } from "effect/ai"
import { TestClock } from "effect/testing"
import { PolicyReason } from "holdfast/core"
import type { BatchError } from "../../../../src/cli/batch/BatchError.ts"
import type { Lane } from "../../../../src/cli/batch/send/Lanes.ts"
import * as Perseverance from "../../../../src/cli/batch/send/Perseverance.ts"
import { scripted, type Answer } from "../../../policy/scripted.ts"

const error = (reason: AiError.AiErrorReason) => AiError.make({ module: "test", method: "test", reason })

const network = (code: string) =>
  error(
    new AiError.NetworkError({
      reason: "TransportError",
      method: "POST",
      url: "http://127.0.0.1/v1",
      description: code,
      cause: Object.assign(new Error(code), { code })
    })
  )
const broken = error(new AiError.InternalProviderError({ description: "boom" }))
const limited = (wait?: Duration.Duration) =>
  error(new AiError.RateLimitError(wait === undefined ? {} : { retryAfter: wait }))
const badKey = error(new AiError.AuthenticationError({ kind: "InvalidKey", description: "no such key" }))
const noQuota = error(new AiError.QuotaExhaustedError({}))
const noModel = error(
  new AiError.InvalidRequestError({ parameter: "model", constraint: "is not available", description: "no such model" })
)
const wrong = error(new AiError.InvalidRequestError({ parameter: "foo" }))
const circuitOpen = PolicyReason.toAiError("CircuitBreaker", { _tag: "CircuitOpen", key: "m", retryAfterMillis: 5_000 })

const laneOf = (model: string, script: ReadonlyArray<Answer>) => {
  const { provider, seen } = scripted(script)
  const lane: Lane = { model, provider, answers: 0, faultsSince: undefined, faulting: new Set(), closed: undefined }
  return { lane, seen }
}

const request = (line = 1, model = "m") => ({
  customId: `r${line}`,
  line,
  path: "/chat/completions",
  model,
  body: Buffer.from("{}"),
  tokens: 1
})

/** Sends requests of some models by these scripts. */
const sending = (
  scripts: Readonly<Record<string, ReadonlyArray<Answer>>>,
  over: Partial<Perseverance.Options> = {}
) => {
  const lanes = new Map(Object.entries(scripts).map(([model, script]) => [model, laneOf(model, script)]))
  const ended: Array<BatchError> = []
  const waits: Array<number> = []
  const of = (model: string): Lane => lanes.get(model)?.lane ?? assert.fail(model)
  const perseverance = Perseverance.make({
    lanes: { of: (model) => Effect.sync(() => of(model)), all: () => [...lanes.values()].map(({ lane }) => lane) },
    retries: 2,
    patienceMillis: 60_000,
    isPatientAtStart: false,
    baseUrl: "http://127.0.0.1/v1",
    keyAdvice: "say --api-key-env",
    headersOf: () => undefined,
    isStopping: () => ended.length > 0,
    endRun: (reason) => Effect.sync(() => void ended.push(reason)),
    onWait: (millis) => Effect.sync(() => void waits.push(millis)),
    ...over
  })
  const outcome = (line = 1, model = "m") =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(
        Effect.flip(Effect.asVoid(perseverance.send(request(line, model)))).pipe(
          Effect.map((failure) => (failure === "left" ? "left" : failure.reason._tag)),
          Effect.orElseSucceed(() => "answered")
        )
      )
      yield* TestClock.adjust("2 hours")
      return yield* Fiber.join(fiber)
    })
  return { outcome, ended, waits, calls: (model = "m") => lanes.get(model)?.seen.calls, of }
}

const times = (count: number, failure: AiError.AiError): ReadonlyArray<Answer> =>
  Array.from({ length: count }, () => ({ error: failure }))

describe("Perseverance", () => {
  it.effect("tries again what can pass, as often as retries allow, and what is wrong not at all", () =>
    Effect.gen(function* () {
      const passes = sending({ m: [...times(2, broken), {}] })
      assert.deepStrictEqual([yield* passes.outcome(), passes.calls()], ["answered", 3])
      const fails = sending({ m: times(9, broken) })
      assert.deepStrictEqual([yield* fails.outcome(), fails.calls()], ["InternalProviderError", 3])
      const refused = sending({ m: times(9, wrong) })
      assert.deepStrictEqual([yield* refused.outcome(), refused.calls()], ["InvalidRequestError", 1])
      assert.deepStrictEqual([passes.ended, fails.ended, refused.ended], [[], [], []])
    })
  )

  it.effect("waits its turn at a rate limit, however often it takes", () =>
    Effect.gen(function* () {
      const { calls, ended, outcome } = sending({
        m: [...times(50, limited()), ...times(5, limited(Duration.seconds(30))), {}]
      })
      assert.deepStrictEqual([yield* outcome(), calls(), ended], ["answered", 56, []])
    })
  )

  it.effect("ends the run with one message when it is asked to wait for longer than it is patient", () =>
    Effect.gen(function* () {
      const { ended, outcome } = sending({ m: times(9, limited(Duration.minutes(2))) })
      assert.strictEqual(yield* outcome(), "left")
      assert.strictEqual(
        ended[0]?.message,
        "http://127.0.0.1/v1 asks to wait longer than --patience allows: Rate limit exceeded. Retry after 2m; it asks for 2m"
      )
    })
  )

  it.effect("ends the run when no other request would fare better, at the start and half way", () =>
    Effect.gen(function* () {
      const cases = [
        [badKey, "key refused", /does not accept the key: no such key; say --api-key-env$/],
        [noQuota, "quota exhausted", /says that the quota is exhausted/],
        [noModel, "model unknown", /has no such model: no such model$/]
      ] as const
      for (const [failure, kind, says] of cases) {
        for (const before of [0, 3]) {
          const { ended, outcome } = sending({ m: [...Array.from({ length: before }, () => ({})), { error: failure }] })
          for (let line = 1; line <= before; line++) assert.strictEqual(yield* outcome(line), "answered")
          assert.strictEqual(yield* outcome(9), "left")
          assert.deepInclude(ended[0]?.reason, { _tag: "ProviderUnusable", kind })
          assert.match(ended[0]?.message ?? "", says)
        }
      }
    })
  )

  it.effect("leaves the requests of a model that is not there, when another one answers", () =>
    Effect.gen(function* () {
      const { calls, ended, of, outcome } = sending({ m: [{}, {}], nope: times(9, noModel) })
      const outcomes = [yield* outcome(1), yield* outcome(2, "nope"), yield* outcome(3, "nope"), yield* outcome(4)]
      assert.deepStrictEqual(outcomes, ["answered", "left", "left", "answered"])
      assert.deepStrictEqual([calls("nope"), ended], [1, []])
      assert.match(Perseverance.leftBehind(of("nope"), "http://x", 2).message, /no such model; 2 requests are left/)
    })
  )

  it.effect("gives up early where nobody ever answered, unless it was told to be patient", () =>
    Effect.gen(function* () {
      const { calls, ended, outcome } = sending({ m: times(9, network("ECONNREFUSED")) })
      assert.deepStrictEqual([yield* outcome(), calls()], ["left", 5])
      assert.match(ended[0]?.message ?? "", /^cannot reach http:\/\/127\.0\.0\.1\/v1: ECONNREFUSED; check --base-url/)
      const untrusted = error(new AiError.UnknownError({ description: "self-signed certificate" }))
      const refused = sending({ m: times(9, untrusted) })
      assert.deepStrictEqual([yield* refused.outcome(), refused.calls()], ["left", 1])
      assert.match(refused.ended[0]?.message ?? "", /^cannot reach .*: self-signed certificate/)
      const patient = sending({ m: [...times(9, network("ECONNREFUSED")), {}] }, { isPatientAtStart: true })
      assert.deepStrictEqual([yield* patient.outcome(), patient.ended], ["answered", []])
    })
  )

  it.effect("waits for a server that is down, and ends the run when it does not come back", () =>
    Effect.gen(function* () {
      const back = sending({ m: [{}, ...times(9, network("ECONNREFUSED")), { error: circuitOpen }, {}] })
      assert.deepStrictEqual([yield* back.outcome(1), yield* back.outcome(2), back.ended], ["answered", "answered", []])
      assert.isNotEmpty(back.waits)
      const gone = sending({ m: [{}, ...times(500, network("ECONNREFUSED"))] })
      assert.deepStrictEqual([yield* gone.outcome(1), yield* gone.outcome(2)], ["answered", "left"])
      assert.match(gone.ended[0]?.message ?? "", /did not recover: ECONNREFUSED; run the same command again/)
    })
  )

  it.effect("does not say that nobody is answered because some requests failed together", () =>
    Effect.gen(function* () {
      const { outcome, waits } = sending({ m: [{}, ...times(3, broken), {}] }, { retries: 0 })
      yield* outcome(1)
      yield* Effect.all([outcome(2), outcome(3), outcome(4)], { concurrency: 3 })
      assert.deepStrictEqual(waits, [])
    })
  )

  it.effect("waits for nothing once the run ends", () =>
    Effect.gen(function* () {
      const { calls, ended, outcome } = sending({ m: [{ error: badKey }, ...times(9, circuitOpen)] })
      assert.deepStrictEqual([yield* outcome(1), yield* outcome(2)], ["left", "left"])
      assert.deepStrictEqual([calls(), ended.length], [1, 1])
    })
  )

  it.effect("blames the server when several requests fail and none is answered between, and one alone otherwise", () =>
    Effect.gen(function* () {
      const { ended, outcome } = sending({ m: times(500, broken) }, { retries: 0 })
      const outcomes = [yield* outcome(1), yield* outcome(2), yield* outcome(3)]
      assert.deepStrictEqual(outcomes, ["InternalProviderError", "InternalProviderError", "left"])
      assert.strictEqual(ended.length, 1)
    })
  )
})
