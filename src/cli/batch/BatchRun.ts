/**
 * Runs a batch: reads requests, sends each as a supervised job, and writes what comes back.
 */
import { Deferred, Effect, Fiber, Layer, Result, Schedule, Semaphore, Stream } from "effect"
import type { Scope, Stdio } from "effect"
import { Supervisor } from "../../supervisor/index.ts"
import { BatchError, CostReached, Misused } from "./BatchError.ts"
import * as BatchInput from "./input/BatchInput.ts"
import type { BatchRequest } from "./input/BatchRequest.ts"
import * as Counts from "./report/Counts.ts"
import * as ErrorsFile from "./output/ErrorsFile.ts"
import * as IdSet from "./input/IdSet.ts"
import * as Lanes from "./send/Lanes.ts"
import * as OutputFile from "./output/OutputFile.ts"
import * as OutputLock from "./output/OutputLock.ts"
import * as Paths from "./output/Paths.ts"
import * as Perseverance from "./send/Perseverance.ts"
import * as SchemaCheck from "./send/SchemaCheck.ts"
import type * as Sending from "./send/Sending.ts"
import * as ResultLog from "./output/ResultLog.ts"
import * as Tally from "./send/AttemptTally.ts"
import { defaults, type Options, resolve } from "./RunOptions.ts"

export { defaults, type Options } from "./RunOptions.ts"

/**
 * Runs until every request of the input is answered or has failed, or until `stop`; true when it was stopped.
 *
 * At most twice `concurrency` requests are in memory, and no more than `maxMemory`: those in flight, and as many that wait for
 * their turn or to be tried again. Interrupting it interrupts every request at once and closes the sockets; answers that were
 * written stay.
 *
 * Fails with a `BatchError` when it cannot start or cannot go on; requests in flight may finish before, as after `stop`. What
 * fails with a single request does not end it.
 */
