/**
 * Runs a batch: reads requests, sends each as a supervised job, and writes what comes back.
 */
import { Deferred, Effect, Layer, Result, Schedule, Stream } from "effect"
import type { Duration, FileSystem, Scope, Stdio } from "effect"
import { RateLimiter } from "effect/persistence"
import { Model } from "../model/index.ts"
import { Bulkhead, Retry, Timeout } from "../policy/index.ts"
import type { ModelProvider, Policy } from "../core/call/ModelProvider.ts"
import { Supervisor } from "../supervisor/index.ts"
import type { BatchError } from "./BatchError.ts"
import type { BatchEvent } from "./batch/report/BatchEvent.ts"
import * as BatchInput from "./BatchInput.ts"
import type { BatchRequest } from "./BatchRequest.ts"
import * as ChatCompletions from "./ChatCompletions.ts"
import * as Counts from "./batch/report/Counts.ts"
import * as Hope from "./Hope.ts"
import * as IdSet from "./batch/input/IdSet.ts"
import * as Ledger from "./Ledger.ts"
import * as OutputFile from "./OutputFile.ts"
import * as OutputLock from "./OutputLock.ts"
import * as Pace from "./Pace.ts"
import * as Tally from "./batch/send/AttemptTally.ts"

export interface Options {
  /** A path, or `-` for standard input. */
  readonly input: string
  /** Grows by one line for each answer; requests answered there are not sent again. */
  readonly output: string
  /** Written anew by each run: what failed in it, and why. */
  readonly errors: string
  /** Who answers: see `ChatCompletions.provider`. */
  readonly provider: Effect.Effect<ModelProvider, never, Scope.Scope>
  /** Where that is, for messages. */
  readonly baseUrl: string
  /** Used for lines that name no model. Default: such a line fails. */
  readonly model?: string | undefined
  /** Requests in flight at the same time. Default 50. */
  readonly concurrency?: number | undefined
  /** Requests sent in a minute, retries included, at even distances. Default: no limit. */
  readonly requestsPerMinute?: number | undefined
  /** How long one attempt may take. Default 5 minutes. */
  readonly timeout?: Duration.Input | undefined
  /** Attempts after the first, for what can succeed later. Default 6. */
  readonly retries?: number | undefined
  /** Requests to send; the rest is left for another run. Default: all. */
  readonly limit?: number | undefined
  /** Completes when the run is to stop: no request is sent any more, those in flight may finish. Default: never. */
  readonly stop?: Effect.Effect<void> | undefined
  /** How long those in flight may go on after `stop`. Default 30 seconds. */
  readonly stopDeadline?: Duration.Input | undefined
  /** Changed in place while the run goes on. Default: numbers of its own. */
  readonly counts?: Counts.Counts | undefined
  /** Hears what happens. Default: nothing. */
  readonly onEvent?: ((event: BatchEvent) => Effect.Effect<void>) | undefined
}

export const defaults = {
  concurrency: 50,
  timeout: "5 minutes",
  retries: 6,
  retryBase: "250 millis",
  retryCap: "30 seconds",
  stopDeadline: "30 seconds",
  healthEvery: "500 millis"
} as const

/**
 * Runs until every request of the input is answered or has failed, or until `stop`; true when it was stopped.
 *
 * At most twice `concurrency` requests are in memory: those in flight, and as many that wait for their turn or to be
 * tried again. Interrupting it interrupts every request at once and closes the sockets; answers that were written stay.
 *
 * Fails with a `BatchError` when it cannot start or cannot go on. What fails with a single request does not end it.
 */
