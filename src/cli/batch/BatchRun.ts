/**
 * Runs a batch: reads requests, sends each as a supervised job, and writes what comes back.
 */
import * as OptionCheck from "../../core/OptionCheck.ts"
import { Deferred, Effect, Fiber, Layer, Result, Schedule, Semaphore, Stream } from "effect"
import type { Duration, Scope, Stdio } from "effect"
import type { ModelProvider } from "../../core/call/ModelProvider.ts"
import { Supervisor } from "../../supervisor/index.ts"
import { BatchError, CostReached, Misused } from "./BatchError.ts"
import type { BatchEvent } from "./report/BatchEvent.ts"
import * as BatchInput from "./input/BatchInput.ts"
import { type BatchRequest, pathOf } from "./input/BatchRequest.ts"
import type * as Csv from "./input/Csv.ts"
import * as Counts from "./report/Counts.ts"
import * as ErrorsFile from "./output/ErrorsFile.ts"
import * as IdSet from "./input/IdSet.ts"
import * as Lanes from "./send/Lanes.ts"
import * as OutputFile from "./output/OutputFile.ts"
import * as OutputLock from "./output/OutputLock.ts"
import * as Paths from "./output/Paths.ts"
import * as Perseverance from "./send/Perseverance.ts"
import type * as Prices from "./send/Prices.ts"
import * as SchemaCheck from "./send/SchemaCheck.ts"
import type * as Sending from "./send/Sending.ts"
import * as ResultLog from "./output/ResultLog.ts"
import * as Tally from "./send/AttemptTally.ts"

export interface Options {
  /** A path, or `-` for standard input. */
  readonly input: string
  /** Grows by one line for each answer; requests answered there are not sent again. */
  readonly output: string
  /** Written anew by each run: what failed in it, and why. */
  readonly errors: string
  /** Who answers: see `ChatWire.raw`. */
  readonly provider: Effect.Effect<ModelProvider, never, Scope.Scope>
  /** Where that is, for messages. */
  readonly baseUrl: string
  /** Used for lines that name no model. Default: such a line fails. */
  readonly model?: string | undefined
  /** Used for lines that name no endpoint: `/v1/embeddings`. Default: chat completions. */
  readonly endpoint?: string | undefined
  /** Reads the input as a table, and asks this of each row. Default: the input has lines of JSON. */
  readonly template?: Csv.Template | undefined
  /** Requests in flight at the same time. Default 50. */
  readonly concurrency?: number | undefined
  /** Requests sent in a minute, retries included, at even distances. Default: what the server's limits allow. */
  readonly requestsPerMinute?: number | undefined
  /** Tokens sent and received in a minute. Default: what the server's limits allow. */
  readonly tokensPerMinute?: number | undefined
  /** How long one attempt may take. Default 5 minutes. */
  readonly timeout?: Duration.Input | undefined
  /** Attempts after the first, for what can succeed later. Default 6. */
  readonly retries?: number | undefined
  /** How long to wait for a server that answers nobody, or asks to wait. Default 30 minutes; none for one that never answered. */
  readonly patience?: Duration.Input | undefined
  /** Requests to send; the rest is left for another run. Default: all. */
  readonly limit?: number | undefined
  /** Takes so many requests, evenly spread over the input, which must be a file. Default: all. */
  readonly sample?: number | undefined
  /** Whether to send only what the last run failed at, by its errors file. Default false. */
  readonly failedOnly?: boolean | undefined
  /** Whether to check answers against the JSON schema their request asks for, and to ask once more if they do not fit. Default false. */
  readonly checkSchema?: boolean | undefined
  /** The most bytes of requests to hold at a time. Default 128 MiB; a single request may be larger. */
  readonly maxMemory?: number | undefined
  /** Prices by model, for what the run costs. Default: it is not told. */
  readonly prices?: Prices.Prices | undefined
  /** What the run may cost, in the currency of the prices. Default: anything. */
  readonly maxCost?: number | undefined
  /** What to do about a key that is refused, for the message. Default: nothing is said. */
  readonly keyAdvice?: string | undefined
  /** Headers for a request, by its endpoint. Default: none. */
  readonly headersOf?: ((path: string) => { readonly [name: string]: string } | undefined) | undefined
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
  retryBase: Perseverance.defaults.base,
  retryCap: Perseverance.defaults.cap,
  patience: "30 minutes",
  maxMemory: 128 * 2 ** 20,
  stopDeadline: "30 seconds",
  healthEvery: "500 millis"
} as const

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