export const run = Effect.fn("BatchRun.run")(function* (
  options: Options
): Effect.fn.Return<boolean, BatchError, Stdio.Stdio | Scope.Scope> {
  const settings = resolve(options)
  const { concurrency } = settings
  const counts = options.counts ?? Counts.make()
  counts.limit = options.sample ?? options.limit
  if (options.prices !== undefined) counts.cost = 0
  const emit = options.onEvent ?? (() => Effect.void)
  const ended = yield* Deferred.make<BatchError>()
  let isStopping = false
  const endRun = (error: BatchError): Effect.Effect<void> =>
    Effect.suspend(() => {
      isStopping = true
      return Effect.asVoid(Deferred.succeed(ended, error))
    })
  const orEndRun = (self: Effect.Effect<void, BatchError>): Effect.Effect<void> => Effect.catch(self, endRun)

  const input = yield* BatchInput.open(options.input, options.template)
  const files = yield* Paths.resolve(options)
  yield* OutputLock.take(files.output)
  const ids = new IdSet.IdSet()
  const failures = yield* ErrorsFile.open(files.errors, ids)
  const answers = yield* OutputFile.open(files.output, ids, endRun)
  const log = ResultLog.make({ answers, failures, prices: options.prices, counts, emit })
  yield* emit({ event: "RunStarted", answeredBefore: answers.answered, cutBytes: answers.cutBytes })
  const every = yield* BatchInput.everyOf(input, options)
  if (input.count !== undefined) yield* Effect.forkScoped(countTotal(input.count, counts))

  // The requests that have a job, by their place in the input.
  const active = new Map<number, Tally.Progress>()
  const tally = Tally.policy({
    counts,
    isStopping: () => isStopping,
    mayStart: withinCost(options, counts, () => [...active.values()].filter(({ busy }) => busy).length, endRun),
    onAttempt: (error) =>
      error === undefined ? Effect.void : emit({ event: "AttemptFailed", fault: Tally.faultOf(error) })
  })
  const lanes = yield* Lanes.make({
    provider: options.provider,
    concurrency,
    requestsPerMinute: options.requestsPerMinute,
    tokensPerMinute: options.tokensPerMinute,
    timeout: settings.timeout,
    tally,
    answerTokens: () => (counts.answered === 0 ? 500 : Math.ceil(counts.outputTokens / counts.answered))
  })
  const { headersOf } = options
  const perseverance = Perseverance.make({
    lanes,
    retries: settings.retries,
    patienceMillis: settings.patienceMillis,
    isPatientAtStart: options.patience !== undefined,
    baseUrl: options.baseUrl,
    keyAdvice: options.keyAdvice,
    headersOf: ({ path }) => headersOf?.(path),
    isStopping: () => isStopping,
    endRun,
    onWait: (millis, because) => emit({ event: "RunWaiting", millis: Math.round(millis), because })
  })

  // Room for the bytes of requests. One that is larger than all of it has it for itself.
  const room = yield* Semaphore.make(settings.maxMemory)
  const sizeOf = ({ body }: BatchRequest): number => Math.min(body.length, settings.maxMemory)

  /** Asks once more where the answer does not fit the schema that was asked for. */
  const fitting = (request: BatchRequest) =>
    Effect.gen(function* () {
      const first = yield* perseverance.send(request)
      const problem = (answer: Sending.Answer) =>
        options.checkSchema === true ? SchemaCheck.problemOf(request.body, answer.body) : undefined
      if (problem(first) === undefined) return { answer: first, misfit: undefined }
      yield* log.paidInVain(request, first)
      const answer = yield* perseverance.send(request)
      return { answer, misfit: problem(answer) }
    })

  const answer = (request: BatchRequest) => {
    const { customId, line } = request
    const progress = Tally.start()
    const job = Effect.gen(function* () {
      active.set(line, progress)
      const sent = yield* Effect.result(fitting(request))
      if (Result.isSuccess(sent)) {
        const { answer, misfit } = sent.success
        yield* orEndRun(
          misfit === undefined ? log.answered(request, answer, progress) : log.misfit(request, answer, misfit, progress)
        )
        progress.busy = false
      } else if (sent.failure === Perseverance.left) counts.left += 1
      else if (!Tally.isStopped(sent.failure)) {
        yield* orEndRun(log.failed({ customId, line, error: sent.failure, attempts: progress.attempts }))
      }
    }).pipe(
      Effect.provideService(Tally.CurrentProgress, progress),
      Effect.ensuring(Effect.sync(() => active.delete(line)))
    )
    // A job is cancelled or refused only when the run stops: its request is left for the next run.
    return Effect.catchTag(
      Supervisor.run(job, { name: customId.slice(0, 1_000), metadata: { line } }),
      "JobError",
      () => Effect.void
    ).pipe(Effect.ensuring(room.release(sizeOf(request))))
  }

  const stopped = Effect.raceFirst(options.stop ?? Effect.never, Effect.asVoid(Deferred.await(ended)))
  const drain = Effect.gen(function* () {
    yield* stopped
    isStopping = true
    yield* emit({ event: "RunStopping", inFlight: counts.inFlight })
    const waiting = (yield* Supervisor.list({ kind: "job" })).filter(
      ({ metadata }) => active.get(Number(metadata["line"]))?.busy !== true
    )
    yield* Effect.forEach(waiting, ({ id }) => Effect.ignore(Supervisor.cancel(id, { reason: "the run stops" })), {
      concurrency: "unbounded",
      discard: true
    })
    // What cannot be written down any more is not waited for.
    const isFull = (yield* Deferred.isDone(ended)) && (yield* Deferred.await(ended)).reason._tag === "OutputUnwritable"
    yield* Supervisor.drain({ deadline: isFull ? 0 : (options.stopDeadline ?? defaults.stopDeadline) })
  })

  const work = BatchInput.tasks(input.lines, {
    counts,
    ids,
    limit: options.sample ?? options.limit,
    every,
    failedOnly: options.failedOnly ?? false,
    fallbacks: { model: options.model, endpoint: options.endpoint }
  }).pipe(
    Stream.tap((task) => (Result.isSuccess(task) ? room.take(sizeOf(task.success)) : Effect.void)),
    Stream.interruptWhen(stopped),
    Stream.mapEffect(
      Result.match({
        onSuccess: answer,
        onFailure: (error) => orEndRun(log.failed({ customId: error.customId, line: error.line, error, attempts: 0 }))
      }),
      { concurrency: 2 * concurrency, unordered: true }
    ),
    Stream.runDrain
  )
  // As many more jobs as may wait: for the bulkhead, for their minute, or to be tried again.
  const services = yield* Layer.build(Supervisor.layer({ concurrency: 2 * concurrency, retain: 0, eventHistory: 1 }))
  const exit = yield* Effect.gen(function* () {
    const draining = yield* Effect.forkScoped(drain)
    yield* Effect.forkScoped(Effect.repeat(takeStock(counts), Schedule.spaced(defaults.healthEvery)))
    const done = yield* Effect.exit(work)
    // Whoever ended the run does not end himself; it is over when all others have.
    if (isStopping) yield* Effect.ignore(Fiber.join(draining))
    return done
  }).pipe(Effect.provideContext(services))
  yield* Effect.exit(answers.sync)
  if (yield* Deferred.isDone(ended)) return yield* withCost(yield* Deferred.await(ended), counts)
  yield* exit
  if (isStopping) return true
  yield* failures.begin
  const closed = [...lanes.all()].find((lane) => lane.closed !== undefined)
  if (closed?.closed !== undefined) return yield* Perseverance.leftBehind(closed, options.baseUrl, counts.left)
  return false
}, Effect.scoped)

/** Ends the run before what is in flight can bring it above what it may cost. False when it has. */
const withinCost = (
  { maxCost }: Options,
  counts: Counts.Counts,
  unpaid: () => number,
  endRun: (error: BatchError) => Effect.Effect<void>
): Effect.Effect<boolean> =>
  Effect.suspend(() => {
    if (maxCost === undefined) return Effect.succeed(true)
    if (counts.unpriced !== undefined) {
      const problem = `the prices do not have the model ${counts.unpriced}, so the run cannot be kept below --max-cost`
      return Effect.as(endRun(new BatchError({ reason: new Misused({ problem }) })), false)
    }
    const cost = counts.cost ?? 0
    const each = counts.answered === 0 ? 0 : cost / counts.answered
    if (cost + (unpaid() + 1) * each <= maxCost) return Effect.succeed(true)
    return Effect.as(endRun(new BatchError({ reason: new CostReached({ cost, maxCost }) })), false)
  })

/** The same with what those in flight have cost since. */
const withCost = (error: BatchError, { cost }: Counts.Counts): BatchError =>
  error.reason._tag === "CostReached" && cost !== undefined
    ? new BatchError({ reason: new CostReached({ cost, maxCost: error.reason.maxCost }) })
    : error

const takeStock = (counts: Counts.Counts) =>
  Effect.map(Supervisor.health, (health) => {
    counts.health = health
  })

const countTotal = (count: Effect.Effect<number, BatchError>, counts: Counts.Counts) =>
  Effect.map(count, (lines) => {
    counts.total = lines
  })