export const run = Effect.fn("BatchRun.run")(function* (
  options: Options
): Effect.fn.Return<boolean, BatchError, FileSystem.FileSystem | Stdio.Stdio | Scope.Scope> {
  const { errors, input, output } = options
  const counts = options.counts ?? Counts.make()
  counts.limit = options.limit
  const emit = options.onEvent ?? (() => Effect.void)
  const stop = options.stop ?? Effect.never
  const fatal = yield* Deferred.make<never, BatchError>()
  // Whoever fails the run goes no further, and ends with it.
  const orEndRun = (self: Effect.Effect<void, BatchError>): Effect.Effect<void> =>
    Effect.catch(self, (error) => Effect.andThen(Deferred.fail(fatal, error), Effect.never))

  const { bytes, isFile } = yield* BatchInput.open(input)
  yield* OutputLock.take(output)
  const ids = new IdSet.IdSet()
  const answers = yield* OutputFile.open(output, ids)
  const failures = yield* OutputFile.openErrors(errors)
  const ledger = Ledger.make({ answers, failures, counts, emit })
  yield* emit({ event: "RunStarted", answeredBefore: answers.answered, cutBytes: answers.cutBytes })
  if (isFile) yield* Effect.forkScoped(countTotal(bytes, counts))

  let isStopping = false
  const hope = Hope.make(options.baseUrl)
  const tally = Tally.policy({
    counts,
    isStopping: () => isStopping,
    onAttempt: (error) =>
      error === undefined
        ? orEndRun(hope.see(error))
        : Effect.andThen(emit({ event: "AttemptFailed", fault: Tally.faultOf(error) }), orEndRun(hope.see(error)))
  })

  // The requests that have a job, by their place in the input.
  const active = new Map<number, Tally.Progress>()
  const answer = (request: BatchRequest) => {
    const { body, customId, line } = request
    const progress = Tally.start()
    const job = Effect.gen(function* () {
      active.set(line, progress)
      const sent = yield* Effect.result(ChatCompletions.send(body))
      if (Result.isSuccess(sent)) yield* orEndRun(ledger.answered(request, sent.success, progress))
      else if (!Tally.isStopped(sent.failure)) {
        yield* orEndRun(ledger.failed({ customId, line, error: sent.failure, attempts: progress.attempts }))
      }
    }).pipe(
      Effect.provideService(Tally.CurrentProgress, progress),
      Effect.ensuring(Effect.sync(() => active.delete(line)))
    )
    // A job is cancelled or refused only when the run stops: its request is left for the next run.
    return Effect.catchTag(Supervisor.run(job, { name: customId, metadata: { line } }), "JobError", () => Effect.void)
  }

  const drain = Effect.gen(function* () {
    yield* stop
    isStopping = true
    yield* emit({ event: "RunStopping", inFlight: counts.inFlight })
    const waiting = (yield* Supervisor.list({ kind: "job" })).filter(
      ({ metadata }) => active.get(Number(metadata["line"]))?.busy === false
    )
    yield* Effect.forEach(waiting, ({ id }) => Effect.ignore(Supervisor.cancel(id, { reason: "the run stops" })), {
      concurrency: "unbounded",
      discard: true
    })
    yield* Supervisor.drain({ deadline: options.stopDeadline ?? defaults.stopDeadline })
  })

  const { concurrency = defaults.concurrency, limit, model } = options
  const work = BatchInput.tasks(bytes, { counts, ids, limit, model }).pipe(
    Stream.interruptWhen(stop),
    Stream.mapEffect(
      Result.match({
        onSuccess: answer,
        onFailure: (error) =>
          orEndRun(ledger.failed({ customId: error.customId, line: error.line, error, attempts: 0 }))
      }),
      { concurrency: 2 * concurrency, unordered: true }
    ),
    Stream.runDrain
  )
  const services = yield* Layer.build(layer(options, tally))
  yield* Effect.gen(function* () {
    yield* Effect.forkScoped(drain)
    yield* Effect.forkScoped(Effect.repeat(takeStock(counts), Schedule.spaced(defaults.healthEvery)))
    yield* Effect.raceFirst(work, Deferred.await(fatal))
  }).pipe(Effect.provideContext(services))
  if (!isStopping) yield* hope.atEnd
  return isStopping
}, Effect.scoped)

const takeStock = (counts: Counts.Counts) =>
  Effect.map(Supervisor.health, (health) => {
    counts.health = health
  })

const countTotal = (bytes: BatchInput.Input["bytes"], counts: Counts.Counts) =>
  Effect.map(BatchInput.countLines(bytes), (lines) => {
    counts.total = lines
  })

const layer = (options: Options, tally: Policy) => {
  const { concurrency = defaults.concurrency, requestsPerMinute, retries, timeout } = options
  const policies: ReadonlyArray<Policy<RateLimiter.RateLimiter | Scope.Scope>> = [
    Retry.transient({ times: retries ?? defaults.retries, base: defaults.retryBase, cap: defaults.retryCap }),
    ...(requestsPerMinute === undefined ? [] : [Pace.perMinute(requestsPerMinute)]),
    Bulkhead.limit({ concurrency }),
    tally,
    Timeout.perAttempt(timeout ?? defaults.timeout)
  ]
  return Model.layer({ provider: options.provider, policies }).pipe(
    Layer.provide(Layer.provide(RateLimiter.layer, RateLimiter.layerStoreMemory)),
    // As many more jobs as may wait: for the bulkhead, for their minute, or to be tried again.
    Layer.provideMerge(Supervisor.layer({ concurrency: 2 * concurrency, retain: 0, eventHistory: 1 }))
  )
}
