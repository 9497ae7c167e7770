/** The laws of the {@link ProviderContract} about what goes wrong, and about the connections that must not outlive it. */
import { Deferred, Duration, Effect, Fiber, Stream } from "effect"
import type { AiError } from "effect/ai"
import { type Clause, defaults, request, type Stage, type Violation, withIds } from "./Stage.ts"
import type { Exchange } from "../WireTap.ts"

/** Into the text, in every wire format, and not at its end. */
const middle = 6

const generate = ({ provider }: Stage, prompt: string) =>
  Effect.flatMap(request(prompt), provider.generateText).pipe(withIds)

const stream = ({ provider }: Stage, prompt: string) => Stream.unwrap(Effect.map(request(prompt), provider.streamText))

const drain = (stage: Stage, prompt: string) => Stream.runDrain(stream(stage, prompt)).pipe(withIds)

/** The error of a call that must fail. */
const errorOf = <A>(stage: Stage, call: Effect.Effect<A, AiError.AiError>): Effect.Effect<AiError.AiError, Violation> =>
  Effect.matchEffect(call, {
    onFailure: Effect.succeed,
    onSuccess: (actual) => Effect.fail(stage.violation(actual, "a failure"))
  })

const slices = 25

/** Waits in slices, each a turn of the event loop: a busy machine then delays the limit as it delays the socket. */
const closesInTime = ({ subject, violation }: Stage, exchange: Exchange): Effect.Effect<void, Violation> => {
  const limit = Duration.fromInputUnsafe(subject.closeWithin ?? defaults.closeWithin)
  const late = Effect.sleep(Duration.millis(Duration.toMillis(limit) / slices)).pipe(
    Effect.repeat({ times: slices - 1 }),
    Effect.andThen(Effect.fail(violation("an open connection", `one closed within ${Duration.format(limit)}`)))
  )
  return Effect.raceFirst(exchange.closed, late)
}

/** Interrupts some work once its request has arrived, and looks at the connection. */
const closes = (name: string, work: (stage: Stage) => Effect.Effect<unknown, AiError.AiError>): Clause => ({
  name,
  check: (stage) =>
    Effect.gen(function* () {
      yield* stage.tap.disturb({ _tag: "KeepSilent" })
      const fiber = yield* Effect.forkScoped(work(stage))
      const exchange = yield* stage.tap.take
      yield* Fiber.interrupt(fiber)
      yield* closesInTime(stage, exchange)
    })
})

export const clauses: ReadonlyArray<Clause> = [
  {
    name: "reports a rate limit with its retry-after",
    check: (stage) =>
      Effect.gen(function* () {
        for (const call of [generate(stage, "contract: limited"), drain(stage, "contract: limited")]) {
          const { isRetryable, reason } = yield* errorOf<unknown>(stage, call)
          yield* stage.same([reason._tag, isRetryable], ["RateLimitError", true])
          const retryAfter = reason._tag === "RateLimitError" ? reason.retryAfter : undefined
          yield* stage.same(retryAfter && Duration.toSeconds(retryAfter), 7)
        }
      })
  },
  {
    name: "reports a server's failure as retryable, after one request",
    check: (stage) =>
      Effect.gen(function* () {
        for (const call of [generate(stage, "contract: broken"), drain(stage, "contract: broken")]) {
          const { isRetryable, reason } = yield* errorOf<unknown>(stage, call)
          yield* stage.same([reason._tag, isRetryable], ["InternalProviderError", true])
        }
        yield* stage.same(yield* stage.tap.count, 2)
      })
  },
  {
    name: "fails when the connection is cut in the middle of a stream",
    check: (stage) =>
      Effect.gen(function* () {
        yield* stage.tap.disturb({ _tag: "CutAfter", events: middle })
        const { isRetryable } = yield* errorOf(stage, drain(stage, "contract: plain"))
        yield* stage.same(isRetryable, true)
      })
  },
  {
    name: "fails when a stream ends before the answer does",
    check: (stage) =>
      Effect.gen(function* () {
        yield* stage.tap.disturb({ _tag: "EndAfter", events: middle })
        yield* errorOf(stage, drain(stage, "contract: plain"))
      })
  },
  closes("closes the connection when a call is interrupted", (stage) => generate(stage, "contract: plain")),
  closes("closes the connection when a stream is interrupted before it begins", (stage) =>
    drain(stage, "contract: plain")
  ),
  {
    name: "closes the connection when a stream is interrupted in the middle",
    check: (stage) =>
      Effect.gen(function* () {
        yield* stage.tap.disturb({ _tag: "StallAfter", events: middle })
        const begun = yield* Deferred.make<void>()
        const fiber = yield* stream(stage, "contract: plain").pipe(
          Stream.runForEach((part) => (part.type === "text-delta" ? Deferred.succeed(begun, undefined) : Effect.void)),
          withIds,
          Effect.forkScoped
        )
        const exchange = yield* stage.tap.take
        yield* Deferred.await(begun)
        yield* Fiber.interrupt(fiber)
        yield* closesInTime(stage, exchange)
      })
  },
  {
    name: "closes the connection when a stream is left early",
    check: (stage) =>
      Effect.gen(function* () {
        yield* stage.tap.disturb({ _tag: "StallAfter", events: middle })
        yield* stream(stage, "contract: plain").pipe(Stream.take(1), Stream.runDrain, withIds)
        yield* closesInTime(stage, yield* stage.tap.take)
      })
  },
  {
    name: "sends nothing for a stream that is never run",
    check: (stage) =>
      Effect.gen(function* () {
        const unread = stage.provider.streamText(yield* request("contract: plain"))
        yield* stage.same(Stream.isStream(unread), true)
        yield* Effect.sleep("100 millis")
        yield* stage.same(yield* stage.tap.count, 0)
      })
  }
]
