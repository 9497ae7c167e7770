/**
 * A model that fails, stalls, slows down, cuts off, talks nonsense, floods or refuses, as told and by the clock.
 *
 * What it does is plain data, one {@link Behaviour} per call; time is Effect's `Clock`, so a `TestClock` plays a minute
 * of trouble in no time. Its parts and errors are those of a real provider behind `AiSdk`; `FaultyServer` does the same
 * over real sockets.
 */
import * as Monotonic from "../core/Monotonic.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import { Array, Cause, type Clock, Effect, type Pull, Stream } from "effect"
import type { AiError, LanguageModel, Response } from "effect/ai"
import type { ModelProvider } from "../core/call/ModelProvider.ts"
import { type Fault, keepAlive, type Step, steps } from "./faults/Behaviour.ts"
import { failureOf, headersOf } from "./faults/FaultError.ts"
import { metadata, type Origin, Streamed, whole } from "./faults/Parts.ts"
import * as Script from "./faults/Script.ts"

export {
  type Because,
  type Behaviour,
  type Content,
  defaults as behaviourDefaults,
  type Fault,
  type Flood,
  type Kind,
  type Latency,
  type Noise,
  type Point,
  type PointInside,
  type Rejection
} from "./faults/Behaviour.ts"
export { behaviours, type Choices, defaults as choicesDefaults, fromSeed } from "./faults/Draw.ts"
export type { Call, Entry, Seen, Script } from "./faults/Script.ts"

type Request = LanguageModel.ProviderOptions

export interface Options {
  /** How the calls are answered. Default: all at once and without a fault. */
  readonly script?: Script.Script<Request> | undefined
  /** The provider's name. Default: `"faulty"`. */
  readonly name?: string | undefined
  /** The model's name. Default: `"faulty-1"`. */
  readonly model?: string | undefined
  /** How many calls `seen.log` keeps, the newest. Default: 10,000. */
  readonly remember?: number | undefined
}

export const defaults = {
  script: [{}],
  name: "faulty",
  model: "faulty-1",
  remember: 10_000
} as const satisfies Options

export interface FaultyModel {
  readonly provider: ModelProvider
  readonly seen: Script.Seen<Request>
}

/**
 * Makes a faulty model. Throws a `RangeError` for an empty script and for behaviours that make no sense.
 *
 * A call begins when its effect or stream is run, and ends when its answer, or what went wrong, is handed over.
 * Interrupting it, or leaving its stream early, ends it at that moment, as `interrupted`.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { TestClock } from "effect/testing"
 * import { LanguageModel } from "effect/ai"
 * import { FaultyModel } from "holdfast/testing"
 *
 * // Refuses the first call, and answers all others after two seconds.
 * const program = Effect.gen(function*() {
 *   const { provider, seen } = yield* FaultyModel.make({
 *     script: [
 *       { fault: { is: "refuse", because: "rate limited", retryAfter: "20 seconds" } },
 *       { latency: { headers: "2 seconds" }, content: [{ text: "Hello" }] }
 *     ]
 *   })
 *   const model = yield* LanguageModel.make(provider)
 *   const refused = yield* Effect.flip(model.generateText({ prompt: "Hi" }))
 *   const [answer] = yield* Effect.all([model.generateText({ prompt: "Hi" }), TestClock.adjust("2 seconds")], {
 *     concurrency: 2
 *   })
 *   return [refused.reason._tag, answer.text, seen.calls, seen.failed]
 * })
 * await Effect.runPromise(Effect.provide(program, TestClock.layer())) // => ["RateLimitError", "Hello", 2, 1]
 * ```
 */
export const make = (options: Options = {}): Effect.Effect<FaultyModel> => {
  const check = OptionCheck.of("FaultyModel")
  check.fields(options, { script: true, name: true, model: true, remember: true })
  const behaviourOf = Script.compile<Request>(options.script ?? defaults.script, check)
  const modelId = check.text("model", options.model ?? defaults.model)
  const name = check.text("name", options.name ?? defaults.name)
  const { remember = defaults.remember } = options
  check.whole("remember", remember, 0)
  return Effect.clockWith((clock) =>
    Effect.sync(() => {
      const seen = new Script.RequestLog<Request>(behaviourOf, Monotonic.millisUnsafe(clock), remember)
      const begin = (method: Script.Call<Request>["method"], request: Request) =>
        Effect.clockWith((now) => Effect.sync(() => new Playing(seen, method, request, now, modelId)))
      return {
        seen,
        provider: {
          name,
          model: modelId,
          generateText: (request) =>
            Effect.acquireUseRelease(
              begin("generateText", request),
              (call) => call.answer(),
              (call) => Effect.sync(() => call.end("interrupted"))
            ),
          streamText: (request) =>
            Effect.acquireRelease(begin("streamText", request), (call) =>
              Effect.sync(() => call.end("interrupted"))
            ).pipe(
              Effect.map((call) => Stream.fromPull(Effect.succeed(call.pull))),
              Stream.unwrap
            )
        }
      }
    })
  )
}