const caller = "BatchRun.run"
const check = OptionCheck.of(caller)

/** Says which option cannot be, in the words of a command that has it as a flag: `--max-cost must be …`. */
export const problemOf = (options: Options): string | undefined => {
  try {
    resolve(options)
    return undefined
  } catch (error) {
    const { message } = error as Error
    const [, name = "", rest = message] =
      new RegExp(`^${caller} option (?:template\\.)?(\\w+)(.*)$`, "su").exec(message) ?? []
    const flag = name.replaceAll(/[A-Z]/gu, (letter) => `-${letter.toLowerCase()}`)
    return `${name === "" || name === "input" ? "INPUT" : flag === "output" ? "--out" : `--${flag}`}${rest}`
  }
}

// What a command or a configuration may have wrong; paths and the API are told by a `BatchError`.
const resolve = (options: Options) => {
  const { limit, maxCost, model, requestsPerMinute, sample, tokensPerMinute } = options
  for (const name of ["input", "output", "errors", "baseUrl"] as const) check.label(name, options[name])
  if (model !== undefined) check.label("model", model)
  if (options.endpoint !== undefined && pathOf(options.endpoint) === undefined) {
    check.reject("endpoint", "an endpoint such as /v1/embeddings", options.endpoint)
  }
  if (options.template !== undefined) {
    check.record("template", options.template)
    if (options.template.system !== undefined) check.text("template.system", options.template.system)
    check.label("template.prompt", options.template.prompt)
  }
  if (requestsPerMinute !== undefined) check.number("requestsPerMinute", requestsPerMinute, { above: 0 })
  if (tokensPerMinute !== undefined) check.number("tokensPerMinute", tokensPerMinute, { above: 0 })
  check.millis("timeout", options.timeout ?? defaults.timeout, { endless: true })
  if (limit !== undefined) check.whole("limit", limit, 0)
  if (sample !== undefined) check.whole("sample", sample, 1)
  for (const name of ["failedOnly", "checkSchema"] as const) {
    if (options[name] !== undefined) check.flag(name, options[name])
  }
  if (options.prices !== undefined) check.record("prices", options.prices)
  if (maxCost !== undefined) {
    check.number("maxCost", maxCost, { atLeast: 0 })
    if (options.prices === undefined) check.reject("prices", "given together with maxCost", undefined)
  }
  if (options.keyAdvice !== undefined) check.text("keyAdvice", options.keyAdvice)
  check.millis("stopDeadline", options.stopDeadline ?? defaults.stopDeadline, { atLeast: 0, endless: true })
  for (const name of ["onEvent", "headersOf"] as const) {
    if (options[name] !== undefined) check.callback(name, options[name])
  }
  if (options.counts !== undefined) check.record("counts", options.counts)
  for (const name of ["provider", "stop"] as const) {
    const given = options[name]
    if (given !== undefined && !Effect.isEffect(given)) check.reject(name, "an Effect", given)
  }
  return {
    concurrency: check.whole("concurrency", options.concurrency ?? defaults.concurrency, 1),
    retries: check.whole("retries", options.retries ?? defaults.retries, 0),
    timeout: options.timeout ?? defaults.timeout,
    patienceMillis: check.millis("patience", options.patience ?? defaults.patience, { atLeast: 0, endless: true }),
    maxMemory: check.whole("maxMemory", options.maxMemory ?? defaults.maxMemory, 1)
  }
}
