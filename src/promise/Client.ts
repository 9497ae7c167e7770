/**
 * Calls models and runs background jobs in plain TypeScript: promises, signals and async iterables.
 */
import { Effect, ManagedRuntime } from "effect"
import * as SafeText from "../core/SafeText.ts"
import * as StatusLine from "../supervisor/StatusLine.ts"
import * as Supervisor from "../supervisor/Supervisor.ts"
import type {
  Answer,
  CallOptions,
  ObjectAnswer,
  Output,
  Prompt,
  Schema,
  TextStream,
  Time,
  ToolOptions
} from "./Call.ts"
import type { ClientHealth, ClientOptions, DrainOptions, SignalOptions } from "./ClientOptions.ts"
import type {
  DefinedJob,
  EndReport,
  EveryOptions,
  Job,
  JobFilter,
  JobOptions,
  JobState,
  JobStatus,
  JobTools,
  WaitOptions,
  Work
} from "./Job.ts"
import { Calls } from "./client/Calls.ts"
import * as Failures from "./client/Failures.ts"
import { Jobs } from "./client/Jobs.ts"
import * as Making from "./client/Making.ts"
import { Models } from "./client/Models.ts"
import { Runner } from "./client/Runner.ts"
import { Shown } from "./client/Shown.ts"
import * as Signals from "./client/Signals.ts"

/**
 * Calls models and runs jobs, until it is closed.
 *
 * No promise of it is ever an unhandled rejection, whatever is left unawaited.
 */
export interface Client extends AsyncDisposable {
  /**
   * Asks a model, and gives the complete answer. Tools that it calls are run, and it is asked again with what they gave.
   *
   * Rejects with a `HoldfastError`, and as the platform does when the signal aborts; the connection is closed by then.
   */
  readonly generate: <const Inputs extends Readonly<Record<string, Schema>> = {}>(
    prompt: Prompt,
    options?: ToolOptions<Inputs>
  ) => Promise<Answer>
  /** Asks a model, and gives the answer as it arrives: see {@link TextStream}. */
  readonly stream: <const Inputs extends Readonly<Record<string, Schema>> = {}>(
    prompt: Prompt,
    options?: ToolOptions<Inputs>
  ) => TextStream
  /**
   * Asks a model for a value that a schema describes, and gives it checked, as `object` of the answer.
   *
   * An answer that the schema refuses is sent back to the model with what is wrong, once by default (`pipeline.repair`). What is
   * wrong then rejects with code `invalid_answer`.
   */
  readonly object: <S extends Schema>(
    schema: S,
    prompt: Prompt,
    options?: CallOptions
  ) => Promise<ObjectAnswer<Output<S>>>

  /**
   * Starts work in the background, and gives its handle. It waits while `jobs.concurrency` jobs run.
   *
   * Rejects with code `queue_full`, `duplicate` or `closed`.
   */
  readonly submit: <A>(work: Work<A>, options?: JobOptions) => Promise<Job<A>>
  /** Starts work and waits for its result. The work ends when the signal aborts. */
  readonly run: <A>(work: Work<A>, options?: JobOptions & { readonly signal?: AbortSignal | undefined }) => Promise<A>
  /**
   * Gives work a name, and a schema its input is checked against when it is submitted. Throws a `RangeError` for a name that is
   * taken.
   */
  readonly define: {
    <S extends Pick<Schema, "~standard">, A>(
      name: string,
      handler: (input: Output<S>, tools: JobTools) => PromiseLike<A> | A,
      schema: S
    ): DefinedJob<Input<S>, A>
    <In, A>(name: string, handler: (input: In, tools: JobTools) => PromiseLike<A> | A): DefinedJob<In, A>
  }
  /**
   * Repeats work: on an interval (`"10 minutes"`, milliseconds), whose first round begins at once, or as a cron text says
   * (`"0 4 * * *"`). A round that fails is logged, and the next begins all the same. It holds the process until it is cancelled.
   */
  readonly every: (schedule: Time | Cron, work: Work<unknown>, options: EveryOptions) => Promise<Job<void>>
  /** Finds a job by its id. Rejects with code `not_found` or `expired`. */
  readonly job: (id: string) => Promise<Job>
  /** Lists the jobs that match, in the order in which they were submitted. Default: all that are known, calls too. */
  readonly jobs: (filter?: JobFilter) => Promise<ReadonlyArray<JobStatus>>
  /** Counts jobs by state, and calls in `calls`. Ended ones since the start. */
  readonly counts: () => Promise<
    Readonly<Record<JobState, number>> & { readonly calls: Readonly<Record<JobState, number>> }
  >
  /** Cancels all that match, waits until they have ended, and says what became of each. Default: all. */
  readonly cancelAll: (filter?: JobFilter, reason?: string) => Promise<EndReport>
  /** Waits until all that live now, and match, have ended. Work that repeats is left out unless the filter asks for it. */
  readonly waitAll: (filter?: JobFilter, options?: WaitOptions) => Promise<void>

  /** Takes stock. */
  readonly health: () => Promise<ClientHealth>
  /** The jobs' health in one line: `jobs 2/50 | waiting 0 | 61/min, 0% failed | health 100`. */
  readonly statusLine: () => Promise<string>
  /** Accepts nothing new, lets what runs end until the deadline, ends the rest, and says what became of each job. */
  readonly drain: (options?: DrainOptions) => Promise<EndReport>
  /** Ends every call and job, and waits for them. Does nothing when it is closed. `await using` does the same. */
  readonly close: () => Promise<void>
  /**
   * Drains and closes on a signal to the process. Once all clients that were to have done so, the process ends by that signal,
   * also when a job ignores its end; a second signal ends it at once. Where the program has a listener of its own for the
   * signal, that one says when the process ends. Gives a function that takes it back, which `close` does as well.
   */
  readonly closeOnSignals: (options?: SignalOptions) => () => void
}

