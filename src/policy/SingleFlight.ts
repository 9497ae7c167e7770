/**
 * Lets identical calls that are made at the same time share one request.
 *
 * The name is that of Go's `singleflight`, https://pkg.go.dev/golang.org/x/sync/singleflight . Here callers are counted,
 * so the request ends with the last of them and not with the first, and streams are shared too.
 */
import { ByteSize, Cause, Effect, Exit, Option, Predicate, Stream, type Scope } from "effect"
import { AiError, type Response } from "effect/ai"
import * as Caller from "../core/call/Caller.ts"
import * as CallTrail from "../core/CallTrail.ts"
import * as Deadline from "../core/call/Deadline.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as PolicyHealth from "../core/call/PolicyHealth.ts"
import * as PolicyReason from "../core/call/PolicyReason.ts"
import * as ResponseHeaders from "../core/call/ResponseHeaders.ts"
import type { Policy } from "../core/call/ModelProvider.ts"
import * as Flight from "./single-flight/JoinedRun.ts"
import * as RequestKey from "../core/call/RequestKey.ts"

export interface Options {
  /**
   * What is kept of one stream, for callers who come later and for readers who are slower than others. Default 8 MiB.
   */
  readonly maxBuffer?: ByteSize.Input | undefined
}

export const defaults = { maxBuffer: "8 MiB" } as const

/**
 * Shares one request among identical calls: same provider, model, prompt, tools, output format, settings, tenant and
 * task.
 *
 * - The request is made in the context of the caller who was first, and belongs to none of them: whoever leaves, by
 *   interruption, time limit or an ended read, leaves the others their answer. When the last one leaves it is interrupted,
 *   and has ended when that caller goes on.
 * - All get the same answer, or the same failure.
 * - A stream is given to each reader from its start, at the reader's own pace; the fastest sets the pace of the request. When
 *   more than `maxBuffer` of it has come, identical calls no longer join it, and a reader with more than `maxBuffer`
 *   unread fails with `PolicyReason` `FellBehind` instead of making the others wait.
 * - Inside there is no deadline, because each caller has their own and leaves at it.
 */
export const identical = (options: Options = {}): Policy => {
  const maxBufferBytes = bytes(options.maxBuffer)
  return (next) =>
    Effect.gen(function* () {
      const scope = yield* Effect.scope
      const fellBehind = Effect.fail(
        PolicyReason.toAiError("SingleFlight", { _tag: "FellBehind", limitBytes: maxBufferBytes })
      )
      const answers = new Flight.Flights<Array<Response.PartEncoded>, AiError.AiError>(
        { maxBufferBytes, fellBehind, copy: Exit.mapBoth({ onSuccess: (parts) => [...parts], onFailure: copyError }) },
        scope
      )
      const streams = new Flight.Flights<Chunk, AiError.AiError | Cause.Done>(
        { maxBufferBytes, fellBehind, copy: Exit.mapError((end) => (AiError.isAiError(end) ? copyError(end) : end)) },
        scope
      )
      yield* PolicyHealth.register(
        Effect.sync(() => ({
          _tag: "SingleFlight",
          inFlight: answers.inFlight + streams.inFlight,
          joined: answers.joined + streams.joined,
          score: 100
        }))
      )
      return {
        ...next,
        generateText: (request) =>
          Effect.flatMap(RequestKey.keyOf(next, request), (key) => {
            const sent = next.generateText(request)
            return key === undefined
              ? sent
              : Effect.acquireUseRelease(
                  join(answers, key, () => sent),
                  (member) => Effect.andThen(record(member), member.pull),
                  (member) => answers.leave(member)
                )
          }),
        streamText: (request) =>
          Stream.unwrap(
            Effect.flatMap(RequestKey.keyOf(next, request), (key) => {
              const sent = next.streamText(request)
              if (key === undefined) return Effect.succeed(sent)
              const pump = (flight: Flight.Flight<Chunk, AiError.AiError | Cause.Done>) =>
                Effect.andThen(
                  Stream.runForEachArray(sent, (parts) => flight.add(parts, sizeOf(parts))),
                  Cause.done()
                )
              return Effect.acquireRelease(join(streams, key, pump), (member) => streams.leave(member)).pipe(
                Effect.tap(record),
                Effect.map((member) => Stream.fromPull(Effect.succeed(member.pull)))
              )
            })
          )
      }
    })
}

/**
 * Makes a function that returns an effect share its runs: calls with the same key, made for the same tenant while one
 * runs, get its result.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { SingleFlight } from "holdfast/policy"
 *
 * let asked = 0
 * const embed = (text: string) => Effect.delay(Effect.sync(() => [++asked, text.length]), "1 millis")
 *
 * const program = Effect.gen(function* () {
 *   const shared = yield* SingleFlight.effect({ key: (text: string) => text })(embed)
 *   return yield* Effect.all([shared("kelp"), shared("kelp"), shared("rock")], { concurrency: "unbounded" })
 * })
 * await Effect.runPromise(Effect.scoped(program)) // => [[1, 4], [1, 4], [2, 4]]
 * ```
 */
export const effect =
  <Input>({ key }: { readonly key: (input: Input) => string }) =>
  <A, E, R>(
    run: (input: Input) => Effect.Effect<A, E, R>
  ): Effect.Effect<(input: Input) => Effect.Effect<A, E, R>, never, Scope.Scope> =>
    Effect.map(Effect.scope, (scope) => {
      const flights = new Flight.Flights<A, E>(
        { maxBufferBytes: Infinity, fellBehind: Effect.never, copy: (end) => end },
        scope
      )
      return (input) =>
        Effect.flatMap(Caller.Current, ({ tenant }) =>
          Effect.acquireUseRelease(
            join(flights, JSON.stringify([tenant, key(input)]), () => run(input)),
            (member) => Effect.andThen(record(member), member.pull),
            (member) => flights.leave(member)
          )
        )
    })

type Chunk = readonly [Response.StreamPartEncoded, ...Array<Response.StreamPartEncoded>]

const join = <A, E, R>(
  flights: Flight.Flights<A, E>,
  key: string,
  run: (flight: Flight.Flight<A, E>) => Effect.Effect<A, E, R>
): Effect.Effect<Flight.Member<A, E>, never, R> =>
  Effect.flatMap(ResponseHeaders.Listener, (hear) =>
    flights.join(
      key,
      (flight) =>
        run(flight).pipe(
          Effect.provideService(ResponseHeaders.Listener, flight.tell),
          Effect.provideService(Deadline.Current, undefined)
        ),
      hear
    )
  )

const record = (member: { readonly isJoiner: boolean }): Effect.Effect<void> =>
  member.isJoiner ? CallTrail.record({ _tag: "FlightJoined" }) : Effect.void

// The trail of each call is kept beside its error, so two calls must not have the same one.
const copyError = ({ method, module, reason }: AiError.AiError): AiError.AiError =>
  AiError.make({ module, method, reason })

const bytes = (input: ByteSize.Input = defaults.maxBuffer): number => {
  const size = Option.flatMap(ByteSize.fromInput(input), ByteSize.toNumber)
  if (Option.isSome(size) && size.value > 0) return size.value
  return OptionCheck.of("SingleFlight").reject("maxBuffer", "a size above 0", input)
}

/** About how many bytes a value takes in memory. */
const sizeOf = (value: unknown): number => {
  if (Predicate.isString(value)) return 16 + 2 * value.length
  if (!Predicate.isObjectOrArray(value)) return 8
  if (value instanceof Uint8Array) return value.byteLength
  let size = 16
  for (const property of Object.values(value)) size += 8 + sizeOf(property)
  return size
}
