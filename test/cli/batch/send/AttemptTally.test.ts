import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { AiError, IdGenerator } from "effect/ai"
import { PolicyReason } from "holdfast/core"
import { Counts } from "holdfast/cli"
import * as Tally from "../../../../src/cli/batch/send/AttemptTally.ts"
import { request, scripted, type Answer } from "../../../policy/scripted.ts"

const error = (reason: AiError.AiErrorReason) => AiError.make({ module: "test", method: "test", reason })

const network = (code?: string) =>
  error(
    new AiError.NetworkError({
      reason: "TransportError",
      method: "POST",
      url: "http://127.0.0.1/v1",
      description: code ?? "failed",
      ...(code === undefined ? {} : { cause: Object.assign(new Error(code), { code }) })
    })
  )
const http = (status: number) =>
  error(new AiError.InternalProviderError({ description: "busy", http: { response: { status, headers: {} } } }))
const timedOut = PolicyReason.toAiError("Timeout", { _tag: "TimedOut", clock: "attempt", afterMillis: 5 })

const tallied = (script: ReadonlyArray<Answer>, isStopping: () => boolean = () => false) =>
  Effect.gen(function* () {
    const counts = Counts.make()
    const progress = Tally.start()
    const { provider, seen } = scripted(script)
    const policy = Tally.policy({ counts, isStopping, onAttempt: () => Effect.void })
    const call = (yield* policy(provider)).generateText(yield* request)
    return { counts, progress, seen, call: Effect.provideService(call, Tally.CurrentProgress, progress) }
  })

const ids = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)

describe("Tally", () => {
  it.effect("counts attempts, and remembers what went wrong with each", () =>
    Effect.gen(function* () {
      const { call, counts, progress } = yield* tallied([{ error: http(500) }, { error: timedOut }, {}])
      yield* Effect.exit(call)
      assert.isFalse(progress.busy)
      yield* Effect.exit(call)
      yield* call
      assert.deepInclude(counts, { sent: 3, retried: 2, inFlight: 0 })
      assert.deepStrictEqual(progress, { attempts: 3, busy: true, faults: ["HTTP 500", "no answer in time"] })
    }).pipe(ids)
  )

  it.effect("sends nothing once the run stops, and makes the end of a retryable failure final", () =>
    Effect.gen(function* () {
      let isStopping = false
      const { call, counts, seen } = yield* tallied([{ error: http(500) }], () => isStopping)
      const before = yield* Effect.flip(call)
      isStopping = true
      const after = yield* Effect.flip(call)
      assert.deepStrictEqual([before.isRetryable, Tally.isStopped(before)], [true, false])
      assert.deepStrictEqual([after.isRetryable, Tally.isStopped(after)], [false, true])
      assert.deepStrictEqual([seen.calls, counts.sent], [1, 1])
    }).pipe(ids)
  )

  it.each([
    [http(503), "HTTP 503"],
    [timedOut, "no answer in time"],
    [network("ECONNREFUSED"), "cannot connect"],
    [network("ENOTFOUND"), "cannot connect"],
    [error(new AiError.UnknownError({ description: "something else" })), "UnknownError"],
    [network("ECONNRESET"), "connection lost"],
    [network("UND_ERR_SOCKET"), "connection lost"],
    [error(new AiError.InvalidOutputError({ description: "x" })), "InvalidOutputError"]
  ])("calls %s by a short name", (failure, name) => {
    assert.strictEqual(Tally.faultOf(failure), name)
  })
})