/** One call that is being answered. */
class Playing {
  /** Gives the next parts of a streamed answer when they are due. */
  readonly pull: Pull.Pull<Parts, AiError.AiError> = Effect.suspend(() => this.next())

  private readonly log: Script.RequestLog<Request>
  private readonly entry: Script.OpenEntry<Request>
  private readonly clock: Clock.Clock
  private readonly origin: Origin
  private readonly parts: Streamed
  private steps: Iterator<Step, void>
  /** Taken from the steps and not yet due: it stays when whoever waits for it is interrupted, and comes back. */
  private pending: Step | undefined

  constructor(
    log: Script.RequestLog<Request>,
    method: Script.Call<Request>["method"],
    request: Request,
    clock: Clock.Clock,
    modelId: string
  ) {
    this.log = log
    this.clock = clock
    this.entry = log.begin(method, request, Monotonic.millisUnsafe(clock))
    const { behaviour, number } = this.entry
    this.origin = { id: `faulty-${number}`, modelId, headers: headersOf(behaviour, number) }
    this.parts = new Streamed(this.origin)
    this.steps = steps(behaviour)
  }

  end(ended: NonNullable<Script.Entry<Request>["ended"]>, error?: AiError.AiError): void {
    this.log.end(this.entry, ended, Monotonic.millisUnsafe(this.clock), error)
  }

  /** Only the last step matters to a call that is not streamed. */
  answer(): Effect.Effect<Array<Response.PartEncoded>, AiError.AiError> {
    let last: Step = { at: 0, do: "finish" }
    for (const step of steps(this.entry.behaviour)) last = step
    return this.whenDue(last, () => {
      if (last.do === "fault") return this.fail(last.fault)
      this.end("completed")
      return Effect.succeed(whole(this.entry.behaviour, this.origin))
    })
  }

  private next(): Pull.Pull<Parts, AiError.AiError> {
    const step = (this.pending ??= this.take())
    if (step === undefined) return this.entry.ended === undefined ? Effect.never : Cause.done()
    return this.whenDue(step, () => {
      this.pending = undefined
      switch (step.do) {
        case "headers":
          return Effect.succeed([metadata(this.origin)])
        case "delta":
          return Effect.succeed(this.parts.delta(step.block, step.delta))
        case "noise":
          return Effect.succeed(this.parts.nothing())
        case "finish":
          this.end("completed")
          return Effect.succeed(this.parts.finish(this.entry.behaviour))
        case "fault": {
          // A connection that is closed in order ends what is open, as a client's parser does at the end of its input.
          const ends = step.fault.is === "end" ? this.parts.endEarly() : []
          if (Array.isReadonlyArrayNonEmpty(ends)) {
            this.pending = step
            return Effect.succeed(ends)
          }
          if (step.fault.is !== "stall" || step.fault.keepAlive?.as === "comments") return this.fail(step.fault)
          this.steps = keepAlive(step.at, step.fault)
          return this.next()
        }
      }
    })
  }

  /** The next step that a caller notices. */
  private take(): Step | undefined {
    let step = this.steps.next().value
    while (step?.do === "noise" && step.as === "comments") step = this.steps.next().value
    return step ?? undefined
  }

  private whenDue<A, E>(step: Step, act: () => Effect.Effect<A, E>): Effect.Effect<A, E> {
    const wait = this.entry.startMillis + step.at - Monotonic.millisUnsafe(this.clock)
    return wait > 0 ? Effect.flatMap(Effect.sleep(wait), act) : act()
  }

  private fail(fault: Fault): Effect.Effect<never, AiError.AiError> {
    if (fault.is === "stall") return Effect.never
    if (fault.is === "die") {
      this.end("died")
      return Effect.die(new Error("the faulty model died, as it was told"))
    }
    const error = failureOf(fault, this.entry.method, this.origin.headers)
    this.end("failed", error)
    return Effect.fail(error)
  }
}

type Parts = Array.NonEmptyReadonlyArray<Response.StreamPartEncoded>