/** A cron text: minute, hour, day, month and weekday, with seconds in front if there are six. */
export type Cron = `${string} ${string} ${string} ${string} ${string}`

/** What a schema is given. */
type Input<S> = S extends { readonly "~standard": { readonly types?: infer Types } }
  ? NonNullable<Types> extends { readonly input: infer A }
    ? A
    : unknown
  : unknown

/**
 * Makes clients.
 *
 * **Example**
 *
 * ```ts run
 * import { Client, fakeModel } from "holdfast/promise"
 *
 * await using client = Client.make({ model: fakeModel("Kelp holds on by its holdfast.") })
 * const { text } = await client.generate("How does kelp hold on?")
 * text // => "Kelp holds on by its holdfast."
 * ```
 */
export const Client = {
  /**
   * Makes a client. Nothing is sent and nothing runs until it is used, and one that is idle does not hold the process.
   *
   * Throws a `RangeError` for an option that makes no sense or does not exist, and when the environment lacks a key.
   */
  make: (options: ClientOptions = {}): Client => new Made(options)
} as const

/** A client. Its functions need no `this`, so that each can be handed on by itself. */
class Made extends Shown implements Client {
  protected readonly shownAs = "Client"
  private readonly runner: Runner
  private readonly calls: Calls
  private readonly work: Jobs
  private readonly onSignals = new Set<() => void>()

  constructor(options: ClientOptions) {
    super()
    const { layer, settings } = Making.read(options)
    this.runner = new Runner(ManagedRuntime.make(layer))
    this.calls = new Calls(this.runner, settings)
    this.work = new Jobs(this.runner)
  }

  readonly generate: Client["generate"] = (prompt, options) =>
    this.calls.generate(prompt, options as AnyOptions, framesOf(this.generate))

  readonly stream: Client["stream"] = (prompt, options) =>
    this.calls.stream(prompt, options as AnyOptions, framesOf(this.stream))

  readonly object: Client["object"] = (schema, prompt, options) =>
    this.calls.object(schema, prompt, options, framesOf(this.object))

  readonly submit: Client["submit"] = (work, options) => this.work.submit(work, options, framesOf(this.submit))

  readonly run: Client["run"] = (work, options) => this.work.run(work, options, framesOf(this.run))

  readonly define: Client["define"] = <In, A>(
    name: string,
    handler: (input: In, tools: JobTools) => PromiseLike<A> | A,
    schema?: Pick<Schema, "~standard">
  ) => this.work.define(name, handler, schema, framesOf(this.define))

  readonly every: Client["every"] = (schedule, work, options) =>
    this.work.every(schedule, work, options, framesOf(this.every))

  readonly job: Client["job"] = (id) => this.work.find(id, framesOf(this.job))

  readonly jobs: Client["jobs"] = (filter) => this.work.list(filter, framesOf(this.jobs))

  readonly counts: Client["counts"] = () => this.runner.run(Supervisor.counts, { frames: framesOf(this.counts) })

  readonly cancelAll: Client["cancelAll"] = (filter, reason) =>
    this.work.cancelAll(filter, reason, framesOf(this.cancelAll))

  readonly waitAll: Client["waitAll"] = (filter, options) => this.work.waitAll(filter, options, framesOf(this.waitAll))

  readonly health: Client["health"] = () => this.runner.run(health, { frames: framesOf(this.health) })

  readonly statusLine: Client["statusLine"] = () =>
    this.runner.run(
      Effect.map(Supervisor.health, (jobs) => StatusLine.render(jobs)),
      { frames: framesOf(this.statusLine) }
    )

  readonly drain: Client["drain"] = (options) =>
    this.runner.run(
      Effect.suspend(() => Supervisor.drain(options)),
      { frames: framesOf(this.drain) }
    )

  readonly close: Client["close"] = () => {
    for (const takeBack of this.onSignals) takeBack()
    this.onSignals.clear()
    return this.runner.close()
  }

  readonly closeOnSignals: Client["closeOnSignals"] = (options = {}) => {
    const { close, drain } = this
    const warn = (text: string, error: unknown) =>
      this.runner.run(Effect.logWarning(`${text}: ${SafeText.of(error)}`), { frames: framesOf(this.closeOnSignals) })
    const remove = Signals.listen(options, { drain, close, warn })
    const takeBack = () => {
      this.onSignals.delete(takeBack)
      remove()
    }
    this.onSignals.add(takeBack)
    return takeBack
  }

  readonly [Symbol.asyncDispose] = (): Promise<void> => this.close()
}

const { framesOf } = Failures

/** Tools of any kind: each is called with what its own schema gives. */
type AnyOptions = ToolOptions<Readonly<Record<string, Schema>>> | undefined

const health: Effect.Effect<ClientHealth, never, Supervisor.Supervisor | Models> = Effect.gen(function* () {
  const jobs = yield* Supervisor.health
  const all = yield* Effect.forEach(yield* Models, ([name, model]) =>
    Effect.map(model.health, ({ policies, score }) => [name, { policies, score }] as const)
  )
  return { jobs, models: Object.fromEntries(all), score: Math.min(jobs.score, ...all.map(([, { score }]) => score)) }
})
