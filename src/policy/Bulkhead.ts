/**
 * Limits how many calls are in flight at the same time, so that one busy place cannot take everything.
 *
 * The others wait in line: tenants take turns, the urgent go first, and who cannot be answered in time is told so at
 * once and not after the wait.
 */
import { Effect } from "effect"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as PolicyHealth from "../core/call/PolicyHealth.ts"
import * as PolicyReason from "../core/call/PolicyReason.ts"
import * as PolicyKind from "../core/call/PolicyKind.ts"
import * as Gate from "./gate/Gate.ts"
import * as GateSettings from "./gate/GateSettings.ts"

export interface Options extends GateSettings.Options {
  /** Calls in flight at the same time. */
  readonly concurrency: number
}

export const defaults = GateSettings.defaults

/**
 * Lets `concurrency` calls through at a time; the others wait for their turn.
 *
 * Whose turn it is: tenants (`Caller.as`) take turns, within a tenant the higher priority goes first, and each `aging` a
 * call has waited counts as one point of priority. A stream is in flight until it has ended or its reader has left. The
 * permit is back when the call has ended, however it ended. Interrupting a waiting call takes it out of the line.
 *
 * A call ends before it is sent with `PolicyReason`
 *
 * - `QueueFull`, retryable: when `maxWaiting` calls wait already, or its turn has not come within `maxWait`;
 * - `DeadlineTooNear`, not retryable: when it has a deadline (`Timeout.overall`) and what is left is less than the
 *   expected wait and the time that three of four of the last calls took at least. Nothing is expected before three
 *   calls have ended, and what has not ended within the last half minute is forgotten.
 */
export const limit = (options: Options): PolicyKind.Of<"Bulkhead"> => {
  const makeGate = gate(options)
  return PolicyKind.of("Bulkhead", (next) =>
    Effect.gen(function* () {
      const permits = yield* makeGate
      yield* PolicyHealth.register(health(permits, options))
      return {
        ...next,
        generateText: (request) => permits.run(next.generateText(request), refused),
        streamText: (request) => permits.stream(() => next.streamText(request), refused)
      }
    })
  )
}

/**
 * Makes a bulkhead for any effects: the result wraps each effect that is to share its permits.
 *
 * As {@link limit}, with the tenant and the priority of `Caller.as`; a wrapped effect fails with the
 * `PolicyReason` itself, `QueueFull` or `DeadlineTooNear`.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { Caller } from "holdfast/core"
 * import { Bulkhead } from "holdfast/policy"
 *
 * const program = Effect.gen(function* () {
 *   const limited = yield* Bulkhead.make({ concurrency: 5, keyConcurrency: 2 })
 *   return yield* limited(Effect.succeed("rows")).pipe(Caller.as({ tenant: "acme", priority: "high" }))
 * })
 * await Effect.runPromise(program) // => "rows"
 * ```
 */
export const make = (options: Options) =>
  Effect.map(
    gate(options),
    (permits) =>
      <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | Refusal, R> =>
        permits.run(self, PolicyReason.toError)
  )

/** What a bulkhead says to a call it does not let in. */
export type Refusal = Gate.Refusal & Error

const refused = (refusal: Gate.Refusal) => PolicyReason.toAiError("Bulkhead", refusal)

const gate = (options: Options): Effect.Effect<Gate.Gate> => {
  check.fields(options, fields)
  const concurrency = check.whole("concurrency", options.concurrency, 1)
  const settings = GateSettings.resolve("Bulkhead", options)
  return Effect.sync(() => new Gate.Gate(settings, concurrency))
}

const health = (
  permits: Gate.Gate,
  { concurrency, maxWaiting = defaults.maxWaiting }: Options
): Effect.Effect<PolicyHealth.BulkheadHealth> =>
  Effect.sync(() => ({
    _tag: "Bulkhead",
    concurrency,
    inFlight: permits.inFlight,
    waiting: permits.waiting,
    maxWaiting,
    score: permits.score
  }))

const check = OptionCheck.of("Bulkhead")

const fields: OptionCheck.Fields<Options> = { ...GateSettings.fields, concurrency: true }
