/**
 * Lets identical calls that are made at the same time share one request.
 *
 * The name is that of Go's `singleflight`, https://pkg.go.dev/golang.org/x/sync/singleflight . Here callers are counted,
 * so the request ends with the last of them and not with the first, and streams are shared too.
 */
import { ByteSize, Cause, Effect, identity, Option, Predicate, Stream, type Scope } from "effect"
import { AiError, type Response } from "effect/ai"
import * as Caller from "../core/call/Caller.ts"
import * as CallContext from "../core/call/CallContext.ts"
import * as CallTrail from "../core/call/CallTrail.ts"
import * as Key from "../core/call/Key.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as WireBytes from "../core/call/WireBytes.ts"
import * as PolicyHealth from "../core/call/PolicyHealth.ts"
import * as PolicyReason from "../core/call/PolicyReason.ts"
import * as ResponseHeaders from "../core/call/ResponseHeaders.ts"
import * as PolicyKind from "../core/call/PolicyKind.ts"
import * as JoinedRun from "./single-flight/JoinedRun.ts"
import * as RequestKey from "../core/call/RequestKey.ts"
import * as CallError from "../core/call/CallError.ts"

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
export const identical = (options: Options = {}): PolicyKind.Of<"SingleFlight"> => {
  check.fields(options, { maxBuffer: true })
  const maxBufferBytes = bytes(options.maxBuffer)
  return PolicyKind.of("SingleFlight", (next) =>
    Effect.gen(function* () {
      const scope = yield* Effect.scope
      const fellBehind = Effect.fail(
        PolicyReason.toAiError("SingleFlight", { _tag: "FellBehind", limitBytes: maxBufferBytes })
      )
      const answers = new JoinedRun.JoinedRuns<Array<Response.PartEncoded>, AiError.AiError>(
        { maxBufferBytes, fellBehind, own: (parts) => parts.map(WireBytes.copyOf), ownError: copyError },
        scope
      )
      const streams = new JoinedRun.JoinedRuns<Chunk, AiError.AiError | Cause.Done>(
        {
          maxBufferBytes,
          fellBehind,
          own: (chunk) => chunk.map(WireBytes.copyOf) as unknown as Chunk,
          ownError: (end) => (AiError.isAiError(end) ? copyError(end) : end)
        },
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
                  (reader) => Effect.andThen(record(reader), reader.pull),
                  (reader) => answers.leave(reader)
                )
          }),
        streamText: (request) =>
          Stream.unwrap(
            Effect.flatMap(RequestKey.keyOf(next, request), (key) => {
              const sent = next.streamText(request)
              if (key === undefined) return Effect.succeed(sent)
              const pump = (shared: JoinedRun.JoinedRun<Chunk, AiError.AiError | Cause.Done>) =>
                Effect.andThen(
                  Stream.runForEachArray(sent, (parts) => shared.add(parts, sizeOf(parts))),
                  Cause.done()
                )
              return Effect.acquireRelease(join(streams, key, pump), (reader) => streams.leave(reader)).pipe(
                Effect.tap(record),
                Effect.map((reader) => Stream.fromPull(Effect.succeed(reader.pull)))
              )
            })
          )
      }
    })
  )
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
 *   const shared = yield* SingleFlight.make({ key: (text: string) => text, run: embed })
 *   return yield* Effect.all([shared("kelp"), shared("kelp"), shared("rock")], { concurrency: "unbounded" })
 * })
 * await Effect.runPromise(Effect.scoped(program)) // => [[1, 4], [1, 4], [2, 4]]
 * ```
 */
export const make = <Input, A, E, R>(options: {
  /** What inputs have in common that share a run. */
  readonly key: (input: Input) => string
  readonly run: (input: Input) => Effect.Effect<A, E, R>
}): Effect.Effect<(input: Input) => Effect.Effect<A, E, R>, never, Scope.Scope> => {
  check.fields(options, { key: true, run: true })
  const { key, run } = options
  check.callback("key", key)
  check.callback("run", run)
  return Effect.map(Effect.scope, (scope) => {
    const runs = new JoinedRun.JoinedRuns<A, E>(
      { maxBufferBytes: Infinity, fellBehind: Effect.never, own: identity, ownError: identity },
      scope
    )
    return (input) =>
      Effect.flatMap(Caller.Current, ({ tenant }) =>
        Effect.acquireUseRelease(
          join(runs, Key.of(tenant, key(input)), () => check.effect("run", run(input))),
          (reader) => Effect.andThen(record(reader), reader.pull),
          (reader) => runs.leave(reader)
        )
      )
  })
}

type Chunk = readonly [Response.StreamPartEncoded, ...Array<Response.StreamPartEncoded>]

const join = <A, E, R>(
  runs: JoinedRun.JoinedRuns<A, E>,
  key: string,
  run: (shared: JoinedRun.JoinedRun<A, E>) => Effect.Effect<A, E, R>
): Effect.Effect<JoinedRun.Reader<A, E>, never, R> =>
  Effect.flatMap(ResponseHeaders.Listener, (hear) =>
    runs.join(key, (shared) => Effect.provideContext(run(shared), CallContext.forSeveral(shared.tell)), hear)
  )

const record = (reader: { readonly isJoiner: boolean }): Effect.Effect<void> =>
  reader.isJoiner ? CallTrail.record({ _tag: "FlightJoined" }) : Effect.void

// The trail of each call is kept beside its error, so two calls must not have the same one.
const copyError = ({ method, module, reason }: AiError.AiError): AiError.AiError =>
  CallError.make({ module, method, reason })

const check = OptionCheck.of("SingleFlight")

const bytes = (input: ByteSize.Input = defaults.maxBuffer): number => {
  const size = Option.flatMap(ByteSize.fromInput(input), ByteSize.toNumber)
  if (Option.isSome(size) && size.value > 0) return size.value
  return check.reject("maxBuffer", "a size above 0", input)
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
